"""Where each side's code comes from: this working tree, a worktree of another revision, another interpreter."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import psutil

from bench.errors import BenchError, RequestError
from bench.gate.apart import PACKAGE_ROOT, Apart
from bench.gate.files_read import INSTALLED_NAMES
from bench.gate.git import GitError, fill_submodules, git, git_or_none
from bench.gate.result import Side
from bench.measure.timing.timing import kept_memory

WORKTREE_PREFIX = "vitbench-check-"
INSTALL_SECONDS = 1_800.0
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# The length of the environment and of the program's name moves a process's stack, and with it its speed: the paths of
# both sides are filled up to one length.
PADDING_VARIABLE, PADDED_CHARACTERS = "VITBENCH_GATE_PADDING", 4_096
# What decides which packages a tree needs to run, beside these keys of pyproject.toml's `project` table. Lock files
# and requirements of development are not among them: they change often, and what runs seldom with them.
DEPENDENCY_FILES = ("requirements.txt", "setup.py", "setup.cfg")
DEPENDENCY_KEYS = ("dependencies", "requires-python", "dynamic")


class SideBrokenError(BenchError):
    """A side's code cannot be made ready to run: the check is INCONCLUSIVE."""


@dataclass(frozen=True)
class SideCode:
    """The code and the interpreter of one side. tree: imported before anything installed; None: nothing is.

    folder: where the worker stands, from which relative paths of a user's models start. places: folders of the tree
    that are on the import path too, as an editable installation puts them there. apart: proves that the side ran its
    own code; None where both sides have one tree. refusal: why git shows no tree. notes: what a reader should know.
    """

    side: Side
    python: Path
    tree: Path | None
    folder: Path
    places: tuple[str, ...] = ()
    apart: Apart | None = None
    refusal: str = ""
    notes: tuple[str, ...] = ()

    def environment(self, threads: int) -> dict[str, str]:
        """The parent's environment with this side's import path, and limits that torch reads when it is imported."""
        joined = os.pathsep.join(map(str, self._import_path()))
        limits = dict.fromkeys(THREAD_VARIABLES, str(threads))
        if threads > 1:
            limits["OMP_WAIT_POLICY"] = "PASSIVE"  # threads that spin would take the other side's turn away
        kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        padding = "x" * max(0, PADDED_CHARACTERS - len(joined.encode()) - len(str(self.python).encode()))
        return {
            **kept,
            **kept_memory(kept),
            **limits,
            "PYTHONPATH": joined,
            "PYTHONUNBUFFERED": "1",
            PADDING_VARIABLE: padding,
        }

    def _import_path(self) -> list[Path]:
        places = [] if self.tree is None else [self.tree, self.tree / "src", *(self.tree / one for one in self.places)]
        if not _is_installed_copy():
            places.append(PACKAGE_ROOT)  # behind the tree: only where the tree holds no `bench` of its own
        return [place for place in dict.fromkeys(places) if place.is_dir()]

    def require_origin(self, origin: Path) -> None:
        """Raise SideBrokenError if a worker imported `bench` from elsewhere than the tree that holds one."""
        has_own = self.tree is not None and (self.tree / "bench" / "__init__.py").exists()
        if has_own and origin.resolve() != (self.tree or origin).resolve():
            raise SideBrokenError(
                f"{self.side.label} should run the code of its own tree and imported another copy of `bench`; "
                "a check of that would compare a revision with itself."
            )

    def judge(self, seen: Mapping[str, Any] | None) -> tuple[str, ...]:
        """Notes on what a worker read. Raises SideBrokenError where it is not proven to be the side's own code."""
        if self.apart is None or seen is None or self.tree is None:
            return ()
        finding = self.apart.judge(self.side.label, Path(os.path.realpath(self.tree)), seen)
        if finding.problem is not None:
            raise SideBrokenError(finding.problem)
        return finding.notes


