"""Tables of weights as they are, evaluated and few-shot, and which checkpoints cannot be told from the best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bench.analyse.accuracies.accuracy import FIXED, LEAVE_ONE_OUT, Accuracy, Evaluated, FewShot, FineTuned
from bench.analyse.accuracies.protocols import Protocols
from bench.analyse.accuracies.subjects import NOT_STATED, PUBLIC, UNKNOWN_PRETRAINING, Subject, pretraining_of
from bench.analyse.accuracies.trials import RecipeSweep
from bench.analyse.compare.differences import Stratum
from bench.catalog.identity import identify_dataset
from bench.catalog.image_tasks import is_five_set_mean, set_order
from bench.number_format import counted, first_few, listed, mac_scale, percent, rounded, signed, whole
from bench.report.tables.accuracy_cells import accuracy_cell, interval_cell, unranked_words
from bench.report.tables.columns import (
    condition,
    dataset_column,
    each,
    family_column,
    macs_column,
    no_records,
    number,
    words,
)
from bench.report.tables.table import Cell, ColumnSpec, Notes, Table, grouped, make_table
from bench.text import escape

USUAL_CAUSES = (
    "usual causes of such a difference: another crop, resolution or interpolation than the published figure's; class "
    "folders in another order than the head's; validation images re-encoded, resized or incomplete; weights of "
    "another tag or version; reduced precision"
)


_BySetting = dict[tuple[int, str], FewShot]
_Compared = tuple[str, Stratum]  # by which protocol
_MOST_NAMED = 6  # rows named per note


def row_order(protocols: Protocols) -> dict[Subject, int]:
    """Position of each subject among a table's rows: families grouped, rising MACs."""
    return {subject: index for index, subject in enumerate(protocols.subjects)}


def table_order(protocols: Protocols) -> Callable[[Accuracy | RecipeSweep], tuple[Any, ...]]:
    """Sort key of rows: by data set, then as `row_order`."""
    order = row_order(protocols)
    return lambda one: (set_order(one.dataset), order[one.subject])


def model_columns(protocols: Protocols, subject: Callable[[Any], Subject]) -> list[ColumnSpec[Any]]:
    """Label and weights of a row."""
    return [
        words("Model", lambda row: protocols.labels[subject(row)], lambda row: subject(row).key.model),
        words("Weights", lambda row: subject(row).weights_words),
    ]


def subject_columns(protocols: Protocols, result: Callable[[Any], Accuracy]) -> list[ColumnSpec[Any]]:
    """Label, family, weights and pre-training data of a row."""
    columns: list[ColumnSpec[Any]] = model_columns(protocols, lambda row: result(row).subject)

    def pretraining(row: Any) -> str:
        known = pretraining_of(result(row).subject)
        return "unknown" if known == UNKNOWN_PRETRAINING else known

    def remark(row: Any) -> str | None:
        subject = result(row).subject
        known = pretraining_of(subject)
        if known == UNKNOWN_PRETRAINING:
            return "neither the catalog nor timm's tag says it: the row is compared with no other"
        if known == NOT_STATED:
            how = '`pretraining = "..."` beside `weights` in the suite says it'
            return f"{how}; rows without are compared with one another"
        is_stated = subject.stated and subject.weights != PUBLIC
        return "in the words of the file's owner, which nothing here checks" if is_stated else None

    columns.insert(1, family_column(lambda row: result(row).identity.family))
    return [*columns, words("Pre-training data", pretraining, note=remark)]


def top_columns(result: Callable[[Any], Evaluated | FineTuned]) -> list[ColumnSpec[Any]]:
    """Top-5 and the mean over classes, with two decimals as published ones have."""
    return [
        number("Top-5 [%]", lambda row: result(row).top5_pct, rounded(2), missing="fewer than five classes"),
        number("Mean per class [%]", lambda row: result(row).mean_per_class_pct, rounded(2), missing="not recorded"),
    ]


