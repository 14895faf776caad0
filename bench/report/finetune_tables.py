"""Tables of fine-tuned weights: means over sets, each set in detail, the sweep, pretraining's gain, training speed."""

from __future__ import annotations

from bench.analyse.finetuned import FinetuneScore, PretrainingGain, RecipeSweep
from bench.analyse.means import set_mean
from bench.analyse.protocols import Protocols, finetuned_by_subject
from bench.catalog.identity import identify_dataset
from bench.catalog.image_tasks import in_order, is_five_set_mean, set_order
from bench.report.accuracy_cells import accuracy_cell, difference_cell
from bench.report.formats import (
    bare_rate,
    counted,
    ends,
    fixed,
    learning_rate,
    listed,
    mac_scale,
    percent,
    plus_minus,
    span,
)
from bench.report.style import family_style
from bench.report.table import Cell, Column, Notes, Table
from bench.report.weights_tables import macs_cell, mean_words, percent_cell, row_order, subject_cells, subject_columns

_RECIPES = {"vit": "ViT paper", "bit": "BiT HyperRule"}


def recipe_words(name: str) -> str:
    """A recipe's name for a reader."""
    return _RECIPES.get(name, name)


def finetune_means_table(protocols: Protocols) -> Table | None:
    """One row per model and weights, a column per data set (ImageNet at the right), and the mean where there is one."""
    found = finetuned_by_subject(protocols)
    if not found:
        return None
    notes, order = Notes(), row_order(protocols)
    names = in_order(name for scores in found.values() for name in scores)
    scale = mac_scale(score.macs or 0.0 for score in protocols.table_sets)
    averaged = protocols.averaged
    heads = [*subject_columns(), Column("Res. [px]"), Column(f"MACs [{scale.unit}]")]
    heads += [Column(f"{identify_dataset(name).title}: top-1 [%]") for name in names if name != "imagenet"]
    heads += [Column(f"{mean_words(averaged)}: top-1 [%]")] if averaged else []
    heads += [Column(f"{identify_dataset('imagenet').title}: top-1 [%]")] if "imagenet" in names else []
    rows = []
    for subject in sorted(found, key=lambda subject: order[subject]):
        scores = found[subject]
        first = next(iter(scores.values()))
        row = subject_cells(subject, first.identity.family, protocols, notes)
        row += [Cell(str(subject.key.resolution_px), subject.key.resolution_px), macs_cell(first, scale, notes)]
        row += [score_cell(scores.get(name), notes) for name in names if name != "imagenet"]
        if averaged:
            row.append(_mean_cell(scores, averaged, notes))
        if "imagenet" in names:
            row.append(score_cell(scores.get("imagenet"), notes))
        rows.append(tuple(row))
    return Table("finetune_means", tuple(heads), tuple(rows), tuple(notes.texts))


def score_cell(score: FinetuneScore | None, notes: Notes) -> Cell:
    """Mean over seeds with its interval."""
    if score is None:
        return notes.missing("not fine-tuned on this set, or every run failed (see below)")
    return accuracy_cell(score.group, score.interval, score.cell_ids, notes)


