"""Goes through the folders below a root, never out of it, and remembers what it passed by."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.data.class_labels import few
from bench.data.safe_paths import is_litter, is_not_fetched, printable, resolve_inside, unreadable
from bench.errors import DataError

EXTENSIONS = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
)
MAX_DEPTH = 100  # folders inside one another
MAX_LINKED_FOLDERS = 100_000  # folders that link to each other can be walked in very many ways


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
