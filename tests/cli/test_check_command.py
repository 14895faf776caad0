"""`vitbench check` as a user types it. What takes seconds and more, with real workers, is in the slow group."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 16, 3)
        self.head = torch.nn.Linear(16, 2)

    def forward(self, images):
        for _ in range({repeats}):
            maps = self.stem(images)
        return self.head(maps.mean((2, 3)))

def build(resolution_px=64):
    return Net()
"""
QUICK = ("--model", "net.py:build", "--resolution", "64", "--exact", "off")


def vitbench(*arguments: object, cwd: Path, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=cwd, env=environment(cwd), capture_output=True, text=True, timeout=timeout, check=False
    )


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "bench", "check", *map(str, arguments)]


def environment(cwd: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "VITBENCH_CACHE": str(cwd / ".cache"), "TMPDIR": str(cwd / ".tmp")}


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def commit(folder: Path, net: str) -> None:
    (folder / "net.py").write_text(net)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "change")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    (tmp_path / ".gitignore").write_text("results/\n.cache/\n.tmp/\n__pycache__/\n")
    (tmp_path / ".tmp").mkdir()
    commit(tmp_path, NET.format(repeats=1))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Nothing to compare with. Say --base REV, or two sides with --a and --b, or --base-python."),
        (("--base", "nowhere"), "--base 'nowhere' is no revision of this checkout."),
        (("--base", "HEAD", "--write", "jnit=x"), "Unknown format 'jnit' in --write. Did you mean 'junit'?"),
        (("--base", "HEAD", "--write", "junit"), "--write takes FORMAT=PATH"),
        (("--base", "HEAD", "--turns", "7"), "7 turns: give an even number"),
        (("--base", "HEAD", "--pairs-max", "7"), "give one of 8, 16, 24, 32"),
        (("--base", "HEAD", "--threshold", "0"), "A threshold of 0 % makes no gate"),
        (("--base", "HEAD", "--threads", "100000"), "--threads 100000: this process may use"),
        (("--base", "HEAD", "--model", "/net.py:build"), "one file for both sides"),
        (("--base", "HEAD", "--model", "a", "--model", "a"), "'a' is asked for twice"),
        (("--a", "fold=perhaps"), "fold=perhaps: expected on or off"),
        (("--base-python", "/nowhere/python"), "is no program that can be run"),
        (("--selftest", "--base", "HEAD"), "--selftest compares this tree with itself"),
    ],
)
def test_a_wrong_request_is_one_line_and_leaves_nothing(
    arguments: tuple[str, ...], message: str, repository: Path
) -> None:
    done = vitbench(*arguments, cwd=repository)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (repository / "results").exists()
    assert git(repository, "worktree", "list").count("\n") == 1


def test_a_check_imports_no_torch_in_the_parent() -> None:
    code = "import sys, bench.gate.check, bench.cli.check; print(sorted({'torch', 'timm'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_same_code_does_not_fail_and_everything_is_kept(repository: Path) -> None:
    done = vitbench("--base", "HEAD", *QUICK, "--write", "json=out/check.json", cwd=repository)
    assert done.returncode in (0, 3), done.stderr
    kept = json.loads((repository / "out" / "check.json").read_text())
    assert kept["base"]["commit"] == kept["head"]["commit"] == git(repository, "rev-parse", "HEAD").strip()
    assert len(kept["models"][0]["pairs"][0]["base_ns"]) == 40
    assert kept["conditions"]["threads"] == 1
    assert len(list((repository / "results" / "local" / "checks").glob("*.json"))) == 1
    assert git(repository, "status", "--porcelain").split() == ["??", "out/"]


