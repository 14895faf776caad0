"""The reasons of a report's verdicts on claims and every figure behind them, for the interactive page."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analyse.claims.verdicts import JudgedClaim
from bench.report.claims_page import evidence_table
from bench.report.claims_section import says_something, verdict_words
from bench.report.markdown import bullets, escape
from bench.report.section import Folded


def claims_details(judged: Sequence[JudgedClaim]) -> Folded | None:
    """Of the claims on which this suite's records say something; None where there are none."""
    told = [one for one in judged if says_something(one.measured)]
    if not told:
        return None
    return Folded("Why, and every figure behind these verdicts", bullets(map(_reasons, told)), evidence_table(told))


def _reasons(one: JudgedClaim) -> str:
    return (
        f"**{escape(one.claim.statement)}** (`{one.claim.id}`) "
        f"*Published numbers: {verdict_words(one.published)}.* {escape(one.published.reason)} "
        f"*These records: {verdict_words(one.measured)}.* {escape(one.measured.reason)}"
    )
