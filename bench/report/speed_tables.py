"""Columns and tables of timings and memory, over fresh processes; machines are never mixed in one ratio."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.analyse.speeds import Speed
from bench.analyse.study import Row, Study
from bench.report.formats import ends, fixed, significant, span, timed_words, times_words
from bench.report.table import Cell, Column, Notes, Table

Maker = Callable[[Row, Notes], Cell]  # one entry of the main table


def speed_columns(study: Study) -> list[tuple[Column, Maker]]:
    timed = [row.speed for row in study.rows if row.speed is not None]
    batches = span({speed.batch_size for speed in timed}) if timed else ""
    columns: list[tuple[Column, Maker]] = []
    if any(speed.throughput for speed in timed):
        fastest = clear_best([s for s in timed if s.throughput])

        def throughput(row: Row, notes: Notes) -> Cell:
            return throughput_cell(row.speed, notes, is_bold=row.speed is not None and row.speed is fastest)

        columns.append((Column(f"Throughput, batch {batches} [img/s]"), throughput))
    if any(speed.latency for speed in timed):
        columns.append((Column("Latency p50 / p99 [ms]"), lambda row, notes: latency_cell(row.speed, notes)))
    if any(row.memory for row in study.rows):
        columns.append((Column("Peak memory [MiB]"), _memory_cell))
    return columns


def clear_best(timed: Sequence[Speed]) -> Speed | None:
    """The one whose range over processes lies above all others', of one device, batch and software; None without."""
    if len(timed) < 2 or len({(s.key.device, s.machine, s.batch_size, s.conditions[1:]) for s in timed}) > 1:
        return None
    best, *others = sorted(timed, key=lambda s: -s.throughput.median if s.throughput else 0.0)
    is_clear = all(best.throughput and s.throughput and best.throughput.surely_exceeds(s.throughput) for s in others)
    return best if is_clear else None


FEW = "fewer than five processes: no interval"


def throughput_cell(speed: Speed | None, notes: Notes, *, is_bold: bool = False) -> Cell:
    """Images per second: the median over processes, with its range where five or more ran."""
    if speed is None or speed.throughput is None:
        return notes.missing("not timed on this machine")
    timed = speed.throughput
    remarks = [] if timed.interval is not None else [FEW]
    remarks += [] if speed.is_settled else ["a process had not reached its steady state when it was timed"]
    mark = notes.number("; ".join(remarks)) if remarks else None
    return Cell(timed_words(timed), timed.median, speed.cell_ids, is_bold=is_bold, mark=mark, more=ends(timed.interval))


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
            timed = ratio.ratio
            row += [
                Cell(times_words(timed), timed.median, ratio.cell_ids, more=ends(timed.interval)),
                Cell(study.labels[ratio.reference]),
            ]
        row += [latency_cell(one, notes), Cell(fixed(one.latency_samples, 0), one.latency_samples, one.cell_ids)]
        rows.append(tuple(row))
    return Table("speed", tuple(heads), tuple(rows), tuple(notes.texts))
