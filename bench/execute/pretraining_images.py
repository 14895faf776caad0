"""The images of a pretraining as stored squares: of a generated corpus, or of any data set that can be opened."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from bench.data.collection import PRETRAINING_PARTS
from bench.data.corpora import find_corpus, is_corpus, stored_corpus
from bench.data.fingerprints import fingerprint_of_collection
from bench.data.open import is_embedded, open_images
from bench.data.splits import balanced_subset
from bench.data.square_cache import stored_images
from bench.errors import DataError, StoppedError
from bench.execute.supplies import Supplies
from bench.learn.resumable import LabelledSquares
from bench.process_group import Team
from bench.suite.cell import PretrainCell

Look = Callable[[int, int], None]  # images done, and all
# Crops are cut from squares of this much more than the model sees, as the ViT paper's transfer code stores 256 for 224.
STORED_PER_SHOWN = 8 / 7


@dataclass(frozen=True)
class ToPretrainOn:
    """train, validation: as squares. class_names: of the head. notes: what a reader must know of the images."""

    train: LabelledSquares
    validation: LabelledSquares
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def images_to_pretrain_on(cell: PretrainCell, supplies: Supplies, team: Team, stop: threading.Event) -> ToPretrainOn:
    """The train images of the cell and the validation part that its looks score; made or decoded if need be.

    The first process of the team makes what is not in the cache, the others find it there.
    Raises DataError for images that are not those of the plan, StoppedError when `stop` is set meanwhile.
    """

    def look(done: int, images: int) -> None:
        if stop.is_set():
            raise StoppedError(
                f"Pretraining {cell.model!r} was stopped while the images of '{cell.dataset}' were made ready, at "
                f"{done} of {images}. The same command goes on."
            )

    make = partial(_from_corpus if is_corpus(cell.dataset) else _from_collection, cell, supplies, look)
    return team.first_before_others(make)


def _from_corpus(cell: PretrainCell, supplies: Supplies, look: Look) -> ToPretrainOn:
    corpus = find_corpus(cell.dataset, cell.resolution_px)
    require_planned(cell.dataset, corpus.fingerprint, cell.fingerprint)
    train = stored_corpus(corpus, "train", cell.train_images, progress=look)
    count = corpus.validation_images
    validation = stored_corpus(corpus, "validation", count, progress=look)
    keys = tuple(f"{corpus.name}/validation/{i:05d}" for i in range(count))
    return ToPretrainOn(LabelledSquares(*train), LabelledSquares(*validation, keys), corpus.class_names)


def _from_collection(cell: PretrainCell, supplies: Supplies, look: Look) -> ToPretrainOn:
    collection = open_images(cell.dataset, data=supplies.data, root=supplies.data_root, download=supplies.download)
    require_planned(cell.dataset, fingerprint_of_collection(collection, PRETRAINING_PARTS), cell.fingerprint)
    stored_px = cell.resolution_px
    if not is_embedded(cell.dataset):
        stored_px = round(cell.resolution_px * STORED_PER_SHOWN)
    part = collection.part("train")
    if cell.train_images < len(part):
        chosen = balanced_subset(part.labels, cell.dataset, len(collection.class_names), cell.train_images, cell.seed)
        collection = replace(collection, parts={**collection.parts, "train": part.take(np.sort(chosen))})
    train = stored_images(collection, "train", stored_px, resize="square", progress=look)
    validation = stored_images(collection, "validation", cell.resolution_px, resize="square", progress=look)
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
