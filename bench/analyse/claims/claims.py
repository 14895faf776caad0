"""The rules that judge claims: by published numbers, and by what counts, timings and searches of a claim's scope say.

Published: differences of printed accuracies, cost at equal accuracy, published speeds and costs, closed forms; those
by public checkpoints are in `public_rules`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from statistics import fmean
from typing import Any

import numpy as np

from bench.analyse.accuracies.subjects import RunKey
from bench.analyse.claims.public_rules import front_share, measured_front, published_front, time_at_equal_macs
from bench.analyse.claims.verdicts import Bearing, Figure, JudgedClaim, Scope, Verdict, bearing_of, by_rule, verdict
from bench.analyse.compare.choose import pareto_front
from bench.analyse.stats.intervals import LEVEL, Interval
from bench.analyse.study import Count, Row, Study
from bench.catalog.claims import PAPER, Claim, claim_rows
from bench.catalog.papers import paper_scaling, paper_sota, timm_published
from bench.catalog.quoted import difference, quoted
from bench.catalog.tables import read_csv
from bench.number_format import counted, fixed, significant

TIMM = "https://github.com/huggingface/pytorch-image-models results/ at commit aa4b5850"
CLOSED_FORM = f"closed form with the sizes of {PAPER}, Table 1"
CORE_DAYS = "TPUv3 core-days"
PAPER_VITS = (("B", 32), ("B", 16), ("L", 32), ("L", 16), ("H", 14))  # size and patch: the models of Table 6
ROUNDS_TO = 0.5  # "about two times" is met by what rounds to 2 or more


def judge_claims(studies: Sequence[Study], claims: Mapping[str, Claim] | None = None) -> list[JudgedClaim]:
    """Every claim by published numbers and by the records of these suites, in the order of the catalog."""
    known = claim_rows() if claims is None else claims
    published = _catalog_verdict if claims is None else lambda name: judge_published(known[name])
    return [JudgedClaim(one, published(name), verdict(measured_figures(one, studies))) for name, one in known.items()]


@cache
def _catalog_verdict(name: str) -> Verdict:
    return judge_published(claim_rows()[name])


def judge_published(claim: Claim) -> Verdict:
    """By the rule of its row. Raises UnknownNameError for a rule that is not here."""
    return verdict(by_rule(PUBLISHED_RULES, claim.published) if claim.published else [])


def _gaps(gaps: Sequence[Mapping[str, Any]]) -> list[Figure]:
    """First minus second of printed accuracies, and whether it lies where the claim puts it, beyond the noise."""
    found: list[Figure] = []
    before: tuple[str, ...] = ()
    for gap in gaps:
        first, second = quoted(gap["first"]), quoted(gap["second"])
        ends = difference(first, second, LEVEL)
        outer = difference(first, second, 1 - (1 - LEVEL) / len(gaps))
        bearing = bearing_of(ends, outer, gap.get("above", 0.0), gap.get("below", math.inf))
        names = tuple(gap.get("names", (first.title, second.title)))
        one, other = (f"{name} " if names != before else "" for name in names)  # the first of several tells the names
        before = names
        label = f"{gap['of']}, {one}{fixed(first.value_pct, 2)} − {other}{fixed(second.value_pct, 2)}"
        low, high = (None, None) if math.isinf(ends[0]) else ends
        source = "; ".join(dict.fromkeys((first.source, second.source)))
        delta = round(first.value_pct - second.value_pct, 6)
        found.append(Figure(label, delta, low, high, "points", bearing, source))
    return found


Point = tuple[float, float]  # what one model costs, and what it reaches in percent


def front(points: Sequence[Point]) -> list[Point]:
    """The points that no cheaper or equally cheap one matches, in rising cost and accuracy."""
    is_on = pareto_front([cost for cost, _ in points], [gain_pct for _, gain_pct in points])
    return sorted({point for point, on in zip(points, is_on, strict=True) if on})


def cost_at(curve: Sequence[Point], gain_pct: float) -> tuple[float, float]:
    """Bounds of the cost at this accuracy, linear in the cost's logarithm; never beyond the curve, which bounds it."""
    costs, gains = zip(*curve, strict=True)
    if gain_pct < gains[0]:
        return 0.0, costs[0]
    if gain_pct > gains[-1]:
        return costs[-1], math.inf
    cost = math.exp(float(np.interp(gain_pct, gains, [math.log(one) for one in costs])))
    return cost, cost


def _compute(
    over: Mapping[str, Sequence[str]], at_least: float, beside: Mapping[str, Sequence[str]] | None = None
) -> list[Figure]:
    """Table 6: compute of a ResNet over that of a ViT of equal mean accuracy, as a range over all shared accuracies."""
    found = [_ratio_range(title, sets, at_least) for title, sets in over.items()]
    others = [_ratio_range(title, sets, at_least) for title, sets in (beside or {}).items()]
    return [*found, *(replace(one, bearing="beside") for one in others)]


