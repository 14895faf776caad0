"""Tables of fine-tuned weights: means over sets, each set in detail, the sweep, pretraining's gain, speed."""

from __future__ import annotations

from collections.abc import Callable

from bench.analyse.accuracy import FineTuned
from bench.analyse.differences import PretrainingGain
from bench.analyse.means import set_mean
from bench.analyse.protocols import Protocols, finetuned_by_subject
from bench.analyse.trials import RecipeSweep
from bench.catalog.identity import identify_dataset
from bench.catalog.image_tasks import in_order, is_five_set_mean
from bench.number_format import bare_rate, learning_rate, listed, mac_scale, percent, span, whole
from bench.report.accuracy_cells import difference_cell, edge_words, mean_cell, score_cell, tried_cell
from bench.report.columns import condition, dataset_column, each, family_column, macs_column, number, words
from bench.report.table import Cell, ColumnSpec, Notes, Table, make_table
from bench.report.weights_tables import mean_words, model_columns, row_order, subject_columns, table_order, top_columns

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
