"""Public sets that nobody serves by name, or whose labels have to be worked out: read from their original files.

Diabetic Retinopathy (Kaggle's CSV files), KITTI (label files), CLEVR distance (scene files), dSprites (.npz),
smallNORB (.mat, a format of its own), RESISC45 (class folders), DMLab (a list made by the user).
"""

from __future__ import annotations

import csv
import functools
import hashlib
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.catalog.image_tasks import ImageTask
from bench.data.collection import ImageCollection, LabelledImages, PartName
from bench.data.fingerprints import file_stamp
from bench.data.local_files import check_present, class_folders, files_part, image_files
from bench.data.pixel_file import open_array, seal_array
from bench.data.subsets import hash_order
from bench.data.torchvision_sets import check_or_fetch
from bench.data.vtab import (
    CLEVR_DISTANCE_CLASSES,
    CLEVR_DISTANCE_EDGES,
    KITTI_DISTANCE_CLASSES,
    KITTI_DISTANCE_EDGES,
    LABEL_RULES,
    bin_of,
)
from bench.errors import DataError
from bench.places import cache_root
from bench.whole_files import replacing

DSPRITES_FILE = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
DSPRITES_COLUMN = {"dsprites_orientation": 3, "dsprites_location": 4}  # of latents_classes
SNORB_COLUMN = {"snorb_elevation": 1, "snorb_azimuth": 2}  # of the info files; 0 is the instance, 3 the lighting
SNORB_STEM: Mapping[PartName, str] = {
    "train": "smallnorb-5x46789x9x18x6x2x96x96-training",
    "test": "smallnorb-5x01235x9x18x6x2x96x96-testing",
}
KITTI_VEHICLES = ("Car", "Van", "Truck")
KITTI_FIELDS = 15  # of a line of a label file
KITTI_DEPTH = 13  # the field that holds z, metres in front of the camera
TFDS_KITTI_SEED = 123
TFDS_KITTI_VIDEO_PERCENT = 10  # of the videos, for test, and as many for validation

_MATRIX_TYPES: Mapping[int, np.dtype[Any]] = {
    0x1E3D4C55: np.dtype("u1"),
    0x1E3D4C54: np.dtype("<i4"),
}  # magic numbers of smallNORB's format
_CHUNK_IMAGES = 8192


@dataclass(frozen=True)
class BitImages:
    """A reader of black and white images kept as bits: a .npy file (N, H * W / 8), uint8."""

    file: str
    side_px: int
    count: int

    def __len__(self) -> int:
        return self.count

    def stamp(self) -> str:
        """What changes when the file does; see `bench.data.fingerprints`."""
        return f"{self.file} {file_stamp(os.stat(self.file))}"

    def read(self, index: int) -> NDArray[np.uint8]:
        return np.unpackbits(_mapped(self.file)[index]).reshape(self.side_px, self.side_px) * np.uint8(255)


@dataclass(frozen=True)
class PairImages:
    """A reader of the first images of smallNORB's stereo pairs: uint8 (N, 2, H, W) at an offset in a file."""

    file: str
    shape: tuple[int, int, int, int]
    offset: int

    def __len__(self) -> int:
        return self.shape[0]

    def stamp(self) -> str:
        """What changes when the file does; see `bench.data.fingerprints`."""
        return f"{self.file} {self.shape} {self.offset} {file_stamp(os.stat(self.file))}"

    def read(self, index: int) -> NDArray[np.uint8]:
        return np.array(_mapped_at(self.stamp(), self.file, self.shape, self.offset)[index, 0])


def open_retinopathy(task: ImageTask, place: Path, download: bool) -> ImageCollection:
    """Parts train, validation (Kaggle's public test images), test (the private ones); a patient's eyes are a group."""
    del download
    check_present(task, place)
    train = [(row["image"], row["level"]) for row in _csv_rows(task, place / "trainLabels.csv", ("image", "level"))]
    rows = _csv_rows(task, place / "retinopathy_solution.csv", ("image", "level", "Usage"))
    listed: dict[PartName, tuple[str, list[tuple[str, str]]]] = {
        "train": ("train", train),
        "validation": ("test", [(row["image"], row["level"]) for row in rows if row["Usage"] == "Public"]),
        "test": ("test", [(row["image"], row["level"]) for row in rows if row["Usage"] == "Private"]),
    }
    parts: dict[PartName, LabelledImages] = {}
    for part, (folder, images) in listed.items():
        for image, level in images:
            if not level.isdecimal() or "/" in image or ".." in image:
                raise DataError(f"Data set {task.name!r}: image {image[:60]!r} with level {level[:20]!r} is no entry.")
        found = files_part(
            task.name, place, [f"{folder}/{image}.jpeg" for image, _ in images], [int(level) for _, level in images]
        )
        groups = tuple(f"{folder}/{image.partition('_')[0]}" for image, _ in images)
        parts[part] = LabelledImages(found.reader, found.labels, found.keys, groups)
    names = ("no retinopathy", "mild", "moderate", "severe", "proliferative")
    return ImageCollection(task.name, names, parts)


