"""Public data sets in the formats that their authors ship, with a few small images each."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pickle
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

SUBSET_FILE = "vitbench-subset.txt"
DSPRITES_FILE = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
IMAGENET_SYNSETS = ("n01440764", "n01443537", "n01484850")  # classes 0, 1, 2
PET_BREEDS = ("Abyssinian", "american_bulldog", "Bengal")


def encoded(value: int, form: str = "JPEG", size: tuple[int, int] = (12, 10)) -> bytes:
    """An image of one grey value."""
    stream = io.BytesIO()
    Image.new("RGB", size, (value % 256,) * 3).save(stream, form)
    return stream.getvalue()


def write_image(file: Path, value: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(encoded(value, "PNG" if file.suffix == ".png" else "JPEG"))


def call_a_subset(place: Path, reason: str = "tiny, for a test") -> None:
    place.mkdir(parents=True, exist_ok=True)
    (place / SUBSET_FILE).write_text(reason + "\n", encoding="utf-8")


def md5_of(file: Path) -> str:
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()


def write_cifar(place: Path, monkeypatch: pytest.MonkeyPatch, classes: int, per_batch: int = 20) -> None:
    """CIFAR's pickles, 10 classes in five batches or 100 in one; torchvision is told their checksums.

    Image i of a file has the value i everywhere and the label i mod classes.
    """
    from torchvision import datasets

    kind = datasets.CIFAR10 if classes == 10 else datasets.CIFAR100
    folder = place / kind.base_folder
    folder.mkdir(parents=True)
    key = "labels" if classes == 10 else "fine_labels"
    lists: dict[str, list[list[str]]] = {}
    for which in ("train_list", "test_list"):
        lists[which] = []
        for name, _ in getattr(kind, which):
            rows = np.repeat(np.arange(per_batch, dtype=np.uint8)[:, None], 3072, axis=1)
            entry = {"data": rows, key: [i % classes for i in range(per_batch)]}
            (folder / name).write_bytes(pickle.dumps(entry, protocol=2))
            lists[which].append([name, md5_of(folder / name)])
        monkeypatch.setattr(kind, which, lists[which])
    meta = kind.meta["filename"]
    names = [f"class {i}" for i in range(classes)]
    (folder / meta).write_bytes(pickle.dumps({kind.meta["key"]: names}, protocol=2))
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": md5_of(folder / meta)})


def idx_bytes(values: NDArray[np.uint8]) -> bytes:
    """An array as an IDX file: two zero bytes, 8 for unsigned bytes, the number of axes, their lengths, the values."""
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def write_idx(
    place: Path, counts: Mapping[str, int], *, classes: int = 10, first_label: int = 0, packed: bool = True
) -> None:
    """counts: what the names begin with (`train`, `t10k`, `emnist-letters-train`) -> images, of random pixels.

    Labels run from first_label through the classes, in turns.
    """
    place.mkdir(parents=True, exist_ok=True)
    for stem, count in counts.items():
        pixels = np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % classes + first_label).astype(np.uint8)
        for name, values in ((f"{stem}-images-idx3-ubyte", pixels), (f"{stem}-labels-idx1-ubyte", labels)):
            stored = idx_bytes(values)
            (place / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(stored) if packed else stored)


def write_pets(place: Path, per_breed: int = 10) -> None:
    """Images and the annotation lists, `<image> <class from 1> <species> <breed of species>`, sorted by class."""
    base = place / "oxford-iiit-pet"
    (base / "annotations").mkdir(parents=True)
    for split, numbers in (("trainval", range(1, per_breed + 1)), ("test", range(101, 101 + per_breed))):
        lines = []
        for label, breed in enumerate(PET_BREEDS, start=1):
            for number in numbers:
                write_image(base / "images" / f"{breed}_{number}.jpg", 40 * label)
                lines.append(f"{breed}_{number} {label} 1 1")
        (base / "annotations" / f"{split}.txt").write_text("\n".join(lines) + "\n")


def write_flowers(place: Path, monkeypatch: pytest.MonkeyPatch, images: int = 306) -> None:
    """jpg/image_00001.jpg ..., and the two MATLAB files; image i has class i mod 102, a third of them in each part."""
    from torchvision import datasets

    base = place / "flowers-102"
    for i in range(1, images + 1):
        write_image(base / "jpg" / f"image_{i:05d}.jpg", i)
    numbers = np.arange(1, images + 1, dtype=np.uint16)
    savemat(base / "imagelabels.mat", {"labels": ((numbers - 1) % 102 + 1).astype(np.uint8)[None]})
    third = images // 3
    ids = {"trnid": numbers[:third], "valid": numbers[third : 2 * third], "tstid": numbers[2 * third :]}
    savemat(base / "setid.mat", {name: value[None] for name, value in ids.items()})
    files = dict(datasets.Flowers102._file_dict)
    for key, name in (("label", "imagelabels.mat"), ("setid", "setid.mat")):
        files[key] = (name, md5_of(base / name))
    monkeypatch.setattr(datasets.Flowers102, "_file_dict", files)


def write_dtd(place: Path, classes: Sequence[str] = ("banded", "dotted"), per_class: int = 4) -> None:
    base = place / "dtd" / "dtd"
    (base / "labels").mkdir(parents=True)
    for at, split in enumerate(("train", "val", "test")):
        lines = [f"{name}/{name}_{at}{i:03d}.jpg" for name in classes for i in range(per_class)]
        for line in lines:
            write_image(base / "images" / line, 10 * at)
        (base / "labels" / f"{split}1.txt").write_text("\n".join(lines) + "\n")


def write_svhn(place: Path, monkeypatch: pytest.MonkeyPatch, images: int = 30) -> None:
    """X is (32, 32, 3, N), y is (N, 1) with 10 for the digit 0; image i shows the value i and the digit i mod 10."""
    from torchvision import datasets

    place.mkdir(parents=True, exist_ok=True)
    lists = dict(datasets.SVHN.split_list)
    for split in ("train", "test"):
        numbers = np.arange(images)
        pixels = np.broadcast_to(numbers.astype(np.uint8), (32, 32, 3, images))
        digits = np.where(numbers % 10 == 0, 10, numbers % 10).astype(np.uint8)
        file = place / f"{split}_32x32.mat"
        savemat(file, {"X": pixels, "y": digits[:, None]})
        lists[split] = [lists[split][0], file.name, md5_of(file)]
    monkeypatch.setattr(datasets.SVHN, "split_list", lists)


def write_sun397(place: Path, per_class: int = 10) -> None:
    base = place / "SUN397"
    names = ("/a/abbey", "/b/bow_window/indoor", "/b/bow_window/outdoor")
    for at, name in enumerate(names):
        for i in range(per_class):
            write_image(base / name[1:] / f"sun_{at}{i:03d}.jpg", 50 * at)
    (base / "ClassName.txt").write_text("\n".join(names) + "\n")


def write_class_folders(root: Path, names: Iterable[str], per_class: int) -> None:
    for at, name in enumerate(names):
        for i in range(1, per_class + 1):
            write_image(root / name / f"image_{i:04d}.jpg", 20 * at)


def write_pcam(place: Path, counts: Mapping[str, int]) -> None:
    """x is (N, 96, 96, 3), y is (N, 1, 1, 1); needs h5py."""
    import h5py

    (place / "pcam").mkdir(parents=True)
    for split, count in counts.items():
        stem = place / "pcam" / f"camelyonpatch_level_2_split_{split}"
        values = np.arange(count, dtype=np.uint8)
        with h5py.File(f"{stem}_x.h5", "w") as file:
            file["x"] = np.broadcast_to(values[:, None, None, None], (count, 96, 96, 3))
        with h5py.File(f"{stem}_y.h5", "w") as file:
            file["y"] = (values % 2)[:, None, None, None]


def write_clevr(place: Path, depths: Mapping[str, Sequence[Sequence[float]]]) -> None:
    """depths: for each of CLEVR's parts (train, val), the depths of the objects of each image."""
    base = place / "clevr" / "CLEVR_v1.0"
    (base / "scenes").mkdir(parents=True)
    for split, scenes in depths.items():
        listed = []
        for i, scene in enumerate(scenes):
            name = f"CLEVR_{split}_{i:06d}.png"
            write_image(base / "images" / split / name, i)
            things = [{"pixel_coords": [10, 20, depth], "shape": "cube"} for depth in scene]
            listed.append({"image_filename": name, "image_index": i, "objects": things})
        (base / "scenes" / f"CLEVR_{split}_scenes.json").write_text(json.dumps({"info": {}, "scenes": listed}))


