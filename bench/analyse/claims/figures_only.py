"""Claims that the paper shows in a figure alone: no published table decides them."""

from __future__ import annotations

from bench.analyse.claims.measurements import Measurements
from bench.analyse.claims.verdicts import Verdict
from bench.catalog.claims import Claim


def judge_figure_only(claim: Claim) -> Verdict:
    """Untestable: reading points off a figure would be a guess."""
    return Verdict("untestable here", f"Published as a figure alone, without numbers ({claim.where}).")


def no_table_decides(claim: Claim) -> Verdict:
    """Untestable: nothing of the kind is among the published numbers."""
    return Verdict("untestable here", f"No published number here is of this kind ({claim.where}).")


def no_records_decide(claim: Claim, measurements: Measurements) -> Verdict:
    """Untestable: no suite makes the records that would decide it."""
    return Verdict("untestable here", f"No record read here is of this kind: {claim.decided_by}.")
