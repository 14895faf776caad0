"""Records pooled into accuracies: `pooled` says which runs stand in one number, four functions say by what key."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, TypeVar

from bench.analyse.accuracies.accuracy import (
    FIXED,
    LEAVE_ONE_OUT,
    Evaluated,
    FewShot,
    FineTuned,
    PixelBaseline,
    Trained,
    rule_words,
)
from bench.analyse.accuracies.subjects import FROM_SCRATCH, RunKey, Subject, cell_row, run_key, subject_of
from bench.analyse.stats.intervals import SeedGroup, wilson_interval
from bench.catalog.identity import ModelIdentity
from bench.number_format import shortage_words
from bench.store.correctness import Predictions, read_correctness
from bench.store.record import Record
from bench.store.rows import Rows, notes_of, number, whole, words

Row = Mapping[str, Any]
K = TypeVar("K", bound=tuple[Any, ...])
FINETUNED = "fine-tuned"  # a way of transfer; the others are `5-shot`, `25-shot`, ...
HyperRule = tuple[str, float]  # recipe name (`vit` or `bit`) and learning rate


def in_time(rows: Iterable[dict[str, Any]]) -> Rows:
    """The rows in the order in which their cells began."""
    return sorted(rows, key=lambda row: (row["started_at"], row["cell_id"]))


def pooled(rows: Iterable[dict[str, Any]], key: Callable[[Row], K], run: str = "seed") -> dict[K, Rows]:
    """The rows behind each accuracy: of every run with the same key the newest, in order of runs; keys rising.

    key: what runs must share to stand in one number. run: the column that tells runs apart; where there is none, the
    newest row alone counts.
    """
    newest: dict[K, dict[Any, dict[str, Any]]] = defaultdict(dict)
    for row in in_time(rows):
        newest[key(row)][row.get(run)] = row
    return {pool: [newest[pool][own] for own in sorted(newest[pool])] for pool in sorted(newest)}


def ids_of(rows: Iterable[Row]) -> tuple[str, ...]:
    """The cells of the rows, each once."""
    return tuple(dict.fromkeys(str(row["cell_id"]) for row in rows))


def mean_of(rows: Iterable[Row], column: str) -> float | None:
    """Over the rows that have the column; None where none has."""
    known = [value for row in rows if (value := number(row, column)) is not None]
    return fmean(known) if known else None


def seed_group(rows: Sequence[Row], images: str, predictions: Predictions) -> SeedGroup:
    """The runs' top-1. images: the column with the number of images that were scored."""
    values = tuple(float(row["top1_pct"]) for row in rows)
    return SeedGroup(values, min(int(row[images]) for row in rows), read_correctness(ids_of(rows), predictions))


def kind_of(row: Row) -> tuple[str, str, str]:
    """What the names in a row stand for: definition of the model, fingerprint of the data, classes."""
    definition, fingerprint, classes = ("" if row[name] is None else str(row[name]) for name in _KIND)
    return definition, fingerprint, classes


_KIND = ("definition", "fingerprint", "num_classes")


def _shared(subject: Subject, rows: Sequence[Row], identities: Mapping[str, ModelIdentity]) -> dict[str, Any]:
    """The fields that every protocol fills alike."""
    return {
        "subject": subject,
        "identity": identities[subject.key.model],
        "dataset": str(rows[0]["dataset"]),
        "seeds": tuple(int(row.get("seed", row.get("draw")) or 0) for row in rows),
        "cell_ids": ids_of(rows),
        "fingerprint": words(rows[0]["fingerprint"]),
        "params": mean_of(rows, "params"),
        "macs": mean_of(rows, "macs"),
        "notes": notes_of(rows),
    }


Baselines = Mapping[tuple[str, int], PixelBaseline]


def pixel_baselines(rows: Rows, predictions: Predictions) -> dict[tuple[str, int], PixelBaseline]:
    """Logistic regression on pixels by data set and number of training images."""
    pools = pooled(rows, lambda row: (str(row["dataset"]), int(row["train_images"]), int(row["resolution_px"])))
    return {
        (dataset, images): PixelBaseline(
            dataset=dataset,
            train_images=images,
            resolution_px=side,
            num_classes=int(pool[0]["num_classes"]),
            group=seed_group(pool, "scored_images", predictions),
            cell_ids=ids_of(pool),
        )
        for (dataset, images, side), pool in pools.items()
    }


