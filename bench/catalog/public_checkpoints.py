"""Checkpoints that their authors released: what each saw in pre-training, and whom in the ViT paper it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from bench.catalog.tables import read_csv, typed

# The paper's name of a data set -> ours; ReaL and VTAB are measured in their own ways.
OUR_SETS = {
    "ImageNet": "imagenet",
    "CIFAR-10": "cifar10",
    "CIFAR-100": "cifar100",
    "Oxford-IIIT Pets": "pets",
    "Oxford Flowers-102": "flowers102",
}
REAL, VTAB = "ImageNet ReaL", "VTAB (19 tasks)"


@dataclass(frozen=True)
class PublicPretraining:
    """One released checkpoint with ImageNet-21k weights, before any fine-tuning."""

    name: str  # timm's `arch.tag`
    title: str
    family: str  # vit, cnn or hybrid
    recipe: str  # AugReg or BiT-M
    timm_arch: str  # the architecture at the resolution of pre-training
    resolution_px: int  # of pre-training
    pretraining: str
    epochs: int
    images: int  # in one epoch
    source: str
    status: str  # how sure epochs and images are
    note: str = ""

    @property
    def images_seen(self) -> int:
        """Images in all pre-training steps."""
        return self.epochs * self.images


@cache
def public_pretraining() -> dict[str, PublicPretraining]:
    """Every row by the checkpoint's name, in file order."""
    return {row.name: row for row in typed(PublicPretraining, read_csv("public_pretraining"))}


def find_public_pretraining(name: str) -> PublicPretraining | None:
    """The row of that checkpoint, or None: nothing is known of other weights here."""
    return public_pretraining().get(name)


@dataclass(frozen=True)
class StandIn:
    """Which released weights may stand for a system of Table 2, best first, and how they differ from it."""

    models: tuple[str, ...]
    what: str  # Markdown-free; becomes a footnote
    transfer_model: str | None = None  # its row of the paper's Table 5 with ImageNet-21k weights
    vtab_system: str | None = None  # its row of paper_vtab.csv


_NO_JFT = "the same architecture pre-trained on ImageNet-21k; no JFT weights were released"
_VIT_L = (
    "vit_large_patch16_384.augreg_in21k_ft_in1k",
    "vit_large_patch16_224.augreg_in21k_ft_in1k",
    "vit_large_patch16_224.orig_in21k",
    "vit_large_patch16_224.augreg_in21k",
)
STAND_INS = {
    ("ViT-H/14", "JFT-300M"): StandIn(("vit_huge_patch14_224.orig_in21k",), _NO_JFT, transfer_model="ViT-H/14"),
    ("ViT-L/16", "JFT-300M"): StandIn(_VIT_L, _NO_JFT, transfer_model="ViT-L/16"),
    ("ViT-L/16", "ImageNet-21k"): StandIn(
        _VIT_L,
        "AugReg weights (another recipe) where an ImageNet head is needed, the paper's own weights elsewhere",
        transfer_model="ViT-L/16",
    ),
    ("BiT-L ResNet152x4", "JFT-300M"): StandIn(
        ("resnetv2_152x4_bit.goog_in21k_ft_in1k", "resnetv2_152x4_bit.goog_in21k"),
        "BiT-M, the same architecture pre-trained on ImageNet-21k; no BiT-L weights were released",
        vtab_system="BiT-M R152x4",
    ),
    ("Noisy Student EfficientNet-L2", "ImageNet + unlabelled JFT-300M"): StandIn(
        ("tf_efficientnet_l2.ns_jft_in1k", "tf_efficientnet_l2.ns_jft_in1k_475"),
        "the released weights of the system itself",
    ),
}
