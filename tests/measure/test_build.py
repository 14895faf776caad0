from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench.catalog.models import model_rows
from bench.errors import RequestError, ResolutionError, UnknownNameError
from bench.measure.build import build_model, check_takes_resolution, family_of, model_exists, native_resolution

USER_MODULE = """
from torch import nn

def tiny(num_classes=7, resolution_px=24):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * resolution_px**2, num_classes))

def fixed():
    return nn.Identity()

def wrong():
    return 3
"""


@pytest.fixture
def user_file(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(USER_MODULE)
    return str(path)


@pytest.mark.parametrize("name", [name for name, row in model_rows().items() if row.arguments])
def test_small_models_turn_32_px_images_into_class_scores(name: str) -> None:
    model = build_model(name, num_classes=5)
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 5)


def test_a_seed_fixes_the_weights_and_leaves_the_global_state_alone() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, second = (build_model("vit_32px_s", num_classes=4, seed=3) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    other = build_model("vit_32px_s", num_classes=4, seed=4)
    assert not torch.equal(first.head.weight, other.head.weight)  # type: ignore[union-attr, arg-type]


def test_meta_models_hold_no_memory() -> None:
    model = build_model("vit_huge_patch14_224.orig_in21k", device="meta")
    assert all(p.is_meta for p in model.parameters())


def test_a_timm_vit_without_a_head_gets_1000_classes() -> None:
    model = build_model("vit_base_patch14_dinov2.lvd142m", device="meta")
    assert model.head.out_features == 1000  # type: ignore[union-attr]


def test_a_timm_vit_is_made_for_the_resolution_asked() -> None:
    model = build_model("vit_tiny_patch16_224", num_classes=3, resolution_px=64)
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 3)


def test_a_cnn_takes_no_image_size_and_any_resolution() -> None:
    model = build_model("test_resnet", num_classes=3, resolution_px=40)
    assert model.eval()(torch.zeros(1, 3, 40, 40)).shape == (1, 3)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="'vit_small_patch16_224'"):
        build_model("vit_smal_patch16_224")


def test_an_unknown_tag_is_refused() -> None:
    assert not model_exists("resnet50.no_such_weights")
    with pytest.raises(UnknownNameError):
        build_model("resnet50.no_such_weights")


def test_names_of_catalog_timm_and_tags_exist() -> None:
    for name in ("vit_32px_s", "resnet50", "resnet50.a1_in1k", "vit_huge_patch14_224.orig_in21k"):
        assert model_exists(name)


def test_native_resolutions() -> None:
    assert native_resolution("vit_32px_s") == 32
    assert native_resolution("resnetv2_152x4_bit.goog_in21k_ft_in1k") == 480
    assert native_resolution("inception_v3") == 299


def test_families_of_rows_and_of_other_timm_models() -> None:
    assert family_of("vit_large_r50_s32_224.augreg_in21k") == "hybrid"
    assert family_of("regnety_040") == "cnn"
    assert family_of("eva02_base_patch14_224") == "vit"
    assert family_of("mobilevit_s") == "hybrid"
    assert family_of("mixer_b16_224") == "other"


@pytest.mark.parametrize(
    ("name", "resolution_px", "hint"),
    [
        ("vit_base_patch16_224", 100, "multiples of 16. Nearest: 96 or 112"),
        ("vit_huge_patch14_224.orig_in21k", 384, "multiples of 14. Nearest: 378 or 392"),
        ("vit_base_patch32_224", 16, "Nearest: 32"),
        ("swin_tiny_patch4_window7_224", 30, "multiples of 4"),
        ("maxvit_tiny_tf_224", 100, "The next size that works is 128 px"),
        ("vgg11", 16, "The next size that works is 32 px"),
        ("vit_32px_s", 30, "multiples of 8"),
        ("resnet50", 0, "sizes start at 1 px"),
    ],
)
def test_a_resolution_that_a_model_cannot_take_is_refused_with_one_that_it_can(
    name: str, resolution_px: int, hint: str
) -> None:
    with pytest.raises(ResolutionError, match=hint):
        check_takes_resolution(name, resolution_px)


@pytest.mark.parametrize(("name", "resolution_px"), [("vit_base_patch16_224", 96), ("resnet50", 33), ("vgg11", 32)])
def test_a_resolution_that_a_model_can_take_passes(name: str, resolution_px: int) -> None:
    check_takes_resolution(name, resolution_px)


def test_a_model_keeps_its_own_size_even_if_that_cuts_patches() -> None:
    check_takes_resolution("vit_so400m_patch14_siglip_384", 384)  # 27 patches of 14 px, 6 px cut off: timm's weights


def test_building_refuses_a_size_that_cuts_patches() -> None:
    with pytest.raises(ResolutionError, match="multiples of 16"):
        build_model("vit_tiny_patch16_224", resolution_px=33)


def test_a_users_function_gets_the_arguments_it_accepts(user_file: str) -> None:
    model = build_model(f"{user_file}:tiny", num_classes=4, resolution_px=8)
    assert model(torch.zeros(1, 3, 8, 8)).shape == (1, 4)
    assert isinstance(build_model(f"{user_file}:fixed", num_classes=4, resolution_px=8), torch.nn.Identity)


def test_a_users_defaults_are_kept(user_file: str) -> None:
    assert native_resolution(f"{user_file}:tiny") == 24
    assert build_model(f"{user_file}:tiny")(torch.zeros(1, 3, 24, 24)).shape == (1, 7)
    assert family_of(f"{user_file}:tiny") == "other"


def test_a_users_mistakes_are_named(user_file: str) -> None:
    with pytest.raises(UnknownNameError, match="'tiny'"):
        build_model(f"{user_file}:tyny")
    with pytest.raises(RequestError, match="returned int"):
        build_model(f"{user_file}:wrong")
    with pytest.raises(RequestError, match="No file"):
        build_model("nowhere.py:tiny")
