from __future__ import annotations

import timm

from bench.catalog.models import model_rows
from bench.catalog.public_checkpoints import public_pretraining
from bench.catalog.tags import known_pretraining, pretraining_of_tag

# Tags that name a lab, a method or a language model, and no images.
SILENT = """apple_pt apple_pt_dist bamboo c_radio deepseek_v4_1_flash deepseek_v4_flash_vision_exp fb fb_r1024
    fb_r1024_2pt1 fb_r896 fb_r896_2pt1 fb_tiling gemma3n gemma4_31b_it gemma4_e4b_it
    indomain_in22k_ft_in1k indomain_pt msft_florence2 ogvl_2pt5 ogvl_dist pali2_10b_docci pali2_10b_pt
    pali2_3b_docci pali2_3b_pt pali_mix pali_ocrvqa pali_pt pali_refcoco_seg pt qwen3_5_0_8b qwen3_5_27b
    qwen3_5_2b qwen3_5_4b qwen3_5_9b qwen3_8_27b qwen3_8_flash_next qwen3_vl_235b_a22b qwen3_vl_30b_a3b
    qwen3_vl_32b qwen3_vl_4b qwen3_vl_8b qwen_drive_1_0_4b robbyant"""


def test_every_tag_of_timm_but_the_silent_ones_says_what_was_seen() -> None:
    tags = {name.partition(".")[2] for name in timm.list_pretrained()}
    assert len(tags) > 300
    assert {tag for tag in tags if pretraining_of_tag(tag) is None} == set(SILENT.split())


def test_the_table_agrees_with_every_row_of_the_catalog() -> None:
    rows = [row for row in [*model_rows().values(), *public_pretraining().values()] if "." in row.name]
    assert len(rows) > 150
    assert {r.name: pretraining_of_tag(r.name.partition(".")[2]) for r in rows} == {r.name: r.pretraining for r in rows}


def test_a_tag_is_read_in_the_order_of_training() -> None:
    expected = {
        "augreg_in21k_ft_in1k": "ImageNet-21k then ImageNet-1k",
        "fb_in22k_ft_in1k_384": "ImageNet-21k then ImageNet-1k",
        "laion2b_ft_in12k_in1k": "LAION-2B then ImageNet-12k then ImageNet-1k",
        "ns_jft_in1k_475": "unlabelled JFT-300M + ImageNet-1k",
        "fcmae_ft_in22k_in1k": "ImageNet-1k without labels then ImageNet-21k then ImageNet-1k",
        "mim_in22k_ft_in22k_in1k": "ImageNet-21k without labels then ImageNet-21k then ImageNet-1k",
        "fb_dino": "ImageNet-1k without labels",
        "fb_dist_in1k": "ImageNet-1k",
        "sam_in1k": "ImageNet-1k",  # the optimiser, not the data set of that name
        "metaclip_2pt5b": "MetaCLIP-2.5B",
        "v2_webli": "WebLI",
        "": None,
        "mine": None,
    }
    assert {tag: pretraining_of_tag(tag) for tag in expected} == expected


def test_an_owners_words_join_a_stratum_if_every_step_is_a_known_set() -> None:
    assert known_pretraining("imagenet-21K then ImageNet-1k") == "ImageNet-21k then ImageNet-1k"
    assert known_pretraining("LVD-142M without labels") == "LVD-142M without labels"
    assert known_pretraining("ImageNet-21k then our photographs") is None
    assert known_pretraining("14 million product photographs") is None
