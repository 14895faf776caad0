import pytest
from made_up_claims import ANYWHERE, ELSEWHERE, claim

from bench.analyse.claims.combine import Seen, apart, conclude, one_vote_each, sign_test_p, word_of
from bench.analyse.claims.scope import Conditions, departure_words, outside
from bench.analyse.claims.verdicts import Evidence
from bench.analyse.claims.words import tally
from bench.catalog.claims import Scope
from bench.shown import fixed


def figure(bearing):
    return Evidence(f"figure {bearing}", 1.0, "points", 0.5, 1.5, bearing, "measured", "", "s", ("id",))


def concluded(scope, *bearings, conditions=None, quantifier="every"):
    seen = [Seen(figure(bearing), conditions or Conditions(pretraining_images=0.0)) for bearing in bearings]
    return conclude(claim("r", scope), seen, quantifier, lambda rows: tally(rows, "figure", "figures"), "Nothing.")


@pytest.mark.parametrize(
    ("bearings", "quantifier", "word"),
    [
        (["for", "for"], "every", "supported"),
        (["for", "undecided"], "every", "inconclusive"),
        (["for", "against"], "every", "contradicted"),
        (["for", "context"], "every", "supported"),
        (["context"], "every", "inconclusive"),
        (["for", "against"], "one", "supported"),
        (["against", "against"], "one", "contradicted"),
        (["against", "undecided"], "one", "inconclusive"),
        (["for"] * 5 + ["against"], "most", "inconclusive"),  # p = 14 / 64
        (["for"] * 8, "most", "supported"),  # p = 2 / 256
        (["against"] * 8, "most", "contradicted"),
    ],
)
def test_figures_together_say_no_more_than_the_claim_quantifies(bearings, quantifier, word):
    assert word_of(bearings, quantifier) == word


def test_several_figures_of_one_model_have_one_vote():
    own = [("a", "for"), ("a", "for"), ("a", "undecided"), ("b", "for"), ("b", "against"), ("c", "undecided")]
    votes = one_vote_each([(name, Seen(figure(bearing), Conditions())) for name, bearing in own])
    assert [one.evidence.bearing for one in votes] == ["for", "context", "context", "undecided", "context", "undecided"]


def test_the_sign_test_is_the_exact_binomial():
    assert sign_test_p(5, 1) == pytest.approx(14 / 64)
    assert sign_test_p(0, 0) == 1.0


@pytest.mark.parametrize(
    ("bearing", "word"), [("for", "supported"), ("against", "contradicted"), ("undecided", "inconclusive")]
)
def test_records_inside_the_scope_decide(bearing, word):
    verdict = concluded(ANYWHERE, bearing)
    assert (verdict.word, verdict.analogue) == (word, None)


@pytest.mark.parametrize(
    ("bearing", "analogue"), [("for", "same"), ("against", "opposite"), ("undecided", "undecided")]
)
def test_records_outside_the_scope_never_support_or_contradict(bearing, analogue):
    verdict = concluded(ELSEWHERE, bearing)
    assert (verdict.word, verdict.analogue) == ("untestable here", analogue)
    assert verdict.analogue_of == "no pre-training, not pre-training on 300 million images or more"


def test_records_inside_leave_those_outside_no_say():
    inside, outside_ = Conditions(pretraining_images=4e8), Conditions(pretraining_images=0.0)
    seen = [Seen(figure("for"), inside), Seen(figure("against"), outside_)]
    verdict = conclude(claim("r", ELSEWHERE), seen, "every", lambda rows: f"{len(rows)} figures.", "Nothing.")
    assert (verdict.word, verdict.reason, len(verdict.evidence)) == ("supported", "1 figures.", 1)


def test_records_outside_take_no_vote_and_widen_no_interval_of_those_inside():
    scope = Scope(resolution_px=(128, float("inf")))
    small, large = Conditions(resolution_px=32), Conditions(resolution_px=224)
    votes = [
        vote
        for i in range(8)
        for vote in ((f"m{i}", Seen(figure("against"), small)), (f"m{i}", Seen(figure("for"), large)))
    ]
    seen = apart(scope, votes, lambda vote: vote[1].conditions, one_vote_each)
    verdict = conclude(claim("r", scope), seen, "most", lambda rows: f"{len(rows)} rows.", "Nothing.")
    assert (verdict.word, verdict.reason) == ("supported", "8 rows.")
    assert [one.evidence.bearing for one in seen] == ["for"] * 8 + ["against"] * 8


def test_without_figures_the_reason_says_what_is_missing():
    verdict = concluded(ANYWHERE)
    assert (verdict.word, verdict.reason, verdict.analogue) == ("untestable here", "Nothing.", None)


def test_a_condition_that_is_not_known_is_outside():
    scope = Scope(exaflops=(1.0, 2.0), devices=("cuda",), data=("public",))
    assert [one.condition for one in outside(scope, Conditions())] == ["exaflops", "devices", "data"]
    assert outside(scope, Conditions(exaflops=1.0, device="cuda", data="public")) == ()


def test_departures_of_several_records_are_told_once_with_their_range():
    scope = Scope(resolution_px=(224.0, float("inf")), data=("public", "given"))
    found = [one for px in (32, 64) for one in outside(scope, Conditions(resolution_px=px, data="generated"))]
    assert departure_words(found) == (
        "32 to 64 px, not 224 px or more; generated images, not public data sets or your own images"
    )


def test_compute_is_told_in_the_unit_that_fits_it():
    scope = Scope(exaflops=(50.0, 4300.0), macs=(3e8, float("inf")))
    found = outside(scope, Conditions(exaflops=1.2e-6, macs=3.7e6))
    told = f"1.2 TFLOP, not 50 to {fixed(4300, 0)} exaFLOP; 3.7 M MACs, not 0.30 G MACs or more"
    assert departure_words(found) == told


def test_counts_and_figures_stand_in_one_sentence():
    rows = [figure("for"), figure("undecided"), figure("against"), figure("context")]
    assert tally(rows, "figure", "figures", "a note") == (
        "Of 3 figures, 1 speaks for it, 1 speaks against it and 1 does not decide it (a note): figure against: "
        "+1.00 points [+0.50, +1.50]; figure for: +1.00 points [+0.50, +1.50]; figure undecided: +1.00 points "
        "[+0.50, +1.50]."
    )
