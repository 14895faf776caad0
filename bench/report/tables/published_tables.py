"""Tables that put computed figures beside published ones, and ours beside shipped ones; columns say which is which."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bench.analyse.accuracies.accuracy import Trained
from bench.analyse.accuracies.protocols import Protocols
from bench.analyse.claims.published import (
    PublicPoint,
    PublicScaling,
    ScalingComparison,
    SotaComparison,
    TableTwoRow,
    TimmComparison,
)
from bench.analyse.compare.means import SetMean
from bench.analyse.study import Count, Row, Study
from bench.catalog.identity import identify_dataset
from bench.catalog.papers import SotaRow, TrainedRow, paper_sota, trained_published
from bench.number_format import (
    counted,
    digits,
    ends,
    fixed,
    listed,
    mac_scale,
    percent,
    plus_minus,
    rounded,
    signed,
    whole,
)
from bench.report.tables.accuracy_cells import interval_cell, mean_cell, score_cell
from bench.report.tables.columns import (
    Records,
    condition,
    dataset_column,
    each,
    family_column,
    no_records,
    number,
    own_records,
    words,
)
from bench.report.tables.main_table import CERTIFICATE, millions
from bench.report.tables.table import DASH, Cell, ColumnSpec, Notes, R, Table, make_table
from bench.report.tables.weights_tables import mean_words, rule_words
from bench.store.record import Record
from bench.store.rows import task_rows
from bench.text import escape
from bench.units import GIGA, MEGA

_Counted = tuple[Row, Count]
NOT_HERE = "not measured here"
RECIPES = (
    "The recipes differ, so this compares more than architectures: AugReg ViTs and hybrids saw 300 epochs with "
    "augmentation, weight decay, dropout and stochastic depth chosen per model; BiT-M ResNets saw 90 epochs with SGD "
    "and one weight decay."
)
_SOTA_SETS = (
    "ImageNet",
    "ImageNet ReaL",
    "CIFAR-10",
    "CIFAR-100",
    "Oxford-IIIT Pets",
    "Oxford Flowers-102",
    "VTAB (19 tasks)",
)


def _source(row: Any) -> str:
    source: str = (row.row if hasattr(row, "row") else row.published).source
    return source


def _published(heading: str, value: Callable[[R], float], shown: Callable[[float], str]) -> ColumnSpec[R]:
    return number(heading, value, shown, records=no_records, source=_source)


def scaling_table(study: Study) -> Table | None:
    """Training exaFLOPs computed from our MACs beside the paper's Table 6."""
    if all(one.macs is None for one in study.scaling):
        return None

    def why(one: ScalingComparison) -> str:
        return "not counted in this suite" if one.row.timm_arch else "timm has no such model"

    columns: list[ColumnSpec[ScalingComparison]] = [
        words("Model", lambda one: one.row.name if one.row.epochs == 7 else f"{one.row.name}, {one.row.epochs} epochs",
              lambda one: one.row.name),
        family_column(lambda one: one.row.family),
        _published("Epochs (published)", lambda one: one.row.epochs, str),
        number("MACs [G] (counted here)", lambda one: one.macs, rounded(2, GIGA), missing=why),
        number("exaFLOP (computed)", lambda one: one.exaflops, _exa, missing=why),
        _published("exaFLOP (published)", lambda one: one.row.exaflops, whole),
        number("Difference [%]", lambda one: one.difference_pct, lambda gap: signed(gap, 1), missing=why,
               source=_source),
        _published("Mean of 5 [%] (published)", lambda one: one.row.average5_pct, rounded(2)),
        _published("ImageNet [%] (published)", lambda one: one.row.top1_pct["imagenet"], rounded(2)),
    ]  # fmt: skip
    return make_table("paper_table_6", study.scaling, columns)


def _exa(value: float) -> str:
    return fixed(value, 1 if value < 100 else 0)


