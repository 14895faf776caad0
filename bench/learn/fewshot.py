"""Linear few-shot evaluation: a ridge regression on the frozen features of k images a class, scored on the test part.

Follows the ViT authors' later code, big_vision's fewshot_lsr.py, but draws from all of train and validation, where
that code takes ImageNet's from the first 65,000 images, and has an l2 by leave-one-out beside the fixed one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from timm.models import get_pretrained_cfg

from bench.catalog.models import find_model
from bench.catalog.tags import check_overlap
from bench.data.generated.randomness import random_order
from bench.data.sets.collection import ImageCollection, joined
from bench.errors import DataError, UnsupportedError
from bench.learn.ridge import L2_GRID, Ridge, decompose
from bench.measure.complexity import measure_complexity
from bench.measure.outcome import Outcome
from bench.measure.scoring.accuracy import TRACE_OF_TIES
from bench.measure.scoring.features import INTERPOLATION, Framing, extract_features, feature_layer
from bench.measure.weights import LoadedModel
from bench.suite.cell import FewshotCell
from bench.suite.model_source import is_user_model

Index = NDArray[np.int64]

CLASSES_NAMED = 5  # in a note on classes with too few images


def fewshot(cell: FewshotCell, loaded: LoadedModel, collection: ImageCollection, *, workers: int = 0) -> Outcome:
    """Top-1 on the test part for every number of shots and every draw, with the fixed l2 and with the l2 chosen.

    Only the features of images that some draw holds, and of the test part, are computed, each once. workers:
    processes that decode images.

    Raises UnsupportedError for weights that were trained on the labels they would be tested on and for models without
    a feature layer, DataError for images, CellFailedError for features that are no numbers.
    """
    overlap = check_overlap(_with_tag(cell.model), cell.weights, cell.dataset)
    if overlap.refused:
        raise UnsupportedError(
            f"Few-shot on '{cell.dataset}' with '{cell.model}' would test what it was taught: {overlap.note} "
            "Weights without those labels (tag in21k, for one) can be tested."
        )
    # Train, and validation where there is one: the final fit of a protocol without a choice may use both.
    labelled = [collection.part("train"), *(part for name, part in collection.parts.items() if name == "validation")]
    support, test = joined(labelled), collection.part("test")
    if not len(test):
        raise DataError(f"Data set '{cell.dataset}' has no test images, so nothing can be scored.")
    turns = [draw_turns(support.labels, cell.dataset, draw) for draw in range(cell.draws)]
    needed = np.flatnonzero(np.minimum.reduce(turns) < max(cell.shots))
    framing = Framing(cell.resized_px, cell.resolution_px, tuple(loaded.config["mean"]), tuple(loaded.config["std"]))
    layer, params = feature_layer(loaded.model), sum(p.numel() for p in loaded.model.parameters())

    started = time.perf_counter()
    features = extract_features(
        loaded.model,
        joined([support.take(needed), test]),
        framing,
        device=cell.device,
        settings=cell.settings,
        workers=workers,
    )
    feature_seconds = time.perf_counter() - started
    scored = _Scored(
        cell,
        len(collection.class_names),
        features[: len(needed)],
        support.labels[needed],
        [turn[needed] for turn in turns],
        features[len(needed) :],
        test.labels,
    )
    results, notes = scored.results()
    counted = measure_complexity(cell.model, cell.resolution_px, cell.num_classes)
    values = {
        "results": results,
        **_tied_scores(results, len(test)),
        "feature_width": features.shape[1],
        "layer": layer,
        "test_images": len(test),
        "support_images": len(needed),
        "overlap": overlap.overlap,
        "overlap_note": overlap.note,
        "weights_sha256": loaded.sha256,
        "params": params,
        "macs": counted.macs,
        "preprocessing": {
            "resized_px": framing.resized_px,
            "crop_px": framing.crop_px,
            "interpolation": INTERPOLATION,
            "mean": list(framing.mean),
            "std": list(framing.std),
        },
        "feature_seconds": feature_seconds,
        "ridge_seconds": time.perf_counter() - started - feature_seconds,
        "notes": [*_short_classes(support.labels, collection.class_names, cell.shots), *notes],
    }
    return Outcome(counted.marked(values))


def draw_turns(labels: Index, dataset: str, draw: int) -> Index:
    """For each image the number of images of its class that this draw takes before it: (N,).

    The images with a turn below k are the k-shot draw: k of every class that has as many, all of a smaller one. So
    a draw of fewer shots is part of the draw of more. It depends on the data set's name, the draw and the order of the
    images, and on nothing else.
    """
    order = random_order(len(labels), dataset, "few-shot", draw)
    by_class = order[np.argsort(labels[order], kind="stable")]
    sizes = np.bincount(labels)
    first = np.cumsum(sizes) - sizes  # where each class begins in by_class
    turns = np.empty(len(labels), dtype=np.int64)
    turns[by_class] = np.arange(len(labels)) - first[labels[by_class]]
    return turns


@dataclass(frozen=True)
class _Scored:
    """Features of all draws and of the test part, and the top-1 that follows from them."""

    cell: FewshotCell
    num_classes: int
    features: NDArray[np.float32]  # (M, F): images that some draw holds
    labels: Index
    turns: Sequence[Index]  # for each draw, (M,)
    test_features: NDArray[np.float32]
    test_labels: Index

    def results(self) -> tuple[list[dict[str, Any]], list[str]]:
        """One row per shots, rule and draw, and what must be said of the l2 chosen."""
        rows, edges, has_alone = [], [], False
        for shots in self.cell.shots:
            for draw, turns in enumerate(self.turns):
                chosen = np.flatnonzero(turns < shots)
                labels = self.labels[chosen]
                ridge = decompose(self.features[chosen], labels, self.num_classes)
                row = {"shots": shots, "draw": draw, "train_images": len(chosen)}
                row |= _shortage(np.bincount(labels, minlength=self.num_classes), shots)
                rows.append(row | self._score(ridge, "fixed", self.cell.l2, None))
                if np.bincount(labels).max() < 2:
                    has_alone = True
                    continue
                best = ridge.choose_l2()
                rows.append(row | self._score(ridge, "loo", best.l2, best.edge))
                if best.edge is not None:
                    edges.append(f"{shots}-shot draw {draw} ({best.edge})")
        notes = []
        if has_alone:
            notes.append("No l2 by leave-one-out with one image a class: without it nothing is left of its class.")
        if edges:
            notes.append(
                f"Leave-one-out chose an end of its grid, {L2_GRID[0]:g} or {L2_GRID[-1]:g}, for: {', '.join(edges)}."
            )
        return rows, notes

    def _score(self, ridge: Ridge, rule: str, l2: float, edge: str | None) -> dict[str, Any]:
        predictions, is_tied = ridge.predict_and_tell_ties(self.test_features, l2)
        hits = predictions == self.test_labels
        tied = {"tied_images": int(is_tied.sum())} if is_tied.mean() > TRACE_OF_TIES else {}
        return {"rule": rule, "l2": l2, "edge": edge, "top1_pct": float(hits.mean() * 100)} | tied


def _tied_scores(results: Sequence[dict[str, Any]], images: int) -> dict[str, str]:
    """What to know where several classes share the best score in more than a trace of the images; else nothing."""
    tied = [row for row in results if "tied_images" in row]
    if not tied:
        return {}
    most = max(tied, key=lambda row: row["tied_images"])
    return {
        "tied_scores": f"In {len(tied)} of {len(results)} fits several classes share an image's best score, and the "
        f"first of them counts; most often, with {most['shots']} shots, in {most['tied_images']} of {images} images."
    }


def _short_classes(labels: Index, class_names: Sequence[str], shots: Sequence[int]) -> list[str]:
    """For each number of shots, which classes have fewer images than that."""
    counts = np.bincount(labels, minlength=len(class_names))
    notes = []
    for k in shots:
        short = np.flatnonzero(counts < k)
        if len(short):
            named = ", ".join(f"{class_names[c]} ({counts[c]})" for c in short[:CLASSES_NAMED])
            rest = f" and {len(short) - CLASSES_NAMED} more" if len(short) > CLASSES_NAMED else ""
            notes.append(f"{k}-shot: {len(short)} of {len(counts)} classes have fewer images, all used: {named}{rest}.")
    return notes


def _shortage(counts: Index, shots: int) -> dict[str, int]:
    """How many classes have fewer images than asked for, and how many the smallest has; nothing where all have them."""
    short = int((counts < shots).sum())
    return {"short_classes": short, "fewest_images": int(counts.min())} if short else {}


def _with_tag(model: str) -> str:
    """The model's name with the tag of the weights that timm takes for it, which says what they were trained on."""
    if find_model(model) is not None or is_user_model(model) or "." in model:
        return model
    config = get_pretrained_cfg(model)
    return f"{model}.{config.tag}" if config is not None and config.tag else model
