"""Real runs, really killed: at most the cell under way is lost, and resuming ends where an undisturbed run does."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from bench.store.files import read_records, suite_folder

ROOT = Path(__file__).resolve().parents[2]

# Most of a run this small is starting up, which is as good a moment to be killed in as any.
SUITE = """
question = "Is anything lost?"
[[complexity]]
models = ["vit_32px_s", "resnet_32px_s"]
num_classes = 10
[[train]]
models = ["vit_32px_s"]
datasets = ["digits"]
train_images = [50]
budgets_gflop = [10]
seeds = [0, 1, 2, 3, 4, 5]
learning_rate = 0.002
"""
KILLS = 20
LATEST = 0.9  # of the run's duration: a kill any later would often find it finished


def start(folder: Path) -> subprocess.Popen[bytes]:
    (folder / "kills.toml").write_text(SUITE)
    return subprocess.Popen(
        [sys.executable, "-m", "bench", "run", "kills.toml", "--device", "cpu"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def outcomes(folder: Path) -> list[tuple[str, str, float | None]]:
    """Cell, status and accuracy of every record, a cell that was run twice twice."""
    records = read_records(suite_folder(folder / "results", "kills", local=True)).records
    return sorted((record.cell_id, record.status, record.values.get("top1_pct")) for record in records)


def predictions(folder: Path) -> dict[str, list[int]]:
    """Cell -> the class predicted for every test image."""
    files = suite_folder(folder / "results", "kills", local=True).glob("predictions/*.parquet")
    return {file.stem: pq.read_table(file).column("prediction").to_pylist() for file in files}


def good_lines(folder: Path) -> dict[str, list[bytes]]:
    """Run file -> its whole lines; a torn last one is not among them."""
    files = suite_folder(folder / "results", "kills", local=True).glob("*.jsonl")
    return {file.name: file.read_bytes().split(b"\n")[:-1] for file in files}


def kept(before: dict[str, list[bytes]], after: dict[str, list[bytes]]) -> bool:
    return all(after.get(name, [])[: len(lines)] == lines for name, lines in before.items())


def gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=30)
    return not alive


def kill(process: subprocess.Popen[bytes], *, workers_too: bool) -> list[psutil.Process]:
    """`kill -9`, of the workers too or of the run alone; returns the workers it had."""
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    for worker in workers if workers_too else []:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()
    process.wait()
    return workers


def ended_before(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait that long, or until the process ends by itself, which must be a success."""
    try:
        assert process.wait(timeout=seconds) == 0
    except subprocess.TimeoutExpired:
        return False
    return True


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
def test_twenty_kills_lose_no_line_and_end_where_an_undisturbed_run_does(tmp_path: Path) -> None:
    """One kill in every twentieth of a run's duration, in random order; a run that gets to its end is followed by a
    new one, so that every kill hits one that has work to do."""
    calm = tmp_path / "calm"
    calm.mkdir()
    started = time.monotonic()
    assert start(calm).wait() == 0
    duration_s = time.monotonic() - started
    expected, expected_predictions = outcomes(calm), predictions(calm)
    assert len(expected) == 9
    assert len(expected_predictions) == 7

    chance = random.Random(0)
    moments = [LATEST * (i + chance.random()) / KILLS for i in range(KILLS)]  # as fractions of the duration
    chance.shuffle(moments)
    completed, kills, killed = 0, 0, tmp_path / "0"
    killed.mkdir()
    while True:
        before = good_lines(killed)
        began = time.monotonic()
        process = start(killed)
        if kills < KILLS and not ended_before(process, moments[kills] * duration_s):
            workers = kill(process, workers_too=kills % 2 == 0)
            assert gone(workers)
            assert kept(before, good_lines(killed))
            kills += 1
            continue
        assert process.wait() == 0
        assert kept(before, good_lines(killed))
        assert outcomes(killed) == expected
        assert predictions(killed) == expected_predictions
        if kills == KILLS:
            break
        if not before:  # nothing was done before it, yet it ended too soon: the machine was busier at first
            duration_s = min(duration_s, time.monotonic() - began)
        completed += 1
        killed = tmp_path / str(completed)
        killed.mkdir()
