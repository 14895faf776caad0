"""IDX files as a user's own, as catalogued sets, and as torchvision reads them."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from commands import vitbench
from numpy.typing import NDArray
from tiny_formats import call_a_subset, idx_bytes, md5_of, write_idx

from bench.catalog.image_tasks import ImageTask, find_image_task, image_tasks
from bench.data.formats.formats import open_user
from bench.data.formats.idx import IdxImages
from bench.data.public.catalogued import is_here, open_catalogued
from bench.data.sets.collection import PART_NAMES, ImageCollection, content_fingerprint
from bench.errors import AbsentDataError, DataError, RequestError

TINY = {"train": 40, "t10k": 20}
CLASSES = {"fashion_mnist": "FashionMNIST", "mnist": "MNIST", "kmnist": "KMNIST"}
PACKAGED = next(Path(folder) for folder in find_image_task("fashion_mnist").also_at if Path(folder).is_absolute())


def opened(place: Path, wanted: str = "") -> ImageCollection:
    return open_user("mine", f"idx:{place}{wanted}", download=False)


def pixels(collection: ImageCollection, part: str) -> NDArray[np.uint8]:
    reader = collection.parts[part].reader  # type: ignore[index]
    assert isinstance(reader, IdxImages)
    return reader.all()


# --- beside torchvision ---


def check_same_as_torchvision(found: ImageCollection, root: Path) -> None:
    from torchvision.datasets import FashionMNIST

    for part in ("train", "test"):
        theirs = FashionMNIST(root, train=part == "train")
        assert pixels(found, part).tobytes() == theirs.data.numpy().tobytes()
        assert found.parts[part].labels.tolist() == theirs.targets.tolist()
        assert np.array_equal(found.parts[part].reader.read(7), np.asarray(theirs[7][0]))


@pytest.mark.parametrize("packed", [True, False])
def test_images_and_labels_are_those_that_torchvision_reads(tmp_path: Path, packed: bool) -> None:
    write_idx(tmp_path / "FashionMNIST" / "raw", TINY, packed=False)  # torchvision reads plain files alone
    write_idx(tmp_path / "mine", TINY, packed=packed)
    check_same_as_torchvision(opened(tmp_path / "mine"), tmp_path)


@pytest.mark.skipif(not PACKAGED.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_all_of_fashion_mnist_is_what_torchvision_reads(tmp_path: Path) -> None:
    raw = tmp_path / "torchvision" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for file in PACKAGED.glob("*.gz"):
        (raw / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
    whole = opened(PACKAGED)
    assert {part: len(images) for part, images in whole.parts.items()} == {"train": 60_000, "test": 10_000}
    check_same_as_torchvision(whole, tmp_path / "torchvision")
    packaged = open_catalogued("fashion_mnist", root=tmp_path, spec=None, download=False)
    plain = open_catalogued("fashion_mnist", root=tmp_path, spec=str(tmp_path / "torchvision"), download=False)
    assert {part: len(images) for part, images in packaged.parts.items()} == {
        "train": 54_000,
        "validation": 6_000,
        "test": 10_000,
    }
    assert content_fingerprint(packaged, PART_NAMES) == content_fingerprint(plain, PART_NAMES)
    held_out = packaged.part("validation")
    official = [int(key.removeprefix("train/")) for key in held_out.keys]
    read = np.stack([np.asarray(held_out.reader.read(i)) for i in range(len(held_out))])
    assert np.array_equal(read, pixels(whole, "train")[official])
    assert np.array_equal(held_out.labels, whole.part("train").labels[official])


# --- a user's own ---


def test_a_plain_file_beside_a_packed_one_is_the_one_that_counts(tmp_path: Path) -> None:
    write_idx(tmp_path, TINY)
    expected = pixels(opened(tmp_path), "train")
    write_idx(tmp_path, TINY, packed=False)
    for file in tmp_path.glob("*.gz"):
        file.write_bytes(b"")
    assert np.array_equal(pixels(opened(tmp_path), "train"), expected)


def test_labels_that_begin_at_one_are_classes_of_their_own_names(tmp_path: Path) -> None:
    write_idx(tmp_path, {"emnist-letters-train": 52, "emnist-letters-test": 26}, classes=26, first_label=1)
    found = opened(tmp_path)
    assert found.class_names == tuple(str(label) for label in range(1, 27))
    assert found.part("test").labels.tolist() == list(range(26))


def test_one_of_several_sets_in_a_folder_is_named(tmp_path: Path) -> None:
    for name, classes in (("emnist-letters", 26), ("emnist-digits", 10)):
        write_idx(tmp_path, {f"{name}-train": 60, f"{name}-test": 30}, classes=classes)
    assert len(opened(tmp_path, "#emnist-letters").class_names) == 26
    for wanted in ("", "#emnist-byclass"):
        with pytest.raises(RequestError, match=r"holds .*emnist-digits.*emnist-letters.* idx:.*#emnist-digits\.$"):
            opened(tmp_path, wanted)


def test_files_without_a_sets_name_are_meant_where_none_is_named(tmp_path: Path) -> None:
    write_idx(tmp_path, TINY)
    write_idx(tmp_path, {"a-train": 8, "a-test": 4}, classes=4)
    assert len(opened(tmp_path).part("train")) == 40
    assert len(opened(tmp_path, "#a").part("train")) == 8


def test_what_a_system_left_is_no_set(tmp_path: Path) -> None:
    write_idx(tmp_path, TINY)
    (tmp_path / "._train-images-idx3-ubyte.gz").write_bytes(b"macOS")
    assert len(opened(tmp_path).part("train")) == 40


def test_a_file_that_changes_is_read_anew(tmp_path: Path) -> None:
    write_idx(tmp_path, TINY, packed=False)
    found, file = opened(tmp_path), tmp_path / "train-images-idx3-ubyte"
    file.write_bytes(idx_bytes(np.full((40, 28, 28), 7, dtype=np.uint8)))
    assert pixels(found, "train").max() == 7
    file.unlink()
    with pytest.raises(DataError, match="does not exist"):
        found.part("train").reader.read(0)


@pytest.mark.parametrize("place", ["nowhere", "empty", "empty#letters"])
def test_a_place_without_such_files_is_a_wrong_request(tmp_path: Path, place: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match="is no folder with IDX files, such as train-images"):
        opened(tmp_path / place)


def test_check_and_show_take_a_folder(tmp_path: Path) -> None:
    write_idx(tmp_path / "letters", {"emnist-letters-train": 52, "emnist-letters-test": 26}, classes=26)
    done = vitbench("data", "check", "idx:letters#emnist-letters", cwd=tmp_path)
    assert done.returncode == 0
    assert "78 images (train 52, test 26), 26 classes" in done.stdout
    done = vitbench("data", "show", "mine=idx:letters", cwd=tmp_path)
    assert done.stdout.startswith("mine.png: 40 images of 20 classes")


# --- damage ---


def repacked(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """A change of the values and header of the training images, packed again."""
    return lambda file: _overwrite(file, gzip.compress(change(gzip.decompress(file.read_bytes()))))


def stored(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """A change of the file of the training images as it lies."""
    return lambda file: _overwrite(file, change(file.read_bytes()))


def swap(first: str, second: str) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        one, other = file.with_name(first), file.with_name(second)
        held = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(held)

    return change


def _overwrite(file: Path, content: bytes) -> None:
    file.write_bytes(content)


def _folder_instead(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _link_outside(file: Path) -> None:
    outside = file.parents[1] / "outside.gz"
    file.rename(outside)
    file.symlink_to(outside)


def _label_in_test_alone(file: Path) -> None:
    write_idx(file.parent, {"t10k": 22}, classes=11)


IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
DAMAGE: Mapping[str, tuple[Callable[[Path], None], str]] = {
    "torn": (repacked(lambda raw: raw[:-5]), "announces 40 x 28 x 28 bytes and is cut off after 31,355"),
    "torn header": (repacked(lambda raw: raw[:9]), "ends within its header"),
    "torn gzip": (stored(lambda raw: raw[:-900]), "cannot be read: Compressed file ended"),
    "torn gzip header": (stored(lambda raw: raw[:3]), "cannot be read: Compressed file ended"),
    "a wrong byte": (stored(lambda raw: raw[:-8] + bytes([raw[-8] ^ 1]) + raw[-7:]), "cannot be read: CRC check"),
    "empty": (stored(lambda raw: b""), "is no IDX file: it begins with nothing"),
    "empty inside": (repacked(lambda raw: b""), "is no IDX file: it begins with nothing"),
    "a PNG": (stored(lambda raw: b"\x89PNG\r\n"), "is no IDX file: it begins with 89 50 4e 47"),
    "floats": (repacked(lambda raw: raw[:2] + b"\x0d" + raw[3:]), "holds values of type 0x0d"),
    "colour": (repacked(lambda raw: raw[:3] + b"\4" + raw[4:]), "has 4 axes where images have 3"),
    "fewer": (
        repacked(lambda raw: idx_bytes(np.ones((39, 28, 28), np.uint8))),
        "has 39 images and there are 40 labels",
    ),
    "none": (repacked(lambda raw: idx_bytes(np.ones((40, 0, 28), np.uint8))), "holds no images: it announces 40 x 0"),
    "more bytes": (repacked(lambda raw: raw + b"\0"), "goes on after the 40 x 28 x 28 bytes"),
    "another member": (stored(lambda raw: raw + raw), "goes on after the 40 x 28 x 28 bytes"),
    "bytes after gzip": (stored(lambda raw: raw + b"more"), "cannot be read: Not a gzipped file"),
    "petabytes": (repacked(lambda raw: raw[:8] + b"\xff" * 8), "at most 67,108,864 are read"),
    "swapped files": (swap(IMAGES, LABELS), "has 3 axes where labels have 1.* images and labels swapped"),
    "swapped parts": (swap(IMAGES, f"t10k{IMAGES[5:]}"), "has 20 images and there are 40 labels"),
    "a folder": (_folder_instead, "lacks the file of its images"),
    "labels alone": (Path.unlink, "lacks the file of its images"),
    "a link": (_link_outside, "link to a place outside the data folder"),
    "a label": (_label_in_test_alone, "label 10 is in the test part alone"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_one_clear_line(tmp_path: Path, damage: str) -> None:
    change, message = DAMAGE[damage]
    write_idx(tmp_path / "set", TINY)
    change(tmp_path / "set" / IMAGES)
    with pytest.raises(DataError, match=rf"Data set 'mine'.*{message}"):
        opened(tmp_path / "set")
    done = vitbench("data", "check", f"idx:{tmp_path / 'set'}", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("Error: Data set 'set'")


@pytest.mark.parametrize("announced", [(40, 28, 28), (40, 5120, 5120)])
def test_a_gzip_bomb_does_not_fill_the_memory(tmp_path: Path, announced: tuple[int, int, int]) -> None:
    """A megabyte that unpacks to a gigabyte of zeros: beyond what the header announces, or announced."""
    write_idx(tmp_path, TINY)
    header = struct.pack(">BBBBIII", 0, 0, 8, 3, *announced)
    zeros = gzip.compress(bytes(1 << 26))
    (tmp_path / IMAGES).write_bytes(gzip.compress(header) + zeros * 16)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"goes on after the 40 x 28 x 28|announces 40 x 5,120 x 5,120 bytes; at most"):
        opened(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 21


# --- catalogued ---


@pytest.fixture
def fashion(monkeypatch: pytest.MonkeyPatch) -> ImageTask:
    """The catalogued set on a machine without Debian's package, tiny: its sizes and content are those of `TINY`."""
    return _made_tiny("fashion_mnist", monkeypatch)


