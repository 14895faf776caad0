"""Speed and memory by batch size: throughput curves, the largest batch that fits, and training steps."""

from __future__ import annotations

from bench.analyse.speed.speed_study import NEAR_PEAK, BatchCurve, LargestBatch, TrainingStep
from bench.analyse.stats.intervals import PROCESSES_FOR_INTERVAL
from bench.analyse.study import Study
from bench.number_format import bare_rate, digits, fixed, significant, span, whole
from bench.report.document import Section
from bench.report.figures.panels import MOST_PANELS, FigureSpec, Line, Panel, Point, bar_of
from bench.report.figures.speed_series import identity_of, lines, missing_cell, model_order, series_label
from bench.report.sections.resolution_sections import keyed_columns, largest_cell
from bench.report.tables.columns import Records, condition, each, number, words
from bench.report.tables.table import DASH, Cell, ColumnSpec, Notes, Table, make_table
from bench.report.tables.timing_tables import UNSETTLED, timed_cell, times_cell
from bench.report.words.conditions import conditions_words
from bench.text import escape

_WITHIN = f"{fixed(100 * (1 - NEAR_PEAK), 0)} %"


def batch_section(study: Study) -> Section:
    """Throughput against batch size; empty unless a model was timed at several."""
    curves = study.speed.curves
    heading = "Throughput against batch size"
    if not curves:
        return Section(heading)
    processes = span({curve.processes for curve in curves})
    text = (
        f"Measured here: {conditions_words(study, [curve.key for curve in curves])}, inputs on the device; medians of "
        f"{processes} fresh processes for each model and batch size, with their range where five or more ran. The "
        "peak is the best of the batch sizes tried, told where five or more processes timed each: the best of "
        f"several is a little too high by choice alone. Within {_WITHIN} of the peak, by the medians."
    )
    return Section(heading, text, batch_table(study), (_batch_figure(study),))


def batch_table(study: Study) -> Table | None:
    """One row per model and resolution, a column per batch size that several of them have."""
    curves = sorted(study.speed.curves, key=lambda curve: model_order(study, curve.key))
    points = {id(curve): {point.batch_size: point for point in curve.points} for curve in curves}
    sizes = sorted({size for own in points.values() for size in own})
    # Of at least half of the curves: the largest that fits differs from model to model.
    shared = [size for size in sizes if 2 * sum(size in own for own in points.values()) >= len(curves)]

    def rate(curve: BatchCurve, batch: int, notes: Notes) -> Cell:
        point = points[id(curve)].get(batch)
        if point is None:
            return missing_cell(study, notes, "speed", curve.key, batch)
        return timed_cell(point.rate, point.cell_ids)

    def known(curve: BatchCurve) -> bool:
        return curve.processes >= PROCESSES_FOR_INTERVAL

    def peak(curve: BatchCurve, notes: Notes) -> Cell:
        return timed_cell(curve.peak.rate, curve.peak.cell_ids) if known(curve) else notes.missing(few)

    def open_end(curve: BatchCurve) -> str | None:
        return "the largest that was timed: a larger one may be faster yet" if curve.is_open_ended else None

    few = "fewer than five processes at some batch size: no peak is told"
    columns: list[ColumnSpec[BatchCurve]] = [
        *keyed_columns(study),
        *each(shared, lambda batch: f"Batch {whole(batch)} [img/s]", rate),
        ColumnSpec("Peak [img/s]", peak),
        number("at batch", lambda curve: curve.peak.batch_size if known(curve) else None, whole, missing=few,
               note=open_end),
        number(f"Within {_WITHIN} of the peak from batch", lambda curve: curve.near_from if known(curve) else None,
               whole, missing=few),
    ]  # fmt: skip
    return make_table("batch_sizes", curves, columns)


