"""The tables of measured numbers: main table, families compared, training sizes, speed, learning rates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from bench.analyse.differences import Difference
from bench.analyse.scores import FAMILY_PAIRS, Place, RunKey, Score
from bench.analyse.study import Row, Study
from bench.catalog.identity import DatasetIdentity, family_rank, identify_dataset
from bench.markdown_text import escape
from bench.report.accuracy_cells import accuracy_cell, difference_cell
from bench.report.formats import (
    Scale,
    bare_rate,
    counted,
    fixed,
    flop_scale,
    learning_rate,
    mac_scale,
    percent,
    significant,
    span,
)
from bench.report.speed_tables import Maker, speed_columns
from bench.report.style import family_style
from bench.report.table import Cell, Column, Notes, Table
from bench.report.wording import accuracy_conditions, speed_conditions
from bench.units import GIGA, MEGA


def main_table(study: Study) -> Table:
    """One row per model, families grouped, rising MACs within a family; columns only for what was measured."""
    notes = Notes()
    columns: list[tuple[Column, Maker]] = [
        (Column("Model", is_number=False), lambda row, _: Cell(_label_and_name(row), row.key.model)),
        (Column("Family", is_number=False), lambda row, _: Cell(family_style(row.identity.family).name)),
    ]
    columns += _count_columns(study)
    columns += [_accuracy_column(study, dataset) for dataset in study.datasets]
    if study.datasets:
        columns += _training_columns(study)
    columns += speed_columns(study)
    rows = tuple(tuple(make(row, notes) for _, make in columns) for row in study.rows)
    return Table("main", tuple(column for column, _ in columns), rows, tuple(notes.texts))


def _label_and_name(row: Row) -> str:
    """The label that figures carry, and the name that a suite would ask for."""
    return row.label if row.key.model in row.label else f"{row.label} ({row.key.model})"


def main_table_caption(study: Study) -> str:
    """What the main table's numbers are; Markdown."""
    words = ["Measured here. Sorted by family (ViT, hybrid, CNN), then MACs."]
    if study.datasets:
        seeds = span({len(score.seeds) for score in study.main})
        words.append(
            f"Top-1 on the test part, {_interval_words(seeds)}; bold: the best and those that "
            f"cannot be told from it (Welch's t, Holm over the models shown). Accuracies: {accuracy_conditions(study)}."
        )
        together = {int(n) for n in study.training["side_by_side"].dropna()}
        if any(n > 1 for n in together):
            words.append(
                f"Training img/s was taken while {span(together)} trainings ran side by side, one thread each."
            )
    if any(row.speed for row in study.rows):
        words.append(
            "Throughput: median over fresh processes, with their range where five or more ran; bold: its range "
            f"above all others. Timings: {speed_conditions(study)}."
        )
    return " ".join(words)


def _interval_words(seeds: str) -> str:
    if seeds == "1":
        return "one seed ± the longer arm of the 95 % interval over test images alone"
    return f"mean over {seeds} seeds ± the longer arm of the 95 % interval over seeds and test images"


def _count_columns(study: Study) -> list[tuple[Column, Maker]]:
    scale = mac_scale(row.macs or 0.0 for row in study.rows)

    def params(row: Row, notes: Notes) -> Cell:
        if row.params is None:
            return notes.missing("not counted")
        return Cell(significant_millions(row.params), row.params, _count_ids(row))

    def macs(row: Row, notes: Notes) -> Cell:
        if row.macs is None:
            return notes.missing("not counted")
        mark = None
        if row.macs_note and row.count is None:  # else the certificate's own column says it
            mark = notes.number(f"MACs not certified: {escape(row.macs_note)}")
        return Cell(fixed(row.macs / scale.factor, 2 if scale.unit == "M" else 1), row.macs, _count_ids(row), mark=mark)

    columns: list[tuple[Column, Maker]] = []
    if len({row.key.resolution_px for row in study.rows}) > 1:
        columns.append((Column("Res. [px]"), lambda row, _: Cell(str(row.key.resolution_px), row.key.resolution_px)))
    columns += [(Column("Params [M]"), params), (Column(f"MACs [{scale.unit}]"), macs)]
    if any(row.count for row in study.rows):
        columns.append((Column("Certificate", is_number=False), certificate_cell))
    return columns


