from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from bench.data.decoding import pixel_file, square_cache
from bench.data.decoding.decode import ToSquare
from bench.data.decoding.decode_pool import DecodingAhead, EncodedImages
from bench.data.decoding.square_cache import StoredImages, as_dataset, stored_images
from bench.data.formats.safe_paths import FileReader, real_root
from bench.data.sets.collection import PART_NAMES, ImageCollection, LabelledImages, content_fingerprint
from bench.data.sets.fingerprints import fingerprint_of_collection
from bench.errors import DataError
from bench.learn.train import train_from_scratch
from bench.suite.cell import Recipe, Settings, TrainCell


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITBENCH_CACHE", str(tmp_path / "cache"))


@dataclass
class Counted:
    """Another reader's images, and how often one was read."""

    reader: FileReader
    reads: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.reader)

    def read(self, index: int) -> bytes:
        self.reads.append(index)
        return self.reader.read(index)

    def stamp(self) -> str:
        return "same"


def write_images(folder: Path, count: int = 12) -> FileReader:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(count):
        pixels = rng.integers(0, 256, (20 + i, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    return FileReader(real_root(folder), tuple(f"{i:02d}.png" for i in range(count)))


def collection_of(reader: FileReader | Counted) -> ImageCollection:
    whole = LabelledImages(
        reader, np.arange(len(reader), dtype=np.int64) % 2, tuple(f"k{i:02d}" for i in range(len(reader)))
    )
    parts = {"train": whole.take(range(6)), "validation": whole.take([7, 6]), "test": whole.take([8, 9, 10, 11])}
    return ImageCollection("mine", ("a", "b"), parts)  # type: ignore[arg-type]


def stored_folders(tmp_path: Path) -> list[str]:
    root = tmp_path / "cache" / "decoded"
    return sorted(entry.name for entry in root.iterdir() if entry.is_dir()) if root.exists() else []


def stored(collection: ImageCollection, *parts: str, px: int = 16, processes: int = 1) -> StoredImages:
    found = stored_images(collection, parts, px, processes=processes)  # type: ignore[arg-type]
    assert isinstance(found, StoredImages)
    return found


def test_squares_are_the_whole_image_resized(tmp_path: Path) -> None:
    collection = collection_of(write_images(tmp_path / "images"))
    images = stored(collection, "validation")
    with Image.open(tmp_path / "images" / "07.png") as image:
        expected = np.asarray(image.resize((16, 16), Image.Resampling.BICUBIC))
    assert np.array_equal(images.maps[0][0], expected)
    assert images.original_sizes.tolist() == [[30, 27], [30, 26]]
    assert (len(images), images.stored_px) == (2, 16)


def test_crops_are_the_middle_at_the_shorter_side() -> None:
    wide = np.zeros((10, 30, 3), dtype=np.uint8)
    wide[:, 10:20] = [0, 200, 0]
    pixels, size = ToSquare(10, "shorter side, centre crop")(wide)
    assert size == (30, 10)
    assert (pixels == [0, 200, 0]).all()


def test_large_jpegs_keep_their_original_size_and_all_of_their_area(tmp_path: Path) -> None:
    picture = Image.new("RGB", (640, 400), (250, 0, 0))
    picture.paste((0, 0, 250), (320, 0, 640, 400))
    picture.save(tmp_path / "large.jpg", quality=95)
    pixels, size = ToSquare(16, "square")((tmp_path / "large.jpg").read_bytes())  # decoded at 1/8: 80 x 50
    assert size == (640, 400)
    assert np.abs(pixels[:, :6].astype(int) - [250, 0, 0]).max() < 12
    assert np.abs(pixels[:, 10:].astype(int) - [0, 0, 250]).max() < 12


def test_images_are_decoded_once(tmp_path: Path) -> None:
    reader = Counted(write_images(tmp_path / "images"))
    collection = collection_of(reader)
    first = stored(collection, "train")
    reads = len(reader.reads)
    assert reads == 12  # six for the fingerprint, six to decode
    assert np.array_equal(stored(collection, "train").maps[0], first.maps[0])
    assert len(reader.reads) == reads


def test_other_content_and_other_transforms_are_stored_apart(tmp_path: Path) -> None:
    collection = collection_of(write_images(tmp_path / "images"))
    stored(collection, "train")
    stored(collection, "train", px=8)
    stored_images(collection, "train", 16, resize="shorter side, centre crop")
    assert len(stored_folders(tmp_path)) == 3
    Image.new("RGB", (25, 25), "red").save(tmp_path / "images" / "03.png")
    assert (stored(collection, "train").maps[0][3] == [255, 0, 0]).all()
    assert len(stored_folders(tmp_path)) == 4


def test_several_parts_are_gathered_as_one(tmp_path: Path) -> None:
    collection = collection_of(write_images(tmp_path / "images"))
    both, train, validation = (
        stored(collection, *parts) for parts in (("train", "validation"), ("train",), ("validation",))
    )
    out = np.empty((4, 16, 16, 3), dtype=np.uint8)
    both.gather(np.array([7, 0, 6, 5]), out)
    expected = [validation.maps[0][1], train.maps[0][0], validation.maps[0][0], train.maps[0][5]]
    assert np.array_equal(out, np.stack(expected))
    assert both.original_sizes[[7, 0]].tolist() == [[30, 26], [30, 20]]
    one = np.empty((2, 16, 16, 3), dtype=np.uint8)
    train.gather(np.array([4, 2]), one)
    assert np.array_equal(one, train.maps[0][[4, 2]])


def test_processes_give_the_same_pixels_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(square_cache, "WORTH_A_PROCESS", 1)
    reader = write_images(tmp_path / "images")
    alone = stored(collection_of(reader), "train", processes=1)
    monkeypatch.setenv("VITBENCH_CACHE", str(tmp_path / "second cache"))
    together = stored(collection_of(reader), "train", processes=2)
    assert np.array_equal(alone.maps[0], together.maps[0])
    assert np.array_equal(alone.original_sizes, together.original_sizes)


def test_progress_ends_with_all_images(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    collection = collection_of(write_images(tmp_path / "images"))
    stored_images(collection, "train", 16, progress=lambda done, count: told.append((done, count)))
    assert told[-1] == (6, 6)


def test_too_many_images_are_not_stored(tmp_path: Path) -> None:
    collection = collection_of(write_images(tmp_path / "images"))
    bytes_of_train = 6 * 16 * 16 * 3
    found = stored_images(collection, ("train", "test"), 16, limit_bytes=bytes_of_train)
    assert isinstance(found, EncodedImages)
    assert found.part.keys == ("k00", "k01", "k02", "k03", "k04", "k05", "k08", "k09", "k10", "k11")
    assert stored_folders(tmp_path) == []
    assert isinstance(stored_images(collection, "train", 16, limit_bytes=bytes_of_train), StoredImages)


def test_a_maker_that_was_killed_leaves_nothing_that_is_used(tmp_path: Path) -> None:
    write_images(tmp_path / "images")
    program = (
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_square_cache import kill_in_the_middle\n"
        "kill_in_the_middle(sys.argv[1])\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, tmp_path / "images"], check=False)
    assert ended.returncode == -signal.SIGKILL
    (left,) = stored_folders(tmp_path)
    assert left.endswith(".tmp")
    collection = collection_of(FileReader(real_root(tmp_path / "images"), tuple(f"{i:02d}.png" for i in range(12))))
    assert (stored(collection, "train").maps[0].std(axis=(1, 2, 3)) > 1).all()
    (made,) = stored_folders(tmp_path)
    assert not made.endswith(".tmp")


def kill_in_the_middle(folder: str) -> None:
    class Deadly(Counted):
        def read(self, index: int) -> bytes:
            if len(self.reads) == 6 + 3:  # all for the fingerprint, half of the decoding
                os.kill(os.getpid(), signal.SIGKILL)
            return super().read(index)

    files = FileReader(real_root(Path(folder)), tuple(f"{i:02d}.png" for i in range(12)))
    stored_images(collection_of(Deadly(files)), "train", 16, processes=1)


def test_a_stored_file_that_is_cut_short_is_made_again(tmp_path: Path) -> None:
    collection = collection_of(write_images(tmp_path / "images"))
    expected = np.array(stored(collection, "train").maps[0])
    (folder,) = stored_folders(tmp_path)
    pixels = tmp_path / "cache" / "decoded" / folder / "pixels.npy"
    pixels.write_bytes(pixels.read_bytes()[:-1])
    assert np.array_equal(stored(collection, "train").maps[0], expected)


def test_a_stored_file_with_a_changed_pixel_is_made_again(tmp_path: Path) -> None:
    collection = collection_of(write_images(tmp_path / "images"))
    expected = np.array(stored(collection, "train").maps[0])
    (folder,) = stored_folders(tmp_path)
    with open(tmp_path / "cache" / "decoded" / folder / "pixels.npy", "r+b") as stream:
        stream.seek(1000)
        pixel = stream.read(1)[0]
        stream.seek(1000)
        stream.write(bytes([255 - pixel]))
    assert np.array_equal(stored(collection, "train").maps[0], expected)


def test_images_that_changed_after_they_were_fingerprinted_are_not_stored_under_it(tmp_path: Path) -> None:
    collection = collection_of(Counted(write_images(tmp_path / "images")))
    fingerprint_of_collection(collection, ("train",))
    black = Image.new("RGB", (30, 23))
    black.save(tmp_path / "images" / "03.png")  # the stamp stays the same, as on some network file systems
    with pytest.raises(DataError, match="'train' images changed while they were decoded"):
        stored_images(collection, "train", 16, processes=1)
    assert stored_folders(tmp_path) == []


def test_images_decoded_on_demand_must_stay_the_same_until_the_end(tmp_path: Path) -> None:
    collection = collection_of(write_images(tmp_path / "images"))
    images = stored_images(collection, "train", 16, limit_bytes=0)
    assert isinstance(images, EncodedImages)
    DecodingAhead(images, 4, 1).close()
    (tmp_path / "images" / "03.png").touch()  # as a backup or an indexer may do: the content counts
    DecodingAhead(images, 4, 1).close()
    Image.new("RGB", (30, 23)).save(tmp_path / "images" / "03.png")
    with pytest.raises(DataError, match="Some of 6 images changed while they were used"):
        DecodingAhead(images, 4, 1).close()


def test_two_makers_at_once_decode_once(tmp_path: Path) -> None:
    reader = Counted(write_images(tmp_path / "images"))
    collection = collection_of(reader)
    fingerprint_of_collection(collection, ("train",))  # so that only decoding is counted
    reads, together, found = len(reader.reads), threading.Barrier(2), []

    def make() -> None:
        together.wait()
        found.append(stored(collection, "train"))

    makers = [threading.Thread(target=make) for _ in range(2)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert np.array_equal(found[0].maps[0], found[1].maps[0])
    assert len(reader.reads) - reads == 6


def test_two_makers_without_locks_do_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    collection = collection_of(write_images(tmp_path / "images"))
    expected = np.array(stored(collection, "train").maps[0])
    (made,) = stored_folders(tmp_path)
    monkeypatch.setattr(pixel_file.fcntl, "flock", no_locks)
    folder = tmp_path / "cache" / "decoded" / made
    fingerprint = fingerprint_of_collection(collection, ("train",))
    wanted = square_cache._Wanted(collection, "train", fingerprint, ToSquare(16, "square"))
    square_cache._make(folder, wanted, 1, None)  # the other one was first
    assert stored_folders(tmp_path) == [made]
    assert np.array_equal(stored(collection, "train").maps[0], expected)


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    collection = collection_of(write_images(tmp_path / "images"))
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DataError, match=r"No space left for 6 decoded images of 16 px .*VITBENCH_CACHE"):
        stored(collection, "train")
    assert stored_folders(tmp_path) == []


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    collection = collection_of(write_images(tmp_path / "images"))
    (tmp_path / "cache").write_text("a file where the folder would be")
    with pytest.raises(DataError, match=r"6 decoded images of 16 px .* cannot be written to .*VITBENCH_CACHE"):
        stored(collection, "train")


def test_a_broken_image_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    collection = collection_of(write_images(tmp_path / "images"))
    (tmp_path / "images" / "02.png").write_bytes(b"no image at all")
    with pytest.raises(DataError, match=r"Image 'k02' cannot be used: .*no known image format"):
        stored(collection, "train")
    assert stored_folders(tmp_path) == []


def test_a_part_without_images_is_refused(tmp_path: Path) -> None:
    whole = collection_of(write_images(tmp_path / "images")).part("train")
    with pytest.raises(DataError, match="its 'test' part holds no images"):
        stored(ImageCollection("mine", ("a", "b"), {"test": whole.take([])}), "test")


def test_a_data_set_for_training_holds_the_centres_and_the_fingerprint_of_the_files(tmp_path: Path) -> None:
    collection = collection_of(write_images(tmp_path / "images"))
    dataset = as_dataset(collection, 8)
    assert dataset.fingerprint == content_fingerprint(collection, PART_NAMES)
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [6, 2, 4]
    assert dataset.validation.keys == ("k07", "k06")
    assert dataset.train.images.shape == (6, 8, 8, 3)
    expected, _ = ToSquare(8, "shorter side, centre crop")(collection.part("test").reader.read(0))
    assert np.array_equal(dataset.test.images[0], expected)


def test_torch_takes_a_data_set_without_a_warning_and_cannot_change_the_file(tmp_path: Path) -> None:
    collection = collection_of(write_images(tmp_path / "images"))
    for part in collection.parts.values():
        part.labels.setflags(write=False)
    dataset = as_dataset(collection, 8)
    torch.from_numpy(dataset.train.labels)  # warnings are errors here
    torch.from_numpy(dataset.train.images).fill_(7)
    assert as_dataset(collection, 8).train.images.std() > 1


def test_a_model_trains_from_scratch_on_memory_maps(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(12):  # even ones are dark, odd ones bright
        Image.new("RGB", (20, 30), (i % 2 * 200 + i,) * 3).save(folder / f"{i:02d}.png")
    collection = collection_of(FileReader(real_root(folder), tuple(f"{i:02d}.png" for i in range(12))))
    cell = TrainCell(
        metric_version=1,
        model="tiny",
        num_classes=2,
        resolution_px=8,
        dataset="mine",
        fingerprint="f" * 16,
        train_images=6,
        seed=0,
        budget_gflop=6 * 384 * 4 * 30 / 1e9,  # 30 steps
        recipe=Recipe(learning_rate=0.01, batch_size=4, validations=1),
        scored_part="test",
        device="cpu",
        settings=Settings(),
    )
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(8 * 8 * 3, 2))
    assert train_from_scratch(cell, model, as_dataset(collection, 8), macs=384).values["top1_pct"] == 100


def test_a_data_set_too_large_to_be_kept_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(square_cache, "MOST_BYTES", 1000)
    with pytest.raises(DataError, match="6 'train' images at 8 px are too many"):
        as_dataset(collection_of(write_images(tmp_path / "images")), 8)
