"""Files below a data root, and nothing else: every path is checked before it is opened, and folders are walked inside.

A data set is somebody else's work. A path in it that leaves the root (absolute, `..`, a link that points outside,
also in the middle) is refused; links that stay inside are fine. Pipes and devices are never opened.
"""

from __future__ import annotations

import functools
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.data.sets.class_labels import few
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

EXTENSIONS = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
)
MAX_DEPTH = 100  # folders inside one another
MAX_LINKED_FOLDERS = 100_000  # folders that link to each other can be walked in very many ways

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


# --- walking ---


@dataclass
class PassedBy:
    """What was not taken, as it is noted."""

    kinds: Counter[str] = field(default_factory=Counter)  # extension -> files that are no images
    loose: int = 0  # images in no class folder
    without_images: list[str] = field(default_factory=list)  # class folders
    litter: set[str] = field(default_factory=set)  # folders and images that were skipped, relative to the root

    def add(self, name: str) -> None:
        """Count a file that is no image."""
        self.kinds[os.path.splitext(name)[1].lower() or "no extension"] += 1

    def notes(self) -> Iterator[str]:
        if unfetched := sorted(path for path in self.litter if is_not_fetched(os.path.basename(path))):
            yield (
                f"{len(unfetched):,} files are in iCloud and not on this machine, so they are missing here: "
                f"{few([printable(path) for path in unfetched])}. Download them first."
            )
        if others := self.litter.difference(unfetched):
            names = few(sorted({printable(os.path.basename(path)) for path in others}))
            yield f"{len(others):,} folders and images that are hidden or a system's own were skipped ({names})."
        if self.kinds:
            kinds = ", ".join(f"{kind} {count:,}" for kind, count in self.kinds.most_common(5))
            yield f"{self.kinds.total():,} files that are no images were ignored ({kinds})."
        if self.loose:
            yield f"{self.loose:,} images that lie in no class folder were ignored."
        if self.without_images:
            yield f"Class folders without images: {few(self.without_images)}."


@dataclass
class FolderWalk:
    """root: a real path. Folders are named by their path relative to it; the root itself by the empty text."""

    root: str
    passed_by: PassedBy = field(default_factory=PassedBy)
    _linked: int = 0

    def images(self, folder: str) -> list[str]:
        """Paths, relative to the root, of the images anywhere below a folder, in order of their names."""
        return sorted(self._below(folder, (resolve_inside(self.root, folder),)))

    def holds_an_image(self, folder: str) -> bool:
        """Whether there is an image anywhere below a folder. What is passed by is forgotten."""
        apart = FolderWalk(self.root)
        return next(apart._below(folder, (resolve_inside(self.root, folder),)), None) is not None

    def entries(self, folder: str) -> list[os.DirEntry[str]]:
        """What lies in a folder and is no litter, in order of the names."""
        try:
            with os.scandir(resolve_inside(self.root, folder) if folder else self.root) as found:
                kept = [entry for entry in found if not self._skips(entry, folder)]
        except OSError as error:
            raise unreadable(folder, error) from None
        return sorted(kept, key=lambda entry: entry.name)

    def folders(self, folder: str) -> list[str]:
        """Names of the folders that lie in a folder, in order."""
        return [entry.name for entry in self.entries(folder) if self.is_folder(entry, joined(folder, entry.name))]

    def is_folder(self, entry: os.DirEntry[str], relative: str) -> bool:
        """Whether it is a folder or a link to one. Raises DataError for a link that leaves the root."""
        if not entry.is_symlink():
            return entry.is_dir(follow_symlinks=False)
        return os.path.isdir(resolve_inside(self.root, relative))

    def _below(self, folder: str, above: tuple[str, ...]) -> Iterator[str]:
        """above: real paths of the folders that lead here; a link to one of them would never end."""
        if len(above) > MAX_DEPTH:
            raise DataError(
                f"'{printable(folder)[:60]}...' lies under {MAX_DEPTH} folders. Take it out, or move it up."
            )
        folders = []
        for entry in self.entries(folder):
            relative = joined(folder, entry.name)
            if self.is_folder(entry, relative):
                folders.append((relative, self._real(entry, relative, above)))
            elif self._is_image(entry):
                yield relative
        for relative, real in folders:
            yield from self._below(relative, (*above, real))

    def _skips(self, entry: os.DirEntry[str], folder: str) -> bool:
        if not is_litter(entry.name):
            return False
        if entry.is_dir(follow_symlinks=False) or has_image_name(entry.name) or is_not_fetched(entry.name):
            self.passed_by.litter.add(joined(folder, entry.name))
        return True

    def _real(self, entry: os.DirEntry[str], relative: str, above: tuple[str, ...]) -> str:
        if not entry.is_symlink():
            return f"{above[-1]}/{entry.name}"
        real = resolve_inside(self.root, relative)
        self._linked += 1
        if real in above or self._linked > MAX_LINKED_FOLDERS:
            raise DataError(f"'{printable(relative)}' is a link back to a folder that it lies in. Take it out.")
        return real

    def _is_image(self, entry: os.DirEntry[str]) -> bool:
        if not has_image_name(entry.name):
            self.passed_by.add(entry.name)
            return False
        # A link to nothing stays: it is an image that is gone, and the preflight names it.
        if not entry.is_file(follow_symlinks=False) and not entry.is_symlink():
            self.passed_by.kinds["pipes and devices"] += 1
            return False
        return True


def has_image_name(name: str) -> bool:
    """Whether a file is called like an image."""
    return os.path.splitext(name)[1].lower() in EXTENSIONS


def joined(folder: str, name: str) -> str:
    """The path of what lies in a folder, relative to the root."""
    return f"{folder}/{name}" if folder else name