def _mean_cell(scores: dict[str, FinetuneScore], averaged: tuple[str, ...], notes: Notes) -> Cell:
    mean = set_mean(scores, averaged)
    if mean is None:
        return notes.missing("not measured on all of the averaged sets")
    if mean.interval is None:
        return Cell(percent(mean.mean_pct), mean.mean_pct, mean.cell_ids, mark=notes.number("one seed: no interval"))
    return Cell(plus_minus(mean.interval, 1), mean.mean_pct, mean.cell_ids, more=ends(mean.interval))


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
    scores = protocols.table_sets
    if not scores:
        return None
    notes, order = Notes(), row_order(protocols)
    heads = [
        *subject_columns(),
        Column("Data set", is_number=False),
        Column("Top-1 [%]"),
        Column("Top-5 [%]"),
        Column("Mean per class [%]"),
        Column("Seeds"),
        Column("Training images"),
        Column("Steps"),
        Column("Recipe", is_number=False),
        Column("Learning rate"),
        Column("Recipes tried"),
    ]
    rows = []
    for one in sorted(scores, key=lambda one: (set_order(one.dataset), order[one.subject])):
        ids = one.cell_ids
        rows.append(
            (
                *subject_cells(one.subject, one.identity.family, protocols, notes),
                Cell(identify_dataset(one.dataset).title, one.dataset),
                score_cell(one, notes),
                percent_cell(one.top5_pct, ids, notes, "fewer than five classes"),
                percent_cell(one.mean_per_class_pct, ids, notes, "not recorded"),
                Cell(str(len(one.seeds)), len(one.seeds), ids),
                Cell(fixed(one.train_images, 0), one.train_images, ids),
                Cell(fixed(one.steps, 0), one.steps, ids),
                Cell(recipe_words(one.recipe_name), one.recipe_name, ids),
                Cell(learning_rate(one.learning_rate), one.learning_rate, ids, mark=_chosen_mark(one, notes)),
                Cell(str(one.trials) if one.trials else "none", one.trials, ids),
            )
        )
    return Table("finetune", tuple(heads), tuple(rows), tuple(notes.texts))


def _chosen_mark(one: FinetuneScore, notes: Notes) -> int | None:
    if one.validation_pct is not None:
        return notes.number(f"the best of {one.trials} recipes on validation") if one.recipes_tested > 1 else None
    if one.recipes_tested > 1:
        return notes.number("several recipes were scored on the test part and none on validation: the most seeds count")
    return notes.number("given in the suite file, not chosen on validation in this suite")


def sweep_table(protocols: Protocols) -> Table | None:
    """Validation top-1 by recipe and learning rate, the chosen one, and whether it is at the edge of what was tried."""
    if not protocols.sweeps:
        return None
    rules = sorted({rule for sweep in protocols.sweeps for rule in sweep.tried}, key=lambda r: (r[0] == "bit", *r))
    heads = [Column(name, is_number=False) for name in ("Model", "Weights", "Data set")]
    heads += [Column(f"{recipe_words(name)}, {learning_rate(rate)}: top-1 [%]") for name, rate in rules]
    heads += [Column("Chosen", is_number=False), Column("Remark", is_number=False)]
    order = row_order(protocols)
    rows = []
    for sweep in sorted(protocols.sweeps, key=lambda one: (set_order(one.dataset), order[one.subject])):
        row = [Cell(protocols.labels[sweep.subject], sweep.subject.key.model), Cell(sweep.subject.weights_words)]
        row.append(Cell(identify_dataset(sweep.dataset).title, sweep.dataset))
        for rule in rules:
            top1 = sweep.top1_pct.get(rule)
            if top1 is None:
                row.append(Cell("failed" if rule in sweep.tried else "–"))
            else:
                row.append(Cell(percent(top1), top1, sweep.cell_ids[rule], is_bold=rule == sweep.best))
        name, rate = sweep.best
        row.append(Cell(f"{recipe_words(name)}, {learning_rate(rate)}", rate, sweep.cell_ids[sweep.best]))
        row.append(Cell(_sweep_remark(sweep)))
        rows.append(tuple(row))
    return Table("finetune_sweep", tuple(heads), tuple(rows))


def _sweep_remark(sweep: RecipeSweep) -> str:
    if sweep.edge:
        return f"at the {'lower' if sweep.edge == 'low' else 'upper'} edge: extend the grid"
    return "one recipe tried: nothing was chosen" if len(sweep.tried) == 1 else ""


def gains_table(protocols: Protocols) -> Table | None:
    """Pretrained beside from scratch, for every model and set that has both."""
    if not protocols.gains:
        return None
    notes, order = Notes(), row_order(protocols)
    heads = [Column("Model", is_number=False), Column("Data set", is_number=False)]
    heads += [Column("Pretrained [%]"), Column("From scratch [%]"), Column("Difference [points]")]
    heads += [Column("Learning rates (pretrained, scratch)"), Column("Pretraining", False)]
    ordered = sorted(protocols.gains, key=lambda g: (set_order(g.pretrained.dataset), order[g.pretrained.subject]))
    rows = tuple(_gain_cells(gain, protocols, notes) for gain in ordered)
    return Table("pretraining_gain", tuple(heads), rows, tuple(notes.texts))


