"""A suite file (TOML) becomes frozen models here; unknown keys and bad values stop here, with file, key and line."""

from __future__ import annotations

import json
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bench.errors import SuiteFileError, UnknownNameError
from bench.suite.cell import (
    Budget,
    Frozen,
    Precision,
    PretrainRecipe,
    Recipe,
    Settings,
    SpeedMetric,
    TrainAugmentation,
)
from bench.suite.faults import explain_faults
from bench.units import EXA, GIGA

Names = Annotated[tuple[str, ...], Field(min_length=1)]
# Data sets; of several in the place of one, `[["fashion_mnist", "shapes"]]`, the first that is on the machine.
Sets = Annotated[tuple[str | Annotated[tuple[str, ...], Field(min_length=2)], ...], Field(min_length=1)]
Positive = Annotated[int, Field(gt=0)]
PositiveNumber = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seeds = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
# The timm tag's; freshly drawn; a safetensors file (`{model}` stands for the model's name); those that this suite's
# own training of the model on a data set ended with; or those of its pretrainings: of all, of all with most images of
# their set, or of those on so many images of one set.
Weights = Annotated[
    str, Field(pattern=r"^(public|random|file:.+|trained:\w+|pretrained|pretrained:full|pretrained:[\w-]+:\d+)$")
]
Words = Annotated[str, Field(pattern=r"^\S(.{0,98}\S)?$")]
# When a block is planned: in every run without an option, or by `vitbench run SUITE --OPTION`, which then plans nothing
# else. See bench.suite.requested.
Request = Literal["by default", "with --counts", "with --check-estimates"]


def _states_files_alone(block: Any) -> Any:
    # `pretraining`: what `file:` weights saw before, in their owner's words; names of bench.catalog.tags join a stratum
    if block.pretraining is not None and not any(word.startswith("file:") for word in block.weights):
        raise ValueError("pretraining is of `file:` weights, and the block has none.")
    return block


class ComplexityBlock(Frozen):
    """Count parameters, MACs and activations of models, at their own resolution or at the given ones.

    resolution_px: `published` is every size at which an accuracy of the model is in `public_results.csv`.
    """

    models: Names
    resolution_px: Annotated[tuple[Positive, ...], Field(min_length=1)] | Literal["native", "published"] = "native"
    num_classes: Positive | None = None
    planned: Request = "by default"


class Sweep(Frozen):
    """A search for the learning rate: a geometric grid, and `extra_trials` next to the best. See bench.suite.sweeps."""

    learning_rates: Annotated[tuple[PositiveNumber, ...], Field(min_length=2)]
    extra_trials: Annotated[int, Field(ge=0)] = 0


class RecipeSweep(Sweep):
    """A sweep that goes on, at the learning rate found, with weight decays by the same rule."""

    weight_decays: Annotated[tuple[PositiveNumber, ...], Field(min_length=2)] | tuple[()] = ()


class TrainBlock(Frozen):
    """Train every model on every data set, at every subset size, to every compute budget, for every seed.

    learning_rate: `tuned` is that of suite `tune` at the nearest budget there, with its weight decay where one was
    swept; `swept` that of the model's first sweep in this suite's pretraining, with its recipe, at the nearest budget.
    augmentation, batch_size: instead of the suite's recipe.
    """

    models: Names
    datasets: Sets
    train_images: Annotated[tuple[Positive | Literal["all"], ...], Field(min_length=1)] = ("all",)
    budgets_gflop: Annotated[tuple[PositiveNumber, ...], Field(min_length=1)]
    seeds: Seeds
    scored_part: Literal["test", "validation"] = "test"
    learning_rate: PositiveNumber | Literal["tuned", "swept"] | RecipeSweep = "tuned"
    augmentation: TrainAugmentation | None = None
    batch_size: Positive | None = None
    resolution_px: Positive | None = None  # None: that of an embedded set, 32 px for other images

    def recipe(self, defaults: RecipeDefaults, learning_rate: float, weight_decay: float | None = None) -> Recipe:
        """The suite's recipe at that learning rate and weight decay, with what this block says otherwise."""
        own = {"augmentation": self.augmentation, "batch_size": self.batch_size}
        return defaults.at(learning_rate, weight_decay=weight_decay, **own)


