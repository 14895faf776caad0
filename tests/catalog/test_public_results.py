"""The catalog of public checkpoints: timm's published values, and the family and stratum read from each name."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import fields

import pytest

from bench.catalog.identity import public_family
from bench.catalog.public_counts import public_counts
from bench.catalog.public_results import PUBLISHED_DEVICES, TEST_SETS, PublicResult, public_results
from bench.catalog.strata import training_of

# Of the source file's columns in its order, numbers as Python prints them, made from timm's files and not from ours.
SOURCE_DIGEST = "06bc4965bee318ca2031b8f3aa47cc08c50060793c5e92f205c29c8e30738eb8"
SOURCE_COLUMNS = (
    "model", "img_size", "imagenet_top1", "imagenet_top5", "param_count_m", "crop_pct", "interpolation", "real_top1",
    "imagenet_v2_top1", "sketch_top1", "imagenet_r_top1", "imagenet_a_top1", "rtx5090_amp_nchw_img_per_s",
    "infer_gmacs", "infer_macts", "rtx5090_amp_nchw_compiled_img_per_s", "rtx4090_amp_nhwc_img_per_s",
    "i9_10940x_fp32_compiled_img_per_s", "i7_12700h_fp32_compiled_img_per_s",
)  # fmt: skip


def test_every_published_value_is_that_of_the_source() -> None:
    lines = [",".join(str(getattr(row, column)) for column in SOURCE_COLUMNS) for row in public_results()]
    assert len(lines) == 1556
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == SOURCE_DIGEST
    assert {field.name for field in fields(PublicResult)} == {*SOURCE_COLUMNS, "default_px"}


def test_a_row_reads_as_timm_prints_it() -> None:
    row = next(row for row in public_results() if row.model == "eva_giant_patch14_224.clip_ft_in1k")
    assert (row.img_size, row.param_count_m, row.imagenet_top1) == (224, 1012.56, 88.896)
    assert row.place == ("eva_giant_patch14_224", 224)


def test_accuracies_are_percentages_and_speeds_are_positive() -> None:
    for row in public_results():
        accuracies = [getattr(row, column) for column in TEST_SETS]
        speeds = [getattr(row, column) for column in PUBLISHED_DEVICES]
        assert all(value is None or 0 < value < 100 for value in accuracies), row.model
        assert all(value is None or value > 0 for value in speeds), row.model
    lacking = [row.model for row in public_results() if None in [getattr(row, column) for column in TEST_SETS]]
    assert lacking == ["resnet50.tv_in1k"]


def test_every_row_is_counted_and_timm_s_published_size_fits() -> None:
    for row in public_results():
        count = public_counts()[row.place]
        assert count.certificate == "ok", row.model
        assert count.params is not None
        assert count.params / 1e6 == pytest.approx(row.param_count_m, rel=0.01, abs=0.01), row.model


def test_no_row_is_of_unknown_family() -> None:
    assert [row.model for row in public_results() if row.family == "unknown"] == []


def test_rows_of_unknown_data_are_these() -> None:
    unknown = {row.model for row in public_results() if row.training.stratum == "unknown"}
    assert unknown == {
        "beit3_base_patch16_224.indomain_in22k_ft_in1k",  # with image-text pairs that the tag does not name
        "beit3_large_patch16_224.indomain_in22k_ft_in1k",
        *(f"nextvit_{size}.bd_ssld_6m_in1k{px}" for size in ("small", "base", "large") for px in ("", "_384")),
    }


@pytest.mark.parametrize(
    ("name", "stratum", "marks"),
    [
        ("resnet50.a1_in1k", "in1k", ""),
        ("vit_base_patch16_224.augreg_in21k_ft_in1k", "in21k", ""),
        ("seresnextaa101d_32x8d.sw_in12k_ft_in1k", "in21k", ""),
        ("convnextv2_nano.fcmae_ft_in22k_in1k", "in21k", "self-supervised first"),
        ("hiera_base_224.mae_in1k_ft_in1k", "in1k", "self-supervised first"),
        ("beit_base_patch16_224.in22k_ft_in22k_in1k", "in21k", "self-supervised first"),
        ("hgnet_base.ssld_in1k", "in21k", "distilled"),
        ("hrnet_w18_ssld.paddle_in1k", "in21k", "distilled"),
        ("swinv2_cr_tiny_ns_224.sw_in1k", "in1k", ""),
        ("edgenext_base.usi_in1k", "in1k", "distilled"),
        ("pit_xs_distilled_224.in1k", "in1k", "distilled"),
        ("resnetv2_50x1_bit.goog_distilled_in1k", "in1k", "distilled"),
        ("tiny_vit_21m_224.dist_in22k_ft_in1k", "in21k", "distilled"),
        ("tf_efficientnet_b2.ns_jft_in1k", "larger", "distilled"),
        ("resnet18.fb_swsl_ig1b_ft_in1k", "larger", "distilled"),
        ("regnety_1280.seer_ft_in1k", "larger", "self-supervised first"),
        ("regnety_1280.swag_ft_in1k", "larger", ""),
        ("vit_base_patch16_clip_224.openai_ft_in12k_in1k", "larger", ""),
        ("vit_base_patch14_dinov2.lvd142m", "larger", ""),
        ("somebodys_model.x", "unknown", ""),
        ("resnet50", "unknown", ""),
    ],
)
def test_stratum_and_marks_are_read_from_the_name(name: str, stratum: str, marks: str) -> None:
    training = training_of(name)
    assert (training.stratum, training.marks) == (stratum, marks)
    assert training.by_labels_alone == (not marks)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("vit_base_patch16_224.augreg_in21k_ft_in1k", "vit"),
        ("xcit_small_24_p16_224.fb_dist_in1k", "vit"),
        ("crossvit_small_240.in1k", "vit"),
        ("swin_tiny_patch4_window7_224.ms_in1k", "hierarchical"),
        ("pit_xs_distilled_224.in1k", "hierarchical"),
        ("coat_tiny.in1k", "hierarchical"),
        ("fastvit_t12.apple_dist_in1k", "cnn"),  # convolutions alone
        ("fastvit_sa12.apple_dist_in1k", "hybrid"),
        ("levit_128.fb_dist_in1k", "hybrid"),
        ("mambaout_base_short_rw.sw_e500_in1k", "cnn"),
        ("mixer_b16_224.goog_in21k_ft_in1k", "other"),
        ("no_such_model.in1k", "unknown"),
    ],
)
def test_plain_and_hierarchical_transformers_are_told_apart(name: str, family: str) -> None:
    assert public_family(name) == family


def test_each_stratum_has_enough_rows_of_vits_and_cnns_to_compare() -> None:
    counts = Counter((row.training.stratum, row.family) for row in public_results() if row.training.by_labels_alone)
    assert all(counts[stratum, family] >= 10 for stratum in ("in1k", "in21k", "larger") for family in ("vit", "cnn"))
