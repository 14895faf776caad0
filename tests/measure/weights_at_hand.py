"""Small networks and files of their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.measure.build import build_model
from bench.measure.weight_files import file_weights_id, save_weights
from bench.measure.weights import load_weights

VIT = "test_vit.r160_in1k"  # 0.4 M parameters, 160 px, 1000 classes, fixed size
RESNET = "test_resnet.r160_in1k"


def saved(path: Path, name: str = VIT, seed: int = 7, **arguments: Any) -> tuple[Path, nn.Module]:
    """A file of weights of its own and the network they are from."""
    model = build_model(name, seed=seed, **arguments).eval()
    save_weights(path, model.state_dict(), {})
    return path, model


def load_given(path: Path, name: str = VIT, **changes: Any) -> Any:
    arguments = {"num_classes": None, "resolution_px": 160, "file": path, **changes}
    return load_weights(name, arguments.pop("weights", None) or file_weights_id(path), **arguments)


def logits(model: nn.Module, resolution_px: int) -> Tensor:
    with torch.inference_mode():
        result: Tensor = model(torch.linspace(-1, 1, 3 * resolution_px**2).view(1, 3, resolution_px, resolution_px))
        return result