def _batch_figure(study: Study) -> FigureSpec:
    """Images per second against batch size, both on logarithmic axes, a panel for each resolution."""
    curves = study.speed.curves
    sizes = sorted({(curve.key.device, curve.key.resolution_px) for curve in curves})[:MOST_PANELS]
    devices = {device for device, _ in sizes}
    panels = tuple(
        Panel(
            f"{pixels} px{f', {device}' if len(devices) > 1 else ''}",
            "Batch size [images], log",
            "Throughput [img/s], log",
            lines=_curves_at(study, device, pixels),
            log_base=2,
            log_y=True,
        )
        for device, pixels in sizes
    )
    caption = (
        "**Throughput against batch size**, both axes logarithmic, one line per model; bars: range over "
        f"processes. Measured here: {conditions_words(study, [curve.key for curve in curves])}."
    )
    return FigureSpec("throughput_vs_batch", "Images per second against batch size, a line per model", caption, panels)


def _curves_at(study: Study, device: str, pixels: int) -> tuple[Line, ...]:
    found = [curve for curve in study.speed.curves if (curve.key.device, curve.key.resolution_px) == (device, pixels)]
    return lines(study, ((curve.key, point.batch_size, point.rate) for curve in found for point in curve.points))


def largest_section(study: Study) -> Section:
    """The searches for the largest batch: what was found, within which limit, what stopped them; empty without."""
    found = study.speed.largest
    heading = "The largest batch that fits"
    if not found:
        return Section(heading)
    limits = []
    if any(one.budget_mib is not None for one in found):
        limits.append(
            "On a CPU a batch fits if the process grows by no more than the stated budget, freed memory being handed "
            "back at once: the machine's own memory would say more of the machine than of the model."
        )
    if any(one.budget_mib is None for one in found):
        limits.append("On a GPU it fits if it runs; the limit is what was free on the device before the first try.")
    if len(limits) > 1:
        limits.append("The two are not comparable with each other.")
    text = (
        f"Measured here: {conditions_words(study, [one.key for one in found])}; inference. Every try had a fresh "
        "process and stands in the records. The answer is exact to 5 % or one image: the next refused batch is no "
        f"larger than that. {' '.join(limits)}"
    )
    return Section(heading, text, _largest_table(study))


def _largest_table(study: Study) -> Table | None:
    """One row per search."""

    def ids(one: LargestBatch) -> Records:
        return (one.cell_id,)

    def limit(one: LargestBatch, notes: Notes) -> Cell:
        mark = notes.number("budget of the process" if one.budget_mib is not None else "free on the device")
        if one.limit_mib is None:
            return Cell("n/a", mark=mark)
        return Cell(whole(one.limit_mib), one.limit_mib, ids(one), mark=mark)

    def peak_mib(one: LargestBatch) -> float | None:
        return one.peak_mib if one.largest > 0 else None

    def per_image(one: LargestBatch) -> float | None:
        return None if one.peak_mib is None or not one.largest else one.peak_mib / one.largest

    def error(one: LargestBatch) -> str | None:
        return escape(one.reason) if one.stopped_by == "error" else None

    columns: list[ColumnSpec[LargestBatch]] = [
        *keyed_columns(study),
        ColumnSpec("Limit [MiB]", limit),
        ColumnSpec("Largest batch", lambda one, notes: largest_cell(study, one.key, one, notes)),
        number("Memory at it [MiB]", peak_mib, bare_rate, records=ids),
        number("Memory per image [MiB]", per_image, digits(3), records=ids),
        number("Next refused", lambda one: one.smallest_refused, whole, records=ids),
        words("Stopped by", lambda one: f"the cap of {whole(one.cap)}" if one.stopped_by == "cap" else one.stopped_by,
              note=error),
        number("Tries", lambda one: one.tries, str, records=ids),
    ]  # fmt: skip
    ordered = sorted(study.speed.largest, key=lambda one: (model_order(study, one.key), one.budget_mib or 0))
    return make_table("largest_batches", ordered, columns)


