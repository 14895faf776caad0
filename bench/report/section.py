"""One part of a page: a heading with text, a table and figures under it."""

from __future__ import annotations

from dataclasses import dataclass

from bench.report.figures import FigureSpec
from bench.report.markdown import Table


@dataclass(frozen=True)
class Section:
    """A heading with a table and a figure under it; any of them may be missing."""

    heading: str
    text: str = ""
    table: Table | None = None
    figures: tuple[FigureSpec, ...] = ()
