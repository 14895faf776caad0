"""A user's model files as modules: found beside them, compiled from source, out of sight while another's are in use.

What goes into each is noted: the modules that are imported, and the files that are opened while its code runs.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import linecache
import os
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, source_from_cache, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import safetensors
import safetensors.torch

from bench.suite.model_source import OWN_NAME, is_installed, package_of, search_path, sha256_of

_SYSTEM_PLACES = ("/proc/", "/sys/", "/dev/", "/etc/", "/usr/share/")  # what is read there says nothing of a model
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class UserModules:
    """A file that was run and what it imports. module: its own. files: real path -> SHA-256 of all that went in.

    Also of files that were not there when they were asked for. What the code itself writes did not go in.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.module = ModuleType("")
        self.files: dict[str, str] = {}
        self.written: set[str] = set()
        self.names: set[str] = set()  # of modules that were imported for it
        self._modules: dict[str, ModuleType] = {}  # these, while they are out of sight
        before, after = search_path(file)
        self._path = [*before, *sys.path, *after]
        self._path_before: list[str] = []

    def is_current(self) -> bool:
        """Whether all that it was made from is still the same."""
        return all(sha256_of(path) == digest for path, digest in self.files.items())

    def enter(self) -> None:
        self._path_before = list(sys.path)
        sys.path[:] = self._path
        sys.modules.update(self._modules)

    def leave(self) -> None:
        self._modules = {name: sys.modules.pop(name) for name in self.names if name in sys.modules}
        self._path = list(sys.path)
        sys.path[:] = self._path_before


_known: dict[str, UserModules] = {}  # by absolute path
_in_use: UserModules | None = None
_watched: UserModules | None = None  # while code of a user's runs: files that are opened now belong to this model


def modules_of(file: Path) -> UserModules | None:
    """What was run of a file in this process; None if it was not, or failed."""
    return _known.get(os.path.abspath(file))


@contextlib.contextmanager
def new_modules(file: Path) -> Iterator[UserModules]:
    """A file's modules, in sight from now on and with nothing run yet; forgotten if what is done with them fails."""
    if not any(isinstance(finder, _UserFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _UserFinder())
        sys.addaudithook(_notice)
    use(None)
    made = _known[os.path.abspath(file)] = UserModules(file)
    use(made)
    try:
        yield made
    except BaseException:
        use(None)
        del _known[os.path.abspath(file)]
        raise


@contextlib.contextmanager
def watching(file: Path) -> Iterator[None]:
    """Within it, what is opened for reading belongs to the file's modules."""
    global _watched
    before, _watched = _watched, modules_of(file)
    try:
        with _safetensors_watched():
            yield
    finally:
        _watched = before


def run_file(file: Path) -> ModuleType:
    """Import the file whose modules are in sight. Raises whatever its code raises."""
    importlib.invalidate_caches()
    package = package_of(file)
    if package:
        return importlib.import_module(f"{package}.{file.stem}")
    # A name of its own: `datasets.py` must not take the place of a package that this program uses.
    module_name = f"{OWN_NAME}{re.sub(r'[^a-zA-Z0-9_]', '_', file.stem)}"
    spec = spec_from_file_location(module_name, file, loader=_FromSource(module_name, str(file.absolute())))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look their module up
    assert _in_use is not None
    _in_use.names.add(module_name)
    spec.loader.exec_module(module)
    return module


def use(model: UserModules | None) -> None:
    """Put a model's modules in sight, and those of the one before out of it."""
    global _in_use
    if _in_use is model:
        return
    if _in_use is not None:
        _in_use.leave()
    _in_use = model
    if model is not None:
        model.enter()


class _UserFinder:
    """Finds what other finders find, and has a user's modules compiled from their source.

    Compiled files are matched to sources by time and size, which an edit may leave as they were.
    """

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if _in_use is None:
            return None
        top = name.partition(".")[0]
        if top != name and top not in _in_use.names:
            return None  # a part of a package that this program has loaded
        for finder in sys.meta_path:
            if isinstance(finder, _UserFinder) or not hasattr(finder, "find_spec"):
                continue
            spec: ModuleSpec | None = finder.find_spec(name, path, target)
            if spec is not None:
                return _of_user(spec, _in_use)
        return None


def _of_user(spec: ModuleSpec, model: UserModules) -> ModuleSpec:
    """The spec, noted and changed if it is of a file of the user's."""
    if spec.origin is None or not os.path.isfile(spec.origin):
        if any(not is_installed(place) for place in spec.submodule_search_locations or ()):
            model.names.add(spec.name)
        return spec
    if not is_installed(os.path.dirname(spec.origin)):
        model.names.add(spec.name)
        model.files[os.path.realpath(spec.origin)] = sha256_of(spec.origin)
        if type(spec.loader) is SourceFileLoader:
            spec.loader = _FromSource(spec.name, spec.origin)
    return spec


class _FromSource(SourceFileLoader):
    """Reads no compiled files, and notes what it ran."""

    def get_code(self, fullname: str) -> Any:
        data = self.get_data(self.path)
        linecache.cache.pop(self.path, None)
        if _in_use is not None:
            _in_use.files[os.path.realpath(self.path)] = hashlib.sha256(data).hexdigest()
        return self.source_to_code(data, self.path)


def _notice(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: files that a user's code opens for reading and folders that it lists belong to its model."""
    if _watched is None or event not in ("open", "os.listdir", "os.scandir"):
        return
    if event != "open":
        is_import = "importlib" in sys._getframe(1).f_code.co_filename  # which looks through all folders of sys.path
        if isinstance(arguments[0], str | os.PathLike) and not is_import:
            _saw(os.fspath(arguments[0]))
        return
    path, mode, flags = arguments
    if isinstance(path, str | bytes):
        _saw(os.fsdecode(path), is_written=bool(set(mode or "") & set("wax+") or (flags or 0) & _WRITES))


def _saw(path: str, *, is_written: bool = False) -> None:
    global _watched
    model, _watched = _watched, None  # what is opened to take its digest is not the user's
    try:
        real = os.path.realpath(source_from_cache(path) if path.endswith(".pyc") else path)
        is_folder = os.path.isdir(real)
        is_of_system = real.startswith(_SYSTEM_PLACES) or is_installed(real if is_folder else os.path.dirname(real))
        if model is None or is_of_system or real in model.written:
            return
        is_there = os.path.exists(real)
        if is_written:
            model.written.add(real)
            if not is_there:
                model.files.pop(real, None)  # asked for first, and made where it was not there
        elif real not in model.files and (is_folder or os.path.isfile(real) or not is_there):
            model.files[real] = sha256_of(real)
    except (ValueError, OSError):
        return
    finally:
        _watched = model


@contextlib.contextmanager
def _safetensors_watched() -> Iterator[None]:
    """safetensors opens its files itself, unseen by audit hooks."""
    places = (safetensors, safetensors.torch)
    opened = safetensors.safe_open

    def safe_open(filename: Any, *arguments: Any, **options: Any) -> Any:
        if _watched is not None:
            _saw(os.fsdecode(filename))
        return opened(filename, *arguments, **options)

    for place in places:
        place.safe_open = safe_open  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for place in places:
            place.safe_open = opened  # type: ignore[attr-defined]