def evaluate_table(protocols: Protocols) -> Table | None:
    """Every evaluated checkpoint by data set: measured beside published, with the self-check."""
    scale = mac_scale(one.macs or 0.0 for one in protocols.evaluated)

    def real(one: Evaluated, notes: Notes) -> Cell:
        if one.real is None:
            return notes.missing("ReaL labels are of ImageNet's validation images alone")
        over = notes.number(f"over {counted(one.real.n, 'image')} that have ReaL labels")
        return interval_cell(one.real, one.cell_ids, 2, over)

    def unknown(one: Evaluated) -> str:
        return escape(one.self_check_note) or "nothing published is known of these weights on this set"

    def difference(one: Evaluated) -> str | None:
        return escape(one.self_check_note.partition("Usual causes:")[0]) if one.self_check == "differs" else None

    columns: list[ColumnSpec[Evaluated]] = [
        *subject_columns(protocols, lambda one: one),
        dataset_column(lambda one: one.dataset),
        condition("Res. [px]", lambda one: one.subject.key.resolution_px),
        macs_column(lambda one: one.macs, scale),
        ColumnSpec("Top-1 [%] (measured here)", lambda one, _: interval_cell(one.top1, one.cell_ids, 2)),
        *top_columns(lambda one: one),
        ColumnSpec("ReaL [%]", real),
        number("Top-1 [%] (published)", lambda one: one.published_pct, rounded(2), missing=unknown,
               records=no_records, note=lambda one: escape(one.published_source),
               source=lambda one: one.published_source),
        number("Difference [points]", lambda one: one.delta_pp, lambda points: signed(points, 2), missing=unknown,
               note=difference),
        ColumnSpec("Self-check", _self_check_cell, is_number=False),
    ]  # fmt: skip
    return make_table("evaluate", sorted(protocols.evaluated, key=table_order(protocols)), columns)


def _self_check_cell(one: Evaluated, notes: Notes) -> Cell:
    """The self-check, with the usual causes where it differs."""
    _, has_causes, causes = one.self_check_note.partition("Usual causes:")
    differs = one.self_check == "differs"
    mark = notes.number(f"usual causes: {escape(causes)}" if has_causes else USUAL_CAUSES) if differs else None
    return Cell(one.self_check, one.self_check, one.cell_ids, is_bold=differs, mark=mark)


def fewshot_table(protocols: Protocols) -> Table | None:
    """Mean over draws by shots and rule for lambda, one row per model and data set."""
    order = table_order(protocols)
    settings = sorted({(score.shots, score.rule) for score in protocols.fewshot}, key=lambda s: (s[0], s[1] != FIXED))
    rows = grouped(protocols.fewshot, lambda one: (one.subject, one.dataset), lambda one: (one.shots, one.rule))

    def first(row: _BySetting) -> FewShot:
        return next(iter(row.values()))

    def ids(row: _BySetting) -> tuple[str, ...]:
        return first(row).cell_ids

    def overlap(row: _BySetting) -> str | None:
        why = first(row).overlap_note or "the weights have seen images or classes of this set"
        return escape(why) if first(row).overlap else None

    def width(row: _BySetting, _: Notes) -> Cell:
        found = first(row).feature_width
        return Cell("–" if found is None else str(found), found, ids(row))

    columns: list[ColumnSpec[_BySetting]] = [
        *subject_columns(protocols, first),
        dataset_column(lambda row: first(row).dataset),
        ColumnSpec("Res. [px]", lambda row, _: Cell(str(first(row).subject.key.resolution_px))),
        words("Layer", lambda row: first(row).layer or "not recorded"),
        ColumnSpec("Width", width),
        words("Overlap", lambda row: "yes" if first(row).overlap else "no", lambda row: bool(first(row).overlap),
              records=ids, note=overlap),
        *each(settings, lambda setting: f"{setting[0]}-shot, {rule_words(setting[1])}: top-1 [%]", _shots_cell),
    ]  # fmt: skip
    return make_table("fewshot", sorted(rows.values(), key=lambda row: order(first(row))), columns)


