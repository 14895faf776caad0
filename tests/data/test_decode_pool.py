"""Decoding processes: what they write, and what happens when one of them, or their parent, ends."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from bench.data.decoding.decode_pool import Decoders
from bench.data.sets.collection import RawImage, raw_digest
from bench.errors import DataError

SIDE = 4
ROW_BYTES = SIDE * SIDE * 3


@dataclass(frozen=True)
class Numbered:
    """Image i is full of i; reading `deadly` ends the process that reads it, `absent` is not there."""

    count: int
    deadly: int = -1
    absent: int = -1

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> NDArray[np.uint8]:
        print("what a library says on the way", flush=True)  # noqa: T201 - must not end up among the answers
        if index == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        if index == self.absent:
            raise DataError(f"File '{index}.jpg' does not exist (any more).")
        return np.full((SIDE, SIDE, 3), index, dtype=np.uint8)


def as_it_is(raw: RawImage) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    assert isinstance(raw, np.ndarray)
    return raw, (100 + int(raw[0, 0, 0]), 50)


def decoders(reader: Numbered, file: Path, processes: int, offset: int = 0) -> Decoders:
    keys = [f"key{i}" for i in range(len(reader))]
    return Decoders(reader, as_it_is, keys, file, processes=processes, offset=offset)


@pytest.mark.parametrize("processes", [0, 1, 3])
def test_images_lie_in_the_order_asked_for_and_their_sizes_come_back(tmp_path: Path, processes: int) -> None:
    file = tmp_path / "pixels"
    file.write_bytes(bytes(7 + 60 * ROW_BYTES))
    index = np.arange(50)[::-1]
    with decoders(Numbered(50), file, processes, offset=7) as pool:
        decoded = list(pool.start(index, 10))
    rows = np.frombuffer(file.read_bytes()[7:], dtype=np.uint8).reshape(60, ROW_BYTES)
    assert rows[:, 0].tolist() == [0] * 10 + index.tolist()
    assert (rows == rows[:, :1]).all()
    assert np.concatenate([chunk.sizes for chunk in decoded]).tolist() == [[100 + i, 50] for i in index]
    digests = [digest for chunk in decoded for digest in chunk.digests]
    assert digests == [raw_digest(Numbered(50).read(i)) for i in index]


@pytest.mark.parametrize("processes", [0, 2])
def test_an_image_that_cannot_be_read_is_named_by_its_key(tmp_path: Path, processes: int) -> None:
    (tmp_path / "pixels").write_bytes(bytes(20 * ROW_BYTES))
    with (
        decoders(Numbered(20, absent=13), tmp_path / "pixels", processes) as pool,
        pytest.raises(DataError, match=r"Image 'key13' cannot be used: File '13\.jpg' does not exist"),
    ):
        list(pool.start(np.arange(20), 0))


@pytest.mark.parametrize("processes", [0, 2])
def test_a_full_disk_is_an_error_and_not_a_signal(processes: int) -> None:
    with decoders(Numbered(20), Path("/dev/full"), processes) as pool, pytest.raises(OSError) as caught:  # noqa: PT011
        list(pool.start(np.arange(20), 0))
    assert caught.value.errno == errno.ENOSPC


def test_a_process_that_dies_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "pixels").write_bytes(bytes(40 * ROW_BYTES))
    started = time.monotonic()
    with (
        decoders(Numbered(40, deadly=20), tmp_path / "pixels", 2) as pool,
        pytest.raises(DataError, match="was killed, most often by the system when memory runs out"),
    ):
        list(pool.start(np.arange(40), 0))
    assert time.monotonic() - started < 5


def test_no_process_is_left_when_the_block_ends(tmp_path: Path) -> None:
    (tmp_path / "pixels").write_bytes(bytes(40 * ROW_BYTES))
    before = set(psutil.Process().children(recursive=True))
    with decoders(Numbered(40), tmp_path / "pixels", 2) as pool:
        next(pool.start(np.arange(40), 0))
        assert len(set(psutil.Process().children(recursive=True)) - before) == 2
    assert set(psutil.Process().children(recursive=True)) == before


def test_processes_end_with_a_parent_that_is_killed_and_remove_the_scratch_file(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.write_bytes(bytes(40 * ROW_BYTES))
    program = (
        "import sys, time, pathlib, numpy as np\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_decode_pool import Numbered, as_it_is\n"
        "from bench.data.decoding.decode_pool import Decoders\n"
        "pool = Decoders(Numbered(40), as_it_is, ['k'] * 40, pathlib.Path(sys.argv[1]), processes=2, scratch=True)\n"
        "list(pool.start(np.arange(40), 0))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, scratch], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        children = psutil.Process(parent.pid).children()
        parent.kill()
    assert len(children) == 2
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert not scratch.exists()
