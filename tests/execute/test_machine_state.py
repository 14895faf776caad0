from __future__ import annotations

import getpass
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from bench.execute import machine_state as module
from bench.execute.machine_state import MachineWatch

GPU_KEYS = [
    *["gpu_other_processes", "gpu_memory_used_before_mib", "gpu_sm_mhz", "gpu_sm_mhz_max", "gpu_memory_mhz"],
    *["gpu_temperature_c", "gpu_power_w", "gpu_power_limit_w", "gpu_throttle_reasons"],
]


class Times(NamedTuple):
    user: float = 0.0
    nice: float = 0.0
    system: float = 0.0
    idle: float = 0.0
    iowait: float = 0.0
    irq: float = 0.0
    softirq: float = 0.0
    steal: float = 0.0
    guest: float = 0.0


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine that tells nothing but what a test writes."""
    monkeypatch.setattr(module, "PROC", tmp_path / "proc")
    monkeypatch.setattr(module, "SYS", tmp_path / "sys")
    monkeypatch.setattr(module, "output_of", lambda command: None)
    return tmp_path


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_the_state_of_this_machine_can_be_stored_and_names_nobody():
    stored = json.dumps(MachineWatch("cpu").state(), allow_nan=False)
    for name in (socket.gethostname(), getpass.getuser(), str(Path.home()), Path(sys.executable).name):
        assert name not in stored


def test_what_a_machine_does_not_tell_is_none(bare: Path, monkeypatch: pytest.MonkeyPatch):
    def unknown(**_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(psutil, "cpu_freq", unknown)
    state = MachineWatch("cuda").state()
    asked = ["cpu_governor", "cpu_mhz_after", "cpu_mhz_min", "cgroup_periods", "cgroup_throttled_s", *GPU_KEYS]
    assert {key: state[key] for key in asked} == dict.fromkeys(asked)


def test_shares_are_of_all_cores_time_and_leave_our_own_out(bare: Path, monkeypatch: pytest.MonkeyPatch):
    # 100 s on all cores: 30 busy, 5 of them as a guest's user time, 60 idle, 10 stolen; 12 are our own
    moments = iter([Times(), Times(user=20, system=10, idle=50, iowait=10, steal=10, guest=5)])
    own = iter([1.0, 13.0])
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(moments))
    monkeypatch.setattr(module, "_own_seconds", lambda: next(own))
    state = MachineWatch("cpu").state()
    assert state["steal_share"] == pytest.approx(0.10)
    assert state["other_cpu_share"] == pytest.approx((30 - 12) / 100)


def test_a_child_counts_as_our_own():
    before = module._own_seconds()
    script = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", script], check=True)
    assert module._own_seconds() - before >= 0.29


def test_governor_and_limits_come_from_all_policies(bare: Path):
    for number, (governor, low, high) in enumerate([("powersave", 800_000, 3_000_000), ("performance", 900_000, 4e6)]):
        folder = bare / f"sys/devices/system/cpu/cpufreq/policy{number}"
        write(folder / "scaling_governor", f"{governor}\n")
        write(folder / "scaling_min_freq", f"{low}\n")
        write(folder / "scaling_max_freq", f"{high:.0f}\n")
    state = MachineWatch("cpu").state()
    assert state["cpu_governor"] == "performance/powersave"
    assert (state["cpu_mhz_min"], state["cpu_mhz_max"]) == (800.0, 4000.0)


@pytest.mark.parametrize(
    ("group", "folder", "unit"),
    [("0::/a/b", "sys/fs/cgroup/a", "throttled_usec 2500000"), ("4:cpu,cpuacct:/a", "sys/fs/cgroup/cpu,cpuacct/a",
                                                                   "throttled_time 2500000000")],
    ids=["version 2, around us", "version 1"],
)  # fmt: skip
def test_throttling_is_what_the_control_groups_count(bare: Path, group: str, folder: str, unit: str):
    write(bare / "proc/self/cgroup", f"7:memory:/elsewhere\n{group}\n")
    write(bare / folder / "cpu.stat", f"nr_periods 10\nnr_throttled 1\n{unit.split()[0]} 0\n")
    watch = MachineWatch("cpu")
    write(bare / folder / "cpu.stat", f"nr_periods 50\nnr_throttled 4\n{unit}\n")
    state = watch.state()
    assert (state["cgroup_periods"], state["cgroup_throttled_periods"]) == (40, 3)
    assert state["cgroup_throttled_s"] == pytest.approx(2.5)


def nvidia(answers: dict[str, str | None], asked: list[list[str]]) -> Any:
    def answer(command: list[str]) -> str | None:
        asked.append(command)
        return next((text for words, text in answers.items() if words in command[2]), None)

    return answer


def test_a_gpu_tells_clocks_heat_power_and_neighbours(bare: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[list[str]] = []
    answers = {
        "compute-apps": "4242\n4243",
        "memory.used": "1024",
        "clocks.sm": "1410, 1980, 2619, 61, [N/A], 700.00",
        "clocks_throttle_reasons": "0x0000000000000044",  # an older driver: the newer name is not known
    }
    monkeypatch.setattr(module, "output_of", nvidia(answers, asked))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-12ab,3")
    state = MachineWatch("cuda").state()
    assert {key: state[key] for key in GPU_KEYS} == {
        "gpu_other_processes": 2,
        "gpu_memory_used_before_mib": 1024.0,
        "gpu_sm_mhz": 1410.0,
        "gpu_sm_mhz_max": 1980.0,
        "gpu_memory_mhz": 2619.0,
        "gpu_temperature_c": 61.0,
        "gpu_power_w": None,
        "gpu_power_limit_w": 700.0,
        "gpu_throttle_reasons": ["sw_power_cap", "hw_thermal_slowdown"],
    }
    assert {command[1] for command in asked} == {"--id=GPU-12ab"}


def test_an_idle_gpu_has_no_neighbours_and_no_reasons(bare: Path, monkeypatch: pytest.MonkeyPatch):
    answers = {"compute-apps": "", "clocks_event_reasons": "0x0"}
    monkeypatch.setattr(module, "output_of", nvidia(answers, []))
    state = MachineWatch("cuda").state()
    assert (state["gpu_other_processes"], state["gpu_throttle_reasons"]) == (0, [])


def test_no_gpu_is_asked_about_on_a_cpu(bare: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[list[str]] = []
    monkeypatch.setattr(module, "output_of", nvidia({}, asked))
    MachineWatch("cpu").state()
    assert asked == []


def test_a_look_takes_milliseconds():
    started = time.perf_counter()
    MachineWatch("cpu").state()
    assert time.perf_counter() - started < 1.0
