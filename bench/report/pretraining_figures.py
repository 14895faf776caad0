"""Figures of a pretraining study: accuracy after transfer against pretraining compute, and against images."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analyse.pretrained import FINETUNED, Control, PretrainStudy, Transfer, Way
from bench.analyse.pretraining_contrasts import Axis, curves, place_of
from bench.catalog.identity import family_rank, identify_dataset
from bench.report.figure_parts import FigureSpec, accuracy_point, thinned, unstable_words
from bench.report.figures import paper_mean_panel
from bench.report.formats import Scale, flop_scale
from bench.report.panels import MOST_PANELS, Line, Panel, Point
from bench.report.pretraining_words import mean_words, way_words

_CONTROL_WORDS = "Dotted levels, in the colour of a model's family: {kind}; grey: logistic regression on pixels"
_SIZES = ("S", "M", "L")
_Y = "Mean top-1 after transfer [%]"


def pretraining_figures(study: PretrainStudy) -> list[FigureSpec]:
    """For each way: along compute, along images, and fine-tuned set by set."""
    found = []
    for way in study.ways:
        found += [figure for figure in (along_compute(study, way), along_images(study, way)) if figure is not None]
    by_set = set_by_set(study)
    return [*found, *([by_set] if by_set is not None else [])]


def along_compute(study: PretrainStudy, way: Way) -> FigureSpec | None:
    """Mean accuracy against pretraining compute, a panel for each size class; beside the paper's Figure 5."""
    lines = curves(study, way, "pretraining compute")
    if not lines:
        return None
    scale = flop_scale(one.point.flop for found in lines.values() for one in found)
    panels = [
        _panel(study, way, "pretraining compute", own, _title(way, size), scale)
        for size, own in _by_size(lines).items()
    ]
    if way == FINETUNED:
        panels.append(paper_mean_panel())
    kind = "the same recipe from random weights" if way == FINETUNED else "features of random weights"
    beside = " Last panel: the paper's Figure 5, published, of another regime: shapes compare, values do not."
    caption = (
        f"**Accuracy after transfer ({way_words(way)}) against pretraining compute.** Each point is a pretraining of "
        "its "
        f"own whose schedule ends at that budget. The {mean_words(study)}; bars: 95 % intervals over seeds and test "
        f"images{unstable_words(panels)}. {_CONTROL_WORDS.format(kind=kind)}.{beside if way == FINETUNED else ''}"
        f"{thinned(panels)}"
    )
    return FigureSpec(f"{_name(way)}_vs_pretraining", f"Mean top-1 {way_words(way)} against pretraining compute",
                      caption, tuple(panels[:MOST_PANELS]))  # fmt: skip


def along_images(study: PretrainStudy, way: Way) -> FigureSpec | None:
    """Mean accuracy against the size of the pretraining set, at equal compute."""
    lines = curves(study, way, "pretraining images")
    if not lines:
        return None
    panels = [
        _panel(study, way, "pretraining images", own, _title(way, size), Scale(1, ""))
        for size, own in _by_size(lines).items()
    ]
    kind = "the same recipe from random weights" if way == FINETUNED else "features of random weights"
    caption = (
        f"**Accuracy after transfer ({way_words(way)}) against the number of pretraining images**, at equal "
        "pretraining "
        "compute: fewer images are seen more often, and the weights of the best look at validation count (the shape of "
        f"the paper's Figure 4). Bars: 95 % intervals{unstable_words(panels)}. {_CONTROL_WORDS.format(kind=kind)}."
        f"{thinned(panels)}"
    )
    return FigureSpec(f"{_name(way)}_vs_pretraining_images",
                      f"Mean top-1 {way_words(way)} against pretraining images", caption,
                      tuple(panels[:MOST_PANELS]))  # fmt: skip