def trained_accuracies(
    rows: Rows,
    identities: Mapping[str, ModelIdentity],
    predictions: Predictions,
    baselines: Baselines | None = None,
) -> list[Trained]:
    """Of every model and regime that was scored on the test part, in order of key and regime.

    Runs of another definition of the model or of other data are pools of their own (see `current_records`).
    Where one regime was run with several recipes, the one with the best mean validation accuracy counts.
    """

    def regime(row: Row) -> tuple[RunKey, str, int, float]:
        return run_key(row), str(row["dataset"]), int(row["train_images"]), float(row["budget_gflop"])

    scored = [row for row in rows if row["scored_part"] == "test"]
    recipes: dict[tuple[RunKey, str, int, float], list[Rows]] = defaultdict(list)
    for pool in pooled(scored, lambda row: (*regime(row), str(row["recipe"]), kind_of(row))).values():
        recipes[regime(pool[0])].append(pool)
    chosen = {place: max(pools, key=_validation) for place, pools in sorted(recipes.items())}
    budgets: dict[tuple[str, str, int], set[float]] = defaultdict(set)  # of a size class on a set and size
    for key, dataset, images, budget in chosen:
        budgets[identities[key.model].size_class or key.model, dataset, images].add(budget)
    found = []
    for (key, dataset, images, budget), pool in chosen.items():
        others = budgets[identities[key.model].size_class or key.model, dataset, images]
        found.append(
            Trained(
                **_shared(Subject(key, FROM_SCRATCH), pool, identities),
                group=seed_group(pool, "test_images", predictions),
                train_images=images,
                budget_gflop=budget,
                budget_rank=sum(other > budget for other in others),
                learning_rate=float(pool[0]["learning_rate"]),
                batch_size=int(pool[0]["batch_size"]),
                train_flop=mean_of(pool, "train_flop") or 0.0,
                train_img_per_s=mean_of(pool, "train_img_per_s") or 0.0,
                kind=kind_of(pool[0]),
                macs_note=words(pool[0]["certificate_note"]),
                augmentation=words(pool[0]["augmentation"]),
                validation_pct=mean_of(pool, "validation_top1_pct"),
                epochs=(mean_of(pool, "images_seen") or 0.0) / images,
                pixels=(baselines or {}).get((dataset, images)),
                last_gain_pp=_last_gain(pool),
                look_noise_pp=_look_noise(pool),
            )
        )
    return found


def _last_gain(pool: Rows) -> float | None:
    """By how much the last look at validation was better than the one before, mean over seeds."""
    of_runs: list[list[float]] = [row["looks_pct"] or [] for row in pool]
    gains = [looks[-1] - looks[-2] for looks in of_runs if len(looks) > 1]
    return fmean(gains) if gains else None


def _look_noise(pool: Rows) -> float:
    """The standard error of one look at validation, over its images."""
    p, images = _validation(pool) / 100, mean_of(pool, "validation_images")
    return 100 * math.sqrt(p * (1 - p) / images) if images else 0.0


def _validation(pool: Rows) -> float:
    return mean_of(pool, "validation_top1_pct") or 0.0


def main_scores(scores: Iterable[Trained]) -> list[Trained]:
    """Those at the largest training set of each data set and the largest budget of each size class."""
    return [score for score in at_largest_set(scores) if score.budget_rank == 0]


def along_images(scores: Iterable[Trained]) -> list[Trained]:
    """Those at one budget for each size class on a set: that with most numbers of images; of equals, the largest."""
    found = list(scores)
    trained: dict[tuple[str, str], dict[float, set[int]]] = defaultdict(lambda: defaultdict(set))
    for score in found:
        trained[_size_class(score), score.dataset][score.budget_gflop].add(score.train_images)
    budgets = {where: max(own, key=lambda budget: (len(own[budget]), budget)) for where, own in trained.items()}
    return [score for score in found if score.budget_gflop == budgets[_size_class(score), score.dataset]]


def _size_class(score: Trained) -> str:
    return score.identity.size_class or score.key.model


def at_largest_set(scores: Iterable[Trained]) -> list[Trained]:
    """Those at the largest training set of each data set."""
    scores = list(scores)
    largest: dict[str, int] = {}
    for score in scores:
        largest[score.dataset] = max(largest.get(score.dataset, 0), score.train_images)
    return [score for score in scores if score.train_images == largest[score.dataset]]


def evaluated_accuracies(
    rows: Rows, identities: Mapping[str, ModelIdentity], predictions: Predictions
) -> list[Evaluated]:
    """Of every checkpoint and data set, in order of subject and set; of several records the newest."""
    pools = pooled(rows, lambda row: (subject_of(row), str(row["dataset"])), run="checkpoint")
    return [_evaluated(subject, row, identities, predictions) for (subject, _), (row,) in pools.items()]


