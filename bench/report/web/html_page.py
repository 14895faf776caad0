"""A report as one self-contained page: plot, sortable tables, figures and texts, with all scripts and data inside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache, partial
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from bench.report.document import LEGEND, Document
from bench.report.web.payload import RecordIndex, packed, plot_payload, table_entries
from bench.report.web.plot_data import Plot
from bench.store.record import Record

_HERE = Path(__file__).parent
_SCRIPTS = ("format.js", "records.js", "tables.js", "plot_fronts.js", "plot_words.js", "plot.js", "start.js")
MOST_BYTES = 5_900_000  # of a page with its figures inside; 4.8 MB are plotly


def html_page(document: Document, plot: Plot | None, records: Sequence[Record], figures: Mapping[str, bytes]) -> str:
    """The whole page. records: those that its tables and its plot name. figures: file name -> content, of at least
    the PNG of each figure in the document.

    Texts of records are escaped where they are put in, and the page's policy lets no script but its own run and
    nothing be fetched.
    """
    index, sources = RecordIndex(), dict[str, int]()
    payload = None if plot is None else plot_payload(plot, index)
    entries = {table.name: table_entries(table, index, sources) for table in document.tables}
    data = packed({"plot": payload, "tables": entries, "records": index.described(records), "sources": list(sources)})
    scripts = [script for script in (_plotly() if plot is not None else "", _own_script()) if script]
    environment = _environment()
    body = partial(
        environment.get_template("body.html").render,
        document=document,
        sections=[section for section in document.sections if not section.is_empty],
        plot=payload,
        axis_groups=[
            (group, list(axes)) for group, axes in groupby(plot.axes if plot else (), lambda axis: axis.group)
        ],
        legend=LEGEND,
    )
    taken = sum(len(part.encode()) for part in (body(images={}), data, *scripts))
    return environment.get_template("page.html").render(
        title=f"{document.suite} – ViT against CNNs",
        policy=_policy(scripts),
        style=Markup(_file("page.css")),
        body=Markup(body(images=_embedded(document, figures, MOST_BYTES - taken))),
        data=data,
        scripts=[Markup(script) for script in scripts],
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "markdown": markdown_html,
        "inline": inline_html,
        "plain": lambda text: inline_html(text).striptags(),
    }
    return environment


@cache
def _renderer() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def markdown_html(text: str) -> Markup:
    """Markdown as HTML: what our texts use and tables. HTML in it stays text, and links to scripts stay text."""
    html = _renderer().render(text)
    # a wide table scrolls in a box of its own, and not the page
    opened = '<div class="table-box" tabindex="0" role="group" aria-label="Table"><table>'
    return Markup(html.replace("<table>", opened).replace("</table>", "</table></div>"))


def inline_html(text: str) -> Markup:
    """One line of Markdown as HTML without a paragraph around it."""
    return Markup(_renderer().renderInline(text))


def _embedded(document: Document, figures: Mapping[str, bytes], room: int) -> dict[str, str]:
    """Figure name -> its PNG as an address of data, as many as the room in bytes allows; the page links to the rest."""
    images = {}
    for figure in document.figures:
        address = f"data:image/png;base64,{base64.b64encode(figures[f'{figure.name}.png']).decode()}"
        if len(address) <= room:
            images[figure.name] = address
            room -= len(address)
    return images


def _file(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


@cache
def _own_script() -> str:
    return '"use strict";\n' + "\n".join(_file(name) for name in _SCRIPTS)


@cache
def _plotly() -> str:
    """Plotly's own script, as its Python package carries it."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _policy(scripts: Sequence[str]) -> str:
    """The page's Content-Security-Policy: these scripts alone, and nothing from anywhere."""
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
