"""git, as the gate asks it: one command in one folder, and what is known of checkouts from it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from bench.errors import BenchError

GIT_SECONDS = 120.0
SUBMODULE_MODE = "160000"


class GitError(BenchError):
    """git refused, failed, or cannot be run. The message is its own, on one line."""


def git(folder: Path, *arguments: str, index: Path | None = None) -> str:
    """What git prints in that folder. index: a file in place of the checkout's own index. Raises GitError."""
    # A hook of git names its own repository in the environment. What configures git stays: safe.directory, for one.
    environment = {key: value for key, value in os.environ.items() if key[:4] != "GIT_" or key[:10] == "GIT_CONFIG"}
    if index is not None:
        environment["GIT_INDEX_FILE"] = str(index)
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True, text=True, errors="surrogateescape", timeout=GIT_SECONDS, env=environment,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GitError(f"git cannot be run: {error}") from None
    if done.returncode:
        raise GitError(" ".join(done.stderr.split()) or f"exit code {done.returncode}")
    return done.stdout.strip()


def git_or_none(folder: Path, *arguments: str) -> str | None:
    """The same; None where git refuses or fails."""
    try:
        return git(folder, *arguments)
    except GitError:
        return None


@lru_cache(maxsize=4096)
def checkout_of(folder: Path) -> Path | None:
    """The nearest folder from here up that is a checkout: a clone, a worktree or a submodule."""
    if (folder / ".git").exists():
        return folder
    return None if folder == folder.parent else checkout_of(folder.parent)


@lru_cache(maxsize=256)
def is_same_repository(one: Path, other: Path) -> bool:
    """Whether two checkouts are of one repository: worktrees of it, or clones with a first commit in common."""
    folders = [git_or_none(place, "rev-parse", "--git-common-dir") for place in (one, other)]
    if None in folders:
        return False
    if (one / str(folders[0])).resolve() == (other / str(folders[1])).resolve():
        return True
    firsts = [set((git_or_none(place, "rev-list", "--max-parents=0", "HEAD") or "").split()) for place in (one, other)]
    return bool(firsts[0] & firsts[1])


@lru_cache(maxsize=8)
def tracked_files(tree: Path, *, submodules: bool = False) -> frozenset[str]:
    """Every file that git tracks in a checkout, relative to its top; also in its submodules, if asked."""
    options = ["--recurse-submodules"] if submodules else []
    return frozenset((git_or_none(tree, "ls-files", "-z", *options) or "").split("\0")) - {""}


@lru_cache(maxsize=1024)
def is_ignored(tree: Path, file: Path) -> bool:
    """Whether the checkout's rules keep a file out of every revision."""
    return git_or_none(tree, "check-ignore", "--quiet", str(file)) is not None


def fill_submodules(tree: Path, source: Path, commit: str) -> list[str]:
    """Write the files of the commit's submodules, which a new worktree lacks, from those checked out in `source`.

    Nothing is fetched. Returns a sentence on each that stays empty though `source` has files there, or had none of it.
    """
    empty = []
    for entry in git(source, "ls-tree", "-r", "-z", "--full-tree", commit).split("\0"):
        kind, _, name = entry.partition("\t")
        if not kind.startswith(SUBMODULE_MODE):
            continue
        recorded, theirs = kind.split()[2], source / name
        if (theirs / ".git").exists() and git_or_none(theirs, "cat-file", "-e", f"{recorded}^{{commit}}") is not None:
            with tempfile.TemporaryDirectory() as place:
                index = Path(place) / "index"
                git(theirs, "read-tree", recorded, index=index)
                git(theirs, "checkout-index", "--all", "--force", f"--prefix={tree / name}/", index=index)
            empty += fill_submodules(tree / name, theirs, recorded)
        elif not theirs.is_dir() or any(theirs.iterdir()):  # else it is empty on both sides
            empty.append(
                f"Submodule '{name}' is empty in the base: commit {recorded[:8]} of it is not on this machine. "
                f"`git -C {name} fetch` may bring it."
            )
    return empty
