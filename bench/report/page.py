"""One report: the page, its figures, and a CSV beside every table. The only code that writes under `reports/`."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from bench.analyse.study import Study, study
from bench.errors import StoreError
from bench.report.best_settings_section import best_settings_section
from bench.report.figures import FigureSpec, all_figures
from bench.report.formats import span
from bench.report.markdown import escape, fenced, joined, render_table, table_csv
from bench.report.panels import draw_panels
from bench.report.preflight_section import preflight_warnings
from bench.report.published_tables import (
    complexity_table,
    scaling_table,
    shipped_table,
    sota_table,
    timm_table,
)
from bench.report.remarks import conditions_section, failures_section, failures_table, limits_section
from bench.report.section import Section
from bench.report.speed_sections import speed_sections
from bench.report.speed_tables import speed_table
from bench.report.stability_section import stability_section
from bench.report.style import figure_style, save_figure
from bench.report.tables import (
    budgets_table,
    families_table,
    learning_rates_table,
    main_table,
    main_table_caption,
    training_sizes_table,
)
from bench.report.weights_sections import weights_sections
from bench.report.wording import accuracy_conditions, finding, sizes_compute_words, speed_conditions, sweep_conditions
from bench.store.record import Record

_FINDING = "**Finding.** "
_LEGEND = (
    "Numbers are of three kinds and each says which: *published* (a paper's or timm's), *public stand-in* (weights "
    "that others released under a system's name), *measured here* (and *counted* or *computed* here)."
)


def write_report(
    suite_name: str,
    records: Sequence[Record],
    predictions: Callable[[str], pd.DataFrame | None],
    *,
    question: str,
    out: Path,
    rebuild_command: str,
    warnings: Sequence[str] = (),
    shipped: Sequence[Record] = (),
    run_summary: Mapping[str, Any] | None = None,
) -> Path:
    """Write `<out>/<suite>/report.md` with its figures and tables; returns the page's path.

    The same records give the same bytes. Each file is written under a temporary name and renamed; files of an
    earlier report that this one lacks are removed. Raises StoreError when the folder cannot be written.
    """
    analysed = study(suite_name, records, predictions)
    speed = speed_sections(analysed)
    drawn = (figure for section in speed for figure in section.figures)
    figures = {figure.name: figure for figure in (*all_figures(analysed), *drawn)}
    sections = _sections(analysed, figures, shipped, speed)
    tables = [section.table for section in sections if section.table is not None]
    if analysed.failures or analysed.left_out:
        tables.append(failures_table(analysed))
    page = _page(analysed, sections, question, rebuild_command, warnings, run_summary)
    folder = out / suite_name
    try:
        _write_figures(folder / "figures", [f for section in sections for f in section.figures])
        _write_folder(folder / "tables", {f"{table.name}.csv": table_csv(table) for table in tables}, ("*.csv",))
        _write_whole(folder / "report.md", page)
    except OSError as error:
        raise StoreError(f"Report '{folder}' cannot be written: {error.strerror or error}.") from None
    return folder / "report.md"


def write_index(out: Path) -> Path:
    """Write `<out>/README.md`: every report under `out` with its finding; returns the page's path."""
    blocks = ["# Reports", "Each page is rebuilt from stored records; its last section says by which command."]
    for path in sorted(out.glob("*/report.md")):
        lines = path.read_text(encoding="utf-8").splitlines()
        title = next((line.removeprefix("# ") for line in lines if line.startswith("# ")), escape(path.parent.name))
        found = next((line.removeprefix(_FINDING) for line in lines if line.startswith(_FINDING)), "")
        blocks += [f"## [{title}]({path.parent.name}/report.md)", found]
    try:
        _write_whole(out / "README.md", joined(blocks))
    except OSError as error:
        raise StoreError(f"Report index '{out}' cannot be written: {error.strerror or error}.") from None
    return out / "README.md"


