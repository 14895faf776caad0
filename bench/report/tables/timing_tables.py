"""Tables of timings, over fresh processes: every one, fixed beside best settings, and those to distrust.

Machines are never mixed in one ratio.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from bench.analyse.speed.speeds import Speed, Timed, Tuned, settings_of
from bench.analyse.speed.stability import Check, TimingWarning
from bench.analyse.study import Study
from bench.number_format import ends, listed, named, significant, span, timed_words, times_words, whole
from bench.report.document import Section
from bench.report.tables.columns import condition, no_records, number, words
from bench.report.tables.table import DASH, Cell, ColumnSpec, Notes, R, Table, make_table
from bench.text import escape

FEW = "fewer than five processes: no interval"
UNSETTLED = "a process had not reached its steady state when it was timed"
_BEST_TEXT = (
    "Measured here. One setting for all favours whom it suits, so each model was also tried under every combination of "
    "memory format, precision, compilation and folding (BatchNorm into the convolution before it, standardised weights "
    "computed once; outputs compared) that the device can do. The fastest of {trials} per model, each in one short "
    "process, was then timed again in fresh processes, in the same rounds as the fixed settings ({fixed}). A precision "
    "other than {precisions} changes what is computed: the column says where it won."
)
_DOUBTS_TEXT = (
    "Warnings about how timings were taken; no number was changed or left out for them. *Processes*: those that the "
    "warning is about, of all in the measurements named."
)
_MOST_NAMED = 6


def clear_best(timed: Sequence[Speed]) -> Speed | None:
    """The one whose range over processes lies above all others', of one device, batch and software; None without."""
    if len(timed) < 2 or len({(s.key.device, s.machine, s.batch_size, s.conditions[1:]) for s in timed}) > 1:
        return None
    best, *others = sorted(timed, key=lambda s: -s.throughput.median if s.throughput else 0.0)
    is_clear = all(best.throughput and s.throughput and best.throughput.surely_exceeds(s.throughput) for s in others)
    return best if is_clear else None


def timed_cell(timed: Timed, ids: tuple[str, ...], *, mark: int | None = None, is_bold: bool = False) -> Cell:
    """The median over processes, with its range where five or more ran."""
    return Cell(timed_words(timed), timed.median, ids, is_bold=is_bold, mark=mark, more=ends(timed.interval))


def times_cell(ratio: Timed, ids: tuple[str, ...]) -> Cell:
    """How many times as fast, over processes."""
    return Cell(times_words(ratio), ratio.median, ids, more=ends(ratio.interval))


def throughput_cell(speed: Speed | None, notes: Notes, *, is_bold: bool = False) -> Cell:
    """Images per second: the median over processes, with its range where five or more ran."""
    if speed is None or speed.throughput is None:
        return notes.missing("not timed on this machine")
    timed = speed.throughput
    remarks = [] if timed.interval is not None else [FEW]
    remarks += [] if speed.is_settled else [UNSETTLED]
    mark = notes.mark("; ".join(remarks))
    return timed_cell(timed, speed.cell_ids, mark=mark, is_bold=is_bold)


def latency_cell(speed: Speed | None, notes: Notes) -> Cell:
    """p50 and p99 at batch 1: medians over processes."""
    if speed is None or speed.latency is None:
        return notes.missing("not timed on this machine")
    value, more = speed.latency.median, ends(speed.latency.interval)
    if speed.latency_p99_median is None:
        mark = notes.number("p99 needs 1,000 iterations in every process")
        return Cell(f"{significant(value, 3)} / n/a", value, speed.cell_ids, mark=mark, more=more)
    shown = f"{significant(value, 3)} / {significant(speed.latency_p99_median, 3)}"
    return Cell(shown, value, speed.cell_ids, more=(*more, ("p99", speed.latency_p99_median)))


def latency_column(speed: Callable[[R], Speed | None]) -> ColumnSpec[R]:
    """p50 and p99 at batch 1."""
    return ColumnSpec("Latency p50 / p99 [ms]", lambda row, notes: latency_cell(speed(row), notes))


def speed_table(study: Study) -> Table | None:
    """Every timed model, batch size and machine, with its factor over the ViT of its size, paired by process."""
    ratios = {(ratio.key, ratio.machine, ratio.batch_size): ratio for ratio in study.ratios}
    machines = sorted({speed.machine for speed in study.speeds}, key=lambda machine: (machine != study.home, machine))
    order = {row.key: index for index, row in enumerate(study.rows)}

    def times(one: Speed, _: Notes) -> Cell:
        ratio = ratios.get((one.key, one.machine, one.batch_size))
        return DASH if ratio is None else times_cell(ratio.ratio, ratio.cell_ids)

    def reference(one: Speed) -> str:
        ratio = ratios.get((one.key, one.machine, one.batch_size))
        return "–" if ratio is None else study.labels[ratio.reference]

    def elsewhere(one: Speed) -> str | None:
        return None if one.machine == study.home else "another machine: in no ratio with the others"

    columns: list[ColumnSpec[Speed]] = [
        words("Model", lambda one: study.labels[one.key], lambda one: one.key.model),
        words("Machine", lambda one: one.machine, lambda one: one.machine, note=elsewhere),
        condition("Batch", lambda one: one.batch_size),
        number("Processes", lambda one: one.processes, str),
        ColumnSpec("Throughput [img/s]", throughput_cell),
        ColumnSpec("Times the ViT's throughput", times),
        words("The ViT", reference),
        latency_column(lambda one: one),
        number("Latency samples", lambda one: one.latency_samples, whole),
    ]
    if len(machines) < 2:
        del columns[1]
    rows = sorted(study.speeds, key=lambda s: (machines.index(s.machine), order[s.key], s.batch_size))
    return make_table("speed", rows, columns)


