"""What a plan is told of this machine: data sets that were looked at, weights that exist, results that are in."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.catalog.datasets import DatasetRow, find_dataset
from bench.catalog.image_tasks import ImageTask, image_tasks
from bench.catalog.models import select_models
from bench.data.decoding.decode import decode
from bench.data.generated.corpora import find_corpus, is_corpus
from bench.data.public.catalogued import is_here
from bench.data.sets.collection import PART_NAMES, PRETRAINING_PARTS, ImageCollection, PartName
from bench.data.sets.fingerprints import fingerprint_of_collection
from bench.data.sets.open import Progress, confirm_images, is_embedded, open_images, stored_fingerprint
from bench.errors import AbsentDataError, RequestError
from bench.execute.environment import abilities_of
from bench.execute.run_options import RunOptions
from bench.measure.build import native_resolution
from bench.measure.weight_files import file_weights_id, path_for_model
from bench.store.record import Record
from bench.suite.cell import Cell, FinetuneCell, LargestBatchCell, PretrainCell, SpeedCell, TrainCell
from bench.suite.planning_context import ImagesFacts, PlanningContext, PretrainingFacts, TrialResult
from bench.suite.spec import Suite
from bench.suite.sweeps import result_of

USERS_PX = 32  # what the small models of the shipped suites take
ABSENT = "absent"  # the fingerprint of images that are not here: its cells end as `skipped`
LOOKED_AT = 16  # images whose size says how large those of a set usually are


class LocalContext:
    """Answers a plan's questions from the options; remembers which weight files its answers name.

    progress: told of the first look at a user's images.
    """

    def __init__(self, device: str, options: RunOptions, suite_folder: Path, progress: Progress | None = None) -> None:
        self._device, self._options, self._suite_folder = device, options, suite_folder
        self._progress = progress
        self.weights: dict[str, str] = {}  # `sha256 <16 digits>` -> file
        self._named: dict[tuple[str, str], str] = {}  # model and path as a suite has them -> `sha256 <16 digits>`
        self._facts = functools.cache(self._look_at)
        # set, parts (None: as they are stored), and the fingerprint that a plan was told
        self._answered: set[tuple[str, tuple[PartName, ...] | None, str]] = set()

    def planning_context(self, finished: Iterable[Record]) -> PlanningContext:
        """What a plan needs to know, given the records that count as finished."""
        finished = list(finished)
        return PlanningContext(
            device=self._device,  # type: ignore[arg-type]  # resolve_device returns one of the three
            find_dataset=self.find_dataset,
            find_images=self._facts,
            find_pretraining=self.find_pretraining,
            native_resolution=native_resolution,
            file_weights=self.file_weights,
            is_here=self.is_here,
            extra_datasets=tuple(name for name in self._options.data if not _is_catalogued(name)),
            validation={
                r.cell_id: result_of(r.cell["task"], r.status, r.values) for r in finished if _is_trial_result(r)
            },
            largest_batches={
                r.cell_id: int(r.values.get("largest_batch", 0))
                for r in finished
                if isinstance(r.asked, LargestBatchCell)
            },
            too_large=frozenset(r.cell_id for r in finished if _is_too_large(r)),
            abilities=functools.partial(abilities_of, self._device),
            trials={
                r.cell_id: _trial_result(r)
                for r in finished
                if isinstance(r.asked, SpeedCell) and r.asked.role == "trial"
            },
            trained_weights={
                r.cell_id: r.values.get("weights_sha256")
                for r in finished
                if isinstance(r.asked, TrainCell | PretrainCell)
            },
        )

    def confirm(self, cells: Iterable[Cell]) -> bool:
        """Whether the images of these cells, read wholly, are those that the plan was told of; if not, plan again."""
        options, same = self._options, True
        planned = {getattr(cell, "fingerprint", None) for cell in cells}
        for name, parts, fingerprint in self._answered:
            if fingerprint in planned:
                same &= confirm_images(
                    name, fingerprint, parts, data=options.data, root=options.data_root, download=options.download
                )
        if not same:
            self._facts.cache_clear()
            self._answered.clear()
        return same

    def find_dataset(self, name: str, resolution_px: int | None) -> DatasetRow:
        """The row of a set that is trained on in memory, at that resolution.

        Raises RequestError for another resolution of an embedded set than its own, and what opening images raises.
        """
        task = image_tasks().get(name)
        if not is_embedded(name) and (name in self._options.data or task is not None):
            try:
                collection = self._open(name)
            except AbsentDataError:
                if task is None:
                    raise
                return _absent_row(task, resolution_px or USERS_PX)
            return _row_of(collection, resolution_px or USERS_PX, self._fingerprint(collection, PART_NAMES))
        row = find_dataset(name)
        if resolution_px not in (None, row.resolution_px):
            raise RequestError(f"Data set {name!r} has images of {row.resolution_px} px, not of {resolution_px} px.")
        return row

    def is_here(self, name: str) -> bool:
        """Whether the set's images are on this machine, or will be fetched. Raises UnknownNameError."""
        options = self._options
        if is_embedded(name) or (name in options.data and not _is_catalogued(name)):
            return True
        return options.download or is_here(name, root=options.data_root, spec=options.data.get(name))

    def find_pretraining(self, name: str, resolution_px: int) -> PretrainingFacts:
        """Facts of a set to pretrain on: a generated corpus, or any set that models can meet.

        Raises RequestError for another resolution of an embedded set than its own, and what opening it raises.
        """
        if is_corpus(name):
            corpus = find_corpus(name, resolution_px)
            return PretrainingFacts(name, corpus.num_classes, resolution_px, corpus.fingerprint, None)
        if is_embedded(name):
            self.find_dataset(name, resolution_px)
        task = image_tasks().get(name)
        try:
            collection = self._open(name)
        except AbsentDataError:
            if task is None:
                raise
            return PretrainingFacts(name, task.num_classes, resolution_px, ABSENT, task.train_images)
        fingerprint = self._fingerprint(collection, PRETRAINING_PARTS)
        images = len(collection.part("train"))
        return PretrainingFacts(name, len(collection.class_names), resolution_px, fingerprint, images)

    def file_weights(self, model: str, path: str) -> str:
        """The id of a weight file; a relative path starts at the suite's file.

        Raises RequestError for a file that is not there or cannot be weights.
        """
        file = self._suite_folder / path_for_model(path, model)
        if not file.exists():
            raise RequestError(f"Weights 'file:{path}' of model {model!r}: there is no file '{file}'.")
        name = file_weights_id(file)
        self.weights[name] = str(file.resolve())
        self._named[model, path] = name
        return name

    def pretraining(self, suite: Suite) -> dict[str, str]:
        """What the suite says that the files of its last plan saw: `sha256 <16 digits>` -> its words.

        Raises RequestError for a file of which it says two things.
        """
        found: dict[str, str] = {}
        for block in suite.from_weights:
            paths = [word.removeprefix("file:") for word in block.weights if word.startswith("file:")]
            for model, path in itertools.product(select_models(block.models), paths):
                name = self._named.get((model, path))
                if name is None or block.pretraining is None:
                    continue
                if found.setdefault(name, block.pretraining) != block.pretraining:
                    raise RequestError(
                        f"Suite '{suite.name}' says of the weights 'file:{path}' that they saw '{found[name]}' and "
                        f"'{block.pretraining}'. Say one of them."
                    )
        return found

    def _look_at(self, name: str) -> ImagesFacts:
        task = image_tasks().get(name)
        try:
            collection = self._open(name)
        except AbsentDataError:
            if task is None:
                raise
            return ImagesFacts(
                name=name,
                num_classes=task.num_classes,
                test_fingerprint=ABSENT,
                fingerprint=ABSENT,
                train_images=task.train_images + task.validation_images,
                image_px=0,
                flip=task.flip,
                crop=task.crop,
            )
        has_all = all(part in collection.parts for part in PART_NAMES)
        return ImagesFacts(
            name=name,
            num_classes=len(collection.class_names),
            test_fingerprint=self._fingerprint(collection, ("test",)),
            fingerprint=self._fingerprint(collection, PART_NAMES) if has_all else ABSENT,
            stored_fingerprint=self._as_stored(name) if name in self._options.data and task is None else "",
            train_images=sum(len(collection.parts[part]) for part in PART_NAMES[:2] if part in collection.parts),
            image_px=_usual_side(collection),
            flip=task.flip if task is not None else True,
            crop=task.crop if task is not None else True,
        )

    def _as_stored(self, name: str) -> str:
        fingerprint = stored_fingerprint(name, self._options.data[name], download=self._options.download)
        self._answered.add((name, None, fingerprint))
        return fingerprint

    def _fingerprint(self, collection: ImageCollection, parts: tuple[PartName, ...]) -> str:
        fingerprint = fingerprint_of_collection(collection, parts)
        if not is_embedded(collection.name):
            self._answered.add((collection.name, parts, fingerprint))
        return fingerprint

    def _open(self, name: str) -> ImageCollection:
        options = self._options
        return open_images(
            name,
            data=options.data,
            root=options.data_root,
            download=options.download,
            progress=self._progress,
        )


