"""Real worker processes of a little repository: the token, and what happens when a worker dies, hangs or lies."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.gate import arms
from bench.gate.apart import Apart
from bench.gate.arms import Pace, ProcessArm, WorkerLostError
from bench.gate.result import Workload
from bench.gate.trees import SideBrokenError, SideCode, this_tree

NET = """
import os, time
import torch
calls, MANY = 0, 100_000

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(3 * 8 * 8, 2)

    def forward(self, images):
        global calls
        calls += 1
        {accident}
        return self.head(images.flatten(1))

def build(resolution_px=8):
    return Net()
"""
WORKLOAD = Workload(model="net.py:build", resolution_px=8)
MANY = 200_000  # more passes than warming up takes, which lasts 0.1 s


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET.format(accident="pass"))
    return tmp_path


@contextlib.contextmanager
def worker(code: SideCode, name: str = "base") -> Iterator[ProcessArm]:
    cpus = sorted(os.sched_getaffinity(0))[-1:]
    arm = ProcessArm(name, code, device="cpu", threads=1, cpus=cpus)
    try:
        arm.ready()
        yield arm
    finally:
        arm.close()


def test_a_worker_builds_and_takes_turns(folder: Path) -> None:
    with worker(this_tree()) as arm:
        assert set(arm.versions) == {"python", "torch", "timm"}
        assert isinstance(arm.build(WORKLOAD), int)
        short = arm.turn(0, Pace(1, 50), 1e6)
        long = arm.turn(0, Pace(1, 2_000), 1e6)
        assert 0 < short.cpu_ns < long.cpu_ns <= 1.01 * long.wall_ns
        assert (short.waits, long.waits) == (0, 0)
        assert arm.conditions()["threads"] == 1


def test_a_plant_is_extra_work(folder: Path) -> None:
    with worker(this_tree()) as arm:
        arm.build(WORKLOAD)
        arm.build(WORKLOAD.model_copy(update={"plant": (1, 1)}))
        plain = min(arm.turn(0, Pace(1, 2_000), 1e6).cpu_ns for _ in range(5))
        doubled = min(arm.turn(1, Pace(1, 2_000), 1e6).cpu_ns for _ in range(5))
        assert 1.5 < doubled / plain < 2.5


def test_a_model_that_sleeps_is_seen_to_wait(folder: Path) -> None:
    (folder / "net.py").write_text(NET.format(accident="time.sleep(0.001)"))
    with worker(this_tree()) as arm:
        arm.build(WORKLOAD)
        taken = arm.turn(0, Pace(1, 20), 1e6)
        assert (taken.waits or 0) >= 20
        assert taken.wall_ns >= 20e6 > taken.cpu_ns


def test_what_a_side_cannot_build_is_told_and_the_rest_goes_on(folder: Path) -> None:
    with worker(this_tree()) as arm:
        reason = arm.build(Workload(model="nett.py:build"))
        assert isinstance(reason, str)
        assert reason.startswith(("RequestError: ", "UnknownNameError: "))
        assert isinstance(arm.build(WORKLOAD), int)


def test_a_worker_that_dies_says_how(folder: Path) -> None:
    (folder / "net.py").write_text(NET.format(accident="if calls > MANY: print('out of ideas'); os._exit(7)"))
    with worker(this_tree()) as arm:
        arm.build(WORKLOAD)
        with pytest.raises(WorkerLostError, match=r"ended while a turn \(exit code 7; its last line: out of ideas\)"):
            arm.turn(0, Pace(1, MANY), 1e6)


def test_a_worker_that_hangs_is_not_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arms, "TURN_SECONDS", 1.0)
    (folder / "net.py").write_text(NET.format(accident="calls < MANY or time.sleep(60)"))
    with worker(this_tree()) as arm:
        arm.build(WORKLOAD)
        with pytest.raises(WorkerLostError, match="The base worker hung while a turn: no answer within 1 s"):
            arm.turn(0, Pace(1, MANY), 1e6)


def test_a_worker_with_another_label_is_found_out(folder: Path) -> None:
    with worker(this_tree()) as arm:
        arm.name = "head"  # what it measures would be booked on the other side
        with pytest.raises(WorkerLostError, match="should be head says that it is 'b': labels are swapped"):
            arm.build(WORKLOAD)


def test_a_side_that_imports_from_the_other_tree_is_found_out(folder: Path, tmp_path: Path) -> None:
    """As an editable installation makes it do: the model's helper lies in head's tree alone."""
    other = tmp_path / "head"
    other.mkdir()
    (other / "layers.py").write_text("scale = 1\n")
    (folder / "net.py").write_text(
        f"import sys\nsys.path.append({str(other)!r})\nimport layers\n" + NET.format(accident="pass")
    )
    code = replace(this_tree(), tree=folder, apart=Apart(folder, other, has_one_interpreter=True))
    told = (
        f"head imported 'layers' from {other}/layers.py, in head's tree: the two would be compared with the same code"
    )
    with worker(code) as arm, pytest.raises(SideBrokenError, match=told):
        arm.build(WORKLOAD)


def test_a_side_that_fails_over_the_other_tree_s_file_is_told_of_the_file(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "head"
    other.mkdir()
    (other / "width.txt").write_text("wide\n")
    (folder / "net.py").write_text(NET.format(accident="pass") + f"\nint(open({str(other / 'width.txt')!r}).read())\n")
    code = replace(this_tree(), tree=folder, apart=Apart(folder, other, has_one_interpreter=True))
    with worker(code) as arm, pytest.raises(SideBrokenError, match=r"width\.txt, in head's tree: .* the same file"):
        arm.build(WORKLOAD)


def test_what_is_opened_in_a_turn_is_not_listened_to(folder: Path, tmp_path: Path) -> None:
    """Building has shown what a model reads; while turns are timed nothing is kept."""
    other = tmp_path / "head"
    other.mkdir()
    (other / "width.txt").write_text("wide\n")
    accident = f"calls == MANY and open({str(other / 'width.txt')!r}).close()"
    (folder / "net.py").write_text(
        NET.format(accident=accident).replace("calls, MANY = 0, 100_000", "calls, MANY = 0, 50_000")
    )
    code = replace(this_tree(), tree=folder, apart=Apart(folder, other, has_one_interpreter=True))
    with worker(code) as arm:
        arm.build(WORKLOAD)
        arm.turn(0, Pace(1, 50_500), 1e9)
        assert isinstance(arm.build(WORKLOAD), int)


def test_the_worker_itself_is_head_s_on_both_sides(folder: Path) -> None:
    package = Path(arms.__file__).resolve().parents[2]  # where worker.py lies, and as good as head's tree
    apart = Apart(folder, package / "bench" / "gate", has_one_interpreter=True)
    code = replace(this_tree(), tree=folder, apart=apart)
    with worker(code) as arm:
        assert isinstance(arm.build(WORKLOAD), int)
        assert arm.count(WORKLOAD, 60)["counts"]["params"] > 0


def test_a_side_whose_own_package_does_not_import_is_broken(folder: Path) -> None:
    (folder / "bench").mkdir()
    (folder / "bench" / "__init__.py").write_text("raise RuntimeError('half a merge')\n")
    code = this_tree()
    broken = SideCode(code.side, code.python, folder, folder)
    with pytest.raises(SideBrokenError, match="head cannot be imported: RuntimeError: half a merge"), worker(broken):
        pass