def sota_table(study: Study) -> Table | None:
    """The paper's Table 2 with what we compute: training exaFLOPs and the speed per core that its cost implies."""
    if all(one.macs is None for one in study.sota):
        return None
    accuracies = {(row.system, row.pretraining, row.dataset): row for row in paper_sota()}

    def accuracy(one: SotaComparison, name: str, notes: Notes) -> Cell:
        return _published_accuracy(accuracies.get((one.row.system, one.row.pretraining, name)), notes)

    def why(one: SotaComparison) -> str:
        return escape(one.row.note) if one.row.images_seen is None else "not counted in this suite"

    def pretraining(one: SotaComparison, notes: Notes) -> Cell:
        notes.mark(why(one) if one.exaflops is None else escape(one.row.note))  # of the row: before those of its cells
        return Cell(one.row.pretraining, source=_source(one))

    columns: list[ColumnSpec[SotaComparison]] = [
        words("System", lambda one: one.row.system),
        ColumnSpec("Pre-training", pretraining, is_number=False),
        *each(_SOTA_SETS, lambda name: f"{name} [%] (published)", accuracy),
        _published("TPUv3-core-days (published)", lambda one: one.row.tpuv3_core_days, whole),
        number("exaFLOP (computed)", lambda one: one.exaflops, _exa, missing=why,
               note=lambda one: escape(one.row.note)),
        number("TFLOP/s per core (implied)", lambda one: one.tflops_per_core, percent, missing=why, source=_source),
    ]  # fmt: skip
    return make_table("paper_table_2", study.sota, columns)


def _published_accuracy(row: SotaRow | None, notes: Notes) -> Cell:
    if row is None or row.accuracy_pct is None:
        return notes.missing("not in the paper's table")
    spread = "" if row.std_pp is None else f" ± {fixed(row.std_pp, 2)}"
    more = () if row.std_pp is None else (("std", row.std_pp),)
    return Cell(f"{fixed(row.accuracy_pct, 2)}{spread}", row.accuracy_pct, more=more, source=row.source)


def timm_table(study: Study) -> Table | None:
    """Parameters and MACs beside timm's published ones."""

    columns: list[ColumnSpec[TimmComparison]] = [
        words("Model (timm name)", lambda one: one.name),
        condition("Res. [px]", lambda one: one.resolution_px),
        number("Params [M] (counted here)", lambda one: one.params, rounded(2, MEGA)),
        _published("Params [M] (timm, published)", lambda one: one.published.params_m, rounded(2)),
        number("MACs with norms [G] (counted here)", lambda one: one.macs_with_norms, rounded(3, GIGA)),
        _published("MACs [G] (timm, published)", lambda one: one.published.gmacs, digits(4)),
        number("Difference [G]", lambda one: one.difference_gmacs, lambda n: signed(n, 3), source=_source),
        words("Within 0.5 % or 0.005 G", lambda one: "yes" if one.is_within_tolerance else "no",
              lambda one: one.is_within_tolerance, records=own_records),
    ]  # fmt: skip
    return make_table("timm_published", study.timm, columns)


def complexity_table(study: Study) -> Table | None:
    """Every counted model: parameters, MACs, activations, attention's share, certificate."""
    rows = [(row, row.count) for row in study.rows if row.count is not None]
    scale = mac_scale(count.macs for _, count in rows)
    unseen = "one of the counters did not see all of the model: see the certificate"

    def ids(row: _Counted) -> Records:
        return (row[1].cell_id,)

    def attention_pct(row: _Counted) -> float | None:
        count = row[1]
        if not count.attention_macs or not count.macs:
            return None if count.attention_macs is None else 0.0
        return 100 * count.attention_macs / count.macs

    columns: list[ColumnSpec[_Counted]] = [
        words("Model", lambda row: row[0].identity.title.removesuffix(f" @{row[0].key.resolution_px}")),
        words("Name", lambda row: row[0].key.model),
        family_column(lambda row: row[0].identity.family),
        condition("Res. [px]", lambda row: row[0].key.resolution_px),
        number("Params [M]", lambda row: row[1].params, millions, records=ids),
        number(f"MACs [{scale.unit}]", lambda row: row[1].macs, digits(3, scale.factor), records=ids),
        number("Activations [M]", lambda row: row[1].activations, digits(3, MEGA), records=ids, missing=unseen),
        number("Attention products [% of MACs]", attention_pct, lambda share: percent(share) if share else "–",
               records=ids, missing=unseen),
        ColumnSpec("Certificate", lambda row, notes: CERTIFICATE.entry(row[0], notes), is_number=False),
    ]  # fmt: skip
    return make_table("complexity", rows, columns)


