"""A user's own image folder: layouts, splits, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data.folder import folder_row, load_folder, parse_data_option
from bench.errors import DataError, RequestError


@pytest.fixture(autouse=True)
def _forget() -> None:
    load_folder.cache_clear()


def write_images(folder: Path, count: int, brightness: int, size: tuple[int, int] = (40, 48)) -> None:
    folder.mkdir(parents=True)
    for i in range(count):
        pixels = np.full((size[1], size[0], 3), brightness + i, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:03d}.png")


def test_class_folders_are_split_stratified_and_always_alike(tmp_path: Path) -> None:
    for name, brightness in (("dark", 10), ("bright", 200)):
        write_images(tmp_path / name, 20, brightness)

    first = load_folder("mine", tmp_path)
    load_folder.cache_clear()
    second = load_folder("mine", tmp_path)

    assert first.class_names == ("bright", "dark")
    assert [len(part) for part in (first.train, first.validation, first.test)] == [28, 4, 8]
    assert np.bincount(first.test.labels).tolist() == [4, 4]
    assert first.fingerprint == second.fingerprint
    keys = first.train.keys + first.validation.keys + first.test.keys
    assert len(set(keys)) == 40


def test_split_folders_are_kept(tmp_path: Path) -> None:
    for split, count in (("train", 10), ("val", 3), ("test", 4)):
        for name, brightness in (("a", 0), ("b", 100)):
            write_images(tmp_path / split / name, count, brightness)
    dataset = load_folder("mine", tmp_path)
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [20, 6, 8]
    assert dataset.test.keys[0] == "test/a/000.png"


def test_images_of_any_shape_become_squares_of_32_rgb_pixels(tmp_path: Path) -> None:
    write_images(tmp_path / "a", 4, 10, size=(100, 33))
    write_images(tmp_path / "b", 4, 90, size=(20, 64))
    assert load_folder("mine", tmp_path).train.images.shape[1:] == (32, 32, 3)


def test_the_row_of_a_folder_says_what_it_holds(tmp_path: Path) -> None:
    write_images(tmp_path / "a", 10, 10)
    write_images(tmp_path / "b", 10, 90)
    row = folder_row("mine", tmp_path)
    assert (row.num_classes, row.train_images + row.validation_images + row.test_images) == (2, 20)


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    write_images(tmp_path / "a", 4, 10)
    write_images(tmp_path / "b", 4, 90)
    (tmp_path / "a" / "bad.jpg").write_bytes(b"\xff\xd8 not an image")
    with pytest.raises(DataError, match=r"bad\.jpg' cannot be read"):
        load_folder("mine", tmp_path)


def test_a_class_that_only_the_test_part_has_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_images(tmp_path / "train" / name, 4, 10)
    write_images(tmp_path / "test" / "c", 2, 10)
    with pytest.raises(DataError, match="class 'c' is in 'test' and not in 'train'"):
        load_folder("mine", tmp_path)


def test_a_class_may_be_called_like_a_split(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name, brightness in (("car", 10), ("train", 200)):
            write_images(tmp_path / split / name, 6, brightness)
    dataset = load_folder("mine", tmp_path)
    bright = dataset.train.images.mean(axis=(1, 2, 3)) > 100
    assert dataset.class_names == ("car", "train")
    assert dataset.train.labels.tolist() == bright.astype(int).tolist()


def test_a_test_folder_without_classes_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_images(tmp_path / "train" / name, 6, 10)
    write_images(tmp_path / "test", 3, 10)
    with pytest.raises(DataError, match="'test' holds no images in class folders"):
        load_folder("mine", tmp_path)


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    write_images(tmp_path / "only", 4, 10)
    with pytest.raises(RequestError, match="1 class folders"):
        load_folder("mine", tmp_path)


@pytest.mark.parametrize("option", ["mine", "=x", "my data=x", "mine="])
def test_an_option_that_is_not_name_and_path_is_refused(option: str) -> None:
    with pytest.raises(RequestError, match="NAME=PATH"):
        parse_data_option(option)
