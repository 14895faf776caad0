"""Training steps: images per second and memory of each model, beside its inference at the same batch size."""

from __future__ import annotations

from bench.analyse.speed_study import TrainingStep
from bench.analyse.speeds import Memory
from bench.analyse.study import Study
from bench.report.document import Section
from bench.report.figure_parts import FigureSpec
from bench.report.formats import ends, fixed, significant, span, timed_words, times_words
from bench.report.panels import Panel, Point
from bench.report.speed_series import (
    bar,
    conditions_words,
    identity_of,
    missing_cell,
    model_order,
    resolution_label,
    series_label,
)
from bench.report.table import Cell, Column, Notes, Table


def training_section(study: Study) -> Section | None:
    """None unless a training step was timed or weighed."""
    steps = study.speed.training
    if not steps:
        return None
    timed = [step for step in steps if step.rate is not None]
    processes = f"{span({step.processes for step in timed})} fresh processes for each model, " if timed else ""
    text = (
        f"Measured here: {conditions_words(study, [step.key for step in steps])}; {processes}one step being forward, "
        "backward and SGD with momentum on images that are on the device already, without data loading or "
        "augmentation. Medians over processes, with their range where five or more ran. Times the inference: time of a "
        "training step over that of an inference at the same batch size, process by process; training compute is "
        "counted as 3 times the forward pass's, which time need not follow."
    )
    figure = training_figure(study)
    return Section("Training steps", text, training_table(study), (figure,) if figure else ())


def training_table(study: Study) -> Table:
    """One row per model and batch size."""
    notes = Notes()
    heads = [
        Column("Model", is_number=False),
        Column("Res. [px]"),
        Column("Batch"),
        Column("Training step [img/s]"),
        Column("Inference [img/s]"),
        Column("Times the inference"),
    ]
    steps = sorted(study.speed.training, key=lambda step: (model_order(study, step.key), step.batch_size))
    has_memory = any(step.memory for step in steps)
    if has_memory:
        heads += [Column("Training memory [MiB]"), Column("Inference memory [MiB]")]
    rows = []
    for step in steps:
        row = [
            resolution_label(study, step.key),
            Cell(str(step.key.resolution_px), step.key.resolution_px),
            Cell(fixed(step.batch_size, 0), step.batch_size),
            _training_rate(study, step, notes),
            _inference_rate(study, step, notes),
            _times(step),
        ]
        if has_memory:
            row.append(_memory(study, step, step.memory, "training_memory", notes))
            row.append(_memory(study, step, step.inference_memory, "memory", notes))
        rows.append(tuple(row))
    return Table("training_steps", tuple(heads), tuple(rows), tuple(notes.texts))


def _training_rate(study: Study, step: TrainingStep, notes: Notes) -> Cell:
    if step.rate is None:
        return missing_cell(study, notes, "training_step", step.key, step.batch_size)
    unsettled = "a process had not reached its steady state when it was timed"
    mark = None if step.is_settled else notes.number(unsettled)
    return Cell(timed_words(step.rate), step.rate.median, step.cell_ids, mark=mark, more=ends(step.rate.interval))


def _inference_rate(study: Study, step: TrainingStep, notes: Notes) -> Cell:
    if step.inference is None:
        return missing_cell(study, notes, "speed", step.key, step.batch_size)
    timed = step.inference
    return Cell(timed_words(timed), timed.median, step.inference_ids, more=ends(timed.interval))


def _times(step: TrainingStep) -> Cell:
    if step.times is None:
        return Cell("–")
    ids = (*step.cell_ids, *step.inference_ids)
    return Cell(times_words(step.times), step.times.median, ids, more=ends(step.times.interval))


def _memory(study: Study, step: TrainingStep, memory: Memory | None, task: str, notes: Notes) -> Cell:
    if memory is None:
        return missing_cell(study, notes, task, step.key, step.batch_size)
    text = "growth of the process on a CPU" if memory.kind == "process" else "allocated on the device"
    if memory.kind == "process" and task == "training_memory":
        text += ", freed memory handed back at once"
    mark = notes.number(f"{text}, one process, in a pass of its own")
    return Cell(significant(memory.peak_mib, 3), memory.peak_mib, memory.cell_ids, mark=mark)


def training_figure(study: Study) -> FigureSpec | None:
    """Training steps against inference, images per second on both axes; a panel for each device."""
    steps = [step for step in study.speed.training if step.rate and step.inference]
    if not steps:
        return None
    several = len({(step.key.resolution_px, step.batch_size) for step in steps}) > 1

    def point(step: TrainingStep) -> Point:
        where = f" {step.key.resolution_px} px, batch {step.batch_size}" if several else ""
        label = f"{series_label(study, step.key)}{where}"
        family = identity_of(study, step.key).family
        assert step.inference is not None  # the others were left out
        assert step.rate is not None
        x, y = step.inference.median, step.rate.median
        return Point(x, y, family, label, bar(step.rate), x_bar=bar(step.inference))

    devices = sorted({step.key.device for step in steps})
    panels = tuple(
        Panel(
            f"Training step and inference{f', {device}' if len(devices) > 1 else ''}",
            "Inference [img/s], log",
            "Training step [img/s], log",
            points=tuple(point(step) for step in steps if step.key.device == device),
            log_y=True,
        )
        for device in devices
    )
    caption = (
        "**Training steps against inference** at the same batch size, both axes logarithmic; right and up is better; "
        f"bars: range over processes. Measured here: {conditions_words(study, [s.key for s in steps])}, batch "
        f"{span({step.batch_size for step in steps})}."
    )
    return FigureSpec("training_vs_inference", "Training images per second against inference", caption, panels)
