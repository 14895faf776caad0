from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from bench.measure.imagenet_checks import SelfCheck, check_against_published

VIT = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"  # timm publishes 75.452 at 224 px
INCEPTION = "inception_resnet_v2.tf_in1k"  # not in timm's table here; the EfficientNet paper quotes 80.1 at 299 px


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


def test_a_paper_is_the_reference_where_timm_publishes_nothing() -> None:
    assert check(80.39, INCEPTION, resolution_px=299).verdict == "ok"  # 0.29 points, within the 0.3 of a port
    off = check(79.7, INCEPTION, resolution_px=299)
    assert off.verdict == "differs"
    assert off.published_top1_pct == 80.1
    assert "1905.11946" in str(off.source)


def test_weights_of_another_recipe_are_not_held_against_a_paper() -> None:
    assert check(76.0, "densenet121.ra_in1k", resolution_px=256).verdict == "no reference"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"weights": "sha256 0123456789abcdef"}, "not the public ones"),
        ({"dataset": "pets"}, "the images are 'pets'"),
        ({"images": 49_999}, "for 50000 images, these are 49999"),
        ({"resolution_px": 384}, "at 224 px, this one is at 384 px"),
        ({"model": "convnext_tiny.fb_in1k"}, "no published top-1"),
        ({"model": "vit_base_patch16_224.augreg_in21k"}, "no published top-1"),
    ],
)
def test_what_cannot_be_compared_says_why(changes: dict[str, Any], reason: str) -> None:
    result = check(75.0, **changes)
    assert result.verdict == "no reference"
    assert result.published_top1_pct is result.delta_pp is result.source is None
    assert reason in result.note


def test_the_check_needs_no_torch() -> None:
    code = "import sys; import bench.measure.imagenet_checks; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
