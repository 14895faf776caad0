"""Figures of public checkpoints; None where there is nothing to plot."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby

from bench.analyse.public.fronts import Gap, family_fronts, front, front_gaps
from bench.analyse.public.mac_times import HERE, img_per_s
from bench.analyse.public.robustness import FURTHER_TEST_SETS, Robustness
from bench.analyse.public.rows import COSTS, CostAxis, PublicRow
from bench.analyse.public.study import PublicStudy
from bench.catalog.identity import PublicFamily
from bench.catalog.public_results import PUBLISHED_DEVICES, TEST_SETS
from bench.catalog.strata import Stratum
from bench.number_format import counted, fixed
from bench.report.figures.panels import TOP1, FigureSpec, Line, Panel, Point, first_panels, front_corners
from bench.report.public.picks import COMPARED, LEAST_PCT, rows_of, stratum_title, thinned

_LABELS = 3  # of a panel's front, between its ends
_COMPARED_WITH_CNNS: tuple[PublicFamily, ...] = ("vit", "hierarchical", "hybrid")
Gaps = Mapping[tuple[Stratum, str], Mapping[PublicFamily, Sequence[Gap]]]  # by stratum and cost, then by family
_ONE_TRAINING = "Published accuracies, one training each: recipes differ."
_OF_FAMILIES = "Lines: the front of each family, over rows trained by labels alone"


def accuracy_vs_macs(study: PublicStudy) -> FigureSpec | None:
    """Top-1 of every row against multiply-adds, one panel a stratum."""
    panels = _against(study, COSTS["macs"], lambda row: not row.training.by_labels_alone)
    caption = (
        "**Top-1 on ImageNet (published) against multiply-adds of one image (counted here)**, one panel a stratum of "
        "pretraining data. Solid: trained by labels alone; pale: distilled or first trained without labels. "
        f"{_OF_FAMILIES}. {_ONE_TRAINING}{_left_out(study)}"
    )
    alternative = "Top-1 against MACs of all public checkpoints, one panel for each stratum of pretraining data"
    return FigureSpec("accuracy_vs_macs", alternative, caption, panels) if panels else None


def accuracy_vs_latency(study: PublicStudy) -> FigureSpec | None:
    """Top-1 of every row against its latency here, measured or estimated."""
    cost = COSTS["latency"]
    panels = _against(study, cost, cost.is_estimated)
    timed = {row.result.place for row in study.rows if cost.value(row) and not cost.is_estimated(row)}
    caption = (
        "**Top-1 on ImageNet (published) against latency at batch 1 on this machine.** Solid: measured "
        f"({counted(len(timed), 'architecture and size', 'architectures and sizes')}); pale: *estimated* from those. "
        f"{_OF_FAMILIES}, estimates among them. {_ONE_TRAINING}{_left_out(study)}"
    )
    alternative = "Top-1 against latency on this machine, one panel for each stratum of pretraining data"
    return FigureSpec("accuracy_vs_latency", alternative, caption, panels) if panels else None


def _against(study: PublicStudy, cost: CostAxis, is_light: Callable[[PublicRow], bool]) -> tuple[Panel, ...]:
    return first_panels(_stratum_panel(study, stratum, cost, is_light) for stratum in COMPARED)


def _stratum_panel(
    study: PublicStudy, stratum: Stratum, cost: CostAxis, is_light: Callable[[PublicRow], bool]
) -> Panel | None:
    drawn = [row for row in rows_of(study, stratum, by_labels_alone=False) if cost.value(row)]
    if not drawn:
        return None
    compared = rows_of(study, stratum)
    named = {id(row) for row in thinned(front(compared, cost), cost, _LABELS + 2)[1:-1]}
    points = [
        Point(
            cost.value(row) or 0.0,
            row.top1_pct,
            row.family,
            _short(row) if id(row) in named else "",
            is_light=is_light(row),
        )
        for row in drawn
    ]
    lines = [_front_line(family, own, cost) for family, own in family_fronts(compared, cost).items()]
    title = f"{stratum_title(stratum)} ({counted(len(drawn), 'row')})"
    x_label = f"{cost.title} [{cost.unit}], log"
    return Panel(title, x_label, TOP1, tuple(points), tuple(lines))


def _short(row: PublicRow) -> str:
    """Architecture and size, once."""
    name, size = row.result.place
    return name if name.endswith(f"_{size}") else f"{name} @{size}"


def _front_line(family: PublicFamily, rows: Sequence[PublicRow], cost: CostAxis) -> Line:
    """The front of a family as steps."""
    on_front = [Point(cost.value(row) or 0.0, row.top1_pct, family, "") for row in rows]
    corners = front_corners(on_front, "high x" if cost.more_is_better else "low x")
    return Line(tuple(Point(x, y, family, "") for x, y in corners), family, "", is_bare=True)


def _left_out(study: PublicStudy) -> str:
    below = sum(row.top1_pct < LEAST_PCT for row in study.rows)
    unknown = sum(row.training.stratum == "unknown" for row in study.rows)
    return (
        f" Not drawn: {counted(below, 'row')} below {fixed(LEAST_PCT, 0)} %, {counted(unknown, 'row')} of unknown "
        "training data."
    )


def gap_figure(gaps: Gaps) -> FigureSpec | None:
    """How far each family's front is from the CNNs' along each cost."""
    panels = first_panels(
        _gap_panel(stratum, COSTS[name], of_families) for (stratum, name), of_families in gaps.items()
    )
    caption = (
        "**The front of each family less that of the CNNs**, in points of top-1 within the same cost, rows from "
        f"{fixed(LEAST_PCT, 0)} % up trained by labels alone. Band: 95 % for each cost by itself, of ViTs, "
        "from the sampling of 50,000 test images and the error of estimated times. Above zero: ahead of the CNNs; "
        f"not drawn beyond {fixed(_LARGEST_GAP_PP, 0)} points. {_ONE_TRAINING}"
    )
    alternative = "Difference in top-1 between the fronts of families and of CNNs along MACs and latency"
    return FigureSpec("front_gaps", alternative, caption, panels) if panels else None


def gaps_along(study: PublicStudy, costs: Sequence[CostAxis]) -> Gaps:
    """Gaps of every family to the CNNs by stratum and cost, over rows from LEAST_PCT up; those without a common range
    of costs left out."""
    found: dict[tuple[Stratum, str], dict[PublicFamily, list[Gap]]] = {}
    for stratum in COMPARED:
        rows = rows_of(study, stratum)
        for cost in costs:
            own = {family: front_gaps(rows, cost, family, "cnn") for family in _COMPARED_WITH_CNNS}
            if any(own.values()):
                found[stratum, cost.name] = {family: gaps for family, gaps in own.items() if gaps}
    return found


_LARGEST_GAP_PP = 8.0  # beyond, a panel is cut: tiny ViTs are tens of points behind


def _gap_panel(stratum: Stratum, cost: CostAxis, of_families: Mapping[PublicFamily, Sequence[Gap]]) -> Panel | None:
    lines = []
    for family, gaps in of_families.items():
        for is_near, run in groupby(gaps, lambda gap: abs(gap.gap_pp) <= _LARGEST_GAP_PP):
            points = tuple(
                Point(gap.at, gap.gap_pp, family, "", _band(gap) if family == "vit" else None) for gap in run
            )
            if is_near:
                lines.append(Line(points, family, "", is_bare=True))
    x_label, y_label = f"{cost.title} [{cost.unit}], log", "Ahead of the CNN front [points of top-1]"
    return Panel(stratum_title(stratum), x_label, y_label, lines=tuple(lines), level=0.0) if lines else None


def _band(gap: Gap) -> tuple[float, float] | None:
    """The interval, as far as the panel goes; None where nothing is known of it."""
    if not (math.isfinite(gap.low_pp) and math.isfinite(gap.high_pp)):
        return None
    return max(gap.low_pp, -_LARGEST_GAP_PP), min(gap.high_pp, _LARGEST_GAP_PP)


def robustness_figure(rows: Sequence[PublicRow], found: dict[str, Robustness], title: str) -> FigureSpec | None:
    """Each further test set against ImageNet, with the CNNs' line. rows: of one stratum."""
    panels = first_panels(
        _robustness_panel(rows, test_set, found[test_set]) for test_set in FURTHER_TEST_SETS if test_set in found
    )
    caption = (
        f"**Effective robustness** ({title}, rows from {fixed(LEAST_PCT, 0)} % up trained by labels alone): how far "
        f"each row is above what the CNNs' curve says for its ImageNet accuracy. All values published. {_ONE_TRAINING}"
    )
    return (
        FigureSpec(
            "robustness", "Accuracy on further test sets beyond what ImageNet accuracy foretells", caption, panels
        )
        if panels
        else None
    )


