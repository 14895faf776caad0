"""Under which conditions something was measured, for captions, texts and tables: Markdown without a full stop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.analyse.accuracies.accuracy import Accuracy, FineTuned, Trained
from bench.analyse.accuracies.pooling import along_images
from bench.analyse.accuracies.protocols import Protocols
from bench.analyse.accuracies.subjects import RunKey
from bench.analyse.study import Study
from bench.catalog.identity import identify_dataset
from bench.catalog.image_tasks import in_order, vtab_group
from bench.number_format import counted, flop_scale, learning_rate, listed, span
from bench.report.tables.finetune_tables import recipe_words
from bench.store.rows import machine_of
from bench.suite.tasks import TIMING_TASKS
from bench.text import escape
from bench.units import GIGA


def dataset_words(names: Iterable[str]) -> str:
    """Titles of data sets, escaped, as a list."""
    return listed(escape(identify_dataset(name).title) for name in names)


def seeds_words(scores: Sequence[Trained | FineTuned]) -> str:
    """`3 seeds`, or the range."""
    counts = {len(score.seeds) for score in scores}
    return counted(counts.pop(), "seed") if len(counts) == 1 else f"{span(counts)} seeds"


def device_words(study: Study) -> str:
    """The processor (or GPU) of the home machine's timings with its threads."""
    timed = (record for record in study.shown if record.cell.get("task") in TIMING_TASKS)
    at_home = (record for record in timed if machine_of(record) == study.home)
    conditions = next((record.conditions for record in at_home), {})
    name = escape(str(conditions.get("gpu_model") or conditions.get("cpu_model") or "unknown device"))
    threads = conditions.get("threads")
    if conditions.get("gpu_model") is not None or threads is None:
        return name
    return f"{name} ({counted(int(threads), 'thread')})"


def accuracy_conditions(study: Study, *, sizes: bool = True) -> str:
    """Device, precision, batch, resolution, images and seeds behind the accuracies."""
    scores = study.main
    keys = [score.key for score in scores]
    return (
        f"trained from scratch on {_distinct(keys, 'device')} in {_distinct(keys, 'precision')}, training batch "
        f"{span({score.batch_size for score in scores})}, {_pixels(keys)}, {seeds_words(scores)}; images: "
        f"{_images_words(scores, (dataset.name for dataset in study.datasets), sizes=sizes)}"
    )


def speed_conditions(study: Study) -> str:
    """Device, settings, resolution, batch sizes and processes behind the timings of the main table."""
    timed = [row.speed for row in study.rows if row.speed is not None]
    keys = [speed.key for speed in timed]
    folded = {key.fold for key in keys}
    how = _compiled_words(keys, "both")
    how += ", folded and not" if len(folded) > 1 else ", folded" if True in folded else ""
    return (
        f"{_timing_words(study, keys, how)}, throughput at batch {span({speed.batch_size for speed in timed})}, "
        f"latency at batch 1, {span({speed.processes for speed in timed})} fresh processes per model"
    )


def conditions_words(study: Study, keys: Sequence[RunKey]) -> str:
    """Device, settings and resolution behind timings and memory along an axis."""
    return _timing_words(study, keys, _compiled_words(keys, "eager and compiled"))


def _timing_words(study: Study, keys: Sequence[RunKey], how: str) -> str:
    precisions, formats = _distinct(keys, "precision"), _distinct(keys, "memory_format")
    return f"{device_words(study)}, {precisions}, {formats}, {how}, {_pixels(keys)}"


def _compiled_words(keys: Sequence[RunKey], both: str) -> str:
    compiled = {key.compile for key in keys}
    return both if len(compiled) > 1 else "compiled" if True in compiled else "eager"


def compute_words(scores: Sequence[Trained]) -> str:
    """Training compute of these runs, called equal only where it is."""
    budgets = [score.budget_gflop for score in scores]
    if len(set(budgets)) == 1:
        return f"equal training compute ({budgets_words(budgets)})"
    return f"training compute that differs between models or sets ({budgets_words(budgets)})"


def budgets_words(gflops: Iterable[float]) -> str:
    """The compute that these budgets span: `0.30–1.50 TFLOP`."""
    flops = {gflop * GIGA for gflop in gflops}
    scale = flop_scale(flops)
    return f"{span((flop / scale.factor for flop in flops), 2)} {scale.unit}"


def sizes_compute_words(study: Study) -> str:
    """Training compute along the axis of training-set sizes: of all lines, or along each one."""
    lines: dict[tuple[str, str], list[Trained]] = {}
    for score in along_images(study.scores):
        lines.setdefault((score.dataset, study.labels[score.key]), []).append(score)
    several = [line for line in lines.values() if len({score.train_images for score in line}) > 1]
    scores = [score for line in several for score in line]
    if not scores:
        return ""
    budgets = [{score.budget_gflop for score in line} for line in several]
    if all(len(own) == 1 for own in budgets) and len(set.union(*budgets)) > 1:
        words = budgets_words(set.union(*budgets))
        return f"each model at one training compute, which differs between models or sets ({words})"
    return f"at {compute_words(scores)}"