def _page(
    analysed: Study,
    sections: Sequence[Section],
    question: str,
    rebuild_command: str,
    warnings: Sequence[str],
    run_summary: Mapping[str, Any] | None,
) -> str:
    first, *rest = sections
    return joined(
        [
            f"# ViT against CNNs: suite {escape(analysed.suite)}",
            f"*{escape(question)}*" if question.strip() else "",
            _FINDING + finding(analysed),
            *preflight_warnings(analysed.protocols),
            _render_section(first),
            conditions_section(analysed, run_summary),
            *(_render_section(section) for section in rest),
            failures_section(analysed, warnings),
            limits_section(analysed),
            "## Rebuild this page",
            fenced(rebuild_command),
            f"{_LEGEND} Each table stands as CSV in [`tables/`](tables) with unrounded values and the ids of the "
            "records behind every number; each figure also as SVG in [`figures/`](figures)."
            if any(section.table for section in sections)
            else _LEGEND,
        ]
    )


def _render_section(section: Section) -> str:
    if section.table is None and not section.figures and not section.text:
        return ""
    table = render_table(section.table) if section.table is not None and section.table.rows else ""
    # on the first screen, which has no heading, the table comes before what must be said about it
    blocks = [f"## {section.heading}", section.text, table] if section.heading else [table, section.text]
    for figure in section.figures:
        blocks.append(f"![{figure.alternative}](figures/{figure.name}.png)")
        blocks.append(f"{figure.caption} [SVG](figures/{figure.name}.svg)")
    return joined(blocks)


def _sections(
    analysed: Study, figures: Mapping[str, FigureSpec], shipped: Sequence[Record], speed: Sequence[Section]
) -> list[Section]:
    """What the page shows, in its order; the first section is the first screen."""

    def drawn(*names: str) -> tuple[FigureSpec, ...]:
        return tuple(figures[name] for name in names if name in figures)

    trained = f"Measured here: {accuracy_conditions(analysed)}." if analysed.main else ""
    about_weights = weights_sections(analysed.protocols)
    counted_only = not (analysed.datasets or analysed.speeds or analysed.memories or analysed.swept)
    if about_weights and not analysed.datasets:
        sections, about_weights = [replace(about_weights[0], heading="")], about_weights[1:]
    else:
        sections = [_first_screen(analysed, drawn)]
    timings = "Accuracy and speed" if analysed.datasets or not speed else "Every timing"
    shipped_study = study(analysed.suite, shipped, lambda cell_id: None) if shipped else None
    candidates = [
        *about_weights,
        Section("Families compared", f"{_FAMILIES_TEXT} {trained}", families_table(analysed)),
        Section("Accuracy and training compute", trained, budgets_table(analysed), drawn("accuracy_vs_training")),
        Section("Accuracy and training-set size", _sizes_text(analysed), training_sizes_table(analysed),
                 drawn("accuracy_vs_training_images")),
        *speed,
        Section(timings, _speed_text(analysed), speed_table(analysed),
                 drawn("accuracy_vs_throughput", "accuracy_vs_latency")),
        best_settings_section(analysed),
        stability_section(analysed),
        Section("Learning rates", _sweep_text(analysed), learning_rates_table(analysed), drawn("learning_rates")),
        Section("Training compute beside the paper's Table 6", _TABLE_6_TEXT, scaling_table(analysed),
                 drawn("paper_figure_5")),
        Section("The paper's Table 2 with computed columns", _TABLE_2_TEXT, sota_table(analysed)),
        Section("Counts beside timm's published ones", _TIMM_TEXT, timm_table(analysed)),
        Section("Every counted model", "Counted here.", complexity_table(analysed) if counted_only else None),
        Section("Beside the shipped results", _SHIPPED_TEXT,
                 shipped_table(analysed, shipped_study, shipped) if shipped_study else None),
    ]  # fmt: skip
    shown = {figure.name for figure in sections[0].figures}
    table = sections[0].table.name if sections[0].table is not None else ""
    for section in candidates:
        left = tuple(figure for figure in section.figures if figure.name not in shown)
        own_table = None if section.table is None or section.table.name == table else section.table
        if section in about_weights:
            sections.append(section)
        elif own_table is not None or left:
            heading = section.heading if own_table is not None else _FIGURE_HEADINGS.get(left[0].name, section.heading)
            text = section.text if own_table is not None else ""
            sections.append(Section(heading, text, own_table, left))
    return sections


def _sizes_text(analysed: Study) -> str:
    if not analysed.main:
        return ""
    return f"Measured here, {sizes_compute_words(analysed)}: {accuracy_conditions(analysed, sizes=False)}."


