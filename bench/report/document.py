"""A report before it is rendered, its sections of text, tables and figures; and the same as one page of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from bench.report.figures.figure_files import Figure
from bench.report.tables.table import Table, render_table
from bench.text import escape, fenced, joined


@dataclass(frozen=True)
class Section:
    """A heading with text, a table, more text and figures under it; any of them may be missing. Texts are Markdown."""

    heading: str
    text: str = ""
    table: Table | None = None
    figures: tuple[Figure, ...] = ()
    below: str = ""  # under the table

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show under the heading."""
        return not (self.table or self.figures or self.text or self.below)


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
    files: Mapping[str, str] = field(default_factory=dict)  # further ones beside the page: name -> content

    @property
    def tables(self) -> list[Table]:
        """All tables, in their order."""
        return [section.table for section in self.sections if section.table is not None]

    @property
    def figures(self) -> list[Figure]:
        """All figures, in their order."""
        return [figure for section in self.sections for figure in section.figures]


FINDING = "**Finding.** "
LEGEND = (
    "Numbers are of four kinds and each says which: *published* (a paper's or timm's), *public stand-in* (weights "
    "that others released under a system's name), *measured here* (and *counted* or *computed* here), and *estimated* "
    "from what was measured here."
)


def markdown_page(document: Document) -> str:
    """The whole page; figures and tables are links to the files that lie beside it."""
    return joined(
        [
            f"# {document.title}",
            f"*{escape(document.question)}*" if document.question else "",
            FINDING + document.finding,
            *document.warnings,
            *(_render_section(section) for section in document.sections),
            "## Rebuild this page",
            fenced(document.rebuild_command),
            f"{LEGEND} Each table stands as CSV in [`tables/`](tables) with unrounded values and the ids of the "
            "records behind every number; each figure also as SVG in [`figures/`](figures)."
            if document.tables
            else LEGEND,
        ]
    )


def _render_section(section: Section) -> str:
    if section.is_empty:
        return ""
    table = render_table(section.table) if section.table is not None and section.table.rows else ""
    blocks = [f"## {section.heading}" if section.heading else "", section.text, table, section.below]
    return joined([*blocks, *figures_markdown(section.figures)])


def figures_markdown(figures: Iterable[Figure]) -> Iterator[str]:
    """Each figure as an image and its caption."""
    for figure in figures:
        yield f"![{figure.alternative}](figures/{figure.name}.png)"
        yield f"{figure.caption} [SVG](figures/{figure.name}.svg)" if figure.has_svg else figure.caption
