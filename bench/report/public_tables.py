"""Public stand-ins: the paper's Table 2 in three columns, and the compute of released ImageNet-21k checkpoints."""

from __future__ import annotations

from bench.analyse.means import SetMean
from bench.analyse.protocols import Protocols
from bench.analyse.public_weights import PublicPoint, PublicScaling, TableTwoRow
from bench.catalog.identity import identify_dataset
from bench.markdown_text import escape
from bench.report.formats import counted, ends, fixed, listed, percent, plus_minus, significant
from bench.report.style import family_style
from bench.report.table import Cell, Column, Notes, Table
from bench.report.weights_tables import mean_words, rule_words
from bench.units import GIGA, MEGA

NOT_HERE = "not measured here"


def table_two_table(protocols: Protocols) -> Table | None:
    """Each system of the paper's Table 2 on each data set: as published, a public stand-in, measured here."""
    if not protocols.table_two:
        return None
    notes = Notes()
    heads = (
        Column("System", is_number=False),
        Column("Pre-training", is_number=False),
        Column("Data set", is_number=False),
        Column("The system [%] (published, ViT paper)"),
        Column("Public stand-in [%] (published)"),
        Column("Public stand-in [%] (measured here)"),
    )
    rows = tuple(_table_two_cells(row, notes) for row in protocols.table_two)
    return Table("paper_table_2_stand_ins", heads, rows, tuple(notes.texts))


def _table_two_cells(row: TableTwoRow, notes: Notes) -> tuple[Cell, ...]:
    theirs, what = row.published, row.stand_in
    system = Cell(theirs.system, mark=None if what is None else notes.number(escape(f"stand-in: {what.what}")))
    if theirs.accuracy_pct is None:
        published = notes.missing("not in the paper's table")
    else:
        spread = "" if theirs.std_pp is None else f" ± {fixed(theirs.std_pp, 2)}"
        more = () if theirs.std_pp is None else (("std", theirs.std_pp),)
        text = f"{fixed(theirs.accuracy_pct, 2)}{spread}"
        published = Cell(text, theirs.accuracy_pct, more=more, source=theirs.source)
    if row.quoted is None:
        quoted = notes.missing("no public stand-in is known" if what is None else "the catalog has no published figure")
    else:
        mark = notes.number(f"{escape(row.quoted.model)}: {escape(row.quoted.source)}")
        quoted = Cell(fixed(row.quoted.top1_pct, 2), row.quoted.top1_pct, mark=mark, source=row.quoted.source)
    return (
        system,
        Cell(theirs.pretraining),
        Cell(theirs.dataset),
        published,
        quoted,
        _measured_cell(row, notes),
    )


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
    notes = Notes()
    heads = [
        Column("Checkpoint", is_number=False),
        Column("Family", is_number=False),
        Column("Recipe", is_number=False),
        Column("Epochs of ImageNet-21k"),
        Column("Images seen [M]"),
        Column("MACs at 224 px [G] (counted here)"),
        Column("Pre-training [exaFLOP] (computed)"),
    ]
    if public.datasets != ("imagenet",):
        heads.append(Column(f"{public_mean_words(public)}: top-1 [%]"))
    heads.append(Column(f"{identify_dataset('imagenet').title}: top-1 [%]"))
    rows = tuple(_public_cells(point, public, notes) for point in public.points)
    return Table("public_figure_5", tuple(heads), rows, tuple(notes.texts))


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


def _public_cells(point: PublicPoint, public: PublicScaling, notes: Notes) -> tuple[Cell, ...]:
    row = point.row
    sure = notes.number(escape("; ".join(word for word in (row.status, row.note) if word)))
    if point.macs is None or point.exaflops is None:
        macs = exaflops = notes.missing("not counted in this suite")
    else:
        macs = Cell(significant(point.macs / GIGA, 3), point.macs, point.count_ids)
        exaflops = Cell(significant(point.exaflops, 3), point.exaflops, point.count_ids)
    accuracies = [point.mean] if public.datasets != ("imagenet",) else []
    return (
        Cell(row.name),
        Cell(family_style(row.family).name),
        Cell(row.recipe),
        Cell(str(row.epochs), row.epochs, mark=sure, source=row.source),
        Cell(fixed(row.images_seen / MEGA, 0), row.images_seen, source=row.source),
        macs,
        exaflops,
        *(_accuracy_cell(mean) for mean in (*accuracies, point.imagenet)),
    )


def _accuracy_cell(mean: SetMean | None) -> Cell:
    if mean is None:
        return Cell(NOT_HERE)
    text = percent(mean.mean_pct) if mean.interval is None else plus_minus(mean.interval, 1)
    return Cell(text, mean.mean_pct, mean.cell_ids, more=ends(mean.interval))


def public_scaling_text(protocols: Protocols) -> str:
    """What is computed and what is compared; Markdown."""
    public = protocols.public
    measured = sum(point.mean is not None or point.imagenet is not None for point in public.points)
    words = (
        "*Computed*: 6 × MACs at the resolution of pre-training × images seen (a MAC is two FLOPs, the backward pass "
        f"twice the forward one). {RECIPES}"
    )
    if not measured:
        return f"{words} None of these checkpoints was measured here."
    sets = listed(escape(identify_dataset(name).title) for name in public.datasets)
    over = f" over {sets}" if sets else ""
    return f"{words} Accuracies of {counted(measured, 'checkpoint')}: {public_protocol_words(public)}{over}."


RECIPES = (
    "The recipes differ, so this compares more than architectures: AugReg ViTs and hybrids saw 300 epochs with "
    "augmentation, weight decay, dropout and stochastic depth chosen per model; BiT-M ResNets saw 90 epochs with SGD "
    "and one weight decay."
)