def _speed_text(analysed: Study) -> str:
    return f"{_SPEED_TEXT} Conditions: {speed_conditions(analysed)}." if analysed.speeds else ""


def _sweep_text(analysed: Study) -> str:
    if not analysed.swept:
        return ""
    trials = span({len(swept.tried) for swept in analysed.swept})
    return f"{_SWEEP_TEXT} Rates tried per model: {trials}. Conditions: {sweep_conditions(analysed)}."


def _first_screen(analysed: Study, drawn: Callable[..., tuple[FigureSpec, ...]]) -> Section:
    """The main table and the one figure that carries it."""
    if not analysed.rows and not analysed.swept:
        return Section("")
    if not analysed.datasets and not analysed.speeds and not analysed.memories:
        if analysed.swept:
            return Section("", _sweep_text(analysed), learning_rates_table(analysed), drawn("learning_rates"))
        table = scaling_table(analysed)
        if table is not None:
            return Section("", _TABLE_6_TEXT, table, drawn("paper_figure_5"))
        return Section("", "Counted here. Sorted by family, then MACs.", complexity_table(analysed))
    leading = drawn("accuracy_vs_macs") or drawn("accuracy_vs_throughput") or drawn("speed_vs_resolution")
    leading = leading or drawn("throughput_vs_batch")
    return Section("", main_table_caption(analysed), main_table(analysed), leading)


_FIGURE_HEADINGS = {"paper_figure_5": "The paper's Figure 5 beside ours"}
_FAMILIES_TEXT = (
    "Measured here. The best of each family by validation accuracy, among equally many candidates of one training "
    "budget (the largest that both families have; its column says which), scored on the test part. Interval: t "
    "(Welch–Satterthwaite) over seeds and test images drawn once for all; every difference is first minus second."
)
_SPEED_TEXT = (
    "Measured here, in fresh processes that had the machine to themselves. The factor compares a model with the ViT of "
    "its size process by process, on one machine, batch size, precision and software (95 % t interval on logarithms)."
)
_SWEEP_TEXT = (
    "Measured here, on the validation part. Bold: the best rate of a model; –: not tried for it; failed: tried "
    "without a result, and counted as a trial."
)
_TABLE_6_TEXT = (
    "*Computed*: 3 × FLOPs × images seen, from MACs counted here of timm's model of that name (a public stand-in for "
    "the architecture; 303 million images per epoch). *Published*: arXiv 2010.11929v2, Table 6."
)
_TABLE_2_TEXT = (
    "*Published*: arXiv 2010.11929v2, Table 2 (mean ± standard deviation over three fine-tuning runs). *Computed* from "
    "MACs counted here at the pre-training resolution; *implied*: computed exaFLOPs over published core-days."
)
_TIMM_TEXT = (
    "timm's published MACs include norm layers (and BiT's weight standardisation), so ours do in this table alone. "
    "Source: timm's results files, rounded to two decimals."
)
_SHIPPED_TEXT = (
    "Shipped results come from another machine and perhaps another commit; timings are not put side by side."
)


def _write_figures(folder: Path, figures: Sequence[FigureSpec]) -> None:
    with tempfile.TemporaryDirectory(prefix="vitbench-figures-") as scratch:
        for figure in figures:
            with figure_style():
                save_figure(draw_panels(figure.panels), Path(scratch), figure.name)
        drawn = {path.name: path.read_bytes() for path in sorted(Path(scratch).iterdir())}
    _write_folder(folder, drawn, ("*.png", "*.svg"))


def _write_folder(folder: Path, files: Mapping[str, str | bytes], ours: Sequence[str]) -> None:
    """Make the folder hold these files and no other of our kinds; an empty folder is removed."""
    for name, content in files.items():
        _write_whole(folder / name, content)
    for pattern in ours:
        for path in folder.glob(pattern):
            if path.name not in files:
                path.unlink()
    if not files:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _write_whole(path: Path, content: str | bytes) -> None:
    """Write under a temporary name, then rename: a reader never sees half a file."""
    with _temporary_beside(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(temporary, path)


@contextlib.contextmanager
def _temporary_beside(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{re.sub(r'[^A-Za-z0-9._-]', '_', path.name)}.{os.getpid()}.tmp")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