def best_settings_section(study: Study) -> Section:
    """Fixed settings beside the best ones; empty where nothing was timed under best settings."""
    heading = "Fixed settings and best settings"
    if not study.tuned:
        return Section(heading)
    trials = span({one.trials for one in study.tuned})
    fixed_settings = {settings_of(one.fixed.key) for one in study.tuned}
    text = _BEST_TEXT.format(
        trials=f"{trials} trials",
        fixed=escape("; ".join(sorted(settings.words for settings in fixed_settings))),
        precisions=listed(sorted({settings.precision for settings in fixed_settings})),
    )
    return Section(heading, text, _best_settings_table(study))


def _best_settings_table(study: Study) -> Table | None:
    """One row per model, resolution, batch size and machine."""

    def won(one: Tuned) -> str | None:
        is_same = settings_of(one.fixed.key) == one.settings
        return "the fixed settings won; the two columns are two timings of the same" if is_same else None

    def failed(one: Tuned) -> str | None:
        return "some trials gave no result: see what failed" if one.failed_trials else None

    def both(one: Tuned) -> tuple[str, ...]:
        return (*one.fixed.cell_ids, *one.best.cell_ids)

    columns: list[ColumnSpec[Tuned]] = [
        words("Model", lambda one: one.identity.title, lambda one: one.identity.name),
        words("Machine", lambda one: one.machine, lambda one: one.machine),
        condition("Resolution [px]", lambda one: one.resolution_px),
        condition("Batch", lambda one: one.batch_size),
        ColumnSpec("Fixed [img/s]", lambda one, notes: throughput_cell(one.fixed, notes)),
        ColumnSpec("Best [img/s]", lambda one, notes: throughput_cell(one.best, notes)),
        ColumnSpec("Best over fixed", lambda one, _: times_cell(one.ratio, both(one))),
        number("Processes", lambda one: len(one.ratio.values), str, records=both),
        words("Best settings", lambda one: one.settings.words, lambda one: one.settings.words,
              records=lambda one: one.best.cell_ids, note=won),
        number("Trials", lambda one: one.trials, str, records=no_records, note=failed),
    ]  # fmt: skip
    if len({one.machine for one in study.tuned}) < 2:
        del columns[1]
    return make_table("best_settings", study.tuned, columns)


def stability_section(study: Study) -> Section:
    """Timings to distrust, one row per warning, with where it was seen and what to try; empty where no check fires."""
    by_check: dict[Check, list[TimingWarning]] = defaultdict(list)
    for warning in study.warnings:
        by_check[warning.check].append(warning)

    def ids(row: tuple[Check, list[TimingWarning]]) -> tuple[str, ...]:
        return tuple(cell_id for warning in row[1] for cell_id in warning.cell_ids)

    def processes(row: tuple[Check, list[TimingWarning]], _: Notes) -> Cell:
        found = sum(warning.processes for warning in row[1])
        return Cell(f"{whole(found)} of {whole(sum(warning.of_processes for warning in row[1]))}", found, ids(row))

    def worst(row: tuple[Check, list[TimingWarning]]) -> float:
        return max(warning.worst for warning in row[1])

    columns: list[ColumnSpec[tuple[Check, list[TimingWarning]]]] = [
        words("What was seen", lambda row: row[0].message[0].upper() + row[0].message[1:]),
        words("Where", lambda row: named(dict.fromkeys(_where(warning, study) for warning in row[1]), _MOST_NAMED)),
        ColumnSpec("Processes", processes),
        words("Worst", lambda row: row[0].words(worst(row)), worst, records=ids),
        words("What to try", lambda row: row[0].advice),
    ]
    table = make_table("timings_to_distrust", by_check.items(), columns)
    return Section("Timings to distrust", _DOUBTS_TEXT if table else "", table)


def _where(warning: TimingWarning, study: Study) -> str:
    """The model's title, with batch and resolution where the study has several, and which of its timings."""
    several = len({(one.batch_size, one.key.resolution_px) for one in study.speeds}) > 1
    title = next((row.identity.title for row in study.rows if row.key.model == warning.model), warning.model)
    told = [f"{warning.resolution_px} px, batch {warning.batch_size}"] if several else []
    told += ["best settings"] if warning.is_best else []
    return f"{title} ({', '.join(told)})" if told else title
