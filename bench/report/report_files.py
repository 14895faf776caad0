"""Every written page, with its figures and a CSV beside each table. The only code that writes under `reports/`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from bench.analyse.claims.verdicts import JudgedClaim
from bench.analyse.compare.against import Against
from bench.analyse.study import Study, study
from bench.errors import StoreError
from bench.number_format import listed
from bench.report.contents import report_document
from bench.report.document import FINDING, figures_markdown, markdown_page
from bench.report.figures.figure_files import draw_all
from bench.report.public.page import SuitePage, public_page
from bench.report.sections.claims_page import HEADING as CLAIMS_HEADING
from bench.report.sections.claims_page import claims_page, claims_table, evidence_table
from bench.report.sections.inspect_section import inspect_section
from bench.report.sections.inspected import seen_models
from bench.report.tables.sidecar import TABLES, table_csv
from bench.report.tables.table import Table, render_table
from bench.report.web.html_page import html_page
from bench.report.web.points import study_plot
from bench.store.correctness import Predictions
from bench.store.inspections import Inspection
from bench.store.record import Record
from bench.text import bullets, escape, fenced, joined
from bench.whole_files import write_whole

PAGE = "index.html"  # built, not committed: most of it is plotly
CLAIMS_PAGE = "claims.md"
# Suites whose report is a page of its own. It is made from no record too: what it rests on first is in the catalog.
SUITE_PAGES: Mapping[str, Callable[[Study], SuitePage]] = {"public": lambda analysed: public_page(analysed.public)}
# What the index answers first, each by the first of these suites that has a report.
ANSWERS = (
    ("What does a model cost?", ("paper-compute",)),
    ("Which public checkpoint is the most accurate for its cost?", ("public",)),
    ("Trained here from scratch, at equal compute, which family is ahead?", ("fashion-desk", "pocket")),
)


def write_report(
    suite_name: str,
    records: Sequence[Record],
    predictions: Predictions,
    *,
    question: str,
    out: Path,
    rebuild_command: str,
    warnings: Sequence[str] = (),
    shipped: Sequence[Record] = (),
    run_summary: Mapping[str, Any] | None = None,
    against: Against | None = None,
    inspections: Sequence[Inspection] = (),
    analysed: Study | None = None,
    helper: Executor | None = None,
) -> Path:
    """Write `<out>/<suite>/report.md`, its figures and tables, and `index.html` beside it; returns the first's path.

    analysed: the study of these records, where the caller has made it already. helper: `second_process`'s.

    The same records give the same bytes (of `index.html`, with the same version of plotly). Each file is written
    under a temporary name and renamed; files of an earlier report that this one lacks are removed. Raises StoreError
    when the folder cannot be written.
    """
    analysed = analysed or study(suite_name, records, predictions)
    page = SUITE_PAGES[suite_name](analysed) if suite_name in SUITE_PAGES else None
    document = report_document(
        analysed,
        question=question,
        rebuild_command=rebuild_command,
        warnings=warnings,
        shipped=shipped,
        run_summary=run_summary,
        against=against,
        inspections=inspections,
        page=page,
    )
    plot = study_plot(analysed) if page is None else page.plot
    folder = out / suite_name
    with _told_if_unwritable("Report", folder):
        figures = draw_all(document.figures, helper)
        write_folder(folder / "figures", figures, ("*.png", "*.svg"))
        write_folder(folder / TABLES, _sidecars(document.tables), ("*.csv",))
        for name, content in document.files.items():
            write_whole(folder / name, content, durable=False)
        write_whole(folder / "report.md", markdown_page(document), durable=False)
        write_whole(folder / PAGE, html_page(document, plot, analysed.records, figures), durable=False)
    return folder / "report.md"


def _sidecars(tables: Iterable[Table]) -> dict[str, str]:
    return {f"{table.name}.csv": table_csv(table) for table in tables}


@contextlib.contextmanager
def _told_if_unwritable(what: str, place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{what} '{place}' cannot be written: {error.strerror or error}.") from None


def write_claims(out: Path, judged: Sequence[JudgedClaim], suites: Sequence[str], *, rebuild_command: str) -> Path:
    """Write `<out>/claims.md`, what the records of these suites say of every claim; returns the page's path."""
    with _told_if_unwritable("Claims page", out):
        write_folder(out / TABLES, _sidecars((claims_table(judged), evidence_table(judged))), ("*.csv",))
        write_whole(out / CLAIMS_PAGE, claims_page(judged, suites, rebuild_command), durable=False)
    return out / CLAIMS_PAGE