def _made_tiny(name: str, monkeypatch: pytest.MonkeyPatch) -> ImageTask:
    task = image_tasks()[name]
    sizes = {"train_images": 36, "validation_images": 4, "test_images": 20}
    below = tuple(folder for folder in task.also_at if not Path(folder).is_absolute())
    tiny = replace(task, also_at=below, content="", **sizes)  # type: ignore[arg-type]
    monkeypatch.setitem(image_tasks(), name, tiny)
    return tiny


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("inner", [".", "raw", "FashionMNIST/raw"])
def test_a_copy_is_found_under_the_data_root_and_where_the_user_says(
    tmp_path: Path, fashion: ImageTask, inner: str, packed: bool
) -> None:
    write_idx(tmp_path / "fashion_mnist" / inner, TINY, packed=packed)
    for root, spec in (
        (tmp_path, None),
        (tmp_path / "none", str(tmp_path / "fashion_mnist")),
        (tmp_path / "none", f"idx:{tmp_path / 'fashion_mnist' / inner}"),
    ):
        assert is_here("fashion_mnist", root=root, spec=spec)
        found = open_catalogued("fashion_mnist", root=root, spec=spec, download=False)
        assert {part: len(images) for part, images in found.parts.items()} == {"train": 36, "validation": 4, "test": 20}
        assert found.class_names[9] == "Ankle boot"


