"""Did base and head each run its own code? Judged by where every file lies that their workers read (files_read.py).

A side's own are the files of its tree, and what is installed is nobody's. A file of the other side's tree, or of a
third checkout or copy of the repository, means that both may have run the same code, so that nothing was compared.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from bench.gate.files_read import BESIDE, COPIED, INSTALLED, top_level
from bench.gate.git import checkout_of, is_ignored, is_same_repository, tracked_files
from bench.suite.model_source import OWN_NAME

PACKAGE_ROOT = Path(__file__).resolve().parents[2]
CODE_SUFFIXES = (".py", ".so", ".pyd", ".dylib", ".dll")
PROJECT_FILES = ("pyproject.toml", "setup.cfg", "setup.py")
PROJECT_NAME = re.compile(r"""^\s*name\s*=\s*["']?([A-Za-z0-9][\w.-]*)""", re.MULTILINE)
LFS_POINTER, LFS_POINTER_BYTES = b"version https://git-lfs.github.com/spec/", 1024  # how one begins, and its most
MEND_OTHER = (
    "the two would be compared with the same code. Put it on the import path relative to the repository, or give "
    "--base-python an interpreter in which the base is installed."
)
MEND_THIRD = "what differs between base and head was not run. Install this checkout in its place (`pip install -e`)."
MEND_DATA = "the two would be compared with the same file. Open it by a path relative to the code that reads it."
MEND_POINTER = "a pointer of Git LFS in place of the file: `git lfs install` and `git lfs fetch --all` bring it."


class Read(NamedTuple):
    """A file that a worker read. module: the name it was imported under, empty for a file that was only opened."""

    module: str
    path: Path
    how: str = BESIDE

    @property
    def is_code(self) -> bool:
        return bool(self.module) or self.path.suffix in CODE_SUFFIXES

    def __str__(self) -> str:
        return f"imported '{self.module}' from {self.path}" if self.module else f"read {self.path}"


class Finding(NamedTuple):
    """problem: why it is not proven that a side ran its own code. notes: what else a reader should know."""

    problem: str | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Apart:
    """The two trees of a check of revisions, by their real paths. head: also where git is asked."""

    base: Path
    head: Path
    has_one_interpreter: bool  # then a copy of the repository that is installed there serves both sides

    def asked(self) -> dict[str, Any]:
        """What files_read.py is to look for, in a worker of either side."""
        is_the_tool = any((tree / "bench" / "__init__.py").exists() for tree in (self.base, self.head))
        return {
            "trees": [str(self.base), str(self.head)],
            "tool": None if is_the_tool else str(PACKAGE_ROOT / "bench"),
            "projects": sorted(project_names(self.head)) if self.has_one_interpreter else [],
        }

    def judge(self, label: str, own: Path, seen: Mapping[str, Any]) -> Finding:
        """What the report of a worker says. label: what the side is called. own: its tree."""
        reads = [Read(name.removeprefix(OWN_NAME), Path(path), how) for name, path, how in seen["modules"]]
        installed = [read for read in reads if read.how in (COPIED, INSTALLED)]  # nobody's, wherever it is installed
        reads = [read for read in reads if read not in installed] + [Read("", Path(path)) for path in seen["opened"]]
        reads = [read for read in reads if ".git" not in read.path.parts]  # what git keeps for itself is in no revision
        for read in reads:
            problem = self._problem(read, own)
            if problem is not None:
                return Finding(f"{label} {read}, {problem}")
        strangers = [read for read in reads if self._home(read.path) is None]
        beside = [read for read in strangers if read.module and read.how == BESIDE]
        shared = [*strangers, *(installed if self.has_one_interpreter else ())]  # the same for both sides
        copies = [*beside, *(read for read in installed if read.how == COPIED)]
        held = next(chain(held_here(copies, self._by_name), self._replaced(shared)), None)
        if held is not None:
            return Finding(f"{label} {held[0]}, while this repository holds {held[1]}: {MEND_THIRD}")
        return Finding(None, (*self._shared(beside, installed), *self._of_one_side(label, own, reads)))

    @cached_property
    def _by_name(self) -> Mapping[str, Sequence[str]]:
        """Tracked files of both trees, those of submodules too, under the last part of their paths."""
        found: dict[str, list[str]] = defaultdict(list)
        for file in sorted(tracked_files(self.head, submodules=True) | tracked_files(self.base)):
            found[file.rpartition("/")[2]].append(file)
        return found

    def _replaced(self, shared: Sequence[Read]) -> Iterator[tuple[Read, str]]:
        """What both sides read in place of a file that changed from base to head: a namesake, or a copy of either."""
        for read, file in held_here((read for read in shared if read.how == INSTALLED), self._by_name):
            if len(versions_of(file, self.base, self.head)) == 2:
                yield read, file
        for read in shared:
            for file in self._by_name.get(read.path.name, ()):
                versions = versions_of(file, self.base, self.head)
                if len(versions) == 2 and content_of(read.path) in versions - {b"", None}:
                    yield read, file

    def _problem(self, read: Read, own: Path) -> str | None:
        home = self._home(read.path)
        if home is not None and home != own and (read.is_code or not is_ignored(self.head, read.path)):
            return f"in {'head' if home == self.head else 'base'}'s tree: {MEND_OTHER if read.is_code else MEND_DATA}"
        checkout = checkout_of(read.path.parent)
        if checkout not in (None, self.base, self.head) and is_same_repository(checkout, self.head):
            return f"in another checkout of this repository: {MEND_THIRD}"
        return MEND_POINTER if home == own and not read.is_code and is_pointer(read.path) else None

    def _home(self, path: Path) -> Path | None:
        """The tree that holds the file: one may lie in the other. None for neither, and for temporary files in one."""
        temporary = (tempfile.gettempdir(), os.environ.get("TORCHINDUCTOR_CACHE_DIR"))
        scratch = [Path(os.path.realpath(place)) for place in temporary if place]
        places = [place for place in (self.base, self.head, *scratch) if path.is_relative_to(place)]
        deepest = max(places, key=lambda place: len(place.parts), default=None)
        return None if deepest in scratch else deepest

    def _shared(self, beside: Sequence[Read], installed: Sequence[Read]) -> Iterator[str]:
        """Sentences on code of neither tree: an editable package of another project, or an installed namesake."""
        for package in dict.fromkeys(top_level(read.module) for read in beside):
            first = next(read for read in beside if top_level(read.module) == package)
            yield f"'{package}' lies outside this repository ({first.path}): what changed there was not compared."
        for read, file in held_here((read for read in installed if read.how == INSTALLED), self._by_name):
            yield f"'{read.module}' is the installed one ({read.path}), and not this repository's {file}."
            return

    def _of_one_side(self, label: str, own: Path, reads: Iterable[Read]) -> Iterator[str]:
        """Sentences on files that git ignores: no revision has its own."""
        for read in reads:
            home = self._home(read.path)
            if home != self.head or (own == home and (self.base / read.path.relative_to(home)).exists()):
                continue
            if is_ignored(self.head, read.path):
                said = "and the base's tree has none" if own == home else "so that both sides have head's"
                yield f"{label} {read}: git ignores it, {said}."


