"""ImageNet-ReaL: the classes that people see in each ImageNet validation image, and the accuracy that counts them.

The labels are timm's copy of the authors' `real.json`, read without importing timm.
Source: Beyer et al. 2020, arXiv 2006.07159.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import CellFailedError

VALIDATION_IMAGES = 50_000
_NAME = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")
_FILE = Path("data", "_info", "imagenet_real_labels.json")  # under timm's folder


@dataclass(frozen=True)
class RealScore:
    """correct: images whose prediction is one of their classes. images: those with at least one class."""

    correct: int
    images: int

    @property
    def top1_pct(self) -> float:
        """Percent of the images that have labels."""
        return self.correct / self.images * 100


@cache
def real_labels() -> tuple[frozenset[int], ...]:
    """Classes of each validation image, in the order of their file names: (50 000,). 3 163 sets are empty."""
    found = find_spec("timm")
    file = Path(found.origin).parent / _FILE if found is not None and found.origin else _FILE
    try:
        sets = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CellFailedError(
            f"timm's ReaL labels '{file}' cannot be read: {error.strerror}. Reinstall timm."
        ) from None
    return tuple(frozenset(classes) for classes in sets)


def real_score(keys: Sequence[str], predictions: NDArray[np.int64]) -> RealScore | str:
    """Hits among the ReaL labels, or a sentence that says why there is no such score.

    keys: (N,), a file name each, with or without folders. predictions: (N,), classes in ImageNet's order.
    Images without ReaL labels are passed over.
    """
    names = [_NAME.fullmatch(key.replace("\\", "/").rpartition("/")[2]) for key in keys]
    numbers = [int(name[1]) for name in names if name is not None and 1 <= int(name[1]) <= VALIDATION_IMAGES]
    if len(numbers) != len(keys):
        return (
            f"No ReaL accuracy: {len(keys) - len(numbers)} of {len(keys)} images are not named "
            "ILSVRC2012_val_<8 digits>.JPEG, and the labels go by that name."
        )
    if len(set(numbers)) != len(numbers):
        return f"No ReaL accuracy: {len(numbers) - len(set(numbers))} image names occur twice."
    labels = [real_labels()[number - 1] for number in numbers]
    hits = [int(guess) in classes for guess, classes in zip(predictions, labels, strict=True) if classes]
    if not hits:
        return f"No ReaL accuracy: none of the {len(keys)} images has ReaL labels."
    return RealScore(correct=sum(hits), images=len(hits))
