"""How pretrained weights are adapted: the ViT paper's recipe and BiT's HyperRule as values. No torch here.

Sources: arXiv 2010.11929v2, Table 4 and section B.1.1 (`vit`), with the warm-up and the crops of its released code,
github.com/google-research/vision_transformer; arXiv 1912.11370, section 3.3 (`bit`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from bench.catalog.tables import read_csv
from bench.errors import RequestError
from bench.suite.cell import FinetuneRecipe

BATCH_SIZE = 512  # both papers
WARMUP_STEPS = 500  # both papers' released code, 100 where a run has 500 steps
WARMUP_FRACTION = 5  # of the steps at most a fifth: 100 of 500, and the same share of shorter runs

# Table 4's names for what this project calls by others. The 19 VTAB tasks share one row.
_PAPER_NAMES = {
    "imagenet": "ImageNet",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "pets": "Oxford-IIIT Pets",
    "flowers102": "Oxford Flowers-102",
}
_VTAB_PREFIX, _VTAB_NAME = "vtab_", "VTAB (19 tasks)"
OTHER_LEARNING_RATES = (0.001, 0.003, 0.01, 0.03)  # of every set in Table 4 but ImageNet and VTAB

BIT_LEARNING_RATE = 0.003
BIT_MIXUP_ALPHA = 0.1  # for all but small sets
SMALL_BELOW, MEDIUM_BELOW = 20_000, 500_000  # training images
SMALL_IMAGE_PX = 96  # narrower images get a lower resolution


@dataclass(frozen=True)
class PaperFinetuning:
    """What Table 4 of the ViT paper says for one data set. dev_split: what the sweep holds out, in its words."""

    dataset: str
    steps: int
    learning_rates: tuple[float, ...]
    dev_split: str
    source: str


@dataclass(frozen=True)
class Sizes:
    """Sides in pixels: images are kept as squares of stored_px, and models see squares of resolution_px."""

    stored_px: int
    resolution_px: int


def paper_finetuning(dataset: str) -> PaperFinetuning | None:
    """The row of Table 4 for a data set of this project's catalog, None for a set that the paper did not use."""
    return _rows().get(_VTAB_NAME if dataset.startswith(_VTAB_PREFIX) else _PAPER_NAMES.get(dataset, ""))


def paper_learning_rates(dataset: str) -> tuple[float, ...]:
    """The learning rates that the paper sweeps on this set; on another one those of its smaller sets."""
    row = paper_finetuning(dataset)
    return row.learning_rates if row is not None else OTHER_LEARNING_RATES


def paper_recipe(
    dataset: str,
    *,
    learning_rate: float,
    resolution_px: int,
    steps: int | None = None,
    train_images: int | None = None,
    batch_size: int = BATCH_SIZE,
    stored_px: int | None = None,
    flip: bool = True,
    crop: bool = True,
) -> FinetuneRecipe:
    """The ViT paper's recipe: SGD, cosine decay, no weight decay, gradients clipped at norm 1, no mixup.

    steps: None is Table 4's number; for a set that is not in it, BiT's for a set of train_images.
    stored_px: None is resolution_px x 448 / 384 (resolution_px without crops). Here the recipe differs from the
    released code: that cuts its crops from the original image, this from a square of stored_px, so that a small crop
    of a large image is less sharp, and the image's proportions are lost before the crop's are drawn.
    crop, flip: False for sets whose labels do not survive them.
    Raises RequestError for a set without a number of steps.
    """
    row = paper_finetuning(dataset)
    if steps is None and row is not None:
        steps = row.steps
    if steps is None and train_images is not None:
        steps = hyperrule_steps(train_images)
    if steps is None:
        raise RequestError(
            f"The ViT paper names no number of fine-tuning steps for data set {dataset!r}. Give `steps`, or the "
            "number of training images, from which BiT's rule takes it."
        )
    return FinetuneRecipe(
        name="vit",
        learning_rate=learning_rate,
        steps=steps,
        batch_size=batch_size,
        warmup_steps=warmup_steps(steps),
        schedule="cosine",
        grad_clip_norm=1.0,
        stored_px=stored_px or (round(resolution_px * 448 / 384) if crop else resolution_px),
        crop="inception" if crop else "none",
        flip=flip,
    )


def bit_hyperrule(
    *,
    train_images: int,
    image_px: int,
    resolution_px: int,
    is_r152x4: bool = False,
    steps: int | None = None,
    batch_size: int = BATCH_SIZE,
    flip: bool = True,
    crop: bool = True,
) -> FinetuneRecipe:
    """BiT's HyperRule for a set of train_images images whose usual side is image_px. Nothing is swept.

    resolution_px: what the model sees; hyperrule_sizes says what the rule would take, and the stored squares keep the
    rule's proportion to it. steps: None is the rule's.
    The decays come at 30, 60 and 90 % of the steps, as the paper has it; the released code decays runs of 500 steps
    at 40, 60 and 80 %.
    """
    sizes = hyperrule_sizes(image_px, is_r152x4=is_r152x4)
    steps = steps or hyperrule_steps(train_images)
    return FinetuneRecipe(
        name="bit",
        learning_rate=BIT_LEARNING_RATE,
        steps=steps,
        batch_size=batch_size,
        warmup_steps=warmup_steps(steps),
        schedule="stairs",
        grad_clip_norm=None,
        stored_px=round(resolution_px * sizes.stored_px / sizes.resolution_px) if crop else resolution_px,
        crop="random" if crop else "none",
        flip=flip,
        mixup_alpha=0.0 if train_images < SMALL_BELOW else BIT_MIXUP_ALPHA,
    )


def hyperrule_sizes(image_px: int, *, is_r152x4: bool = False) -> Sizes:
    """The HyperRule's resolutions: by the side of the images, and one size up for its largest model."""
    if image_px < SMALL_IMAGE_PX:
        return Sizes(160, 128)
    return Sizes(512, 480) if is_r152x4 else Sizes(448, 384)


def hyperrule_steps(train_images: int) -> int:
    """The HyperRule's number of steps by size of the training set: 500, 10,000 or 20,000."""
    if train_images < SMALL_BELOW:
        return 500
    return 10_000 if train_images < MEDIUM_BELOW else 20_000


def warmup_steps(steps: int) -> int:
    """500, or a fifth of the steps where that is less: 100 of 500 as in the released code, 10 of 50."""
    return min(WARMUP_STEPS, steps // WARMUP_FRACTION)


@cache
def _rows() -> dict[str, PaperFinetuning]:
    return {
        row["dataset"]: PaperFinetuning(
            dataset=row["dataset"],
            steps=int(row["steps"]),
            learning_rates=tuple(float(rate) for rate in row["base_lr_sweep"].split(";")),
            dev_split=row["dev_split"],
            source=row["source"],
        )
        for row in read_csv("paper_finetune_hparams")
    }
