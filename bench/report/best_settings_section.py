"""What a report says of fixed and best settings: a row per model."""

from __future__ import annotations

from bench.analyse.best_settings import Tuned, settings_of
from bench.analyse.study import Study
from bench.markdown_text import escape
from bench.report.document import Section
from bench.report.formats import ends, listed, span, times_words
from bench.report.speed_tables import throughput_cell
from bench.report.table import Cell, Column, Notes, Table

HEADING = "Fixed settings and best settings"
_TEXT = (
    "Measured here. One setting for all favours whom it suits, so each model was also tried under every combination of "
    "memory format, precision, compilation and folding (BatchNorm into the convolution before it, standardised weights "
    "computed once; outputs compared) that the device can do. The fastest of {trials} per model, each in one short "
    "process, was then timed again in fresh processes, in the same rounds as the fixed settings ({fixed}). A precision "
    "other than {precisions} changes what is computed: the column says where it won."
)


def best_settings_section(study: Study) -> Section:
    """The section; empty where nothing was timed under best settings."""
    if not study.tuned:
        return Section(HEADING)
    trials = span({one.trials for one in study.tuned})
    fixed_settings = {settings_of(one.fixed.key) for one in study.tuned}
    text = _TEXT.format(
        trials=f"{trials} trials",
        fixed=escape("; ".join(sorted(settings.words for settings in fixed_settings))),
        precisions=listed(sorted({settings.precision for settings in fixed_settings})),
    )
    return Section(HEADING, text, _table(study))


def _table(study: Study) -> Table:
    """One row per model, resolution, batch size and machine."""
    machines = {one.machine for one in study.tuned}
    heads = [Column("Model", is_number=False)]
    heads += [Column("Machine", is_number=False)] if len(machines) > 1 else []
    heads += [Column("Resolution [px]"), Column("Batch"), Column("Fixed [img/s]"), Column("Best [img/s]")]
    heads += [Column("Best over fixed"), Column("Processes"), Column("Best settings", is_number=False)]
    heads += [Column("Trials")]
    notes = Notes()
    return Table("best_settings", tuple(heads), tuple(_row(one, len(machines) > 1, notes) for one in study.tuned),
                 tuple(notes.texts))  # fmt: skip


def _row(one: Tuned, with_machine: bool, notes: Notes) -> tuple[Cell, ...]:
    ids = (*one.fixed.cell_ids, *one.best.cell_ids)
    failed = notes.number("some trials gave no result: see what failed") if one.failed_trials else None
    won = notes.number("the fixed settings won; the two columns are two timings of the same") if _is_same(one) else None
    return (
        Cell(one.identity.title, one.identity.name),
        *([Cell(one.machine, one.machine)] if with_machine else []),
        Cell(str(one.resolution_px), one.resolution_px),
        Cell(str(one.batch_size), one.batch_size),
        throughput_cell(one.fixed, notes),
        throughput_cell(one.best, notes),
        Cell(times_words(one.ratio), one.ratio.median, ids, more=ends(one.ratio.interval)),
        Cell(str(len(one.ratio.values)), len(one.ratio.values), ids),
        Cell(one.settings.words, one.settings.words, one.best.cell_ids, mark=won),
        Cell(str(one.trials), one.trials, mark=failed),
    )


def _is_same(one: Tuned) -> bool:
    return settings_of(one.fixed.key) == one.settings