def open_listed(task: ImageTask, place: Path, download: bool) -> ImageCollection:
    """What labels.csv (path, label, split) lists, for a set that has no other form."""
    from bench.data.user import open_user

    check_present(task, place)
    return open_user(task.name, str(place / "labels.csv"), download=download)


def open_resisc45(task: ImageTask, place: Path, download: bool) -> ImageCollection:
    """One part, train, from NWPU-RESISC45/<class>/*.jpg."""
    del download
    check_present(task, place)
    return class_folders(task.name, place / "NWPU-RESISC45")


def open_clevr_distance(task: ImageTask, place: Path, download: bool) -> ImageCollection:
    """Parts train and test (CLEVR's validation part); the label is the bin of the nearest object's depth."""
    check_or_fetch(task, place, download, {"split": "train"})
    root = place / "clevr" / "CLEVR_v1.0"
    parts: dict[PartName, LabelledImages] = {}
    named: dict[PartName, str] = {"train": "train", "test": "val"}
    for part, split in named.items():
        file = root / "scenes" / f"CLEVR_{split}_scenes.json"
        try:
            scenes = json.loads(file.read_text(encoding="utf-8"))["scenes"]
            nearest = {
                str(scene["image_filename"]): min(float(thing["pixel_coords"][2]) for thing in scene["objects"])
                for scene in scenes
            }
        except (ValueError, LookupError, TypeError) as error:
            raise DataError(f"Data set {task.name!r}: '{file}' is no list of scenes: {str(error)[:120]}.") from None
        images = image_files(root / "images" / split)
        if lost := [image for image in images if image not in nearest]:
            raise DataError(f"Data set {task.name!r}: '{file}' has no scene for image {lost[0]!r}.")
        labels = [bin_of(nearest[image], CLEVR_DISTANCE_EDGES) for image in images]
        parts[part] = files_part(task.name, root, [f"images/{split}/{image}" for image in images], labels)
    return ImageCollection(task.name, CLEVR_DISTANCE_CLASSES, parts)


def open_kitti_distance(task: ImageTask, place: Path, download: bool) -> ImageCollection:
    """Parts train, validation and test, split by video as TFDS does it; the label is the nearest vehicle's bin."""
    del download
    check_present(task, place)
    videos = _kitti_videos(task, place)
    labels = [_kitti_label(task, place / "training" / "label_2" / f"{i:06d}.txt") for i in range(len(videos))]
    parts: dict[PartName, LabelledImages] = {}
    for part, drawn in _draw_videos(sorted(set(videos))).items():
        index = [i for i, video in enumerate(videos) if video in drawn]
        images = files_part(
            task.name, place, [f"training/image_2/{i:06d}.png" for i in index], [labels[i] for i in index]
        )
        groups = tuple(videos[i] for i in index)
        parts[part] = LabelledImages(images.reader, images.labels, images.keys, groups)
    return ImageCollection(task.name, KITTI_DISTANCE_CLASSES, parts)


def open_dsprites(task: ImageTask, place: Path, download: bool) -> ImageCollection:
    """One part, train. Images are unpacked once into the cache, as bits: 360 MiB.

    The archive's `metadata` is a pickle and is never touched.
    """
    del download
    check_present(task, place)
    file = place / DSPRITES_FILE
    try:
        with open(file, "rb") as stored, np.load(stored, allow_pickle=False) as archive:
            latents = archive["latents_classes"]
        values = latents[:, DSPRITES_COLUMN[task.reader]].astype(np.int64)
        bits, side_px = _unpacked_bits(file)
    except (OSError, ValueError, LookupError, zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"Data set {task.name!r}: '{file}' cannot be read: {str(error)[:160]}. Get it again. {task.how_to_get}"
        ) from None
    count = len(_mapped(str(bits)))
    if count != len(values):
        raise DataError(f"Data set {task.name!r}: '{file}' has {count:,} images and {len(values):,} labels.")
    images = LabelledImages(
        BitImages(str(bits), side_px, count),
        LABEL_RULES[task.hub_label_rule](values),
        tuple(f"{i:06d}" for i in range(count)),
    )
    return ImageCollection(task.name, tuple(str(i) for i in range(task.num_classes)), {"train": images})


