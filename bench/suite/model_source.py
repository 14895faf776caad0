"""Which files a user's model is made of: read off the source, without running it.

A model is identified by its own file and by all that this imports from outside installed packages. What the text does
not show (imports by computed names, files that are opened) is seen by bench.measure.user_model when the code runs, and
stands in the record beside the cell.
"""

from __future__ import annotations

import ast
import hashlib
import os
import sys
import sysconfig
import traceback
import warnings
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from importlib.machinery import EXTENSION_SUFFIXES, BuiltinImporter, FrozenImporter, ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from bench.errors import RequestError

ID_DIGITS = 16  # of a SHA-256
OWN_NAME = "vitbench_user_"  # and the file's: the module that a user's file is run as
# Every record states their versions, and bench.execute.environment what was edited in them.
STATED_PACKAGES = ("torch", "timm", "bench")
_MESSAGE_LENGTH = 300  # characters of an error's message; torch's can be pages
_BENCH = Path(__file__).resolve().parents[1]
_MODULE_SUFFIXES = (*EXTENSION_SUFFIXES, ".py")


class Import(NamedTuple):
    """`from <level dots><module> import <names>`; without names `import <module>`."""

    level: int
    module: str
    names: tuple[str, ...] = ()


def is_user_model(name: str) -> bool:
    """Whether the name has the form `path/to/file.py:function`."""
    return ".py:" in name


def file_of(model: str) -> Path:
    """The file of a name of that form."""
    return Path(model.rpartition(":")[0])


def definition_of_file(file: Path) -> str:
    """`sha256 <16 digits>` of the file, or `sha256 <16 digits> of N files` of it and all that it imports of the user's.

    Where the files lie is no part of it; under which names they are imported is.
    """
    digests = {name: sha256_of(path) for name, path in source_files(file).items()}
    if len(digests) == 1:
        return f"sha256 {digests[''][:ID_DIGITS]}"
    listed = "\n".join(f"{name} {digest}" for name, digest in sorted(digests.items()))
    return f"sha256 {hashlib.sha256(listed.encode()).hexdigest()[:ID_DIGITS]} of {len(digests)} files"


def require_definition(name: str, planned: str | None) -> None:
    """Raise RequestError if a user's model is no longer what a plan says it is."""
    found = definition_of_file(file_of(name))
    if found != planned:
        raise RequestError(
            f"The code of model {name!r} is {found}, the plan says {planned}: it changed after the plan was made. "
            "Run again."
        )


def source_files(file: Path) -> dict[str, Path]:
    """The file itself under the name "", and the name and file of every module that it imports, directly or not.

    Imports inside functions and branches count, whether or not they will run; what is installed does not.
    """
    finder = _Finder(file)
    found = {"": file}
    package = package_of(file)
    waiting = [(package, file)]
    seen = {os.path.realpath(file)}
    while waiting:
        inside, path = waiting.pop()
        for name in _imported_names(path, inside):
            module = finder.find(name)
            if module is None or module.file is None or name in found:
                continue
            if os.path.realpath(module.file) in seen:
                continue
            found[name] = module.file
            seen.add(os.path.realpath(module.file))
            is_package = module.file.name == "__init__.py"
            waiting.append((name if is_package else name.rpartition(".")[0], module.file))
    return found


def search_path(file: Path) -> tuple[list[str], list[str]]:
    """Folders that a user's file may import from, before and after Python's own.

    First its folder, as for `python net.py`, or the one that holds its package if it imports relatively; last the
    others, and the current folder.
    """
    folder, root = file.absolute().parent, _package_root(file)
    first = root if package_of(file) else folder
    return [str(first)], list(dict.fromkeys([str(folder), str(root), os.getcwd()]))


def package_of(file: Path) -> str:
    """The dotted package that a file is part of, "" for one that imports nothing relatively or has no `__init__.py`."""
    if not any(found.level for found in _imports_in(file)):
        return ""
    return ".".join(file.absolute().parent.relative_to(_package_root(file)).parts)


def _package_root(file: Path) -> Path:
    """The nearest folder above the file that is no package."""
    return next(folder for folder in file.absolute().parents if not (folder / "__init__.py").is_file())