def training_section(study: Study) -> Section:
    """Training steps beside inference at the same batch size; empty unless one was timed or weighed."""
    steps = study.speed.training
    heading = "Training steps"
    if not steps:
        return Section(heading)
    timed = [step for step in steps if step.rate is not None]
    processes = f"{span({step.processes for step in timed})} fresh processes for each model, " if timed else ""
    text = (
        f"Measured here: {conditions_words(study, [step.key for step in steps])}; {processes}one step being forward, "
        "backward and SGD with momentum on images that are on the device already, without data loading or "
        "augmentation. Medians over processes, with their range where five or more ran. Times the inference: time of a "
        "training step over that of an inference at the same batch size, process by process; training compute is "
        "counted as 3 times the forward pass's, which time need not follow."
    )
    figure = _training_figure(study)
    return Section(heading, text, _training_table(study), (figure,) if figure else ())


def _training_table(study: Study) -> Table | None:
    """One row per model and batch size."""

    def training_rate(step: TrainingStep, notes: Notes) -> Cell:
        if step.rate is None:
            return missing_cell(study, notes, "training_step", step.key, step.batch_size)
        return timed_cell(step.rate, step.cell_ids, mark=None if step.is_settled else notes.number(UNSETTLED))

    def inference_rate(step: TrainingStep, notes: Notes) -> Cell:
        if step.inference is None:
            return missing_cell(study, notes, "speed", step.key, step.batch_size)
        return timed_cell(step.inference, step.inference_ids)

    def times(step: TrainingStep, _: Notes) -> Cell:
        return DASH if step.times is None else times_cell(step.times, (*step.cell_ids, *step.inference_ids))

    def memory(step: TrainingStep, task: str, notes: Notes) -> Cell:
        weighed = step.inference_memory if task == "memory" else step.memory
        if weighed is None:
            return missing_cell(study, notes, task, step.key, step.batch_size)
        text = "growth of the process on a CPU" if weighed.kind == "process" else "allocated on the device"
        if weighed.kind == "process" and task == "training_memory":
            text += ", freed memory handed back at once"
        mark = notes.number(f"{text}, one process, in a pass of its own")
        return Cell(significant(weighed.peak_mib, 3), weighed.peak_mib, weighed.cell_ids, mark=mark)

    columns: list[ColumnSpec[TrainingStep]] = [
        *keyed_columns(study),
        condition("Batch", lambda step: step.batch_size, whole),
        ColumnSpec("Training step [img/s]", training_rate),
        ColumnSpec("Inference [img/s]", inference_rate),
        ColumnSpec("Times the inference", times),
    ]
    if any(step.memory for step in study.speed.training):
        columns += [
            ColumnSpec("Training memory [MiB]", lambda step, notes: memory(step, "training_memory", notes)),
            ColumnSpec("Inference memory [MiB]", lambda step, notes: memory(step, "memory", notes)),
        ]
    steps = sorted(study.speed.training, key=lambda step: (model_order(study, step.key), step.batch_size))
    return make_table("training_steps", steps, columns)


def _training_figure(study: Study) -> FigureSpec | None:
    """Training steps against inference, images per second on both axes; a panel for each device."""
    steps = [(step, step.rate, step.inference) for step in study.speed.training if step.rate and step.inference]
    if not steps:
        return None
    keys = [step.key for step, *_ in steps]
    several = len({(step.key.resolution_px, step.batch_size) for step, *_ in steps}) > 1
    points: dict[str, list[Point]] = {}
    for step, rate, inference in steps:
        where = f" {step.key.resolution_px} px, batch {step.batch_size}" if several else ""
        label, family = f"{series_label(study, step.key)}{where}", identity_of(study, step.key).family
        point = Point(
            inference.median, rate.median, family, label, bar_of(rate.interval), x_bar=bar_of(inference.interval)
        )
        points.setdefault(step.key.device, []).append(point)
    panels = tuple(
        Panel(
            f"Training step and inference{f', {device}' if len(points) > 1 else ''}",
            "Inference [img/s], log",
            "Training step [img/s], log",
            points=tuple(points[device]),
            log_y=True,
        )
        for device in sorted(points)
    )
    caption = (
        "**Training steps against inference** at the same batch size, both axes logarithmic; right and up is better; "
        f"bars: range over processes. Measured here: {conditions_words(study, keys)}, batch "
        f"{span({step.batch_size for step, *_ in steps})}."
    )
    return FigureSpec("training_vs_inference", "Training images per second against inference", caption, panels)