class EvaluateBlock(Frozen):
    """Score pretrained weights with their own head and preprocessing on the test part of data sets.

    planned: `with --data` only where that option says where the images of all of them are.
    """

    models: Names
    datasets: Names = ("imagenet",)
    weights: Annotated[tuple[Weights, ...], Field(min_length=1)] = ("public",)
    pretraining: Words | None = None
    resolution_px: Annotated[tuple[Positive, ...], Field(min_length=1)] | Literal["native"] = "native"
    planned: Literal["by default", "with --data"] = "by default"
    _check = model_validator(mode="after")(_states_files_alone)


class FewshotBlock(Frozen):
    """Fit a ridge regression to frozen features of a few images a class, for every number of shots and draw."""

    models: Names
    datasets: Names
    weights: Annotated[tuple[Weights, ...], Field(min_length=1)] = ("public",)
    pretraining: Words | None = None
    shots: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1, 5, 10, 25)
    draws: Positive = 3
    l2: PositiveNumber = 1024.0  # 2**10, as the authors' later code
    resolution_px: Positive | None = None  # None: 224, images resized to 256
    _check = model_validator(mode="after")(_states_files_alone)


class FinetuneBlock(Frozen):
    """Adapt weights to data sets: a sweep on a held-out part, then a final run for every seed on all of it.

    learning_rates, steps: `paper` takes the data set's row of the ViT paper's Table 4. With one learning rate and one
    recipe there is nothing to choose and no trial. A grid of numbers grows like that of a Sweep; the paper's does not.
    BiT models also try BiT's HyperRule, unless `hyperrule` is false. train_images: of train and validation together,
    drawn anew by each seed. crop, flip: false keeps images as they are, true what the labels of the set allow. Weights
    of this suite's pretrainings keep their own seed, and are swept like these, at the smallest and the largest budget.
    """

    models: Names
    datasets: Names
    weights: Annotated[tuple[Weights, ...], Field(min_length=1)] = ("public",)
    pretraining: Words | None = None
    seeds: Seeds = (0, 1, 2)
    learning_rates: Annotated[tuple[PositiveNumber, ...], Field(min_length=1)] | Literal["paper"] = "paper"
    steps: Positive | Literal["paper"] = "paper"
    batch_size: Positive = 512
    resolution_px: Positive = 384
    hyperrule: bool = True
    train_images: Positive | None = None
    crop: bool = True
    flip: bool = True
    _check = model_validator(mode="after")(_states_files_alone)


class PretrainBlock(Frozen):
    """Pretrain every model on every data set, with every number of images, to every budget, for every seed.

    budgets_gflop, budgets_exaflop: training compute; budgets_images: images seen; budgets_device_s: seconds of steps.
    One of the four kinds. learning_rate: a number; a sweep, held with the most images at the smallest and the largest
    budget, the nearer of which counts in between; or `swept`: what another block's sweep of the model on the set found.
    The rest replaces the suite's `[pretraining]` where it is given.
    """

    models: Names
    datasets: Names
    train_images: Annotated[tuple[Positive | Literal["all"], ...], Field(min_length=1)] = ("all",)
    budgets_gflop: tuple[PositiveNumber, ...] = ()
    budgets_exaflop: tuple[PositiveNumber, ...] = ()
    budgets_images: tuple[Positive, ...] = ()
    budgets_device_s: tuple[PositiveNumber, ...] = ()
    seeds: Seeds = (0, 1, 2)
    learning_rate: PositiveNumber | Literal["swept"] | Sweep
    resolution_px: Positive = 224
    looks: Positive | None = None
    weight_decay: Annotated[float, Field(ge=0)] | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    schedule: Literal["cosine", "linear"] | None = None
    grad_clip_norm: PositiveNumber | None = None
    augmentation: Literal["none", "light", "strong"] | None = None

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """The budgets in the one unit that they are given in; exaFLOPs as GFLOP."""
        gflop = (*self.budgets_gflop, *(exaflop * EXA / GIGA for exaflop in self.budgets_exaflop))
        return (
            *(Budget(unit="gflop", amount=amount) for amount in gflop),
            *(Budget(unit="images", amount=amount) for amount in self.budgets_images),
            *(Budget(unit="device_s", amount=amount) for amount in self.budgets_device_s),
        )

    def recipe(self, defaults: PretrainingDefaults, learning_rate: float) -> PretrainRecipe:
        """The suite's recipe at that learning rate, with what this block says otherwise."""
        own = {name: getattr(self, name) for name in _OWN_RECIPE if getattr(self, name) is not None}
        return PretrainRecipe(learning_rate=learning_rate, **(defaults.model_dump() | own))

    @model_validator(mode="after")
    def _has_one_kind_of_budget(self) -> PretrainBlock:
        kinds = [self.budgets_gflop, self.budgets_exaflop, self.budgets_images, self.budgets_device_s]
        if sum(bool(kind) for kind in kinds) != 1:
            raise ValueError(
                "needs budgets of one kind: budgets_gflop, budgets_exaflop, budgets_images or budgets_device_s."
            )
        return self


