"""The tables of measured numbers: main table, families compared, training sizes, speed, learning rates."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analyse.compare import difference, verdict_of
from bench.analyse.identity import DatasetIdentity, family_rank, identify_dataset
from bench.analyse.scores import Score
from bench.analyse.study import Row, Study
from bench.report.formats import (
    Scale,
    bare_rate,
    bracketed,
    counted,
    ends,
    fixed,
    flop_scale,
    learning_rate,
    mac_scale,
    percent,
    plus_minus,
    signed,
    significant,
    span,
)
from bench.report.markdown import Cell, Column, Notes, Table, escape
from bench.report.speed_tables import Maker, speed_columns
from bench.report.style import family_style
from bench.report.wording import accuracy_conditions, best_words, speed_conditions
from bench.units import GIGA, MEGA


def main_table(study: Study) -> Table:
    """One row per model, families grouped, rising MACs within a family; columns only for what was measured."""
    notes = Notes()
    columns: list[tuple[Column, Maker]] = [
        (Column("Model", is_number=False), lambda row, _: Cell(_label_and_name(row), row.key.model)),
        (Column("Family", is_number=False), lambda row, _: Cell(family_style(row.identity.family).name)),
    ]
    columns += _count_columns(study)
    best = _best_beyond_noise(study)
    columns += [_accuracy_column(study, dataset, best) for dataset in study.datasets]
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
            f"Top-1 on the test part, {_interval_words(seeds)}; bold: ahead of every other model of its "
            f"training budget beyond noise (pairwise, uncorrected). Accuracies: {accuracy_conditions(study)}."
        )
        together = {int(n) for n in study.training["side_by_side"].dropna()}
        if any(n > 1 for n in together):
            words.append(
                f"Training img/s was taken while {span(together)} trainings ran side by side, one thread each."
            )
    if any(row.speed for row in study.rows):
        words.append(
            "Throughput ± the longer arm of the 95 % interval over fresh processes; bold: its interval above all "
            f"others. Timings: {speed_conditions(study)}."
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


def _accuracy_column(study: Study, dataset: DatasetIdentity, best: Sequence[Score]) -> tuple[Column, Maker]:
    usual = max((len(row.scores[dataset.name].seeds) for row in study.rows if dataset.name in row.scores), default=0)

    def cell(row: Row, notes: Notes) -> Cell:
        score = row.scores.get(dataset.name)
        if score is None:
            return notes.missing("not trained on this set at its full size and budget, or every run failed (see below)")
        mark = None
        if len(score.seeds) < usual:
            mark = notes.number(f"{counted(len(score.seeds), 'seed')} finished, not {usual}")
        text = plus_minus(score.interval, 1)
        return Cell(
            text,
            score.interval.estimate,
            score.cell_ids,
            is_bold=any(score is one for one in best),
            mark=mark,
            more=ends(score.interval),
        )

    return Column(f"{dataset.title}: top-1 [%]"), cell


def _best_beyond_noise(study: Study) -> list[Score]:
    """On each data set and training budget, the score that is ahead of every other, where there is one."""
    rivals: dict[tuple[str, float], list[Score]] = {}
    for score in study.main:
        rivals.setdefault((score.dataset, score.budget_gflop), []).append(score)
    found = []
    for scores in rivals.values():
        best = max(scores, key=lambda score: (score.interval.estimate, score.key))
        if len(scores) > 1 and all(o is best or verdict_of(difference(best, o)) == "ahead" for o in scores):
            found.append(best)
    return found


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


def families_table(study: Study) -> Table | None:
    """Every pair of families on every data set, with who stood for each."""
    if not study.comparisons:
        return None
    scale = flop_scale(one.budget_gflop * GIGA for one in study.comparisons)
    heads = (
        Column("Data set", is_number=False),
        Column("First", is_number=False),
        Column("Second", is_number=False),
        Column(f"Training [{scale.unit}]"),
        Column("First [%]"),
        Column("Second [%]"),
        Column("Difference [points]"),
        Column("95 % interval"),
        Column("First is", is_number=False),
    )
    notes = Notes()
    rank = {dataset.name: index for index, dataset in enumerate(study.datasets)}
    rows = []
    for one in sorted(study.comparisons, key=lambda c: (rank[c.dataset], family_rank(c.second.family), c.first.family)):
        ids = one.cell_ids
        title = f"{family_style(one.first.family).name} – {family_style(one.second.family).name}"
        interval = (
            Cell(bracketed(one.interval), f"{one.interval.low} {one.interval.high}", ids)
            if one.interval
            else notes.missing("one seed: nothing says how far seeds differ")
        )
        rows.append(
            (
                Cell(f"{identify_dataset(one.dataset).title}, {title}", one.dataset),
                Cell(best_words(one.first)),
                Cell(best_words(one.second)),
                Cell(fixed(one.budget_gflop * GIGA / scale.factor, 2), one.budget_gflop * GIGA, ids),
                Cell(percent(one.first.mean_pct), one.first.mean_pct, ids),
                Cell(percent(one.second.mean_pct), one.second.mean_pct, ids),
                Cell(signed(one.delta_pp, 1), one.delta_pp, ids),
                interval,
                Cell(one.verdict, one.verdict, ids),
            )
        )
    return Table("families", heads, tuple(rows), tuple(notes.texts))


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
        for size in sizes:
            row.append(_size_cell(by_size.get(size), notes))
        rows.append(tuple(row))
    return Table("training_sizes", tuple(heads), tuple(rows), tuple(notes.texts))


def _size_cell(score: Score | None, notes: Notes) -> Cell:
    if score is None:
        return notes.missing("no run at this size")
    return Cell(plus_minus(score.interval, 1), score.interval.estimate, score.cell_ids, more=ends(score.interval))


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
        cells = [_budget_cell(by_budget.get(budget), notes) for budget in budgets]
        rows.append((Cell(label), Cell(identify_dataset(dataset).title, dataset), *cells))
    return Table("training_budgets", tuple(heads), tuple(rows), tuple(notes.texts))


def _budget(gflop: float, scale: Scale) -> str:
    return f"{significant(gflop * GIGA / scale.factor, 3)} {scale.unit}"


def _budget_cell(score: Score | None, notes: Notes) -> Cell:
    if score is None:
        return notes.missing("no run at this budget")
    return Cell(plus_minus(score.interval, 1), score.interval.estimate, score.cell_ids, more=ends(score.interval))


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