def rule_words(rule: str) -> str:
    """How lambda was chosen, for a heading."""
    return {"fixed": "fixed λ", "loo": "λ by leave-one-out"}.get(rule, rule)


def _shots_cell(row: _BySetting, setting: tuple[int, str], notes: Notes) -> Cell:
    score = row.get(setting)
    if score is None and setting == (1, LEAVE_ONE_OUT):
        return notes.missing("without the one image of a class nothing is left of it")
    if score is None:
        return notes.missing("not measured with so many images a class")
    return accuracy_cell(score.group, score.interval, score.cell_ids, notes, note=score.short)


def mean_words(datasets: tuple[str, ...]) -> str:
    """What a mean over these sets is called."""
    return "Mean of the five sets" if is_five_set_mean(datasets) else f"Mean of {len(datasets)} sets"


def why_unranked(protocols: Protocols, one: Stratum) -> str:
    """`unstable seeds`, `one seed`, or both: of the checkpoints that are in no ranking."""
    scores: list[Accuracy] = [*protocols.evaluated, *protocols.fewshot, *protocols.finetuned]
    ids = {cell_id for subject in one.best.unranked for cell_id in one.cell_ids[subject]}
    own = [score for score in scores if ids & set(score.cell_ids)]
    return unranked_words((s.group for s in own), "draw" if isinstance(own[0], FewShot) else "seed")


def record_notes(scores: Iterable[Accuracy], labels: Sequence[str]) -> list[str]:
    """What the records say about themselves, each note once with the rows that it is of; Markdown.

    labels: of the scores, in their order.
    """
    found: dict[str, list[str]] = {}
    for score, label in zip(scores, labels, strict=True):
        for note in score.notes:
            found.setdefault(note, []).append(f"{label} on {identify_dataset(score.dataset).title}")
    lines = []
    for note, names in found.items():
        lines.append(f"{escape(note)} ({escape(listed(first_few(dict.fromkeys(names), _MOST_NAMED)))})")
    return lines


def strata_table(protocols: Protocols) -> Table | None:
    """Which checkpoints cannot be told from the best: one row per protocol, set and pre-training data that has two."""

    def unranked(row: _Compared) -> str | None:
        names = listed(protocols.labels[subject] for subject in row[1].best.unranked)
        return f"not ranked for {why_unranked(protocols, row[1])}: {names}" if names else None

    def title(row: _Compared) -> str:
        names = row[1].datasets
        return mean_words(names) if len(names) > 1 else identify_dataset(names[0]).title

    def ranked(heading: str, entry: Callable[[Stratum], Cell], *, is_number: bool = False) -> ColumnSpec[_Compared]:
        def cell(row: _Compared, notes: Notes) -> Cell:
            return entry(row[1]) if row[1].best.members else notes.missing("none is ranked")

        return ColumnSpec(heading, cell, is_number)

    def best(one: Stratum) -> Cell:
        return Cell(protocols.labels[one.best.members[0]], one.best.members[0].key.model)

    def best_pct(one: Stratum) -> Cell:
        first = one.best.members[0]
        return Cell(percent(one.means[first]), one.means[first], one.cell_ids[first])

    def others(one: Stratum) -> Cell:
        rest = one.best.members[1:]
        names = listed(protocols.labels[subject] for subject in rest) or "none"
        return Cell(names, " ".join(subject.key.model for subject in rest), one.all_ids)

    columns: list[ColumnSpec[_Compared]] = [
        words("Data set", title, lambda row: " ".join(row[1].datasets)),
        words("Protocol", lambda row: row[0]),
        words("Pre-training data", lambda row: row[1].pretraining),
        number("Compared", lambda row: row[1].best.compared, whole, records=lambda row: row[1].all_ids, note=unranked),
        ranked("Best", best),
        ranked("Best [%]", best_pct, is_number=True),
        ranked("Not separable from it", others),
    ]
    found = [(protocol, one) for protocol, own in protocols.strata.items() for one in own if len(one.means) > 1]
    return make_table("checkpoints_compared", found, columns)
