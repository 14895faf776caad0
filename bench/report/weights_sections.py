"""The parts of a page that are about evaluated, few-shot and fine-tuned weights and about checked data."""

from __future__ import annotations

from collections.abc import Iterable

from bench.analyse.protocols import Protocols
from bench.markdown_text import bullets, escape, joined
from bench.report.document import Section
from bench.report.figure_parts import FigureSpec
from bench.report.finetune_tables import (
    finetune_means_table,
    finetune_table,
    gains_table,
    mean_caption,
    sweep_table,
    training_speed_table,
)
from bench.report.preflight_section import preflight_sections, preflight_table
from bench.report.published_tables import public_scaling_table, public_scaling_text, table_two_table
from bench.report.vtab_table import vtab_table, vtab_text
from bench.report.weights_conditions import evaluate_conditions, fewshot_conditions, finetune_conditions
from bench.report.weights_figures import weights_figures
from bench.report.weights_tables import evaluate_table, fewshot_table, record_notes, strata_table
from bench.report.weights_wording import gain_sentence


def weights_sections(protocols: Protocols) -> list[Section]:
    """All sections of these protocols, the one that may lead a page first; empty where nothing was asked for."""
    if not protocols.records:
        return []
    figures = {figure.name: figure for figure in weights_figures(protocols)}

    def drawn(*names: str) -> tuple[FigureSpec, ...]:
        return tuple(figures[name] for name in names if name in figures)

    sections = [
        Section("Fine-tuned", _finetune_text(protocols), finetune_means_table(protocols), drawn("finetune_vs_macs")),
        Section("VTAB-1k", vtab_text(protocols), vtab_table(protocols)),
        Section("Released weights evaluated" if protocols.evaluates_released_alone else "Weights evaluated",
                _evaluate_text(protocols), evaluate_table(protocols), drawn("evaluate_vs_macs")),
        Section("Few-shot on frozen features", _fewshot_text(protocols), fewshot_table(protocols),
                drawn("fewshot_vs_shots")),
        Section("Fine-tuned, set by set", _details_text(protocols), finetune_table(protocols)),
        Section("Checkpoints compared", _STRATA_TEXT, strata_table(protocols)),
        Section("Does pretraining help?", _gains_text(protocols), gains_table(protocols)),
        Section("Learning rates of the fine-tuning", _SWEEP_TEXT, sweep_table(protocols)),
        Section("The public Figure 5", public_scaling_text(protocols), public_scaling_table(protocols),
                drawn("public_figure_5")),
        Section("The paper's Table 2: published, public stand-in, measured here", _TABLE_TWO_TEXT,
                table_two_table(protocols)),
        Section("Training speed and the input pipeline", _SPEED_TEXT, training_speed_table(protocols)),
        Section("Checked data", _CHECKED_TEXT, preflight_table(protocols)),
    ]  # fmt: skip
    shown = [section for section in sections if section.table is not None or section.figures]
    return [*(shown or [Section("")]), *preflight_sections(protocols)]


def weights_conditions(protocols: Protocols) -> list[tuple[str, str]]:
    """Rows for the table of conditions; Markdown."""
    rows = []
    if protocols.evaluated:
        rows.append(("Evaluation", evaluate_conditions(protocols)))
    if protocols.fewshot:
        rows.append(("Few-shot", fewshot_conditions(protocols)))
    if protocols.finetuned:
        rows.append(("Fine-tuning", finetune_conditions(protocols)))
    return rows


def _with_notes(words: str, notes: Iterable[str]) -> str:
    found = list(notes)
    return joined([words, f"What the records say of themselves:\n\n{bullets(found)}"]).strip() if found else words


def _evaluate_text(protocols: Protocols) -> str:
    if not protocols.evaluated:
        return ""
    ones = protocols.evaluated
    words = (
        "Measured here beside *published*. One checkpoint each, ± the longer arm of the 95 % Wilson interval over test "
        f"images. Self-check: within 0.1 points of the same timm tag's figure, 0.3 of a paper's. {_ORDER} Conditions: "
        f"{evaluate_conditions(protocols)}."
    )
    return _with_notes(words, record_notes(ones, [protocols.labels[one.subject] for one in ones]))


def _fewshot_text(protocols: Protocols) -> str:
    if not protocols.fewshot:
        return ""
    ones = protocols.fewshot
    words = (
        "Measured here: mean over draws of the support images ± the longer arm of the 95 % interval over draws and "
        f"test images. {_ORDER} Conditions: {fewshot_conditions(protocols)}."
    )
    return _with_notes(words, record_notes(ones, [protocols.labels[one.subject] for one in ones]))


def _finetune_text(protocols: Protocols) -> str:
    if not protocols.table_sets:
        return ""
    ones = protocols.table_sets
    words = (
        "Measured here: mean over seeds ± the longer arm of the 95 % interval over seeds and test images. "
        f"Sorted by family (ViT, hybrid, CNN), then MACs. {escape(mean_caption(protocols))} Conditions: "
        f"{finetune_conditions(protocols)}."
    ).replace("  ", " ")
    return _with_notes(words, record_notes(ones, [protocols.labels[one.subject] for one in ones]))


def _details_text(protocols: Protocols) -> str:
    return "Measured here. The recipe is the best of those tried on the validation part; the test part was scored once."


def _gains_text(protocols: Protocols) -> str:
    if not protocols.gains:
        return ""
    return (
        f"{gain_sentence(protocols)} Measured here: same model, resolution and set, each with its own recipe; Welch's "
        "t over seeds and test images, each at 95 %."
    )


_ORDER = "Sorted by data set, then family (ViT, hybrid, CNN), then MACs."
_STRATA_TEXT = (
    "Measured here. On each set and among weights pre-trained on the same data: the checkpoint with the highest top-1, "
    "and those that cannot be told from it. Several seeds or draws: Welch's t; one run each: exact McNemar on "
    "per-image predictions (Newcombe's unpaired score test without them). Holm's correction over all that the best is "
    "compared with."
)
_SWEEP_TEXT = (
    "Measured here, on the validation part, trained without it. Bold: the best recipe of a row; –: not tried for it; "
    "failed: tried without a result."
)
_TABLE_TWO_TEXT = (
    "*Published* (system): arXiv 2010.11929v2, Table 2, mean ± standard deviation over three fine-tuning runs. *Public "
    "stand-in*: released weights that come nearest to the system; no JFT-300M weights of ViT or BiT-L were released. "
    "*Measured here* ± the longer arm of the 95 % interval. The three are different weights or recipes: a difference "
    "between columns is no error of either."
)
_SPEED_TEXT = (
    "Measured here during the fine-tuning, mean over seeds: images per second of training as it ran, of the input "
    "pipeline alone, of the model alone with its images on the device, and the share of the training time that the "
    "model waited for images."
)
_CHECKED_TEXT = "Measured here: every image decoded once. Each set has a section of its own below."
