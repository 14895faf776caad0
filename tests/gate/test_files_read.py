"""What a worker reports of itself: real paths, without what is installed."""

from __future__ import annotations

import importlib
import os
import py_compile
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bench.gate.files_read import BESIDE, COPIED, INSTALLED, LINKED, Watch

Look = Callable[[], dict[str, Any]]


def watch(*trees: Path, tool: Path | None = None, projects: tuple[str, ...] = ()) -> Watch:
    return Watch({"trees": list(map(str, trees)), "tool": tool and str(tool), "projects": list(projects)})


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Writes a package and puts its folder on the import path, both gone after the test."""

    def write(folder: str, package: str) -> Path:
        file = tmp_path / folder / package / "__init__.py"
        file.parent.mkdir(parents=True)
        file.touch()
        monkeypatch.syspath_prepend(str(tmp_path / folder))
        monkeypatch.setitem(sys.modules, package, ModuleType("placeholder"))  # so that it is taken away
        del sys.modules[package]
        return file

    return write


def modules_of(one: Watch, name: str) -> list[list[str]]:
    importlib.import_module(name)
    return [entry for entry in one.report()["modules"] if entry[0] == name]


def test_a_module_beside_what_is_installed_is_reported(place: Callable[[str, str], Path], tmp_path: Path) -> None:
    file = place("elsewhere", "beside_pkg")
    assert modules_of(watch(tmp_path / "tree"), "beside_pkg") == [["beside_pkg", str(file), BESIDE]]


def test_a_link_among_installed_packages_is_followed(
    place: Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "farm" / "site-packages").mkdir(parents=True)
    file = place("tree", "linked_pkg")
    sys.path.remove(str(tmp_path / "tree"))
    (tmp_path / "farm" / "site-packages" / "linked_pkg").symlink_to(file.parent)
    monkeypatch.syspath_prepend(str(tmp_path / "farm" / "site-packages"))
    assert modules_of(watch(tmp_path / "tree"), "linked_pkg") == [["linked_pkg", str(file), LINKED]]


def test_an_installed_package_inside_a_tree_is_nobody_s(place: Callable[[str, str], Path], tmp_path: Path) -> None:
    place(".venv/lib/site-packages", "installed_pkg")
    one = watch(tmp_path)
    assert [how for *_, how in modules_of(one, "installed_pkg")] == [INSTALLED]  # asked for by the model
    assert modules_of(watch(tmp_path), "installed_pkg") == []  # there before the model was


def test_what_says_how_a_package_was_installed_is_no_file_that_a_side_read(tmp_path: Path) -> None:
    metadata, data = tmp_path / "checkout" / "some_pkg.egg-info" / "entry_points.txt", tmp_path / "data.txt"
    metadata.parent.mkdir(parents=True)
    one = watch(tmp_path / "tree")
    for file in (metadata, data):
        file.write_text("")
    one.on()
    for file in (metadata, data):
        file.read_text()
    assert one.report()["opened"] == [str(data)]


def test_a_repository_whose_path_holds_the_word_is_not_installed(
    place: Callable[[str, str], Path], tmp_path: Path
) -> None:
    file = place("site-packages-study/dist-packages/repository", "worded_pkg")
    assert modules_of(watch(file.parents[1]), "worded_pkg") == [["worded_pkg", str(file), BESIDE]]


def test_the_installed_copy_of_the_repository_s_own_project_is_reported(
    place: Callable[[str, str], Path], tmp_path: Path
) -> None:
    file = place("site-packages", "copied_pkg")
    metadata = tmp_path / "site-packages" / "copied_project-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: copied-project\nVersion: 1\n")
    (metadata / "RECORD").write_text("copied_pkg/__init__.py,,\n")
    one = watch(tmp_path / "tree", projects=("Copied_Project", "of-no-such-name"))
    assert modules_of(one, "copied_pkg") == [["copied_pkg", str(file), COPIED]]


def test_where_vitbench_lies_is_installed(place: Callable[[str, str], Path], tmp_path: Path) -> None:
    file = place("tree/tools", "tool_pkg")
    assert [how for *_, how in modules_of(watch(tmp_path / "tree", tool=file.parent), "tool_pkg")] == [INSTALLED]


def test_files_that_are_opened_to_read_are_reported_by_their_real_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real.json").touch()
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    (tmp_path / "before.json").touch()
    one = watch(tmp_path)
    (tmp_path / "before.json").read_text()
    one.on()
    Path("link.json").read_text()  # relative, and through a link
    (tmp_path / "written.txt").write_text("")
    os.close(os.open(tmp_path, os.O_RDONLY))  # a folder
    opened = [path for path in one.report()["opened"] if path.startswith(str(tmp_path))]
    assert opened == [str(tmp_path / "real.json")]
    one.on()
    assert not [path for path in one.report()["opened"] if path.startswith(str(tmp_path))]


def test_compiled_python_stands_for_its_source(tmp_path: Path) -> None:
    """A model's file is in no sys.modules, and from the second time on its cache alone is read."""
    source = tmp_path / "net.py"
    source.touch()
    cache = py_compile.compile(str(source))
    one = watch(tmp_path)
    one.on()
    Path(str(cache)).read_bytes()
    assert str(source) in one.report()["opened"]
