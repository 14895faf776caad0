"""Accuracy of one model on one data set: one shape for all protocols. `pooling` makes them from records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from bench.analyse.accuracies.subjects import RunKey, Subject, pretraining_of
from bench.analyse.stats.intervals import Interval, SeedGroup, accuracy_interval
from bench.catalog.identity import ModelIdentity

Protocol = Literal["trained", "fine-tuned", "evaluated", "few-shot"]
PROTOCOLS: tuple[Protocol, ...] = ("trained", "fine-tuned", "evaluated", "few-shot")
UNKNOWN = "unknown"
ENOUGH_PP = 3.0  # above logistic regression on pixels; below it a model is not trained enough
FEW_EPOCHS = 10.0  # below it a training has to have stood still
FIXED, LEAVE_ONE_OUT = "fixed", "loo"  # rules for lambda of few-shot fits


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Top-1 of one model on one data set: the runs that were pooled. What only one protocol knows is in its own class.

    group: the accuracy of each run, and per-image predictions where they were kept. seeds: of the same runs; draws of
    the support images for few-shot, 0 for a checkpoint that was evaluated.
    """

    protocol: Protocol
    subject: Subject
    identity: ModelIdentity
    dataset: str
    group: SeedGroup
    seeds: tuple[int, ...]
    cell_ids: tuple[str, ...]
    fingerprint: str = ""  # of the data set
    params: float | None = None
    macs: float | None = None
    train_images: float | None = None  # of the training or fine-tuning
    notes: tuple[str, ...] = ()
    suite: str = ""  # where accuracies of several suites are put together

    @property
    def key(self) -> RunKey:
        """Model, resolution and setting."""
        return self.subject.key

    @property
    def model(self) -> str:
        """The name under which its records are stored."""
        return self.identity.name

    @cached_property
    def interval(self) -> Interval:
        """Over seeds and test images."""
        return accuracy_interval(self.group)

    @property
    def is_from_scratch(self) -> bool:
        """Whether nothing was pretrained."""
        return self.subject.is_from_scratch

    @property
    def images(self) -> tuple[str, ...]:
        """What says that two were scored on the same test images."""
        return self.fingerprint, str(self.group.test_images)

    @property
    def stratum(self) -> dict[str, str]:
        """What must be equal for two of them to stand in one sentence, by name."""
        return {
            "resolution": f"{self.key.resolution_px} px",
            "precision": self.key.precision,
            "device": self.key.device,
            "pre-training data": pretraining_of(self.subject) or UNKNOWN,
        }

    @property
    def told(self) -> dict[str, str]:
        """What a sentence on two of them says where it differs, by name."""
        return {}

    @property
    def regime(self) -> tuple[int | None, float | None]:
        """Training images and budget (in the unit of its cell) of this suite's own training or pretraining."""
        return None, None


@dataclass(frozen=True, kw_only=True)
class PixelBaseline:
    """Logistic regression on the pixels of so many training images of a set: what no training should be below."""

    dataset: str
    train_images: int
    resolution_px: int
    num_classes: int
    group: SeedGroup
    cell_ids: tuple[str, ...]

    @cached_property
    def interval(self) -> Interval:
        """Over seeds and test images."""
        return accuracy_interval(self.group)

    @property
    def macs(self) -> int:
        """Multiply-adds of one image: a weight for each pixel, colour and class."""
        return 3 * self.resolution_px**2 * self.num_classes

    @property
    def params(self) -> int:
        return self.macs + self.num_classes


