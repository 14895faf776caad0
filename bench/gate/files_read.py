"""What a worker of the gate read: its modules, and the files that were opened meanwhile, by their real paths.

worker.py loads this file by its path, with any revision: it imports nothing of `bench`. What is installed
is nobody's code and left out; apart.py judges the rest.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import site
import sys
import sysconfig
from typing import Any

INSTALLED_NAMES = ("site-packages", "dist-packages")
METADATA_SUFFIXES = (".egg-info", ".dist-info")  # folders that say of a package how it was installed
# How a module was reached: past everything installed; through a link among the installed; as the installed copy of a
# project that the repository itself holds; or as any other installed package that a model asked for.
BESIDE, LINKED, COPIED, INSTALLED = "beside", "linked", "copied", "installed"


class Watch:
    """Collects what this process reads. Opened files count from the first `on` to the next `report`.

    asked: {"trees": folders that a side may call its own, "tool": where vitbench lies or null, "projects": names under
    which the repository's own code may be installed}.
    """

    def __init__(self, asked: dict[str, Any]) -> None:
        self._trees = [os.path.realpath(tree) for tree in asked["trees"]]
        self._installed = installed_places() + ([os.path.realpath(asked["tool"])] if asked["tool"] else [])
        self._copies = copies_of(asked["projects"])
        self._before = {top_level(name) for name in list(sys.modules)}
        main = getattr(sys.modules["__main__"], "__file__", None) or __file__
        beside = os.path.join(os.path.dirname(__file__), "facts.py")  # errors and torch.compile look at its source
        self._skipped = {os.path.realpath(file) for file in (__file__, main, beside)}  # head's on both sides
        self._opened: set[str] = set()
        self._is_on = False
        sys.addaudithook(self._hear)

    def on(self) -> None:
        """Remember the files that are opened from now on."""
        self._is_on = True

    def report(self) -> dict[str, Any]:
        """{"modules": [[name, path, how], ...], "opened": [path, ...]}, without what every worker has installed."""
        self._is_on = False
        modules: dict[str, list[str]] = {}
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if not isinstance(file, str) or not os.path.isabs(file):  # torch gives some of its own a bare name
                continue
            path = os.path.realpath(file)
            if not self._is_installed(path):
                modules.setdefault(path, [name, path, LINKED if self._is_part_of_installed(name, file) else BESIDE])
            elif path in self._copies:
                modules.setdefault(path, [name, path, COPIED])
            elif top_level(name) not in self._before:
                modules.setdefault(path, [name, path, INSTALLED])
        opened = {os.path.realpath(source_of(file)) for file in self._opened}
        self._opened = set()
        wanted = [path for path in opened if path not in modules and not self._is_installed(path)]
        wanted = [path for path in wanted if not os.path.dirname(path).endswith(METADATA_SUFFIXES)]
        return {
            "modules": [entry for path, entry in modules.items() if path not in self._skipped],
            "opened": sorted(path for path in wanted if path not in self._skipped and os.path.isfile(path)),
        }

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_on or event not in ("open", "ctypes.dlopen") or not isinstance(arguments[0], str | bytes):
            return
        if event == "open" and arguments[2] & os.O_WRONLY:
            return
        self._opened.add(os.path.join(os.getcwd(), os.fsdecode(arguments[0])))

    def _is_part_of_installed(self, name: str, file: str) -> bool:
        """Whether a module was found among the installed, or its package was: what torch compiles lies elsewhere."""
        package = getattr(sys.modules.get(top_level(name)), "__file__", None)
        return self._is_installed(file) or (isinstance(package, str) and self._is_installed(package))

    def _is_installed(self, path: str) -> bool:
        """Whether the deepest place that holds the file is one of installed packages: `.venv` may lie in a tree."""
        return depth(path, self._installed) > depth(path, self._trees)


def top_level(name: str) -> str:
    return name.partition(".")[0]


def depth(path: str, places: list[str]) -> int:
    """Characters of the deepest place that holds the file, 0 for none."""
    return max((len(place) for place in places if path.startswith(place + os.sep)), default=0)


def installed_places() -> list[str]:
    """Folders of the standard library and of installed packages, as the import path names them and as they are."""
    found = [*map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib"))]
    found += [*site.getsitepackages(), site.getusersitepackages()]
    found += [entry for entry in sys.path if os.path.basename(entry.rstrip(os.sep)) in INSTALLED_NAMES]
    found += [os.path.join(root, part) for root in {sys.prefix, sys.base_prefix} for part in ("bin", "etc", "share")]
    return sorted({place for one in found if one for place in (os.path.abspath(one), os.path.realpath(one))})


def copies_of(projects: list[str]) -> set[str]:
    """Real paths of the files that were installed as one of these projects; of an editable one there are few."""
    distributions = [one for name in projects for one in importlib.metadata.distributions(name=name)]
    return {os.path.realpath(str(one.locate_file(file))) for one in distributions for file in one.files or ()}


def source_of(file: str) -> str:
    """The source of a file in `__pycache__`; any other file itself."""
    try:
        return importlib.util.source_from_cache(file) if file.endswith(".pyc") else file
    except (ValueError, NotImplementedError):
        return file