def _gain_cells(gain: PretrainingGain, protocols: Protocols, notes: Notes) -> tuple[Cell, ...]:
    ours, theirs = gain.pretrained, gain.scratch
    ids = (*ours.cell_ids, *theirs.cell_ids)
    untuned = [name for name, one in (("pretrained", ours), ("from scratch", theirs)) if one.trials < 2]
    mark = notes.number(f"not swept: {listed(untuned)}") if untuned else None
    if ours.steps != theirs.steps:
        mark = notes.number(f"steps differ: {fixed(ours.steps, 0)} and {fixed(theirs.steps, 0)}")
    rates = f"{learning_rate(ours.learning_rate)}, {learning_rate(theirs.learning_rate)}"
    verdict = {"ahead": "helps", "behind": "hurts"}.get(gain.difference.verdict, gain.difference.verdict)
    return (
        Cell(protocols.labels[ours.subject], ours.subject.key.model),
        Cell(identify_dataset(ours.dataset).title, ours.dataset),
        score_cell(ours, notes),
        score_cell(theirs, notes),
        difference_cell(gain.difference, ids, notes),
        Cell(rates, None, ids, mark=mark),
        Cell(verdict, gain.difference.verdict, ids),
    )


def training_speed_table(protocols: Protocols) -> Table | None:
    """Images per second of training, of the input pipeline alone, of the model alone, and the share of waiting."""
    scores = [one for one in protocols.finetuned if one.train_img_per_s is not None]
    if not scores:
        return None
    notes, order = Notes(), row_order(protocols)
    scale = mac_scale(one.macs or 0.0 for one in scores)
    heads = [Column(name, is_number=False) for name in ("Model", "Weights", "Data set", "Family")]
    heads += [Column("Res. [px]"), Column(f"MACs [{scale.unit}]"), Column("Processes"), Column("Micro-batch")]
    heads += [Column("Training [img/s]"), Column("Pipeline alone [img/s]"), Column("Model alone [img/s]")]
    heads += [Column("Waiting [% of time]")]
    rows = []
    for one in sorted(scores, key=lambda one: (set_order(one.dataset), order[one.subject])):
        key = one.subject.key
        row = [Cell(protocols.labels[one.subject], key.model), Cell(one.subject.weights_words)]
        row += [Cell(identify_dataset(one.dataset).title, one.dataset), Cell(family_style(one.identity.family).name)]
        row += [Cell(str(key.resolution_px), key.resolution_px), macs_cell(one, scale, notes)]
        row += [_numbers_cell(one.processes, one, notes), _numbers_cell(one.micro_batch_sizes, one, notes)]
        for value in (one.train_img_per_s, one.pipeline_img_per_s, one.model_img_per_s):
            row.append(notes.missing("not recorded") if value is None else Cell(bare_rate(value), value, one.cell_ids))
        if one.wait_share is None:
            row.append(notes.missing("not recorded"))
        else:
            row.append(Cell(percent(100 * one.wait_share), one.wait_share, one.cell_ids))
        rows.append(tuple(row))
    return Table("finetune_speed", tuple(heads), tuple(rows), tuple(notes.texts))


def _numbers_cell(values: tuple[int, ...], one: FinetuneScore, notes: Notes) -> Cell:
    if not values:
        return notes.missing("not recorded")
    return Cell(span(values), values[-1], one.cell_ids)


def seeds_words(protocols: Protocols) -> str:
    """`3 seeds`, or the range, over all fine-tuned scores."""
    counts = {len(one.seeds) for one in protocols.finetuned}
    return counted(counts.pop(), "seed") if len(counts) == 1 else f"{span(counts)} seeds"