def _evaluated(
    subject: Subject, row: dict[str, Any], identities: Mapping[str, ModelIdentity], predictions: Predictions
) -> Evaluated:
    images, correct = int(row["images"]), number(row, "correct_top1")
    top1 = wilson_interval(float(row["top1_pct"]) / 100 * images if correct is None else correct, images)
    real, real_images = number(row, "real_top1_pct"), number(row, "real_images")
    return Evaluated(
        **_shared(subject, [row], identities),
        group=SeedGroup((top1.estimate,), images, read_correctness(ids_of([row]), predictions)),
        top1=top1,
        top5_pct=number(row, "top5_pct"),
        mean_per_class_pct=number(row, "mean_per_class_pct"),
        real=wilson_interval(real / 100 * real_images, int(real_images)) if real is not None and real_images else None,
        published_pct=number(row, "published_top1_pct"),
        published_source=words(row["published_source"]),
        delta_pp=number(row, "delta_pp"),
        self_check=words(row["self_check"]) or "no reference",
        self_check_note=words(row["self_check_note"]),
        preprocessing=row["preprocessing"] if isinstance(row["preprocessing"], dict) else {},
    )


def fewshot_accuracies(rows: Rows, identities: Mapping[str, ModelIdentity]) -> list[FewShot]:
    """Of every model, set, number of shots and rule, in that order; of several cells the newest."""

    def place(row: Row) -> tuple[Subject, str, int, str]:
        return subject_of(row), str(row["dataset"]), int(row["shots"]), str(row["rule"])

    newest = {place(row): row["cell_id"] for row in in_time(rows)}
    pools = pooled((row for row in rows if row["cell_id"] == newest[place(row)]), place, run="draw")
    return [
        FewShot(
            **_shared(subject, pool, identities),
            group=seed_group(pool, "test_images", lambda cell_id: None),
            shots=shots,
            rule=rule,
            layer=words(pool[0]["layer"]),
            feature_width=whole(pool[0], "feature_width"),
            overlap=pool[0]["overlap"] is True,
            overlap_note=words(pool[0]["overlap_note"]),
            fixed_l2=number(pool[0], "fixed_l2"),
            short=shortage_words(number(pool[0], "short_classes"), number(pool[0], "fewest_images")),
        )
        for (subject, _, shots, rule), pool in pools.items()
    ]


def headline_setting(scores: Sequence[FewShot]) -> tuple[int, str]:
    """The shots and rule that sentences and the compute figure speak of.

    Five shots, as in the paper, or else the most that most models have; lambda by leave-one-out where it is there,
    because one fixed lambda acts differently on features of different width. Raises ValueError without scores.
    """
    if not scores:
        raise ValueError("no few-shot scores")
    rules = {score.rule for score in scores}
    rule = LEAVE_ONE_OUT if LEAVE_ONE_OUT in rules else min(rules)
    counts = Counter(score.shots for score in scores if score.rule == rule)
    return (5 if counts[5] else max(counts, key=lambda shots: (counts[shots], shots))), rule


def headline_scores(scores: Sequence[FewShot]) -> list[FewShot]:
    """Those with the shots and rule that sentences speak of; none of none."""
    setting = headline_setting(scores) if scores else (0, "")
    return [one for one in scores if (one.shots, one.rule) == setting]


