"""What weights have in common with ImageNet, by catalog row and by the words of timm's tags."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.catalog.models import model_rows
from bench.catalog.tags import check_overlap


@pytest.mark.parametrize(
    "model",
    [
        "vit_base_patch16_224.augreg_in21k_ft_in1k",  # a row
        "tf_efficientnet_b0.ns_jft_in1k",  # a row
        "deit_base_distilled_patch16_224.fb_in1k",  # a row
        "eva02_base_patch14_448.mim_in22k_ft_in22k_in1k",
        "vit_base_patch16_clip_224.openai_ft_in1k",
        "resnext50_32x4d.fb_swsl_ig1b_ft_in1k",
        "hiera_tiny_224.mae_in1k_ft_in1k",
        "regnety_320.swag_lc_in1k",
    ],
)
def test_weights_trained_on_imagenet_1k_labels_are_refused(model: str) -> None:
    found = check_overlap(model, "public", "imagenet")
    assert found.refused
    assert found.overlap
    assert found.note.startswith("Trained on ImageNet-1k labels")


@pytest.mark.parametrize(
    ("model", "held"),
    [
        ("vit_base_patch16_224.augreg_in21k", "ImageNet-21k"),  # a row
        ("resnetv2_50x1_bit.goog_in21k", "ImageNet-21k"),  # a row
        ("convnext_base.fb_in22k", "ImageNet-21k"),
        ("vit_small_patch16_rope_224.r384_in12k", "ImageNet-12k"),
        ("vit_base_patch14_dinov2.lvd142m", "LVD-142M"),
        ("eva_giant_patch14_224.mim_m38m", "merged set"),
        ("vit_base_patch16_224.mae", "without labels"),
        ("vit_huge_patch14_gap_224.in1k_ijepa", "without labels"),
    ],
)
def test_weights_that_met_the_images_but_not_the_labels_are_marked(model: str, held: str) -> None:
    found = check_overlap(model, "public", "imagenet")
    assert (found.refused, found.overlap) == (False, True)
    assert held in found.note


@pytest.mark.parametrize("tag", ["openai", "laion2b", "webli", "seer", "fb_swsl_ig1b"])
def test_weights_from_other_images_carry_a_note_that_nobody_looked_for_copies(tag: str) -> None:
    found = check_overlap(f"some_vit.{tag}", "public", "imagenet")
    assert (found.refused, found.overlap) == (False, False)
    assert "not looked for" in found.note


@pytest.mark.parametrize(
    ("model", "weights"),
    [
        ("resnet50", "public"),  # timm's default tag, which only timm knows
        ("some_vit.apple_pt", "public"),
        ("models/mine.in1k.py:net", "public"),
        ("vit_base_patch16_224.augreg_in1k", "sha256 0123456789abcdef"),  # the file may hold anything
    ],
)
def test_unknown_pretraining_is_said_to_be_unknown(model: str, weights: str) -> None:
    found = check_overlap(model, weights, "imagenet")
    assert (found.refused, found.overlap) == (False, False)
    assert "not known" in found.note


def test_random_weights_have_met_nothing() -> None:
    found = check_overlap("resnet50.tv_in1k", "random", "imagenet")
    assert (found.refused, found.overlap, found.note) == (False, False, "")


@pytest.mark.parametrize("dataset", ["pets", "vtab_caltech101", "my-photos"])
def test_other_data_sets_are_not_judged(dataset: str) -> None:
    assert check_overlap("resnet50.tv_in1k", "public", dataset).note == ""


@pytest.mark.parametrize("dataset", ["imagenet", "ImageNet-val", "imagenette", "ILSVRC2012"])
def test_imagenet_and_its_subsets_are_known_by_how_their_names_begin(dataset: str) -> None:
    assert check_overlap("resnet50.tv_in1k", "public", dataset).refused


def test_the_tag_of_every_row_says_what_its_pretraining_column_says() -> None:
    for name, row in model_rows().items():
        if row.pretraining != "none":
            by_row = check_overlap(name, "public", "imagenet")
            by_tag = check_overlap(f"no_row.{name.partition('.')[2]}", "public", "imagenet")
            assert (by_row.refused, by_row.overlap) == (by_tag.refused, by_tag.overlap), name


def test_asking_does_not_import_torch() -> None:
    code = (
        "import sys; from bench.catalog.tags import check_overlap; "
        "check_overlap('resnet50.tv_in1k', 'public', 'imagenet'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