def sha256_of(file: Path | str) -> str:
    """64 hexadecimal digits of a file's content, or of a folder's names; that it cannot be read is a content too."""
    try:
        if os.path.isdir(file):
            names = sorted(name for name in os.listdir(file) if not name.startswith((".", "__pycache__")))
            return hashlib.sha256("\n".join(names).encode()).hexdigest()
        status = os.stat(file)
        signature = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        return _sha256_of_large(str(file), signature) if status.st_size > _LARGE else _sha256(str(file))
    except OSError as error:
        return hashlib.sha256(f"cannot be read: {error.strerror}".encode()).hexdigest()


_LARGE = 2**20  # bytes; below, reading is as fast as remembering


@lru_cache(maxsize=256)
def _sha256_of_large(file: str, signature: tuple[int, ...]) -> str:
    # the change time, which nobody can set, tells apart what has the same size and time of writing
    return _sha256(file)


def _sha256(file: str) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def changed_files(model: str, files: Mapping[str, str]) -> list[str]:
    """Of files that a model was made from, path from the model's folder -> digest, those that are other ones now."""
    folder = file_of(model).parent
    return [name for name, digest in files.items() if sha256_of(folder / name)[:ID_DIGITS] != digest]


@cache
def edited_code(package: str) -> str | None:
    """`sha256 <16 digits>` of a package's Python files, if it is none that was installed but a checkout in work.

    Such a package keeps its version while it is edited. Asked once: a process runs the code that it loaded.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None or is_installed(os.path.dirname(spec.origin)):
        return None
    folder = Path(spec.origin).parent
    listed = "\n".join(
        f"{path.relative_to(folder).as_posix()} {sha256_of(path)}" for path in sorted(folder.rglob("*.py"))
    )
    return f"sha256 {hashlib.sha256(listed.encode()).hexdigest()[:ID_DIGITS]}"


@cache
def is_installed(folder: str) -> bool:
    """Whether modules in a folder are of Python, of an installed package or of this program, by its real path."""
    real = os.path.realpath(folder)
    return any(part in ("site-packages", "dist-packages") for part in Path(real).parts) or any(
        real == place or real.startswith(place + os.sep) for place in _installed_places()
    )


@cache
def _installed_places() -> frozenset[str]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return frozenset(os.path.realpath(place) for place in (*map(sysconfig.get_path, names), str(_BENCH)))


def shown(path: str | Path) -> str:
    """A path for a person: from the current folder if it lies in it."""
    absolute, here = os.path.abspath(path), os.getcwd() + os.sep
    return absolute.removeprefix(here) if absolute.startswith(here) else str(path)


def place_in_user_code(error: BaseException) -> str | None:
    """`net.py:12`, the innermost line of an error's traceback that is no installed code; None if there is none."""
    place = None
    if isinstance(error, SyntaxError) and error.filename and _is_users(error.filename):
        return f"{shown(error.filename)}:{error.lineno}"
    for frame, line in traceback.walk_tb(error.__traceback__):
        if _is_users(frame.f_code.co_filename):
            place = f"{shown(frame.f_code.co_filename)}:{line}"
    return place


def error_words(error: BaseException) -> str:
    """`net.py:12: KeyError: 'large'`, without the place where no user's code is to blame."""
    place = place_in_user_code(error)
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    message = " ".join((message or "").split())[:_MESSAGE_LENGTH].rstrip(".")
    words = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return f"{place}: {words}" if place else words


def _is_users(file: str) -> bool:
    return os.path.isfile(file) and not is_installed(os.path.dirname(os.path.abspath(file)))


class _Found(NamedTuple):
    """A module of the user's. file: None for a folder without `__init__.py`. inside: folders of its submodules."""

    file: Path | None
    inside: tuple[str, ...] = ()


