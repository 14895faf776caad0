"""Judge every claim of the catalog by published numbers and by the records of suites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.analyse.claims.measurements import Measurements
from bench.analyse.claims.rules import rule_of
from bench.analyse.claims.verdicts import JudgedClaim
from bench.analyse.study import Study
from bench.catalog.claims import Claim, claim_rows
from bench.store.inspections import Inspection


def judge_claims(
    studies: Sequence[Study], inspections: Sequence[Inspection] = (), claims: Mapping[str, Claim] | None = None
) -> list[JudgedClaim]:
    """Every claim with both verdicts, in the catalog's order.

    studies: of the suites that were read; with none, the measured verdicts are `untestable here`. inspections: stored
    beside these. claims: others than the catalog's.
    """
    measurements = Measurements(tuple(studies), tuple(inspections))
    rows = claim_rows() if claims is None else claims
    return [judge(claim, measurements) for claim in rows.values()]


def judge(claim: Claim, measurements: Measurements) -> JudgedClaim:
    """One claim with both verdicts."""
    rule = rule_of(claim)
    return JudgedClaim(claim, rule.published(claim), rule.measured(claim, measurements))