def test_a_systems_package_is_found_last(tmp_path: Path, fashion: ImageTask, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged = replace(fashion, also_at=(*fashion.also_at, str(tmp_path / "usr")))
    monkeypatch.setitem(image_tasks(), "fashion_mnist", packaged)
    write_idx(tmp_path / "usr", TINY)
    assert len(open_catalogued("fashion_mnist", root=tmp_path, spec=None, download=False).part("test")) == 20
    with pytest.raises(AbsentDataError):  # a place that the user names is that place
        open_catalogued("fashion_mnist", root=tmp_path, spec=str(tmp_path), download=False)
    (tmp_path / "fashion_mnist").mkdir()
    (tmp_path / "fashion_mnist" / "train-images-idx3-ubyte").write_bytes(b"")
    assert is_here("fashion_mnist", root=tmp_path)  # half a copy is none
    write_idx(tmp_path / "fashion_mnist", {"train": 40, "t10k": 10}, packed=False)
    with pytest.raises(DataError, match="has 10 test images, expected 20"):
        open_catalogued("fashion_mnist", root=tmp_path, spec=None, download=False)


def test_another_set_under_the_same_names_is_refused_by_its_content(
    tmp_path: Path, fashion: ImageTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_idx(tmp_path / "fashion_mnist", TINY)
    whole = opened(tmp_path / "fashion_mnist")
    digest = hashlib.sha256()
    for part in ("train", "test"):
        digest.update(pixels(whole, part).tobytes() + bytes(whole.part(part).labels.tolist()))
    monkeypatch.setitem(image_tasks(), "fashion_mnist", replace(fashion, content=digest.hexdigest()[:16]))
    found = open_catalogued("fashion_mnist", root=tmp_path, spec=None, download=False)
    assert not any("content" in note for note in found.notes)
    file = tmp_path / "fashion_mnist" / "t10k-labels-idx1-ubyte.gz"
    file.write_bytes(gzip.compress(idx_bytes((np.arange(20, dtype=np.uint8) + 1) % 10)))
    with pytest.raises(DataError, match=r"holds other images or labels than Fashion-MNIST \(content "):
        open_catalogued("fashion_mnist", root=tmp_path, spec=None, download=False)
    call_a_subset(tmp_path / "fashion_mnist")
    assert "tiny, for a test" in open_catalogued("fashion_mnist", root=tmp_path, spec=None, download=False).notes[0]


def test_a_set_whose_content_is_not_known_says_that_it_is_not_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _made_tiny("kmnist", monkeypatch)
    write_idx(tmp_path / "kmnist", TINY)
    notes = open_catalogued("kmnist", root=tmp_path, spec=None, download=False).notes
    assert any("content of this set is not checked" in note for note in notes)


@pytest.mark.parametrize(
    ("classes", "counts", "message"),
    [
        (11, {"train": 40, "t10k": 20}, r"train-labels-idx1-ubyte\.gz' has label 10, but the classes are 0 to 9"),
        (10, {"train": 20, "t10k": 40}, "has 18 train images, expected 36, 2 validation"),
    ],
)
def test_labels_beyond_the_classes_and_swapped_parts_are_refused(
    tmp_path: Path, fashion: ImageTask, classes: int, counts: Mapping[str, int], message: str
) -> None:
    write_idx(tmp_path / "fashion_mnist", counts, classes=classes)
    with pytest.raises(DataError, match=message):
        open_catalogued("fashion_mnist", root=tmp_path, spec=None, download=False)


def test_a_suite_that_lacks_the_set_says_how_to_get_it(tmp_path: Path, fashion: ImageTask) -> None:
    suite = """question = "?"
[[train]]
models = ["vit_32px_s"]
datasets = ["fashion_mnist"]
budgets_gflop = [1]
seeds = [0]
"""
    (tmp_path / "mine.toml").write_text(suite)
    done = vitbench("plan", "mine.toml", cwd=tmp_path, VITBENCH_DATA=str(tmp_path / "none"))
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("Not here: the images of 'fashion_mnist'"))
    assert "`vitbench data check fashion_mnist --download`" in line


# --- downloads ---


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The files of a folder at the address that this yields."""
    handler = partial(_Silent, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.mark.parametrize("name", CLASSES)
def test_a_set_is_fetched_once_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    from torchvision import datasets

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    _made_tiny(name, monkeypatch)
    kind, published, root = getattr(datasets, CLASSES[name]), tmp_path / "published", tmp_path / "data"
    write_idx(published, TINY)
    sums = [(file, md5_of(published / file)) for file, _ in kind.resources]
    with served(published) as address:
        monkeypatch.setattr(kind, "mirrors", [address])
        with pytest.raises(DataError, match=r"downloading .* failed: (File not found or corrupted|Error downloading)"):
            open_catalogued(name, root=root, spec=None, download=True)  # of another checksum than torchvision knows
        monkeypatch.setattr(kind, "resources", sums)
        with pytest.raises(AbsentDataError, match=f"vitbench data check {name} --download"):
            open_catalogued(name, root=tmp_path / "other", spec=None, download=False)
        fetched = open_catalogued(name, root=root, spec=None, download=True)
    again = open_catalogued(name, root=root, spec=None, download=True)  # nothing is served any more
    assert content_fingerprint(fetched, PART_NAMES) == content_fingerprint(again, PART_NAMES)
    assert np.array_equal(np.sort(fetched.part("test").labels), np.repeat(np.arange(10), 2))


def test_emnist_comes_as_one_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    _made_tiny("emnist_balanced", monkeypatch)
    files = tmp_path / "files"
    for split, classes in (("balanced", 47), ("letters", 26)):
        write_idx(files, {f"emnist-{split}-train": 400, f"emnist-{split}-test": 200}, classes=classes)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file in files.iterdir():
            archive.write(file, f"gzip/{file.name}")
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "gzip.zip").write_bytes(packed.getvalue())
    sizes = {"train_images": 360, "validation_images": 40, "test_images": 200}
    monkeypatch.setitem(image_tasks(), "emnist_balanced", replace(image_tasks()["emnist_balanced"], **sizes))  # type: ignore[arg-type]
    with served(tmp_path / "published") as address:
        monkeypatch.setattr(datasets.EMNIST, "url", f"{address}gzip.zip")
        monkeypatch.setattr(datasets.EMNIST, "md5", md5_of(tmp_path / "published" / "gzip.zip"))
        found = open_catalogued("emnist_balanced", root=tmp_path / "data", spec=None, download=True)
    assert (len(found.part("test")), found.class_names[46]) == (200, "t")
    assert len(opened(tmp_path / "data" / "emnist_balanced" / "EMNIST" / "raw", "#emnist-letters").class_names) == 26
