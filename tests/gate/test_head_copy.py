"""Head against itself: in a worktree of its commit, so that what its own tree costs is seen."""

from __future__ import annotations

from pathlib import Path

import pytest
from gate.repositories import commit, git

from bench.gate.arms import Launcher
from bench.gate.check import Plan, Request, head_copy
from bench.gate.pairs import AGAIN
from bench.gate.trees import this_tree


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    commit(tmp_path / "repository", {"net.py": "width = 1\n"})
    monkeypatch.chdir(tmp_path / "repository")
    return tmp_path / "repository"


def test_a_head_without_changes_has_a_copy_as_the_base_has(repository: Path, tmp_path: Path) -> None:
    head = this_tree()
    with head_copy(Request((), base="HEAD"), head, tmp_path) as copy:
        assert copy is not None
        assert copy.tree is not None
        assert copy.tree != head.tree
        assert (copy.tree / "net.py").read_text() == "width = 1\n"
        assert copy.apart is not None  # it must not read head's tree
        launcher = Launcher(head, head, "cpu", 1, None, copy)
        assert [launcher.code_of(AGAIN[side]) for side in ("base", "head")] == [head, copy]
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_changes_that_are_not_committed_have_none(repository: Path, tmp_path: Path) -> None:
    (repository / "net.py").write_text("width = 2\n")
    with head_copy(Request((), base="HEAD"), this_tree(), tmp_path) as copy:
        assert copy is None


@pytest.mark.parametrize("request_", [Request((), base=None), Request((), base="HEAD", plan=Plan(has_again_arm=False))])
def test_without_two_trees_or_an_a_a_arm_there_is_none(repository: Path, tmp_path: Path, request_: Request) -> None:
    with head_copy(request_, this_tree(), tmp_path) as copy:
        assert copy is None