def shipped_table(study: Study, shipped: Study, shipped_records: Sequence[Record]) -> Table | None:
    """This store's accuracies beside the shipped ones of the same model and set; timings are left out on purpose."""
    if not task_rows(shipped_records, "train"):
        return None
    theirs = {(row.key.model, name): score for row in shipped.rows for name, score in row.scores.items()}
    pairs = [
        (row, name, score, theirs[row.key.model, name])
        for row in study.rows
        for name, score in row.scores.items()
        if (row.key.model, name) in theirs and _is_same_question(score, theirs[row.key.model, name])
    ]

    def top1(score: Trained) -> Cell:
        return interval_cell(score.interval, score.cell_ids, 1)

    columns: list[ColumnSpec[tuple[Row, str, Trained, Trained]]] = [
        words("Model", lambda pair: pair[0].label, lambda pair: pair[0].key.model),
        words("Data set", lambda pair: pair[1], lambda pair: pair[1]),
        ColumnSpec("Top-1 [%] (measured here)", lambda pair, _: top1(pair[2])),
        ColumnSpec("Top-1 [%] (shipped, another machine)", lambda pair, _: top1(pair[3])),
    ]
    return make_table("shipped", pairs, columns)


def _is_same_question(ours: Trained, theirs: Trained) -> bool:
    """Whether two scores of one model and set differ in nothing but who ran them."""
    return (ours.kind, ours.train_images, ours.budget_gflop) == (theirs.kind, theirs.train_images, theirs.budget_gflop)


def trainings_table(study: Study) -> Table | None:
    """The models of the main table beside published trainings from scratch on the same set."""
    rows: list[Trained | TrainedRow] = []
    for dataset in study.datasets:
        if published := trained_published(dataset.name):
            rows += [*(score for score in study.main if score.dataset == dataset.name), *published]

    def ids(row: Trained | TrainedRow) -> Records:
        return row.cell_ids if isinstance(row, Trained) else ()

    def params(row: Trained | TrainedRow) -> float | None:
        return row.params if isinstance(row, Trained) else row.params_m and row.params_m * MEGA

    def measured(row: Trained | TrainedRow, notes: Notes) -> Cell:
        return score_cell(row, notes, "") if isinstance(row, Trained) else DASH

    def stated(row: Trained | TrainedRow, notes: Notes) -> Cell:
        if isinstance(row, Trained):
            return DASH
        mark = notes.number(escape(f"{row.source}; {row.status}; {row.note}"))
        return Cell(percent(row.top1_pct), row.top1_pct, mark=mark, source=row.source)

    columns: list[ColumnSpec[Trained | TrainedRow]] = [
        words("Model", lambda row: study.labels[row.key] if isinstance(row, Trained) else row.model),
        *([dataset_column(lambda row: row.dataset)] if len({row.dataset for row in rows}) > 1 else []),
        family_column(lambda row: row.identity.family if isinstance(row, Trained) else row.family),
        number("Params [M]", params, millions, records=ids, missing="not said",
               source=lambda row: "" if isinstance(row, Trained) else row.source),
        words("Augmentation", lambda row: row.augmentation),
        ColumnSpec("Top-1 [%] (measured here)", measured),
        ColumnSpec("Top-1 [%] (published)", stated),
    ]  # fmt: skip
    return make_table("published_trainings", rows, columns)


def table_two_table(protocols: Protocols) -> Table | None:
    """Each system of the paper's Table 2 on each data set: as published, a public stand-in, measured here."""

    def stand_in(row: TableTwoRow) -> str | None:
        return None if row.stand_in is None else escape(f"stand-in: {row.stand_in.what}")

    columns: list[ColumnSpec[TableTwoRow]] = [
        words("System", lambda row: row.published.system, note=stand_in),
        words("Pre-training", lambda row: row.published.pretraining),
        words("Data set", lambda row: row.published.dataset),
        ColumnSpec(
            "The system [%] (published, ViT paper)", lambda row, notes: _published_accuracy(row.published, notes)
        ),
        ColumnSpec("Public stand-in [%] (published)", _quoted_cell),
        ColumnSpec("Public stand-in [%] (measured here)", _measured_cell),
    ]
    return make_table("paper_table_2_stand_ins", protocols.table_two, columns)


