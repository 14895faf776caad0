"""Tables of fine-tuned weights: means over sets, VTAB-1k, each set in detail, the sweep, pretraining's gain, speed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.analyse.accuracies.accuracy import FineTuned
from bench.analyse.accuracies.protocols import Protocols, finetuned_by_subject
from bench.analyse.accuracies.subjects import Subject
from bench.analyse.accuracies.trials import RecipeSweep
from bench.analyse.compare.differences import PretrainingGain
from bench.analyse.compare.means import ManyTasks, SetMean, Vtab, many_tasks, set_mean
from bench.catalog.identity import identify_dataset
from bench.catalog.image_tasks import VTAB_GROUPS, VTAB_TASKS, in_order, is_five_set_mean, vtab_group, vtab_tasks
from bench.number_format import (
    bare_rate,
    bracketed,
    ends,
    fixed,
    learning_rate,
    listed,
    mac_scale,
    percent,
    span,
    whole,
)
from bench.report.tables.accuracy_cells import difference_cell, edge_words, mean_cell, score_cell, tried_cell
from bench.report.tables.columns import condition, dataset_column, each, family_column, macs_column, number, words
from bench.report.tables.table import Cell, Column, ColumnSpec, Notes, Table, make_table
from bench.report.tables.weights_tables import (
    mean_words,
    model_columns,
    row_order,
    subject_columns,
    table_order,
    top_columns,
)
from bench.text import escape

_RECIPES = {"vit": "ViT paper", "bit": "BiT HyperRule"}
NOT_TUNED = "not fine-tuned on this set, or every run failed (see below)"

_ByDataset = dict[str, FineTuned]


def recipe_words(name: str) -> str:
    """A recipe's name for a reader."""
    return _RECIPES.get(name, name)


def finetune_means_table(protocols: Protocols) -> Table | None:
    """One row per model and weights, a column per data set (ImageNet at the right), and the mean where there is one."""
    found, order = finetuned_by_subject(protocols), row_order(protocols)
    names = in_order(name for scores in found.values() for name in scores)
    scale = mac_scale(score.macs or 0.0 for score in protocols.table_sets)
    averaged = protocols.averaged

    def first(row: _ByDataset) -> FineTuned:
        return next(iter(row.values()))

    def top1(row: _ByDataset, name: str, notes: Notes) -> Cell:
        return score_cell(row.get(name), notes, NOT_TUNED)

    def mean(row: _ByDataset, notes: Notes) -> Cell:
        found = set_mean(row, averaged)
        if found is None:
            return notes.missing("not measured on all of the averaged sets")
        return mean_cell(found, mark=None if found.interval else notes.number("one seed: no interval"))

    def heading(name: str) -> str:
        return f"{identify_dataset(name).title}: top-1 [%]"

    columns: list[ColumnSpec[_ByDataset]] = [
        *subject_columns(protocols, first),
        condition("Res. [px]", lambda row: first(row).subject.key.resolution_px),
        macs_column(lambda row: first(row).macs, scale, lambda row: first(row).cell_ids),
        *each([name for name in names if name != "imagenet"], heading, top1),
        *([ColumnSpec(f"{mean_words(averaged)}: top-1 [%]", mean)] if averaged else []),
        *each([name for name in names if name == "imagenet"], heading, top1),
    ]
    return make_table("finetune_means", [found[one] for one in sorted(found, key=lambda one: order[one])], columns)


def mean_caption(protocols: Protocols) -> str:
    """Which sets the mean is of, or why there is none; Markdown-free."""
    if is_five_set_mean(protocols.averaged):
        return "The mean is that of the paper's Figure 5: ImageNet, CIFAR-10, CIFAR-100, Pets and Flowers."
    if protocols.averaged:
        names = listed(identify_dataset(name).title for name in protocols.averaged)
        return (
            f"The mean is of {len(protocols.averaged)} sets ({names}), the same for every model: not the paper's five."
        )
    if len({score.dataset for score in protocols.table_sets}) > 1:
        return "No mean over sets: fewer than two were measured for every model."
    return ""


def finetune_table(protocols: Protocols) -> Table | None:
    """One row per model, weights and data set: accuracies, seeds, and the recipe that validation chose."""
    columns: list[ColumnSpec[FineTuned]] = [
        *subject_columns(protocols, lambda one: one),
        dataset_column(lambda one: one.dataset),
        ColumnSpec("Top-1 [%]", lambda one, notes: score_cell(one, notes, NOT_TUNED)),
        *top_columns(lambda one: one),
        number("Seeds", lambda one: len(one.seeds), str),
        number("Training images", lambda one: one.train_images, whole),
        number("Steps", lambda one: one.steps, whole),
        words("Recipe", lambda one: recipe_words(one.recipe_name), lambda one: one.recipe_name,
              records=lambda one: one.cell_ids),
        number("Learning rate", lambda one: one.learning_rate, learning_rate, note=_how_chosen),
        number("Recipes tried", lambda one: one.trials, lambda trials: str(trials) if trials else "none"),
    ]  # fmt: skip
    return make_table("finetune", sorted(protocols.table_sets, key=table_order(protocols)), columns)


