from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from bench.catalog.datasets import dataset_rows, find_dataset
from bench.data.generated import embedded
from bench.data.generated.embedded import LOADERS, load_dataset
from bench.data.sets.collection import Parts, pixel_fingerprint
from bench.data.sets.splits import training_subset
from bench.errors import DataError, RequestError, UnknownNameError

each_set = pytest.mark.parametrize("name", list(LOADERS))


def test_every_catalogued_set_has_a_loader_and_the_other_way_round():
    assert list(LOADERS) == list(dataset_rows())


@each_set
def test_a_loaded_set_is_what_its_row_says(name: str):
    row, dataset = find_dataset(name), load_dataset(name)

    assert dataset.fingerprint == row.fingerprint
    assert dataset.class_names == row.class_names
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (
        row.train_images,
        row.validation_images,
        row.test_images,
    )
    for part in (dataset.train, dataset.validation, dataset.test):
        assert part.images.shape == (len(part), row.resolution_px, row.resolution_px, 3)
        assert part.images.dtype == np.uint8
        assert part.labels.dtype == np.int64
        assert set(part.labels.tolist()) == set(range(row.num_classes))
        assert len(part.keys) == len(part)


@each_set
def test_no_image_is_there_twice(name: str):
    dataset = load_dataset(name)
    pixels = [image.tobytes() for part in (dataset.train, dataset.validation, dataset.test) for image in part.images]
    keys = dataset.train.keys + dataset.validation.keys + dataset.test.keys

    assert len(set(pixels)) == len(pixels)
    assert len(set(keys)) == len(keys)


def test_the_fingerprint_covers_labels_as_well_as_pixels():
    parts = LOADERS["digits"]()
    relabelled = dataclasses.replace(parts.test, labels=(parts.test.labels + 1) % 10)

    assert pixel_fingerprint(dataclasses.replace(parts, test=relabelled)) != pixel_fingerprint(parts)


def test_a_set_with_other_pixels_than_the_catalog_knows_is_refused(monkeypatch: pytest.MonkeyPatch):
    def darker() -> Parts:
        parts = LOADERS["shapes"]()
        return dataclasses.replace(parts, test=dataclasses.replace(parts.test, images=parts.test.images // 2))

    monkeypatch.setattr(embedded, "LOADERS", {"digits": darker})

    with pytest.raises(DataError, match=r"not the images that earlier results were measured on"):
        load_dataset.__wrapped__("digits")


def test_shared_pixels_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        load_dataset("digits").train.images[0] = 0


def test_an_unknown_set_is_named_with_the_nearest_known():
    with pytest.raises(UnknownNameError, match=r"Unknown data set 'digit'. Did you mean 'digits'\?"):
        load_dataset("digit")


@each_set
def test_a_smaller_subset_is_the_beginning_of_a_larger_one(name: str):
    dataset = load_dataset(name)

    assert np.array_equal(training_subset(dataset, 55, seed=3), training_subset(dataset, 500, seed=3)[:55])


@each_set
@pytest.mark.parametrize("train_images", [20, 55, 500])
def test_a_subset_is_class_balanced_and_without_repeats(name: str, train_images: int):
    dataset = load_dataset(name)

    index = training_subset(dataset, train_images, seed=0)

    counts = np.bincount(dataset.train.labels[index], minlength=len(dataset.class_names))
    assert index.dtype == np.int64
    assert len(set(index.tolist())) == train_images
    assert counts.max() - counts.min() <= 1


def test_a_seed_draws_the_subset_anew():
    dataset = load_dataset("shapes")
    first, second = (set(training_subset(dataset, 1000, seed).tolist()) for seed in (0, 1))

    # Two draws of 1,000 from 8,190 share 122 images on average, with a standard deviation under 10.
    assert 70 < len(first & second) < 180


def test_the_largest_subset_is_the_whole_training_part():
    dataset = load_dataset("digits")

    assert sorted(training_subset(dataset, 798, seed=0).tolist()) == list(range(798))


@pytest.mark.parametrize("train_images", [-1, 0, 9, 799])
def test_a_subset_that_cannot_be_drawn_is_refused_with_the_limits(train_images: int):
    with pytest.raises(RequestError, match=r"can give 10 \(one per class\) to 798"):
        training_subset(load_dataset("digits"), train_images, seed=0)


def test_images_are_made_without_torch():
    code = "import sys, bench.data.generated.embedded; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
