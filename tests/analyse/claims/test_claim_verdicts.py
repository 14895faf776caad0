import json

from bench.analyse.claims.judge import judge_claims
from bench.analyse.claims.verdicts import Evidence, JudgedClaim, Verdict, judged_from_json, judged_json
from bench.catalog.claims import Claim, Scope

CLAIM = Claim(
    id="made-up",
    statement="ViTs are <b>better</b> | than *CNNs*",
    kind="popular account",
    where="nowhere",
    certainty="from memory",
    rule="figure_only",
    parameters={"sizes": [1, 2]},
    decided_by="nothing",
    scope=Scope(exaflops=(50.0, float("inf")), devices=("cuda",)),
)
FIGURE = Evidence("difference on <x>", 1.5, "points", 0.5, None, "for", "measured", "", "desk", ("a1", "b2"))


def test_judged_claims_survive_json_with_open_ranges_and_hostile_names():
    judged = [
        JudgedClaim(CLAIM, Verdict("supported", "so.", (FIGURE,)), Verdict("untestable here", "no.", (), "same", "x"))
    ]
    assert judged_from_json(json.loads(json.dumps(judged_json(judged), allow_nan=False))) == judged


def test_without_records_no_measured_verdict_says_anything():
    for judged in judge_claims([]):
        assert judged.measured.word == "untestable here"
        assert judged.measured.analogue is None
