"""VTAB-1k as a table: one row per task, group means, and the mean that may be told."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analyse.accuracy import FineTuned
from bench.analyse.means import ManyTasks, SetMean, Vtab, many_tasks
from bench.analyse.protocols import Protocols
from bench.analyse.subjects import Subject
from bench.catalog.identity import identify_dataset
from bench.catalog.image_tasks import VTAB_GROUPS, VTAB_TASKS, vtab_group, vtab_tasks
from bench.number_format import bracketed, ends, fixed, percent
from bench.report.accuracy_cells import mean_cell, score_cell
from bench.report.finetune_tables import NOT_TUNED
from bench.report.table import Cell, Column, Notes, Table
from bench.report.weights_tables import row_order
from bench.text import escape


def vtab_table(protocols: Protocols) -> Table | None:
    """Tasks as rows, models as columns; means over whole groups, all 19 tasks, or the tasks that all models have."""
    vtab = protocols.vtab
    if vtab is None:
        return None
    notes, order = Notes(), row_order(protocols)
    subjects = sorted(vtab.subjects, key=lambda subject: order[subject])
    heads = [Column("Task", is_number=False), Column("Group", is_number=False)]
    heads += [Column(f"{protocols.labels[subject]}: top-1 [%]") for subject in subjects]
    rows = []
    for group in VTAB_GROUPS:
        tasks = [name for name in vtab.tasks if vtab_group(name) == group]
        for name in tasks:
            warning = _split_warning([s[name] for s in vtab.scores.values() if name in s])
            mark = notes.mark(escape(warning))
            scores = [score_cell(vtab.scores[subject].get(name), notes, NOT_TUNED) for subject in subjects]
            rows.append((Cell(_task_title(name), name, mark=mark), Cell(group), *scores))
        if tasks:
            whole = sum(vtab_group(name) == group for name in vtab_tasks())
            why = f"not all {whole} tasks of the group"
            means = [_mean_cell(vtab.group_mean(subject, group), why, notes) for subject in subjects]
            rows.append((Cell(f"Mean of the {whole} {group} tasks"), Cell(group), *means))
    rows += [*_mean_rows(vtab, subjects, notes), *_many_tasks_rows(vtab, subjects, notes)]
    return Table("vtab", tuple(heads), tuple(rows), tuple(notes.texts))


def _mean_rows(vtab: Vtab[FineTuned], subjects: Sequence[Subject], notes: Notes) -> list[tuple[Cell, ...]]:
    scores = [vtab.score(subject) for subject in subjects]
    rows = []
    if any(score is not None for score in scores):
        why = f"not all {VTAB_TASKS} tasks: no VTAB score"
        cells = [_mean_cell(score, why, notes) for score in scores]
        rows.append((Cell(f"VTAB score (mean of {VTAB_TASKS})"), Cell("All"), *cells))
    if any(score is None for score in scores) and len(vtab.common) > 1:
        cells = [_mean_cell(vtab.common_mean(subject), "", notes) for subject in subjects]
        rows.append((Cell(f"Mean of {len(vtab.common)} tasks that all models have"), Cell("All"), *cells))
    return rows


def across_tasks(vtab: Vtab[FineTuned]) -> dict[Subject, ManyTasks]:
    """Mean rank and interquartile mean of each model over the tasks that all models have, where these are many."""
    return many_tasks(
        {s: {task: own[task].group for task in vtab.common} for s, own in vtab.scores.items()}, vtab.common
    )


def _many_tasks_rows(vtab: Vtab[FineTuned], subjects: Sequence[Subject], notes: Notes) -> list[tuple[Cell, ...]]:
    found = across_tasks(vtab)
    if not found:
        return []
    ids = {s: tuple(i for task in vtab.common for i in vtab.scores[s][task].cell_ids) for s in found}
    everyone = tuple(i for own in ids.values() for i in own)
    why = "unstable seeds on some task"
    ranks, means = [], []
    for s in subjects:
        one = found.get(s)
        ranks.append(notes.missing(why) if one is None else Cell(fixed(one.mean_rank, 1), one.mean_rank, everyone))
        means.append(
            notes.missing(why)
            if one is None
            else Cell(f"{percent(one.iqm.estimate)} {bracketed(one.iqm)}", one.iqm.estimate, ids[s], more=ends(one.iqm))
        )
    over = f"over {len(vtab.common)} tasks"
    return [(Cell(f"Mean rank {over}"), Cell("All"), *ranks), (Cell(f"Interquartile mean {over}"), Cell("All"), *means)]


def _task_title(name: str) -> str:
    return identify_dataset(name).title.removeprefix("VTAB ")


def _split_warning(scores: list[FineTuned]) -> str:
    """What the records say of how the task's parts came about."""
    return " ".join(dict.fromkeys(note for score in scores for note in score.notes))


def _mean_cell(mean: SetMean | None, why: str, notes: Notes) -> Cell:
    if mean is None:
        return notes.missing(why)
    return mean_cell(mean, is_bold=True)


def vtab_text(protocols: Protocols) -> str:
    """What the table's means are, and that nothing else is VTAB's score; Markdown."""
    vtab = protocols.vtab
    if vtab is None:
        return ""
    words = "Measured here: fine-tuned on 1 000 images a task (800 + 200), top-1 on the task's test part."
    if all(vtab.score(subject) is None for subject in vtab.subjects):
        words += (
            f" **No VTAB score**: that is the unweighted mean of all {VTAB_TASKS} tasks, and no model has them all "
            f"({len(vtab.tasks)} were measured of some)."
        )
        if len(vtab.common) < 2:
            words += " Fewer than two tasks were measured for every model, so there is no mean either."
    else:
        words += f" The VTAB score is the unweighted mean of all {VTAB_TASKS} tasks."
    if across_tasks(vtab):
        words += (
            " Mean rank: 1 is the best of these models. The interquartile mean leaves out the best and the worst "
            "quarter of a model's tasks; its 95 % interval is by bootstrap over tasks, so it says what other tasks "
            "would change, not other seeds."
        )
    return words