def significant_millions(params: float) -> str:
    """Parameters in millions: one decimal, three below a million so that small models differ."""
    return fixed(params / MEGA, 1 if params >= MEGA else 3)


def certificate_cell(row: Row, notes: Notes) -> Cell:
    """Whether both counters agree; where not, the operator that differs is named at the foot."""
    if row.count is None:
        return notes.missing("not counted: MACs are what the training run was told")
    mark = None
    if row.count.certificate != "ok":
        mark = notes.number(escape(row.macs_note))
    return Cell(row.count.certificate, row.count.certificate, (row.count.cell_id,), mark=mark)


def _count_ids(row: Row) -> tuple[str, ...]:
    if row.count is not None:
        return (row.count.cell_id,)
    return next((score.cell_ids for score in row.scores.values()), ())


def _accuracy_column(study: Study, dataset: DatasetIdentity) -> tuple[Column, Maker]:
    usual = max((len(row.scores[dataset.name].seeds) for row in study.rows if dataset.name in row.scores), default=0)

    def cell(row: Row, notes: Notes) -> Cell:
        score = row.scores.get(dataset.name)
        if score is None:
            return notes.missing("not trained on this set at its full size and budget, or every run failed (see below)")
        mark = None
        if len(score.seeds) < usual:
            mark = notes.number(f"{counted(len(score.seeds), 'seed')} finished, not {usual}")
        is_best = row.key in study.best[dataset.name].members
        return accuracy_cell(score.group, score.interval, score.cell_ids, notes, is_bold=is_best, mark=mark)

    return Column(f"{dataset.title}: top-1 [%]"), cell


def _training_columns(study: Study) -> list[tuple[Column, Maker]]:
    scale = flop_scale(score.train_flop for score in study.main)

    def compute(row: Row, notes: Notes) -> Cell:
        if not row.scores:
            return notes.missing("not trained in this suite")
        values = [score.train_flop / scale.factor for score in row.scores.values()]
        more = (("low", min(values) * scale.factor), ("high", max(values) * scale.factor)) if len(values) > 1 else ()
        return Cell(span(values, 2), sum(values) / len(values) * scale.factor, _score_ids(row), more=more)

    def speed(row: Row, notes: Notes) -> Cell:
        rates = [score.train_img_per_s for score in row.scores.values() if score.train_img_per_s > 0]
        if not rates:
            return notes.missing("not trained in this suite")
        mean = sum(rates) / len(rates)
        return Cell(bare_rate(mean), mean, _score_ids(row))

    return [(Column(f"Training [{scale.unit}]"), compute), (Column("Training [img/s]"), speed)]


def _score_ids(row: Row) -> tuple[str, ...]:
    return tuple(cell_id for score in row.scores.values() for cell_id in score.cell_ids)


def differences_table(study: Study) -> Table | None:
    """One row per two models of one size and of different families, a column per data set, at full size and budget."""
    main = {(s.key, s.dataset): (s.train_images, s.budget_gflop) for s in study.main}
    found = {
        place: one
        for place, one in study.differences.items()
        if main.get((place.first, place.dataset)) == (place.train_images, place.budget_gflop)
    }
    names = [dataset.name for dataset in study.datasets if any(place.dataset == dataset.name for place in found)]
    columns = {name: f"{identify_dataset(name).title} [points]" for name in names}
    return _differences("differences", study, found, lambda place: place.dataset, columns)


def size_differences_table(study: Study) -> Table | None:
    """The same on one set, a column per number of training images; of pairs with several."""
    largest = {(s.key, s.dataset, s.train_images, s.budget_gflop) for s in study.scores if s.budget_rank == 0}
    found = _with_several(
        {
            place: one
            for place, one in study.differences.items()
            if (place.first, place.dataset, place.train_images, place.budget_gflop) in largest
        }
    )
    sizes = sorted({place.train_images for place in found})
    columns = {size: f"{fixed(size, 0)} images [points]" for size in sizes}
    return _differences("size_differences", study, found, lambda p: p.train_images, columns, by_set=True)


