"""Making weights on a large set, to a budget of its own, for others to start from.

The ViT paper's recipe (arXiv 2010.11929v2, section 4.1 and Table 3): Adam with decoupled weight decay or SGD with
momentum, a warm-up and a linear or cosine decay to zero at the end of just this budget, dropout, clipped gradients.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from timm.optim._param_groups import param_groups_weight_decay
from torch import Tensor, nn

from bench.data.generated.randomness import Stream
from bench.errors import UnsupportedError
from bench.learn.augment import Crop
from bench.learn.pipeline import Batch
from bench.learn.resumable import LabelledSquares, ResumableTrainer, Session, TrainingImages, allowed_to_train
from bench.learn.trainer import MOMENTUM, shrink_head, steps_for_budget
from bench.measure.complexity import count_training_flops
from bench.measure.outcome import Outcome
from bench.measure.scoring.accuracy import Predictions
from bench.measure.weights import data_config
from bench.suite.cell import PretrainCell
from bench.suite.model_source import is_user_model

BETAS = (0.9, 0.999)  # section 4.1
RATE_SHARE = 0.05  # of a budget in seconds that finding this machine's pace may take, besides
NOT_DENSE = ("attn_drop", "head_drop")  # dropouts that are not after a dense layer of a block


class ImageRecipe(NamedTuple):
    """What happens to the images of a training. jitter: brightness and contrast change by up to this share."""

    crop: Crop
    flip: bool
    mixup_alpha: float
    jitter: float


# `strong`: crops of 5 to 100 % of the area as in the paper's released code, mixup as in its follow-up on
# augmentation (arXiv 2106.10270).
RECIPES: dict[str, ImageRecipe] = {
    "none": ImageRecipe("none", False, 0.0, 0.0),
    "light": ImageRecipe("shift", True, 0.0, 0.0),
    "strong": ImageRecipe("inception", True, 0.2, 0.4),
}


def pretrain(
    cell: PretrainCell,
    model: nn.Module,
    images: LabelledSquares,
    validation: LabelledSquares,
    macs: int,
    session: Session,
) -> Outcome:
    """Train `model` to the cell's budget; afterwards it holds the weights that were best on the validation part.

    images: what is trained on. validation: what evaluations score. model: freshly drawn from the cell's seed, on the
    CPU. macs: per image at the cell's resolution. Stopping, going on, several processes and what is raised are as in
    `bench.learn.finetune.finetune`.
    """
    classes = max(cell.num_classes or 0, int(images.labels.max()) + 1)  # some may have no image of their own
    with allowed_to_train(cell, session.group, classes, PretrainTrainer.word):
        set_dropout(model, cell.recipe.dropout)
        shrink_head(model, cell.seed)
        trainer = PretrainTrainer(cell, model, images, validation, macs, session)
        ratios = trainer.counted_ratios()  # before hours of training, not after them
        trainer.start()
        trainer.run(session.checkpoint_every_s, session.stop)
        model.load_state_dict(trainer.kept)
    tied = trainer.progress.tied_scores
    values = {
        **trainer.values(macs),
        **trainer.evaluation_values(),
        "validation_images": len(validation.labels),
        **({"tied_scores": tied} if tied else {}),
        **ratios,
    }
    return Outcome(values, trainer.evaluation_samples())


def set_dropout(model: nn.Module, share: float) -> None:
    """Drop a share of the outputs of every dense layer but those of queries, keys and values, and of the embeddings.

    A CNN has its one dropout before the classifier. Source: arXiv 2010.11929v2, section B.1.
    Raises UnsupportedError for a model that has no place for it.
    """
    if not share:
        return
    found = [
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.Dropout) and name.rpartition(".")[2] not in NOT_DENSE
    ]
    for module in found:
        module.p = share
    if found:
        return
    if not hasattr(model, "drop_rate"):
        raise UnsupportedError(f"{type(model).__name__} has no place for dropout. Set dropout = 0.")
    setattr(model, "drop_rate", share)  # noqa: B010 - an nn.Module's attributes have no types


class PretrainTrainer(ResumableTrainer):
    """One pretraining as it goes, with evaluations on the validation part."""

    word = "Pretraining"
    cell: PretrainCell

    def __init__(
        self,
        cell: PretrainCell,
        model: nn.Module,
        images: LabelledSquares,
        validation: LabelledSquares,
        macs: int,
        session: Session,
    ) -> None:
        config = data_config(cell.model, model, cell.resolution_px)  # as transfers will normalise their images
        crop, flip, mixup_alpha, self._jitter = RECIPES[cell.recipe.augmentation]
        trained_on = TrainingImages(
            images,
            pool=np.arange(len(images.labels)),
            crop=crop,
            flip=flip,
            mean=tuple(config["mean"]),
            std=tuple(config["std"]),
            mixup_alpha=mixup_alpha,
            label_smoothing=cell.recipe.label_smoothing,
        )
        super().__init__(cell, model, trained_on, session, steps=_steps(cell, macs), initial_sha256=None)
        self._validation, self.evaluations = validation, cell.recipe.looks

    def make_optimiser(self) -> torch.optim.Optimizer:
        recipe = self.cell.recipe
        # without decay: norms, biases and everything else of one dimension
        groups = param_groups_weight_decay(self._model, recipe.weight_decay)
        if recipe.optimizer == "sgd":
            return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=MOMENTUM)
        is_fused = self._device.type in ("cpu", "cuda")
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=BETAS, fused=is_fused)

    def changed_images(self, batch: Batch) -> Tensor:
        images, jitter = batch.images, self._jitter
        if not jitter:
            return images
        stream = Stream("jitter", self.cell.seed, batch.step)
        drawn = stream.uniform(self.batch_size, 2, low=1 - jitter, high=1 + jitter)
        contrast, brightness = drawn[batch.first : batch.first + len(images)].T
        scale, rest = (
            torch.from_numpy(np.ascontiguousarray(part)).to(images.device)[:, None, None, None]
            for part in (contrast * brightness, (1 - contrast) * brightness)
        )
        # ((x - grey) contrast + grey) brightness, in one pass over the images
        return torch.addcmul(images.mean(dim=(1, 2, 3), keepdim=True) * rest, images, scale)

    def validation_predictions(self) -> Predictions:
        return self.predictions(self._validation)

    def steps_here(self) -> int:
        budget = self.cell.budget
        if budget.unit != "device_s":
            return self.steps
        return max(1, round(budget.amount * self.step_rate(RATE_SHARE * budget.amount) / self.batch_size))

    def counted_ratios(self) -> dict[str, float]:
        """What torch counts of a forward and a backward pass over 3 x FLOPs; nothing, with a note, where it cannot."""
        cell = self.cell
        if is_user_model(cell.model):
            self.note("Training FLOPs were not counted beside 3 x FLOPs: the model is a function of the user's own.")
            return {}
        try:
            counted = count_training_flops(cell.model, cell.resolution_px, cell.num_classes)
        except (RuntimeError, NotImplementedError, ValueError, TypeError) as error:  # other people's code, on meta
            self.note(f"Training FLOPs could not be counted beside 3 x FLOPs: {str(error).splitlines()[0][:160]}")
            return {}
        return {"train_flop_ratio": counted.ratio, "step_flop_ratio": counted.step_ratio}


def _steps(cell: PretrainCell, macs: int) -> int:
    """Optimiser steps that the budget pays for, at least one; 1 for a budget in seconds, whose steps come later."""
    match cell.budget.unit:
        case "gflop":
            return steps_for_budget(cell.budget.amount, macs, cell.recipe.batch_size)
        case "images":
            return max(1, round(cell.budget.amount / cell.recipe.batch_size))
        case "device_s":
            return 1
