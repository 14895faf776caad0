"""Cells: one model under one set of conditions for one protocol. Pure data; nothing here runs anything.

A cell holds everything that can change its number and nothing else, so that its id is the same
wherever and whenever the same question is asked.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, TypeAdapter, model_serializer

Device = Literal["cpu", "cuda", "mps"]
Precision = Literal["fp32", "tf32", "fp16", "bf16"]
MemoryFormat = Literal["contiguous", "channels_last"]
SpeedMetric = Literal["throughput", "latency"]
TrainAugmentation = Literal["none", "shift", "flip", "shift and flip"]


class Frozen(BaseModel):
    """Base of everything that is parsed once and never changed.

    later_fields: added after records were committed. They are left out of the JSON where they have their default, so
    that the ids of those records' cells stay what they were.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    later_fields: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = serialise(self)
        fields = type(self).model_fields
        dropped = {name for name in self.later_fields if getattr(self, name) == fields[name].default}
        return {name: value for name, value in data.items() if name not in dropped}


class Settings(Frozen):
    """How a model is run, apart from which device it is run on.

    fold: BatchNorm folded into the convolution before it, standardised weights computed once; for inference only.
    """

    later_fields = ("fold",)

    precision: Precision = "fp32"
    memory_format: MemoryFormat = "contiguous"
    compile: bool = False
    fold: bool = False

    @property
    def words(self) -> str:
        """For a person: `bf16, channels_last, compiled, folded`."""
        words = [self.precision, self.memory_format, "compiled" if self.compile else "eager"]
        return ", ".join([*words, "folded"] if self.fold else words)


class Recipe(Frozen):
    """How a model is trained: everything but the model, the data, the seed and the compute budget.

    learning_rate is the peak, reached after `warmup_fraction` of the steps and decayed by `schedule` to zero
    at the last one. batch_size is in images. augmentation `shift` moves each training image by up to
    `resolution / 16` pixels either way, edges repeated, `flip` mirrors half of them; it is the same for every model.
    head_init `small` draws every classifier from a normal distribution of spread 0.02; `own` leaves the model's.
    """

    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    batch_size: int = Field(default=64, gt=0)
    warmup_fraction: float = Field(default=0.1, ge=0, lt=1)
    schedule: Literal["cosine", "linear"] = "cosine"
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    grad_clip_norm: float | None = Field(default=1.0, gt=0)
    augmentation: TrainAugmentation = "none"
    head_init: Literal["small", "own"] = "small"
    validations: int = Field(default=6, ge=1)  # looks at the validation part; the best one's weights are scored


class FinetuneRecipe(Frozen):
    """How pretrained weights are adapted: everything but model, weights, data, seed and resolution.

    name: `vit` is the ViT paper's recipe, `bit` BiT's HyperRule. learning_rate: the peak, after warmup_steps.
    schedule: `cosine` to zero, or `stairs`: a tenth each time at 30, 60 and 90 % of the steps. batch_size: images
    per optimiser step, whatever number fits into memory at once. stored_px: images are kept as squares of this side,
    and crops are cut from them. crop: `inception` (5 to 100 % of the area, aspect 3/4 to 4/3), `random` (a square of
    the model's resolution) or `none`. mixup_alpha: 0 for none. The head starts at zero, the momentum is 0.9.
    """

    name: Literal["vit", "bit"] = "vit"
    learning_rate: float = Field(gt=0)
    steps: int = Field(gt=0)
    batch_size: int = Field(default=512, gt=0)
    warmup_steps: int = Field(default=500, ge=0)
    schedule: Literal["cosine", "stairs"] = "cosine"
    weight_decay: float = Field(default=0.0, ge=0)
    grad_clip_norm: float | None = Field(default=1.0, gt=0)
    stored_px: int = Field(gt=0)
    crop: Literal["inception", "random", "none"] = "inception"
    flip: bool = True
    mixup_alpha: float = Field(default=0.0, ge=0)


