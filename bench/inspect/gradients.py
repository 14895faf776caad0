"""Which pixels move a model's answer: a map that any differentiable model has, and Grad-CAM for CNNs beside it.

Sources: SmoothGrad, Smilkov et al. 2017, arXiv 1706.03825; Grad-CAM, Selvaraju et al. 2017, arXiv 1610.02391.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.data.generated.randomness import Stream

NOISY_COPIES = 16  # the paper takes 50; a ViT-B on two CPU cores would need a quarter of a minute for these
NOISE_SHARE = 0.15  # of the range of the input, as the paper recommends (10 to 20 %)
LEAST_SIDE = 4  # of the map that Grad-CAM reads: at 32 px the last one of a ResNet is a single place

Map = NDArray[np.float32]


@dataclass(frozen=True)
class Answer:
    """The class that a model puts first, and its softmax probability."""

    target: int
    probability: float


def first_class(model: nn.Module, images: Tensor) -> Answer | str:
    """The model's first class for one image, (1, 3, R, R), or why it gives no scores."""
    with torch.inference_mode():
        scores = model(images)
    if not isinstance(scores, Tensor) or scores.ndim != 2 or len(scores) != 1 or scores.shape[1] < 2:
        shape = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        return f"The model gives {shape} for an image, no scores of classes, so there is nothing to take a gradient of."
    if not bool(torch.isfinite(scores).all()):
        return "The model's scores for this image are no numbers."
    return Answer(int(scores[0].argmax()), float(scores[0].softmax(dim=0).max()))


def smooth_gradient(
    model: nn.Module, images: Tensor, target: int, *, copies: int = NOISY_COPIES, noise_share: float = NOISE_SHARE
) -> Map:
    """Gradient of the target's score (before the softmax), averaged over noisy copies of the image: (R, R), >= 0.

    images: (1, 3, R, R), normalised. Each pixel has the largest magnitude of its three channels. The noise is the same
    for every model at this resolution and on every machine: its standard deviation is noise_share x (max - min).
    """
    spread = noise_share * float(images.max() - images.min())
    total = torch.zeros_like(images)
    for copy in range(copies):
        noise = torch.from_numpy(Stream("inspect", "noise", copy).bell(*images.shape))
        noisy = (images + spread * noise).requires_grad_()
        total += torch.autograd.grad(model(noisy)[0, target], noisy)[0]
    gradient: Map = (total / copies)[0].abs().amax(dim=0).numpy()
    return gradient


@dataclass(frozen=True)
class GradCam:
    """weights: (h, w), >= 0. layer: the name of the module whose output was read."""

    weights: Map
    layer: str


def grad_cam(model: nn.Module, images: Tensor, target: int) -> GradCam | str:
    """Grad-CAM on the last feature map of at least LEAST_SIDE places each way, or why there is none.

    images: (1, 3, R, R). The map is the sum of the channels, each weighted by the mean gradient of the target's score
    over its places, where that is positive.
    """
    maps: dict[str, Tensor] = {}  # of the last module that gives one

    def watcher(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def watch(_: nn.Module, __: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim == 4 and min(output.shape[2:]) >= LEAST_SIDE:
                maps.clear()
                maps[name] = output

        return watch

    handles = [part.register_forward_hook(watcher(name)) for name, part in model.named_modules() if name]
    try:
        score = model(images.clone().requires_grad_())[0, target]
    finally:
        for handle in handles:
            handle.remove()
    found = list(maps.items())
    if not found:
        return f"The model has no feature map of {LEAST_SIDE} x {LEAST_SIDE} places or more."
    name, features = found[0]
    gradients: tuple[Tensor | None, ...] = torch.autograd.grad(score, features, allow_unused=True)
    gradient = gradients[0]
    if gradient is None:
        return f"The score does not depend on the feature map of '{name}'."
    channel_weights = gradient.mean(dim=(2, 3), keepdim=True)  # (1, C, 1, 1)
    cam: Map = (channel_weights * features).sum(dim=1)[0].clamp(min=0).detach().numpy()
    return GradCam(cam, name)
