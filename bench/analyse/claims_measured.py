"""Judge claims by records: what counts, timings and searches of the largest batch say within a claim's own scope."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from bench.analyse.claim_verdicts import Bearing, Figure, bearing_of, by_rule
from bench.analyse.intervals import Interval
from bench.analyse.study import Count, Row, Study
from bench.analyse.subjects import RunKey
from bench.catalog.claims import Claim
from bench.shown import counted


@dataclass(frozen=True)
class Scope:
    """What a record must meet to say anything of a claim; both ends of a range belong to it."""

    resolution_px: Sequence[float] = (0.0, math.inf)
    macs: Sequence[float] = (0.0, math.inf)
    device: str = ""  # empty: any

    def holds(self, key: RunKey, macs: float | None) -> bool:
        """Whether what was measured under this key lies within it."""
        return (
            self.resolution_px[0] <= key.resolution_px <= self.resolution_px[1]
            and self.macs[0] <= (macs or 0.0) <= self.macs[1]
            and self.device in ("", key.device)
        )


def measured_figures(claim: Claim, studies: Sequence[Study]) -> list[Figure]:
    """What the claim's rule finds in the records of its scope; empty where it has no rule, or none is there."""
    if not claim.measured:
        return []
    spec = dict(claim.measured)
    scope = Scope(**{key: spec.pop(key) for key in ("resolution_px", "macs", "device") if key in spec})
    return [figure for study in studies for figure in by_rule(RULES, spec, study, scope)]


def are_equal(one: float | None, other: float | None, within: float) -> bool:
    """Whether two numbers of multiply-adds differ by a factor of at most `within`."""
    return bool(one and other) and max((one or 1) / (other or 1), (other or 1) / (one or 1)) <= within


def _attention_growth(study: Study, scope: Scope, exponent: float) -> list[Figure]:
    """Of each plain ViT that was counted at two resolutions or more: attention's power of the number of tokens.

    The number of tokens is what all other multiply-adds are proportional to, but for a class token and the head.
    """
    series: dict[str, dict[int, tuple[str, Count]]] = {}
    for row in study.rows:
        is_plain = row.identity.family == "vit" and row.key.model.startswith("vit_")
        if is_plain and row.count is not None and row.count.attention_macs and scope.holds(row.key, row.macs):
            architecture = re.sub(r"_\d+(\..*)?$", "", row.key.model)  # timm's names end in a resolution and a tag
            series.setdefault(architecture, {}).setdefault(row.key.resolution_px, (row.label, row.count))
    found = []
    for by_size in series.values():
        for (small_px, (label, small)), (large_px, (_, large)) in pairwise(sorted(by_size.items())):
            ours, theirs = large.attention_macs or 0, small.attention_macs or 0
            power = math.log(ours / theirs) / math.log((large.macs - ours) / (small.macs - theirs))
            bearing: Bearing = "for" if abs(power - exponent) < 0.01 else "against"
            name = f"{label}, {small_px} to {large_px} px, exponent of attention"
            found.append(Figure(name, power, None, None, "", bearing, record_ids=(small.cell_id, large.cell_id)))
    return found


def _attention_share(study: Study, scope: Scope, below_pct: float) -> list[Figure]:
    """The largest share of attention among the counted ViTs."""
    shares = [
        (100 * row.count.attention_macs / row.count.macs, row.label, row.count.cell_id)
        for row in study.rows
        if row.identity.family == "vit"
        and row.count is not None
        and row.count.attention_macs
        and scope.holds(row.key, row.macs)
    ]
    if not shares:
        return []
    share, label, _ = max(shares)
    ids = tuple(cell_id for _, _, cell_id in shares)
    own: Bearing = "for" if share < below_pct else "against"
    return [Figure(f"largest of {counted(len(shares), 'count')}, {label}", share, None, None, "%", own, record_ids=ids)]


@dataclass(frozen=True)
class Entry:
    """A measured number of one model with its interval, and its records."""

    row: Row
    key: RunKey
    setting: object  # what both of a pair must share beside the key: a batch size, or the limit of a search
    number: Interval | None  # None: decides nothing
    ids: tuple[str, ...]


def _speed(study: Study, scope: Scope, within: float, of: str) -> list[Figure]:
    """Each ViT over the fastest CNN of equal multiply-adds, claimed to be slower. of: latency or images/s."""
    entries = []
    for row in study.rows:
        if row.speed is not None:
            is_latency = of == "latency"
            timed, batch = row.speed.latency if is_latency else row.speed.throughput, row.speed.batch_size
            number = None if timed is None else timed.interval
            entries.append(Entry(row, row.key, 1 if is_latency else batch, number, row.speed.cell_ids))
    if of == "latency":
        return _figures(entries, scope, within, of, (1.0, math.inf), best=min)
    return _figures(entries, scope, within, of, (0.0, 1.0))


def _largest_batch(study: Study, scope: Scope, within: float) -> list[Figure]:
    """The largest batch of each ViT over the largest of a CNN of equal multiply-adds: more than 1 is for `larger`.

    The largest batch lies between the one that fitted and the next that was tried; a cap leaves the upper end open.
    """
    rows = {(row.key.model, row.key.resolution_px): row for row in study.rows}  # a search makes no row of its own
    entries = []
    for one in study.speed.largest:
        row = rows.get((one.key.model, one.key.resolution_px))
        if row is not None and one.largest > 0:
            bounds = Interval(one.largest, one.largest, (one.smallest_refused or math.inf) - 1, 1, "bounds")
            entries.append(Entry(row, one.key, one.limit, bounds, (one.cell_id,)))
    return _figures(entries, scope, within, "largest batch", (1.0, math.inf))


def _figures(
    entries: Sequence[Entry],
    scope: Scope,
    within: float,
    words: str,
    claimed: tuple[float, float],
    best: Callable[..., Any] = max,
) -> list[Figure]:
    """Each ViT in the scope over the best CNN of equal multiply-adds under the same conditions.

    claimed: where the ratio's interval must lie for the claim; the claim is on every ViT, see `bearing_of`.
    """
    inside = [(one, one.number) for one in entries if one.number is not None and scope.holds(one.key, one.row.macs)]
    pairs = []
    for vit, ours in (pair for pair in inside if pair[0].row.identity.family == "vit"):
        rivals = [
            (number.estimate, one.row.label, one, number)
            for one, number in inside
            if one.row.identity.family == "cnn"
            and are_equal(one.row.macs, vit.row.macs, within)
            and (replace(one.key, model=""), one.setting) == (replace(vit.key, model=""), vit.setting)
        ]
        if rivals:
            _, _, cnn, theirs = best(rivals, key=lambda rival: rival[:2])
            label = f"{vit.row.label} over {cnn.row.label}, {vit.key.resolution_px} px, {vit.key.device}, {words}"
            pairs.append((label, ours, theirs, (*vit.ids, *cnn.ids)))
    found = []
    for label, ours, theirs, ids in pairs:
        ends = ours.low / theirs.high, ours.high / theirs.low  # both numbers lie in their ranges
        bearing = bearing_of(ends, ends, *claimed)
        found.append(Figure(label, ours.estimate / theirs.estimate, *ends, "times", bearing, record_ids=ids))
    return found


RULES: Mapping[str, Callable[..., list[Figure]]] = {
    "attention_growth": _attention_growth,
    "attention_share": _attention_share,
    "speed": _speed,
    "largest_batch": _largest_batch,
}
