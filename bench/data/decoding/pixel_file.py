"""Arrays of pixels in the cache: .npy files whose space is taken at once, with a checksum behind the last pixel."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.data.sets.fingerprints import file_stamp
from bench.errors import DataError
from bench.places import CACHE_VARIABLE

T = TypeVar("T")

_SEAL_BYTES = 8  # ASCII, the CRC-32 of all before it
_PIECE = 1 << 24


def reserve_array(file: Path, shape: tuple[int, ...]) -> int:
    """Make a .npy file of uint8 whose space is taken from the disk now; returns where its first pixel lies."""
    with open(file, "wb") as stream:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        stream.flush()
        offset = stream.tell()
        reserve(stream.fileno(), offset, int(np.prod(shape)))
    return offset


def reserve(descriptor: int, offset: int, count: int) -> None:
    """Take disk space. Raises OSError (ENOSPC) at once, not after an hour of decoding."""
    if hasattr(os, "posix_fallocate") and count > 0:
        os.posix_fallocate(descriptor, offset, count)
    else:  # macOS
        os.ftruncate(descriptor, offset + count)


def seal_array(file: Path) -> None:
    """Write the checksum of a file that is finished, and all of it to the disk: its name must not outlive a power cut
    that the pixels do not."""
    size = os.path.getsize(file)
    with open(file, "r+b") as stream:
        checksum = _checksum(file, size)
        stream.seek(size)
        stream.write(checksum)
        stream.flush()
        os.fsync(stream.fileno())


def open_array(file: Path) -> NDArray[np.uint8] | None:
    """The memory map of a sealed file; None for one that is not there, or not as it was sealed.

    All of it is read for that once in a process, at a gigabyte a second.
    """
    try:
        if not _is_whole(str(file), file_stamp(os.stat(file))):
            return None
        pixels: NDArray[np.uint8] = np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return pixels if pixels.dtype == np.uint8 else None


def open_or_make(
    path: Path, what: str, count: int, side: int, opened: Callable[[], T | None], make: Callable[[], None]
) -> T:
    """What `opened` gives of a file or folder of the cache, which is made before if that is None.

    Two processes that want it at once make it once. what: `Decoded images`. count, side: of the images that are made.
    Raises DataError for a disk that is full or cannot be written or read back.
    """
    if (stored := opened()) is not None:
        return stored
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _only_maker(path) as is_alone:
            if (stored := opened()) is not None:  # another process made it meanwhile
                return stored
            if is_alone:  # what is left of makers that were killed, and a folder that is there and cannot be read
                for left in path.parent.glob(f".{path.name}.*.tmp"):
                    if left.is_dir():
                        shutil.rmtree(left, ignore_errors=True)
                    else:
                        left.unlink(missing_ok=True)
                shutil.rmtree(path, ignore_errors=True)
            make()
    except OSError as error:
        raise _disk_error(path.parent, count, side, error) from None
    if (stored := opened()) is None:
        kind = "folder" if path.is_dir() else "file"
        raise DataError(f"{what} were written to '{path}' and cannot be read back. Remove that {kind}.")
    return stored


@contextlib.contextmanager
def _only_maker(path: Path) -> Iterator[bool]:
    """Wait until no other process makes this file or folder. Yields False where the file system knows no locks."""
    with open(path.with_name(f".{path.name}.lock"), "a", encoding="ascii") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX)  # the system drops it when its holder dies, however it dies
        except OSError:
            yield False
            return
        yield True


def _disk_error(root: Path, count: int, side: int, error: OSError) -> DataError:
    """What to say when images could not be written below `root`."""
    what = f"{count:,} decoded images of {side} px ({count * side**2 * 3 / 1e9:.2f} GB)"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DataError(f"No space left for {what} in '{root}'. Free some, or set {CACHE_VARIABLE} to another disk.")
    return DataError(
        f"{what} cannot be written to '{root}': {error.strerror or error}. Set {CACHE_VARIABLE} to a folder that can."
    )


@functools.lru_cache(maxsize=4096)
def _is_whole(file: str, stamp: str) -> bool:
    del stamp  # another one is another file
    size = os.path.getsize(file) - _SEAL_BYTES
    if size < 0:
        return False
    with open(file, "rb") as stream:
        stream.seek(size)
        return stream.read() == _checksum(Path(file), size)


def _checksum(file: Path, size: int) -> bytes:
    """Of the first `size` bytes."""
    found = 0
    with open(file, "rb") as stream:
        while size:
            piece = stream.read(min(size, _PIECE))
            if not piece:
                break
            found, size = zlib.crc32(piece, found), size - len(piece)
    return f"{found:08x}".encode("ascii")
