"""The parts of a report, before they are rendered: sections of text, tables and figures, and the document they make."""

from __future__ import annotations

from dataclasses import dataclass

from bench.report.figures import FigureSpec
from bench.report.markdown import Table
from bench.report.pictures import Picture


@dataclass(frozen=True)
class Section:
    """A heading with text, a table, more text and figures under it; any of them may be missing. Texts are Markdown."""

    heading: str
    text: str = ""
    table: Table | None = None
    figures: tuple[FigureSpec, ...] = ()
    below: str = ""  # under the table
    pictures: tuple[Picture, ...] = ()  # figures made of pixels, after the others

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show under the heading."""
        return not (self.table or self.figures or self.text or self.below or self.pictures)


@dataclass(frozen=True)
class Document:
    """A report before it is rendered as Markdown or as a page; sections without content are skipped."""

    suite: str  # plain
    title: str  # Markdown
    question: str  # plain; empty where there is none
    finding: str  # Markdown
    warnings: tuple[str, ...]  # Markdown, each a paragraph of the first screen
    sections: tuple[Section, ...]  # the first is the first screen and has no heading
    rebuild_command: str  # plain

    @property
    def tables(self) -> list[Table]:
        """All tables, in their order."""
        return [section.table for section in self.sections if section.table is not None]

    @property
    def figures(self) -> list[FigureSpec]:
        """All figures, in their order."""
        return [figure for section in self.sections for figure in section.figures]

    @property
    def pictures(self) -> list[Picture]:
        """All figures made of pixels, in their order."""
        return [picture for section in self.sections for picture in section.pictures]
