"""Tables of public weights as they are: evaluated with their own head, and few-shot on frozen features."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from bench.analyse.evaluated import Evaluation
from bench.analyse.fewshots import FIXED, LEAVE_ONE_OUT, FewshotScore
from bench.analyse.means import Scored
from bench.analyse.protocols import Protocols
from bench.analyse.strata import Stratum
from bench.analyse.weights import NOT_STATED, PUBLIC, UNKNOWN_PRETRAINING, Subject, pretraining_of
from bench.catalog.identity import identify_dataset
from bench.catalog.image_tasks import is_five_set_mean, set_order
from bench.markdown_text import escape
from bench.report.accuracy_cells import accuracy_cell, unranked_words
from bench.report.formats import (
    Scale,
    counted,
    ends,
    fixed,
    listed,
    mac_scale,
    percent,
    plus_minus,
    signed,
    significant,
)
from bench.report.style import family_style
from bench.report.table import Cell, Column, Notes, Table

USUAL_CAUSES = (
    "usual causes of such a difference: another crop, resolution or interpolation than the published figure's; class "
    "folders in another order than the head's; validation images re-encoded, resized or incomplete; weights of "
    "another tag or version; reduced precision"
)


class Noted(Protocol):
    """A result that says something about itself."""

    @property
    def dataset(self) -> str: ...
    @property
    def notes(self) -> tuple[str, ...]: ...


_MOST_NAMED = 6  # rows named per note


def row_order(protocols: Protocols) -> dict[Subject, int]:
    """Position of each subject among a table's rows: families grouped, rising MACs."""
    return {subject: index for index, subject in enumerate(protocols.subjects)}


def subject_columns() -> list[Column]:
    """What every table of weights begins with."""
    return [Column(name, is_number=False) for name in ("Model", "Family", "Weights", "Pre-training data")]


def subject_cells(subject: Subject, family: str, protocols: Protocols, notes: Notes) -> list[Cell]:
    """Label, family, weights and pre-training data of a row."""
    pretraining = pretraining_of(subject)
    if pretraining == UNKNOWN_PRETRAINING:
        why = "neither the catalog nor timm's tag says it: the row is compared with no other"
        seen = Cell("unknown", None, mark=notes.number(why))
    elif pretraining == NOT_STATED:
        why = '`pretraining = "..."` beside `weights` in the suite says it; rows without are compared with one another'
        seen = Cell(pretraining, None, mark=notes.number(why))
    elif subject.stated and subject.weights != PUBLIC:
        seen = Cell(pretraining, mark=notes.number("in the words of the file's owner, which nothing here checks"))
    else:
        seen = Cell(pretraining)
    label = protocols.labels[subject]
    return [Cell(label, subject.key.model), Cell(family_style(family).name), Cell(subject.weights_words), seen]


def macs_cell(score: Scored, scale: Scale, notes: Notes) -> Cell:
    """Multiply-adds of one image at the resolution of the row."""
    if score.macs is None:
        return notes.missing("not counted")
    return Cell(significant(score.macs / scale.factor, 3), score.macs, score.cell_ids)


def percent_cell(value: float | None, ids: tuple[str, ...], notes: Notes, why: str) -> Cell:
    """A percentage with two decimals, as published ones have, or why there is none."""
    return notes.missing(why) if value is None else Cell(fixed(value, 2), value, ids)


def evaluate_table(protocols: Protocols) -> Table | None:
    """Every evaluated checkpoint by data set: measured beside published, with the self-check."""
    if not protocols.evaluated:
        return None
    notes, order = Notes(), row_order(protocols)
    scale = mac_scale(one.macs or 0.0 for one in protocols.evaluated)
    heads = [
        *subject_columns(),
        Column("Data set", is_number=False),
        Column("Res. [px]"),
        Column(f"MACs [{scale.unit}]"),
        Column("Top-1 [%] (measured here)"),
        Column("Top-5 [%]"),
        Column("Mean per class [%]"),
        Column("ReaL [%]"),
        Column("Top-1 [%] (published)"),
        Column("Difference [points]"),
        Column("Self-check", is_number=False),
    ]
    rows = sorted(protocols.evaluated, key=lambda one: (set_order(one.dataset), order[one.subject]))
    cells = tuple(tuple(_evaluation_cells(one, protocols, scale, notes)) for one in rows)
    return Table("evaluate", tuple(heads), cells, tuple(notes.texts))