def _how_chosen(one: FineTuned) -> str | None:
    if one.validation_pct is not None:
        return f"the best of {one.trials} recipes on validation" if one.recipes_tested > 1 else None
    if one.recipes_tested > 1:
        return "several recipes were scored on the test part and none on validation: the most seeds count"
    return "given in the suite file, not chosen on validation in this suite"


def sweep_table(protocols: Protocols) -> Table | None:
    """Validation top-1 by recipe and learning rate, the chosen one, and whether it is at the edge of what was tried."""
    rules = sorted({rule for sweep in protocols.sweeps for rule in sweep.tried}, key=lambda r: (r[0] == "bit", *r))

    def rule_heading(rule: tuple[str, float]) -> str:
        return f"{recipe_words(rule[0])}, {learning_rate(rule[1])}"

    def top1(sweep: RecipeSweep, rule: tuple[str, float], _: Notes) -> Cell:
        ids = sweep.cell_ids.get(rule, ())
        return tried_cell(sweep.top1_pct.get(rule), ids, was_tried=rule in sweep.tried, is_best=rule == sweep.best)

    def remark(sweep: RecipeSweep) -> str:
        return edge_words(sweep.edge) or ("one recipe tried: nothing was chosen" if len(sweep.tried) == 1 else "")

    columns: list[ColumnSpec[RecipeSweep]] = [
        *model_columns(protocols, lambda sweep: sweep.subject),
        dataset_column(lambda sweep: sweep.dataset),
        *each(rules, lambda rule: f"{rule_heading(rule)}: top-1 [%]", top1),
        words("Chosen", lambda sweep: rule_heading(sweep.best), lambda sweep: sweep.best[1],
              records=lambda sweep: sweep.cell_ids[sweep.best]),
        words("Remark", remark),
    ]  # fmt: skip
    return make_table("finetune_sweep", sorted(protocols.sweeps, key=table_order(protocols)), columns)


def gains_table(protocols: Protocols) -> Table | None:
    """Pretrained beside from scratch, for every model and set that has both."""
    order = table_order(protocols)

    def ids(gain: PretrainingGain) -> tuple[str, ...]:
        return (*gain.pretrained.cell_ids, *gain.scratch.cell_ids)

    def unlike(gain: PretrainingGain) -> str | None:
        ours, theirs = gain.pretrained, gain.scratch
        if ours.steps != theirs.steps:
            return f"steps differ: {whole(ours.steps)} and {whole(theirs.steps)}"
        untuned = [name for name, one in (("pretrained", ours), ("from scratch", theirs)) if one.trials < 2]
        return f"not swept: {listed(untuned)}" if untuned else None

    def rates(gain: PretrainingGain, notes: Notes) -> Cell:
        both = f"{learning_rate(gain.pretrained.learning_rate)}, {learning_rate(gain.scratch.learning_rate)}"
        return Cell(both, None, ids(gain), mark=notes.mark(unlike(gain)))

    def verdict(gain: PretrainingGain) -> str:
        return {"ahead": "helps", "behind": "hurts"}.get(gain.difference.verdict, gain.difference.verdict)

    columns: list[ColumnSpec[PretrainingGain]] = [
        model_columns(protocols, lambda gain: gain.pretrained.subject)[0],
        dataset_column(lambda gain: gain.pretrained.dataset),
        ColumnSpec("Pretrained [%]", lambda gain, notes: score_cell(gain.pretrained, notes, NOT_TUNED)),
        ColumnSpec("From scratch [%]", lambda gain, notes: score_cell(gain.scratch, notes, NOT_TUNED)),
        ColumnSpec("Difference [points]", lambda gain, notes: difference_cell(gain.difference, ids(gain), notes)),
        ColumnSpec("Learning rates (pretrained, scratch)", rates),
        words("Pretraining", verdict, lambda gain: gain.difference.verdict, records=ids),
    ]
    return make_table("pretraining_gain", sorted(protocols.gains, key=lambda gain: order(gain.pretrained)), columns)


def training_speed_table(protocols: Protocols) -> Table | None:
    """Images per second of training, of the input pipeline alone, of the model alone, and the share of waiting."""
    scores = [one for one in protocols.finetuned if one.train_img_per_s is not None]
    scale = mac_scale(one.macs or 0.0 for one in scores)
    unknown = "not recorded"

    def counts(heading: str, values: Callable[[FineTuned], tuple[int, ...]]) -> ColumnSpec[FineTuned]:
        def entry(one: FineTuned, notes: Notes) -> Cell:
            found = values(one)
            return Cell(span(found), found[-1], one.cell_ids) if found else notes.missing(unknown)

        return ColumnSpec(heading, entry)

    columns: list[ColumnSpec[FineTuned]] = [
        *model_columns(protocols, lambda one: one.subject),
        dataset_column(lambda one: one.dataset),
        family_column(lambda one: one.identity.family),
        condition("Res. [px]", lambda one: one.subject.key.resolution_px),
        macs_column(lambda one: one.macs, scale),
        counts("Processes", lambda one: one.processes),
        counts("Micro-batch", lambda one: one.micro_batch_sizes),
        number("Training [img/s]", lambda one: one.train_img_per_s, bare_rate, missing=unknown),
        number("Pipeline alone [img/s]", lambda one: one.pipeline_img_per_s, bare_rate, missing=unknown),
        number("Model alone [img/s]", lambda one: one.model_img_per_s, bare_rate, missing=unknown),
        number("Waiting [% of time]", lambda one: one.wait_share, lambda n: percent(100 * n), missing=unknown),
    ]
    return make_table("finetune_speed", sorted(scores, key=table_order(protocols)), columns)