def _quoted_cell(row: TableTwoRow, notes: Notes) -> Cell:
    if row.quoted is None:
        known = row.stand_in is not None
        return notes.missing("the catalog has no published figure" if known else "no public stand-in is known")
    mark = notes.number(f"{escape(row.quoted.model)}: {escape(row.quoted.source)}")
    return Cell(fixed(row.quoted.top1_pct, 2), row.quoted.top1_pct, mark=mark, source=row.quoted.source)


def _measured_cell(row: TableTwoRow, notes: Notes) -> Cell:
    if row.stand_in is None:
        return notes.missing("no public stand-in is known")
    if row.measured is None:
        return notes.missing(f"{NOT_HERE}: no result of {escape(listed(row.stand_in.models))} on this set")
    one = row.measured
    mark = notes.number(f"{escape(one.model)} at {one.resolution_px} px, {one.protocol}")
    text = fixed(one.top1_pct, 2) if one.interval is None else plus_minus(one.interval, 2)
    return Cell(text, one.top1_pct, one.cell_ids, mark=mark, more=ends(one.interval))


def public_scaling_table(protocols: Protocols) -> Table | None:
    """Images seen, MACs and pre-training exaFLOPs of every released checkpoint, with what was measured of it."""
    public = protocols.public
    if not protocols.records or not public.is_counted:
        return None

    def counted_column(
        heading: str, value: Callable[[PublicPoint], float | None], unit: float
    ) -> ColumnSpec[PublicPoint]:
        return number(heading, value, digits(3, unit), missing="not counted in this suite",
                      records=lambda point: point.count_ids)  # fmt: skip

    def status(point: PublicPoint) -> str:
        return escape("; ".join(word for word in (point.row.status, point.row.note) if word))

    columns: list[ColumnSpec[PublicPoint]] = [
        words("Checkpoint", lambda point: point.row.name),
        family_column(lambda point: point.row.family),
        words("Recipe", lambda point: point.row.recipe),
        number("Epochs of ImageNet-21k", lambda point: point.row.epochs, str, records=no_records, note=status,
               source=_source),
        _published("Images seen [M]", lambda point: point.row.images_seen, rounded(0, MEGA)),
        counted_column("MACs at 224 px [G] (counted here)", lambda point: point.macs, GIGA),
        counted_column("Pre-training [exaFLOP] (computed)", lambda point: point.exaflops, 1.0),
    ]  # fmt: skip
    if public.datasets != ("imagenet",):
        columns.append(ColumnSpec(f"{public_mean_words(public)}: top-1 [%]", lambda point, _: _mean_cell(point.mean)))
    title = identify_dataset("imagenet").title
    columns.append(ColumnSpec(f"{title}: top-1 [%]", lambda point, _: _mean_cell(point.imagenet)))
    return make_table("public_figure_5", public.points, columns)


def _mean_cell(mean: SetMean | None) -> Cell:
    return Cell(NOT_HERE) if mean is None else mean_cell(mean)


def public_mean_words(public: PublicScaling) -> str:
    """What the first accuracy of the figure is."""
    if len(public.datasets) == 1:
        return identify_dataset(public.datasets[0]).title
    return mean_words(public.datasets) if public.datasets else "Mean of sets"


def public_protocol_words(public: PublicScaling) -> str:
    """How the accuracies of the figure came about; Markdown, empty where nothing was measured."""
    if public.protocol == "finetune":
        return "fine-tuned here"
    if public.protocol == "fewshot":
        return f"linear {public.shots}-shot on frozen features, {rule_words(public.rule)}"
    return ""


def public_scaling_text(protocols: Protocols) -> str:
    """What is computed and what is compared; Markdown."""
    public = protocols.public
    measured = sum(point.mean is not None or point.imagenet is not None for point in public.points)
    told = (
        "*Computed*: 6 × MACs at the resolution of pre-training × images seen (a MAC is two FLOPs, the backward pass "
        f"twice the forward one). {RECIPES}"
    )
    if not measured:
        return f"{told} None of these checkpoints was measured here."
    sets = listed(escape(identify_dataset(name).title) for name in public.datasets)
    over = f" over {sets}" if sets else ""
    return f"{told} Accuracies of {counted(measured, 'checkpoint')}: {public_protocol_words(public)}{over}."
