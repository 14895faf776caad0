from __future__ import annotations

import numpy as np
import pytest

from bench.data.generated.embedded import GENERATED, LOADERS, load_dataset
from bench.data.generated.randomness import Stream
from bench.data.generated.small_sets import BLOCK_IMAGES, SHAPE_CLASSES, Draw, draw_shapes, make_part

each_generated_set = pytest.mark.parametrize("name", GENERATED)


def part(name: str, split: str, count: int):
    classes, draw = GENERATED[name]
    return make_part(name, split, classes, count, draw)


@each_generated_set
def test_a_smaller_part_is_the_beginning_of_a_larger_one(name: str):
    small, large = part(name, "train", BLOCK_IMAGES + 3), part(name, "train", 2 * BLOCK_IMAGES + 50)

    assert np.array_equal(small.images, large.images[: len(small)])
    assert np.array_equal(small.labels, large.labels[: len(small)])
    assert small.keys == large.keys[: len(small)]


@each_generated_set
def test_a_catalogued_part_begins_like_any_other(name: str):
    assert np.array_equal(load_dataset(name).train.images[:150], part(name, "train", 150).images)


@each_generated_set
def test_image_i_is_of_class_i_mod_c(name: str):
    classes, _ = GENERATED[name]

    assert part(name, "test", 300).labels.tolist() == [i % classes for i in range(300)]


@each_generated_set
def test_every_part_has_as_many_images_of_each_class(name: str):
    dataset = load_dataset(name)

    for images in (dataset.train, dataset.validation, dataset.test):
        assert len(set(np.bincount(images.labels).tolist())) == 1


@each_generated_set
def test_mean_colour_says_nothing_about_hue_by_class(name: str):
    """Classes may differ in how much is drawn, never in which colour: the difference of channels has no class mean."""
    dataset = load_dataset(name)
    means = dataset.train.images.astype(np.float64).mean(axis=(1, 2))  # (N, 3)
    for hue in (means[:, 0] - means[:, 1], means[:, 1] - means[:, 2]):
        per_class = [hue[dataset.train.labels == label] for label in range(len(dataset.class_names))]
        noise = hue.std() / len(per_class[0]) ** 0.5
        # 4.5 standard errors: by chance in under 1 of 10,000 sets of ten classes.
        assert max(abs(values.mean() - hue.mean()) for values in per_class) < 4.5 * noise


@each_generated_set
def test_the_ground_is_drawn_without_looking_at_the_class(name: str):
    """The same block with other labels has the same colours in most places and at most other figures."""
    classes, draw = GENERATED[name]
    labels = np.arange(64, dtype=np.int64) % classes

    def corner(labels: np.ndarray) -> np.ndarray:
        return draw(labels, lambda role: Stream("same", role))[:, 0, 0]

    if name == "shapes":  # contours stay clear of the corner
        assert np.array_equal(corner(labels), corner((labels + 1) % classes))
    else:
        grounds = [draw(x, lambda role: Stream("same", role)).mean(axis=(1, 2)) for x in (labels, labels[::-1].copy())]
        assert np.corrcoef(grounds[0][:, 0], grounds[1][:, 0])[0, 1] > 0.8


@each_generated_set
def test_blocks_can_be_made_in_any_order(name: str):
    classes, draw = GENERATED[name]
    labels = (np.arange(BLOCK_IMAGES, dtype=np.int64) + BLOCK_IMAGES) % classes

    second_block = draw(labels, lambda role: Stream(name, role, "train", 1))

    assert np.array_equal(second_block, part(name, "train", 2 * BLOCK_IMAGES).images[BLOCK_IMAGES:])


def test_every_generated_set_is_tested_here():
    assert set(LOADERS) - {"digits"} == set(GENERATED)


def test_parts_of_no_images_are_not_asked_for():
    drawn: Draw = draw_shapes
    assert len(make_part("shapes", "train", SHAPE_CLASSES, 1, drawn)) == 1
