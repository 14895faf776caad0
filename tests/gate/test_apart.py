"""Whether base and head ran each its own code, judged on reports that are written here by hand."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from gate.repositories import commit, git

from bench.gate.apart import Apart, Finding, project_names
from bench.gate.files_read import BESIDE, COPIED, INSTALLED, LINKED

BLOCKS = "python/blocks/__init__.py"


@pytest.fixture
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apart:
    """A repository with a package in `python/`, and its first commit in a worktree."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    head = tmp_path / "head"
    first = commit(
        head, {BLOCKS: "REPEATS = 1\n", "python/blocks/layers.py": "", "cfg.json": "{}", ".gitignore": "*.bin\n"}
    )
    commit(head, {BLOCKS: "REPEATS = 3\n"})
    git(head, "worktree", "add", "--quiet", "--detach", str(tmp_path / "base"), first)
    return Apart(tmp_path / "base", head, has_one_interpreter=True)


def imported(apart: Apart, path: Path, how: str = BESIDE, module: str = "blocks", side: str = "base") -> Finding:
    own = apart.base if side == "base" else apart.head
    return apart.judge(side, own, {"modules": [[module, str(path), how]], "opened": []})


def opened(apart: Apart, path: Path, side: str = "base") -> Finding:
    own = apart.base if side == "base" else apart.head
    return apart.judge(side, own, {"modules": [], "opened": [str(path)]})


def test_each_side_s_own_files_are_its_own(apart: Apart) -> None:
    assert imported(apart, apart.base / BLOCKS) == Finding(None)
    assert imported(apart, apart.head / BLOCKS, side="head") == Finding(None)


@pytest.mark.parametrize(("side", "other"), [("base", "head"), ("head", "base")])
def test_a_module_of_the_other_tree_is_named_with_its_file(apart: Apart, side: str, other: str) -> None:
    file = (apart.head if other == "head" else apart.base) / BLOCKS
    problem = imported(apart, file, side=side).problem or ""
    assert problem.startswith(f"{side} imported 'blocks' from {file}, in {other}'s tree: the two would be compared")


def test_a_model_s_file_is_called_by_its_own_name(apart: Apart) -> None:
    problem = imported(apart, apart.head / "net.py", module="vitbench_user_net").problem or ""
    assert problem.startswith(f"base imported 'net' from {apart.head}/net.py, in head's tree")


def test_a_link_among_installed_packages_hides_no_file_of_the_other_tree(apart: Apart) -> None:
    assert "in head's tree" in (imported(apart, apart.head / BLOCKS, LINKED).problem or "")


def test_a_clone_is_another_checkout_of_the_repository(apart: Apart, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", str(apart.head), "clone")
    commit(tmp_path / "clone", {BLOCKS: "REPEATS = 4\n"})
    for side in ("base", "head"):
        problem = imported(apart, tmp_path / "clone" / BLOCKS, side=side).problem or ""
        assert "in another checkout of this repository: what differs between base and head was not run" in problem


def test_a_worktree_inside_head_s_tree_is_not_head(apart: Apart) -> None:
    git(apart.head, "worktree", "add", "--quiet", "--detach", "feature", "HEAD")
    assert imported(apart, apart.head / BLOCKS, side="head").problem is None
    assert "another checkout" in (imported(apart, apart.head / "feature" / BLOCKS, side="head").problem or "")


def test_a_submodule_is_its_side_s_own(apart: Apart, tmp_path: Path) -> None:
    commit(tmp_path / "library", {"lib.py": ""})
    git(apart.head, "submodule", "--quiet", "add", str(tmp_path / "library"), "library")
    assert imported(apart, apart.head / "library" / "lib.py", module="lib", side="head") == Finding(None)


def test_a_clone_of_a_submodule_serves_both_sides_alike(apart: Apart, tmp_path: Path) -> None:
    commit(tmp_path / "library", {"lib/__init__.py": ""})
    git(apart.head, "submodule", "--quiet", "add", str(tmp_path / "library"), "library")
    problem = imported(apart, tmp_path / "library" / "lib" / "__init__.py", module="lib").problem or ""
    assert "while this repository holds library/lib/__init__.py: what differs" in problem


def test_a_copy_without_git_is_known_by_its_files(apart: Apart, tmp_path: Path) -> None:
    shutil.copytree(apart.head / "python", tmp_path / "copy")
    problem = imported(apart, tmp_path / "copy" / "blocks" / "layers.py", module="blocks.layers").problem or ""
    assert "while this repository holds python/blocks/layers.py: what differs between base and head" in problem


def test_the_repository_s_own_package_installed_as_a_copy_serves_both_sides_alike(apart: Apart, tmp_path: Path) -> None:
    installed = tmp_path / "site-packages" / "blocks" / "__init__.py"
    assert f"imported 'blocks' from {installed}, while" in (imported(apart, installed, COPIED).problem or "")
    commit(apart.base, {BLOCKS: "REPEATS = 3\n"})
    finding = imported(apart, installed, INSTALLED)  # of that name, but not known to be this project's, and unchanged
    assert finding.problem is None
    assert finding.notes == (f"'blocks' is the installed one ({installed}), and not this repository's {BLOCKS}.",)


def test_an_installed_namesake_hides_a_change_of_the_repository_unless_each_side_has_its_own(
    apart: Apart, tmp_path: Path
) -> None:
    """The repository's `blocks` has REPEATS = 1 in the base and 3 in the head; the installed one is another again."""
    installed = tmp_path / "site-packages" / "blocks" / "__init__.py"
    problem = imported(apart, installed, INSTALLED).problem or ""
    assert f"base imported 'blocks' from {installed}, while this repository holds {BLOCKS}: what differs" in problem
    assert imported(replace(apart, has_one_interpreter=False), installed, INSTALLED).problem is None


@pytest.mark.parametrize("name", ["blocks.py", "settings.json"])
def test_a_copy_of_a_changed_file_is_known_by_its_content(apart: Apart, tmp_path: Path, name: str) -> None:
    """Under any folder and package: of `s/blocks.py` in a tree, `blocks.py` elsewhere."""
    commit(apart.base, {f"s/{name}": "1\n"})
    commit(apart.head, {f"s/{name}": "3\n"})
    (tmp_path / name).write_text("3\n")
    look = imported if name.endswith(".py") else opened
    assert f"{name}, while this repository holds s/{name}: " in (look(apart, tmp_path / name).problem or "")
    (tmp_path / name).write_text("4\n")
    assert look(apart, tmp_path / name).problem is None


def test_an_empty_file_is_a_copy_of_none(apart: Apart, tmp_path: Path) -> None:
    commit(apart.base, {"kit/__init__.py": ""})
    commit(apart.head, {"kit/__init__.py": "X = 1\n"})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "__init__.py").touch()
    assert imported(apart, tmp_path / "other" / "__init__.py", module="other").problem is None


