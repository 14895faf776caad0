"""What a model's first layer looks for: principal components of a patch embedding, or filters of a convolution.

Source: Figure 7 (left) of the ViT paper shows the principal components of the RGB embedding filters of ViT-L/32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from timm.layers.std_conv import ScaledStdConv2d, ScaledStdConv2dSame, StdConv2d, StdConv2dSame
from torch import nn

from bench.measure.folding import plain_convolution

SHOWN = 28  # as many as the paper's figure shows


@dataclass(frozen=True)
class Filters:
    """images: (K, p, p, 3), RGB of the filters, any scale. share: (K,), of the variance, where they are components."""

    kind: Literal["principal components", "first convolution"]
    images: NDArray[np.float64]
    share: tuple[float, ...] | None


def first_filters(model: nn.Module) -> Filters | str:
    """The filters of the first layer that sees colours, or why there are none to show."""
    conv = next((one for one in model.modules() if isinstance(one, nn.Conv2d) and one.in_channels == 3), None)
    if conv is None or conv.groups != 1:
        return "The model has no convolution or patch embedding that reads three colours."
    if isinstance(conv, StdConv2d | StdConv2dSame | ScaledStdConv2d | ScaledStdConv2dSame):
        conv = plain_convolution(conv)  # what is multiplied with the image, not what is stored
    kernels = conv.weight.detach().double().cpu().numpy().transpose(0, 2, 3, 1)  # (D, p, p, 3)
    if conv.kernel_size == conv.stride and kernels.shape[1] > 1:
        components, share = principal_components(kernels, SHOWN)
        return Filters("principal components", components, tuple(float(part) for part in share))
    norms = np.linalg.norm(kernels.reshape(len(kernels), -1), axis=1)
    strongest = np.argsort(-norms, kind="stable")[:SHOWN]
    return Filters("first convolution", kernels[strongest], None)


def principal_components(kernels: NDArray[np.float64], most: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The first principal components of D filters and the share of the variance that each explains.

    kernels: (D, p, p, 3). Returns (K, p, p, 3), orthonormal, K = min(most, their rank's bound), and (K,). The mean
    filter is taken off first. A component's sign is free: here its largest entry is positive.
    """
    flat = kernels.reshape(len(kernels), -1)
    centred = flat - flat.mean(axis=0)
    _, spread, directions = np.linalg.svd(centred, full_matrices=False)
    count = min(most, len(flat) - 1, flat.shape[1])
    components = directions[:count]
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    components = components * np.sign(largest)
    total = float((spread**2).sum())
    share = spread[:count] ** 2 / total if total > 0 else np.zeros(count)
    return components.reshape(count, *kernels.shape[1:]), share
