"""Frozen features: what a model hands to its classifier, for a list of stored images.

The layer is timm's `pre_logits`, the input of the last linear layer; its name is part of a record, since what it is
differs between families. What is done with features is bench.learn's work.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from timm.layers.adaptive_avgmax_pool import SelectAdaptivePool2d
from timm.layers.classifier import ClassifierHead, NormMlpClassifierHead
from timm.models.deit import VisionTransformerDistilled
from torch import Tensor, nn

from bench.data.decoding.decode import BadImageError
from bench.data.sets.collection import LabelledImages
from bench.errors import CellFailedError, RequestError, UnsupportedError
from bench.measure.devices import memory_limit_named
from bench.measure.scoring.loading import load_batches
from bench.measure.settings import apply_settings
from bench.suite.cell import Settings

FEATURE_BATCH = 64  # images; more gains nothing on a CPU, and every catalogued model fits at 224 px on a 16 GB GPU
INTERPOLATION = "bilinear"  # Pillow's, which averages when it shrinks; the authors' code is bilinear without that

_POOLS = {"avg": "global average pool", "max": "global maximum pool", "avgmax": "mean of average and maximum pool"}
_TOKENS = {"token": "class token", "avg": "mean of patch tokens", "max": "maximum of patch tokens"}


@dataclass(frozen=True)
class Framing:
    """How an image becomes a model's input: a square of resized_px, its centre of crop_px, scaled by mean and std."""

    resized_px: int
    crop_px: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 0 < self.crop_px <= self.resized_px:
            raise RequestError(
                f"A crop of {self.crop_px} px was asked for from images of {self.resized_px} px. "
                "Give a resolution that is not larger than the size images are resized to."
            )


def extract_features(
    model: nn.Module,
    images: LabelledImages,
    framing: Framing,
    *,
    device: str,
    settings: Settings,
    workers: int = 0,
) -> NDArray[np.float32]:
    """What the model hands to its classifier, for every image in its order: (N, F), float32.

    model: a timm model, or one with timm's `forward_features` and `forward_head(x, pre_logits=True)`; it is moved to
    the device, converted as the settings say, and left in evaluation state. workers: processes that decode; 0 decodes
    here, between batches.

    Raises BadImageError with the image's key, UnsupportedError for a model without such a layer, OutOfMemoryError,
    CellFailedError for features that are no vector per image.
    """
    _require_layer(model)
    applied = apply_settings(_PreLogits(model.eval()).eval(), settings, device, framing.crop_px)
    mean, std = (torch.tensor(numbers, device=device)[:, None, None] for numbers in (framing.mean, framing.std))
    batches = []
    what = f"Extracting features with {FEATURE_BATCH} images of {framing.crop_px} px at a time"
    with memory_limit_named(what), torch.inference_mode(), applied.context:
        everything = np.arange(len(images))
        prepare = partial(framed, framing=framing)
        for loaded in load_batches(images, everything, prepare, batch_size=FEATURE_BATCH, workers=workers):
            if loaded.problem:
                raise BadImageError(f"Image '{images.keys[loaded.positions[0]]}': {loaded.problem}")
            pixels = loaded.pixels  # (B, R, R, 3), uint8
            scaled = (pixels.to(device).permute(0, 3, 1, 2).float() / 255 - mean) / std  # (B, 3, R, R)
            scaled = scaled.to(applied.input_dtype)
            if settings.memory_format == "channels_last":
                scaled = scaled.contiguous(memory_format=torch.channels_last)
            features = applied.model(scaled)
            shape = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
            if not isinstance(shape, tuple) or len(shape) != 2 or shape[0] != len(pixels):
                raise CellFailedError(
                    f"{type(model).__name__} gives features of shape {shape} for {len(pixels)} images; "
                    "a vector for each was expected. Give it a pooling layer."
                )
            batches.append(features.float().cpu().numpy())
    return np.concatenate(batches) if batches else np.empty((0, 0), dtype=np.float32)


def feature_layer(model: nn.Module) -> str:
    """What the features are, in words; `pre_logits` for an architecture that nobody has put into words here."""
    head, pool = getattr(model, "head", None), getattr(model, "global_pool", None)
    if isinstance(model, VisionTransformerDistilled):
        return "mean of class and distillation token after final norm"
    if isinstance(head, NormMlpClassifierHead):
        hidden = ", then hidden layer of the head" if _is_layer(head.pre_logits) else ""
        return f"{_pooled(head.global_pool)}, then norm{hidden}"
    if isinstance(head, ClassifierHead):
        return _pooled(head.global_pool)
    if isinstance(pool, str):
        return _pooled_tokens(model, pool)
    if isinstance(pool, nn.Module):
        # MobileNetV3 and its kin widen the pooled vector; EfficientNet does so before it pools.
        widened = hasattr(model, "act2") and hasattr(model, "conv_head")
        return f"{_pooled(pool)}, then conv head" if widened else _pooled(pool)
    return "pre_logits"


def _pooled(pool: nn.Module) -> str:
    pool_type = pool.pool_type if isinstance(pool, SelectAdaptivePool2d) else None
    return _POOLS.get(str(pool_type), "pre_logits")


def _pooled_tokens(model: nn.Module, pool: str) -> str:
    if getattr(model, "attn_pool", None) is not None:
        return "attention pool of tokens"
    if pool not in _TOKENS:
        return "pre_logits"
    tokens = _TOKENS[pool]
    if getattr(model, "pool_include_prefix", False):
        tokens = tokens.replace("patch", "all")
    if _is_layer(getattr(model, "fc_norm", None)):
        return f"{tokens}, then norm"
    return f"{tokens} after final norm" if _is_layer(getattr(model, "norm", None)) else tokens


def _is_layer(module: object) -> bool:
    return isinstance(module, nn.Module) and not isinstance(module, nn.Identity)


class _PreLogits(nn.Module):
    """A timm model up to its classifier, as one module, so that it can be compiled as one."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:  # (B, 3, R, R) -> (B, F)
        features: Tensor = self.model.forward_head(self.model.forward_features(images), pre_logits=True)  # type: ignore[operator]
        return features


def _require_layer(model: nn.Module) -> None:
    missing = [name for name in ("forward_features", "forward_head") if not callable(getattr(model, name, None))]
    if missing:
        raise UnsupportedError(
            f"{type(model).__name__} has no {' and no '.join(missing)}, so its features cannot be taken. Give it "
            "timm's two: forward_features(x), and forward_head(x, pre_logits=True) for what enters the classifier."
        )


def framed(image: Image.Image, framing: Framing) -> NDArray[np.uint8]:
    """The centre of the image after resizing it to a square: (crop_px, crop_px, 3). An odd border is cut more below."""
    side, offset = framing.resized_px, (framing.resized_px - framing.crop_px) // 2
    squared = image.resize((side, side), Image.Resampling.BILINEAR)
    return np.array(squared.crop((offset, offset, offset + framing.crop_px, offset + framing.crop_px)))