def held_here(reads: Iterable[Read], by_name: Mapping[str, Sequence[str]]) -> Iterator[tuple[Read, str]]:
    """Modules of packages of which most files lie in the repository too, in one place, and their files there.

    by_name: the repository's files under the last part of their paths.
    """
    packages: dict[str, list[tuple[Read, str]]] = defaultdict(list)
    for read in reads:
        packages[top_level(read.module)].append((read, _tail(read)))
    for files in packages.values():
        roots: Counter[str] = Counter()
        for _, tail in files:
            namesakes = by_name.get(tail.rpartition("/")[2], ())
            roots.update(file[: -len(tail)] for file in namesakes if f"/{file}".endswith(f"/{tail}"))
        root, count = max(roots.items(), key=lambda item: item[1], default=("", 0))
        if 2 * count > len(files):
            yield from ((read, root + tail) for read, tail in files if root + tail in by_name.get(read.path.name, ()))


@lru_cache(maxsize=65_536)
def versions_of(file: str, *trees: Path) -> frozenset[bytes | None]:
    """What the file holds in these trees: one thing where it is the same in all."""
    return frozenset(content_of(tree / file) for tree in trees)


def content_of(file: Path) -> bytes | None:
    """A file's bytes; None for one that is not there."""
    try:
        return file.read_bytes()
    except OSError:
        return None


def _tail(read: Read) -> str:
    """The end of a module's path that says which file it is: `package/module.py`, at least a folder and a name."""
    parts = read.path.parts
    named = read.module.count(".") + 1 + (read.path.stem == "__init__")
    return "/".join(parts[-max(2, named) :])


@lru_cache(maxsize=8)
def project_names(tree: Path) -> frozenset[str]:
    """Names under which code of the checkout may be installed, out of its project files wherever they lie."""
    found: set[str] = set()
    for file in tracked_files(tree):
        if file.rpartition("/")[2] in PROJECT_FILES and (tree / file).is_file():
            found.update(PROJECT_NAME.findall((tree / file).read_text(encoding="utf-8", errors="replace")))
    return frozenset(found)


def is_pointer(file: Path) -> bool:
    """Whether a file is what git leaves in place of a large one that Git LFS has not brought."""
    try:
        return file.stat().st_size <= LFS_POINTER_BYTES and file.read_bytes().startswith(LFS_POINTER)
    except OSError:
        return False
