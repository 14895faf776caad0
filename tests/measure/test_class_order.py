"""Weights that name no classes, scored where folders may have been numbered in another order."""

from __future__ import annotations

import numpy as np
import pytest

from bench.errors import UnsupportedError
from bench.measure.scoring.accuracy import Columns, Predictions
from bench.measure.scoring.class_order import note_on_order
from bench.suite.cell import EvaluateCell, Settings

TRUSTED = "The weights do not say what their classes are called: the order of the data set's classes was trusted."
CELL = EvaluateCell(
    model="net",
    resolution_px=32,
    weights="sha256 0123456789abcdef",
    dataset="own",
    fingerprint="f" * 16,
    device="cpu",
    settings=Settings(),
)


def predicted(labels: list[int], predictions: list[int], classes: int) -> Predictions:
    count = len(labels)
    zeros = np.zeros(count, np.int64)
    columns = Columns(np.array(predictions), zeros.astype(np.float32), zeros, zeros, zeros)
    return Predictions(tuple(map(str, range(count))), np.array(labels), columns, classes)


def perfect(names: list[str], made_in: list[str], each: int = 5) -> Predictions:
    """Every image right, of a head whose outputs are `made_in`."""
    labels = [label for label in range(len(names)) for _ in range(each)]
    return predicted(labels, [made_in.index(names[label]) for label in labels], len(names))


def test_numbers_that_were_sorted_as_texts_are_found_out() -> None:
    # Outputs 0, 1, 10, 11, 2, ..., 9: of twelve classes, 0 and 1 stand where they do in the order of numbers.
    names = [str(i) for i in range(12)]
    with pytest.raises(
        UnsupportedError, match=r"text order \(0, 1, 10, 11, \.\.\.\): top-1 on 'own' is 100\.0 % .* 16\.7 %"
    ):
        note_on_order(CELL, names, perfect(names, sorted(names)))


def test_names_that_were_sorted_by_their_numbers_are_found_out() -> None:
    names = [f"class{i}" for i in (1, 10, 11, 12, 2, 3, 4, 5, 6, 7, 8, 9)]  # as texts
    in_turn = [f"class{i}" for i in range(1, 13)]
    with pytest.raises(UnsupportedError, match=r"natural order \(class1, class2, class3, class4, \.\.\.\)"):
        note_on_order(CELL, names, perfect(names, in_turn))


def test_names_that_were_sorted_without_case_are_found_out() -> None:
    names = ["Bee", "Dog", "ant", "cat"]
    with pytest.raises(UnsupportedError, match=r"natural order \(ant, Bee, cat, Dog"):
        note_on_order(CELL, names, perfect(names, ["ant", "Bee", "cat", "Dog"]))


def test_the_right_order_is_kept_and_the_other_one_told() -> None:
    names = [str(i) for i in range(12)]
    note = note_on_order(CELL, names, perfect(names, names))
    assert note == f"{TRUSTED} In text order (0, 1, 10, 11, ...) top-1 would be 16.7 %."


def test_names_with_one_usual_order_are_no_matter() -> None:
    names = ["bird", "cat", "dog"]
    assert note_on_order(CELL, names, perfect(names, ["dog", "cat", "bird"])) == TRUSTED


def test_a_head_that_gives_one_class_alone_is_of_no_order() -> None:
    # Always output 2: class 2 in one order, class 10 in the other, which most images are of.
    names = [str(i) for i in range(12)]
    labels = [10] * 80 + list(range(12))
    note = note_on_order(CELL, names, predicted(labels, [2] * len(labels), 12))
    assert note.startswith(TRUSTED)
