"""The main table, one row per model: what was counted, trained and timed. A new metric is a row of METRICS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from bench.analyse.accuracies.accuracy import ENOUGH_PP, FEW_EPOCHS
from bench.analyse.study import Row, Study
from bench.catalog.identity import DatasetIdentity
from bench.number_format import bare_rate, counted, fixed, flop_scale, mac_scale, span
from bench.report.tables.accuracy_cells import PIXELS, accuracy_cell, score_cell
from bench.report.tables.columns import Records, condition, family_column, number, words
from bench.report.tables.table import Cell, ColumnSpec, Line, Notes, Table, make_table
from bench.report.tables.timing_tables import clear_best, latency_column, throughput_cell
from bench.report.words.conditions import accuracy_conditions, dataset_words, speed_conditions
from bench.text import escape
from bench.units import MEGA


@dataclass(frozen=True)
class Metric:
    """A column for what the records of a timing task hold: the median over the processes of the home machine.

    heading: with the unit. values: names in a record's values, the first that is there counts; what each is, for a
    footnote, is beside it.
    """

    heading: str
    task: str
    values: Mapping[str, str]
    shown: Callable[[float], str]
    missing: str

    def column(self) -> ColumnSpec[Row]:
        """The column of the main table."""

        def entry(row: Row, notes: Notes) -> Cell:
            found = row.measured.get(self.task, [])
            for name, what in self.values.items():
                known = [one for one in found if one.get(name) is not None]
                if known:
                    value = median(float(one[name]) for one in known)
                    mark = notes.mark(what and f"{what}, at batch {known[0]['batch_size']}, in a pass of its own")
                    return Cell(self.shown(value), value, tuple(str(one["cell_id"]) for one in known), mark=mark)
            return notes.missing(self.missing)

        return ColumnSpec(self.heading, entry)

    def is_in(self, study: Study) -> bool:
        """Whether any row has it."""
        measured = (one for row in study.rows for one in row.measured.get(self.task, []))
        return any(one.get(name) is not None for one in measured for name in self.values)


METRICS = [
    Metric(
        "Peak memory [MiB]",
        "memory",
        {
            "peak_rss_delta_mib": "CPU: growth of the process's resident memory",
            "peak_allocated_mib": "GPU: memory allocated on the device",
        },
        bare_rate,
        missing="memory not measured on this machine",
    )
]


def main_table(study: Study) -> Table | None:
    """One row per model, families grouped, rising MACs within a family; columns only for what was measured."""
    columns: list[ColumnSpec[Row]] = [
        words("Model", _label_and_name, lambda row: row.key.model),
        family_column(lambda row: row.identity.family),
        *_count_columns(study),
        *(_accuracy_column(study, dataset) for dataset in study.datasets),
        *(_training_columns(study) if study.datasets else ()),
        *_speed_columns(study),
    ]
    return make_table("main", study.rows, columns, _baseline(study))


def _baseline(study: Study) -> list[Line]:
    """The line of the regressions on as many images of each set, where there is one."""
    found = {score.dataset: score.pixels for score in study.main}
    if not any(found.values()):
        return []

    def entry(dataset: DatasetIdentity) -> Callable[[Notes], Cell]:
        return lambda notes: score_cell(found.get(dataset.name), notes, "not run on this set")

    name = Cell(PIXELS.capitalize(), "pixels")
    return [{"Model": lambda _: name, **{top1_heading(dataset): entry(dataset) for dataset in study.datasets}}]


def top1_heading(dataset: DatasetIdentity) -> str:
    return f"{dataset.title}: top-1 [%]"


def _label_and_name(row: Row) -> str:
    """The label that figures carry, and the name that a suite would ask for."""
    return row.label if row.key.model in row.label else f"{row.label} ({row.key.model})"


def main_table_caption(study: Study) -> str:
    """What the main table's numbers are; Markdown."""
    told = ["Measured here. Sorted by family (ViT, hybrid, CNN), then MACs."]
    if study.datasets:
        seeds = span({len(score.seeds) for score in study.main})
        told.append(
            f"Top-1 on the test part, {_interval_words(seeds)}; bold: the best and those that "
            f"cannot be told from it (Welch's t, Holm over the models shown). Accuracies: {accuracy_conditions(study)}."
        )
        if any(score.pixels for score in study.main):
            told.append(f"{PIXELS.capitalize()}: on as many images, of train and validation together.")
        together = {int(row["side_by_side"]) for row in study.training if row["side_by_side"] is not None}
        if any(n > 1 for n in together):
            told.append(f"Training img/s was taken while {span(together)} trainings ran side by side, one thread each.")
    if any(row.speed for row in study.rows):
        told.append(
            "Throughput: median over fresh processes, with their range where five or more ran; bold: its range "
            f"above all others. Timings: {speed_conditions(study)}."
        )
    return " ".join(told)


def _interval_words(seeds: str) -> str:
    if seeds == "1":
        return "one seed ± the longer arm of the 95 % interval over test images alone"
    return f"mean over {seeds} seeds ± the longer arm of the 95 % interval over seeds and test images"