def open_smallnorb(task: ImageTask, place: Path, download: bool) -> ImageCollection:
    """Parts train, and the official test part in two halves, validation and test; images of the first camera."""
    del download
    check_present(task, place)
    parts: dict[PartName, LabelledImages] = {}
    for part, stem in SNORB_STEM.items():
        shape, dtype, offset = _matrix_header(task, place / f"{stem}-dat.mat")
        if dtype != np.dtype("u1") or len(shape) != 4:
            raise DataError(f"Data set {task.name!r}: '{stem}-dat.mat' holds {shape} of {dtype}, not pairs of images.")
        info_shape, info_dtype, info_offset = _matrix_header(task, place / f"{stem}-info.mat")
        info = np.fromfile(place / f"{stem}-info.mat", dtype=info_dtype, offset=info_offset).reshape(info_shape)
        if len(info) != shape[0]:
            raise DataError(f"Data set {task.name!r}: '{stem}' has {shape[0]:,} images and {len(info):,} labels.")
        values = info.reshape(len(info), -1)[:, SNORB_COLUMN[task.reader]].astype(np.int64)
        reader = PairImages(str(place / f"{stem}-dat.mat"), (shape[0], shape[1], shape[2], shape[3]), offset)
        keys = tuple(f"{part}/{i:05d}" for i in range(shape[0]))
        parts[part] = LabelledImages(reader, LABEL_RULES[task.hub_label_rule](values), keys)
    return ImageCollection(task.name, tuple(str(i) for i in range(task.num_classes)), halve_test(parts))


def halve_test(parts: Mapping[PartName, LabelledImages]) -> dict[PartName, LabelledImages]:
    """smallNORB has no validation part: half of its test images, by hash order, are one, as VTAB has it."""
    test = parts["test"].take(hash_order(parts["test"].keys))
    half = len(test) // 2
    return {
        "train": parts["train"],
        "validation": test.take(np.arange(half)),
        "test": test.take(np.arange(half, len(test))),
    }


