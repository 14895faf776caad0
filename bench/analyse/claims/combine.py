"""From figures to a verdict: what is inside the scope decides, what is outside is an analogue.

A claim on every one of k figures is not called contradicted by chance: the rules take the intervals of the k at
1 - 0.05 / k (Bonferroni), and say so where there are several. What is outside the scope neither takes a vote nor
widens an interval of what is inside: `apart` judges the two by themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from scipy import stats

from bench.analyse.claims.scope import Conditions, departure_words, outside
from bench.analyse.claims.verdicts import Analogue, Bearing, Evidence, Verdict, Word
from bench.analyse.intervals import LEVEL
from bench.catalog.claims import Claim, Scope
from bench.shown import fixed

Quantifier = Literal["every", "one", "most"]
_Found = TypeVar("_Found")
_ANALOGUES: dict[Word, Analogue] = {"supported": "same", "contradicted": "opposite"}


@dataclass(frozen=True)
class Seen:
    """A measured figure and the conditions that it was obtained under."""

    evidence: Evidence
    conditions: Conditions


def word_of(bearings: Sequence[Bearing], quantifier: Quantifier) -> Word:
    """What figures say together; those of bearing `context` say nothing, and none at all leave it inconclusive.

    every: all must speak for the claim, one against contradicts it. one: a single figure for it suffices, all must
    speak against. most: more than half, by an exact sign test over the decided ones.
    """
    counts = Counter(bearing for bearing in bearings if bearing != "context")
    total, ours, theirs = sum(counts.values()), counts["for"], counts["against"]
    if total == 0:
        return "inconclusive"
    if quantifier == "most":
        if ours + theirs == 0 or sign_test_p(ours, theirs) >= 1 - LEVEL:
            return "inconclusive"
        return "supported" if ours > theirs else "contradicted"
    if quantifier == "one":
        return "supported" if ours else "contradicted" if theirs == total else "inconclusive"
    return "contradicted" if theirs else "supported" if ours == total else "inconclusive"


def apart(
    scope: Scope,
    found: Sequence[_Found],
    conditions: Callable[[_Found], Conditions],
    judge: Callable[[Sequence[_Found]], list[Seen]],
) -> list[Seen]:
    """What is inside the scope judged by itself, then the rest by itself: votes and levels of the two do not mix."""
    is_inside = [not outside(scope, conditions(one)) for one in found]
    return [
        seen
        for wanted in (True, False)
        for seen in judge([one for one, inside in zip(found, is_inside, strict=True) if inside is wanted])
    ]


def one_vote_each(seen: Sequence[tuple[str, Seen]]) -> list[Seen]:
    """The figures with one vote for each name, for a sign test: several of one model are no independent samples.

    A name votes for or against where its decided figures agree, and is undecided where they differ or there are none;
    its first figure of that bearing carries the vote, the others become context. seen: (name, figure).
    """
    told: dict[str, list[int]] = {}
    for place, (name, one) in enumerate(seen):
        if one.evidence.bearing != "context":
            told.setdefault(name, []).append(place)
    bearings: dict[int, Bearing] = {}
    for places in told.values():
        own = [(place, seen[place][1].evidence.bearing) for place in places]
        decided = {bearing for _, bearing in own if bearing in ("for", "against")}
        vote: Bearing = decided.pop() if len(decided) == 1 else "undecided"
        carrier = next((place for place, bearing in own if bearing == vote), places[0])
        bearings |= {carrier: vote}
    return [
        replace(one, evidence=replace(one.evidence, bearing=bearings.get(place, "context")))
        for place, (_, one) in enumerate(seen)
    ]


def sign_test_p(ours: int, theirs: int) -> float:
    """Two-sided exact p-value that as many comparisons go one way as the other; 1 when there are none."""
    return float(stats.binomtest(ours, ours + theirs).pvalue) if ours + theirs else 1.0


def p_words(p_value: float) -> str:
    """`p = 0.34`, or `p < 0.001`."""
    return f"p = {fixed(p_value, 3 if p_value < 0.1 else 2)}" if p_value >= 0.001 else "p < 0.001"


def conclude(
    claim: Claim, seen: Sequence[Seen], quantifier: Quantifier, say: Callable[[Sequence[Evidence]], str], absent: str
) -> Verdict:
    """The verdict of measured figures. say: one sentence from evidence. absent: why there is none, a sentence."""
    inside = [one.evidence for one in seen if not outside(claim.scope, one.conditions)]
    if inside:
        return Verdict(word_of([one.bearing for one in inside], quantifier), say(inside), tuple(inside))
    if not seen:
        return Verdict("untestable here", absent)
    everything = [one.evidence for one in seen]
    analogue = _ANALOGUES.get(word_of([one.bearing for one in everything], quantifier), "undecided")
    telling = [one for one in seen if one.evidence.bearing != "context"] or seen
    why = departure_words(departure for one in telling for departure in outside(claim.scope, one.conditions))
    return Verdict("untestable here", say(everything), tuple(everything), analogue, why)
