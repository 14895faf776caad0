import pytest

from bench.catalog.claims import Scope, claim_rows, parse_claims
from bench.errors import RequestError

ROW = """
[made-up]
statement = "s"
kind = "paper"
where = "w"
certainty = "from memory"
rule = "r"
decided_by = "d"
"""


def test_every_claim_says_what_where_and_how_it_is_decided():
    for name, claim in claim_rows().items():
        assert claim.id == name
        assert claim.statement.endswith(".")
        assert "arXiv" in claim.where or claim.where.startswith("popular account")
        assert claim.decided_by
        assert not claim.decided_by.endswith(".")


def test_a_popular_account_is_never_given_as_the_paper():
    for claim in claim_rows().values():
        assert (claim.kind == "popular account") == claim.where.startswith("popular account")


def test_the_paper_is_credited_with_no_more_than_it_says_of_cost():
    rows = claim_rows()
    assert "comparable" in rows["vits-slower-at-equal-macs"].where
    assert rows["attention-cost-barely-starts"].kind == "popular account"  # the paper speaks of throughput
    assert "of equal compute" not in rows["vits-save-memory"].statement
    assert rows["vits-save-memory"].where.endswith("is ours")


def test_optional_parts_may_be_missing_and_ranges_are_closed():
    text = ROW + "scope = { exaflops = [50, inf], devices = ['cuda'] }\n"
    claim = parse_claims(text)["made-up"]
    assert claim.scope == Scope(exaflops=(50.0, float("inf")), devices=("cuda",))
    assert claim.parameters == {}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("verdict = 'supported'", "unknown keys: verdict"),
        ("scope = { resolution = [1, 2] }", "unknown keys: resolution"),
        ("scope = { exaflops = [4, 2] }", "must be [low, high]"),
        ("scope = { exaflops = 50 }", "must be [low, high]"),
    ],
)
def test_what_no_claim_can_have_is_refused(line, words):
    with pytest.raises(RequestError, match="made-up") as caught:
        parse_claims(ROW + line + "\n")
    assert words in str(caught.value)


def test_a_missing_part_and_an_unknown_kind_are_named():
    with pytest.raises(RequestError, match=r"lacks decided_by, rule"):
        parse_claims(ROW.replace('rule = "r"\n', "").replace('decided_by = "d"\n', ""))
    with pytest.raises(RequestError, match="kind 'rumour' is none of paper, popular account"):
        parse_claims(ROW.replace('"paper"', '"rumour"'))
