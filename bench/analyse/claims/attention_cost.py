"""Attention's two products: how they grow with the number of tokens, and their share of a ViT's multiply-adds."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.analyse.claims.combine import Seen, conclude, word_of
from bench.analyse.claims.measurements import Measurements
from bench.analyse.claims.scope import Conditions
from bench.analyse.claims.verdicts import Bearing, Evidence, Verdict
from bench.analyse.claims.words import figure_words, named, tally
from bench.analyse.study import Row
from bench.catalog.claims import Claim
from bench.catalog.models import find_model
from bench.catalog.papers import read_table
from bench.shown import counted, fixed

CLOSED_FORM = (
    "computed: n D 3 P² + L (4 N D² + 2 N D M + 2 N² D) + D C multiply-adds, n = (R / P)², N = n + 1; sizes from "
    "arXiv 2010.11929v2, Table 1"
)
CLASSES = 1000
SHOWN_PX = (224, 384, 512, 1024, 2048)
_EXACT = 0.01  # an exponent this near to 2 is 2: a count is exact, but for models whose attention has other parts
_NAME = re.compile(r"vit_[a-z]+_patch(?P<patch>\d+)_\d+(\..+)?")


@dataclass(frozen=True)
class PlainVit:
    """The sizes that a plain ViT's multiply-adds follow from."""

    title: str
    patch_px: int
    layers: int
    width: int
    mlp_width: int

    def tokens(self, resolution_px: int) -> int:
        """Patches and the class token."""
        return (resolution_px // self.patch_px) ** 2 + 1

    def attention_macs(self, resolution_px: int) -> int:
        """Multiply-adds of both products of all layers, one image."""
        return 2 * self.layers * self.tokens(resolution_px) ** 2 * self.width

    def macs(self, resolution_px: int) -> int:
        """Multiply-adds of the whole model, one image."""
        N, D, M = self.tokens(resolution_px), self.width, self.mlp_width
        embedding = (N - 1) * D * 3 * self.patch_px**2
        return (
            embedding + self.layers * (4 * N * D**2 + 2 * N * D * M) + self.attention_macs(resolution_px) + D * CLASSES
        )


def paper_vits() -> list[PlainVit]:
    """The models of Tables 1 and 6, patch in the name."""
    sizes = {row["variant"].removeprefix("ViT-")[0]: row for row in read_table("paper_models")}
    return [
        PlainVit(
            f"ViT-{size}/{patch}",
            patch,
            int(sizes[size]["layers"]),
            int(sizes[size]["hidden_d"]),
            int(sizes[size]["mlp"]),
        )
        for size, patch in (("B", 32), ("B", 16), ("L", 32), ("L", 16), ("H", 14))
    ]


def judge_attention_grows(claim: Claim) -> Verdict:
    """By closed form: the power of the number of tokens with which attention's multiply-adds, and all, grow.

    Parameters: exponent.
    """
    asked = float(claim.parameters["exponent"])
    rows: list[Evidence] = []
    context: list[Evidence] = []
    for vit in paper_vits():
        low, high = SHOWN_PX[0], SHOWN_PX[2]
        for what, macs, into in (("attention", vit.attention_macs, rows), ("all", vit.macs, context)):
            power = _exponent((vit.tokens(low), macs(low)), (vit.tokens(high), macs(high)))
            bearing: Bearing = "context" if into is context else _near(power, asked)
            label = f"{vit.title}, {low} to {high} px, exponent of {what}"
            into.append(Evidence(label, power, "", None, None, bearing, "computed", CLOSED_FORM))
    reason = f"{tally(rows, 'model', 'models', 'by closed form')[:-1]}; of all multiply-adds: {named(context[:2])}."
    return Verdict(word_of([row.bearing for row in rows], "every"), reason, (*rows, *context))


def measure_attention_grows(claim: Claim, measurements: Measurements) -> Verdict:
    """Counts of one plain ViT at two resolutions or more: the same power, from counted multiply-adds."""
    asked = float(claim.parameters["exponent"])
    seen = []
    for study in measurements.studies:
        series: dict[tuple[object, ...], dict[int, Row]] = defaultdict(dict)
        for row in study.rows:
            patch = patch_px(row.key.model)
            if patch is not None and row.count is not None and row.count.attention_macs:
                series[_architecture(row, patch)].setdefault(row.key.resolution_px, row)
        for by_size in series.values():
            for small, large in pairwise(sorted(by_size)):
                seen.append(_grown(study.suite, by_size[small], by_size[large], asked))
    absent = "No suite read here counts one plain ViT at two resolutions."
    return conclude(claim, seen, "every", lambda rows: tally(rows, "pair of counts", "pairs of counts"), absent)


def patch_px(model: str) -> int | None:
    """Side of the patches that a plain ViT cuts the image into; None for any other model, or one that says none."""
    row = find_model(model)
    if row is not None and "stem_channels" in row.arguments:
        return None
    if row is not None and "patch_size" in row.arguments:
        return int(row.arguments["patch_size"])
    found = _NAME.fullmatch(model)
    return int(found["patch"]) if found else None


def _architecture(row: Row, patch: int) -> tuple[object, ...]:
    """What two counts of one architecture share: in timm's names all before the resolution."""
    found = _NAME.fullmatch(row.key.model)
    return (row.key.model.rsplit("_patch", 1)[0] if found else row.key.model), patch


def _grown(suite: str, small: Row, large: Row, asked: float) -> Seen:
    assert small.count is not None
    assert large.count is not None
    patch = patch_px(small.key.model)
    assert patch is not None
    points = [
        ((row.key.resolution_px // patch) ** 2 + 1, row.count.attention_macs)
        for row in (small, large)
        if row.count is not None and row.count.attention_macs
    ]
    power = _exponent(points[0], points[1])
    label = f"{small.label}, {small.key.resolution_px} to {large.key.resolution_px} px, exponent of attention"
    ids = (small.count.cell_id, large.count.cell_id)
    figure = Evidence(label, power, "", None, None, _near(power, asked), "measured", "", suite, ids)
    return Seen(figure, Conditions(resolution_px=large.key.resolution_px, macs=large.macs))


def _exponent(small: tuple[float, float], large: tuple[float, float]) -> float:
    """Power of x with which y grows between two points (x, y)."""
    return math.log(large[1] / small[1]) / math.log(large[0] / small[0])


def _near(power: float, asked: float) -> Bearing:
    return "for" if abs(power - asked) <= _EXACT else "against"


def judge_attention_share(claim: Claim) -> Verdict:
    """By closed form: attention's share of all multiply-adds at the resolutions of the claim, and beyond as context.

    Parameters: resolution_px (up to which), share (that it stays below).
    """
    limit, share = int(claim.parameters["resolution_px"]), float(claim.parameters["share"])
    rows = []
    for vit in paper_vits():
        for px in SHOWN_PX:
            own = vit.attention_macs(px) / vit.macs(px)
            bearing: Bearing = "context" if px > limit else "for" if own < share else "against"
            label = f"{vit.title} at {px} px"
            rows.append(Evidence(label, 100 * own, "%", None, None, bearing, "computed", CLOSED_FORM))
        there = _reaches(vit, share)
        label = f"{vit.title}, resolution at which the share reaches {fixed(100 * share, 0)} %"
        rows.append(Evidence(label, float(there), "px", None, None, "context", "computed", CLOSED_FORM))
    told = [row for row in rows if row.bearing != "context"]
    top = max(told, key=lambda row: row.value or 0.0)
    reaching = [row for row in rows if row.unit == "px"]
    first = min(reaching, key=lambda row: row.value or 0.0)
    reason = (
        f"Up to {limit} px the largest share of attention is {figure_words(top)} by closed form; the first to reach "
        f"{fixed(100 * share, 0)} % is {first.label.split(',')[0]} at {fixed(first.value or 0.0, 0)} px."
    )
    return Verdict(word_of([row.bearing for row in rows], "every"), reason, tuple(rows))


def _reaches(vit: PlainVit, share: float) -> int:
    """The first resolution, in whole patches, at which attention's share is at least this."""
    resolution = vit.patch_px
    while vit.attention_macs(resolution) < share * vit.macs(resolution):
        resolution += vit.patch_px
    return resolution


def measure_attention_share(claim: Claim, measurements: Measurements) -> Verdict:
    """The largest counted share of attention among the ViTs of each suite, at each resolution."""
    share = float(claim.parameters["share"])
    seen = []
    for study in measurements.studies:
        by_size: dict[int, list[tuple[float, Row]]] = defaultdict(list)
        for row in study.rows:
            if row.identity.family != "vit" or row.count is None or row.count.attention_macs is None:
                continue
            if row.count.macs:
                by_size[row.key.resolution_px].append((row.count.attention_macs / row.count.macs, row))
        for resolution in sorted(by_size):
            own, top = max(by_size[resolution], key=lambda one: (one[0], one[1].key))
            label = f"largest share among {counted(len(by_size[resolution]), 'ViT')} at {resolution} px ({top.label})"
            ids = tuple(row.count.cell_id for _, row in by_size[resolution] if row.count is not None)
            bearing: Bearing = "for" if own < share else "against"
            figure = Evidence(label, 100 * own, "%", None, None, bearing, "measured", "", study.suite, ids)
            seen.append(Seen(figure, Conditions(resolution_px=resolution, macs=top.macs)))
    absent = "No suite read here counts ViTs."
    return conclude(claim, seen, "every", _share_words, absent)


def _share_words(rows: Sequence[Evidence]) -> str:
    return tally(sorted(rows, key=lambda row: -(row.value or 0.0)), "count", "counts")