class Budget(Frozen):
    """How long a pretraining goes on; its schedule decays to the end of just that.

    unit: `gflop` is training compute (3 x FLOPs x images seen, in 1e9 FLOPs), `images` is images seen, `device_s` is
    seconds of optimiser steps at the rate that is measured before the first one, which no two runs share.
    """

    unit: Literal["gflop", "images", "device_s"]
    amount: float = Field(gt=0, allow_inf_nan=False)


class PretrainRecipe(Frozen):
    """How weights are made on a large set before any transfer: everything but model, data, seed and budget.

    optimizer: `adamw` is the ViT paper's Adam (0.9, 0.999) with decoupled weight decay, `sgd` has a momentum of 0.9.
    learning_rate is the peak, reached after `warmup_fraction` of the steps and decayed by `schedule` to zero at the
    last one. batch_size: images per optimiser step, whatever number fits into memory at once. dropout: after every
    dense layer but those of queries, keys and values, and after the position embeddings. augmentation: see
    bench.learn.augment. looks: at the validation part; the weights of the best one are kept.
    """

    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(default=0.1, ge=0)
    batch_size: int = Field(default=4096, gt=0)
    warmup_fraction: float = Field(default=0.05, ge=0, lt=1)
    schedule: Literal["cosine", "linear"] = "linear"
    dropout: float = Field(default=0.0, ge=0, lt=1)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    grad_clip_norm: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    augmentation: Literal["none", "light", "strong"] = "light"
    looks: int = Field(default=1, ge=1)


class _Identified(Frozen):
    @property
    def cell_id(self) -> str:
        """First 16 hexadecimal digits of SHA-256 over the canonical JSON of the cell."""
        return cell_id_of(self.model_dump(mode="json"))


class _Cell(_Identified):
    """metric_version: raised when a change to the code moves the task's values: old records no longer count then."""

    metric_version: int = 1
    model: str
    definition: str | None = None  # what the name stands for where timm does not say it: arguments, or a file's hash
    num_classes: int | None = None  # None: the model's own head
    resolution_px: int


class ComplexityCell(_Cell):
    """Parameters, MACs and activations of one model at one resolution. No device: nothing is computed."""

    task: Literal["complexity"] = "complexity"


class TrainCell(_Cell):
    """One training from scratch to one compute budget, scored once on `scored_part`."""

    task: Literal["train"] = "train"
    dataset: str
    fingerprint: str
    train_images: int  # a class-balanced subset, redrawn by the seed
    seed: int
    budget_gflop: float  # training compute: 3 x FLOPs x images seen, in 1e9 FLOPs
    recipe: Recipe
    scored_part: Literal["test", "validation"]
    device: Device
    settings: Settings


class SpeedCell(_Cell):
    """Throughput and latency of one model in one fresh process.

    role: `fixed` under the settings that the suite states for all; `trial` a short look at other settings; `best`
    under those that the trials chose, which measures them anew. limit_s: of warming up and timing together; with it
    slow models give fewer samples, and a metric that does not fit is absent.
    """

    later_fields = ("role", "limit_s")

    metric_version: int = 2  # 2: freed memory is kept
    task: Literal["speed"] = "speed"
    batch_size: int
    metrics: tuple[SpeedMetric, ...]
    repeat: int  # the process pair index: intervals are over repeats
    device: Device
    settings: Settings
    role: Literal["fixed", "trial", "best"] = "fixed"
    limit_s: float | None = None


class MemoryCell(_Cell):
    """Peak memory of one inference at one batch size, in a fresh process and a pass of its own."""

    task: Literal["memory"] = "memory"
    batch_size: int
    device: Device
    settings: Settings


class TrainingStepCell(_Cell):
    """Images per second of one optimiser step (forward, backward, SGD with momentum) in one fresh process."""

    metric_version: int = 2  # 2: freed memory is kept
    task: Literal["training_step"] = "training_step"
    batch_size: int
    repeat: int  # as in SpeedCell
    device: Device
    settings: Settings


class TrainingMemoryCell(_Cell):
    """Peak memory of one optimiser step at one batch size, in a fresh process and a pass of its own."""

    task: Literal["training_memory"] = "training_memory"
    batch_size: int
    device: Device
    settings: Settings