@dataclass(frozen=True, kw_only=True)
class Trained(Accuracy):
    """Trained from scratch on so many images with so much compute.

    last_gain_pp: of the last look at validation over the one before, mean over seeds; None with a single look.
    look_noise_pp: the standard error of one look. pixels: on as many images of the set; None where it was not run.
    """

    protocol: Protocol = "trained"
    train_images: int
    budget_gflop: float
    budget_rank: int  # 0: the largest budget of its size class on this set and size
    learning_rate: float
    batch_size: int
    train_flop: float
    train_img_per_s: float
    params: float
    macs: float
    kind: tuple[str, str, str]  # model definition, data fingerprint, classes: never pooled over
    macs_note: str  # why the MACs, on which the budget rests, are not certified
    augmentation: str = ""
    validation_pct: float | None = None  # mean over seeds, each its best look
    epochs: float
    last_gain_pp: float | None
    look_noise_pp: float
    pixels: PixelBaseline | None

    @property
    def is_below_pixels(self) -> bool:
        """Whether logistic regression on pixels is known to be better."""
        return self.pixels is not None and self.group.mean_pct < self.pixels.group.mean_pct

    @property
    def is_not_trained_enough(self) -> bool:
        """Whether it is not at least ENOUGH_PP points above logistic regression on pixels, where that was run."""
        return self.pixels is not None and self.group.mean_pct < self.pixels.group.mean_pct + ENOUGH_PP

    @property
    def is_early(self) -> bool:
        """Whether it ended within a few epochs, before its validation accuracy was seen to stand still."""
        return self.epochs < FEW_EPOCHS and (self.last_gain_pp is None or self.last_gain_pp > self.look_noise_pp)

    @property
    def images(self) -> tuple[str, ...]:
        return *self.kind[1:], str(self.group.test_images)

    @property
    def stratum(self) -> dict[str, str]:
        return super().stratum | {"training images": f"{self.train_images}"}

    @property
    def told(self) -> dict[str, str]:
        return {"training compute": f"{self.budget_gflop:.10g} GFLOP{uncertified_words(self.macs_note)}"}

    @property
    def regime(self) -> tuple[int | None, float | None]:
        return self.train_images, self.budget_gflop


def uncertified_words(macs_note: str) -> str:
    """What follows a compute that rests on MACs without a certificate."""
    return " (of MACs not certified)" if macs_note else ""


@dataclass(frozen=True, kw_only=True)
class Evaluated(Accuracy):
    """Pretrained weights with their own head: one checkpoint, so intervals are over test images."""

    protocol: Protocol = "evaluated"
    top1: Interval
    top5_pct: float | None
    mean_per_class_pct: float | None
    real: Interval | None
    published_pct: float | None
    published_source: str
    delta_pp: float | None
    self_check: str  # ok, differs or no reference
    self_check_note: str
    preprocessing: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class FewShot(Accuracy):
    """Frozen features with k images a class: a run for each draw of the support images."""

    protocol: Protocol = "few-shot"
    shots: int
    rule: str  # fixed or loo
    layer: str
    feature_width: int | None
    overlap: bool  # the weights have seen images or classes of this set
    overlap_note: str
    fixed_l2: float | None
    short: str  # which of the set's classes have fewer images than shots, in words; empty where none has

    @property
    def stratum(self) -> dict[str, str]:
        return super().stratum | {"few-shot rule": rule_words(self.shots, self.rule, self.short)}

    @property
    def told(self) -> dict[str, str]:
        return {"overlap": "the weights have seen this set" if self.overlap else "none known"}


def rule_words(shots: int, rule: str, short: str = "") -> str:
    """short: that some classes have fewer images."""
    has_fewer = f" ({short})" if short else ""
    return f"{shots} shots{has_fewer}, lambda {'by leave-one-out' if rule == LEAVE_ONE_OUT else rule}"


@dataclass(frozen=True, kw_only=True)
class FineTuned(Accuracy):
    """Weights adapted to the data set by the recipe that validation chose."""

    protocol: Protocol = "fine-tuned"
    recipe_name: str
    learning_rate: float
    batch_size: int
    steps: float
    validation_pct: float | None  # mean of this recipe's trials; None without trials
    trials: int  # recipes that were tried on validation
    recipes_tested: int  # recipes whose test score exists; more than one only where something went wrong
    top5_pct: float | None
    mean_per_class_pct: float | None
    train_images: float
    train_flop: float | None
    train_img_per_s: float | None
    pipeline_img_per_s: float | None
    model_img_per_s: float | None
    wait_share: float | None
    resumed: int  # times that any of the runs was continued from a checkpoint
    processes: tuple[int, ...]
    micro_batch_sizes: tuple[int, ...]

    @property
    def stratum(self) -> dict[str, str]:
        return super().stratum | {"training images": f"{self.train_images:.0f}"}

    @property
    def told(self) -> dict[str, str]:
        return {"images seen in fine-tuning": f"{self.steps * self.batch_size:.0f}"}
