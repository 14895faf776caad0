import re

import pytest

from bench.analyse.claims.claims import MEASURED_RULES, PUBLISHED_RULES
from bench.catalog.claims import claim_rows, parse_claims
from bench.errors import RequestError

ROW = """
[made-up]
statement = "s"
where = "w"
needs = "n"
"""


def test_every_claim_says_what_and_where_and_names_rules_that_exist():
    for name, claim in claim_rows().items():
        assert claim.id == name
        assert claim.statement.endswith(".")
        assert re.match(r"popular account|section ", claim.where)
        assert claim.published or claim.measured
        assert claim.published.get("rule", "gaps") in PUBLISHED_RULES
        assert claim.measured.get("rule", "equal_macs") in MEASURED_RULES


def test_every_rule_is_used():
    rows = claim_rows().values()
    assert {one.published["rule"] for one in rows if one.published} == set(PUBLISHED_RULES)
    assert {one.measured["rule"] for one in rows if one.measured} == set(MEASURED_RULES)


def test_the_paper_is_credited_with_no_more_than_it_says_of_cost():
    rows = claim_rows()
    assert "comparable" in rows["vits-slower-at-equal-macs"].where
    assert rows["attention-cost-barely-starts"].where.startswith("popular account")  # the paper speaks of throughput
    assert rows["vits-save-memory"].where.endswith("equal MACs are our reading")


def test_unknown_and_missing_keys_are_named():
    assert parse_claims(ROW)["made-up"].published == {}
    with pytest.raises(RequestError, match="Claim 'made-up' has unknown keys: verdict"):
        parse_claims(ROW + "verdict = 'supported'\n")
    with pytest.raises(RequestError, match="Claim 'made-up' lacks needs, where"):
        parse_claims('[made-up]\nstatement = "s"\n')
