"""The catalog's claims by the published numbers: the verdicts, and the figures that they rest on."""

import pytest

from bench.analyse.claims.judge import judge_claims
from bench.analyse.claims.rules import RULES, can_be_decided, check_rules
from bench.catalog.claims import claim_rows
from bench.errors import RequestError, UnknownNameError

from made_up_claims import claim  # isort: skip

PUBLISHED = {
    "less-compute-on-the-mean": "supported",
    "less-compute-on-every-set": "contradicted",  # ReaL
    "hybrids-lead-at-small-compute": "supported",
    "vits-do-not-saturate": "supported",
    "cnns-saturate": "contradicted",
    "cnns-win-on-small-pretraining": "supported",
    "vits-overtake-with-more-data": "supported",
    "vits-need-jft": "contradicted",
    "large-vits-need-more-data": "supported",
    "deit-needs-no-more-than-imagenet": "contradicted",
    "deit-distilled-needs-no-more-than-imagenet": "supported",
    "vit-l16-beats-bit-l": "inconclusive",  # the tie on ReaL and the hundredth on VTAB
    "vit-h14-beats-bit-l": "inconclusive",
    "vit-cheaper-to-pretrain": "supported",
    "larger-patches": "inconclusive",  # half a point is within the noise of small test sets
    "larger-patches-always": "inconclusive",
    "attention-quadratic": "supported",
    "attention-cost-barely-starts": "supported",
    "vits-save-memory": "untestable here",
    "vits-slower-at-equal-macs": "contradicted",
    "vits-higher-latency": "untestable here",
    "efficientnetv2-fewer-macs": "supported",
    "efficientnetv2-fewer-parameters": "supported",
    "efficientnetv2-faster": "contradicted",
    "efficientnetv2-most-accurate": "inconclusive",
    "efficientnetv2-ahead-by-two-points": "contradicted",
    "global-heads-in-early-layers": "untestable here",
    "attention-distance-grows": "untestable here",
    "positions-learn-the-grid": "untestable here",
    "position-embeddings-alike": "supported",
    "no-position-embedding-much-worse": "supported",
    "self-supervision-in-between": "inconclusive",
    "adam-better-for-resnets": "inconclusive",
    "depth-over-width": "untestable here",
}


@pytest.fixture(scope="module")
def judged():
    return {one.claim.id: one for one in judge_claims([])}


def figures(judged, name):
    return {row.label: row for row in judged[name].published.evidence}


def test_published_verdicts_are_those_that_were_looked_at(judged):
    assert {name: one.published.word for name, one in judged.items()} == PUBLISHED


def test_every_published_figure_has_a_source_and_no_record(judged):
    rows = [row for one in judged.values() for row in one.published.evidence]
    assert all(row.source and not row.record_ids and row.origin != "measured" for row in rows)


@pytest.mark.parametrize(
    ("target", "low", "high"),
    [
        ("mean of 5 sets", 3.5, 5.9),
        ("mean without Flowers", 2.0, 4.7),
        ("ImageNet", 1.7, 2.4),  # 2.446
        ("ImageNet ReaL", 0.5, 1.4),
    ],
)
def test_table_6_gives_how_much_more_a_resnet_costs_at_its_own_accuracy(judged, target, low, high):
    rows = figures(judged, "less-compute-on-every-set")
    (row,) = [row for label, row in rows.items() if label.startswith(f"{target}, at the accuracies of the ResNets")]
    assert (round(row.low, 1), round(row.high, 1)) == (low, high)


def test_on_flowers_every_vit_beats_every_resnet_so_that_only_a_bound_is_told(judged):
    rows = figures(judged, "less-compute-on-every-set")
    row = rows["Flowers, at the accuracies of the ResNets (0 of 7 in range)"]
    assert (row.low, row.high) == (pytest.approx(3306 / 55), None)


def test_a_factor_judged_from_below_alone_is_stated_as_at_least(judged):
    for name in ("less-compute-on-the-mean", "less-compute-on-every-set"):
        assert "at least about two times less" in judged[name].claim.statement
    assert "2 of them wholly" in judged["less-compute-on-the-mean"].published.reason


