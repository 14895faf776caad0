"""Which class each output of a head stands for: by the names that came with the weights, else by what is usual.

Nobody numbers classes in one way: torchvision's ImageFolder sorts folders as texts (0, 1, 10, 2), timm's reader in
natural order (0, 1, 2, 10) and without regard to case. Weights that name no classes may have been made in either.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from timm.data.imagenet_info import ImageNetInfo

from bench.data.sets.class_labels import few, spelled
from bench.errors import UnsupportedError
from bench.measure.scoring.accuracy import Predictions, score
from bench.measure.weights import LoadedModel
from bench.suite.cell import EvaluateCell

CLEARLY_BETTER_P = 1e-4  # of as many images that one order alone gets right, if both were as good
CLEARLY_BETTER_PP = 10.0  # points of mean accuracy per class: a head that gives one class alone fits any order
_SYNSET = re.compile(r"n\d{8}")


def head_order(cell: EvaluateCell, loaded: LoadedModel, class_names: Sequence[str]) -> NDArray[np.int64] | None:
    """The output for each class, (C,); None where nothing says which classes the outputs are of.

    Raises UnsupportedError where head and labels do not match.
    """
    if not loaded.has_own_head:
        raise UnsupportedError(
            f"The weights of '{cell.model}' have no head for {len(class_names)} classes of their own, so there is "
            "nothing to score. Fine-tune them, or use few-shot."
        )
    classes = getattr(loaded.model, "num_classes", None)
    if isinstance(classes, int):
        _require_classes(cell, classes, class_names)
    if loaded.class_names is not None:
        return _order_of(cell, loaded.class_names, class_names)
    if cell.weights == "public" and all(_SYNSET.fullmatch(name) for name in class_names):
        imagenet: list[str] = ImageNetInfo().label_names()  # type: ignore[no-untyped-call]
        if len(imagenet) == len(class_names):
            return _order_of(cell, imagenet, class_names)
    return None


def note_on_order(cell: EvaluateCell, class_names: Sequence[str], predictions: Predictions) -> str:
    """What to know of weights that name no classes, scored in the data set's order.

    Raises UnsupportedError where another usual order fits clearly better: the accuracy would be one of wrong labels.
    """
    note = "The weights do not say what their classes are called: the order of the data set's classes was trusted."
    here = score(predictions)
    orders = {"text order": sorted(class_names), "natural order": sorted(class_names, key=_natural)}
    for kind, names in orders.items():
        if names == list(class_names):
            continue
        other = _read_as(predictions, names, class_names)
        there = score(other)
        shown = f"{kind} ({', '.join(names[:4])}, ...)"
        is_far_above = there.mean_per_class_pct > here.mean_per_class_pct + CLEARLY_BETTER_PP
        if is_far_above and _p_value(predictions, other) < CLEARLY_BETTER_P:
            raise UnsupportedError(
                f"The weights of '{cell.model}' name no classes, and their outputs look to be in {shown}: top-1 on "
                f"'{cell.dataset}' is {there.top1_pct:.1f} % in that order and {here.top1_pct:.1f} % in the data set's "
                f"({few(class_names, 4)}). Write the names into the file, in the order of its outputs: docs/data.md, "
                "Weights, says how."
            )
        note += f" In {shown} top-1 would be {there.top1_pct:.1f} %."
    return note


def _natural(name: str) -> list[str | int]:
    """timm's key: texts without case and numbers in turn."""
    pieces = re.split(r"([0-9]+)", name.lower())
    return [int(piece) if place % 2 else piece for place, piece in enumerate(pieces)]


def _read_as(predictions: Predictions, names: Sequence[str], class_names: Sequence[str]) -> Predictions:
    """The same outputs, taken for these names in turn."""
    place = {name: label for label, name in enumerate(class_names)}
    label_of = np.array([place[name] for name in names], dtype=np.int64)
    return replace(predictions, columns=predictions.columns._replace(predictions=label_of[predictions.predictions]))


def _p_value(first: Predictions, second: Predictions) -> float:
    """Exact McNemar, one-sided: how likely the second gets so many more images right by chance."""
    right, other_right = (one.predictions == one.labels for one in (first, second))
    only_second, only_first = int((other_right & ~right).sum()), int((right & ~other_right).sum())
    both = only_first + only_second
    return float(binomtest(only_second, both, alternative="greater").pvalue) if both else 1.0


def _require_classes(cell: EvaluateCell, classes: int, class_names: Sequence[str]) -> None:
    if classes != len(class_names):
        raise UnsupportedError(
            f"The head of '{cell.model}' has {classes} classes, data set '{cell.dataset}' has {len(class_names)}: a "
            "class number would mean two different things. Use weights with a head for this data set, or fine-tune."
        )


def _order_of(cell: EvaluateCell, of_head: Sequence[str], class_names: Sequence[str]) -> NDArray[np.int64]:
    """The output for each class, (C,). Raises UnsupportedError unless the head's names are those of the classes."""
    output = {spelled(name): place for place, name in enumerate(of_head)}
    wanted = [spelled(name) for name in class_names]
    if len(output) == len(of_head) and sorted(output) == sorted(wanted):
        return np.array([output[name] for name in wanted], dtype=np.int64)
    _require_classes(cell, len(of_head), class_names)
    absent = next((name for name in class_names if name not in of_head), class_names[0])
    raise UnsupportedError(
        f"Class '{absent}' of data set '{cell.dataset}' is none of the outputs of '{cell.model}' ({few(of_head)}): "
        "labels would be taken for others. Name the classes as the weights do."
    )