def write_index(out: Path) -> Path:
    """Write `<out>/README.md`: the answers, then every other report under `out`; returns the page's path."""
    written = {path.parent.name: path for path in sorted(out.glob("*/report.md"))}
    questions = {name: question for question, suites in ANSWERS for name in [s for s in suites if s in written][:1]}
    blocks = ["# Reports", "Each page is rebuilt from stored records; its last section says by which command."]
    if (out / CLAIMS_PAGE).exists():
        blocks.append(f"What all of them say of the ViT paper's claims: [{CLAIMS_HEADING}]({CLAIMS_PAGE}).")
    for name, question in questions.items():
        title, found, figure = _first_screen(written[name])
        blocks += [f"## {question}", f"{found} More: [{title}]({name}/report.md).", figure]
    for name in written:
        if name not in questions:
            title, found, _ = _first_screen(written[name])
            blocks += [f"## [{title}]({name}/report.md)", found]
    with _told_if_unwritable("Report index", out):
        write_whole(out / "README.md", joined(blocks), durable=False)
    return out / "README.md"


def _first_screen(report: Path) -> tuple[str, str, str]:
    """Title, finding and first figure of a page, in Markdown for a page one folder higher."""
    lines = report.read_text(encoding="utf-8").splitlines()
    title, found, figure = (
        next((line.removeprefix(start) for line in lines if line.startswith(start)), "")
        for start in ("# ", FINDING, "![")
    )
    return (
        title or escape(report.parent.name),
        found,
        f"![{figure.replace('](', f']({report.parent.name}/', 1)}" if figure else "",
    )


def write_folder(folder: Path, files: Mapping[str, str | bytes], ours: Sequence[str]) -> None:
    """Make the folder hold these files and no other of our kinds; an empty folder is removed."""
    for name, content in files.items():
        write_whole(folder / name, content, durable=False)
    for pattern in ours:
        for path in folder.glob(pattern):
            if path.name not in files:
                path.unlink()
    if not files:
        with contextlib.suppress(OSError):
            folder.rmdir()


_CONDITIONS = ("device", "cpu_model", "threads", "python", "torch", "timm", "numpy", "package", "git_commit")


def write_inspect_page(inspections: Sequence[Inspection], *, out: Path, rebuild_command: str) -> Path:
    """Write `<out>/inspect.md` with its figures and table; returns the page's path.

    The same inspections give the same bytes. Figures of an earlier page that this one lacks are removed.
    """
    section = inspect_section(inspections)
    assert section.table is not None, "a page is of at least one inspection"
    titles = listed(escape(model.facts.title) for model in seen_models(inspections))
    page = joined(
        [
            f"# What {titles} see{'s' if len(seen_models(inspections)) == 1 else ''}",
            section.text,
            render_table(section.table),
            section.below,
            *figures_markdown(section.figures),
            "## Conditions",
            _conditions(inspections),
            "## Make this page again",
            fenced(rebuild_command),
            "The arrays behind the figures lie beside the page or in the results folder, as "
            "`inspections/<id>.npz` with their facts in `<id>.json`; ids are in [`tables/inspections.csv`]"
            "(tables/inspections.csv).",
        ]
    )
    with _told_if_unwritable("Page", out):
        write_folder(out / "figures", draw_all(section.figures), ("inspect_*.png", "inspect_*.svg"))
        write_folder(out / TABLES, _sidecars([section.table]), ("inspections.csv",))
        write_whole(out / "inspect.md", page, durable=False)
    return out / "inspect.md"


def _conditions(inspections: Sequence[Inspection]) -> str:
    """What the numbers were computed with; every value that occurs."""
    lines = []
    for key in _CONDITIONS:
        values = dict.fromkeys(str(one.facts.conditions[key]) for one in inspections if key in one.facts.conditions)
        if values:
            lines.append(f"{key.replace('_', ' ')}: {escape(listed(values))}")
    return bullets(lines)
