"""Which files a user's model is made of, from the text of its file alone."""

from __future__ import annotations

import hashlib
import os
import sys
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from bench.suite.model_source import (
    changed_files,
    definition_of_file,
    edited_code,
    error_words,
    is_installed,
    source_files,
)


def write(folder: Path, **files: str) -> Path:
    """Files by name, `__` for a slash: `pkg__init` is `pkg/__init__.py`. The first one is returned."""
    paths = [folder / f"{name.replace('__', '/').replace('/init', '/__init__')}.py" for name in files]
    for path, text in zip(paths, files.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return paths[0]


def test_a_file_that_imports_nothing_of_its_own_is_identified_by_itself(tmp_path: Path) -> None:
    file = write(tmp_path, net="import torch\nfrom torch import nn\nimport json, timm.layers\n", unused="x = 1\n")
    assert definition_of_file(file) == f"sha256 {hashlib.sha256(file.read_bytes()).hexdigest()[:16]}"


def test_an_edit_of_a_module_that_is_imported_changes_the_definition(tmp_path: Path) -> None:
    file = write(tmp_path, net="from layers import WIDTH\n", layers="import deeper\nWIDTH = 16\n", deeper="X = 1\n")
    before = definition_of_file(file)
    assert before.endswith(" of 3 files")
    deeper = tmp_path / "deeper.py"
    times = deeper.stat()
    deeper.write_text("X = 2\n")  # of the same length
    os.utime(deeper, ns=(times.st_atime_ns, times.st_mtime_ns))  # as rsync -t and tar leave it
    assert definition_of_file(file) != before
    deeper.write_text("X = 1\n")
    assert definition_of_file(file) == before


def test_where_the_files_lie_is_no_part_of_the_definition(tmp_path: Path) -> None:
    files = {"net": "import layers\n", "layers": "W = 1\n"}
    first, second = (write(tmp_path / place, **files) for place in ("here", "there"))
    assert definition_of_file(first) == definition_of_file(second)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import a.b.c", {"a", "a.b", "a.b.c"}),
        ("import a.b as x", {"a", "a.b"}),
        ("from a import b", {"a", "a.b"}),
        ("from a.b import c, VALUE", {"a", "a.b", "a.b.c"}),
        ("from a import *", {"a"}),
        ("def f():\n    import solo", {"solo"}),
        ("try:\n    import solo\nexcept ImportError:\n    import gone", {"solo"}),
        ("import importlib\nx = importlib.import_module('a.b')", {"a", "a.b"}),
        ("x = __import__('solo')", {"solo"}),
        ("if TYPE_CHECKING:\n    import a\nelse:\n    import solo", {"solo"}),
        ("import bare.part", {"bare.part"}),
        ("import a.missing", {"a"}),
        ("import torch, numpy as np, sys, bench", set()),
        ("this is no Python", set()),
    ],
)
def test_imports_of_every_form_are_followed(tmp_path: Path, text: str, found: set[str]) -> None:
    file = write(
        tmp_path, net=text, a__init="", a__b__init="", a__b__c="", solo="", bare__part="", numpy2="", bench2=""
    )
    assert set(source_files(file)) == {"", *found}


def test_relative_imports_are_those_of_the_package(tmp_path: Path) -> None:
    text = "from .ops import W\nfrom .. import top\nfrom . import lazy\n"
    file = write(
        tmp_path, pkg__sub__net=text, pkg__init="", pkg__sub__init="", pkg__top="",
        pkg__sub__ops="from .deep import X\n", pkg__sub__lazy="", pkg__sub__deep="", pkg__sub__other="",
    )  # fmt: skip
    found = {"pkg", "pkg.sub", "pkg.sub.ops", "pkg.top", "pkg.sub.lazy", "pkg.sub.deep"}
    assert set(source_files(file)) == {"", *found}


def test_a_module_of_an_editable_installation_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = write(tmp_path / "src", mylib__init="from .blocks import B\n", mylib__blocks="B = 1\n")

    class Finder:  # as setuptools puts one into site-packages
        @staticmethod
        def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
            places = [str(code.parent)]
            return spec_from_file_location(name, code, submodule_search_locations=places) if name == "mylib" else None

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])
    file = write(tmp_path / "models", net="import mylib\n")
    assert set(source_files(file)) == {"", "mylib", "mylib.blocks"}


def test_a_package_on_the_path_counts_unless_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "src", mine="")
    write(tmp_path / "lib" / "site-packages", theirs="")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "src"), str(tmp_path / "lib" / "site-packages"), *sys.path])
    assert set(source_files(write(tmp_path / "models", net="import mine, theirs\n"))) == {"", "mine"}


def test_a_folder_of_site_packages_that_is_a_link_to_a_checkout_is_not_installed(tmp_path: Path) -> None:
    write(tmp_path / "src", mylib__init="")
    packages = tmp_path / "lib" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "mylib").symlink_to(tmp_path / "src" / "mylib")
    assert is_installed(str(packages))
    assert not is_installed(str(packages / "mylib"))
    assert is_installed(str(Path(os.__file__).parent))


def test_a_package_in_work_has_a_hash_beside_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, inwork__init="", inwork__layers="X = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = edited_code("inwork")
    (file.parent / "layers.py").write_text("X = 2\n")
    edited_code.cache_clear()
    assert before is not None
    assert before != edited_code("inwork")
    assert edited_code("numpy") is None  # installed: its version says what it is
    edited_code.cache_clear()


def test_files_that_were_read_are_compared_by_content_and_folders_by_names(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "config.json").write_text("{}")
    read = {"config.json": hashlib.sha256(b"{}").hexdigest()[:16], "plugins": hashlib.sha256(b"").hexdigest()[:16]}
    model = f"{tmp_path}/net.py:build"
    assert changed_files(model, read) == []
    (tmp_path / "plugins" / "new.py").write_text("")
    assert changed_files(model, read) == ["plugins"]
    (tmp_path / "config.json").unlink()
    assert changed_files(model, read) == ["config.json", "plugins"]


def test_an_error_is_told_with_the_innermost_line_that_is_the_users(tmp_path: Path) -> None:
    file = write(tmp_path, helper="import json\ndef read(text):\n    return json.loads(text)\n")
    names: dict[str, Any] = {}
    exec(compile(file.read_text(), str(file), "exec"), names)
    try:
        names["read"]("{")
    except ValueError as error:
        words = error_words(error)
    assert words.startswith(f"{file}:3: JSONDecodeError: Expecting property name")
    assert error_words(KeyError("large")) == "KeyError: 'large'"