def finetuned_accuracies(
    rows: Rows, identities: Mapping[str, ModelIdentity], predictions: Predictions
) -> list[FineTuned]:
    """Scored on the test part, in order of subject and data set.

    Of several recipes scored on the test part, the one whose trials were best on validation counts; without trials,
    the one with the most seeds, then the newest: never the one with the best test score.
    """

    def place(row: Row) -> tuple[Subject, str]:
        return subject_of(row), str(row["dataset"])

    trials: dict[tuple[Subject, str], dict[HyperRule, Rows]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["scored_part"] == "validation":
            trials[place(row)][hyper_rule(row)].append(row)
    scored = (row for row in rows if row["scored_part"] == "test")
    recipes: dict[tuple[Subject, str], list[Rows]] = defaultdict(list)
    for pool in pooled(scored, lambda row: (*place(row), hyper_rule(row), str(row["recipe"]), kind_of(row))).values():
        recipes[place(pool[0])].append(pool)
    found = []
    for (subject, dataset), pools in recipes.items():
        known = {rule: mean_of(tried, "top1_pct") for rule, tried in trials[subject, dataset].items()}
        best = max(pools, key=lambda pool: _merit(known.get(hyper_rule(pool[0])), pool))
        found.append(_finetuned(subject, best, len(pools), known, identities, predictions))
    return found


def hyper_rule(row: Row) -> HyperRule:
    """The recipe and learning rate of a fine-tuning."""
    return str(row["recipe_name"]), float(row["learning_rate"])


def _merit(validation: float | None, pool: Rows) -> tuple[float, int, str]:
    return (-1.0 if validation is None else validation), len(pool), max(str(row["started_at"]) for row in pool)


def _finetuned(
    subject: Subject,
    pool: Rows,
    recipes_tested: int,
    validation: Mapping[HyperRule, float | None],
    identities: Mapping[str, ModelIdentity],
    predictions: Predictions,
) -> FineTuned:
    name, rate = hyper_rule(pool[0])
    return FineTuned(
        **_shared(subject, pool, identities),
        group=seed_group(pool, "scored_images", predictions),
        recipe_name=name,
        learning_rate=rate,
        batch_size=int(pool[0]["batch_size"]),
        steps=mean_of(pool, "steps") or 0.0,
        validation_pct=validation.get((name, rate)),
        trials=len(validation),
        recipes_tested=recipes_tested,
        top5_pct=mean_of(pool, "top5_pct"),
        mean_per_class_pct=mean_of(pool, "mean_per_class_pct"),
        train_images=mean_of(pool, "train_images") or 0.0,
        train_flop=mean_of(pool, "train_flop"),
        train_img_per_s=mean_of(pool, "train_img_per_s"),
        pipeline_img_per_s=mean_of(pool, "pipeline_img_per_s"),
        model_img_per_s=mean_of(pool, "model_img_per_s"),
        wait_share=mean_of(pool, "wait_share"),
        resumed=sum(whole(row, "resumed") or 0 for row in pool),
        processes=_each(pool, "processes"),
        micro_batch_sizes=_each(pool, "micro_batch_size"),
    )


def _each(pool: Rows, column: str) -> tuple[int, ...]:
    return tuple(sorted({value for row in pool if (value := whole(row, column)) is not None}))


def transfer_rows(records: Iterable[Record]) -> Rows:
    """Accuracies of one seed each: final fine-tunings, means over draws of few-shot fits, trainings, fits of pixels.

    way: of the transfer, or of what it is compared with. start: the weights, or `random <model>`,
    `budget <GFLOP> <model>`, `pixels`. how: what two of them must share besides, by name.
    """
    records = [record for record in records if record.status == "ok"]
    rules = {row["rule"] for r in records if r.cell.get("task") == "fewshot" for row in r.values.get("results") or ()}
    # one fixed lambda acts differently on features of different width
    rule = LEAVE_ONE_OUT if LEAVE_ONE_OUT in rules else FIXED
    rows: Rows = []
    for record in records:
        cell, values, task = record.cell, record.values, record.cell["task"]
        row = {"model": "", "device": "", "definition": "", **cell_row(cell), "way": FINETUNED}
        row |= {"cell_id": record.cell_id, "started_at": record.started_at, "start": str(cell.get("weights", ""))}
        if row["start"] == "random":
            row["start"] = f"random {cell['model']}"
        if task == "fewshot":
            row |= {"images": values["test_images"], "seed": 0}
            for shots, top1 in _by_shots(values["results"], rule).items():
                how = "few-shot rule", rule_words(shots, rule)
                rows.append(row | {"way": f"{shots}-shot", "top1_pct": top1, "how": how})
        elif task == "pixels":
            rows.append(row | {"way": "", "start": "pixels", **_scored(values, "scored_images")})
        elif task == "finetune" and cell["scored_part"] == "test":
            how = "training images", f"{values.get('train_images') or cell.get('train_images')}"
            rows.append(row | {"how": how, **_scored(values, "scored_images")})
        elif task == "train" and cell["scored_part"] == "test":
            start = f"budget {cell.get('budget_gflop', 0):g} {cell.get('model')}"
            rows.append(row | {"start": start, **_scored(values, "test_images")})
    return rows


def _scored(values: Mapping[str, Any], images: str) -> dict[str, Any]:
    return {"top1_pct": values["top1_pct"], "images": values[images]}


def _by_shots(results: Iterable[Mapping[str, Any]], rule: str) -> dict[int, float]:
    """Shots -> mean over draws."""
    draws: dict[int, list[float]] = defaultdict(list)
    for row in results:
        if row["rule"] == rule:
            draws[int(row["shots"])].append(float(row["top1_pct"]))
    return {shots: fmean(values) for shots, values in sorted(draws.items())}
