"""Tables of a pretraining study: every point, pretraining-set sizes, sets one by one, ratios with crossovers, gains."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analyse.identity import identify_dataset
from bench.analyse.pretrained import Control, PretrainedPoint, PretrainStudy, Transfer
from bench.analyse.pretraining_contrasts import (
    Axis,
    Gain,
    PretrainCrossing,
    compute_ratios,
    gains,
    pretrain_crossings,
    set_crossings,
)
from bench.analyse.transfers import Way
from bench.report.crossing_words import crossing_value, crossing_words
from bench.report.formats import (
    Scale,
    bracketed,
    ends,
    fixed,
    flop_scale,
    learning_rate,
    percent,
    plus_minus,
    signed,
    significant,
)
from bench.report.markdown import Cell, Column, Notes, Table, escape
from bench.report.pretraining_words import exaflops, ratio_words, way_words
from bench.report.style import family_style

_NOT_TRANSFERRED = "not transferred this way, or without a result on some set for some seed (see below)"


def pretraining_table(study: PretrainStudy) -> Table | None:
    """One row per model and budget on the largest pretraining set."""
    points = [point for point in study.points if point.key.train_images == study.most_images]
    return _points_table("pretraining", study, points, with_images=False)


def pretraining_sizes_table(study: PretrainStudy) -> Table | None:
    """One row per model and size of the pretraining set, at the budget where there are several sizes."""
    places: dict[tuple[str, float], set[int]] = {}
    for point in study.points:
        places.setdefault((point.key.model, point.key.budget), set()).add(point.key.train_images)
    points = [p for p in study.points if len(places[p.key.model, p.key.budget]) > 1]
    return _points_table("pretraining_images", study, points, with_images=True) if points else None


def _points_table(
    name: str, study: PretrainStudy, points: Sequence[PretrainedPoint], *, with_images: bool
) -> Table | None:
    if not points:
        return None
    notes = Notes()
    scale = flop_scale(point.flop for point in points)
    heads = [Column("Model", is_number=False), Column("Family", is_number=False)]
    heads += [Column("Pretraining images")] if with_images else []
    heads += [Column(f"Compute of one run [{scale.unit}]"), Column("[exaFLOP]"), Column("Images seen")]
    heads += [Column("Pretraining set: validation top-1 [%]")]
    ways = [way for way in study.ways if study.along_images(way) or not with_images]
    heads += [Column(f"Mean of {len(study.datasets)} sets, {way_words(way)} [%]") for way in ways]
    heads += [Column("Training img/s"), Column("Device-hours a run"), Column("Seeds"), Column("Peak learning rate")]
    transfers = {(one.way, one.point.key): one for one in study.transfers}
    rows = []
    for point in points:
        doubt = notes.number(f"MACs not certified: {escape(point.macs_note)}") if point.macs_note else None
        row = [Cell(point.identity.title, point.key.model), Cell(family_style(point.identity.family).name)]
        row += [_whole(point.key.train_images, point)] if with_images else []
        row += [
            Cell(significant(point.flop / scale.factor, 3), point.flop, point.cell_ids, mark=doubt),
            Cell(exaflops(point.flop), point.flop, point.cell_ids),
            _whole(round(point.images_seen), point),
            Cell(percent(point.validation_pct), point.validation_pct, point.cell_ids),
        ]
        row += [_mean_cell(transfers.get((way, point.key)), notes) for way in ways]
        row += [
            Cell(fixed(point.img_per_s, 0), point.img_per_s, point.cell_ids),
            Cell(significant(point.device_hours, 2), point.device_hours, point.cell_ids),
            Cell(str(len(point.seeds)), len(point.seeds), point.cell_ids),
            Cell(learning_rate(point.key.learning_rate), point.key.learning_rate, point.cell_ids),
        ]
        rows.append(tuple(row))
    return Table(name, tuple(heads), tuple(rows), tuple(notes.texts))


def _whole(number: int, point: PretrainedPoint) -> Cell:
    return Cell(fixed(number, 0), number, point.cell_ids)


def _mean_cell(transfer: Transfer | None, notes: Notes) -> Cell:
    if transfer is None:
        return notes.missing(_NOT_TRANSFERRED)
    mean = transfer.interval
    return Cell(plus_minus(mean, 1), mean.estimate, (*transfer.point.cell_ids, *transfer.all_ids), more=ends(mean))


def transfer_table(study: PretrainStudy, way: Way) -> Table | None:
    """Each set one by one, at the largest budget of each model, and the controls under them."""
    largest: dict[str, Transfer] = {}
    for one in study.along_compute(way):
        other = largest.get(one.point.key.model)
        largest[one.point.key.model] = one if other is None or one.point.flop > other.point.flop else other
    if not largest:
        return None
    heads = [Column("Model", is_number=False), Column("Weights", is_number=False)]
    heads += [Column(f"{identify_dataset(name).title}: top-1 [%]") for name in study.datasets]
    heads += [Column("Mean: top-1 [%]")]
    notes = Notes()
    scale = flop_scale(one.point.flop for one in largest.values())
    rows = []
    for one in largest.values():
        start = f"pretrained, {significant(one.point.flop / scale.factor, 2)} {scale.unit}"
        rows.append(_sets_row(one.point.identity.title, start, one, study, notes))
    for control in study.controls:
        if control.way in (way, ""):
            title = control.identity.title if control.identity else "logistic regression"
            rows.append(
                _sets_row(title, "on pixels" if control.kind == "pixels" else control.kind, control, study, notes)
            )
    return Table(f"transfer_{way.replace('-', '_')}", tuple(heads), tuple(rows), tuple(notes.texts))


def _sets_row(
    title: str, start: str, found: Transfer | Control, study: PretrainStudy, notes: Notes
) -> tuple[Cell, ...]:
    row = [Cell(title), Cell(start)]
    for name in study.datasets:
        group = found.groups[name]
        spread = group.spread
        mark = notes.number("one seed: no interval over seeds") if spread is None else None
        row.append(Cell(percent(group.mean_pct), group.mean_pct, found.cell_ids[name], mark=mark))
    mean = found.interval
    row.append(Cell(plus_minus(mean, 1), mean.estimate, found.all_ids, more=ends(mean)))
    return tuple(row)


def catching_up_table(study: PretrainStudy) -> Table | None:
    """One row per pair of models and way: compute at equal accuracy, and where the first passes the second."""
    heads = (
        Column("First against second", is_number=False),
        Column("Transfer", is_number=False),
        Column("Weaker at its largest budget", is_number=False),
        Column("Its accuracy [%]"),
        Column("Times the compute of the other for it", is_number=False),
        Column("First minus second, smallest budget [points]"),
        Column("Largest budget [points]"),
        Column("First passes second: pretraining compute", is_number=False),
        Column("First passes second: pretraining images", is_number=False),
    )
    notes = Notes()
    rows = []
    for way in study.ways:
        crossings = {
            (c.first.point.key.model, c.second.point.key.model, c.axis): c for c in pretrain_crossings(study, way)
        }
        ratios = {
            frozenset((r.slower.point.key.model, r.faster.point.key.model)): r for r in compute_ratios(study, way)
        }
        pairs = dict.fromkeys((first, second) for first, second, _ in crossings)
        for first, second in pairs:
            ratio = ratios.get(frozenset((first, second)))
            any_axis = next(c for (a, b, _), c in crossings.items() if (a, b) == (first, second))
            titles = any_axis.first.point.identity.title, any_axis.second.point.identity.title
            row = [Cell(f"{titles[0]} and {titles[1]}"), Cell(way_words(way))]
            if ratio is None:
                row += [notes.missing("fewer than two budgets in common")] * 3
            else:
                row += [
                    Cell(ratio.slower.point.identity.title),
                    Cell(percent(ratio.accuracy_pct), ratio.accuracy_pct, ratio.slower.all_ids),
                    Cell(ratio_words(ratio), ratio.estimate, ratio.cell_ids, more=_ratio_ends(ratio.low, ratio.high)),
                ]
            along = crossings.get((first, second, "pretraining compute"))
            row += [_gap_cell(along, place, notes) for place in (0, -1)]
            axes: tuple[Axis, ...] = ("pretraining compute", "pretraining images")
            for axis in axes:
                found = crossings.get((first, second, axis))
                if found is None:
                    row.append(notes.missing("fewer than two places in common"))
                    continue
                scale = Scale(1.0, "")
                if axis == "pretraining compute":
                    scale = flop_scale([found.crossing.low_x, found.crossing.high_x])
                words = f"{crossing_words(found.crossing, scale)} {scale.unit}".strip()
                row.append(Cell(words, crossing_value(found.crossing), found.crossing.cell_ids))
            rows.append(tuple(row))
    return Table("catching_up", heads, tuple(rows), tuple(notes.texts)) if rows else None


def _gap_cell(along: PretrainCrossing | None, place: int, notes: Notes) -> Cell:
    """The difference at one end of the budgets in common, with its interval."""
    if along is None:
        return notes.missing("fewer than two budgets in common")
    _, delta, interval = along.crossing.differences[place]
    text = signed(delta, 1) if interval is None else f"{signed(delta, 1)} {bracketed(interval)}"
    return Cell(text, delta, along.crossing.cell_ids, more=ends(interval))


def set_crossings_table(study: PretrainStudy, way: Way) -> Table | None:
    """One row per pair of models, one column per set: where the first passes the second along pretraining compute."""
    found = set_crossings(study, way)
    if not found:
        return None
    names = [name for name in study.datasets if any(one.dataset == name for one in found)]
    heads = [Column("First passes second", is_number=False)]
    heads += [Column(identify_dataset(name).title, is_number=False) for name in names]
    rows: dict[tuple[str, str], list[Cell]] = {}
    for one in found:
        titles = one.first.point.identity.title, one.second.point.identity.title
        row = rows.setdefault(titles, [Cell(f"{titles[0]} passes {titles[1]}")])
        scale = flop_scale([one.crossing.low_x, one.crossing.high_x])
        words = f"{crossing_words(one.crossing, scale)} {scale.unit}"
        row.append(Cell(words, crossing_value(one.crossing), one.crossing.cell_ids))
    return Table("catching_up_by_set", tuple(heads), tuple(tuple(row) for row in rows.values()))


def _ratio_ends(low: float | None, high: float | None) -> tuple[tuple[str, float], ...]:
    return tuple((name, end) for name, end in (("low", low), ("high", high)) if end is not None)


def pretraining_gains_table(study: PretrainStudy) -> Table | None:
    """After pretraining minus without it, in points: the mean over sets, then each set."""
    found = [gain for way in study.ways for gain in gains(study, way)]
    if not found:
        return None
    heads = [Column("Model", is_number=False), Column("Transfer", is_number=False), Column("Against", is_number=False)]
    heads += [Column("Mean [points]")]
    heads += [Column(f"{identify_dataset(name).title} [points]") for name in study.datasets]
    notes = Notes()
    rows = []
    by_row: dict[tuple[str, str], dict[str, Gain]] = {}
    for gain in found:
        by_row.setdefault((gain.way, gain.transfer.point.key.model), {})[gain.dataset] = gain
    for (way, _), own in by_row.items():
        first = own[""]
        row = [Cell(first.transfer.point.identity.title), Cell(way_words(way)), Cell(first.control.kind)]
        row += [_gain_cell(own[name], notes) for name in ("", *study.datasets)]
        rows.append(tuple(row))
    return Table("pretraining_gains", tuple(heads), tuple(rows), tuple(notes.texts))


def _gain_cell(gain: Gain, notes: Notes) -> Cell:
    """Bold where the interval leaves zero out."""
    ids = gain.transfer.all_ids + gain.control.all_ids
    if gain.dataset:
        ids = gain.transfer.cell_ids[gain.dataset] + gain.control.cell_ids[gain.dataset]
    if gain.interval is None:
        return Cell(signed(gain.delta_pp, 1), gain.delta_pp, ids, mark=notes.number("one seed: no interval"))
    text = f"{signed(gain.delta_pp, 1)} {bracketed(gain.interval)}"
    return Cell(text, gain.delta_pp, ids, is_bold=gain.verdict != "not decided", more=ends(gain.interval))
