"""Frozen features: the layer against timm's own methods called by hand, the framing, and what is refused."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from bench.catalog.models import model_rows
from bench.data.sets.collection import LabelledImages, RawImage
from bench.errors import BadImageError, CellFailedError, RequestError, UnsupportedError
from bench.measure.build import build_model
from bench.measure.scoring.features import FEATURE_BATCH, Framing, extract_features, feature_layer, framed
from bench.suite.cell import Settings

WHOLE = Framing(resized_px=32, crop_px=32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


@dataclass(frozen=True)
class Stored:
    """Images held in memory, as files or as pixels."""

    raw: tuple[RawImage, ...]

    def __len__(self) -> int:
        return len(self.raw)

    def read(self, index: int) -> RawImage:
        return self.raw[index]


def images_of(*raw: RawImage) -> LabelledImages:
    return LabelledImages(Stored(raw), np.zeros(len(raw), dtype=np.int64), tuple(f"{i}.png" for i in range(len(raw))))


def noise(count: int, side: int = 32) -> list[NDArray[np.uint8]]:
    return list(np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8))


def as_png(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()


@pytest.mark.parametrize("name", ["vit_32px_s", "resnet_32px_s", "mbconv_32px_s", "hybrid_32px_s"])
def test_features_are_what_timm_gives_before_the_classifier(name: str) -> None:
    pixels = noise(FEATURE_BATCH + 3)  # two batches, the second one short
    model = build_model(name, num_classes=10, seed=0)
    framing = Framing(32, 32, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.5))
    found = extract_features(model, images_of(*pixels), framing, device="cpu", settings=Settings())

    images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).double() / 255
    images = (images - torch.tensor([0.5, 0.4, 0.3])[:, None, None]) / torch.tensor([0.2, 0.3, 0.5])[:, None, None]
    with torch.no_grad():
        before = model.eval().forward_features(images.float())  # type: ignore[operator]
        expected = model.forward_head(before, pre_logits=True)  # type: ignore[operator]
        logits = model(images.float())
        last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    assert found.dtype == np.float32
    assert found.shape == (FEATURE_BATCH + 3, last.in_features)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)
    # The classifier on these features gives the model's own scores.
    torch.testing.assert_close(last(torch.from_numpy(found)), logits, rtol=1e-3, atol=1e-4)


def test_the_order_of_the_images_is_kept_and_each_counts_once() -> None:
    levels = [np.full((4, 4, 3), level, dtype=np.uint8) for level in range(FEATURE_BATCH * 2 + 1)]
    found = extract_features(_Mean(), images_of(*levels), WHOLE, device="cpu", settings=Settings())
    np.testing.assert_allclose(found[:, 0] * 255, np.arange(FEATURE_BATCH * 2 + 1), rtol=1e-5, atol=1e-4)


def test_evaluation_state_is_set_so_dropout_does_nothing() -> None:
    model = nn.Module()
    model.dropout = nn.Dropout(0.5)
    model.forward_features = lambda x: model.dropout(x.mean((2, 3)))  # type: ignore[assignment]
    model.forward_head = lambda x, pre_logits: x  # type: ignore[assignment]
    white = np.full((32, 32, 3), 255, dtype=np.uint8)
    found = extract_features(model.train(), images_of(white), WHOLE, device="cpu", settings=Settings())
    assert found.tolist() == [[1.0, 1.0, 1.0]]


class _Mean(nn.Module):
    """Features that are the mean colour."""

    def forward_features(self, images: Tensor) -> Tensor:
        return images.mean((2, 3))

    def forward_head(self, features: Tensor, pre_logits: bool) -> Tensor:
        assert pre_logits
        return features


def test_images_are_resized_to_a_square_and_the_centre_is_kept() -> None:
    wide = np.zeros((10, 40, 3), dtype=np.uint8)
    wide[:, 10:30] = 255  # the middle half: 16 of 32 columns after resizing, all of the centre 8
    image = Image.fromarray(wide)
    whole = framed(image, Framing(32, 32, (0.0,) * 3, (1.0,) * 3))
    centre = framed(image, Framing(32, 8, (0.0,) * 3, (1.0,) * 3))
    assert whole.shape == (32, 32, 3)
    assert centre.shape == (8, 8, 3)
    assert (centre == 255).all()
    np.testing.assert_array_equal(centre, whole[12:20, 12:20])
    assert whole[:, :7].max() == 0


def test_a_file_and_its_pixels_give_the_same_features() -> None:
    pixels = noise(1, side=40)[0]
    from_pixels, from_file = (
        extract_features(_Mean(), images_of(raw), WHOLE, device="cpu", settings=Settings())
        for raw in (pixels, as_png(pixels))
    )
    np.testing.assert_array_equal(from_pixels, from_file)


def test_a_bad_image_is_named() -> None:
    good = noise(1)[0]
    with pytest.raises(BadImageError, match=r"Image '1\.png': "):
        extract_features(_Mean(), images_of(good, as_png(good)[:60]), WHOLE, device="cpu", settings=Settings())


@pytest.mark.slow
def test_other_processes_decode_to_the_same_features_and_name_a_bad_image() -> None:
    pixels = noise(FEATURE_BATCH * 2 + 5)
    here, there = (
        extract_features(_Mean(), images_of(*pixels), WHOLE, device="cpu", settings=Settings(), workers=workers)
        for workers in (0, 2)
    )
    np.testing.assert_array_equal(here, there)
    with pytest.raises(BadImageError, match=r"^Image '0\.png': [^\n]*$"):
        extract_features(_Mean(), images_of(b"no image"), WHOLE, device="cpu", settings=Settings(), workers=1)


def test_bf16_features_come_back_as_float32() -> None:
    from bench.measure.devices import available_precisions

    if available_precisions("cpu")["bf16"] is not None:
        pytest.skip("this CPU has no bf16")
    found = extract_features(_Mean(), images_of(*noise(2)), WHOLE, device="cpu", settings=Settings(precision="bf16"))
    assert found.dtype == np.float32
    assert np.array_equal(found, torch.from_numpy(found).bfloat16().float().numpy())


def test_a_model_without_the_layer_is_refused_with_what_to_write() -> None:
    with pytest.raises(UnsupportedError, match=r"Linear has no forward_features and no forward_head"):
        extract_features(nn.Linear(2, 2), images_of(*noise(1)), WHOLE, device="cpu", settings=Settings())


def test_features_that_are_not_pooled_are_refused_with_their_shape() -> None:
    model = timm.create_model("resnet18", global_pool="", num_classes=0)
    with pytest.raises(CellFailedError, match=r"shape \(2, 512, 1, 1\) for 2 images"):
        extract_features(model, images_of(*noise(2)), WHOLE, device="cpu", settings=Settings())


def test_a_crop_larger_than_the_image_is_a_wrong_request() -> None:
    with pytest.raises(RequestError, match=r"crop of 256 px .* images of 224 px"):
        Framing(224, 256, (0.0,) * 3, (1.0,) * 3)


LAYERS = {
    "vit_tiny_patch16_224.augreg_in21k": "class token after final norm",
    "vit_base_r50_s16_224.orig_in21k": "class token after final norm",
    "vit_base_patch16_clip_224.openai": "class token after final norm",
    "vit_tiny_r_s16_p8_224.augreg_in21k_ft_in1k": "class token after final norm",
    "deit_base_distilled_patch16_224.fb_in1k": "mean of class and distillation token after final norm",
    "vit_base_patch16_siglip_224.webli": "attention pool of tokens",
    "vit_huge_patch14_gap_224.in1k_ijepa": "mean of patch tokens after final norm",
    "beit_base_patch16_224.in22k_ft_in22k": "mean of patch tokens, then norm",
    "swin_tiny_patch4_window7_224.ms_in1k": "global average pool",
    "convnext_tiny.fb_in22k": "global average pool, then norm",
    "resnetv2_50x1_bit.goog_in21k": "global average pool",
    "resnet50.tv_in1k": "global average pool",
    "tf_efficientnet_b0.in1k": "global average pool",
    "tf_efficientnetv2_s.in21k": "global average pool",
    "mobilenetv3_large_100.miil_in21k": "global average pool, then conv head",
    "densenet121.tv_in1k": "global average pool",
    "legacy_xception.tf_in1k": "global average pool",
    "xception41.tf_in1k": "global average pool",
    "inception_v3.tv_in1k": "global average pool",
    "inception_resnet_v2.tf_in1k": "global average pool",
}


@pytest.mark.parametrize(("name", "layer"), LAYERS.items())
def test_layers_are_named_per_architecture(name: str, layer: str) -> None:
    with torch.device("meta"):
        assert feature_layer(timm.create_model(name, pretrained=False)) == layer


@pytest.mark.slow
def test_every_architecture_of_the_catalog_has_a_layer_with_a_name() -> None:
    unnamed, seen = [], set()
    for name, row in model_rows().items():
        architecture = name if row.arguments else row.timm_name.partition(".")[0]
        if architecture not in seen:
            seen.add(architecture)
            if feature_layer(build_model(name, device="meta")) == "pre_logits":
                unnamed.append(name)
    assert unnamed == []


def test_an_architecture_nobody_described_is_not_guessed() -> None:
    assert feature_layer(_Mean()) == "pre_logits"
