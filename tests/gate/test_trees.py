"""Where each side's code comes from, on real little repositories."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bench.errors import RequestError
from bench.gate.trees import (
    WORKTREE_PREFIX,
    SideBrokenError,
    SideCode,
    base_tree,
    dependencies_of,
    interpreter_for,
    this_tree,
)

PYPROJECT = '[project]\nname = "net"\nversion = "1"\ndependencies = [{}]\n'


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: Path, **files: str) -> str:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "change")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two commits of net.py, the current folder inside."""
    folder = tmp_path / "repository"
    (folder / "models").mkdir(parents=True)
    git(folder, "init", "--quiet")
    (folder / "models" / "net.py").write_text("width = 1\n")
    commit(folder, top="first = True\n")
    (folder / "models" / "net.py").write_text("width = 2\n")
    commit(folder, top="first = False\n")
    monkeypatch.chdir(folder / "models")
    return folder


def test_the_base_is_another_tree_and_gone_afterwards(repository: Path, tmp_path: Path) -> None:
    with base_tree("HEAD~1", this_tree(), tmp_path) as base:
        assert base.tree is not None
        assert (base.tree / "top.py").read_text() == "first = True\n"
        assert base.folder == base.tree / "models"  # the worker stands where the user stands
        assert base.python == Path(sys.executable)
        assert base.side.label == f"base ({git(repository, 'rev-parse', 'HEAD~1')[:8]})"
    assert not base.tree.exists()
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_the_base_is_gone_after_an_interruption_too(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), base_tree("HEAD~1", this_tree(), tmp_path):
        raise KeyboardInterrupt
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_what_a_killed_check_left_is_taken_away_by_the_next(repository: Path, tmp_path: Path) -> None:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    left = Path(tempfile.mkdtemp(prefix=f"{WORKTREE_PREFIX}{dead.stdout.strip()}-"))
    git(repository, "worktree", "add", "--detach", str(left / "base"), "HEAD~1")
    with base_tree("HEAD~1", this_tree(), tmp_path):
        assert not left.exists()
        assert len(git(repository, "worktree", "list").splitlines()) == 2


def test_head_says_which_commit_it_is_and_whether_it_was_changed(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    assert this_tree().side.label == f"head ({head[:8]})"
    (repository / "top.py").write_text("changed\n")
    side = this_tree().side
    assert (side.commit, side.is_dirty) == (head, True)
    assert "with uncommitted changes" in side.label


def test_an_unknown_revision_is_refused(repository: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(RequestError, match=r"--base 'nowhere' is no revision of this checkout. `git log"),
        base_tree("nowhere", this_tree(), tmp_path),
    ):
        pass


def test_a_revision_that_looks_like_an_option_is_only_a_revision(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="is no revision"), base_tree("--help", this_tree(), tmp_path):
        pass


def test_a_shallow_clone_is_told_to_fetch_more(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{repository}", "shallow")
    monkeypatch.chdir(tmp_path / "shallow")
    with pytest.raises(RequestError, match="This clone is shallow"), base_tree("HEAD~1", this_tree(), tmp_path):
        pass


def test_outside_a_checkout_there_is_no_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError, match="in no git checkout"), base_tree("HEAD", this_tree(), tmp_path):
        pass


def test_the_same_dependencies_share_an_interpreter(repository: Path, tmp_path: Path) -> None:
    (repository / "pyproject.toml").write_text(PYPROJECT.format('"numpy"'))
    commit(repository)
    (repository / "pyproject.toml").write_text(PYPROJECT.format('"numpy"') + "[tool.ruff]\nline-length = 100\n")
    with base_tree("HEAD", this_tree(), tmp_path) as base:
        assert base.python == Path(sys.executable)


def test_other_dependencies_are_seen(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT.format('"numpy>=1"'))
    before = dependencies_of(tmp_path)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT.format('"numpy>=2"'))
    assert dependencies_of(tmp_path) != before
    before = dependencies_of(tmp_path)
    (tmp_path / "requirements-dev.txt").write_text("pytest\n")
    (tmp_path / "uv.lock").write_text("pytest\n")
    assert dependencies_of(tmp_path) == before  # what runs does not depend on them
    (tmp_path / "requirements.txt").write_text("numpy\n")
    assert dependencies_of(tmp_path) != before


