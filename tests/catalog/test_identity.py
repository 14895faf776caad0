from __future__ import annotations

import re

import timm

from bench.catalog.identity import corpus_title, is_generated, known_family

# MLP-Mixer and its kin, plain pooling, state space, focal modulation, LSTM: neither attention nor convolution alone.
NEITHER = r"(gmixer|gmlp|mixer|resmlp)_.*|poolformer(v2)?_.*|efficientvim_.*|focalnet_.*|sequencer2d_."


def test_every_timm_model_has_a_family_and_only_those_of_other_mixers_are_other() -> None:
    families = {name: known_family(name) for name in timm.list_models()}
    assert len(families) > 1300
    assert [name for name, family in families.items() if family is None] == []
    assert {name for name, family in families.items() if family == "other"} == {
        name for name in families if re.fullmatch(NEITHER, name)
    }


def test_a_family_is_that_of_the_blocks_and_not_of_the_module_or_the_prefix() -> None:
    expected = {
        "tf_efficientnet_lite0.in1k": "cnn",
        "mobilenetv4_conv_small.e2400_r224_in1k": "cnn",
        "mobilenetv4_hybrid_medium.e500_r224_in1k": "hybrid",  # attention in its later stages
        "convformer_s18.sail_in1k": "cnn",  # one module with CAFormer and PoolFormer
        "caformer_s18.sail_in1k": "hybrid",
        "vit_base_r50_s16_384.orig_in21k_ft_in1k": "hybrid",
        "vit_relpos_base_patch16_224.sw_in1k": "vit",
        "vit_base_resnet50d_224": "hybrid",
        "test_vit2.r160_in1k": "vit",
        "legacy_xception.tf_in1k": "cnn",
        "vitamin_base_224.datacomp1b_clip": "hybrid",
        "resnet50x4_clip.openai": "cnn",  # attention pools at its end alone
    }
    assert {name: known_family(name) for name in expected} == expected


def test_a_users_own_model_has_no_family_by_the_name_of_its_file() -> None:
    assert known_family("resnet.py:make") is None
    assert known_family("models/vit.py:build") is None


def test_a_generated_corpus_says_what_is_in_its_images_and_any_other_set_nothing() -> None:
    assert corpus_title("mix-64") == "generated fractals and rings (64 classes)"
    assert corpus_title("rings-1000") == "generated rings (1 000 classes)"
    assert [corpus_title(name) for name in ("mix", "mix-x", "digits", "fashion_mnist")] == [""] * 4


def test_images_that_a_formula_draws_are_generated() -> None:
    assert [is_generated(name) for name in ("mix-64", "textures")] == [True, True]
    assert not any(is_generated(name) for name in ("digits", "fashion_mnist", "somebody's own"))