_OWN_RECIPE = ("looks", "weight_decay", "dropout", "schedule", "grad_clip_norm", "augmentation")


class PixelsBlock(Frozen):
    """Logistic regression on the pixels of data sets, the control of a study of transfer.

    Sets that a suite trains on have one without a block, on as many images; a block replaces it.
    """

    datasets: Names
    resolution_px: Positive = 32
    train_images: Positive | None = None  # as in FinetuneBlock
    seeds: Seeds = (0, 1, 2)


BlockMetric = SpeedMetric | Literal["peak_memory", "largest_batch", "training_throughput", "training_peak_memory"]


class SpeedBlock(Frozen):
    """Time every model in `processes` fresh processes, in an order drawn at random for each round.

    batch_sizes: `"largest"` is the largest batch that fits, once it is known; it is for throughput alone.
    memory_limit_mib: the budget of the largest batch on a CPU; on a GPU the limit is the device's memory.
    largest_batch_cap: no larger batch is tried. settings: `fixed` times the suite's; `best` also looks for each
    model's fastest at each batch size that is a number, and times both. trial_precisions: those that may win, as far
    as the device has them; fp16 is not among them by default, because its range is not that of the others.
    limit_s: of each process, for throughput and latency alone; see SpeedCell. gpu_batch_sizes: instead of batch_sizes
    on a GPU; throughput is timed at the first that fits into memory and the limit.
    """

    models: Names
    metrics: Annotated[tuple[BlockMetric, ...], Field(min_length=1)]
    batch_sizes: Annotated[tuple[Positive | Literal["largest"], ...], Field(min_length=1)] = (64,)
    resolution_px: Annotated[tuple[Positive, ...], Field(min_length=1)] | Literal["native"] = "native"
    num_classes: Positive | None = None
    processes: Annotated[int, Field(ge=1)] = 5
    memory_limit_mib: Positive | None = None
    largest_batch_cap: Positive = 4096
    settings: Literal["fixed", "best"] = "fixed"
    trial_precisions: Annotated[tuple[Precision, ...], Field(min_length=1)] = ("fp32", "tf32", "bf16")
    limit_s: PositiveNumber | None = None
    gpu_batch_sizes: tuple[Positive, ...] = ()
    planned: Request = "by default"

    @property
    def fixed_batches(self) -> tuple[int, ...]:
        """The batch sizes that are known before anything runs."""
        return tuple(batch for batch in self.batch_sizes if batch != "largest")

    @property
    def seeks_largest_batch(self) -> bool:
        """Whether the largest batch is wanted, for itself or to be timed."""
        return "largest_batch" in self.metrics or "largest" in self.batch_sizes

    @model_validator(mode="after")
    def _has_something_to_choose_by(self) -> SpeedBlock:
        if self.settings == "best" and ("throughput" not in self.metrics or not self.fixed_batches):
            raise ValueError('settings = "best" chooses by throughput: metrics and batch_sizes must name some.')
        return self

    @model_validator(mode="after")
    def _limits_what_it_can(self) -> SpeedBlock:
        is_plain = self.settings == "fixed" and set(self.metrics) <= {"throughput", "latency"}
        if not is_plain and (self.limit_s is not None or self.gpu_batch_sizes):
            raise ValueError("limit_s and gpu_batch_sizes are for throughput and latency, with fixed settings.")
        if self.gpu_batch_sizes and self.limit_s is None:
            raise ValueError("gpu_batch_sizes need limit_s: without it a batch that does not fit ends the process.")
        return self

    @model_validator(mode="after")
    def _has_budget(self) -> SpeedBlock:
        if self.seeks_largest_batch and self.memory_limit_mib is None:
            raise ValueError(
                "the largest batch needs memory_limit_mib, the memory in MiB that one process may grow by on a CPU."
            )
        return self


def _refuse(_: object) -> None:
    raise PydanticCustomError("extra_forbidden", "Extra inputs are not permitted")