def _count_columns(study: Study) -> list[ColumnSpec[Row]]:
    scale = mac_scale(row.macs or 0.0 for row in study.rows)

    def uncertified(row: Row) -> str | None:  # with a count, the certificate's own column says it
        return f"MACs not certified: {escape(row.macs_note)}" if row.macs_note and row.count is None else None

    def macs(value: float) -> str:
        return fixed(value / scale.factor, 2 if scale.unit == "M" else 1)

    columns: list[ColumnSpec[Row]] = [
        number("Params [M]", lambda row: row.params, millions, records=_count_ids, missing="not counted"),
        number(f"MACs [{scale.unit}]", lambda row: row.macs, macs, records=_count_ids, missing="not counted",
               note=uncertified),
    ]  # fmt: skip
    if len({row.key.resolution_px for row in study.rows}) > 1:
        columns.insert(0, condition("Res. [px]", lambda row: row.key.resolution_px))
    if any(row.count for row in study.rows):
        columns.append(CERTIFICATE)
    return columns


def millions(params: float) -> str:
    """Parameters in millions: one decimal, three below a million so that small models differ."""
    return fixed(params / MEGA, 1 if params >= MEGA else 3)


def _certificate(row: Row, notes: Notes) -> Cell:
    """Whether both counters agree; where not, the operator that differs is named at the foot."""
    if row.count is None:
        return notes.missing("not counted: MACs are what the training run was told")
    note = escape(row.macs_note) if row.count.certificate != "ok" else None
    return Cell(row.count.certificate, row.count.certificate, (row.count.cell_id,), mark=notes.mark(note))


CERTIFICATE = ColumnSpec[Row]("Certificate", _certificate, is_number=False)


def _count_ids(row: Row) -> Records:
    if row.count is not None:
        return (row.count.cell_id,)
    return next((score.cell_ids for score in row.scores.values()), ())


def _accuracy_column(study: Study, dataset: DatasetIdentity) -> ColumnSpec[Row]:
    usual = max((len(row.scores[dataset.name].seeds) for row in study.rows if dataset.name in row.scores), default=0)

    def cell(row: Row, notes: Notes) -> Cell:
        score = row.scores.get(dataset.name)
        if score is None:
            return notes.missing("not trained on this set at its full size and budget, or every run failed (see below)")
        few = f"{counted(len(score.seeds), 'seed')} finished, not {usual}" if len(score.seeds) < usual else ""
        weak = _NOT_ENOUGH if score.is_not_trained_enough else ""
        is_best = row.key in study.best[dataset.name].members
        note = "; ".join(filter(None, [weak, few]))
        return accuracy_cell(score.group, score.interval, score.cell_ids, notes, is_bold=is_best, note=note)

    return ColumnSpec(top1_heading(dataset), cell)


_NOT_ENOUGH = f"not trained enough: less than {fixed(ENOUGH_PP, 0)} points above {PIXELS}"
_EARLY = (
    f"early learning: fewer than {fixed(FEW_EPOCHS, 0)} epochs, and validation accuracy still rose at the last look"
)


def _training_columns(study: Study) -> list[ColumnSpec[Row]]:
    scale = flop_scale(score.train_flop for score in study.main)

    def compute(row: Row, notes: Notes) -> Cell:
        if not row.scores:
            return notes.missing("not trained in this suite")
        values = [score.train_flop / scale.factor for score in row.scores.values()]
        more = (("low", min(values) * scale.factor), ("high", max(values) * scale.factor)) if len(values) > 1 else ()
        return Cell(span(values, 2), sum(values) / len(values) * scale.factor, _score_ids(row), more=more)

    def epochs(row: Row, notes: Notes) -> Cell:
        if not row.scores:
            return notes.missing("not trained in this suite")
        known = [score.epochs for score in row.scores.values()]
        early = dataset_words(name for name, score in row.scores.items() if score.is_early)
        where = f" ({early})" if len(known) > 1 else ""
        mark = notes.mark(f"{_EARLY}{where}" if early else None)
        more = (("low", min(known)), ("high", max(known))) if len(known) > 1 else ()
        return Cell(span(known, 1), sum(known) / len(known), _score_ids(row), mark=mark, more=more)

    def speed(row: Row) -> float | None:
        rates = [score.train_img_per_s for score in row.scores.values() if score.train_img_per_s > 0]
        return sum(rates) / len(rates) if rates else None

    return [
        ColumnSpec(f"Training [{scale.unit}]", compute),
        ColumnSpec("Epochs", epochs),
        number("Training [img/s]", speed, bare_rate, records=_score_ids, missing="not trained in this suite"),
    ]


def _score_ids(row: Row) -> Records:
    return tuple(cell_id for score in row.scores.values() for cell_id in score.cell_ids)


def _speed_columns(study: Study) -> list[ColumnSpec[Row]]:
    timed = [row.speed for row in study.rows if row.speed is not None]
    columns: list[ColumnSpec[Row]] = []
    if any(speed.throughput for speed in timed):
        fastest = clear_best([s for s in timed if s.throughput])

        def throughput(row: Row, notes: Notes) -> Cell:
            return throughput_cell(row.speed, notes, is_bold=row.speed is not None and row.speed is fastest)

        batches = span({speed.batch_size for speed in timed})
        columns.append(ColumnSpec(f"Throughput, batch {batches} [img/s]", throughput))
    if any(speed.latency for speed in timed):
        columns.append(latency_column(lambda row: row.speed))
    return [*columns, *(metric.column() for metric in METRICS if metric.is_in(study))]