def this_tree(label: str = "head") -> SideCode:
    """The code of the working tree around the current folder, changes that are not committed included."""
    folder = Path.cwd()
    try:
        top = git(folder, "rev-parse", "--show-toplevel")
    except GitError as error:
        return SideCode(Side(label=label), Path(sys.executable), None, folder, refusal=str(error))
    commit = git_or_none(folder, "rev-parse", "HEAD")
    dirty = bool(git_or_none(folder, "status", "--porcelain"))
    name = f"{label} ({commit[:8] if commit else 'no commit'}{', with uncommitted changes' if dirty else ''})"
    side = Side(label=name, commit=commit, is_dirty=dirty)
    return SideCode(side, Path(sys.executable), Path(top), folder, import_places(Path(top)))


def import_places(tree: Path) -> tuple[str, ...]:
    """Folders of the tree on this interpreter's import path, relative to the tree, without those of installed packages.

    An editable installation puts them there, or PYTHONPATH. Each side is given its own.
    """
    top, installed = Path(os.path.realpath(tree)), {os.path.realpath(place) for place in sysconfig.get_paths().values()}
    entries = sys.path if sys.flags.safe_path else sys.path[1:]  # the first is the script's folder
    real = [Path(os.path.realpath(entry)) for entry in entries if entry and os.path.isdir(entry)]
    inside = [place for place in real if place.is_relative_to(top) and place.name not in INSTALLED_NAMES]
    return tuple(dict.fromkeys(str(place.relative_to(top)) for place in inside if str(place) not in installed))


@contextlib.contextmanager
def base_tree(revision: str, head: SideCode, cache: Path, python: Path | None = None) -> Iterator[SideCode]:
    """The code of a revision in a git worktree of its own, gone when the block ends.

    python: the interpreter; None is head's, or one of its own environment in `cache` where the revisions differ in
    what they depend on. Raises RequestError for a revision that does not exist, SideBrokenError if it cannot be made.
    """
    if head.tree is None:
        raise RequestError(
            "--base compares two revisions, and the current folder is in no git checkout that git reads. It says: "
            f"{head.refusal}"
        )
    commit = resolve_revision(revision, head.tree)
    _remove_stale(head.tree)
    place = Path(tempfile.mkdtemp(prefix=f"{WORKTREE_PREFIX}{os.getpid()}-"))
    tree = place / "base"
    try:
        notes = _add_worktree(head.tree, tree, commit)
        folder = tree / head.folder.resolve().relative_to(head.tree.resolve())
        if not folder.is_dir():
            folder = tree
        if python is None:
            python = interpreter_for(tree, head, cache)
        side = Side(label=f"base ({commit[:8]})", commit=commit, is_dirty=False)
        places = tuple(one for one in head.places if (tree / one).is_dir())
        has_one = is_one_environment(python, head.python)
        apart = Apart(Path(os.path.realpath(tree)), Path(os.path.realpath(head.tree)), has_one)
        yield SideCode(side, python, tree, folder, places, apart, notes=notes)
    finally:
        _remove_worktree(head.tree, place)


def _add_worktree(repository: Path, tree: Path, commit: str) -> tuple[str, ...]:
    """Make the worktree, its submodules included; notes on those that stay empty."""
    no_hooks = ("-c", f"core.hooksPath={os.devnull}")
    try:
        git(repository, *no_hooks, "worktree", "add", "--detach", "--force", str(tree), commit)
        return tuple(fill_submodules(tree, repository, commit))
    except GitError as error:
        raise SideBrokenError(f"git failed: {error}") from None