def budget_differences_table(study: Study) -> Table | None:
    """The same at the largest training set, a column per training budget; of pairs with several."""
    sizes = {score.dataset: score.train_images for score in study.main}
    found = _with_several({p: one for p, one in study.differences.items() if sizes.get(p.dataset) == p.train_images})
    scale = flop_scale(place.budget_gflop * GIGA for place in found)
    columns = {b: f"{_budget(b, scale)} [points]" for b in sorted({place.budget_gflop for place in found})}
    return _differences("budget_differences", study, found, lambda p: p.budget_gflop, columns, by_set=True)


def _with_several(found: Mapping[Place, Difference]) -> dict[Place, Difference]:
    """Of pairs that meet in several places on one data set."""
    places = Counter((place.first, place.second, place.dataset) for place in found)
    return {p: one for p, one in found.items() if places[p.first, p.second, p.dataset] > 1}


def _differences(
    name: str,
    study: Study,
    found: Mapping[Place, Difference],
    column_of: Callable[[Place], object],
    columns: Mapping[Any, str],
    *,
    by_set: bool = False,
) -> Table | None:
    """Differences by pair (and set) along the columns, each with the records of both models."""
    if not found:
        return None
    ids = {(s.key, s.dataset, s.train_images, s.budget_gflop): s.cell_ids for s in study.scores}
    rows: dict[tuple[RunKey, RunKey, str], dict[object, Place]] = {}
    for place in found:
        rows.setdefault((place.first, place.second, place.dataset if by_set else ""), {})[column_of(place)] = place
    notes = Notes()
    heads = [Column("First minus second", is_number=False)]
    heads += [Column("Data set", is_number=False)] if by_set else []
    heads += [Column(title) for title in columns.values()]
    order = {row.key: index for index, row in enumerate(study.rows)}
    cells = []
    for (first, second, dataset), by_column in sorted(rows.items(), key=lambda r: _pair_order(r[0], study, order)):
        row = [Cell(f"{study.labels[first]} − {study.labels[second]}", f"{first.model} {second.model}")]
        row += [Cell(identify_dataset(dataset).title, dataset)] if by_set else []
        for column in columns:
            if column not in by_column:
                row.append(notes.missing("the two were not trained alike there"))
                continue
            met = by_column[column]
            where = met.dataset, met.train_images, met.budget_gflop
            row.append(difference_cell(found[met], ids[(first, *where)] + ids[(second, *where)], notes))
        cells.append(tuple(row))
    return Table(name, tuple(heads), tuple(cells), tuple(notes.texts))


def _pair_order(pair: tuple[RunKey, RunKey, str], study: Study, order: Mapping[RunKey, int]) -> tuple[object, ...]:
    families = study.families[pair[0].model], study.families[pair[1].model]
    return FAMILY_PAIRS.index(families), order.get(pair[0], len(order)), order.get(pair[1], len(order)), pair[2]


def training_sizes_table(study: Study) -> Table | None:
    """Top-1 by number of training images, for the models and sets that have several."""
    curves: dict[tuple[str, str], dict[int, Score]] = {}
    for score in study.scores:
        if score.budget_rank == 0:
            curves.setdefault((score.dataset, study.labels[score.key]), {})[score.train_images] = score
    curves = {key: by_size for key, by_size in curves.items() if len(by_size) > 1}
    if not curves:
        return None
    sizes = sorted({size for by_size in curves.values() for size in by_size})
    heads = [Column("Model", is_number=False), Column("Data set", is_number=False)]
    heads += [Column(f"{fixed(size, 0)} images: top-1 [%]") for size in sizes]
    notes = Notes()
    order = {row.label: index for index, row in enumerate(study.rows)}
    rows = []
    for (dataset, label), by_size in sorted(curves.items(), key=lambda item: (item[0][0], order[item[0][1]])):
        row = [Cell(label), Cell(identify_dataset(dataset).title, dataset)]
        row += [_score_cell(by_size.get(size), "no run at this size", notes) for size in sizes]
        rows.append(tuple(row))
    return Table("training_sizes", tuple(heads), tuple(rows), tuple(notes.texts))


