"""Columns and tables of timings and memory, over fresh processes; machines are never mixed in one ratio."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.analyse.intervals import Interval
from bench.analyse.speeds import Speed
from bench.analyse.study import Row, Study
from bench.report.formats import bare_rate, bracketed, ends, fixed, rate, significant, span
from bench.report.markdown import Cell, Column, Notes, Table

Maker = Callable[[Row, Notes], Cell]  # one entry of the main table


def speed_columns(study: Study) -> list[tuple[Column, Maker]]:
    timed = [row.speed for row in study.rows if row.speed is not None]
    batches = span({speed.batch_size for speed in timed}) if timed else ""
    columns: list[tuple[Column, Maker]] = []
    if any(speed.throughput_median is not None for speed in timed):
        fastest = _clear_best([s for s in timed if s.throughput_img_per_s])

        def throughput(row: Row, notes: Notes) -> Cell:
            return throughput_cell(row.speed, notes, is_bold=row.speed is not None and row.speed is fastest)

        columns.append((Column(f"Throughput, batch {batches} [img/s]"), throughput))
    if any(speed.latency_p50_median is not None for speed in timed):
        columns.append((Column("Latency p50 / p99 [ms]"), lambda row, notes: latency_cell(row.speed, notes)))
    if any(row.memory for row in study.rows):
        columns.append((Column("Peak memory [MiB]"), _memory_cell))
    return columns


def _clear_best(timed: Sequence[Speed]) -> Speed | None:
    def interval(speed: Speed) -> Interval:
        assert speed.throughput_img_per_s is not None  # the caller passes no others
        return speed.throughput_img_per_s

    # one device, one ranking; a batch of its own is a condition of its own
    if len(timed) < 2 or len({(s.key.device, s.machine, s.batch_size, s.conditions[1:]) for s in timed}) > 1:
        return None
    best = max(timed, key=lambda speed: (interval(speed).estimate, speed.key))
    return best if all(s is best or interval(best).low > interval(s).high for s in timed) else None


def throughput_cell(speed: Speed | None, notes: Notes, *, is_bold: bool = False) -> Cell:
    """Images per second with its interval; without one where a single process was run."""
    if speed is None or speed.throughput_median is None:
        return notes.missing("not timed on this machine")
    if speed.throughput_img_per_s is None:
        alone = notes.number("one process: no interval")
        return Cell(bare_rate(speed.throughput_median), speed.throughput_median, speed.cell_ids, mark=alone)
    mark = None if speed.is_settled else notes.number("a process had not reached its steady state when it was timed")
    interval = speed.throughput_img_per_s
    return Cell(rate(interval), interval.estimate, speed.cell_ids, is_bold=is_bold, mark=mark, more=ends(interval))


def latency_cell(speed: Speed | None, notes: Notes) -> Cell:
    """p50 and p99 at batch 1: the mean over processes (geometric, of the interval) and the median of theirs."""
    if speed is None or speed.latency_p50_median is None:
        return notes.missing("not timed on this machine")
    interval = speed.latency_p50_ms
    value = speed.latency_p50_median if interval is None else interval.estimate
    median, more = significant(value, 3), ends(interval) if interval is not None else ()
    if speed.latency_p99_median is None:
        mark = notes.number("p99 needs 1,000 iterations in every process")
        return Cell(f"{median} / n/a", value, speed.cell_ids, mark=mark, more=more)
    shown = f"{median} / {significant(speed.latency_p99_median, 3)}"
    return Cell(shown, value, speed.cell_ids, more=(*more, ("p99", speed.latency_p99_median)))


def _memory_cell(row: Row, notes: Notes) -> Cell:
    if row.memory is None:
        return notes.missing("memory not measured on this machine")
    text = {
        "process": "CPU: growth of the process's resident memory",
        "device": "GPU: memory allocated on the device",
    }[row.memory.kind]
    mark = notes.number(f"{text}, at batch {row.memory.batch_size}, in a pass of its own")
    decimals = 0 if row.memory.peak_mib >= 100 else 1
    return Cell(fixed(row.memory.peak_mib, decimals), row.memory.peak_mib, row.memory.cell_ids, mark=mark)


def speed_table(study: Study) -> Table | None:
    """Every timed model, batch size and machine, with its factor over the ViT of its size, paired by process."""
    if not study.speeds:
        return None
    ratios = {(ratio.key, ratio.machine, ratio.batch_size): ratio for ratio in study.ratios}
    machines = sorted({speed.machine for speed in study.speeds}, key=lambda machine: (machine != study.home, machine))
    heads = [Column("Model", is_number=False)]
    if len(machines) > 1:
        heads.append(Column("Machine", is_number=False))
    heads += [
        Column("Batch"),
        Column("Processes"),
        Column("Throughput [img/s]"),
        Column("Times the ViT's throughput"),
        Column("The ViT", is_number=False),
        Column("Latency p50 / p99 [ms]"),
        Column("Latency samples"),
    ]
    notes = Notes()
    order = {row.key: index for index, row in enumerate(study.rows)}
    rows = []
    for one in sorted(study.speeds, key=lambda s: (machines.index(s.machine), order[s.key], s.batch_size)):
        row = [Cell(study.labels[one.key], one.key.model)]
        if len(machines) > 1:
            mark = None if one.machine == study.home else notes.number("another machine: in no ratio with the others")
            row.append(Cell(one.machine, one.machine, mark=mark))
        ratio = ratios.get((one.key, one.machine, one.batch_size))
        row += [Cell(str(one.batch_size), one.batch_size), Cell(str(one.processes), one.processes, one.cell_ids)]
        row.append(throughput_cell(one, notes))
        if ratio is None:
            row += [Cell("–"), Cell("–")]
        else:
            words = f"{fixed(ratio.ratio_mean, 2)} × {bracketed(ratio.ratio, 2) if ratio.ratio else ''}".strip()
            row += [
                Cell(words, ratio.ratio_mean, ratio.cell_ids, more=ends(ratio.ratio)),
                Cell(study.labels[ratio.reference]),
            ]
        row += [latency_cell(one, notes), Cell(fixed(one.latency_samples, 0), one.latency_samples, one.cell_ids)]
        rows.append(tuple(row))
    return Table("speed", tuple(heads), tuple(rows), tuple(notes.texts))
