"""A user's own image folder: layouts, splits, links, and what is refused."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from bench.data.folder import open_folder
from bench.errors import DataError, RequestError


def touch(root: Path, *files: str) -> None:
    """Files that hold their own path; what an image holds is of no matter to a listing."""
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(file.encode())


def test_class_folders_are_one_part_of_files_in_order(tmp_path: Path) -> None:
    touch(tmp_path, "dog/b.png", "dog/a.JPEG", "cat/deep/er/c.webp", "cat/z.jpg")
    found = open_folder("mine", tmp_path)
    assert found.class_names == ("cat", "dog")
    assert list(found.parts) == ["train"]
    assert found.parts["train"].keys == ("cat/deep/er/c.webp", "cat/z.jpg", "dog/a.JPEG", "dog/b.png")
    assert found.parts["train"].labels.tolist() == [0, 0, 1, 1]
    assert found.parts["train"].reader.read(2) == b"dog/a.JPEG"
    assert found.notes == ()


def test_a_collection_can_be_sent_to_another_process(tmp_path: Path) -> None:
    touch(tmp_path, "dog/b.png", "cat/a.png")
    part = pickle.loads(pickle.dumps(open_folder("mine", tmp_path).parts["train"]))
    assert [part.reader.read(i) for i in range(2)] == [b"cat/a.png", b"dog/b.png"]


def test_classes_that_are_numbers_are_in_the_order_of_numbers(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{i}/x.png" for i in range(11)))
    found = open_folder("mine", tmp_path)
    assert found.class_names == tuple(str(i) for i in range(11))
    assert found.parts["train"].keys[1:3] == ("1/x.png", "10/x.png")
    assert found.parts["train"].labels[1:3].tolist() == [1, 10]


@pytest.mark.parametrize("validation", ["val", "validation", "Val"])
def test_split_folders_are_parts(tmp_path: Path, validation: str) -> None:
    touch(tmp_path, *(f"{split}/{label}/x.png" for split in ("train", validation, "test") for label in "ab"))
    found = open_folder("mine", tmp_path)
    assert list(found.parts) == ["train", "validation", "test"]
    assert found.part("validation").keys == (f"{validation}/a/x.png", f"{validation}/b/x.png")


def test_a_test_folder_alone_is_enough_to_be_evaluated_on(tmp_path: Path) -> None:
    touch(tmp_path, "test/a/x.png", "test/b/x.png")
    assert list(open_folder("mine", tmp_path).parts) == ["test"]


def test_what_is_passed_by_is_noted(tmp_path: Path) -> None:
    touch(
        tmp_path,
        *(f"train/{label}/{i}.png" for label in ("cat", "Cat", "dog") for i in range(2)),
        "train/cat/notes.txt",
        "train/dog/labels.json",
        "train/dog/more.txt",
        "train/dog/.hidden.png",
        "train/.cache/x.png",
        "train/loose.png",
        "docs/readme.png",
    )
    (tmp_path / "train" / "bird").mkdir()
    found = open_folder("mine", tmp_path)
    assert len(found.parts["train"]) == 6
    assert found.notes == (
        "3 files that are no images were ignored (.txt 2, .json 1).",
        "1 images that lie in no class folder were ignored.",
        "Class folders without images: 'train/bird'.",
        "Folders beside the split folders (train, validation or val, test) were ignored: 'docs'.",
        "Classes that differ only by case, spaces, '_' or '-' are kept apart; is one mistyped? "
        "'Cat' (2 images), 'cat' (2 images)",
    )


def test_a_class_misspelled_in_the_test_folder_is_named_with_the_nearest(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/x.png", "train/dog/x.png", "test/Cat/x.png")
    with pytest.raises(DataError, match=r"'test/Cat/x\.png': class 'Cat' is in 'test' .* Did you mean 'cat'\?"):
        open_folder("mine", tmp_path)


@pytest.mark.parametrize("folders", [("training", "testing"), ("valid", "test")])
def test_folders_that_look_like_splits_are_not_taken_for_classes(tmp_path: Path, folders: tuple[str, str]) -> None:
    touch(tmp_path, *(f"{folder}/{label}/x.png" for folder in folders for label in "ab"))
    with pytest.raises(RequestError, match="looks like a split folder"):
        open_folder("mine", tmp_path)


def test_two_validation_folders_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{split}/{label}/x.png" for split in ("train", "val", "validation") for label in "ab"))
    with pytest.raises(RequestError, match="two 'validation' folders"):
        open_folder("mine", tmp_path)


def test_classes_may_be_called_train_and_test_if_they_hold_images(tmp_path: Path) -> None:
    touch(tmp_path, "train/x.png", "car/x.png", "test/x.png")
    assert open_folder("mine", tmp_path).class_names == ("car", "test", "train")


@pytest.mark.parametrize(("file", "hint"), [("0.tar", "give shards:PATH"), ("my.csv", r"give PATH/my\.csv")])
def test_a_folder_without_classes_is_refused_with_what_it_could_be(tmp_path: Path, file: str, hint: str) -> None:
    touch(tmp_path, file, "images/1.png")
    with pytest.raises(RequestError, match=f"1 class folders with images.*{hint}"):
        open_folder("mine", tmp_path)


def test_folders_nested_too_deep_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.png", "b/x.png", "a/" + "d/" * 110 + "x.png")
    with pytest.raises(DataError, match=r"^'a/d/d/.*' lies under 100 folders"):
        open_folder("mine", tmp_path)


def test_links_inside_the_folder_are_followed(tmp_path: Path) -> None:
    touch(tmp_path, ".pool/1.png", "dog/x.png")
    (tmp_path / "cat").symlink_to(".pool")
    (tmp_path / "dog" / "y.png").symlink_to("x.png")
    found = open_folder("mine", tmp_path).parts["train"]
    assert found.keys == ("cat/1.png", "dog/x.png", "dog/y.png")
    assert found.reader.read(0) == b".pool/1.png"


@pytest.mark.parametrize("link", ["cat/more", "bird", "cat/y.png"])
def test_links_that_leave_the_folder_are_refused(tmp_path: Path, link: str) -> None:
    touch(tmp_path, "data/cat/x.png", "data/dog/x.png", "outside/1.png")
    (tmp_path / "data" / link).symlink_to(tmp_path / "outside" / ("1.png" if link.endswith("png") else ""))
    with pytest.raises(DataError, match=rf"'{link}' is, or lies behind, a link to a place outside"):
        open_folder("mine", tmp_path / "data")


@pytest.mark.parametrize("target", [".", "..", "../../cat", "../.."])
def test_links_in_circles_are_refused(tmp_path: Path, target: str) -> None:
    touch(tmp_path, "cat/deep/x.png", "dog/x.png")
    (tmp_path / "cat" / "deep" / "again").symlink_to(target)
    with pytest.raises(DataError, match="is a link back to a folder that it lies in"):
        open_folder("mine", tmp_path)


def test_a_pipe_among_the_images_is_passed_by(tmp_path: Path) -> None:
    touch(tmp_path, "cat/x.png", "dog/x.png")
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    found = open_folder("mine", tmp_path)
    assert len(found.parts["train"]) == 2
    assert found.notes == ("1 files that are no images were ignored (pipes and devices 1).",)


def test_a_link_to_nothing_is_an_image_that_is_gone(tmp_path: Path) -> None:
    touch(tmp_path, "cat/x.png", "dog/x.png")
    (tmp_path / "cat" / "y.png").symlink_to("none.png")
    part = open_folder("mine", tmp_path).parts["train"]
    with pytest.raises(DataError, match=r"'cat/y\.png' does not exist"):
        part.reader.read(1)


def test_names_that_are_not_utf_8_can_be_read_and_printed(tmp_path: Path) -> None:
    touch(tmp_path, "dog/x.png")
    odd = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(odd)
    with open(odd + b"/\xff.png", "wb") as file:
        file.write(b"image")
    found = open_folder("mine", tmp_path)
    assert found.class_names == ("caf\\xe9", "dog")
    assert found.parts["train"].keys[0] == "caf\\xe9/\\xff.png"
    assert found.parts["train"].reader.read(0) == b"image"