def _ratio_range(title: str, sets: Sequence[str], at_least: float) -> Figure:
    """The range of ratios at the accuracies of either family that the other reaches; else the bound."""
    points: dict[str, list[Point]] = {"vit": [], "cnn": [], "hybrid": []}
    for row in paper_scaling():
        points[row.family].append((row.exaflops, fmean(row.top1_pct[name] for name in sets)))
    vits, cnns = front(points["vit"]), front(points["cnn"])
    bounds = [(low / cost, high / cost) for cost, gain_pct in vits for low, high in [cost_at(cnns, gain_pct)]]
    for cost, gain_pct in cnns:
        low, high = cost_at(vits, gain_pct)
        bounds.append((cost / high, cost / low if low else math.inf))
    known = [low for low, high in bounds if low == high]
    low, high = (min(known), max(known)) if known else (max(low for low, _ in bounds), math.inf)
    least = at_least - ROUNDS_TO
    bearing: Bearing = "for" if low >= least else "against" if high < least else "undecided"
    return Figure(title, None, low, high, "times", bearing, f"{PAPER}, Table 6, interpolated in log exaFLOPs")


def _ratios(of: str, pairs: Sequence[Sequence[str]]) -> list[Figure]:
    """Printed costs, first over second: more than 1 is for the claim. A pair may name its accuracies too.

    of: core-days (systems of Table 2), GMACs or ms an image (timm's files, as NAME:RESOLUTION).
    """
    found = []
    for first, second in pairs:
        (one, ours), (other, theirs) = (_cost(of, name) for name in (first, second))
        label = f"{one} over {other}, {significant(ours, 3)} over {significant(theirs, 3)} {of}"
        bearing: Bearing = "for" if ours > theirs else "against"
        source = f"{PAPER}, Table 2" if of == CORE_DAYS else TIMM
        found.append(Figure(label, ours / theirs, None, None, "times", bearing, source))
    return found


def _cost(of: str, name: str) -> tuple[str, float]:
    """A title, with the accuracy where it has one, and the cost."""
    if of == CORE_DAYS:
        return name, next(row.tpuv3_core_days for row in paper_sota() if row.system == name)
    row = timm_published()[name.partition(":")[0], int(name.rpartition(":")[2])]
    title = f"{row.system} @{row.resolution_px} ({fixed(row.imagenet_top1_pct or 0.0, 2)} %)"
    return title, row.gmacs if of == "GMACs" else 1000 / (row.rtx5090_amp_img_per_s or math.nan)