def test_what_git_keeps_for_itself_is_of_no_side(apart: Apart) -> None:
    """GitPython and the like read it to tell the version."""
    assert opened(apart, apart.head / ".git" / "config") == Finding(None)


@pytest.mark.parametrize("how", [INSTALLED, COPIED])
def test_an_environment_may_lie_in_head_s_tree_or_in_another_clone(apart: Apart, tmp_path: Path, how: str) -> None:
    git(tmp_path, "clone", "--quiet", str(apart.head), "clone")
    for place in (apart.head, tmp_path / "clone"):
        file = place / ".venv" / "lib" / "site-packages" / "einops" / "__init__.py"
        for side in ("base", "head"):
            assert imported(apart, file, how, module="einops", side=side) == Finding(None)


def test_an_editable_package_of_another_project_is_shared_and_said(apart: Apart, tmp_path: Path) -> None:
    commit(tmp_path / "sibling", {"other/__init__.py": ""})
    file = tmp_path / "sibling" / "other" / "__init__.py"
    note = f"'other' lies outside this repository ({file}): what changed there was not compared."
    assert imported(apart, file, module="other") == Finding(None, (note,))


@pytest.mark.parametrize("name", ["tools/utils.py", "utils/__init__.py"])
def test_a_namesake_elsewhere_is_no_copy(apart: Apart, tmp_path: Path, name: str) -> None:
    """Of a module alone the folder must agree; of a package most files."""
    commit(apart.head, {"evaluation/utils.py": "", "evaluation/utils/__init__.py": ""})
    modules = [["utils", str(tmp_path / name), BESIDE]]
    modules += [[f"utils.{part}", str(tmp_path / "utils" / f"{part}.py"), BESIDE] for part in ("read", "write")]
    assert apart.judge("base", apart.base, {"modules": modules, "opened": []}).problem is None


def test_a_tracked_file_that_is_opened_in_the_other_tree_is_found(apart: Apart) -> None:
    file = apart.head / "cfg.json"
    assert f"base read {file}, in head's tree: the two would be" in (opened(apart, file).problem or "")
    assert opened(apart, file, side="head") == Finding(None)


def test_an_ignored_file_is_of_no_revision_and_said(apart: Apart) -> None:
    (apart.head / "weights.bin").touch()
    assert opened(apart, apart.head / "weights.bin").notes == (
        f"base read {apart.head}/weights.bin: git ignores it, so that both sides have head's.",
    )
    assert opened(apart, apart.head / "weights.bin", side="head").notes == (
        f"head read {apart.head}/weights.bin: git ignores it, and the base's tree has none.",
    )


def test_ignored_code_of_the_other_tree_is_code_all_the_same(apart: Apart) -> None:
    (apart.head / ".gitignore").write_text("*.so\n")
    assert "in head's tree" in (opened(apart, apart.head / "kernels.so").problem or "")


def test_a_pointer_of_git_lfs_is_not_the_file(apart: Apart) -> None:
    (apart.base / "cfg.json").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n")
    assert "a pointer of Git LFS in place of the file" in (opened(apart, apart.base / "cfg.json").problem or "")


def test_temporary_files_inside_a_tree_are_nobody_s(apart: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(apart.head / "scratch"))
    file = apart.head / "scratch" / "torchinductor" / "kernel.py"
    assert imported(apart, file, LINKED, module="torch.kernel") == Finding(None)
    nested = Apart(apart.head / "scratch" / "base", apart.head, has_one_interpreter=True)
    assert imported(nested, nested.base / BLOCKS) == Finding(None)  # the base's worktree lies there too


def test_project_names_are_read_from_every_project_file(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": '[project]\nname = "one"\n[tool.x]\nnames = "none"\n',
        "packages/b/setup.py": "from setuptools import setup\nsetup(\n    name='two-b',\n)\n",
        "c/setup.cfg": "[metadata]\nname = three_c\n",
    }
    commit(tmp_path / "names", files)
    assert project_names(tmp_path / "names") == {"one", "two-b", "three_c"}
