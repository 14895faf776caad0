from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bench.data.formats.safe_paths import FileReader, real_root
from bench.data.sets import fingerprints
from bench.data.sets.collection import ImageCollection, LabelledImages, PartName, content_fingerprint, joined
from bench.data.sets.fingerprints import fingerprint_of_collection
from bench.errors import DataError

PARTS: tuple[PartName, ...] = ("train", "test")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITBENCH_CACHE", str(tmp_path / "cache"))


@dataclass
class Counted:
    """Another reader's images, and how often one was read."""

    reader: FileReader
    reads: int = 0
    mark: str = ""

    def __len__(self) -> int:
        return len(self.reader)

    def read(self, index: int) -> bytes:
        self.reads += 1
        return self.reader.read(index)

    def stamp(self) -> str:
        return self.mark


def write_files(folder: Path, count: int = 6) -> FileReader:
    folder.mkdir()
    for i in range(count):
        (folder / f"{i}.bin").write_bytes(bytes([i]) * (20 + i * 20_000))  # on both sides of SMALL_BYTES
    return FileReader(real_root(folder), tuple(f"{i}.bin" for i in range(count)))


def collection_of(reader: FileReader | Counted) -> ImageCollection:
    labels = np.arange(len(reader), dtype=np.int64) % 2
    whole = LabelledImages(reader, labels, tuple(f"k{i}" for i in range(len(reader))))
    return ImageCollection("mine", ("a", "b"), {"train": whole.take([0, 1, 2, 4]), "test": whole.take([5, 3])})


def remembered(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / "fingerprints").glob("*"))


def test_it_is_the_content_fingerprint_computed_and_remembered(tmp_path: Path) -> None:
    collection = collection_of(write_files(tmp_path / "images"))
    expected = content_fingerprint(collection, PARTS)
    assert fingerprint_of_collection(collection, PARTS) == expected
    assert fingerprint_of_collection(collection, PARTS) == expected
    assert fingerprint_of_collection(collection, ("test",)) == content_fingerprint(collection, ("test",)) != expected


def test_unchanged_files_are_not_read_again(tmp_path: Path) -> None:
    reader = Counted(write_files(tmp_path / "images"), mark="same")
    collection = collection_of(reader)
    first = fingerprint_of_collection(collection, PARTS)
    assert reader.reads == 6
    assert fingerprint_of_collection(collection, PARTS) == first
    assert reader.reads == 6


def test_a_stamp_of_files_is_taken_where_the_reader_is_of_files(tmp_path: Path) -> None:
    collection = collection_of(write_files(tmp_path / "images"))
    first = fingerprint_of_collection(collection, PARTS)
    (file,) = remembered(tmp_path)
    assert file.read_text() == first
    file.write_text("0123456789abcdef")  # only to see that it is what the next call reads
    assert fingerprint_of_collection(collection, PARTS) == "0123456789abcdef"


def test_a_changed_file_changes_the_fingerprint(tmp_path: Path) -> None:
    collection = collection_of(write_files(tmp_path / "images"))
    first = fingerprint_of_collection(collection, PARTS)
    changed = tmp_path / "images" / "3.bin"
    size, when = changed.stat().st_size, changed.stat().st_mtime_ns
    changed.write_bytes(b"x" * size)
    os.utime(changed, ns=(when + 1, when + 1))
    second = fingerprint_of_collection(collection, PARTS)
    assert second == content_fingerprint(collection, PARTS) != first


def test_other_files_of_the_same_names_sizes_and_times_are_other_images(tmp_path: Path) -> None:
    write_files(tmp_path / "first")
    write_files(tmp_path / "second")
    (tmp_path / "second" / "3.bin").write_bytes(b"x" * (tmp_path / "first" / "3.bin").stat().st_size)
    found = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        for file in folder.iterdir():
            os.utime(file, (315532800, 315532800))  # as archives have it that are made to be reproducible
        reader = FileReader(real_root(folder), tuple(f"{i}.bin" for i in range(6)))
        found.append(fingerprint_of_collection(collection_of(reader), PARTS))
        assert found[-1] == content_fingerprint(collection_of(reader), PARTS)
    assert found[0] != found[1]


def overwrite(file: Path, content: bytes) -> None:
    file.write_bytes(content)


def rename_over(file: Path, content: bytes) -> None:
    other = file.with_name("other")
    other.write_bytes(content)
    other.replace(file)


