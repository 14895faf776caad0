"""Public checkpoints with ImageNet-21k weights and the images that each saw in pre-training.

Rows are those of public_pretraining.csv, each with its source and how sure its counts are.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class PublicPretraining:
    """One released checkpoint before any fine-tuning."""

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
    note: str

    @property
    def images_seen(self) -> int:
        """Images in all pre-training steps."""
        return self.epochs * self.images


@cache
def public_pretraining() -> dict[str, PublicPretraining]:
    """Every row by the checkpoint's name, in file order."""
    text = resources.files("bench.catalog").joinpath("public_pretraining.csv").read_text(encoding="utf-8")
    return {
        row["name"]: PublicPretraining(
            name=row["name"],
            title=row["title"],
            family=row["family"],
            recipe=row["recipe"],
            timm_arch=row["timm_arch"],
            resolution_px=int(row["resolution_px"]),
            pretraining=row["pretraining"],
            epochs=int(row["epochs"]),
            images=int(row["images"]),
            source=row["source"],
            status=row["status"],
            note=row["note"],
        )
        for row in csv.DictReader(text.splitlines())
    }


def find_public_pretraining(name: str) -> PublicPretraining | None:
    """The row of that checkpoint, or None: nothing is known of other weights here."""
    return public_pretraining().get(name)
