"""What a person sees while cells run: a progress bar in a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

from bench.analyse.speed.stability import SPREAD_CHECKS, measurement_of, warnings_of
from bench.cli.words import describe_result
from bench.store.record import Record
from bench.suite.cell import Cell
from bench.suite.tasks import describe_cell, is_timing


class TimingWarnings:
    """Remembers the timings of a run, so that processes of one model can be compared with one another."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, ...], list[Record]] = defaultdict(list)
        self._told: set[tuple[tuple[str, ...], str]] = set()

    def after(self, record: Record) -> list[str]:
        """What is to be said of this timing, and once of its model's processes together; nothing of other cells."""
        is_timed = record.task is not None and record.task.measures == "time" and record.status == "ok"
        if not is_timed or record.cell.get("role") == "trial":
            return []
        place = measurement_of(record)
        self._groups[place].append(record)
        together = [warning for warning in warnings_of(self._groups[place]) if warning.check in SPREAD_CHECKS]
        fresh = [warning for warning in together if (place, warning.check.field) not in self._told]
        self._told |= {(place, warning.check.field) for warning in fresh}
        return [f"Warning: {warning.sentence}" for warning in (*warnings_of([record]), *fresh)]


class PlainProgress:
    """One line per finished cell, and one per warning on a timing. err: on standard error, as warnings always are."""

    def __init__(self, *, err: bool = False) -> None:
        self._err = err
        self._warnings = TimingWarnings()
        self._done = self._total = 0
        self._started = time.monotonic()

    def planned(self, waiting: int, done: int) -> None:
        self._total = self._done + waiting
        typer.echo(f"{waiting} cells to run, {done} already in the store.", err=self._err)

    def started(self, cell: Cell) -> None:
        return

    def finished(self, record: Record) -> None:
        self._done += 1
        left = _left(self._started, self._done, self._total)
        typer.echo(f"[{self._done}/{self._total}, {left}] {describe_result(record)}", err=self._err)
        for warning in self._warnings.after(record):
            typer.echo(warning, err=True)

    def close(self) -> None:
        return


class BarProgress:
    """A bar with cells done, the cell under way and the time left; failures and warnings stay on the screen as lines.

    It is redrawn when a cell starts or ends and at no other time: a redraw timer would disturb what is timed.
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        self._warnings = TimingWarnings()
        whole = {"no_wrap": True, "overflow": "ignore"}  # a narrow terminal cuts the cell's name, not the numbers
        self._bar = Progress(
            BarColumn(bar_width=12),
            TextColumn("{task.fields[done]}", table_column=Column(min_width=7, **whole)),  # type: ignore[arg-type]
            TextColumn("{task.fields[left]}", table_column=Column(min_width=14, **whole)),  # type: ignore[arg-type]
            TextColumn(
                "{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")
            ),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
            expand=True,
        )
        self._task = self._bar.add_task("", total=None, done="", left="")
        self._started = time.monotonic()
        self._done = self._total = 0
        self._bar.start()

    def planned(self, waiting: int, done: int) -> None:
        self._total = self._done + waiting
        self._bar.console.print(f"{waiting} cells to run, {done} already in the store.")
        self._bar.update(self._task, total=self._total, done=self._fraction(), refresh=True)

    def started(self, cell: Cell) -> None:
        phase = "timing" if is_timing(cell) else "running"
        self._bar.update(self._task, description=f"{phase} {describe_cell(cell)}", refresh=True)

    def finished(self, record: Record) -> None:
        self._done += 1
        if record.status != "ok":
            self._bar.console.print(describe_result(record), markup=False, highlight=False)
        for warning in self._warnings.after(record):
            self._bar.console.print(warning, markup=False, highlight=False)
        left = _left(self._started, self._done, self._total)
        self._bar.update(self._task, completed=self._done, done=self._fraction(), left=left, refresh=True)

    def _fraction(self) -> str:
        return f"{self._done}/{self._total}"

    def close(self) -> None:
        self._bar.stop()


class LookProgress:
    """What a person sees while every image of a set of their own is looked at, before there is a plan.

    Called with images done and images in all, the last time with both equal. quiet: no line where there is no bar.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._bar: Progress | None = None
        self._quiet, self._begun = quiet, False

    def __call__(self, done: int, total: int) -> None:
        if not self._begun:
            self._begin(total)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, total=total)
        if done == total:
            self.close()

    def _begin(self, total: int) -> None:
        self._begun = True
        if not sys.stderr.isatty():
            if not self._quiet:
                typer.echo(f"Looking at every one of {total} images.", err=True)
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("images looked at,"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, TextColumn("left"), console=Console(stderr=True), transient=True)
        self._bar.add_task("", total=total)
        self._bar.start()

    def close(self) -> None:
        """Take the bar away, and be ready for the next set."""
        if self._bar is not None:
            self._bar.stop()
        self._bar, self._begun = None, False


def make_progress(*, err: bool = False) -> PlainProgress | BarProgress:
    """The bar when standard error is a terminal, plain lines otherwise. err: these on standard error too."""
    return BarProgress() if sys.stderr.isatty() else PlainProgress(err=err)


def _left(started: float, done: int, total: int) -> str:
    seconds = (time.monotonic() - started) / done * (total - done)
    return f"{seconds / 60:.0f} min left" if seconds >= 90 else f"{seconds:.0f} s left"