class LargestBatchCell(_Cell):
    """The largest batch of one inference that fits, every try in a fresh process; no batch above `cap` is tried.

    memory_limit_mib: what one process may grow by on a CPU; None where the device's own memory is the limit.
    """

    task: Literal["largest_batch"] = "largest_batch"
    cap: int
    memory_limit_mib: int | None
    device: Device
    settings: Settings


class PreflightCell(_Identified):
    """A look at every image of a user's own data set: what is broken, odd, doubled or missing."""

    task: Literal["preflight"] = "preflight"
    metric_version: int = 1
    dataset: str
    fingerprint: str


class EvaluateCell(_Cell):
    """Pretrained weights with their own head, scored on the test part with their own preprocessing.

    weights: `public` (those of the timm tag) or `sha256 <16 digits>` of a safetensors file.
    fingerprint: of the test part.
    """

    task: Literal["evaluate"] = "evaluate"
    weights: str
    dataset: str
    fingerprint: str
    device: Device
    settings: Settings


class FewshotCell(_Cell):
    """Frozen features, a ridge regression on k images a class for every k and draw, scored on the test part.

    resized_px: side of the square that images are resized to before the centre crop to resolution_px.
    fingerprint: of all parts.
    """

    task: Literal["fewshot"] = "fewshot"
    weights: str
    dataset: str
    fingerprint: str
    shots: tuple[int, ...]
    draws: int
    l2: float
    resized_px: int
    device: Device
    settings: Settings


class FinetuneCell(_Cell):
    """Pretrained weights adapted to a data set, scored once on `scored_part`.

    A trial of a sweep trains on `train` and is scored on `validation`; the final run trains on both and is scored on
    `test`. weights: as in EvaluateCell, or `random` for the same recipe from scratch. fingerprint: of all parts.
    """

    later_fields = ("train_images",)

    task: Literal["finetune"] = "finetune"
    weights: str
    dataset: str
    fingerprint: str
    train_images: int | None = None  # a class-balanced subset, redrawn by the seed; None: all
    seed: int
    recipe: FinetuneRecipe
    scored_part: Literal["test", "validation"]
    device: Device
    settings: Settings


class PretrainCell(_Cell):
    """One pretraining to one budget on the first `train_images` images of a set, from freshly drawn weights.

    dataset: of the catalog, the user's own, or a generated corpus (`fractals-1000`: 1,000 classes of it), whose images
    are made at resolution_px. fingerprint: of all parts; of a corpus, which has no end, of its beginning.
    """

    task: Literal["pretrain"] = "pretrain"
    dataset: str
    fingerprint: str
    train_images: int
    seed: int
    budget: Budget
    recipe: PretrainRecipe
    device: Device
    settings: Settings


class PixelsCell(_Identified):
    """Logistic regression on the pixels of one data set: what a training or a transfer has to be better than.

    train_images: a class-balanced subset of train and validation, redrawn by the seed; None: all.
    """

    task: Literal["pixels"] = "pixels"
    metric_version: int = 1
    dataset: str
    fingerprint: str
    resolution_px: int
    num_classes: int
    train_images: int | None = None
    seed: int


Cell = (
    ComplexityCell
    | TrainCell
    | SpeedCell
    | MemoryCell
    | TrainingStepCell
    | TrainingMemoryCell
    | LargestBatchCell
    | PreflightCell
    | EvaluateCell
    | FewshotCell
    | FinetuneCell
    | PretrainCell
    | PixelsCell
)
TimingCell = SpeedCell | MemoryCell | TrainingStepCell | TrainingMemoryCell | LargestBatchCell  # alone on the machine
_ADAPTER: TypeAdapter[Cell] = TypeAdapter(Annotated[Cell, Field(discriminator="task")])


def parse_cell(data: dict[str, Any]) -> Cell:
    """The cell that a stored or transmitted JSON object describes. Raises pydantic.ValidationError."""
    return _ADAPTER.validate_python(data)


def cell_id_of(cell: dict[str, Any]) -> str:
    """First 16 hexadecimal digits of SHA-256 over canonical JSON: sorted keys, no spaces, ASCII."""
    canonical = json.dumps(cell, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
