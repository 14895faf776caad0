"""Where each side's code comes from, on real little repositories."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from gate.repositories import commit as commit_files
from gate.repositories import git

from bench.errors import RequestError
from bench.gate.trees import (
    WORKTREE_PREFIX,
    SideBrokenError,
    SideCode,
    base_tree,
    dependencies_of,
    interpreter_for,
    is_one_environment,
    this_tree,
)
from bench.measure.timing.timing import kept_memory

PYPROJECT = '[project]\nname = "net"\nversion = "1"\ndependencies = [{}]\n'


def commit(folder: Path, **files: str) -> str:
    return commit_files(folder, {f"{name}.py": text for name, text in files.items()})


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


def test_interpreters_of_one_environment_are_one_under_any_name(tmp_path: Path) -> None:
    """Packages that are installed there serve both sides, whichever name the base's interpreter is given by."""
    for name in ("one", "two"):
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name / "pyvenv.cfg").touch()
        for program in ("python", "python3"):
            (tmp_path / name / "bin" / program).symlink_to(sys.executable)
    (tmp_path / "link").symlink_to(tmp_path / "one")
    python = tmp_path / "one" / "bin" / "python"
    assert is_one_environment(python, tmp_path / "one" / "bin" / "python3")
    assert is_one_environment(python, tmp_path / "link" / "bin" / "python")
    assert not is_one_environment(python, tmp_path / "two" / "bin" / "python")
    assert not is_one_environment(python, Path(sys.base_prefix) / "bin" / "python3")


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
    told = "in no git checkout that git reads. It says: fatal: not a git repository"
    with pytest.raises(RequestError, match=told), base_tree("HEAD", this_tree(), tmp_path):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_checkout_of_another_owner_is_refused_with_git_s_own_advice(repository: Path, tmp_path: Path) -> None:
    for path in (repository, repository / ".git"):
        os.chown(path, 12_345, 12_345)
    advice = rf"detected dubious ownership .*git config --global --add safe.directory {repository}$"
    with pytest.raises(RequestError, match=advice), base_tree("HEAD", this_tree(), tmp_path):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_settings_of_git_in_the_environment_hold(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As CI sets safe.directory. What a hook of git says of its own repository does not hold."""
    for path in (repository, repository / ".git"):
        os.chown(path, 12_345, 12_345)
    for key, value in (("COUNT", "1"), ("KEY_0", "safe.directory"), ("VALUE_0", "*")):
        monkeypatch.setenv(f"GIT_CONFIG_{key}", value)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    assert this_tree().tree == repository


def test_without_git_the_reason_says_so(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(RequestError, match="No such file or directory: 'git'"),
        base_tree("HEAD", this_tree(), tmp_path),
    ):
        pass


def test_a_repository_without_a_commit_has_no_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "--quiet")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError, match="There is no commit yet"), base_tree("HEAD", this_tree(), tmp_path):
        pass


def test_folders_of_the_tree_on_the_import_path_are_given_to_each_side(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an editable installation puts them there, through a link or not; a base that lacks one is spared it."""
    commit_files(repository, {"python/blocks.py": ""})
    commit_files(repository, {"later/more.py": "", ".venv/lib/site-packages/x.py": ""})
    (tmp_path / "link").symlink_to(repository)
    inside = [tmp_path / "link" / "python", repository / "later", repository / ".venv" / "lib" / "site-packages"]
    monkeypatch.setattr(sys, "path", ["script's folder", *map(str, inside), str(tmp_path), *sys.path[1:]])
    head = this_tree()
    assert head.places == ("python", "later")
    with base_tree("HEAD~1", head, tmp_path) as base:
        assert base.places == ("python",)
        assert base.environment(1)["PYTHONPATH"].split(os.pathsep)[:2] == [str(base.tree), f"{base.tree}/python"]


def test_a_submodule_has_in_the_base_what_the_base_recorded(repository: Path, tmp_path: Path) -> None:
    library, libs = tmp_path / "library", "libs/one"
    commit_files(library, {"lib.py": "version = 1\n"})
    git(repository, "submodule", "--quiet", "add", str(library), libs)
    commit(repository)
    commit_files(library, {"lib.py": "version = 2\n"})
    git(repository / libs, "pull", "--quiet")
    commit(repository)
    with base_tree("HEAD~1", this_tree(), tmp_path) as base:
        assert base.tree is not None
        assert ((base.tree / libs / "lib.py").read_text(), base.notes) == ("version = 1\n", ())
    assert (repository / libs / "lib.py").read_text() == "version = 2\n"
    assert git(repository / libs, "status", "--porcelain") == ""
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_a_submodule_whose_commit_is_not_here_is_named(repository: Path, tmp_path: Path) -> None:
    commit_files(tmp_path / "library", {"lib.py": ""})
    git(repository, "submodule", "--quiet", "add", str(tmp_path / "library"), "libs/one")
    git(repository, "update-index", "--cacheinfo", f"160000,{'a' * 40},libs/one")
    git(repository, "commit", "--quiet", "--message", "a commit of nobody")
    with base_tree("HEAD", this_tree(), tmp_path) as base:
        (note,) = base.notes
        assert note.startswith(
            "Submodule 'libs/one' is empty in the base: commit aaaaaaaa of it is not on this machine"
        )


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
    assert environment.items() >= kept_memory(os.environ).items()
    assert isinstance(this_tree(), SideCode)
