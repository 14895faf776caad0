from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from bench.measure.scoring import imagenet_checks as module
from bench.measure.scoring.imagenet_checks import RealScore, SelfCheck, check_against_published, real_labels, real_score

VIT = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"  # timm publishes 75.452 at 224 px


def check(top1_pct: float, model: str = VIT, **changes: Any) -> SelfCheck:
    conditions = {"weights": "public", "resolution_px": 224, "dataset": "imagenet", "images": 50_000, **changes}
    return check_against_published(model, conditions.pop("weights"), top1_pct=top1_pct, **conditions)


def test_a_tenth_of_a_point_from_the_same_timm_tag_is_fine() -> None:
    for measured in (75.452, 75.452 + 0.1, 75.452 - 0.1):
        assert check(measured).verdict == "ok"
    fine = check(75.4)
    assert fine.published_top1_pct == 75.452
    assert fine.delta_pp == pytest.approx(-0.052)
    assert "pytorch-image-models" in str(fine.source)


def test_more_than_a_tenth_of_a_point_is_marked_with_the_usual_causes() -> None:
    off = check(75.34, precision="bf16")
    assert off.verdict == "differs"
    assert off.delta_pp == pytest.approx(-0.112)
    for cause in ("-0.112 points", "interpolation", "crop", "order", "missing", "bf16", "resolution"):
        assert cause in off.note
    assert check(75.56).verdict == "differs"


def test_weights_of_another_recipe_are_held_against_nothing() -> None:
    assert check(76.0, "densenet121.nobodys_in1k", resolution_px=224).verdict == "no reference"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"weights": "sha256 0123456789abcdef"}, "not the public ones"),
        ({"dataset": "pets"}, "the images are 'pets'"),
        ({"images": 49_999}, "for 50000 images, these are 49999"),
        ({"resolution_px": 384}, "at 224 px, this one is at 384 px"),
        ({"model": "convnext_tiny.fb_in22k"}, "no published top-1"),
        ({"model": "vit_base_patch16_224.augreg_in21k"}, "no published top-1"),
    ],
)
def test_what_cannot_be_compared_says_why(changes: dict[str, Any], reason: str) -> None:
    result = check(75.0, **changes)
    assert result.verdict == "no reference"
    assert result.published_top1_pct is result.delta_pp is result.source is None
    assert reason in result.note


def test_the_check_needs_no_torch() -> None:
    code = "import sys; import bench.measure.scoring.imagenet_checks; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


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
    code = (
        "import sys; from bench.measure.scoring import imagenet_checks as c; "
        "c.real_labels(); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