class RecipeDefaults(Recipe):
    """The recipe of a suite without its learning rate, which each train block says."""

    learning_rate: None = Field(default=None, exclude=True)  # type: ignore[assignment]
    _no_rate = field_validator("learning_rate", mode="before")(_refuse)

    def at(self, learning_rate: float, **others: Any) -> Recipe:
        """The whole recipe; `others` replace the suite's own unless they are None."""
        given = {name: value for name, value in others.items() if value is not None}
        return Recipe(learning_rate=learning_rate, **(self.model_dump() | given))


class PretrainingDefaults(PretrainRecipe):
    """The recipe of a suite's pretrainings without its learning rate; see PretrainRecipe."""

    learning_rate: None = Field(default=None, exclude=True)  # type: ignore[assignment]
    _no_rate = field_validator("learning_rate", mode="before")(_refuse)


class Suite(Frozen):
    """What is asked: models x data sets x protocol x measurements x conditions, and the question they answer."""

    name: str
    question: str
    settings: Settings = Settings()
    recipe: RecipeDefaults = RecipeDefaults()
    pretraining: PretrainingDefaults = PretrainingDefaults()
    complexity: tuple[ComplexityBlock, ...] = ()
    train: tuple[TrainBlock, ...] = ()
    speed: tuple[SpeedBlock, ...] = ()
    evaluate: tuple[EvaluateBlock, ...] = ()
    fewshot: tuple[FewshotBlock, ...] = ()
    finetune: tuple[FinetuneBlock, ...] = ()
    pretrain: tuple[PretrainBlock, ...] = ()
    pixels: tuple[PixelsBlock, ...] = ()

    @property
    def blocks(self) -> tuple[Frozen, ...]:
        """Everything that the suite asks for."""
        return (*self.complexity, *self.train, *self.pretrain, *self.speed, *self.from_weights, *self.pixels)

    @property
    def from_weights(self) -> tuple[EvaluateBlock | FewshotBlock | FinetuneBlock, ...]:
        """The blocks whose models start from weights."""
        return (*self.evaluate, *self.fewshot, *self.finetune)

    @property
    def starts_from_own_trainings(self) -> bool:
        """Whether some cells start from weights that other cells of this suite end with."""
        words = [word for block in self.from_weights for word in block.weights]
        return any(word.startswith(("trained:", "pretrained")) for word in words)


def suite_place(name_or_path: str) -> Path:
    """The folder that relative paths in a suite start from: its file's; the current one for a suite that ships."""
    return Path(name_or_path).parent if name_or_path.endswith(".toml") else Path()


def builtin_suites() -> dict[str, Path]:
    """Suite name -> file, for the suites that ship with the package."""
    return {path.stem: path for path in sorted(Path(str(resources.files("bench.suite") / "builtin")).glob("*.toml"))}


def load_suite(name_or_path: str) -> Suite:
    """The suite of that name, or of that TOML file when the argument ends in `.toml`.

    Raises UnknownNameError for a name that does not ship, SuiteFileError for a file that is not a suite.
    """
    if not name_or_path.endswith(".toml"):
        if (path := builtin_suites().get(name_or_path)) is None:
            raise UnknownNameError("suite", name_or_path, builtin_suites())
        return parse_suite(path.read_text(encoding="utf-8"), path)
    path = Path(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SuiteFileError(f"Suite file {name_or_path!r} does not exist.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteFileError(f"Suite file {name_or_path!r} cannot be read: {error}") from None
    return parse_suite(text, path)


def parse_suite(text: str, path: Path) -> Suite:
    """The suite that this TOML text describes; its name is the file's stem unless the text gives one."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SuiteFileError(f"Suite file '{path.name}' is not TOML: {error}") from None
    data.setdefault("name", path.stem)
    try:
        # through JSON, where strict means no "64" for 64 and still lets an array be a tuple
        suite = Suite.model_validate_json(json.dumps(data, default=str), strict=True)
    except ValidationError as error:
        raise SuiteFileError(explain_faults(error, text, path)) from None
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", suite.name) or suite.name == "local":
        raise SuiteFileError(
            f"Suite file '{path.name}': name {suite.name!r} cannot name a folder. "
            "Use letters, digits, '.', '_' and '-', and not 'local'."
        )
    if not suite.blocks:
        raise SuiteFileError(
            f"Suite file '{path.name}' asks for nothing. Add [[complexity]], [[train]], [[pretrain]], [[speed]], "
            "[[evaluate]], [[fewshot]], [[finetune]] or [[pixels]]."
        )
    return suite
