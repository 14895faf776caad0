"""Published accuracies, counts and speeds of every public checkpoint and test size that timm lists. No torch.

Every row is one checkpoint by one recipe, trained once: rows tell of checkpoints, and of architectures only together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from bench.catalog.identity import PublicFamily, public_family
from bench.catalog.strata import Training, training_of
from bench.catalog.tables import read_csv, typed

SOURCE = "https://github.com/huggingface/pytorch-image-models results/ at commit aa4b5850"
IMAGENET_IMAGES = 50_000  # of the validation part, which is tested on
# Column of an accuracy -> the test set's title and its images.
TEST_SETS: Mapping[str, tuple[str, int]] = {
    "imagenet_top1": ("ImageNet", IMAGENET_IMAGES),
    "real_top1": ("ImageNet ReaL", 46_837),
    "imagenet_v2_top1": ("ImageNet-V2", 10_000),
    "sketch_top1": ("ImageNet-Sketch", 50_889),
    "imagenet_r_top1": ("ImageNet-R", 30_000),
    "imagenet_a_top1": ("ImageNet-A", 7_500),
}
# Column of a speed -> the device and how timm ran it.
PUBLISHED_DEVICES: Mapping[str, str] = {
    "rtx5090_amp_nchw_img_per_s": "RTX 5090",
    "rtx5090_amp_nchw_compiled_img_per_s": "RTX 5090, compiled",
    "rtx4090_amp_nhwc_img_per_s": "RTX 4090",
    "i9_10940x_fp32_compiled_img_per_s": "Core i9-10940X",
    "i7_12700h_fp32_compiled_img_per_s": "Core i7-12700H",
}


@dataclass(frozen=True)
class PublicResult:
    """One checkpoint at one test size; fields are named as in timm's files. Accuracies in percent."""

    model: str  # timm's `arch.tag`
    img_size: int  # side of the test images, pixels
    default_px: int  # of the weights' configuration in timm
    imagenet_top1: float
    imagenet_top5: float
    real_top1: float
    imagenet_v2_top1: float
    sketch_top1: float
    imagenet_r_top1: float
    param_count_m: float
    infer_gmacs: float  # of one image, norm layers included
    infer_macts: float  # outputs of convolutions and linear layers, in millions
    crop_pct: float
    interpolation: str
    imagenet_a_top1: float | None = None
    rtx5090_amp_nchw_img_per_s: float | None = None
    rtx5090_amp_nchw_compiled_img_per_s: float | None = None
    rtx4090_amp_nhwc_img_per_s: float | None = None
    i9_10940x_fp32_compiled_img_per_s: float | None = None
    i7_12700h_fp32_compiled_img_per_s: float | None = None

    @property
    def architecture(self) -> str:
        """The name without its tag: what counts and timings depend on, beside the size."""
        return self.model.partition(".")[0]

    @property
    def place(self) -> tuple[str, int]:
        """Architecture and size, which rows that differ in weights alone share."""
        return self.architecture, self.img_size

    @property
    def family(self) -> PublicFamily:
        return public_family(self.model)

    @property
    def training(self) -> Training:
        """What the weights were trained on."""
        return training_of(self.model)

    @property
    def is_larger_than_trained(self) -> bool:
        """Whether the test images are larger than those that the weights' configuration names."""
        return self.img_size > self.default_px

    @property
    def source(self) -> str:
        return SOURCE


@cache
def public_results() -> tuple[PublicResult, ...]:
    """Every row in file order."""
    return typed(PublicResult, read_csv("public_results"))


def published_sizes(model: str) -> tuple[int, ...]:
    """Test sizes of a checkpoint, or of all checkpoints of an architecture, from small to large; none if not listed."""
    return _sizes().get(model, ())


@cache
def _sizes() -> dict[str, tuple[int, ...]]:
    found: dict[str, set[int]] = {}
    for row in public_results():
        for name in (row.model, row.architecture):
            found.setdefault(name, set()).add(row.img_size)
    return {name: tuple(sorted(sizes)) for name, sizes in found.items()}


@cache
def published_top1() -> Mapping[tuple[str, int], float]:
    """Top-1 on ImageNet in percent by timm's `arch.tag` and size."""
    return {(row.model, row.img_size): row.imagenet_top1 for row in public_results()}
