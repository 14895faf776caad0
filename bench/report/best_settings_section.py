"""What a report says of fixed and best settings: a row per model, and whether the order of families changes."""

from __future__ import annotations

from bench.analyse.best_settings import FamilyOrder, Tuned, family_orders, settings_of
from bench.analyse.intervals import Interval
from bench.analyse.study import Study
from bench.report.formats import bracketed, counted, ends, fixed, listed, span
from bench.report.markdown import Cell, Column, Notes, Table, bullets, escape
from bench.report.section import Section
from bench.report.speed_tables import throughput_cell
from bench.report.wording import family_plural

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
    orders = [f"{_order_words(order)}" for order in family_orders(study.tuned)]
    return Section(HEADING, "\n\n".join([text, *([bullets(orders)] if orders else [])]), _table(study))


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
    ratio = f"{fixed(one.ratio_mean, 2)} × {bracketed(one.ratio, 2) if one.ratio else ''}".strip()
    failed = notes.number("some trials gave no result: see what failed") if one.failed_trials else None
    won = notes.number("the fixed settings won; the two columns are two timings of the same") if _is_same(one) else None
    return (
        Cell(one.identity.title, one.identity.name),
        *([Cell(one.machine, one.machine)] if with_machine else []),
        Cell(str(one.resolution_px), one.resolution_px),
        Cell(str(one.batch_size), one.batch_size),
        throughput_cell(one.fixed, notes),
        throughput_cell(one.best, notes),
        Cell(ratio, one.ratio_mean, ids, more=ends(one.ratio)),
        Cell(str(len(one.log_rates)), len(one.log_rates), ids),
        Cell(one.settings.words, one.settings.words, one.best.cell_ids, mark=won),
        Cell(str(one.trials), one.trials, mark=failed),
    )


def _is_same(one: Tuned) -> bool:
    return settings_of(one.fixed.key) == one.settings


def _order_words(order: FamilyOrder) -> str:
    """One sentence on two families; Markdown."""
    first, second = family_plural(order.first), family_plural(order.second)
    verdict = {
        "changes": "the order changes",
        "stays": "the order stays",
        "open": "whether the order changes is not decided",
    }[order.verdict]
    return (
        f"{first} over {second} at batch {order.batch_size} (geometric mean of {counted(order.models, 'model')}): "
        f"{_ratio_words(order.fixed)} with fixed settings, {_ratio_words(order.best)} with each model's best settings: "
        f"{verdict}."
    )


def _ratio_words(ratio: Interval | None) -> str:
    return "one round, no interval" if ratio is None else f"{fixed(ratio.estimate, 2)} × {bracketed(ratio, 2)}"