def _evaluation_cells(one: Evaluation, protocols: Protocols, scale: Scale, notes: Notes) -> list[Cell]:
    ids, px = one.cell_ids, one.subject.key.resolution_px
    cells = subject_cells(one.subject, one.identity.family, protocols, notes)
    cells += [Cell(identify_dataset(one.dataset).title, one.dataset), Cell(str(px), px), macs_cell(one, scale, notes)]
    cells += [
        Cell(plus_minus(one.top1, 2), one.top1.estimate, ids, more=ends(one.top1)),
        percent_cell(one.top5_pct, ids, notes, "fewer than five classes"),
        percent_cell(one.mean_per_class_pct, ids, notes, "not recorded"),
    ]
    if one.real is None:
        cells.append(notes.missing("ReaL labels are of ImageNet's validation images alone"))
    else:
        over = notes.number(f"over {counted(one.real.n, 'image')} that have ReaL labels")
        cells.append(Cell(plus_minus(one.real, 2), one.real.estimate, ids, mark=over, more=ends(one.real)))
    return [*cells, *_published_cells(one, notes)]


def _published_cells(one: Evaluation, notes: Notes) -> list[Cell]:
    """The published figure, the difference, and the self-check with the usual causes where it differs."""
    unknown = escape(one.self_check_note) or "nothing published is known of these weights on this set"
    what, has_causes, causes = one.self_check_note.partition("Usual causes:")
    if one.published_pct is None:
        cells = [notes.missing(unknown)]
    else:
        source = notes.number(escape(one.published_source)) if one.published_source else None
        shown = fixed(one.published_pct, 2)
        cells = [Cell(shown, one.published_pct, mark=source, source=one.published_source)]
    if one.delta_pp is None:
        cells.append(notes.missing(unknown))
    else:
        mark = notes.number(escape(what)) if what and one.self_check == "differs" else None
        cells.append(Cell(signed(one.delta_pp, 2), one.delta_pp, one.cell_ids, mark=mark))
    differs = None
    if one.self_check == "differs":
        differs = notes.number(f"usual causes: {escape(causes)}" if has_causes else USUAL_CAUSES)
    return [*cells, Cell(one.self_check, one.self_check, one.cell_ids, is_bold=differs is not None, mark=differs)]


def fewshot_table(protocols: Protocols) -> Table | None:
    """Mean over draws by shots and rule for lambda, one row per model and data set."""
    if not protocols.fewshot:
        return None
    notes, order = Notes(), row_order(protocols)
    by_row: dict[tuple[Subject, str], dict[tuple[int, str], FewshotScore]] = {}
    for score in protocols.fewshot:
        by_row.setdefault((score.subject, score.dataset), {})[score.shots, score.rule] = score
    settings = sorted({(score.shots, score.rule) for score in protocols.fewshot}, key=lambda s: (s[0], s[1] != FIXED))
    heads = [*subject_columns(), Column("Data set", is_number=False), Column("Res. [px]")]
    heads += [Column("Layer", is_number=False), Column("Width"), Column("Overlap", is_number=False)]
    heads += [Column(f"{shots}-shot, {rule_words(rule)}: top-1 [%]") for shots, rule in settings]
    rows = []
    for (subject, dataset), found in sorted(
        by_row.items(), key=lambda item: (set_order(item[0][1]), order[item[0][0]])
    ):
        first = next(iter(found.values()))
        cells = subject_cells(subject, first.identity.family, protocols, notes)
        cells += [Cell(identify_dataset(dataset).title, dataset), Cell(str(subject.key.resolution_px))]
        cells += [Cell(first.layer or "not recorded"), _width_cell(first), _overlap_cell(first, notes)]
        cells += [_shots_cell(found.get(setting), setting, notes) for setting in settings]
        rows.append(tuple(cells))
    return Table("fewshot", tuple(heads), tuple(rows), tuple(notes.texts))


def rule_words(rule: str) -> str:
    """How lambda was chosen, for a heading."""
    return {"fixed": "fixed λ", "loo": "λ by leave-one-out"}.get(rule, rule)