class _Finder:
    """Finds modules as Python would for a user's file, without importing their packages; None for installed ones."""

    def __init__(self, file: Path) -> None:
        before, after = search_path(file)
        self._path = [*before, *(entry or os.getcwd() for entry in sys.path), *after]
        self._known: dict[str, _Found | None] = {}

    def find(self, name: str) -> _Found | None:
        if name not in self._known:
            self._known[name] = self._find(name)
        return self._known[name]

    def _find(self, name: str) -> _Found | None:
        parent, _, last = name.rpartition(".")
        if not parent:
            if name in STATED_PACKAGES or name in sys.builtin_module_names:
                return None
            return _in_folders(last, self._path) or _by_other_finders(name)
        package = self.find(parent)
        return None if package is None else _in_folders(last, package.inside)


def _in_folders(name: str, folders: list[str] | tuple[str, ...]) -> _Found | None:
    """The first module or package of that name; a folder without `__init__.py` only if there is none."""
    bare: list[str] = []
    for folder in folders:
        base = os.path.join(folder, name)
        for file, inside in ((os.path.join(base, "__init__.py"), (base,)), *((base + s, ()) for s in _MODULE_SUFFIXES)):
            if os.path.isfile(file):
                return None if is_installed(os.path.dirname(file)) else _Found(Path(file), inside)
        if os.path.isdir(base) and not is_installed(base):
            bare.append(base)
    return _Found(None, tuple(bare)) if bare else None


def _by_other_finders(name: str) -> _Found | None:
    """What the finder of an editable installation knows."""
    for finder in sys.meta_path:
        is_ours = getattr(finder, "__module__", "").startswith("bench.")
        if finder in (BuiltinImporter, FrozenImporter, PathFinder) or is_ours or not hasattr(finder, "find_spec"):
            continue
        spec: ModuleSpec | None = finder.find_spec(name, None)
        if spec is not None:
            inside = tuple(spec.submodule_search_locations or ())
            if spec.origin is None or not os.path.isfile(spec.origin):
                return _Found(None, inside) if inside and not all(map(is_installed, inside)) else None
            return None if is_installed(os.path.dirname(spec.origin)) else _Found(Path(spec.origin), inside)
    return None


def _imported_names(file: Path, package: str) -> Iterator[str]:
    """Dotted names of what may be modules, parents before children. package: that the file is part of."""
    for found in _imports_in(file):
        base = _absolute(found, package)
        if base is None:
            continue
        for name in [base, *(f"{base}.{one}".lstrip(".") for one in found.names)]:
            parts = name.split(".")
            yield from (".".join(parts[: i + 1]) for i in range(len(parts)))


def _absolute(found: Import, package: str) -> str | None:
    if not found.level:
        return found.module
    parts = package.split(".") if package else []
    if found.level > len(parts):
        return None
    return ".".join([*parts[: len(parts) - found.level + 1], *filter(None, [found.module])])


def _imports_in(file: Path) -> tuple[Import, ...]:
    if file.suffix != ".py":
        return ()
    try:
        return _imports_of(file.read_bytes())
    except OSError:
        return ()


@lru_cache(maxsize=4096)
def _imports_of(source: bytes) -> tuple[Import, ...]:
    """Every import in a source text; none in one that is no Python, which running it will tell."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return ()
    visitor = _ImportVisitor()
    visitor.visit(tree)
    return tuple(visitor.found)


class _ImportVisitor(ast.NodeVisitor):
    def __init__(self) -> None:
        self.found: list[Import] = []

    def visit_Import(self, node: ast.Import) -> None:
        self.found += [Import(0, alias.name) for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        names = tuple(alias.name for alias in node.names if alias.name != "*")
        self.found.append(Import(node.level, node.module or "", names))

    def visit_If(self, node: ast.If) -> None:
        """What only type checkers read is left out."""
        test = node.test
        if (test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")) != "TYPE_CHECKING":
            self.generic_visit(node)
            return
        for statement in node.orelse:
            self.visit(statement)

    def visit_Call(self, node: ast.Call) -> Any:
        """`importlib.import_module("name")` and `__import__("name")`."""
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        first = node.args[0] if node.args else None
        written = first.value if isinstance(first, ast.Constant) else None
        if called in ("import_module", "__import__") and isinstance(written, str):
            name = written.lstrip(".")
            self.found.append(Import(len(written) - len(name), name))
        self.generic_visit(node)