def test_deit_is_judged_with_and_without_distillation_by_the_same_gaps(judged):
    # 82.890 and 85.224 against 83.97 and 84.15
    for name, gaps in (("deit-needs", [-1.08, -1.26]), ("deit-distilled-needs", [1.254, 1.074])):
        one = judged[f"{name}-no-more-than-imagenet"]
        assert [row.value for row in one.published.evidence] == pytest.approx(gaps)
        assert one.claim.where.endswith("the margin of 0.3 points is ours")


def test_claims_that_the_paper_makes_of_imagenet_are_stated_and_decided_there(judged):
    for name in ("cnns-win-on-small-pretraining", "vits-overtake-with-more-data", "large-vits-need-more-data"):
        one = judged[name]
        assert " on ImageNet" in one.claim.statement.replace(" on ImageNet alone", "")
        assert one.claim.scope.datasets == ("imagenet",)
        assert len([row for row in one.published.evidence if row.bearing != "context"]) == 1


def test_real_speaks_against_less_compute_on_every_set(judged):
    rows = figures(judged, "less-compute-on-every-set").values()
    assert {row.label.split(",")[0] for row in rows if row.bearing == "against"} == {"ImageNet ReaL"}


def test_the_printed_tie_and_the_hundredth_decide_nothing_and_are_told(judged):
    rows = figures(judged, "vit-l16-beats-bit-l")
    tie = rows["ViT-L/16 − BiT-L ResNet152x4, ImageNet ReaL"]
    hundredth = rows["ViT-L/16 − BiT-L ResNet152x4, VTAB (19 tasks)"]
    assert (tie.value, tie.bearing) == (0.0, "undecided")
    assert (hundredth.value, hundredth.bearing) == (pytest.approx(-0.01), "undecided")
    assert hundredth.low < 0 < hundredth.high
    assert "not ahead on 2 sets" in judged["vit-l16-beats-bit-l"].published.reason


def test_attention_is_4_percent_of_vit_b_16_at_224_px(judged):
    row = figures(judged, "attention-cost-barely-starts")["ViT-B/16 at 224 px"]
    assert row.value == pytest.approx(100 * 2 * 12 * 197**2 * 768 / 17.58e9, rel=1e-3)


def test_efficientnetv2_wins_on_multiply_adds_and_loses_on_time(judged):
    macs = judged["efficientnetv2-fewer-macs"].published.evidence
    times = judged["efficientnetv2-faster"].published.evidence
    assert min(row.value for row in macs) > 1.9
    assert max(row.value for row in times) < 1


def test_no_position_embedding_is_below_what_the_spread_of_the_others_leaves_room_for(judged):
    summary = judged["no-position-embedding-much-worse"].published.evidence[0]
    # 61.382 minus the mean of the seven others
    assert summary.value == pytest.approx(61.382 - 448.563 / 7, abs=1e-3)
    assert summary.high < -1.0


def test_every_rule_that_a_claim_names_exists_and_every_rule_is_used():
    check_rules(claim_rows())
    assert {one.rule for one in claim_rows().values()} == set(RULES)


def test_claims_on_pretraining_that_no_suite_does_are_told_apart():
    undecidable = {one.id for one in claim_rows().values() if not can_be_decided(one)}
    from_scratch = {
        "less-compute-on-the-mean",
        "less-compute-on-every-set",
        "hybrids-lead-at-small-compute",
        "vits-do-not-saturate",
        "cnns-saturate",
        "cnns-win-on-small-pretraining",
        "vits-overtake-with-more-data",
    }
    assert from_scratch <= undecidable
    assert "vits-save-memory" not in undecidable
    assert can_be_decided(claim("lead_closes", first="hybrid", second="vit", closed_within_points=0.1))


def test_an_unknown_rule_and_unknown_parameters_are_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'figure_only'"):
        check_rules({"x": claim("figure_onyl")})
    with pytest.raises(RequestError, match=r"takes|parameters of rule 'keeps_rising': family, rises.*rises"):
        check_rules({"x": claim("keeps_rising", family="vit")})
