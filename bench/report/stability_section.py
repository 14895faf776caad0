"""The section on timings to distrust: one row per warning, with where it was seen and what to try."""

from __future__ import annotations

from collections import defaultdict

from bench.analyse.stability import Check, Doubt
from bench.analyse.study import Study
from bench.report.document import Section
from bench.report.formats import fixed
from bench.report.table import Cell, Column, Table

HEADING = "Timings to distrust"
_TEXT = (
    "Warnings about how timings were taken; no number was changed or left out for them. *Processes*: those that the "
    "warning is about, of all in the measurements named."
)
_MOST_NAMED = 6


def stability_section(study: Study) -> Section:
    """The section; empty where no check fires."""
    by_check: dict[Check, list[Doubt]] = defaultdict(list)
    for doubt in study.doubts:
        by_check[doubt.check].append(doubt)
    if not by_check:
        return Section(HEADING)
    heads = (Column("What was seen", is_number=False), Column("Where", is_number=False), Column("Processes"),
             Column("Worst", is_number=False), Column("What to try", is_number=False))  # fmt: skip
    rows = tuple(_row(check, found, study) for check, found in by_check.items())
    return Section(HEADING, _TEXT, Table("timings_to_distrust", heads, rows))


def _row(check: Check, found: list[Doubt], study: Study) -> tuple[Cell, ...]:
    names = list(dict.fromkeys(_where(doubt, study) for doubt in found))
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    ids = tuple(cell_id for doubt in found for cell_id in doubt.cell_ids)
    processes, of_all = sum(doubt.processes for doubt in found), sum(doubt.of_processes for doubt in found)
    worst = max(doubt.worst for doubt in found)
    return (
        Cell(check.message[0].upper() + check.message[1:]),
        Cell(", ".join(names[:_MOST_NAMED]) + more),
        Cell(f"{fixed(processes, 0)} of {fixed(of_all, 0)}", processes, ids),
        Cell(check.words(worst), worst, ids),
        Cell(check.advice),
    )


def _where(doubt: Doubt, study: Study) -> str:
    """The model's title, with batch and resolution where the study has several, and which of its timings."""
    several = len({(one.batch_size, one.key.resolution_px) for one in study.speeds}) > 1
    title = next((row.identity.title for row in study.rows if row.key.model == doubt.model), doubt.model)
    words = [f"{doubt.resolution_px} px, batch {doubt.batch_size}"] if several else []
    words += ["best settings"] if doubt.is_best else []
    return f"{title} ({', '.join(words)})" if words else title
