"""What else went on in the machine while something was timed: load, neighbours, clocks, throttling.

Nothing here names a host, a process or a place: records are published. What a machine does not tell is None.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from bench.execute.environment import output_of

_SWITCHES = ("involuntary_switches", "voluntary_switches")
_CGROUP = ("cgroup_periods", "cgroup_throttled_periods", "cgroup_throttled_s")
PROC, SYS = Path("/proc"), Path("/sys")
KHZ_PER_MHZ = 1_000
# NVML's nvmlClocksEventReasons; the name of the query changed with driver 535.
REASON_QUERIES = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")
REASONS = {
    0x1: "gpu_idle",
    0x2: "applications_clocks_setting",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
}
GPU_QUERIES = {
    "gpu_sm_mhz": "clocks.sm",
    "gpu_sm_mhz_max": "clocks.max.sm",
    "gpu_memory_mhz": "clocks.mem",
    "gpu_temperature_c": "temperature.gpu",
    "gpu_power_w": "power.draw",
    "gpu_power_limit_w": "power.limit",
}


class MachineWatch:
    """Looks at the machine when it is made and when it is asked; between the two it does nothing.

    device: as cells name it. On `cuda` the GPU is the first of CUDA_VISIBLE_DEVICES, numbered as nvidia-smi does;
    the watch is made before this process uses it, so that every process on it is another's.
    """

    def __init__(self, device: str) -> None:
        self._gpu = _visible_gpu() if device == "cuda" else None
        self._gpu_before = _gpu_neighbours(self._gpu)
        self._load, self._mhz = _load(), _mhz()
        self._before = _counters()

    def state(self) -> dict[str, Any]:
        """Everything since the watch was made, as records hold it. Shares are of 1, of all cores' time."""
        now = _counters()
        gpu = _gpu_state(self._gpu)  # before the rest: its clocks fall soon after the last pass
        low, high, governor = _frequency_limits()
        grown = {name: _growth(before, now[name]) for name, before in self._before.items()}
        others = None if grown["busy_s"] is None else max(0.0, grown["busy_s"] - (grown["own_s"] or 0.0))
        return {
            "watched_s": grown["watched_s"],
            "cpu_governor": governor,
            "cpu_mhz_before": self._mhz,  # of the fastest core at that moment
            "cpu_mhz_after": _mhz(),
            "cpu_mhz_min": low,  # as the governor may choose
            "cpu_mhz_max": high,
            "load_before": self._load,  # runnable threads, mean over a minute
            "load_after": _load(),
            "steal_share": _share(grown["steal_s"], grown["all_s"]),
            "other_cpu_share": _share(others, grown["all_s"]),
            **{name: grown[name] for name in _SWITCHES + _CGROUP},
            **self._gpu_before,
            **gpu,
        }


def _growth(before: float | None, now: float | None) -> float | None:
    return None if before is None or now is None else now - before


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


def _counters() -> dict[str, float | None]:
    """What only ever grows, at this moment. Processor seconds are summed over all cores; None is not told.

    busy_s: in any process of this machine. steal_s: taken by the host of a virtual machine. own_s: in this process and
    its children. Involuntary switches: this process was made to wait for another.
    """
    total, busy, steal = _processor_seconds()
    switches = psutil.Process().num_ctx_switches()
    return {
        "watched_s": time.monotonic(),
        "all_s": total,
        "busy_s": busy,
        "steal_s": steal,
        "own_s": _own_seconds(),
        **dict(zip(_SWITCHES, (switches.involuntary, switches.voluntary), strict=True)),
        **dict(zip(_CGROUP, _cgroup(), strict=True)),
    }


def _processor_seconds() -> tuple[float, float, float | None]:
    """Seconds of all cores since start-up: in all, busy, and stolen (None where there is no such thing)."""
    times = psutil.cpu_times()
    waiting = times.idle + getattr(times, "iowait", 0.0)
    # `guest` time is part of `user` already
    working = sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq"))
    steal = getattr(times, "steal", None)
    return waiting + working + (steal or 0.0), working, steal


def _own_seconds() -> float:
    """Processor seconds of this process and its children, those that have ended included."""
    me = psutil.Process()
    seconds = 0.0
    for process in (me, *me.children(recursive=True)):
        with suppress(psutil.Error):  # it ended meanwhile, and now counts among its parent's
            times = process.cpu_times()
            seconds += times.user + times.system
            seconds += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return float(seconds)


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):
        return None


