"""`baseline save` and `baseline show` as a user types them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.errors import BenchError
from bench.execute.environment import machine_fingerprint
from bench.gate.baseline import KERNELS
from bench.store.baselines import Baseline, ProcessTurns, read_baselines, save_baseline

NET = """
from torch import nn

def build():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
"""


SHOWN = """\
Model  Under                                              Time [ms]  Machine             Age     torch  Commit
-----  ---------------------------------------  -------------------  ------------------  ------  -----  --------
net    batch 1, cpu, 1 thread                   4.00 (3.00 to 6.00)  this one            3 days  2.14   none
other  batch 8, 64 px, fold on, cpu, 2 threads  4.00 (3.00 to 6.00)  ffff0000 (Old CPU)  5 h     2.13   01234567
"""


def run(*arguments: object) -> str:
    return CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False).output


def store(results: Path, machine: str, model: str, age: timedelta, **changes: Any) -> None:
    turns = tuple(ProcessTurns(forwards=1, clock="cpu", ns=(ms * 1_000_000,)) for ms in (3, 4, 6))
    fields: dict[str, Any] = {
        "saved_at": (datetime.now(UTC) - age).isoformat(),
        "workload": {"model": model, "batch_size": 1},
        "device": "cpu",
        "threads": 1,
        "processes": turns,
        "calibration_version": 1,
        "kernels": dict.fromkeys(KERNELS, turns),
        "conditions": {"machine": machine, "cpu_model": "Old CPU", "torch": "2.14", "git_commit": None},
    }
    save_baseline(results, Baseline(**(fields | changes)), local=True)


def test_show_lists_what_is_stored_for_which_machine_and_how_old(tmp_path: Path) -> None:
    store(tmp_path, machine_fingerprint(), "net", timedelta(days=3))
    store(
        tmp_path,
        "ffff0000",
        "other",
        timedelta(hours=5),
        threads=2,
        workload={"model": "other", "batch_size": 8, "resolution_px": 64, "settings": {"fold": True}},
        conditions={"machine": "ffff0000", "cpu_model": "Old CPU", "torch": "2.13", "git_commit": "0123456789ab"},
    )
    assert run("baseline", "show", "--results", tmp_path) == SHOWN


def test_show_says_where_it_looked_and_how_to_make_one(tmp_path: Path) -> None:
    assert run("baseline", "show", "--results", tmp_path) == (
        f"No baseline in '{tmp_path}/local/baseline'. `vitbench baseline save --model NAME` makes one.\n"
    )


def test_show_names_a_file_that_is_none(tmp_path: Path) -> None:
    odd = tmp_path / "local" / "baseline" / "odd.json"
    odd.parent.mkdir(parents=True)
    odd.write_text("{")
    assert f"Warning: Baseline '{odd}' is none: it is not JSON. It is passed over." in run(
        "baseline", "show", "--results", tmp_path
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--settings", "model=x"], "leave out model= and plant="),
        (["--settings", "colour=red"], "Unknown key 'colour' in --settings 'colour=red'"),
        (["--model", "net.py:build"], "one of them is given twice"),
        (["--model", "/net.py:build"], "has an absolute path"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_timed(arguments: list[str], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        run("baseline", "save", "--model", "net.py:build", *arguments)


def test_what_was_saved_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VITBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "net.py").write_text(NET)
    said = run(
        "baseline", "save", "--model", "net.py:build", "--resolution", 16, "--settings", "memory_format=channels_last",
        "--processes", 1, "--turns", 4,
    )  # fmt: skip
    [saved] = read_baselines(tmp_path / "results", local=True).baselines
    assert f"{saved.name}.json" in said
    assert saved.machine == machine_fingerprint()
    assert {len(process.ns) for taken in (saved.processes, *saved.kernels.values()) for process in taken} == {4}
    assert "batch 1, 16 px, memory_format channels_last, cpu, 1 thread" in run("baseline", "show")