def write_kitti(place: Path, objects: Sequence[Sequence[tuple[str, float]]], videos: Sequence[str]) -> None:
    """objects: kind and depth of each object of each image. videos: that of each image.

    The development kit's train_rand.txt says, for each image, a line of train_mapping.txt, counted from 1.
    """
    mapping = place / "mapping"
    mapping.mkdir(parents=True)
    (place / "training" / "label_2").mkdir(parents=True)
    for i, listed in enumerate(objects):
        write_image(place / "training" / "image_2" / f"{i:06d}.png", i)
        lines = [f"{kind} 0.00 0 -1.5 10 20 30 40 1.5 1.6 3.9 1.0 1.5 {depth} -1.6" for kind, depth in listed]
        lines.append("DontCare -1 -1 -10 5 5 9 9 -1 -1 -1 -1000 -1000 -1000 -10")
        (place / "training" / "label_2" / f"{i:06d}.txt").write_text("\n".join(lines) + "\n")
    count = len(videos)
    lines = [f"2011_09_26 {video} {i:010d}" for i, video in enumerate(reversed(videos))]
    (mapping / "train_mapping.txt").write_text("\n".join(lines) + "\n")
    (mapping / "train_rand.txt").write_text(",".join(str(count - i) for i in range(count)))


def write_retinopathy(place: Path, train: int = 10, public: int = 5, private: int = 6) -> None:
    rows: dict[str, list[tuple[str, int, str]]] = {"train": [], "test": []}
    for i in range(train):
        rows["train"].append((f"{i // 2}_{'left' if i % 2 == 0 else 'right'}", i % 5, ""))
    for i in range(public + private):
        side = "left" if i % 2 == 0 else "right"
        rows["test"].append((f"{100 + i // 2}_{side}", i % 5, "Public" if i < public else "Private"))
    for folder, listed in rows.items():
        for image, level, _ in listed:
            write_image(place / folder / f"{image}.jpeg", 30 * level)
    lines = ["image,level", *(f"{image},{level}" for image, level, _ in rows["train"])]
    (place / "trainLabels.csv").write_text("\n".join(lines) + "\n")
    lines = ["image,level,Usage", *(f"{image},{level},{usage}" for image, level, usage in rows["test"])]
    (place / "retinopathy_solution.csv").write_text("\n".join(lines) + "\n")


