"""What each kind of cell does inside a worker: prepare (load, build), then the part that counts as in-cell time."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.catalog.tags import pretraining_of_tag
from bench.data.decoding.square_cache import as_dataset, stored_images
from bench.data.generated.corpora import find_corpus, is_corpus, stored_corpus
from bench.data.generated.embedded import load_dataset
from bench.data.sets.collection import PRETRAINING_PARTS, Dataset, ImageCollection, PartName
from bench.data.sets.fingerprints import fingerprint_of_collection
from bench.data.sets.open import is_embedded, open_images, preflight_of
from bench.data.sets.splits import balanced_subset
from bench.errors import DataError, StoppedError, UnsupportedError
from bench.execute.environment import machine_fingerprint, version_of
from bench.execute.prepare_timing import PREPARE_TIMING, prepare_timing
from bench.execute.run_options import RunOptions
from bench.learn.fewshot import fewshot
from bench.learn.finetune import finetune
from bench.learn.pixels import classify_pixels
from bench.learn.pretrain import pretrain
from bench.learn.resumable import LabelledSquares, Session
from bench.learn.train import train_from_scratch
from bench.measure.build import build_model
from bench.measure.complexity import measure_complexity
from bench.measure.outcome import Outcome
from bench.measure.scoring.evaluate import evaluate
from bench.measure.user_model import files_beside_definition
from bench.measure.weight_files import CLASS_NAMES_KEY, file_weights_id, save_weights
from bench.measure.weights import LoadedModel, load_weights
from bench.places import checkpoint_folder, weights_file
from bench.process_group import ProcessGroup, joined_group
from bench.processes import saves_itself
from bench.suite.cell import (
    Cell,
    ComplexityCell,
    EvaluateCell,
    FewshotCell,
    FinetuneCell,
    PixelsCell,
    PreflightCell,
    PretrainCell,
    TrainCell,
)
from bench.suite.model_source import is_user_model

EVALUATED: tuple[PartName, ...] = ("test",)
ALL_PARTS: tuple[PartName, ...] = ("train", "validation", "test")
Progress = Callable[[int, int], None]  # images done, and all
# Crops are cut from squares of this much more than the model sees, as the ViT paper's transfer code stores 256 for 224.
STORED_PER_SHOWN = 8 / 7
Perform = Callable[[], Outcome]


def _complexity(cell: ComplexityCell, _: RunOptions) -> Perform:
    return lambda: Outcome(asdict(measure_complexity(cell.model, cell.resolution_px, cell.num_classes)))


def _training(cell: TrainCell, options: RunOptions) -> Perform:
    dataset = _in_memory(cell, options)
    counted = measure_complexity(cell.model, cell.resolution_px, cell.num_classes)
    torch.manual_seed(cell.seed)  # dropout and the like; the initial weights have their own seed below
    model = build_model(cell.model, num_classes=cell.num_classes, resolution_px=cell.resolution_px, seed=cell.seed)

    def perform() -> Outcome:
        done = train_from_scratch(cell, model, dataset, counted.macs)
        values = counted.marked(done.values)
        if options.keep_weights:
            values["weights_sha256"] = _keep(model, cell, dataset.class_names)
        return replace(done, values=values)

    return perform


def _in_memory(cell: TrainCell, options: RunOptions) -> Dataset:
    if is_embedded(cell.dataset):
        dataset = load_dataset(cell.dataset)
    else:
        collection = open_images(cell.dataset, data=options.data, root=options.data_root, download=options.download)
        dataset = as_dataset(collection, cell.resolution_px)
    require_planned(cell.dataset, dataset.fingerprint, cell.fingerprint)
    return dataset


def _keep(model: torch.nn.Module, cell: TrainCell | PretrainCell, class_names: Sequence[str]) -> str:
    """Put the trained weights into the cache under their content's name; `sha256 <16 digits>`."""
    folder = weights_file("").parent
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{cell.cell_id}.safetensors"
    metadata = {"cell_id": cell.cell_id, "model": cell.model, CLASS_NAMES_KEY: json.dumps(list(class_names))}
    save_weights(file, model.state_dict(), metadata)
    name = file_weights_id(file)
    file.replace(weights_file(name))
    return name


def _preflight(cell: PreflightCell, options: RunOptions) -> Perform:
    place = options.data[cell.dataset]
    return lambda: Outcome(preflight_of(cell.dataset, place, download=options.download).as_values())


def _evaluation(cell: EvaluateCell, options: RunOptions) -> Perform:
    loaded = _load(cell, options, seed=0)
    workers = options.loader_workers

    def score(images: ImageCollection) -> Outcome:
        with joined_group(cell.device) as group:
            done = evaluate(cell, loaded, images.part("test"), images.class_names, workers=workers, group=group)
        return Outcome(_about_weights(cell, loaded, options, done.values), predictions=done.predictions)

    return _on_images(cell, options, EVALUATED, score)


