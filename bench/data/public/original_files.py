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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.catalog.image_tasks import ImageTask
from bench.data.decoding.pixel_file import open_array, seal_array
from bench.data.public.local_files import files_part, image_files
from bench.data.sets.collection import ImageCollection, LabelledImages, PartName
from bench.data.sets.fingerprints import file_stamp
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

CLEVR_DISTANCE_EDGES = (8.0, 8.5, 9.0, 9.5, 10.0)  # depth of the nearest object, in the scenes' own unit
CLEVR_DISTANCE_CLASSES = ("up to 8", "8 to 8.5", "8.5 to 9", "9 to 9.5", "9.5 to 10", "over 10")
KITTI_DISTANCE_EDGES = (8.0, 20.0, 999.0)  # depth of the nearest vehicle in metres; beyond the last there is none
KITTI_DISTANCE_CLASSES = ("up to 8 m", "8 to 20 m", "over 20 m", "no vehicle")

# How a label comes from a stored value: 32 positions and 18 azimuths (0, 2, .. 34) two by two, 40 angles in 16 bins.
LABEL_RULES: Mapping[str, Callable[[NDArray[np.int64]], NDArray[np.int64]]] = {
    "": lambda value: value,
    "halves": lambda value: value // 2,
    "fortieths": lambda value: (value * 2) // 5,
}

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
        """What changes when the file does; see `bench.data.sets.fingerprints`."""
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
        """What changes when the file does; see `bench.data.sets.fingerprints`."""
        return f"{self.file} {self.shape} {self.offset} {file_stamp(os.stat(self.file))}"

    def read(self, index: int) -> NDArray[np.uint8]:
        return np.array(_mapped_at(self.stamp(), self.file, self.shape, self.offset)[index, 0])


def bin_of(value: float, edges: tuple[float, ...]) -> int:
    """How many edges lie below the value; a value on an edge belongs to the bin under it, as in task_adaptation."""
    return int(np.searchsorted(edges, value, side="left"))


def open_retinopathy(task: ImageTask, place: Path) -> ImageCollection:
    """Parts train, validation (Kaggle's public test images), test (the private ones); a patient's eyes are a group."""
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
        parts[part] = replace(found, groups=tuple(f"{folder}/{image.partition('_')[0]}" for image, _ in images))
    names = ("no retinopathy", "mild", "moderate", "severe", "proliferative")
    return ImageCollection(task.name, names, parts)


def open_clevr_distance(task: ImageTask, place: Path) -> ImageCollection:
    """Parts train and test (CLEVR's validation part); the label is the bin of the nearest object's depth."""
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


def open_kitti_distance(task: ImageTask, place: Path) -> ImageCollection:
    """Parts train, validation and test, split by video as TFDS does it; the label is the nearest vehicle's bin."""
    videos = _kitti_videos(task, place)
    labels = [_kitti_label(task, place / "training" / "label_2" / f"{i:06d}.txt") for i in range(len(videos))]
    parts: dict[PartName, LabelledImages] = {}
    for part, drawn in _draw_videos(sorted(set(videos))).items():
        index = [i for i, video in enumerate(videos) if video in drawn]
        images = files_part(
            task.name, place, [f"training/image_2/{i:06d}.png" for i in index], [labels[i] for i in index]
        )
        parts[part] = replace(images, groups=tuple(videos[i] for i in index))
    return ImageCollection(task.name, KITTI_DISTANCE_CLASSES, parts)


def open_dsprites(task: ImageTask, place: Path) -> ImageCollection:
    """One part, train. Images are unpacked once into the cache, as bits: 360 MiB.

    The archive's `metadata` is a pickle and is never touched.
    """
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


def open_smallnorb(task: ImageTask, place: Path) -> ImageCollection:
    """Parts train and test; images of the first camera."""
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
    return ImageCollection(task.name, tuple(str(i) for i in range(task.num_classes)), parts)


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