def set_by_set(study: PretrainStudy) -> FigureSpec | None:
    """Fine-tuned accuracy on each set against pretraining compute, of the smallest size class."""
    lines = curves(study, FINETUNED, "pretraining compute")
    if not lines or len(study.datasets) < 2:
        return None
    size, own = next(iter(_by_size(lines).items()))
    scale = flop_scale(one.point.flop for found in own.values() for one in found)
    panels = [
        Panel(
            identify_dataset(name).title,
            _axis_words("pretraining compute", scale),
            "Top-1 [%]",
            lines=(
                *(_line(found, "pretraining compute", scale, name) for found in own.values()),
                *_levels(study, FINETUNED, own, "pretraining compute", scale, name),
            ),
        )
        for name in study.datasets[:MOST_PANELS]
    ]
    caption = (
        f"**Fine-tuned accuracy set by set{_size_words(size)}**, against pretraining compute; estimates without bars"
        f"{unstable_words(panels)}. {_CONTROL_WORDS.format(kind='the same recipe from random weights')}."
        f"{thinned(panels)}"
    )
    return FigureSpec("transfer_by_set", "Fine-tuned top-1 on each set against pretraining compute", caption,
                      tuple(panels))  # fmt: skip


def _title(way: Way, size: str) -> str:
    words = way_words(way)
    return f"{words[:1].upper()}{words[1:]}{_size_words(size)}"


def _name(way: Way) -> str:
    return "finetuned" if way == FINETUNED else way.replace("-", "_")


def _size_words(size: str) -> str:
    return f", size {size}" if size else ""


def _by_size(lines: dict[str, list[Transfer]]) -> dict[str, dict[str, list[Transfer]]]:
    """Curves by the size class of their model, in the order of families inside."""
    found: dict[str, dict[str, list[Transfer]]] = {}
    order = sorted(lines, key=lambda model: (family_rank(lines[model][0].point.identity.family), model))
    for model in order:
        found.setdefault(lines[model][0].point.identity.size_class, {})[model] = lines[model]
    return {size: found[size] for size in sorted(found, key=lambda size: _SIZES.index(size) if size in _SIZES else -1)}


def _panel(
    study: PretrainStudy, way: Way, axis: Axis, own: dict[str, list[Transfer]], title: str, scale: Scale
) -> Panel:
    lines = [_line(found, axis, scale, "") for found in own.values()]
    lines += _levels(study, way, own, axis, scale, "")
    return Panel(
        title, _axis_words(axis, scale), _Y, lines=tuple(lines), log_base=2 if axis == "pretraining images" else 10
    )


def _axis_words(axis: Axis, scale: Scale) -> str:
    if axis == "pretraining images":
        return "Pretraining images, log"
    return f"Pretraining compute of one run [{scale.unit}], log"


def _line(transfers: Sequence[Transfer], axis: Axis, scale: Scale, dataset: str) -> Line:
    """A model's curve: of the mean with its intervals, or of one set."""
    identity = transfers[0].point.identity
    points = tuple(_point(one, place_of(one, axis) / scale.factor, dataset) for one in transfers)
    return Line(points, identity.family, identity.title)


def _point(one: Transfer, x: float, dataset: str) -> Point:
    family = one.point.identity.family
    if dataset:
        return accuracy_point(x, one.groups[dataset], None, family)
    return accuracy_point(x, one.mean, one.interval, family)


def _levels(
    study: PretrainStudy, way: Way, own: dict[str, list[Transfer]], axis: Axis, scale: Scale, dataset: str
) -> list[Line]:
    """The controls of the models in a panel, as levels across it; one of a budget of its own is in the table alone."""
    places = [place_of(one, axis) / scale.factor for found in own.values() for one in found]
    levels = []
    for control in study.controls:
        is_own = control.identity is not None and control.identity.name in own and control.way == way
        if control.budget_gflop is not None or not (is_own or control.kind == "pixels"):
            continue
        levels.append(_level(control, (min(places), max(places)), dataset))
    return levels


def _level(control: Control, ends: tuple[float, float], dataset: str) -> Line:
    height = control.groups[dataset].mean_pct if dataset else control.mean.mean_pct
    family = control.identity.family if control.identity else "other"
    label = "" if control.identity else "pixels"
    return Line(tuple(Point(x, height, family, "") for x in ends), family, label, label_at=0, is_control=True)
