"""What a plan needs to know: devices, data, weights, and what earlier cells gave."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from bench.catalog.datasets import DatasetRow, dataset_rows
from bench.errors import RequestError, UnknownNameError
from bench.suite.cell import Cell, Device, Precision
from bench.suite.spec import Suite
from bench.suite.sweeps import K, Known, Result


@dataclass(frozen=True)
class ImagesFacts:
    """A data set's images as a plan sees them. fingerprints: of the test part, and of all parts together.

    stored_fingerprint: of a user's images as they lie, with those that cannot be used; empty for other sets.
    train_images: train and validation together, which is what a final run is trained on. image_px: the usual shorter
    side of its images. flip, crop: whether an image keeps its label when mirrored or cropped.
    """

    name: str
    num_classes: int
    test_fingerprint: str
    fingerprint: str
    train_images: int
    image_px: int
    flip: bool = True
    crop: bool = True
    stored_fingerprint: str = ""


@dataclass(frozen=True)
class PretrainingFacts:
    """A data set as something to pretrain on. train_images: of its train part; None for a corpus without an end.

    fingerprint: of all parts; of a corpus, of its beginning.
    """

    name: str
    num_classes: int
    resolution_px: int
    fingerprint: str
    train_images: int | None


@dataclass(frozen=True)
class TrialResult:
    """What a short timing under some settings gave: images per second, minus infinity without a result.

    has_folded: whether `fold` found anything to fold.
    """

    img_per_s: float
    has_folded: bool = False


@dataclass(frozen=True)
class Abilities:
    """What a device can be asked for: precisions that it computes in its own arithmetic, and torch.compile."""

    precisions: tuple[Precision, ...] = ("fp32",)
    can_compile: bool = False


def _no_images(name: str) -> ImagesFacts:
    raise UnknownNameError("data set", name, ())


def _is_embedded(name: str) -> bool:
    return name in dataset_rows()


def _nothing_to_pretrain_on(name: str, resolution_px: int) -> PretrainingFacts:
    raise UnknownNameError("data set", name, ())


def _own_file(model: str, path: str) -> str:
    raise RequestError(f"Weights 'file:{path}' of model {model!r}: no files are to be had here.")


@dataclass(frozen=True)
class PlanningContext:
    """What a plan needs to know of the context: which device, which data sets, which resolutions, what is done.

    find_dataset: name and wanted resolution (None: its own) -> row of a set that is trained on in memory.
    find_images: name -> facts of a set that pretrained models meet. find_pretraining: name and resolution -> facts of a
    set that they are pretrained on. native_resolution: model name -> pixels; raises
    UnknownNameError for a model that does not exist. file_weights: model, path -> `sha256 <16 digits>`.
    is_here: name -> whether the set's images are on this machine, or will be fetched.
    validation: cell id -> what a finished cell gave on the validation part; sweeps choose by it. trained_weights: cell
    id -> `sha256 <16 digits>` of what a training ended with, None for one that failed. largest_batches: cell id -> the
    largest batch that a finished search found, 0 for none. too_large: ids of finished timings whose batch did not fit
    into memory or into their time limit. extra_datasets: trained on wherever the first data set of
    the suite is, in full. abilities: of the device. trials: cell id -> what a finished trial of settings gave.
    """

    device: Device
    find_dataset: Callable[[str, int | None], DatasetRow]
    native_resolution: Callable[[str], int]
    find_images: Callable[[str], ImagesFacts] = _no_images
    find_pretraining: Callable[[str, int], PretrainingFacts] = _nothing_to_pretrain_on
    file_weights: Callable[[str, str], str] = _own_file
    is_here: Callable[[str], bool] = _is_embedded
    extra_datasets: tuple[str, ...] = ()
    validation: Mapping[str, Result] = field(default_factory=dict)
    trained_weights: Mapping[str, str | None] = field(default_factory=dict)
    largest_batches: Mapping[str, int] = field(default_factory=dict)
    too_large: frozenset[str] = frozenset()
    abilities: Callable[[], Abilities] = Abilities
    trials: Mapping[str, TrialResult] = field(default_factory=dict)

    def results_of(self, trial: Callable[[K, int], Cell]) -> Known[K]:
        """What is known of the trials of a sweep. trial: the cell that tries a candidate with a seed."""
        return lambda candidate, seed: self.validation.get(trial(candidate, seed).cell_id)


GIVEN = "@given"  # in a suite: the user's own data sets, all that `--data` names


def named_sets(names: Sequence[str | Sequence[str]], context: PlanningContext, suite: str) -> list[str]:
    """The names, each once; of several in the place of one the first that is here, the user's own sets for `@given`.

    Raises RequestError for a suite about the user's own images if there are none.
    """
    if GIVEN in names and not context.extra_datasets:
        raise RequestError(
            f"Suite '{suite}' is about images of your own. Say where they are: --data NAME=PLACE, "
            "under a name that no catalogued set has."
        )

    def meant(name: str | Sequence[str]) -> Sequence[str]:
        if isinstance(name, str):
            return context.extra_datasets if name == GIVEN else (name,)
        return (next((one for one in name[:-1] if context.is_here(one)), name[-1]),)

    return list(dict.fromkeys(one for name in names for one in meant(name)))


def stand_ins(suite: Suite, used: Collection[str]) -> dict[str, str]:
    """Sets that the suite would rather have -> what stands in for them among the sets that were used."""
    several = [names for block in suite.train for names in block.datasets if not isinstance(names, str)]
    return {wanted: taken for wanted, *others in several for taken in others if taken in used and wanted not in used}
