"""Figures as files, drawn by two processes where there is much to draw."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

from bench.report.figure_parts import FigureSpec
from bench.report.panels import draw_panels
from bench.report.style import figure_style, save_figure

MANY_RECORDS = 3_000  # from here on, drawing takes longer than starting a second process


@contextmanager
def second_process(records: int) -> Iterator[Executor | None]:
    """A process that draws beside this one; None for few records. It loads what it needs while others work."""
    if records < MANY_RECORDS:
        yield None
        return
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as helper:
        helper.submit(drawn_files, ())
        yield helper


def draw_all(figures: Sequence[FigureSpec], helper: Executor | None = None) -> dict[str, bytes]:
    """The files of these figures: file name -> content, PNG and SVG; the same bytes whoever draws them."""
    if helper is None:
        return drawn_files(figures)
    ordered = sorted(figures, key=_work, reverse=True)
    theirs = helper.submit(drawn_files, ordered[1::2])
    files = drawn_files(ordered[::2])
    return files | theirs.result()


def _work(figure: FigureSpec) -> int:
    return sum(len(panel.points) + sum(len(line.points) for line in panel.lines) for panel in figure.panels)


def drawn_files(figures: Sequence[FigureSpec]) -> dict[str, bytes]:
    """The files of these figures, drawn here."""
    with tempfile.TemporaryDirectory(prefix="vitbench-figures-") as scratch:
        for figure in figures:
            with figure_style():
                save_figure(draw_panels(figure.panels), Path(scratch), figure.name)
        return {path.name: path.read_bytes() for path in sorted(Path(scratch).iterdir())}