def sweep_conditions(study: Study) -> str:
    """Device, precision, batch, resolution, images, seeds and compute of one trial."""
    swept = {cell_id for one in study.swept for ids in one.cell_ids.values() for cell_id in ids}
    trials = [row for row in study.training if row["cell_id"] in swept]
    devices, precisions = ({str(row[name]) for row in trials} for name in ("device", "precision"))
    seeds = counted(max(one.seeds for one in study.swept), "seed")
    return (
        f"{seeds} per rate on {listed(sorted(devices))} in "
        f"{listed(sorted(precisions))}, training batch {span(row['batch_size'] for row in trials)}, "
        f"{span(row['resolution_px'] for row in trials)} px, "
        f"{span({one.train_images for one in study.swept})} training images, "
        f"{span(row['validation_images'] for row in trials)} validation images, "
        f"{budgets_words(one.budget_gflop for one in study.swept)} per trial"
    )


def weights_conditions(protocols: Protocols) -> list[tuple[str, str]]:
    """What was done with given weights, and its conditions."""
    done = (
        ("Evaluation", protocols.evaluated, evaluate_conditions),
        ("Few-shot", protocols.fewshot, fewshot_conditions),
        ("Fine-tuning", protocols.finetuned, finetune_conditions),
    )
    return [(name, conditions(protocols)) for name, scores, conditions in done if scores]


def evaluate_conditions(protocols: Protocols) -> str:
    """Device, precision, resolution and images of the evaluations."""
    ones = protocols.evaluated
    crops = sorted({float(one.preprocessing["crop_pct"]) for one in ones if one.preprocessing.get("crop_pct")})
    kinds = sorted({str(one.preprocessing["interpolation"]) for one in ones if one.preprocessing.get("interpolation")})
    own = "each checkpoint's own preprocessing"
    if crops or kinds:
        shares = [f"crop {span(crops, 3)}"] if crops else []
        own += f" ({escape(', '.join([*shares, *kinds]))})"
    return f"{_setting_words(ones)}, {own}, every image once; images: {_scored_images(ones)}"


def fewshot_conditions(protocols: Protocols) -> str:
    """Device, precision, resolution, draws, lambda and images of the few-shot results."""
    ones = protocols.fewshot
    draws = span({len(one.group.values_pct) for one in ones})
    l2 = sorted({one.fixed_l2 for one in ones if one.fixed_l2 is not None})
    fixed_l2 = f", fixed λ = {listed(f'{value:g}' for value in l2)}" if l2 else ""
    return (
        f"{_setting_words(ones)}, {draws} {'draw' if draws == '1' else 'draws'}, ridge regression in closed form"
        f"{fixed_l2}; images: {_scored_images(ones)}"
    )


def finetune_conditions(protocols: Protocols) -> str:
    """Device, precision, resolution, batch, seeds and images of the fine-tunings."""
    ones = protocols.finetuned
    apart = [one for one in ones if vtab_group(one.dataset) is None]
    tasks = len({one.dataset for one in ones}) - len({one.dataset for one in apart})
    images = [_scored_images(apart)] if apart else []
    images += [f"{counted(tasks, 'VTAB task')}: 1 000 training each"] if tasks else []
    recipes = sorted({(one.recipe_name, one.learning_rate) for one in ones})
    names = listed(dict.fromkeys(recipe_words(name) for name, _ in recipes))
    rates = listed(dict.fromkeys(learning_rate(rate) for _, rate in recipes))
    return (
        f"{_setting_words(ones)}, recipe {escape(names)}, batch {span({one.batch_size for one in ones})}, "
        f"{span({one.steps for one in ones})} steps, learning rates {rates}, {seeds_words(ones)}; "
        f"images: {'; '.join(images)}"
    )


def _setting_words(scores: Sequence[Accuracy]) -> str:
    keys = [score.subject.key for score in scores]
    return f"{_distinct(keys, 'device')} in {_distinct(keys, 'precision')}, {_pixels(keys)}"


def _scored_images(scores: Sequence[Accuracy]) -> str:
    return _images_words(scores, in_order(score.dataset for score in scores))


def _images_words(scores: Sequence[Accuracy | Trained], names: Iterable[str], *, sizes: bool = True) -> str:
    """Test images of each data set, and training images where models were trained on it (and `sizes` are wanted)."""
    words = []
    for name in names:
        own = [score for score in scores if score.dataset == name]
        trained = {one.train_images for one in own if isinstance(one, Trained | FineTuned) and sizes}
        training = f"{span(trained)} training, " if trained else ""
        title = escape(identify_dataset(name).title)
        words.append(f"{title}: {training}{span({one.group.test_images for one in own})} test")
    return "; ".join(words)


def _distinct(keys: Iterable[RunKey], attribute: str) -> str:
    return listed(sorted({str(getattr(key, attribute)) for key in keys}))


def _pixels(keys: Iterable[RunKey]) -> str:
    return f"{span({key.resolution_px for key in keys})} px"