def _width_cell(score: FewshotScore) -> Cell:
    return Cell("–" if score.feature_width is None else str(score.feature_width), score.feature_width, score.cell_ids)


def _overlap_cell(score: FewshotScore, notes: Notes) -> Cell:
    if not score.overlap:
        return Cell("no", False, score.cell_ids)
    why = score.overlap_note or "the weights have seen images or classes of this set"
    return Cell("yes", True, score.cell_ids, mark=notes.number(escape(why)))


def _shots_cell(score: FewshotScore | None, setting: tuple[int, str], notes: Notes) -> Cell:
    if score is None and setting == (1, LEAVE_ONE_OUT):
        return notes.missing("without the one image of a class nothing is left of it")
    if score is None:
        return notes.missing("not measured with so many images a class")
    mark = notes.number(score.short) if score.short else None
    return accuracy_cell(score.group, score.interval, score.cell_ids, notes, mark=mark)


def mean_words(datasets: tuple[str, ...]) -> str:
    """What a mean over these sets is called."""
    return "Mean of the five sets" if is_five_set_mean(datasets) else f"Mean of {len(datasets)} sets"


def why_unranked(protocols: Protocols, one: Stratum) -> str:
    """`unstable seeds`, `one seed`, or both: of the checkpoints that are in no ranking."""
    scores: list[Scored] = [*protocols.evaluated, *protocols.fewshot, *protocols.finetuned]
    ids = {cell_id for subject in one.best.unranked for cell_id in one.cell_ids[subject]}
    own = [score for score in scores if ids & set(score.cell_ids)]
    return unranked_words((s.group for s in own), "draw" if isinstance(own[0], FewshotScore) else "seed")


def record_notes(scores: Iterable[Noted], labels: Sequence[str]) -> list[str]:
    """What the records say about themselves, each note once with the rows that it is of; Markdown.

    labels: of the scores, in their order.
    """
    found: dict[str, list[str]] = {}
    for score, label in zip(scores, labels, strict=True):
        for note in score.notes:
            found.setdefault(note, []).append(f"{label} on {identify_dataset(score.dataset).title}")
    lines = []
    for note, names in found.items():
        own = list(dict.fromkeys(names))
        more = [f"{len(own) - _MOST_NAMED} more"] if len(own) > _MOST_NAMED else []
        lines.append(f"{escape(note)} ({escape(listed([*own[:_MOST_NAMED], *more]))})")
    return lines


def strata_table(protocols: Protocols) -> Table | None:
    """One row per protocol, set and pre-training data that has two checkpoints."""
    found = [(protocol, one) for protocol, own in protocols.strata.items() for one in own if len(one.means) > 1]
    if not found:
        return None
    notes = Notes()
    heads = [Column(name, is_number=False) for name in ("Data set", "Protocol", "Pre-training data")]
    heads += [Column("Compared"), Column("Best", is_number=False), Column("Best [%]")]
    heads += [Column("Not separable from it", is_number=False)]
    rows = tuple(_cells(protocol, one, protocols, notes) for protocol, one in found)
    return Table("checkpoints_compared", tuple(heads), rows, tuple(notes.texts))


def _cells(protocol: str, one: Stratum, protocols: Protocols, notes: Notes) -> tuple[Cell, ...]:
    several = len(one.datasets) > 1
    title = mean_words(one.datasets) if several else identify_dataset(one.datasets[0]).title
    unranked = listed(protocols.labels[subject] for subject in one.best.unranked)
    mark = notes.number(f"not ranked for {why_unranked(protocols, one)}: {unranked}") if unranked else None
    cells = [Cell(title, " ".join(one.datasets)), Cell(protocol), Cell(one.pretraining)]
    cells.append(Cell(fixed(one.best.compared, 0), one.best.compared, one.all_ids, mark=mark))
    if not one.best.members:
        return (*cells, *[notes.missing("none is ranked")] * 3)
    best, *others = one.best.members
    names = listed(protocols.labels[subject] for subject in others) or "none"
    return (
        *cells,
        Cell(protocols.labels[best], best.key.model),
        Cell(percent(one.means[best]), one.means[best], one.cell_ids[best]),
        Cell(names, " ".join(subject.key.model for subject in others), one.all_ids),
    )
