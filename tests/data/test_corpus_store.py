"""Corpora in the cache: one set of files for all sizes, whole or not there, drawn once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from bench.data.generated.corpora import STORED, draw_block, find_corpus, stored_corpus
from bench.errors import DataError, StoppedError

NAME = "rings-64"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VITBENCH_CACHE", str(tmp_path))
    return tmp_path


def files(cache: Path) -> list[Path]:
    return sorted(path for path in cache.rglob("*") if path.is_file() and not path.name.endswith(".lock"))


def test_what_is_stored_is_what_is_drawn(cache: Path) -> None:
    corpus = find_corpus(NAME, 32)
    images, labels = stored_corpus(corpus, "train", 300)
    assert (len(images), images.stored_px) == (300, 32)
    assert labels.tolist() == [i % 64 for i in range(300)]
    out = np.empty((3, 32, 32, 3), dtype=np.uint8)
    images.gather(np.array([0, 299, 130]), out)
    assert np.array_equal(out[0], draw_block(corpus, "train", 0)[0][0])
    assert np.array_equal(out[1], draw_block(corpus, "train", 2)[0][299 - 256])
    assert np.array_equal(out[2], draw_block(corpus, "train", 1)[0][2])


def test_a_smaller_set_is_served_by_the_files_of_a_larger_one(cache: Path) -> None:
    corpus = find_corpus(NAME, 32)
    stored_corpus(corpus, "train", STORED + 200)
    before = {file: file.stat().st_mtime_ns for file in files(cache)}
    assert len(before) == 2
    small, _ = stored_corpus(corpus, "train", 1000)
    large, _ = stored_corpus(corpus, "train", STORED + 100)
    assert {file: file.stat().st_mtime_ns for file in files(cache)} == before
    index = np.array([0, 999])
    two = [np.empty((2, 32, 32, 3), dtype=np.uint8) for _ in range(2)]
    small.gather(index, two[0])
    large.gather(index, two[1])
    assert np.array_equal(*two)


def test_a_larger_set_keeps_the_files_that_are_whole(cache: Path) -> None:
    corpus = find_corpus(NAME, 32)
    stored_corpus(corpus, "train", 200)
    first = np.load(files(cache)[0])
    grown, _ = stored_corpus(corpus, "train", 900)
    assert len(grown) == 900
    assert np.array_equal(np.load(files(cache)[0])[:200], first[:200])


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "pixel"])
def test_a_damaged_file_is_drawn_again(cache: Path, damage: str) -> None:
    corpus = find_corpus(NAME, 32)
    stored_corpus(corpus, "train", 200)
    (file,) = files(cache)
    whole = file.read_bytes()
    if damage == "other":
        np.save(file, np.zeros((256, 16, 16, 3), dtype=np.uint8))
    else:
        pixel = bytes([255 - whole[1000]])
        file.write_bytes(
            {"cut": whole[: len(whole) // 2], "empty": b"", "pixel": whole[:1000] + pixel + whole[1001:]}[damage]
        )
    stored_corpus(corpus, "train", 200)
    assert file.read_bytes() == whole


def test_progress_counts_to_the_end_and_can_stop_the_work(cache: Path) -> None:
    seen: list[tuple[int, int]] = []
    stored_corpus(find_corpus(NAME, 32), "train", 300, progress=lambda done, images: seen.append((done, images)))
    assert seen == [(128, 300), (256, 300), (300, 300)]

    def stop(done: int, images: int) -> None:
        raise StoppedError("enough")

    with pytest.raises(StoppedError):
        stored_corpus(find_corpus(NAME, 40), "train", 300, progress=stop)
    assert not any("-40px-" in str(file) for file in files(cache)), "nothing half is left"


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("VITBENCH_CACHE", str(blocked))
    with pytest.raises(DataError, match="VITBENCH_CACHE"):
        stored_corpus(find_corpus(NAME, 32), "train", 100)


def test_a_full_disk_is_said_and_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bench.data.generated.corpora.reserve_array", full)
    with pytest.raises(DataError, match=r"No space left for .* Free some"):
        stored_corpus(find_corpus(NAME, 32), "train", 100)
    assert files(cache) == []


def _draw(cache: str, count: int) -> None:
    os.environ["VITBENCH_CACHE"] = cache
    stored_corpus(find_corpus(NAME, 32), "train", count)


def test_a_killed_maker_leaves_nothing_that_is_taken_for_whole(cache: Path) -> None:
    context = multiprocessing.get_context("spawn")
    maker = context.Process(target=_draw, args=(str(cache), STORED))
    maker.start()
    deadline = time.monotonic() + 60
    while not list(cache.rglob(".*.tmp")) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert maker.pid is not None
    os.kill(maker.pid, signal.SIGKILL)
    maker.join()
    assert [file for file in files(cache) if not file.name.startswith(".")] == []
    stored_corpus(find_corpus(NAME, 32), "train", 300)
    assert not list(cache.rglob(".*.tmp")), "what it left is removed"


def test_two_processes_draw_a_file_once(cache: Path) -> None:
    context = multiprocessing.get_context("spawn")
    makers = [context.Process(target=_draw, args=(str(cache), 600)) for _ in range(2)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join(timeout=120)
        assert maker.exitcode == 0
    (file,) = files(cache)
    corpus = find_corpus(NAME, 32)
    assert np.array_equal(np.load(file)[:128], draw_block(corpus, "train", 0)[0])
