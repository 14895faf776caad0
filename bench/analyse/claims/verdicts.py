"""The outcome of judging a claim: two verdicts, each with the figures that decide it. Pure data.

A verdict is `supported`, `contradicted` or `inconclusive` only by figures inside the claim's scope. Figures outside
it give `untestable here`, and what they would say if the scope did not matter is the `analogue`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bench.catalog.claims import Claim, Scope

Word = Literal["supported", "contradicted", "inconclusive", "untestable here"]
Analogue = Literal["same", "opposite", "undecided"]
Bearing = Literal["for", "against", "undecided", "context"]
Origin = Literal["published", "computed", "measured"]


@dataclass(frozen=True)
class Evidence:
    """One figure. value is None where there is only an interval, low or high where that side is open or not known."""

    label: str  # plain text; may hold names that users gave
    value: float | None
    unit: str  # points, %, times, M, G, ...; empty for a pure number
    low: float | None
    high: float | None
    bearing: Bearing  # what it says of the claim; context: shown, and decides nothing
    origin: Origin
    source: str  # the published table, or by which formula it was computed; empty where records say it all
    suite: str = ""
    record_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What one kind of numbers says of a claim, in one sentence, and the figures behind it."""

    word: Word
    reason: str  # plain text; generated from the evidence
    evidence: tuple[Evidence, ...] = ()
    analogue: Analogue | None = None  # of figures outside the scope; None where there are none
    analogue_of: str = ""  # what those figures are of, and where they leave the scope; plain text

    @property
    def says_something(self) -> bool:
        """Whether any figure was found at all."""
        return bool(self.evidence)


@dataclass(frozen=True)
class JudgedClaim:
    """A claim, what published numbers say of it, and what the records that were read say of it."""

    claim: Claim
    published: Verdict
    measured: Verdict


def judged_json(judged: Sequence[JudgedClaim]) -> list[dict[str, Any]]:
    """The claims as JSON values, numbers unrounded; open ends of ranges are null."""
    return [_finite(asdict(one)) for one in judged]


def judged_from_json(found: Sequence[dict[str, Any]]) -> list[JudgedClaim]:
    """What `judged_json` wrote, read back."""
    result = []
    for one in found:
        scope: dict[str, Any] = {
            key: None if value is None else _ends(value) for key, value in one["claim"]["scope"].items()
        }
        claim = Claim(**{**one["claim"], "scope": Scope(**scope)})
        result.append(JudgedClaim(claim, _verdict(one["published"]), _verdict(one["measured"])))
    return result


def _verdict(fields: dict[str, Any]) -> Verdict:
    rows = tuple(Evidence(**{**row, "record_ids": tuple(row["record_ids"])}) for row in fields["evidence"])
    return Verdict(**{**fields, "evidence": rows})


def _ends(value: Sequence[Any]) -> tuple[Any, ...]:
    """A list as a tuple; of a range, null as the open upper end."""
    return tuple(float("inf") if one is None else one for one in value)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and value in (float("inf"), float("-inf")) else value