def _robustness_panel(rows: Sequence[PublicRow], test_set: str, found: Robustness) -> Panel:
    above = [(row, found.residual_pp(row)) for row in rows]
    points = [Point(row.top1_pct, gap, row.family, "") for row, gap in above if gap is not None]
    title, _ = TEST_SETS[test_set]
    return Panel(title, "ImageNet top-1 [%]", "Above the CNNs' curve [points]", tuple(points), log_base=0, level=0.0)


def time_per_mac_figure(study: PublicStudy) -> FigureSpec | None:
    """Time per multiply-add against multiply-adds, a panel for each published device and one for this machine."""
    places = {row.result.place: row for row in study.rows if row.macs}
    panels = [
        _device_panel(places.values(), device, title) for device, title in (*PUBLISHED_DEVICES.items(), (HERE, "here"))
    ]
    caption = (
        "**Time per multiply-add**, of one image at a large batch, against multiply-adds: if MACs told time, each "
        "panel would be a level line. Published by timm for five devices; last panel, where it is there: measured "
        "here. Each architecture and size once."
    )
    alternative = "Time per multiply-add against MACs by family, one panel a device"
    drawn = first_panels(panels)
    return FigureSpec("time_per_mac", alternative, caption, drawn) if drawn else None


def _device_panel(rows: Iterable[PublicRow], device: str, title: str) -> Panel | None:
    points = []
    for row in rows:
        rate = img_per_s(row, device)
        if rate and row.macs:
            points.append(Point(row.macs / 1e9, 1e12 / rate / row.macs, row.family, ""))
    if not points:
        return None
    title = "This machine, measured" if device == HERE else f"{title} (published)"
    return Panel(title, "MACs of one image [G], log", "Time per MAC [ps], log", tuple(points), log_y=True)