@pytest.mark.slow
def test_a_checkout_of_this_project_is_compared_with_its_own_commit(tmp_path: Path) -> None:
    """Here the workers' own scripts lie in head's tree, and base must still be base."""
    git(tmp_path, "clone", "--quiet", str(ROOT), "clone")
    clone = tmp_path / "clone"
    (tmp_path / "clone" / ".tmp").mkdir()
    done = subprocess.run(
        command(
            "--base",
            "HEAD",
            "--model",
            "vit_32px_s",
            "--turns",
            "4",
            "--pairs-max",
            "8",
            "--write",
            f"json={tmp_path}/check.json",
        ),
        cwd=clone,
        env={**environment(clone), "PYTHONPATH": str(clone)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1, 3), done.stderr  # four turns say little of the speed
    kept = json.loads((tmp_path / "check.json").read_text())
    assert len(kept["models"][0]["pairs"]) >= 8
    assert kept["has_head_copy"]
    assert kept["exact"][0]["verdict"] == "PASS"
    assert kept["exact"][0]["counts"]["macs"] > 0


@pytest.mark.slow
def test_a_head_that_does_its_work_twice_fails(repository: Path) -> None:
    commit(repository, NET.format(repeats=2))
    done = vitbench("--base", "HEAD~1", *QUICK, cwd=repository)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAIL" in done.stdout


@pytest.mark.slow
def test_a_head_that_is_slower_for_where_it_lies_is_not_blamed(repository: Path) -> None:
    """The same code in both trees; in the working tree it takes four times as long."""
    slower_here = NET.replace("range({repeats})", "range(1 if 'vitbench-check-' in __file__ else 4)")
    commit(repository, slower_here)
    done = vitbench("--base", "HEAD", *QUICK, "--pairs-max", "8", cwd=repository)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "too noisy: head against itself came out -" in done.stdout


@pytest.mark.slow
def test_the_change_is_seen_before_it_is_committed(repository: Path) -> None:
    (repository / "net.py").write_text(NET.format(repeats=2))
    done = vitbench("--base", "HEAD", *QUICK, cwd=repository)
    assert done.returncode == 1, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("base", "head", "reason"),
    [
        (
            "def build(:\n",
            NET.format(repeats=1),
            "base cannot run it: UserCodeError: net.py:1: SyntaxError: invalid syntax. That is in the code of model",
        ),
        (NET.format(repeats=1), "import os\nos._exit(9)\n", "ended while building"),
    ],
)
def test_a_side_that_is_broken_is_inconclusive_and_says_why(
    base: str, head: str, reason: str, repository: Path
) -> None:
    commit(repository, base)
    commit(repository, head)
    done = vitbench("--base", "HEAD~1", *QUICK, cwd=repository)
    assert done.returncode == 3, done.stdout + done.stderr
    assert reason in done.stdout


@pytest.mark.slow
def test_a_model_that_neither_side_has_is_a_wrong_request(repository: Path) -> None:
    done = vitbench("--base", "HEAD", "--model", "resnet_18", "--exact", "off", cwd=repository)
    assert done.returncode == 2
    assert (
        "neither side can run it: UnknownNameError: Unknown model 'resnet_18'. Did you mean 'resnet18'" in done.stderr
    )


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_check_that_is_stopped_leaves_no_process_and_the_next_one_no_worktree(
    how: signal.Signals, repository: Path
) -> None:
    process = subprocess.Popen(
        command("--base", "HEAD", *QUICK), cwd=repository, env=environment(repository), stderr=subprocess.DEVNULL
    )
    workers = _wait_for_workers(process.pid)
    second = vitbench("--base", "HEAD", *QUICK, cwd=repository)
    assert second.returncode == 2
    assert "Another check (process" in second.stderr
    process.send_signal(how)
    assert process.wait(30) == (130 if how == signal.SIGINT else -signal.SIGKILL)
    gone, alive = psutil.wait_procs(workers, timeout=30)
    assert (len(gone), alive) == (len(workers), [])
    if how == signal.SIGKILL:  # it could not clean up; whoever comes next does
        vitbench("--base", "HEAD", *QUICK, "--max-minutes", "0", cwd=repository)
    assert git(repository, "worktree", "list").count("\n") == 1
    assert list((repository / ".tmp").glob("vitbench-check-*")) == []


def _wait_for_workers(process: int) -> list[psutil.Process]:
    """The workers of a check once there are some that compute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(psutil.NoSuchProcess):
            found = [one for one in psutil.Process(process).children() if "worker.py" in " ".join(one.cmdline())]
            if len(found) >= 2:
                return found
        time.sleep(0.1)
    raise AssertionError("the check started no workers")
