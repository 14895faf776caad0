"""Tables that put computed figures beside published ones, and ours beside shipped ones; columns say which is which."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analyse.published import ScalingComparison
from bench.analyse.scores import Score
from bench.analyse.study import Row, Study
from bench.catalog.papers import SotaRow, paper_sota
from bench.markdown_text import escape
from bench.report.formats import Scale, ends, fixed, mac_scale, percent, plus_minus, signed, significant
from bench.report.style import family_style
from bench.report.table import Cell, Column, Notes, Table
from bench.report.tables import certificate_cell, significant_millions
from bench.store.frame import training_frame
from bench.store.record import Record
from bench.units import GIGA, MEGA


def scaling_table(study: Study) -> Table | None:
    """Training exaFLOPs computed from our MACs beside the paper's Table 6."""
    if all(one.macs is None for one in study.scaling):
        return None
    notes = Notes()
    heads = (
        Column("Model", is_number=False),
        Column("Family", is_number=False),
        Column("Epochs (published)"),
        Column("MACs [G] (counted here)"),
        Column("exaFLOP (computed)"),
        Column("exaFLOP (published)"),
        Column("Difference [%]"),
        Column("Mean of 5 [%] (published)"),
        Column("ImageNet [%] (published)"),
    )
    return Table("paper_table_6", heads, tuple(_scaling_row(one, notes) for one in study.scaling), tuple(notes.texts))


def _scaling_row(one: ScalingComparison, notes: Notes) -> tuple[Cell, ...]:
    row, ids = one.row, () if one.cell_id is None else (one.cell_id,)
    if one.macs is None or one.exaflops is None or one.difference_pct is None:
        why = "not counted in this suite" if row.timm_arch else "timm has no such model"
        computed = (notes.missing(why), notes.missing(why), notes.missing(why))
    else:
        computed = (
            Cell(fixed(one.macs / GIGA, 2), one.macs, ids),
            Cell(_exa(one.exaflops), one.exaflops, ids),
            Cell(signed(one.difference_pct, 1), one.difference_pct, ids, source=row.source),
        )
    return (
        Cell(row.name if row.epochs == 7 else f"{row.name}, {row.epochs} epochs", row.name),
        Cell(family_style(row.family).name),
        Cell(str(row.epochs), row.epochs, source=row.source),
        computed[0],
        computed[1],
        Cell(fixed(row.exaflops, 0), row.exaflops, source=row.source),
        computed[2],
        Cell(fixed(row.average5_pct, 2), row.average5_pct, source=row.source),
        Cell(fixed(row.top1_pct["imagenet"], 2), row.top1_pct["imagenet"], source=row.source),
    )


def _exa(value: float) -> str:
    return fixed(value, 1 if value < 100 else 0)


_SOTA_SETS = (
    "ImageNet",
    "ImageNet ReaL",
    "CIFAR-10",
    "CIFAR-100",
    "Oxford-IIIT Pets",
    "Oxford Flowers-102",
    "VTAB (19 tasks)",
)


def sota_table(study: Study) -> Table | None:
    """The paper's Table 2 with what we compute: training exaFLOPs and the speed per core that its cost implies."""
    if all(one.macs is None for one in study.sota):
        return None
    notes = Notes()
    accuracies = {(row.system, row.pretraining, row.dataset): row for row in paper_sota()}
    heads = [Column("System", is_number=False), Column("Pre-training", is_number=False)]
    heads += [Column(f"{name} [%] (published)") for name in _SOTA_SETS]
    heads += [
        Column("TPUv3-core-days (published)"),
        Column("exaFLOP (computed)"),
        Column("TFLOP/s per core (implied)"),
    ]
    rows = []
    for one in study.sota:
        known = [accuracies.get((one.row.system, one.row.pretraining, name)) for name in _SOTA_SETS]
        ids = () if one.cell_id is None else (one.cell_id,)
        mark = notes.number(escape(one.row.note)) if one.row.note and one.exaflops is not None else None
        if one.exaflops is None or one.tflops_per_core is None:
            why = escape(one.row.note) if one.row.images_seen is None else "not counted in this suite"
            computed = [notes.missing(why), notes.missing(why)]
        else:
            computed = [
                Cell(_exa(one.exaflops), one.exaflops, ids, mark=mark),
                Cell(fixed(one.tflops_per_core, 1), one.tflops_per_core, ids, source=one.row.source),
            ]
        days = Cell(fixed(one.row.tpuv3_core_days, 0), one.row.tpuv3_core_days, source=one.row.source)
        cells = [_published_accuracy(row, notes) for row in known]
        rows.append((Cell(one.row.system), Cell(one.row.pretraining, source=one.row.source), *cells, days, *computed))
    return Table("paper_table_2", tuple(heads), tuple(rows), tuple(notes.texts))


