"""Judge claims by published numbers: differences of printed accuracies, cost at equal accuracy, published speeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np

from bench.analyse.claim_verdicts import Bearing, Figure, JudgedClaim, Verdict, bearing_of, by_rule, verdict
from bench.analyse.claims_measured import are_equal, measured_figures
from bench.analyse.intervals import LEVEL
from bench.analyse.study import Study
from bench.catalog.claims import PAPER, Claim, claim_rows
from bench.catalog.papers import TimmRow, paper_scaling, paper_sota, timm_published
from bench.catalog.quoted import difference, quoted
from bench.catalog.tables import read_csv
from bench.shown import fixed, significant

TIMM = "https://github.com/huggingface/pytorch-image-models results/ at commit aa4b5850"
CLOSED_FORM = f"closed form with the sizes of {PAPER}, Table 1"
CORE_DAYS = "TPUv3 core-days"
PAPER_VITS = (("B", 32), ("B", 16), ("L", 32), ("L", 16), ("H", 14))  # size and patch: the models of Table 6
ROUNDS_TO = 0.5  # "about two times" is met by what rounds to 2 or more


def judge_claims(studies: Sequence[Study], claims: Mapping[str, Claim] | None = None) -> list[JudgedClaim]:
    """Every claim by published numbers and by the records of these suites, in the order of the catalog."""
    rows = (claim_rows() if claims is None else claims).values()
    return [JudgedClaim(one, judge_published(one), verdict(measured_figures(one, studies))) for one in rows]


def judge_published(claim: Claim) -> Verdict:
    """By the rule of its row. Raises UnknownNameError for a rule that is not here."""
    return verdict(by_rule(RULES, claim.published) if claim.published else [])


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


def front(points: Iterable[Point]) -> list[Point]:
    """The points that no cheaper or equally cheap one matches, in rising cost and accuracy."""
    kept: list[Point] = []
    for cost, gain_pct in sorted(points, key=lambda point: (point[0], -point[1])):
        if not kept or gain_pct > kept[-1][1]:
            kept.append((cost, gain_pct))
    return kept


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


def _throughput(within: float) -> list[Figure]:
    """timm's files: images per second of each ViT over the fastest CNN within so many times its MACs."""
    timed: dict[tuple[str, int], TimmRow] = {}  # tags of one architecture and resolution share their throughput
    for row in timm_published().values():
        if row.rtx5090_amp_img_per_s and "+ViT" not in row.system:
            timed.setdefault((row.name.partition(".")[0].rsplit("_", 1)[0], row.resolution_px), row)
    vits = [row for row in timed.values() if row.system.startswith("ViT-")]
    cnns = [row for row in timed.values() if row not in vits]
    found = []
    for vit in vits:
        equal = [row for row in cnns if are_equal(row.gmacs, vit.gmacs, within)]
        if equal:
            cnn = max(equal, key=lambda row: row.rtx5090_amp_img_per_s or 0.0)
            times = (vit.rtx5090_amp_img_per_s or 0.0) / (cnn.rtx5090_amp_img_per_s or math.nan)
            label = f"{vit.system} @{vit.resolution_px} over {cnn.system} @{cnn.resolution_px}, images/s"
            found.append(Figure(label, times, None, None, "times", "for" if times < 1 else "against", TIMM))
    return found


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


def _attention_growth(exponent: float, low_px: int = 224, high_px: int = 512) -> list[Figure]:
    """The power of the number of tokens with which attention's multiply-adds, and all of them, grow."""
    found = []
    for column, what in enumerate(("attention", "all MACs"), 1):
        powers = []
        for vit in PAPER_VITS:
            low, high = plain_vit(*vit, low_px), plain_vit(*vit, high_px)
            powers.append(math.log(high[column] / low[column]) / math.log(high[0] / low[0]))
        bearing: Bearing = "for" if max(abs(power - exponent) for power in powers) < 0.01 else "against"
        label = f"exponent of {what}, {len(powers)} ViTs, {low_px} to {high_px} px"
        told: Bearing = bearing if what == "attention" else "beside"
        found.append(Figure(label, None, min(powers), max(powers), "", told, CLOSED_FORM))
    return found


def _attention_share(below_pct: float, resolution_px: Sequence[int]) -> list[Figure]:
    """Attention's share of all multiply-adds at the largest resolution, where it is largest."""
    counts = [plain_vit(*vit, resolution_px[1]) for vit in PAPER_VITS]
    shares = [100 * attention / macs for _, attention, macs in counts]
    bearing: Bearing = "for" if max(shares) < below_pct else "against"
    label = f"share of attention, {len(shares)} ViTs at {resolution_px[1]} px"
    return [Figure(label, None, min(shares), max(shares), "%", bearing, CLOSED_FORM)]


RULES: dict[str, Callable[..., list[Figure]]] = {
    "gaps": _gaps,
    "compute": _compute,
    "throughput": _throughput,
    "ratios": _ratios,
    "attention_growth": _attention_growth,
    "attention_share": _attention_share,
}
