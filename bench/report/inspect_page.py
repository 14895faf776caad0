"""`inspect.md`: the page that `vitbench inspect` writes, of inspections that belong to no suite."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.errors import StoreError
from bench.report.formats import listed
from bench.report.inspect_section import inspect_section
from bench.report.inspected import seen_models
from bench.report.markdown import bullets, escape, fenced, joined, render_table
from bench.report.markdown_page import pictures_markdown
from bench.report.page import write_folder, write_whole
from bench.report.pictures import picture_files
from bench.report.sidecar import TABLES, table_csv
from bench.store.inspections import Inspection

_CONDITIONS = ("device", "cpu_model", "threads", "python", "torch", "timm", "numpy", "package", "git_commit")


def write_inspect_page(inspections: Sequence[Inspection], *, out: Path, rebuild_command: str) -> Path:
    """Write `<out>/inspect.md` with its figures and table; returns the page's path.

    The same inspections give the same bytes. Figures of an earlier page that this one lacks are removed. Raises
    StoreError when the folder cannot be written.
    """
    section = inspect_section(inspections)
    assert section.table is not None, "a page is of at least one inspection"
    files = {name: content for picture in section.pictures for name, content in picture_files(picture).items()}
    titles = listed(escape(model.facts.title) for model in seen_models(inspections))
    page = joined(
        [
            f"# What {titles} see{'s' if len(seen_models(inspections)) == 1 else ''}",
            section.text,
            render_table(section.table),
            section.below,
            *pictures_markdown(section.pictures),
            "## Conditions",
            _conditions(inspections),
            "## Make this page again",
            fenced(rebuild_command),
            "The arrays behind the figures lie beside the page or in the results folder, as "
            "`inspections/<id>.npz` with their facts in `<id>.json`; ids are in [`tables/inspections.csv`]"
            "(tables/inspections.csv).",
        ]
    )
    try:
        write_folder(out / "figures", files, ("inspect_*.png", "inspect_*.svg"))
        write_folder(out / TABLES, {f"{section.table.name}.csv": table_csv(section.table)}, ("inspections.csv",))
        write_whole(out / "inspect.md", page)
    except OSError as error:
        raise StoreError(f"Page '{out}' cannot be written: {error.strerror or error}.") from None
    return out / "inspect.md"


def _conditions(inspections: Sequence[Inspection]) -> str:
    """What the numbers were computed with; every value that occurs."""
    lines = []
    for key in _CONDITIONS:
        values = dict.fromkeys(str(one.facts.conditions[key]) for one in inspections if key in one.facts.conditions)
        if values:
            lines.append(f"{key.replace('_', ' ')}: {escape(listed(values))}")
    return bullets(lines)