def resolve_revision(revision: str, tree: Path) -> str:
    """The commit that a revision names. Raises RequestError with what to do where the history is too short."""
    commit = git_or_none(tree, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit:
        return commit
    if git_or_none(tree, "rev-parse", "--verify", "--quiet", "HEAD") is None:
        advice = "There is no commit yet."
    elif git_or_none(tree, "rev-parse", "--is-shallow-repository") == "true":
        advice = "This clone is shallow: fetch more history (`fetch-depth: 0` on GitHub)."
    else:
        advice = "`git log --oneline` lists what there is; a branch of the server may need `git fetch` first."
    raise RequestError(f"--base {revision!r} is no revision of this checkout. {advice}")


def interpreter_for(tree: Path, head: SideCode, cache: Path) -> Path:
    """Head's interpreter if the revision depends on the same packages, else one of an environment of its own.

    The environment is made with venv and pip and kept in `cache` under a hash of what it depends on.
    """
    assert head.tree is not None
    wanted = dependencies_of(tree)
    if wanted == dependencies_of(head.tree):
        return head.python
    version = ".".join(map(str, sys.version_info[:3]))
    folder = cache / "environments" / hashlib.sha256(f"{version}\n{wanted}".encode()).hexdigest()[:16]
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    _install([str(head.python), "-m", "venv", str(folder)], tree)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _install([*pip, *_wanted_packages(tree)], tree)
    if _is_installed_copy():
        _lend_package(folder)
    (folder / "complete").touch()
    return python


def is_one_environment(one: Path, other: Path) -> bool:
    """Whether two interpreters have the same packages installed, as `python` and `python3` of a virtual one have."""

    def environment(python: Path) -> Path:
        folder = python.absolute().parent.parent
        return folder.resolve() if (folder / "pyvenv.cfg").exists() else python.resolve()

    return environment(one) == environment(other)


def _wanted_packages(tree: Path) -> list[str]:
    """What pip is asked for: the tree, its requirements, and what a worker needs where this package is a guest."""
    wanted = []
    if (tree / "pyproject.toml").exists() or (tree / "setup.py").exists():
        wanted += ["--editable", "."]
    if (tree / "requirements.txt").exists():
        wanted += ["--requirement", "requirements.txt"]
    if not (tree / "bench" / "__init__.py").exists():
        wanted += [one for one in requires("vitbench") or [] if "extra ==" not in one]
    return wanted


def _is_installed_copy() -> bool:
    return PACKAGE_ROOT.name in ("site-packages", "dist-packages")


def _lend_package(environment: Path) -> None:
    """Let an environment import this copy of `bench`, and nothing else of what is installed beside it."""
    for packages in environment.glob("lib/python*/site-packages"):
        if not (packages / "bench").exists():
            (packages / "bench").symlink_to(PACKAGE_ROOT / "bench")


def dependencies_of(tree: Path) -> str:
    """Everything in a tree that decides which packages it needs, as one text to compare."""
    parts = []
    project = tree / "pyproject.toml"
    if project.exists():
        try:
            data = tomllib.loads(project.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SideBrokenError(f"pyproject.toml of the base cannot be read: {error}") from None
        table = data.get("project", {})
        parts.append(repr([(key, table.get(key)) for key in DEPENDENCY_KEYS]))
    for name in DEPENDENCY_FILES:
        file = tree / name
        if file.is_file():
            parts.append(f"{name}\n{file.read_text(encoding='utf-8', errors='replace')}")
    return "\n".join(parts)


def _install(command: list[str], tree: Path) -> None:
    try:
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        raise SideBrokenError(f"Installing what the base depends on took over {INSTALL_SECONDS:.0f} s.") from None
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise SideBrokenError(
            "The base depends on other packages, and they could not be installed: "
            f"{lines[-1].strip() if lines else 'no message'} --base-python names an interpreter that has them."
        )


def _remove_stale(tree: Path) -> None:
    """Take away the worktrees that killed checks of this repository left behind, and no others."""
    for line in (git_or_none(tree, "worktree", "list", "--porcelain") or "").splitlines():
        match = re.fullmatch(rf"worktree (.*/{WORKTREE_PREFIX}(\d+)-[^/]*)/base", line)
        if match and not psutil.pid_exists(int(match[2])):
            _remove_worktree(tree, Path(match[1]))


def _remove_worktree(tree: Path, place: Path) -> None:
    # Twice: one that git was killed while making is locked.
    git_or_none(tree, "worktree", "remove", "--force", "--force", str(place / "base"))
    shutil.rmtree(place, ignore_errors=True)
