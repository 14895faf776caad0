"""Real runs, really killed: at most the cell under way is lost, and resuming ends where an undisturbed run does."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bench.store.files import read_records, suite_folder

ROOT = Path(__file__).resolve().parents[2]

SUITE = """
question = "Is anything lost?"
[[complexity]]
models = ["vit_32px_s", "resnet_32px_s"]
num_classes = 10
[[train]]
models = ["vit_32px_s", "resnet_32px_s"]
datasets = ["digits"]
train_images = [50, 100]
budgets_gflop = [20]
seeds = [0, 1]
learning_rate = 0.002
[[speed]]
models = ["vit_32px_s"]
metrics = ["latency", "peak_memory"]
processes = 1
"""


def start(folder: Path) -> subprocess.Popen[bytes]:
    (folder / "kills.toml").write_text(SUITE)
    return subprocess.Popen(
        [sys.executable, "-m", "bench", "run", "kills.toml", "--device", "cpu"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def outcomes(folder: Path) -> list[tuple[str, str]]:
    records = read_records(suite_folder(folder / "results", "kills", local=True)).records
    return sorted((record.cell_id, record.status) for record in records)


def gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=10)
    return not alive


def run_with_kills(folder: Path, kills: int, longest_s: float) -> None:
    """Kill a run `kills` times at random moments, then let it end; no worker may be left over after a kill."""
    moments = random.Random(0)
    for _ in range(kills):
        process = start(folder)
        time.sleep(moments.uniform(0.2, longest_s))
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.kill()
        process.wait()
        assert gone(children)
    assert start(folder).wait() == 0


def test_ctrl_c_ends_with_130_keeps_finished_cells_and_leaves_no_worker(tmp_path: Path) -> None:
    process = start(tmp_path)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(tmp_path.glob("results/local/kills/*.jsonl")):
        time.sleep(0.1)
    while time.monotonic() < deadline and not outcomes(tmp_path):
        time.sleep(0.1)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    assert gone(children)
    assert outcomes(tmp_path)


@pytest.mark.slow
def test_twenty_kills_end_where_an_undisturbed_run_does(tmp_path: Path) -> None:
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    for folder in (calm, killed):
        folder.mkdir()
    started = time.monotonic()
    assert start(calm).wait() == 0
    run_with_kills(killed, kills=20, longest_s=time.monotonic() - started)

    assert outcomes(killed) == outcomes(calm)