def budgets_table(study: Study) -> Table | None:
    """Top-1 by training budget, for models that were trained to several on the full set."""
    sizes = {score.dataset: score.train_images for score in study.main}
    found = [score for score in study.scores if sizes.get(score.dataset) == score.train_images]
    by_line: dict[tuple[str, str], list[Score]] = {}
    for score in found:
        by_line.setdefault((score.dataset, study.labels[score.key]), []).append(score)
    if all(len(scores) == 1 for scores in by_line.values()):
        return None
    budgets = sorted({score.budget_gflop for score in found})
    scale = flop_scale(budget * GIGA for budget in budgets)
    heads = [Column("Model", is_number=False), Column("Data set", is_number=False)]
    heads += [Column(f"{_budget(budget, scale)}: top-1 [%]") for budget in budgets]
    notes = Notes()
    order = {row.label: index for index, row in enumerate(study.rows)}
    rows = []
    for (dataset, label), scores in sorted(by_line.items(), key=lambda item: (item[0][0], order[item[0][1]])):
        by_budget = {score.budget_gflop: score for score in scores}
        cells = [_score_cell(by_budget.get(budget), "no run at this budget", notes) for budget in budgets]
        rows.append((Cell(label), Cell(identify_dataset(dataset).title, dataset), *cells))
    return Table("training_budgets", tuple(heads), tuple(rows), tuple(notes.texts))


def _budget(gflop: float, scale: Scale) -> str:
    return f"{significant(gflop * GIGA / scale.factor, 3)} {scale.unit}"


def _score_cell(score: Score | None, missing: str, notes: Notes) -> Cell:
    if score is None:
        return notes.missing(missing)
    return accuracy_cell(score.group, score.interval, score.cell_ids, notes)


def learning_rates_table(study: Study) -> Table | None:
    """Validation top-1 by learning rate, the chosen rate, and whether it sits at the edge of what was tried."""
    if not study.swept:
        return None
    rates = sorted({tried for swept in study.swept for tried in swept.tried})
    regimes = {(swept.dataset, swept.train_images) for swept in study.swept}
    heads = [Column("Model", is_number=False)]
    if len(regimes) > 1:
        heads += [Column("Data set", is_number=False), Column("Training images")]
    scale = flop_scale(swept.budget_gflop * GIGA for swept in study.swept)
    heads.append(Column(f"Training [{scale.unit}]"))
    heads += [Column(f"{learning_rate(tried)}: top-1 [%]") for tried in rates]
    heads += [Column("Trials"), Column("Chosen"), Column("Remark", is_number=False)]
    rows = []
    ordered = sorted(
        study.swept,
        key=lambda s: (family_rank(s.identity.family), s.identity.title, s.dataset, s.train_images, s.budget_gflop),
    )
    for swept in ordered:
        row = [Cell(swept.identity.title, swept.identity.name)]
        if len(regimes) > 1:
            row.append(Cell(identify_dataset(swept.dataset).title, swept.dataset))
            row.append(Cell(fixed(swept.train_images, 0), swept.train_images))
        row.append(Cell(fixed(swept.budget_gflop * GIGA / scale.factor, 2), swept.budget_gflop * GIGA))
        for tried in rates:
            top1 = swept.top1_pct.get(tried)
            known = swept.cell_ids.get(tried, ())
            if top1 is None:
                row.append(Cell("failed" if tried in swept.tried else "–"))
            else:
                row.append(Cell(percent(top1), top1, known, tried == swept.best_rate))
        ids = tuple(cell_id for known in swept.cell_ids.values() for cell_id in known)
        row.append(Cell(str(len(swept.tried)), len(swept.tried), ids))
        row.append(Cell(learning_rate(swept.best_rate), swept.best_rate, swept.cell_ids[swept.best_rate]))
        row.append(Cell(_edge_words(swept.edge)))
        rows.append(tuple(row))
    return Table("learning_rates", tuple(heads), tuple(rows))


def _edge_words(edge: str) -> str:
    return {"low": "at the lower edge: extend the grid", "high": "at the upper edge: extend the grid"}.get(edge, "")