def _trial_result(record: Record) -> TrialResult:
    if record.status != "ok":
        return TrialResult(-math.inf)
    values = record.values
    has_folded = bool(values.get("folded_batch_norms") or values.get("baked_convolutions"))
    return TrialResult(float(values["throughput_img_per_s"]), has_folded)


def _is_too_large(record: Record) -> bool:
    return record.status == "oom" or "throughput" in record.values.get("absent", ())


def _is_catalogued(name: str) -> bool:
    """Whether the name is a catalogued set's, or that of the files which one of VTAB's tasks is made of."""
    return name in image_tasks() or f"vtab_{name}" in image_tasks()


def _is_trial_result(record: Record) -> bool:
    """Whether a sweep may choose by the record.

    A fine-tuning that was killed or lost its data says nothing of its learning rate: the final run waits for it.
    """
    match record.asked:
        case TrainCell() | PretrainCell():
            return True
        case FinetuneCell(scored_part="validation"):
            return record.status in ("ok", "oom") or bool(record.values.get("is_final"))
    return False


def _usual_side(collection: ImageCollection) -> int:
    """The median shorter side of some images, spread over the test part."""
    part = collection.part("test")
    step = max(1, len(part) // LOOKED_AT)
    sides = sorted(min(decode(part.reader.read(index)).image.size) for index in range(0, len(part), step))
    return sides[len(sides) // 2]


def _row_of(collection: ImageCollection, resolution_px: int, fingerprint: str) -> DatasetRow:
    names, sizes = collection.class_names, [len(collection.part(part)) for part in PART_NAMES]
    return _row(collection.name, len(names), names, sizes, resolution_px, fingerprint)


def _absent_row(task: ImageTask, resolution_px: int) -> DatasetRow:
    sizes = task.train_images, task.validation_images, task.test_images
    return _row(task.name, task.num_classes, task.class_names, sizes, resolution_px, ABSENT)


def _row(
    name: str, classes: int, class_names: tuple[str, ...], sizes: Sequence[int], resolution_px: int, fingerprint: str
) -> DatasetRow:
    """The row of a set that is in no catalog of embedded sets, as if it stood there. sizes: of PART_NAMES."""
    task = image_tasks().get(name)
    return DatasetRow(
        name=name,
        title=task.title if task is not None else name,
        kind="real",
        num_classes=classes,
        class_names=class_names,
        resolution_px=resolution_px,
        train_images=sizes[0],
        validation_images=sizes[1],
        test_images=sizes[2],
        licence=task.licence if task is not None else "unknown",
        source=task.source if task is not None else "the user's own",
        description=f"{sum(sizes)} images of {classes} classes",
        caution=task.caution if task is not None else "",
        how_to_get=task.how_to_get if task is not None else f"--data {name}=PATH",
        fingerprint=fingerprint,
    )