def _fewshot(cell: FewshotCell, options: RunOptions) -> Perform:
    loaded = _load(cell, options, seed=0)

    def score(images: ImageCollection) -> Outcome:
        done = fewshot(cell, loaded, images, workers=options.loader_workers)
        return replace(done, values=_about_weights(cell, loaded, options, done.values))

    return _on_images(cell, options, ALL_PARTS, score)


def _pixels(cell: PixelsCell, options: RunOptions) -> Perform:
    return _on_images(cell, options, ALL_PARTS, lambda images: classify_pixels(cell, images))


def _on_images(
    cell: EvaluateCell | FewshotCell | PixelsCell,
    options: RunOptions,
    parts: tuple[PartName, ...],
    score: Callable[[ImageCollection], Outcome],
) -> Perform:
    """Score on these parts of the data set, which must be those of the plan before and after."""
    collection = _collection(cell.dataset, cell.fingerprint, parts, options)

    def perform() -> Outcome:
        done = score(collection)
        _collection(cell.dataset, cell.fingerprint, parts, options)  # still the same, now that they were read
        return _with_notes(done, collection.notes)

    return perform


def _finetuning(cell: FinetuneCell, options: RunOptions) -> Perform:
    loaded = _load(cell, options, seed=cell.seed)
    collection = _collection(cell.dataset, cell.fingerprint, ALL_PARTS, options)
    counted = measure_complexity(cell.model, cell.resolution_px, cell.num_classes)

    def perform() -> Outcome:
        with saves_itself() as stop, joined_group(cell.device) as group:
            done = finetune(cell, loaded, collection, counted.macs, _session(cell, options, group, stop))
        values = _about_weights(cell, loaded, options, counted.marked(done.values))
        return _with_notes(replace(done, values=values), collection.notes)

    return perform


def _pretraining(cell: PretrainCell, options: RunOptions) -> Perform:
    counted = measure_complexity(cell.model, cell.resolution_px, cell.num_classes)
    model = build_model(cell.model, num_classes=cell.num_classes, resolution_px=cell.resolution_px, seed=cell.seed)

    def perform() -> Outcome:
        with saves_itself() as stop, joined_group(cell.device) as group:
            images = images_to_pretrain_on(cell, options, group, stop)
            session = _session(cell, options, group, stop)
            done = pretrain(cell, model, images.train, images.validation, counted.macs, session)
            # Transfers start from them, so they are kept whether or not the user asked for weights.
            kept = _keep(model, cell, images.class_names) if group.is_first else ""
        values = counted.marked(done.values) | {"weights_sha256": kept}
        return _with_notes(replace(done, values=values), images.notes)

    return perform


def _session(
    cell: FinetuneCell | PretrainCell, options: RunOptions, group: ProcessGroup, stop: threading.Event
) -> Session:
    # what tells this machine and its code from others on which the cell's training cannot be continued
    words = [machine_fingerprint(), f"torch {version_of('torch')}", f"timm {version_of('timm')}"]
    if is_user_model(cell.model):
        words += [f"{name} {digest}" for name, digest in files_beside_definition(cell.model).items()]
    return Session(
        group=group,
        checkpoints=checkpoint_folder(cell.cell_id),
        checkpoint_every_s=options.checkpoint_every_s,
        stop=stop,
        micro_batch_size=options.micro_batch_size,
        workers=options.loader_workers,
        machine=" ".join(words),
        beside=options.beside,
    )


def _load(cell: EvaluateCell | FewshotCell | FinetuneCell, options: RunOptions, seed: int) -> LoadedModel:
    file: Path | None = None
    if cell.weights.startswith("sha256 "):
        file = Path(options.weights[cell.weights]) if cell.weights in options.weights else weights_file(cell.weights)
        if not file.exists():
            raise UnsupportedError(
                f"The weights {cell.weights} of {cell.model!r} are not in the cache any more. "
                "`vitbench run --rerun` trains them again; a file of one's own is named in the suite as 'file:PATH'."
            )
    return load_weights(
        cell.model,
        cell.weights,
        num_classes=cell.num_classes,
        resolution_px=cell.resolution_px,
        file=file,
        download=options.download,
        seed=seed,
    )


def _collection(name: str, planned: str, parts: tuple[PartName, ...], options: RunOptions) -> ImageCollection:
    collection = open_images(name, data=options.data, root=options.data_root, download=options.download)
    found = _embedded_fingerprint(name, parts) if is_embedded(name) else fingerprint_of_collection(collection, parts)
    require_planned(name, found, planned)
    return collection


@functools.cache
def _embedded_fingerprint(name: str, parts: tuple[PartName, ...]) -> str:
    """Of images that this process made, and that nobody can change."""
    return fingerprint_of_collection(open_images(name, data={}, root=Path(), download=False), parts)


