from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
import timm

from bench.catalog.models import find_model, model_rows, select_models
from bench.catalog.papers import timm_published
from bench.errors import UnknownNameError

# Design, section 3: the paper systems that must be rows.
REQUIRED_SYSTEMS = {
    *(f"ViT-{size}" for size in ("Ti/16", "S/32", "S/16", "B/32", "B/16", "L/32", "L/16", "L/14", "H/14")),
    *("R+ViT-Ti/16", "R26+ViT-S/32", "R50+ViT-B/16", "R50+ViT-L/32"),
    *(f"ResNet-{depth}" for depth in (18, 34, 50, 101, 152)),
    *(f"BiT-M R{size}" for size in ("50x1", "50x3", "101x1", "101x3", "152x2", "152x4")),
    *(f"EfficientNet-B{i}" for i in range(8)),
    *("EfficientNet-L2 Noisy Student", "EfficientNetV2-S", "EfficientNetV2-M", "EfficientNetV2-L"),
    *("Xception", "DenseNet-121", "DenseNet-169", "DenseNet-201", "Inception-v3", "Inception-v4"),
    *("Inception-ResNet-v2", "ConvNeXt-B", "DeiT-B/16", "Swin-B", "MobileNetV3-L", "MobileNetV3-S"),
}


def test_every_system_of_the_design_is_a_row() -> None:
    assert {row.paper_system for row in model_rows().values()} >= REQUIRED_SYSTEMS


def test_every_row_names_a_timm_model_with_published_weights_or_an_architecture() -> None:
    weights = set(timm.list_pretrained())
    unknown = [
        row.name
        for row in model_rows().values()
        if row.timm_name not in weights and not (row.arguments and timm.is_model(row.timm_name))
    ]
    assert unknown == []


def test_the_resolution_of_a_system_is_timms_default_for_its_weights() -> None:
    for row in model_rows().values():
        config = timm.get_pretrained_cfg(row.timm_name)
        assert config is not None
        assert row.arguments or row.resolution_px == config.input_size[-1], row.name


def test_every_model_that_timm_publishes_numbers_for_is_a_row() -> None:
    assert {name for name, _ in timm_published()} <= set(model_rows())


def test_every_row_says_what_its_weights_are_and_where_they_come_from() -> None:
    for row in model_rows().values():
        assert row.pretraining, row.name
        assert row.family in ("vit", "cnn", "hybrid"), row.name
        assert row.source or row.pretraining == "none", row.name


def test_small_models_come_in_three_sizes_per_family() -> None:
    sizes: dict[str, set[str]] = {}
    for name in select_models(["@small"]):
        sizes.setdefault(name.rpartition("_")[0], set()).add(model_rows()[name].size_class)
    assert set(sizes) == {"vit_32px", "vit_p4_32px", "resnet_32px", "mbconv_32px", "hybrid_32px"}
    assert all(classes == {"S", "M", "L"} for classes in sizes.values())


def test_a_row_becomes_a_plain_dictionary() -> None:
    row = find_model("vit_32px_s")
    assert row is not None
    assert dataclasses.asdict(row)["arguments"]["embed_dim"] == 48


def test_patterns_and_groups_expand_once_and_in_order() -> None:
    assert select_models(["vit_32px_m", "vit_32px_*", "resnet50"]) == [
        "vit_32px_m",
        "vit_32px_s",
        "vit_32px_l",
        "resnet50",
    ]
    assert len(select_models(["@small", "@small"])) == 15
    assert len(select_models(["@systems", "@small"])) == len(model_rows())


@pytest.mark.parametrize("name", ["@smal", "vit_99px_*"])
def test_groups_and_patterns_that_match_nothing_are_refused(name: str) -> None:
    with pytest.raises(UnknownNameError, match="Unknown model"):
        select_models([name])


def test_the_catalog_does_not_import_torch() -> None:
    code = "import bench.catalog.models, bench.catalog.papers, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
