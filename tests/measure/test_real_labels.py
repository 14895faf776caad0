from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from bench.measure import imagenet_checks as module
from bench.measure.imagenet_checks import RealScore, real_labels, real_score


def name_of(number: int) -> str:
    return f"ILSVRC2012_val_{number:08d}.JPEG"


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Image 1 shows classes 3 and 7, image 2 none, image 3 class 5, the others class 0."""
    sets = [frozenset({3, 7}), frozenset(), frozenset({5}), *[frozenset({0})] * 49_997]
    monkeypatch.setattr(module, "real_labels", lambda: tuple(map(frozenset, sets)))


def test_the_label_file_is_the_one_of_the_paper() -> None:
    labels = real_labels()
    assert len(labels) == 50_000
    assert sum(not classes for classes in labels) == 3_163  # 46 837 images remain, PROTOCOL section 7
    assert all(0 <= number < 1000 for classes in labels for number in classes)


def test_one_of_the_classes_is_enough_and_empty_sets_are_skipped(labels: None) -> None:
    keys = [name_of(3), f"n01440764/{name_of(1)}", name_of(2)]  # in another order than the labels, one in a folder
    scored = real_score(keys, np.array([5, 7, 5]))
    assert scored == RealScore(correct=2, images=2)
    scored = real_score(keys, np.array([4, 3, 5]))
    assert isinstance(scored, RealScore)
    assert scored == RealScore(correct=1, images=2)
    assert scored.top1_pct == 50.0


def test_images_of_other_names_have_no_such_score(labels: None) -> None:
    assert "1 of 2 images are not named" in str(real_score([name_of(1), "cat.jpg"], np.array([3, 3])))
    assert "1 of 1" in str(real_score([name_of(50_001)], np.array([3])))
    assert "1 of 1" in str(real_score([name_of(0)], np.array([3])))


def test_a_name_that_occurs_twice_has_no_such_score(labels: None) -> None:
    assert "occur twice" in str(real_score([f"a/{name_of(1)}", f"b/{name_of(1)}"], np.array([3, 3])))


def test_images_without_any_label_have_no_such_score(labels: None) -> None:
    assert "none of the 1 images has ReaL labels" in str(real_score([name_of(2)], np.array([3])))


def test_the_labels_are_read_without_importing_torch() -> None:
    code = "import sys; from bench.measure import imagenet_checks as c; c.real_labels(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
