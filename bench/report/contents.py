"""What a report holds and in which order: the first screen, then a section for each part that there are data for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.analyse.claims.claims import judge_claims
from bench.analyse.compare.against import Against
from bench.analyse.study import Study, study
from bench.number_format import span
from bench.report.document import Document, Section
from bench.report.figures.figure_files import Figure, drawn
from bench.report.figures.training_figures import (
    accuracy_against_macs,
    accuracy_against_memory,
    accuracy_against_speed,
    accuracy_against_training,
    accuracy_against_training_images,
    learning_rates,
    paper_figure_5,
)
from bench.report.public.page import SuitePage
from bench.report.sections.against_section import against_section
from bench.report.sections.batch_sections import batch_section, largest_section, training_section
from bench.report.sections.choices_section import choices_section
from bench.report.sections.claims_page import claims_section
from bench.report.sections.inspect_section import inspect_section
from bench.report.sections.preflight_section import preflight_warnings
from bench.report.sections.pretraining_section import pretraining_sections
from bench.report.sections.remarks import conditions_section, failures_section, limits_section
from bench.report.sections.resolution_sections import falls_section, resolution_section
from bench.report.sections.sensitivity_section import sensitivity_section
from bench.report.sections.trend_section import trend_section
from bench.report.sections.weights_sections import weights_sections
from bench.report.tables.main_table import main_table, main_table_caption
from bench.report.tables.published_tables import (
    complexity_table,
    scaling_table,
    shipped_table,
    sota_table,
    timm_table,
    trainings_table,
)
from bench.report.tables.table import Table
from bench.report.tables.timing_tables import best_settings_section, speed_table, stability_section
from bench.report.tables.training_tables import (
    budget_differences_table,
    budgets_table,
    differences_table,
    learning_rates_table,
    size_differences_table,
    training_sizes_table,
)
from bench.report.words.conditions import accuracy_conditions, sizes_compute_words, speed_conditions, sweep_conditions
from bench.report.words.training_words import finding
from bench.store.inspections import Inspection
from bench.store.record import Record
from bench.text import escape


def report_document(
    analysed: Study,
    *,
    question: str,
    rebuild_command: str,
    warnings: Sequence[str] = (),
    shipped: Sequence[Record] = (),
    run_summary: Mapping[str, Any] | None = None,
    against: Against | None = None,
    inspections: Sequence[Inspection] = (),
    page: SuitePage | None = None,
) -> Document:
    """Everything that the report of a suite says, in its order. question: plain text; empty where there is none.

    page: in place of the general finding and sections on trained models, counts and timings.
    """
    if page is None:
        first, *rest = _sections(analysed, shipped)
    else:
        first, *rest = [*page.sections, *weights_sections(analysed.protocols)]
    limits = limits_section(analysed, page.limits if page is not None else ())
    closing = (failures_section(analysed, warnings), limits)
    return Document(
        suite=analysed.suite,
        title=f"ViT against CNNs: suite {escape(analysed.suite)}",
        question=question.strip(),
        finding=finding(analysed) if page is None else page.finding,
        warnings=tuple(preflight_warnings(analysed.protocols)),
        sections=(
            first,
            conditions_section(analysed, run_summary),
            against_section(against),
            *rest,
            inspect_section(inspections, {record.cell_id for record in analysed.records}),
            claims_section(judge_claims([analysed])),
            *closing,
        ),
        rebuild_command=rebuild_command,
        files={} if page is None else page.files,
    )


def _sections(analysed: Study, shipped: Sequence[Record]) -> list[Section]:
    """What was measured, in the order of the page; the first section is the first screen."""
    speed = speed_sections(analysed)
    trained = sizes = ""
    if analysed.main:
        trained = f"Measured here: {accuracy_conditions(analysed)}."
        sizes = f"Measured here, {sizes_compute_words(analysed)}: {accuracy_conditions(analysed, sizes=False)}."
    timed = f"{_SPEED_TEXT} Conditions: {speed_conditions(analysed)}." if analysed.speeds else ""
    about_weights = weights_sections(analysed.protocols)
    counted_only = not (analysed.datasets or analysed.speeds or analysed.memories or analysed.swept)
    about_pretraining = pretraining_sections(analysed.pretraining)
    leading = about_pretraining or about_weights
    if leading and not analysed.datasets:
        lead = leading.pop(0)
        sections = [replace(lead, heading="", text="", below=lead.text)]
    else:
        sections = [_first_screen(analysed, speed)]
    timings = "Accuracy and speed" if analysed.datasets or not speed else "Every timing"
    shipped_study = study(analysed.suite, shipped, lambda cell_id: None) if shipped else None
    about_weights = [*about_pretraining, *about_weights]
    candidates = [
        *about_weights,
        trend_section(analysed),
        Section("Models of one size compared", f"{_DIFFERENCES_TEXT} {trained}", differences_table(analysed)),
        choices_section(analysed),
        Section("Accuracy and training compute", trained, budgets_table(analysed),
                 drawn(accuracy_against_training(analysed))),
        Section("Models of one size along training compute", _DIFFERENCES_TEXT, budget_differences_table(analysed)),
        Section("Accuracy and training-set size", sizes, training_sizes_table(analysed),
                 drawn(accuracy_against_training_images(analysed))),
        Section("Models of one size along training images", _DIFFERENCES_TEXT, size_differences_table(analysed)),
        *speed,
        Section(timings, timed, speed_table(analysed),
                 drawn(accuracy_against_speed(analysed, "throughput"), accuracy_against_speed(analysed, "latency"),
                       accuracy_against_memory(analysed))),
        best_settings_section(analysed),
        stability_section(analysed),
        Section("Learning rates", _sweep_text(analysed), learning_rates_table(analysed),
                 drawn(learning_rates(analysed))),
        sensitivity_section(analysed),
        Section("Beside published trainings on the same set", _TRAININGS_TEXT, trainings_table(analysed)),
        Section("Training compute beside the paper's Table 6", _TABLE_6_TEXT, scaling_table(analysed),
                 drawn(paper_figure_5(analysed))),
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
            sections.append(replace(section, heading=heading, text=text, table=own_table, figures=left))
    return sections


def _sweep_text(analysed: Study) -> str:
    if not analysed.swept:
        return ""
    trials = span({len(swept.tried) for swept in analysed.swept})
    return f"{_SWEEP_TEXT} Rates tried per model: {trials}. Conditions: {sweep_conditions(analysed)}."


def speed_sections(study: Study) -> list[Section]:
    """All sections about speed along an axis, in the order of the page; those for which the suite has results."""
    makers = (resolution_section, falls_section, batch_section, largest_section, training_section)
    return [section for section in (make(study) for make in makers) if not section.is_empty]


def _first_screen(analysed: Study, speed: Sequence[Section]) -> Section:
    """The main table and the one figure that carries it. speed: the sections about it."""
    if not analysed.rows and not analysed.swept:
        return Section("")
    if not analysed.datasets and not analysed.speeds and not analysed.memories:
        if analysed.swept:
            return _under(learning_rates_table(analysed), _sweep_text(analysed), drawn(learning_rates(analysed)))
        table = scaling_table(analysed)
        if table is not None:
            return _under(table, _TABLE_6_TEXT, drawn(paper_figure_5(analysed)))
        return _under(complexity_table(analysed), "Counted here. Sorted by family, then MACs.")
    along = {figure.name: figure for section in speed for figure in section.figures}
    leading = accuracy_against_macs(analysed) or accuracy_against_speed(analysed, "throughput")
    figure = leading or along.get("speed_vs_resolution") or along.get("throughput_vs_batch")
    return _under(main_table(analysed), main_table_caption(analysed), drawn(figure))


def _under(table: Table | None, words: str, figures: tuple[Figure, ...] = ()) -> Section:
    """A first screen, which has no heading: the table comes before what must be said about it."""
    return Section("", "", table, figures, below=words)


_FIGURE_HEADINGS = {"paper_figure_5": "The paper's Figure 5 beside ours"}
_DIFFERENCES_TEXT = (
    "Measured here. First minus second, in points, at the same training images, training compute and setting, with its "
    "own 95 % interval (Welch's t over seeds and test images that both saw). Bold: it leaves zero out; of many such "
    "intervals one in twenty does so by chance alone."
)
_SPEED_TEXT = (
    "Measured here, in fresh processes with no other cell beside them. The factor compares a model with the ViT of "
    "its size process by process, on one machine, batch size, precision and software."
)
_SWEEP_TEXT = (
    "Measured here, on the validation part. Bold: the best rate of a model; –: not tried for it; failed: tried "
    "without a result, and counted as a trial."
)
_TRAININGS_TEXT = (
    "*Published*: what others reported or submitted on the same test part, mostly untested by the set's authors, at "
    "compute that is seldom said. It says what can be reached, not which family is "
    "better."
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
