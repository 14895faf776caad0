"""A report as one page of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bench.report.markdown import escape, fenced, joined, render_table
from bench.report.pictures import Picture
from bench.report.section import Document, Section

FINDING = "**Finding.** "
LEGEND = (
    "Numbers are of three kinds and each says which: *published* (a paper's or timm's), *public stand-in* (weights "
    "that others released under a system's name), *measured here* (and *counted* or *computed* here)."
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
    for figure in section.figures:
        blocks.append(f"![{figure.alternative}](figures/{figure.name}.png)")
        blocks.append(f"{figure.caption} [SVG](figures/{figure.name}.svg)")
    return joined([*blocks, *pictures_markdown(section.pictures)])


def pictures_markdown(pictures: Iterable[Picture]) -> Iterator[str]:
    """Figures made of pixels: each an image and its caption."""
    for picture in pictures:
        yield f"![{picture.alternative}](figures/{picture.name}.png)"
        yield f"{picture.caption} [SVG](figures/{picture.name}.svg)" if picture.is_vector else picture.caption
