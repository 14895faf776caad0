"""Small models for the tests of exact counts: what each of them holds can be counted by hand."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Attention over the rows of a (B, 3, R, R) image, fused or as two products and a softmax."""

    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.fused = fused

    def forward(self, image: Tensor) -> Tensor:
        if self.fused:
            return F.scaled_dot_product_attention(image, image, image)
        return (image @ image.transpose(-2, -1)).softmax(-1) @ image


class Convolutions(nn.Module):
    """Two convolutions with something between them that a compiler may or may not follow."""

    def __init__(self, between: str) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.between = between

    def forward(self, image: Tensor) -> Tensor:
        image = self.first(image)
        match self.between:
            case "print":
                print("half-way")  # noqa: T201 - what a compiler cannot follow
            case "branch":
                if image.sum() > -1e9:
                    image = image * 2
            case "loop":
                for number in range(2):
                    print(number)  # noqa: T201
                    image = image + 1
            case "error":
                raise KeyError("no such layer")
        return self.second(image)


def fused() -> nn.Module:
    return Attention(fused=True)


def taken_apart() -> nn.Module:
    return Attention(fused=False)


def plain() -> nn.Module:
    return Convolutions("")


def prints() -> nn.Module:
    return Convolutions("print")


def branches() -> nn.Module:
    return Convolutions("branch")


def loops() -> nn.Module:
    return Convolutions("loop")


def breaks() -> nn.Module:
    return Convolutions("error")


def asks_while_made() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 3, 1), nn.Dropout(torch.linspace(0, 0.1, 2)[1].item()))


def lstm() -> nn.Module:
    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(8, 8, batch_first=True)

        def forward(self, image: Tensor) -> Tensor:
            return self.lstm(image.flatten(1, 2))[0]

    return Rows()


def normed() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Identity())