def _published_accuracy(row: SotaRow | None, notes: Notes) -> Cell:
    if row is None or row.accuracy_pct is None:
        return notes.missing("not in the paper's table")
    spread = "" if row.std_pp is None else f" ± {fixed(row.std_pp, 2)}"
    more = () if row.std_pp is None else (("std", row.std_pp),)
    return Cell(f"{fixed(row.accuracy_pct, 2)}{spread}", row.accuracy_pct, more=more, source=row.source)


def timm_table(study: Study) -> Table | None:
    """Parameters and MACs beside timm's published ones."""
    if not study.timm:
        return None
    heads = (
        Column("Model (timm name)", is_number=False),
        Column("Res. [px]"),
        Column("Params [M] (counted here)"),
        Column("Params [M] (timm, published)"),
        Column("MACs with norms [G] (counted here)"),
        Column("MACs [G] (timm, published)"),
        Column("Difference [G]"),
        Column("Within 0.5 % or 0.005 G", is_number=False),
    )
    rows = []
    for one in study.timm:
        ids = (one.cell_id,)
        rows.append(
            (
                Cell(one.name),
                Cell(str(one.resolution_px), one.resolution_px),
                Cell(fixed(one.params / MEGA, 2), one.params, ids),
                Cell(fixed(one.published.params_m, 2), one.published.params_m, source=one.published.source),
                Cell(fixed(one.macs_with_norms / GIGA, 3), one.macs_with_norms, ids),
                Cell(significant(one.published.gmacs, 4), one.published.gmacs, source=one.published.source),
                Cell(signed(one.difference_gmacs, 3), one.difference_gmacs, ids, source=one.published.source),
                Cell("yes" if one.is_within_tolerance else "no", one.is_within_tolerance, ids),
            )
        )
    return Table("timm_published", heads, tuple(rows))


def complexity_table(study: Study) -> Table | None:
    """Every counted model: parameters, MACs, activations, attention's share, certificate."""
    rows = [row for row in study.rows if row.count is not None]
    if not rows:
        return None
    notes = Notes()
    scale = mac_scale(row.macs or 0.0 for row in rows)
    heads = (
        Column("Model", is_number=False),
        Column("Name", is_number=False),
        Column("Family", is_number=False),
        Column("Res. [px]"),
        Column("Params [M]"),
        Column(f"MACs [{scale.unit}]"),
        Column("Activations [M]"),
        Column("Attention products [% of MACs]"),
        Column("Certificate", is_number=False),
    )
    return Table("complexity", heads, tuple(_complexity_row(row, scale, notes) for row in rows), tuple(notes.texts))


def _complexity_row(row: Row, scale: Scale, notes: Notes) -> tuple[Cell, ...]:
    count = row.count
    assert count is not None  # the caller filters
    ids = (count.cell_id,)
    activations, attention = count.activations, count.attention_macs
    if activations is None or attention is None:
        unseen = notes.missing("one of the counters did not see all of the model: see the certificate")
    share = 100 * attention / count.macs if attention and count.macs else 0.0
    return (
        Cell(row.identity.title.removesuffix(f" @{row.key.resolution_px}")),
        Cell(row.key.model),
        Cell(family_style(row.identity.family).name),
        Cell(str(row.key.resolution_px), row.key.resolution_px),
        Cell(significant_millions(count.params), count.params, ids),
        Cell(significant(count.macs / scale.factor, 3), count.macs, ids),
        unseen if activations is None else Cell(significant(activations / MEGA, 3), activations, ids),
        unseen if attention is None else Cell(percent(share) if attention else "–", share, ids),
        certificate_cell(row, notes),
    )


def _is_same_question(ours: Score, theirs: Score) -> bool:
    """Whether two scores of one model and set differ in nothing but who ran them."""
    return (ours.kind, ours.train_images, ours.budget_gflop) == (theirs.kind, theirs.train_images, theirs.budget_gflop)


def shipped_table(study: Study, shipped: Study, shipped_records: Sequence[Record]) -> Table | None:
    """This store's accuracies beside the shipped ones of the same model and set; timings are left out on purpose."""
    theirs = {(row.key.model, name): score for row in shipped.rows for name, score in row.scores.items()}
    pairs = [
        (row, name, score, theirs[row.key.model, name])
        for row in study.rows
        for name, score in row.scores.items()
        if (row.key.model, name) in theirs and _is_same_question(score, theirs[row.key.model, name])
    ]
    if not pairs or training_frame(shipped_records).empty:
        return None
    heads = (
        Column("Model", is_number=False),
        Column("Data set", is_number=False),
        Column("Top-1 [%] (measured here)"),
        Column("Top-1 [%] (shipped, another machine)"),
    )
    rows = tuple(
        (
            Cell(row.label, row.key.model),
            Cell(name, name),
            Cell(plus_minus(ours.interval, 1), ours.interval.estimate, ours.cell_ids, more=ends(ours.interval)),
            Cell(plus_minus(other.interval, 1), other.interval.estimate, other.cell_ids, more=ends(other.interval)),
        )
        for row, name, ours, other in pairs
    )
    return Table("shipped", heads, rows)