def test_other_dependencies_get_an_environment_of_their_own_which_is_kept(repository: Path, tmp_path: Path) -> None:
    """Installed without a network: the base depends on nothing, and its build backend is a file of its own."""
    backend = (
        "import pathlib, zipfile\n"
        "def _wheel(folder, *_):\n"
        "    name = 'net-1-py3-none-any.whl'\n"
        "    with zipfile.ZipFile(pathlib.Path(folder) / name, 'w') as wheel:\n"
        "        wheel.writestr('net-1.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: net\\nVersion: 1\\n')\n"
        "        wheel.writestr('net-1.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\n"
        "Tag: py3-none-any\\n')\n"
        "        wheel.writestr('net-1.dist-info/RECORD', '')\n"
        "    return name\n"
        "build_wheel = build_editable = _wheel\n"
    )
    system = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (repository / "bench").mkdir()  # the package itself, so that the packages of a guest are not asked for
    (repository / "bench" / "__init__.py").touch()
    (repository / "pyproject.toml").write_text(PYPROJECT.format("") + system)
    commit(repository, backend=backend)
    head = this_tree()
    (repository / "pyproject.toml").write_text(PYPROJECT.format('"numpy"') + system)
    with base_tree("HEAD", head, tmp_path / "cache") as base:
        assert base.python != Path(sys.executable)
        assert base.python.exists()
        assert base.tree is not None
        assert interpreter_for(base.tree, head, tmp_path / "cache") == base.python


def test_an_environment_that_cannot_be_made_says_why(repository: Path, tmp_path: Path) -> None:
    broken = '[build-system]\nrequires = []\nbuild-backend = "absent_backend"\nbackend-path = ["."]\n'
    (repository / "pyproject.toml").write_text(PYPROJECT.format("") + broken)
    commit(repository)
    (repository / "pyproject.toml").write_text(PYPROJECT.format('"numpy"'))
    with (
        pytest.raises(SideBrokenError, match=r"could not be installed.*--base-python names"),
        base_tree("HEAD", this_tree(), tmp_path / "cache"),
    ):
        pass


def test_both_sides_have_environments_of_one_length(repository: Path, tmp_path: Path) -> None:
    def length(code: SideCode) -> int:
        return sum(len(key) + len(value) for key, value in code.environment(1).items()) + len(str(code.python))

    with base_tree("HEAD~1", this_tree(), tmp_path) as base:
        assert base.environment(1)["PYTHONPATH"] != this_tree().environment(1)["PYTHONPATH"]
        assert length(base) == length(this_tree())


def test_other_worktrees_are_left_alone(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "--detach", str(tmp_path / "elsewhere"), "HEAD")
    (tmp_path / "elsewhere").rename(tmp_path / "away")  # as on a disk that is not mounted now
    with base_tree("HEAD~1", this_tree(), tmp_path):
        pass
    assert str(tmp_path / "elsewhere") in git(repository, "worktree", "list")


def test_a_worker_that_imported_another_copy_is_refused(repository: Path, tmp_path: Path) -> None:
    (repository / "bench").mkdir()
    (repository / "bench" / "__init__.py").touch()
    code = this_tree()
    code.require_origin(repository)
    with pytest.raises(SideBrokenError, match="compare a revision with itself"):
        code.require_origin(tmp_path)


def test_the_tree_comes_before_what_is_installed_and_threads_are_limited(repository: Path) -> None:
    environment = this_tree().environment(2)
    assert environment["PYTHONPATH"].split(os.pathsep)[0] == str(repository)
    assert environment["OMP_NUM_THREADS"] == "2"
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
    assert isinstance(this_tree(), SideCode)
