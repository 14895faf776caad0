"""Tables of a pretraining study: every point, pretraining-set sizes, sets one by one, models compared, gains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.analyse.accuracies.pretrained import Control, PretrainStudy, Transfer, TransferStudy, Way
from bench.analyse.accuracies.pretrained_points import PretrainedPoint
from bench.analyse.compare.differences import Difference
from bench.analyse.compare.pretraining_contrasts import Axis, Meeting, at_largest, corpus_meetings, gains, meetings
from bench.analyse.stats.intervals import accuracy_interval
from bench.catalog.identity import identify_dataset
from bench.catalog.image_tasks import in_order
from bench.number_format import digits, flop_scale, learning_rate, percent, significant, whole
from bench.report.tables.accuracy_cells import accuracy_cell, pairs_table
from bench.report.tables.columns import each, family_column, number, words
from bench.report.tables.table import Cell, ColumnSpec, Notes, Table, grouped, make_table
from bench.report.words.pretraining_words import corpus_words, exaflops, mean_words, way_words
from bench.text import escape

_NOT_TRANSFERRED = "not transferred this way, or without a result on some set for some seed (see below)"
_SetsRow = tuple[str, str, Transfer | Control]  # the model's title, and what its weights started from


def pretraining_table(study: PretrainStudy) -> Table | None:
    """One row per model and budget on the largest pretraining set."""
    points = [point for point in study.points if point.key.train_images == study.most_images]
    return _points_table("pretraining", study, points, study.ways)


def pretraining_sizes_table(study: PretrainStudy) -> Table | None:
    """One row per model and size of the pretraining set, at the budget where there are several sizes."""
    places = grouped(study.points, lambda p: (p.key.model, p.key.budget), lambda p: p.key.train_images)
    points = [p for p in study.points if len(places[p.key.model, p.key.budget]) > 1]
    images: ColumnSpec[PretrainedPoint] = number("Pretraining images", lambda point: point.key.train_images, whole)
    ways = [way for way in study.ways if study.along_images(way)]
    return _points_table("pretraining_images", study, points, ways, images)


def _points_table(
    name: str,
    study: PretrainStudy,
    points: Sequence[PretrainedPoint],
    ways: Sequence[Way],
    *leading: ColumnSpec[PretrainedPoint],
) -> Table | None:
    scale = flop_scale(point.flop for point in points)
    transfers = {(one.way, one.point.key): one for one in study.transfers}

    def warning(point: PretrainedPoint) -> str | None:
        return f"MACs not certified: {escape(point.macs_note)}" if point.macs_note else None

    def mean(point: PretrainedPoint, way: Way, notes: Notes) -> Cell:
        found = transfers.get((way, point.key))
        if found is None:
            return notes.missing(_NOT_TRANSFERRED)
        return accuracy_cell(found.mean, found.interval, (*found.point.cell_ids, *found.mean_ids), notes)

    columns: list[ColumnSpec[PretrainedPoint]] = [
        words("Model", lambda point: point.identity.title, lambda point: point.key.model),
        family_column(lambda point: point.identity.family),
        *leading,
        number(f"Compute of one run [{scale.unit}]", lambda point: point.flop,
               digits(3, scale.factor), note=warning),
        number("[exaFLOP]", lambda point: point.flop, exaflops),
        number("Images seen", lambda point: round(point.images_seen), whole),
        number("Pretraining set: validation top-1 [%]", lambda point: point.validation_pct, percent),
        *each(ways, lambda way: f"{_mean_heading(study)}, {way_words(way)} [%]", mean),
        number("Training img/s", lambda point: point.img_per_s, whole),
        number("Device-hours a run", lambda point: point.device_hours, digits(2)),
        number("Seeds", lambda point: len(point.seeds), str),
        number("Peak learning rate", lambda point: point.key.learning_rate, learning_rate),
    ]  # fmt: skip
    return make_table(name, points, columns)


def _mean_heading(study: TransferStudy) -> str:
    told = mean_words(study).removeprefix("the ")
    return told[:1].upper() + told[1:]


def transfer_table(study: PretrainStudy, way: Way) -> Table | None:
    """Each set one by one, at the largest budget of each model, and the controls under them."""
    largest = at_largest(study, way)
    if not largest:
        return None
    scale = flop_scale(one.point.flop for one in largest)
    rows = [
        (one.point.identity.title, f"pretrained, {significant(one.point.flop / scale.factor, 2)} {scale.unit}", one)
        for one in largest
    ]
    columns = each(_beside_the_mean(study), lambda name: f"{_set_heading(study, name)}: top-1 [%]", _top1)
    return _sets_table(f"transfer_{way.replace('-', '_')}", [*rows, *_control_rows(study, way)], columns, study)


def corpora_table(study: PretrainStudy, way: Way) -> Table | None:
    """Each set one by one after pretraining on each of several sets, as many images and as much compute; controls."""
    rows: list[_SetsRow] = [
        (one.point.identity.title, f"pretrained on {corpus_words(name)}", one)
        for name, own in study.by_corpus.items()
        for one in own.of(way)
    ]
    if not rows:
        return None
    widest = max(study.by_corpus.values(), key=lambda own: len(own.datasets))
    sets = in_order(name for own in study.by_corpus.values() for name in own.datasets)
    shown = [name for name in sets if (name,) != widest.averaged]
    columns = each(shown, lambda name: f"{identify_dataset(name).title}: top-1 [%]", _top1)
    return _sets_table(f"corpora_{way.replace('-', '_')}", [*rows, *_control_rows(widest, way)], columns, widest)


def _control_rows(study: TransferStudy, way: Way) -> list[_SetsRow]:
    return [
        (
            control.identity.title if control.identity else "logistic regression",
            "on pixels" if control.kind == "pixels" else control.title,
            control,
        )
        for control in study.controls
        if control.way in (way, "")
    ]


def _top1(row: _SetsRow, name: str, notes: Notes) -> Cell:
    group = row[2].groups.get(name)
    if group is None:
        is_source = isinstance(row[2], Transfer) and row[2].point.key.corpus == name
        return notes.missing("it is what was pretrained on" if is_source else "not tried there by all")
    return accuracy_cell(group, accuracy_interval(group), row[2].cell_ids[name], notes)


def _sets_table(
    name: str, rows: Sequence[_SetsRow], sets: Sequence[ColumnSpec[_SetsRow]], study: TransferStudy
) -> Table | None:
    def mean(row: _SetsRow, notes: Notes) -> Cell:
        return accuracy_cell(row[2].mean, row[2].interval, row[2].mean_ids, notes)

    columns: list[ColumnSpec[_SetsRow]] = [
        words("Model", lambda row: row[0]),
        words("Weights", lambda row: row[1]),
        *sets,
        ColumnSpec(f"{_mean_heading(study)}: top-1 [%]", mean),
    ]
    return make_table(name, rows, columns)


def _beside_the_mean(study: TransferStudy) -> list[str]:
    """The sets that have a column of their own: not one that is all of the mean."""
    return [name for name in study.datasets if (name,) != study.averaged]


def _set_heading(study: TransferStudy, name: str) -> str:
    return identify_dataset(name).title + (" (in domain)" if name not in study.averaged else "")


def meetings_table(study: PretrainStudy, axis: Axis) -> Table | None:
    """One row per pair of models and way, a column per place along the axis: differences of the mean over sets."""
    found = [(way, one) for way in study.ways for one in meetings(study, way, axis)]
    scale = flop_scale(one.first.point.flop for _, one in found)

    def place(one: Meeting) -> float:
        return one.budget if axis == "pretraining compute" else float(one.train_images)

    def heading(one: Meeting) -> str:
        if axis == "pretraining images":
            return f"{whole(one.train_images)} images [points]"
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
    name: str, found: Sequence[tuple[Way, Meeting]], column_of: Callable[[Meeting], object], headings: Mapping[Any, str]
) -> Table | None:
    titles = {key: title for _, one in found for key, title in zip(_pair(one), _titles(one), strict=True)}
    rows: dict[tuple[Way, str, str], dict[object, tuple[Difference, tuple[str, ...]]]] = {}
    for way, one in found:
        rows.setdefault((way, *_pair(one)), {})[column_of(one)] = one.difference, one.cell_ids
    leading: list[ColumnSpec[tuple[Way, str, str]]] = [
        words(
            "First minus second", lambda row: f"{titles[row[1]]} − {titles[row[2]]}", lambda row: f"{row[1]} {row[2]}"
        ),
        words("Transfer", lambda row: way_words(row[0])),
    ]
    return pairs_table(name, rows, leading, headings, "the two were not both run there")


def _titles(one: Meeting) -> tuple[str, str]:
    return one.first.point.identity.title, one.second.point.identity.title


def corpus_differences_table(study: PretrainStudy) -> Table | None:
    """One pretraining set minus another, a row per model and way: the mean over sets, then each set."""
    rows: dict[tuple[str, Way, str], dict[str, tuple[Difference, tuple[str, ...]]]] = {}
    titles: dict[str, str] = {}
    for way in study.ways:
        for one in corpus_meetings(study, way):
            titles[one.first.point.key.model] = one.first.point.identity.title
            pair = f"{corpus_words(one.first.point.key.corpus)} − {corpus_words(one.second.point.key.corpus)}"
            row = one.first.point.key.model, way, pair
            rows.setdefault(row, {})[one.dataset] = one.difference, one.cell_ids
    leading: list[ColumnSpec[tuple[str, Way, str]]] = [
        words("Model", lambda row: titles[row[0]]),
        words("Transfer", lambda row: way_words(row[1])),
        words("Pretrained on: first minus second", lambda row: row[2]),
    ]
    names = dict.fromkeys(name for found in rows.values() for name in found)
    some = next(iter(study.by_corpus.values()), study)
    headings = {name: f"{_mean_heading(some) if not name else _set_heading(some, name)} [points]" for name in names}
    return pairs_table("corpus_differences", rows, leading, headings, "not tried on both")


def pretraining_gains_table(study: PretrainStudy) -> Table | None:
    """After pretraining minus without it, in points: the mean over sets, then each set."""
    titles: dict[str, str] = {}
    rows: dict[tuple[str, Way, str], dict[str, tuple[Difference, tuple[str, ...]]]] = {}
    for way in study.ways:
        for gain in gains(study, way):
            key = gain.transfer.point.key.model, way, gain.control.title
            titles[key[0]] = gain.transfer.point.identity.title
            rows.setdefault(key, {})[gain.dataset] = gain.difference, gain.cell_ids
    leading: list[ColumnSpec[tuple[str, Way, str]]] = [
        words("Model", lambda row: titles[row[0]]),
        words("Transfer", lambda row: way_words(row[1])),
        words("Against", lambda row: row[2]),
    ]
    headings = {"": f"{_mean_heading(study)} [points]"}
    headings |= {name: f"{_set_heading(study, name)} [points]" for name in _beside_the_mean(study)}
    return pairs_table("pretraining_gains", rows, leading, headings, "")