def _csv_rows(task: ImageTask, file: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    with open(file, newline="", encoding="utf-8-sig", errors="replace") as text:
        reader = csv.DictReader(text)
        if lacking := [column for column in columns if column not in (reader.fieldnames or ())]:
            raise DataError(
                f"Data set {task.name!r}: '{file}' has no column {lacking[0]!r}. Expected {', '.join(columns)}."
            )
        try:
            rows = [{column: (row[column] or "").strip() for column in columns} for row in reader]
        except csv.Error as error:
            raise DataError(f"Data set {task.name!r}: '{file}' line {reader.line_num}: {error}.") from None
    if not rows:
        raise DataError(f"Data set {task.name!r}: '{file}' lists no images.")
    return rows


def _kitti_videos(task: ImageTask, place: Path) -> list[str]:
    """The video of each training image, in the images' order, by the two files of the development kit."""
    try:
        mapping = (place / "mapping" / "train_mapping.txt").read_text(encoding="utf-8").splitlines()
        numbers = [int(text) for text in (place / "mapping" / "train_rand.txt").read_text(encoding="utf-8").split(",")]
        if min(numbers) < 1:
            raise ValueError(min(numbers))
        return [mapping[number - 1].split(" ")[1] for number in numbers]
    except (ValueError, IndexError):
        raise DataError(
            f"Data set {task.name!r}: the files in '{place / 'mapping'}' do not say which video an image is from. "
            "Unpack devkit_object.zip again."
        ) from None


def _draw_videos(videos: list[str]) -> dict[PartName, set[str]]:
    """Whole videos for each part: the same draw as TFDS's `kitti`, numpy's legacy generator with its seed."""
    generator = np.random.RandomState(TFDS_KITTI_SEED)
    count = max(1, TFDS_KITTI_VIDEO_PERCENT * len(videos) // 100)
    test = {str(video) for video in generator.choice(videos, count, replace=False)}
    rest = [video for video in videos if video not in test]
    validation = {str(video) for video in generator.choice(rest, count, replace=False)}
    return {"train": set(rest) - validation, "validation": validation, "test": test}


def _kitti_label(task: ImageTask, file: Path) -> int:
    """The bin of the nearest car's, van's or truck's depth."""
    nearest = 1000.0  # stands for none, as in task_adaptation
    try:
        for line in file.read_text(encoding="utf-8").splitlines():
            fields = line.split()
            if fields and fields[0] in KITTI_VEHICLES:
                if len(fields) != KITTI_FIELDS:
                    raise ValueError(f"{len(fields)} fields, expected {KITTI_FIELDS}")
                nearest = min(nearest, float(fields[KITTI_DEPTH]))
    except (OSError, ValueError) as error:
        raise DataError(f"Data set {task.name!r}: label file '{file}' cannot be read: {error}.") from None
    return bin_of(nearest, KITTI_DISTANCE_EDGES)


def _unpacked_bits(file: Path) -> tuple[Path, int]:
    """A .npy file (N, H * W / 8) in the cache with the images of dSprites as bits, and their side in pixels.

    `imgs` is 3 GB of bytes once unpacked, so it is read in pieces.
    """
    identity = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    with zipfile.ZipFile(file) as archive, archive.open("imgs.npy") as stored:
        np.lib.format.read_magic(stored)
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stored)
        if len(shape) != 3 or shape[1] != shape[2] or fortran or dtype != np.dtype("u1") or shape[1] % 8:
            raise ValueError(f"imgs is {shape} of {dtype}, expected square images of bytes")
        made = cache_root() / "dsprites" / f"{identity}.npy"
        if open_array(made) is not None:
            return made, shape[1]
        size = shape[1] * shape[2]
        with replacing(made, durable=False) as temporary:
            bits = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=(shape[0], size // 8))
            for start in range(0, shape[0], _CHUNK_IMAGES):
                count = min(_CHUNK_IMAGES, shape[0] - start)
                chunk = np.frombuffer(stored.read(count * size), dtype=np.uint8)
                if len(chunk) != count * size:
                    raise ValueError("imgs ends before its last image")
                bits[start : start + count] = np.packbits(chunk.reshape(count, size) != 0, axis=1)
            bits.flush()
            seal_array(temporary)
    return made, shape[1]


@functools.lru_cache(maxsize=2)
def _mapped(file: str) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = np.load(file, mmap_mode="r", allow_pickle=False)
    return found


@functools.lru_cache(maxsize=4)
def _mapped_at(stamp: str, file: str, shape: tuple[int, int, int, int], offset: int) -> NDArray[np.uint8]:
    del stamp  # another one is another file
    return np.memmap(file, dtype=np.uint8, mode="r", offset=offset, shape=shape)


def _matrix_header(task: ImageTask, file: Path) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape, type and offset of the values of a matrix in smallNORB's format.

    Little-endian integers of 32 bits: a magic number for the type, the number of dimensions, then the dimensions, at
    least three of them. Raises DataError for anything else, and for a file of another size than the header says.
    """
    with open(file, "rb") as stored:
        head = stored.read(8)
        magic, dimensions = struct.unpack("<Ii", head) if len(head) == 8 else (0, 0)
        rest = stored.read(4 * max(3, dimensions)) if 0 < dimensions <= 8 else b""
    packed = head[:2] == b"\x1f\x8b"
    if magic not in _MATRIX_TYPES or len(rest) != 4 * max(3, dimensions):
        what = "is still packed; unpack it with gunzip" if packed else "does not start like a matrix of smallNORB"
        raise DataError(f"Data set {task.name!r}: '{file}' {what}.")
    shape = struct.unpack(f"<{dimensions}i", rest[: 4 * dimensions])
    dtype, offset = _MATRIX_TYPES[magic], 8 + len(rest)
    expected = offset + int(np.prod(shape)) * dtype.itemsize
    if min(shape) < 0 or file.stat().st_size != expected:
        raise DataError(
            f"Data set {task.name!r}: '{file}' has {file.stat().st_size:,} bytes, its header says {expected:,}. "
            "Get it again."
        )
    return shape, dtype, offset