@pytest.mark.parametrize("change", [overwrite, rename_over])
def test_a_file_replaced_under_its_size_and_time_is_read_again(
    tmp_path: Path, change: Callable[[Path, bytes], None]
) -> None:
    collection = collection_of(write_files(tmp_path / "images"))
    first = fingerprint_of_collection(collection, PARTS)
    file = tmp_path / "images" / "3.bin"
    before = file.stat()
    change(file, b"x" * before.st_size)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert fingerprint_of_collection(collection, PARTS) == content_fingerprint(collection, PARTS) != first


def test_a_folder_that_a_link_was_turned_to_is_other_images(tmp_path: Path) -> None:
    write_files(tmp_path / "images")
    write_files(tmp_path / "others")
    (tmp_path / "others" / "3.bin").write_bytes(b"x" * 60_020)
    found = []
    for target in ("images", "others"):
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(target)
        reader = FileReader(real_root(tmp_path / "link"), tuple(f"{i}.bin" for i in range(6)))
        found.append(fingerprint_of_collection(collection_of(reader), PARTS))
    assert found[0] != found[1]


def test_images_read_wholly_are_not_those_remembered_of_files_that_look_untouched(tmp_path: Path) -> None:
    reader = Counted(write_files(tmp_path / "images"), mark="a file system without times of change")
    collection = collection_of(reader)
    first = fingerprint_of_collection(collection, PARTS)
    (tmp_path / "images" / "3.bin").write_bytes(b"x")
    fingerprints._read_here.clear()  # as in a process that has not read them
    assert fingerprint_of_collection(collection, PARTS) == first
    expected = content_fingerprint(collection, PARTS)
    assert fingerprint_of_collection(collection, PARTS, wholly=True) == expected != first
    assert fingerprint_of_collection(collection, PARTS) == expected  # for the next plan, too


def test_images_are_read_wholly_once_in_a_process(tmp_path: Path) -> None:
    reader = Counted(write_files(tmp_path / "images"), mark="once")
    collection = collection_of(reader)
    first = fingerprint_of_collection(collection, PARTS)
    assert fingerprint_of_collection(collection, PARTS, wholly=True) == first
    assert reader.reads == 6


def test_a_file_that_no_part_has_changes_nothing(tmp_path: Path) -> None:
    reader = write_files(tmp_path / "images")
    collection = collection_of(reader)
    fingerprint_of_collection(collection, ("test",))
    (tmp_path / "images" / "0.bin").write_bytes(b"another")
    fingerprint_of_collection(collection, ("test",))
    assert len(remembered(tmp_path)) == 1


def test_a_file_that_changes_while_it_is_read_is_not_remembered(tmp_path: Path) -> None:
    class Moving(Counted):
        def stamp(self) -> str:
            return f"after {self.reads} reads"

    collection = collection_of(Moving(write_files(tmp_path / "images")))
    assert fingerprint_of_collection(collection, PARTS) == content_fingerprint(collection, PARTS)
    assert remembered(tmp_path) == []


def test_labels_and_order_count_as_content(tmp_path: Path) -> None:
    whole = collection_of(write_files(tmp_path / "images")).part("train")
    fingerprints = {
        fingerprint_of_collection(ImageCollection("mine", names, {"train": part}), ("train",))
        for names in (("a", "b"), ("b", "a"))
        for part in (whole, whole.take([1, 0, 2, 3]), joined([whole.take([2]), whole.take([0])]))
    }
    assert len(fingerprints) == 6


def test_pixels_without_files_are_hashed_each_time(tmp_path: Path) -> None:
    @dataclass
    class Pixels:
        images: np.ndarray

        def __len__(self) -> int:
            return len(self.images)

        def read(self, index: int) -> np.ndarray:
            return self.images[index]

    images = np.zeros((3, 128, 128, 3), dtype=np.uint8)
    part = LabelledImages(Pixels(images), np.zeros(3, dtype=np.int64), ("x", "y", "z"))
    collection = ImageCollection("mine", ("a",), {"train": part})
    first = fingerprint_of_collection(collection, ("train",))
    images[1, 5, 5] = 7
    assert fingerprint_of_collection(collection, ("train",)) != first
    assert remembered(tmp_path) == []


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder would be")
    collection = collection_of(write_files(tmp_path / "images"))
    assert fingerprint_of_collection(collection, PARTS) == content_fingerprint(collection, PARTS)


def test_an_image_that_is_gone_is_named(tmp_path: Path) -> None:
    collection = collection_of(write_files(tmp_path / "images"))
    (tmp_path / "images" / "3.bin").unlink()
    with pytest.raises(DataError, match=r"3\.bin' does not exist"):
        fingerprint_of_collection(collection, PARTS)
