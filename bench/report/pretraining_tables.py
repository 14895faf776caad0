"""Tables of a pretraining study: every point, pretraining-set sizes, sets one by one, models compared, gains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.analyse.intervals import accuracy_interval
from bench.analyse.pretrained import Control, PretrainedPoint, PretrainStudy, Transfer, Way
from bench.analyse.pretraining_contrasts import Axis, Gain, Meeting, at_largest, gains, meetings
from bench.catalog.identity import identify_dataset
from bench.markdown_text import escape
from bench.report.accuracy_cells import accuracy_cell, difference_cell
from bench.report.formats import fixed, flop_scale, learning_rate, percent, significant
from bench.report.pretraining_words import exaflops, mean_words, way_words
from bench.report.style import family_style
from bench.report.table import Cell, Column, Notes, Table

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
    heads += [Column(f"{_mean_heading(study)}, {way_words(way)} [%]") for way in ways]
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
    return accuracy_cell(transfer.mean, transfer.interval, (*transfer.point.cell_ids, *transfer.mean_ids), notes)


def _mean_heading(study: PretrainStudy) -> str:
    words = mean_words(study)
    return words[:1].upper() + words[1:]


def transfer_table(study: PretrainStudy, way: Way) -> Table | None:
    """Each set one by one, at the largest budget of each model, and the controls under them."""
    largest = at_largest(study, way)
    if not largest:
        return None
    heads = [Column("Model", is_number=False), Column("Weights", is_number=False)]
    heads += [Column(f"{_set_heading(study, name)}: top-1 [%]") for name in study.datasets]
    heads += [Column(f"{_mean_heading(study)}: top-1 [%]")]
    notes = Notes()
    scale = flop_scale(one.point.flop for one in largest)
    rows = []
    for one in largest:
        start = f"pretrained, {significant(one.point.flop / scale.factor, 2)} {scale.unit}"
        rows.append(_sets_row(one.point.identity.title, start, one, study, notes))
    for control in study.controls:
        if control.way in (way, ""):
            title = control.identity.title if control.identity else "logistic regression"
            rows.append(
                _sets_row(title, "on pixels" if control.kind == "pixels" else control.title, control, study, notes)
            )
    return Table(f"transfer_{way.replace('-', '_')}", tuple(heads), tuple(rows), tuple(notes.texts))


def _sets_row(
    title: str, start: str, found: Transfer | Control, study: PretrainStudy, notes: Notes
) -> tuple[Cell, ...]:
    row = [Cell(title), Cell(start)]
    for name in study.datasets:
        group = found.groups[name]
        row.append(accuracy_cell(group, accuracy_interval(group), found.cell_ids[name], notes))
    row.append(accuracy_cell(found.mean, found.interval, found.mean_ids, notes))
    return tuple(row)


def _set_heading(study: PretrainStudy, name: str) -> str:
    return identify_dataset(name).title + (" (in domain)" if name not in study.averaged else "")


def meetings_table(study: PretrainStudy, axis: Axis) -> Table | None:
    """One row per pair of models and way, a column per place along the axis: differences of the mean over sets."""
    found = [(way, one) for way in study.ways for one in meetings(study, way, axis)]
    scale = flop_scale(one.first.point.flop for _, one in found)

    def place(one: Meeting) -> float:
        return one.budget if axis == "pretraining compute" else float(one.train_images)

    def heading(one: Meeting) -> str:
        if axis == "pretraining images":
            return f"{fixed(one.train_images, 0)} images [points]"
        return f"{significant(one.first.point.flop / scale.factor, 2)} {scale.unit} [points]"

    columns = {place(one): heading(one) for _, one in sorted(found, key=lambda pair: place(pair[1]))}
    return _meetings(f"{axis.replace(' ', '_')}_differences", found, place, columns)


def set_meetings_table(study: PretrainStudy) -> Table | None:
    """One row per pair of models, a column per set: differences at the largest pretraining both have, one way."""
    if not study.ways:
        return None
    way = study.ways[0]
    found = meetings(study, way, "pretraining compute", study.datasets)
    most: dict[tuple[str, str], float] = {}
    for one in found:
        most[_pair(one)] = max(most.get(_pair(one), 0.0), one.budget)
    largest = [(way, one) for one in found if one.budget == most[_pair(one)]]
    columns = {name: f"{_set_heading(study, name)} [points]" for name in study.datasets}
    return _meetings("set_differences", largest, lambda one: one.dataset, columns)


def _pair(one: Meeting) -> tuple[str, str]:
    return one.first.point.key.model, one.second.point.key.model


def _meetings(
    name: str, found: Sequence[tuple[Way, Meeting]], column_of: Callable[[Meeting], object], columns: Mapping[Any, str]
) -> Table | None:
    if not found:
        return None
    notes = Notes()
    rows: dict[tuple[Way, str, str], dict[object, Meeting]] = {}
    for way, one in found:
        rows.setdefault((way, *_pair(one)), {})[column_of(one)] = one
    heads = [Column("First minus second", is_number=False), Column("Transfer", is_number=False)]
    heads += [Column(title) for title in columns.values()]
    cells = []
    for (way, *models), own in rows.items():
        first = next(iter(own.values()))
        titles = first.first.point.identity.title, first.second.point.identity.title
        row = [Cell(" − ".join(titles), " ".join(models)), Cell(way_words(way))]
        for column in columns:
            met = own.get(column)
            if met is None:
                row.append(notes.missing("the two were not both run there"))
            else:
                row.append(difference_cell(met.difference, met.cell_ids, notes))
        cells.append(tuple(row))
    return Table(name, tuple(heads), tuple(cells), tuple(notes.texts))


def pretraining_gains_table(study: PretrainStudy) -> Table | None:
    """After pretraining minus without it, in points: the mean over sets, then each set."""
    found = [gain for way in study.ways for gain in gains(study, way)]
    if not found:
        return None
    heads = [Column("Model", is_number=False), Column("Transfer", is_number=False), Column("Against", is_number=False)]
    heads += [Column(f"{_mean_heading(study)} [points]")]
    heads += [Column(f"{_set_heading(study, name)} [points]") for name in study.datasets]
    notes = Notes()
    rows = []
    by_row: dict[tuple[str, str, str], dict[str, Gain]] = {}
    for gain in found:
        place = gain.transfer.way, gain.transfer.point.key.model, gain.control.title
        by_row.setdefault(place, {})[gain.dataset] = gain
    for (way, _, kind), own in by_row.items():
        row = [Cell(own[""].transfer.point.identity.title), Cell(way_words(way)), Cell(kind)]
        row += [difference_cell(own[name].difference, own[name].cell_ids, notes) for name in ("", *study.datasets)]
        rows.append(tuple(row))
    return Table("pretraining_gains", tuple(heads), tuple(rows), tuple(notes.texts))