class Exploding:
    """Shouts when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (pytest.fail, ("a pickle inside a data file was opened",))


def write_dsprites(place: Path, images: int = 200) -> NDArray[np.uint8]:
    """The archive with imgs, latents_classes and the pickle that must never be opened. Returns the images, of 0 and 1.

    Image i has orientation i mod 40 and x position i mod 32, and i as bits in its first row.
    """
    place.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((images, 64, 64), dtype=np.uint8)
    pixels[:, 0, :16] = (np.arange(images)[:, None] >> np.arange(16)) & 1
    classes = np.zeros((images, 6), dtype=np.int64)
    classes[:, 3] = np.arange(images) % 40
    classes[:, 4] = np.arange(images) % 32
    metadata = np.empty((), dtype=object)
    metadata[()] = Exploding()
    np.savez_compressed(place / DSPRITES_FILE, imgs=pixels, latents_classes=classes, metadata=metadata)
    return pixels


def write_matrix(file: Path, values: NDArray[Any]) -> None:
    """A matrix in smallNORB's format: magic number, number of dimensions, at least three dimensions, values."""
    magic = {np.dtype("u1"): 0x1E3D4C55, np.dtype("<i4"): 0x1E3D4C54}[values.dtype]
    dimensions = [*values.shape, *[1] * (3 - values.ndim)]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(struct.pack(f"<Ii{len(dimensions)}i", magic, values.ndim, *dimensions) + values.tobytes())


def write_smallnorb(place: Path, pairs: int = 36) -> None:
    """The first image of pair i shows i, the second 255; elevation i mod 9, azimuth 2 * (i mod 18)."""
    for stem in (
        "smallnorb-5x46789x9x18x6x2x96x96-training",
        "smallnorb-5x01235x9x18x6x2x96x96-testing",
    ):
        images = np.full((pairs, 2, 96, 96), 255, dtype=np.uint8)
        numbers = np.arange(pairs)
        images[:, 0] = numbers[:, None, None]
        info = np.stack([numbers % 5, numbers % 9, 2 * (numbers % 18), numbers % 6], axis=1).astype("<i4")
        write_matrix(place / f"{stem}-dat.mat", images)
        write_matrix(place / f"{stem}-info.mat", info)
        write_matrix(place / f"{stem}-cat.mat", (numbers % 5).astype("<i4"))


def write_imagenet(place: Path, parts: Mapping[str, int]) -> None:
    """parts: `val` or `train` -> images in each of three synset folders. Image numbers run through the classes."""
    for part, per_class in parts.items():
        for at, synset in enumerate(IMAGENET_SYNSETS):
            for i in range(per_class):
                number = 1 + at + i * len(IMAGENET_SYNSETS)
                name = f"ILSVRC2012_val_{number:08d}.JPEG" if part == "val" else f"{synset}_{number}.JPEG"
                file = place / part / synset / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(encoded(number))


def write_parquet(
    file: Path,
    labels: Sequence[object],
    *,
    names: Sequence[str] = (),
    label_column: str = "label",
    with_paths: bool = False,
    row_group: int = 4,
) -> None:
    """A parquet file as the hub's `datasets` library writes it: a struct of bytes and path, and names in the metadata.

    Image i of a file shows the value 10 * i.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    images = [
        {"bytes": encoded(10 * i, "PNG"), "path": f"{file.stem}_{i}.png" if with_paths else None}
        for i in range(len(labels))
    ]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(images, kind), label_column: pa.array(list(labels))})
    features: dict[str, object] = {"image": {"_type": "Image"}}
    if names:
        features[label_column] = {"names": list(names), "_type": "ClassLabel"}
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, file, row_group_size=row_group)


def grey(raw: bytes | NDArray[np.uint8]) -> int:
    """The value of the first pixel of a stored image, as `encoded` and the writers set it."""
    pixels = np.asarray(Image.open(io.BytesIO(raw))) if isinstance(raw, bytes) else raw
    return int(pixels.reshape(-1)[0])