def plain_vit(size: str, patch_px: int, resolution_px: int, classes: int = 1000) -> tuple[int, int, int]:
    """Tokens, multiply-adds of attention's two products, and all multiply-adds of one image, in closed form."""
    row = next(row for row in read_csv("paper_models") if row["variant"].startswith(f"ViT-{size}"))
    L, D, M = (int(row[column]) for column in ("layers", "hidden_d", "mlp"))
    patches = (resolution_px // patch_px) ** 2
    N = patches + 1
    attention = 2 * L * N**2 * D
    return N, attention, patches * D * 3 * patch_px**2 + L * (4 * N * D**2 + 2 * N * D * M) + attention + D * classes


def _closed_form_attention(resolution_px: Sequence[int], exponent: float = 0.0, below_pct: float = 0.0) -> list[Figure]:
    """Attention's multiply-adds in closed form: the power of the number of tokens, or the share of all.

    exponent: claimed between the two resolutions. below_pct: claimed at the larger of them, where the share is largest.
    """
    low_px, high_px = resolution_px
    vits = [(plain_vit(*vit, low_px), plain_vit(*vit, high_px)) for vit in PAPER_VITS]
    if below_pct:
        shares = [100 * attention / macs for _, (_, attention, macs) in vits]
        bearing: Bearing = "for" if max(shares) < below_pct else "against"
        label = f"share of attention, {len(shares)} ViTs at {high_px} px"
        return [Figure(label, None, min(shares), max(shares), "%", bearing, CLOSED_FORM)]
    found = []
    for column, what in enumerate(("attention", "all MACs"), 1):
        powers = [math.log(high[column] / low[column]) / math.log(high[0] / low[0]) for low, high in vits]
        told: Bearing = "for" if max(abs(power - exponent) for power in powers) < 0.01 else "against"
        label = f"exponent of {what}, {len(powers)} ViTs, {low_px} to {high_px} px"
        bearing = told if what == "attention" else "beside"
        found.append(Figure(label, None, min(powers), max(powers), "", bearing, CLOSED_FORM))
    return found


PUBLISHED_RULES: Mapping[str, Callable[..., list[Figure]]] = {
    "gaps": _gaps,
    "compute": _compute,
    "ratios": _ratios,
    "attention": _closed_form_attention,
    "front": published_front,
    "front_share": front_share,
    "time_at_equal_macs": time_at_equal_macs,
}


def measured_figures(claim: Claim, studies: Sequence[Study]) -> list[Figure]:
    """What the claim's rule finds in the records of its scope; empty where it has no rule, or none is there."""
    if not claim.measured:
        return []
    spec = dict(claim.measured)
    scope = Scope(**{key: spec.pop(key) for key in ("resolution_px", "macs", "device") if key in spec})
    return [figure for study in studies for figure in by_rule(MEASURED_RULES, spec, study, scope)]


def are_equal(one: float | None, other: float | None, within: float) -> bool:
    """Whether two numbers of multiply-adds differ by a factor of at most `within`."""
    return bool(one and other) and max((one or 1) / (other or 1), (other or 1) / (one or 1)) <= within


def _counted_attention(study: Study, scope: Scope, exponent: float = 0.0, below_pct: float = 0.0) -> list[Figure]:
    """Attention's multiply-adds of counted ViTs: the power of the number of tokens, or the largest share of all.

    exponent: claimed of each plain ViT that was counted at two resolutions or more. The number of tokens is what all
    other multiply-adds are proportional to, but for a class token and the head. below_pct: claimed of the share.
    """
    counted_vits = [
        (row, row.count, row.count.attention_macs)
        for row in study.rows
        if row.identity.family == "vit" and row.count is not None and scope.holds(row.key, row.macs)
        if row.count.attention_macs
    ]
    if below_pct:
        shares = [(100 * attention / count.macs, row.label) for row, count, attention in counted_vits]
        if not shares:
            return []
        share, label = max(shares)
        ids = tuple(count.cell_id for _, count, _ in counted_vits)
        own: Bearing = "for" if share < below_pct else "against"
        name = f"largest of {counted(len(shares), 'count')}, {label}"
        return [Figure(name, share, None, None, "%", own, record_ids=ids)]
    series: dict[str, dict[int, tuple[str, Count, int]]] = {}
    for row, count, attention in counted_vits:
        if row.key.model.startswith("vit_"):
            architecture = re.sub(r"_\d+(\..*)?$", "", row.key.model)  # timm's names end in a resolution and a tag
            series.setdefault(architecture, {}).setdefault(row.key.resolution_px, (row.label, count, attention))
    found = []
    for by_size in series.values():
        for (small_px, (label, small, theirs)), (large_px, (_, large, ours)) in pairwise(sorted(by_size.items())):
            power = math.log(ours / theirs) / math.log((large.macs - ours) / (small.macs - theirs))
            bearing: Bearing = "for" if abs(power - exponent) < 0.01 else "against"
            name = f"{label}, {small_px} to {large_px} px, exponent of attention"
            found.append(Figure(name, power, None, None, "", bearing, record_ids=(small.cell_id, large.cell_id)))
    return found


@dataclass(frozen=True)
class Entry:
    """A measured number of one model with its interval, and its records."""

    row: Row
    key: RunKey
    setting: object  # what both of a pair must share beside the key: a batch size, or the limit of a search
    number: Interval | None  # None: decides nothing
    ids: tuple[str, ...]


def _timings(study: Study, of: str) -> Iterable[Entry]:
    for row in study.rows:
        if row.speed is not None:
            timed, batch = (row.speed.latency, 1) if of == "latency" else (row.speed.throughput, row.speed.batch_size)
            yield Entry(row, row.key, batch, None if timed is None else timed.interval, row.speed.cell_ids)


def _largest_batches(study: Study, _: str) -> Iterable[Entry]:
    """The largest batch lies between the one that fitted and the next that was tried; a cap leaves the end open."""
    rows = {(row.key.model, row.key.resolution_px): row for row in study.rows}  # a search makes no row of its own
    for one in study.speed.largest:
        row = rows.get((one.key.model, one.key.resolution_px))
        if row is not None and one.largest > 0:
            bounds = Interval(one.largest, one.largest, (one.smallest_refused or math.inf) - 1, 1, "bounds")
            yield Entry(row, one.key, one.limit, bounds, (one.cell_id,))


_RATIOS: Mapping[str, tuple[Callable[[Study, str], Iterable[Entry]], tuple[float, float], Callable[..., Any]]] = {
    # what is measured -> its entries, where the claim has the ratio of ViT over CNN, and which CNN is the best
    "latency": (_timings, (1.0, math.inf), min),
    "images/s": (_timings, (0.0, 1.0), max),
    "largest batch": (_largest_batches, (1.0, math.inf), max),
}


def _equal_macs(study: Study, scope: Scope, within: float, of: str) -> list[Figure]:
    """Each ViT in the scope over the best CNN of equal multiply-adds under the same conditions.

    within: the factor up to which multiply-adds are equal. of: one of _RATIOS; the claim is on every ViT, see
    `bearing_of`.
    """
    entries_of, claimed, best = _RATIOS[of]
    entries = [one for one in entries_of(study, of) if scope.holds(one.key, one.row.macs)]
    inside = [(one, one.number) for one in entries if one.number is not None]
    found = []
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
            label = f"{vit.row.label} over {cnn.row.label}, {vit.key.resolution_px} px, {vit.key.device}, {of}"
            ends = ours.low / theirs.high, ours.high / theirs.low  # both numbers lie in their ranges
            bearing, ids = bearing_of(ends, ends, *claimed), (*vit.ids, *cnn.ids)
            found.append(Figure(label, ours.estimate / theirs.estimate, *ends, "times", bearing, record_ids=ids))
    return found


MEASURED_RULES: Mapping[str, Callable[..., list[Figure]]] = {
    "attention": _counted_attention,
    "equal_macs": _equal_macs,
    "front": measured_front,
}