def _mhz() -> float | None:
    """The present frequency of the fastest core; some virtual machines tell a constant."""
    try:
        found = [frequency.current for frequency in psutil.cpu_freq(percpu=True) or ()]
    except (OSError, RuntimeError, NotImplementedError, AttributeError):
        return None
    return max(found, default=0.0) or None


def _frequency_limits() -> tuple[float | None, float | None, str | None]:
    """Lowest and highest frequency that may be chosen, in MHz, and by which governor (several: joined by `/`)."""
    policies = sorted((SYS / "devices/system/cpu/cpufreq").glob("policy*"))
    lowest, highest, governors = (
        [text for policy in policies if (text := _text(policy / name))]
        for name in ("scaling_min_freq", "scaling_max_freq", "scaling_governor")
    )
    low = min((float(text) / KHZ_PER_MHZ for text in lowest), default=None)
    high = max((float(text) / KHZ_PER_MHZ for text in highest), default=None)
    return low, high, "/".join(sorted(set(governors))) or None


def _cgroup() -> tuple[int | None, int | None, float | None]:
    """Periods, throttled periods and throttled seconds of this process's control group and those around it."""
    found = [parsed for file in _cgroup_files() if (parsed := _cpu_stat(_text(file)))]
    if not found:
        return None, None, None
    periods, throttled, seconds = (sum(values) for values in zip(*found, strict=True))
    return int(periods), int(throttled), seconds


def _cgroup_files() -> Iterable[Path]:
    """cpu.stat of every control group that this process is in, versions 1 and 2."""
    for line in (_text(PROC / "self/cgroup") or "").splitlines():
        _, controllers, place = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = SYS / "fs/cgroup" / controllers if controllers else SYS / "fs/cgroup"
        inner = root / place.lstrip("/")
        yield from (folder / "cpu.stat" for folder in (inner, *inner.parents) if folder.is_relative_to(root))


def _cpu_stat(text: str | None) -> tuple[float, float, float] | None:
    rows = dict(line.split(" ", 1) for line in (text or "").splitlines() if " " in line)
    if "nr_throttled" not in rows:
        return None
    seconds = float(rows.get("throttled_usec", 0)) / 1e6 + float(rows.get("throttled_time", 0)) / 1e9
    return float(rows.get("nr_periods", 0)), float(rows["nr_throttled"]), seconds


def _text(file: Path) -> str | None:
    """What a file of the kernel's says, None where it is not there or not to be read."""
    try:
        return file.read_text().strip()
    except (OSError, ValueError):
        return None


def _visible_gpu() -> str | None:
    """Number or UUID of the GPU that CUDA calls the first."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip() or None


def _gpu_neighbours(gpu: str | None) -> dict[str, Any]:
    """Processes on the GPU and memory that is in use there, before this process starts."""
    processes = None if gpu is None else _nvidia_smi(gpu, "--query-compute-apps=pid")
    return {
        "gpu_other_processes": None if processes is None else len(processes.splitlines()),
        "gpu_memory_used_before_mib": _number(None if gpu is None else _nvidia_smi(gpu, "--query-gpu=memory.used")),
    }


def _gpu_state(gpu: str | None) -> dict[str, Any]:
    """Clocks, temperature, power and what holds the clocks down, right after the last pass."""
    answer = None if gpu is None else _nvidia_smi(gpu, f"--query-gpu={','.join(GPU_QUERIES.values())}")
    fields = (answer or "").split(",")
    known = len(fields) == len(GPU_QUERIES)
    state: dict[str, Any] = {name: _number(fields[place]) if known else None for place, name in enumerate(GPU_QUERIES)}
    return state | {"gpu_throttle_reasons": None if gpu is None else _throttle_reasons(gpu)}


def _throttle_reasons(gpu: str) -> list[str] | None:
    """Names of what holds the GPU's clocks down at this moment; empty: nothing does."""
    for query in REASON_QUERIES:
        answer = _nvidia_smi(gpu, f"--query-gpu={query}")
        with suppress(TypeError, ValueError):  # not answered, or not with a number
            bits = int(answer, 16)  # type: ignore[arg-type]
            return [name for bit, name in REASONS.items() if bits & bit]
    return None


def _nvidia_smi(gpu: str, query: str) -> str | None:
    return output_of(["nvidia-smi", f"--id={gpu}", query, "--format=csv,noheader,nounits"])


def _number(text: str | None) -> float | None:
    """The number, None for `[N/A]` and the like."""
    try:
        return float(text or "")
    except ValueError:
        return None