def vtab_table(protocols: Protocols) -> Table | None:
    """VTAB-1k, tasks as rows, models as columns; means over whole groups, all tasks, or those that all models have."""
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
            scores = [vtab.scores[subject].get(name) for subject in subjects]
            split = " ".join(dict.fromkeys(note for score in scores if score for note in score.notes))
            title = Cell(identify_dataset(name).title.removeprefix("VTAB "), name, mark=notes.mark(escape(split)))
            rows.append((title, Cell(group), *(score_cell(score, notes, NOT_TUNED) for score in scores)))
        if tasks:
            of_all = sum(vtab_group(name) == group for name in vtab_tasks())
            means = [vtab.group_mean(subject, group) for subject in subjects]
            cells = _mean_cells(means, f"not all {of_all} tasks of the group", notes)
            rows.append((Cell(f"Mean of the {of_all} {group} tasks"), Cell(group), *cells))
    whole_means = [vtab.score(subject) for subject in subjects]
    if any(mean is not None for mean in whole_means):
        cells = _mean_cells(whole_means, f"not all {VTAB_TASKS} tasks: no VTAB score", notes)
        rows.append((Cell(f"VTAB score (mean of {VTAB_TASKS})"), Cell("All"), *cells))
    if any(mean is None for mean in whole_means) and len(vtab.common) > 1:
        cells = _mean_cells([vtab.common_mean(subject) for subject in subjects], "", notes)
        rows.append((Cell(f"Mean of {len(vtab.common)} tasks that all models have"), Cell("All"), *cells))
    rows += _many_tasks_rows(vtab, subjects, notes)
    return Table("vtab", tuple(heads), tuple(rows), tuple(notes.texts))


def _mean_cells(means: Sequence[SetMean | None], missing: str, notes: Notes) -> list[Cell]:
    return [notes.missing(missing) if mean is None else mean_cell(mean, is_bold=True) for mean in means]


def across_tasks(vtab: Vtab) -> dict[Subject, ManyTasks]:
    """Mean rank and interquartile mean of each model over the tasks that all models have, where these are many."""
    return many_tasks(
        {s: {task: own[task].group for task in vtab.common} for s, own in vtab.scores.items()}, vtab.common
    )


def _many_tasks_rows(vtab: Vtab, subjects: Sequence[Subject], notes: Notes) -> list[tuple[Cell, ...]]:
    found = across_tasks(vtab)
    if not found:
        return []
    ids = {s: tuple(i for task in vtab.common for i in vtab.scores[s][task].cell_ids) for s in found}
    everyone = tuple(i for own in ids.values() for i in own)
    unstable = notes.missing("unstable seeds on some task") if any(s not in found for s in subjects) else Cell("")
    ranks = {s: Cell(fixed(one.mean_rank, 1), one.mean_rank, everyone) for s, one in found.items()}
    means = {
        s: Cell(f"{percent(one.iqm.estimate)} {bracketed(one.iqm)}", one.iqm.estimate, ids[s], more=ends(one.iqm))
        for s, one in found.items()
    }
    return [
        (Cell(f"{name} over {len(vtab.common)} tasks"), Cell("All"), *(cells.get(s, unstable) for s in subjects))
        for name, cells in (("Mean rank", ranks), ("Interquartile mean", means))
    ]


def vtab_text(protocols: Protocols) -> str:
    """What the table's means are, and that nothing else is VTAB's score; Markdown."""
    vtab = protocols.vtab
    if vtab is None:
        return ""
    told = "Measured here: fine-tuned on 1 000 images a task (800 + 200), top-1 on the task's test part."
    if all(vtab.score(subject) is None for subject in vtab.subjects):
        told += (
            f" **No VTAB score**: that is the unweighted mean of all {VTAB_TASKS} tasks, and no model has them all "
            f"({len(vtab.tasks)} were measured of some)."
        )
        if len(vtab.common) < 2:
            told += " Fewer than two tasks were measured for every model, so there is no mean either."
    else:
        told += f" The VTAB score is the unweighted mean of all {VTAB_TASKS} tasks."
    if across_tasks(vtab):
        told += (
            " Mean rank: 1 is the best of these models. The interquartile mean leaves out the best and the worst "
            "quarter of a model's tasks; its 95 % interval is by bootstrap over tasks, so it says what other tasks "
            "would change, not other seeds."
        )
    return told
