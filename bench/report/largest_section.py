"""The searches for the largest batch: what was found, within which limit, what stopped them, in how many tries."""

from __future__ import annotations

from bench.analyse.speed_study import LargestBatch
from bench.analyse.study import Study
from bench.markdown_text import escape
from bench.report.document import Section
from bench.report.formats import bare_rate, fixed, significant
from bench.report.resolution_section import largest_cell
from bench.report.speed_series import conditions_words, model_order, resolution_label
from bench.report.table import Cell, Column, Notes, Table


def largest_section(study: Study) -> Section | None:
    """None unless a search was made."""
    found = study.speed.largest
    if not found:
        return None
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
    return Section("The largest batch that fits", text, largest_table(study))


def largest_table(study: Study) -> Table:
    """One row per search."""
    notes = Notes()
    heads = (
        Column("Model", is_number=False),
        Column("Res. [px]"),
        Column("Limit [MiB]"),
        Column("Largest batch"),
        Column("Memory at it [MiB]"),
        Column("Memory per image [MiB]"),
        Column("Next refused"),
        Column("Stopped by", is_number=False),
        Column("Tries"),
    )
    ordered = sorted(study.speed.largest, key=lambda one: (model_order(study, one.key), one.budget_mib or 0))
    rows = tuple(_row(study, one, notes) for one in ordered)
    return Table("largest_batches", heads, rows, tuple(notes.texts))


def _row(study: Study, one: LargestBatch, notes: Notes) -> tuple[Cell, ...]:
    ids = (one.cell_id,)
    kind = "budget of the process" if one.budget_mib is not None else "free on the device"
    limit = Cell("n/a") if one.limit_mib is None else Cell(fixed(one.limit_mib, 0), one.limit_mib, ids)
    known = one.peak_mib is not None and one.largest > 0
    each = (one.peak_mib or 0.0) / max(one.largest, 1)
    why = notes.number(escape(one.reason)) if one.stopped_by == "error" and one.reason else None
    return (
        resolution_label(study, one.key),
        Cell(str(one.key.resolution_px), one.key.resolution_px),
        Cell(limit.text, limit.value, limit.records, mark=notes.number(kind)),
        largest_cell(study, one.key, one, notes),
        Cell(bare_rate(one.peak_mib or 0.0), one.peak_mib, ids) if known else Cell("–"),
        Cell(significant(each, 3), each, ids) if known else Cell("–"),
        Cell("–") if one.smallest_refused is None else Cell(fixed(one.smallest_refused, 0), one.smallest_refused, ids),
        Cell(f"the cap of {fixed(one.cap, 0)}" if one.stopped_by == "cap" else one.stopped_by, mark=why),
        Cell(str(one.tries), one.tries, ids),
    )
