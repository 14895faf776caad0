"""Files below a data root, and nothing else: every path is checked before it is opened.

A data set is somebody else's work. A path in it that leaves the root (absolute, `..`, a link that points outside,
also in the middle) is refused; links that stay inside are fine. Pipes and devices are never opened.
"""

from __future__ import annotations

import functools
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from bench.errors import DataError

MAX_STORED_BYTES = 1 << 30  # of one image: larger than any that can be decoded, smaller than what fills a memory

_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_WINDOWS_ABSOLUTE = re.compile(r"[A-Za-z]:[\\/]|\\")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a link that leads back to itself",
}

# What systems and tools leave among images: never an image, never a class.
_LITTER = frozenset(
    (
        "@eadir", "@tmp", "@sharebin", "#recycle", "#snapshot",  # Synology
        "@recycle", "@recently-snapshot",  # QNAP
        "$recycle.bin", "recycler", "system volume information", "thumbs.db", "ehthumbs.db", "desktop.ini",  # Windows
        "__macosx", "icon\r", "network trash folder", "temporary items",  # macOS
        "lost+found", "__pycache__",
    )
)  # fmt: skip


@dataclass(frozen=True)
class FileReader:
    """Image files below a root. root: its real path, no links in it. paths: relative to it, as `inside` gives them."""

    root: str
    paths: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> bytes:
        return read_inside(self.root, self.paths[index])


def real_root(folder: Path) -> str:
    """The real path of a data root; the root itself may be a link."""
    return os.path.realpath(folder)


def inside(text: str) -> str:
    """A path as written in a data set, in its plain form: `./a//b.jpg` becomes `a/b.jpg`.

    Raises DataError for one that is absolute, has `..` in it, or is no path at all.
    """
    if not text or "\0" in text:
        raise DataError(f"{text!r} is not a path.")
    if "://" in text:
        raise DataError(f"{text!r} is an address; only files are read. Fetch it first and give a relative path.")
    if text.startswith("/") or _WINDOWS_ABSOLUTE.match(text):
        raise DataError(f"Path {text!r} is absolute, which could lie anywhere. Give it relative to the data folder.")
    steps = [step for step in text.split("/") if step not in ("", ".")]
    if ".." in steps or ".." in text.split("\\"):
        raise DataError(f"Path {text!r} has '..' in it and could leave the data folder. Give it without.")
    if not steps:
        raise DataError(f"{text!r} is not a path of a file.")
    return "/".join(steps)


def resolve_inside(root: str, relative: str) -> str:
    """The real path of `relative` (as `inside` gives it) below a real root; what it names need not exist.

    Raises DataError if a link in it, or it itself, points outside the root.
    """
    folder, _, name = relative.rpartition("/")
    path = f"{_real_folder(root, folder)}/{name}"
    if not os.path.islink(path):
        return path
    return _checked(root, relative, os.path.realpath(path))


def status_inside(root: str, relative: str) -> os.stat_result:
    """The status of the file that `read_inside` would read. Raises OSError where there is none."""
    folder, _, name = relative.rpartition("/")
    return os.stat(f"{_real_folder(root, folder)}/{name}")


def read_inside(root: str, relative: str) -> bytes:
    """The bytes of a file below a real root.

    Raises DataError for a file that is gone, may not be read, is over 1 GiB, is no ordinary file or lies outside.
    """
    descriptor = open_inside(root, relative)
    with open(descriptor, "rb", buffering=0) as file:
        try:
            size = os.fstat(descriptor).st_size
            if size > MAX_STORED_BYTES:
                raise DataError(f"File '{printable(relative)}' has {size:,} bytes; an image has at most 1 GiB.")
            return file.readall()
        except OSError as error:
            raise unreadable(relative, error) from None


def open_inside(root: str, relative: str) -> int:
    """A descriptor, open for reading, of an ordinary file below a real root. Raises DataError like `read_inside`."""
    try:
        path = resolve_inside(root, relative)
        check_ordinary(relative, os.lstat(path))  # before opening: to open a device may be to use it
        return os.open(path, _OPEN_FLAGS)
    except OSError as error:
        raise unreadable(relative, error) from None


def check_ordinary(relative: str, status: os.stat_result) -> None:
    """Raises DataError unless this is the status of an ordinary file."""
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "no ordinary file")
        raise DataError(f"'{printable(relative)}' is {kind}, not an image file.")


def unreadable(relative: str, error: OSError) -> DataError:
    """What to say of a file that the system does not give."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return DataError(f"File '{printable(relative)}' does not exist (any more).")
    return DataError(f"File '{printable(relative)}' cannot be read: {error.strerror or error}.")


def printable(text: str) -> str:
    """A file's name as text that can be printed and stored: bytes that are not UTF-8 become `\\xNN`.

    So do control characters, which would act on a terminal.
    """
    shown = text if text.isascii() else os.fsencode(text).decode("utf-8", errors="backslashreplace")
    return shown if shown.isprintable() else _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", shown)


def is_litter(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or made by a system or a tool (Dropbox's copies) for itself."""
    return name.startswith(".") or name.casefold() in _LITTER or "conflicted copy" in name


def is_not_fetched(name: str) -> bool:
    """Whether it stands for a file that is in iCloud alone: `.cat.jpg.icloud`."""
    return name.startswith(".") and name.endswith(".icloud")


@functools.lru_cache(maxsize=65536)  # a set has few folders and many files, and resolving costs more than reading
def _real_folder(root: str, folder: str) -> str:
    if not folder:
        return root
    return _checked(root, folder, os.path.realpath(os.path.join(root, folder)))


def _checked(root: str, relative: str, real: str) -> str:
    if real != root and not real.startswith(root.rstrip("/") + "/"):
        raise DataError(f"'{printable(relative)}' is, or lies behind, a link to a place outside the data folder.")
    return real