def _about_weights(
    cell: EvaluateCell | FewshotCell | FinetuneCell, loaded: LoadedModel, options: RunOptions, values: dict[str, Any]
) -> dict[str, Any]:
    """Values with how the weights were read and, where the model's name does not tell it, what they saw before."""
    pretraining = options.pretraining.get(cell.weights)
    if cell.weights == "public" and "." not in cell.model:  # timm's default tag, which reports cannot look up
        pretraining = pretraining_of_tag(str(getattr(loaded.model, "pretrained_cfg", {}).get("tag") or ""))
    told = {"pretraining": pretraining} if pretraining is not None else {}
    return values | told | {"notes": [*values.get("notes", ()), *loaded.notes]}


def _with_notes(done: Outcome, notes: Iterable[str]) -> Outcome:
    """With what must be known of the data beside what must be known of the run."""
    return replace(done, values=done.values | {"notes": [*done.values.get("notes", ()), *notes]})


@dataclass(frozen=True)
class ToPretrainOn:
    """train, validation: as squares. class_names: of the head. notes: what a reader must know of the images."""

    train: LabelledSquares
    validation: LabelledSquares
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def images_to_pretrain_on(
    cell: PretrainCell, options: RunOptions, group: ProcessGroup, stop: threading.Event
) -> ToPretrainOn:
    """The train images of the cell and the validation part that its evaluations score; made or decoded if need be.

    The first process of the group makes what is not in the cache, the others find it there.
    Raises DataError for images that are not those of the plan, StoppedError when `stop` is set meanwhile.
    """

    def progress(done: int, images: int) -> None:
        if stop.is_set():
            raise StoppedError(
                f"Pretraining {cell.model!r} was stopped while the images of '{cell.dataset}' were made ready, at "
                f"{done} of {images}. The same command goes on."
            )

    make = partial(_from_corpus if is_corpus(cell.dataset) else _from_collection, cell, options, progress)
    return group.first_before_others(make)


def _from_corpus(cell: PretrainCell, options: RunOptions, progress: Progress) -> ToPretrainOn:
    corpus = find_corpus(cell.dataset, cell.resolution_px)
    require_planned(cell.dataset, corpus.fingerprint, cell.fingerprint)
    train = stored_corpus(corpus, "train", cell.train_images, progress=progress)
    count = corpus.validation_images
    validation = stored_corpus(corpus, "validation", count, progress=progress)
    keys = tuple(f"{corpus.name}/validation/{i:05d}" for i in range(count))
    return ToPretrainOn(LabelledSquares(*train), LabelledSquares(*validation, keys), corpus.class_names)


def _from_collection(cell: PretrainCell, options: RunOptions, progress: Progress) -> ToPretrainOn:
    collection = open_images(cell.dataset, data=options.data, root=options.data_root, download=options.download)
    require_planned(cell.dataset, fingerprint_of_collection(collection, PRETRAINING_PARTS), cell.fingerprint)
    stored_px = cell.resolution_px
    if not is_embedded(cell.dataset):
        stored_px = round(cell.resolution_px * STORED_PER_SHOWN)
    part = collection.part("train")
    if cell.train_images < len(part):
        chosen = balanced_subset(part.labels, cell.dataset, len(collection.class_names), cell.train_images, cell.seed)
        collection = replace(collection, parts={**collection.parts, "train": part.take(np.sort(chosen))})
    train = stored_images(collection, "train", stored_px, resize="square", progress=progress)
    validation = stored_images(collection, "validation", cell.resolution_px, resize="square", progress=progress)
    held = collection.part("validation")
    return ToPretrainOn(
        LabelledSquares(train, collection.part("train").labels),
        LabelledSquares(validation, held.labels, held.keys),
        collection.class_names,
        collection.notes,
    )


def require_planned(dataset: str, found: str, planned: str) -> None:
    """Raise DataError unless the fingerprint found is that of the plan."""
    if found != planned:
        raise DataError(
            f"Data set '{dataset}' has fingerprint {found}, the plan says {planned}: the images changed after the plan "
            "was made."
        )


PREPARE: Mapping[type[Cell], Callable[[Any, RunOptions], Perform]] = {
    ComplexityCell: _complexity,
    TrainCell: _training,
    PreflightCell: _preflight,
    EvaluateCell: _evaluation,
    FewshotCell: _fewshot,
    FinetuneCell: _finetuning,
    PretrainCell: _pretraining,
    PixelsCell: _pixels,
    **dict.fromkeys(PREPARE_TIMING, lambda cell, _: prepare_timing(cell)),
}


def prepare(cell: Cell, options: RunOptions) -> Perform:
    """Load and build what the cell needs; the returned function does the work that is worth timing.

    Raises what building or loading raises: RequestError, DataError, UnsupportedError, CellFailedError.
    """
    return PREPARE[type(cell)](cell, options)
