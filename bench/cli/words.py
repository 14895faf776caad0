"""Short texts for cells, results and tables on a terminal."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bench.catalog.image_tasks import image_tasks
from bench.store.record import Record
from bench.suite.cell import parse_cell
from bench.suite.planning_context import stand_ins
from bench.suite.spec import Suite
from bench.suite.tasks import task_of


def describe_result(record: Record) -> str:
    """A finished cell and its first number, or why there is none."""
    cell = record.asked or parse_cell(record.cell)
    task = task_of(cell)
    what = task.describe(cell)
    if record.status != "ok":
        return f"{record.status}: {what}: {record.reason}"
    return f"{what}: {task.summarise(record.values, record.wall_s)}"


def stand_in_lines(suite: Suite, used: Collection[str]) -> list[str]:
    """What stands in for sets that the suite would rather have, a line each. used: the sets that cells name."""
    tasks = image_tasks()
    return [
        f"'{taken}' stands in for '{wanted}', whose images were not found. "
        f"{tasks[wanted].how_to_get if wanted in tasks else f'--data {wanted}=PLACE says where they are.'}"
        for wanted, taken in stand_ins(suite, used).items()
    ]


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Columns padded with spaces; `right` names the columns that are right-aligned."""
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [c.rjust(widths[i]) if i in right else c.ljust(widths[i]) for i, c in enumerate(cells)]
        return "  ".join(padded).rstrip()

    return "\n".join([line(header), "  ".join("-" * width for width in widths), *map(line, rows)])


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.1 h` or `12 days`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 100 * 3600 else f"{seconds / 86_400:.0f} days"
