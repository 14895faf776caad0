"""The arrows between folders, and how long a module, a function and a folder may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"
FOLDERS = sorted(path.name for path in BENCH.iterdir() if path.is_dir() and path.name != "__pycache__")
MODULES = sorted(BENCH.rglob("*.py"))
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 70
MAX_FOLDER_MODULES = 22

# What each folder may import, beside the modules that stand in bench/ itself. Every arrow points up the list.
MAY_IMPORT = {
    "catalog": set[str](),
    "suite": {"catalog"},
    "store": {"catalog", "suite"},
    "data": {"catalog", "suite", "store"},
    "measure": {"catalog", "suite", "store", "data"},
    "learn": {"catalog", "suite", "store", "data", "measure"},
    "execute": {"catalog", "suite", "store", "data", "measure", "learn"},
    "analyse": {"catalog", "suite", "store"},
    "report": {"catalog", "suite", "store", "analyse"},
    "gate": {"catalog", "suite", "store", "measure"},
    "inspect": {"catalog", "suite", "store", "data", "measure"},
    "cli": set(FOLDERS) - {"cli"},
}

# gate/worker.py runs in the tree of either side, and asks that side's code for the conditions it runs under.
EXCEPTIONS = {("gate/worker.py", "execute")}


def imported_folders(module: Path) -> Iterator[tuple[str, int]]:
    """Folders of bench/ that a module imports from anywhere in it, with the line."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        parts = [name.split(".") for name in names]
        for folder in {part[1] for part in parts if part[0] == "bench" and len(part) > 1 and part[1] in FOLDERS}:
            yield folder, node.lineno


def test_every_folder_says_what_it_may_import() -> None:
    assert sorted(MAY_IMPORT) == FOLDERS


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_imports_only_what_it_may(folder: str) -> None:
    wrong = [
        f"{module.relative_to(BENCH)}:{line} imports {other}"
        for module in (BENCH / folder).rglob("*.py")
        for other, line in imported_folders(module)
        if other != folder
        and other not in MAY_IMPORT[folder]
        and (str(module.relative_to(BENCH)), other) not in EXCEPTIONS
    ]
    assert wrong == []


def test_the_modules_of_bench_itself_import_no_folder() -> None:
    wrong = [
        f"{module.name} imports {other}"
        for module in BENCH.glob("*.py")
        if module.name not in ("__main__.py", "__init__.py")
        for other, _ in imported_folders(module)
    ]
    assert wrong == []


def test_the_arrows_have_no_cycle() -> None:
    order: list[str] = []
    while len(order) < len(MAY_IMPORT):
        free = [folder for folder, may in MAY_IMPORT.items() if folder not in order and may <= set(order)]
        assert free, f"a cycle among {sorted(set(MAY_IMPORT) - set(order))}"
        order += free


def test_no_module_is_long() -> None:
    long = {
        str(path.relative_to(BENCH)): lines
        for path in MODULES
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MAX_MODULE_LINES
    }
    assert long == {}


def test_no_function_is_long() -> None:
    long = {
        f"{path.relative_to(BENCH)}:{node.name}": node.end_lineno - node.lineno + 1
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    }
    assert long == {}


def test_no_folder_holds_more_modules_than_a_reader_scans() -> None:
    counts = {folder: len(list(folder.glob("*.py"))) for folder in {path.parent for path in MODULES}}
    assert {str(folder.relative_to(BENCH)): n for folder, n in counts.items() if n > MAX_FOLDER_MODULES} == {}
