"""Under which conditions a number was obtained, and the process-wide switches that belong to them.

Nothing here names a person, a host or a place on a disk: records are published.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

import bench
from bench.errors import BenchError
from bench.measure.devices import available_precisions, compile_reason, has_amx
from bench.measure.timing.timing import allocator_of
from bench.suite.model_source import edited_code
from bench.suite.planning_context import Abilities
from bench.suite.tasks import TASKS

GIB = 1024**3
COMMAND_SECONDS = 10.0  # patience with git and nvidia-smi, which answer in well under one
PACKAGES = ("torch", "timm", "torchvision", "fvcore", "numpy")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def describe_conditions(device: str, threads: int, side_by_side: int, repository: Path | None = None) -> dict[str, Any]:
    """The conditions that every record carries.

    threads: that one cell computes with. side_by_side: trainings that ran at once. repository: folder in a git
    checkout whose commit is meant; None is the one that holds this package. git_commit and git_dirty are None
    outside a checkout; git_dirty is about tracked and new files in that folder.
    """
    commit, is_dirty = _git_state(repository or Path(bench.__file__).resolve().parent)
    return {
        "device": device,
        "cpu_model": cpu_model(),
        "isa": cpu_isa(),
        "gpu_model": gpu_model(device),
        "cores": _cores(),
        "memory_gib": _memory_bytes() / GIB,
        "threads": threads,
        "side_by_side": side_by_side,
        "os": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
        "python": platform.python_version(),
        **{package: version_of(package) for package in PACKAGES},
        "driver": _driver(device),
        "git_commit": commit,
        "git_dirty": is_dirty,
        "backend_flags": _backend_flags(),
        "allocator": allocator_of(os.environ),
        "machine": machine_fingerprint(),
        "package": bench.__version__,
    }


def machine_fingerprint() -> str:
    """Eight hexadecimal digits of CPU model, cores, memory in whole GiB and GPUs: the same machine, the same digits."""
    gpus = [name for name, _ in _nvidia_gpus()]
    facts = [cpu_model(), str(_cores()), str(_memory_bytes() // GIB), *gpus]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:8]


@functools.cache
def cpu_model() -> str:
    """The processor's name as it tells it, e.g. `AMD EPYC 7763 64-Core Processor`."""
    if platform.system() == "Darwin":
        name = output_of(["sysctl", "-n", "machdep.cpu.brand_string"])
    else:
        name = _proc_cpuinfo("model name")
    return name or platform.processor() or platform.machine() or "unknown"


@functools.cache
def cpu_isa() -> str:
    """The widest vector instructions that torch uses here, `+amx` if there are matrix tiles: `avx512+amx`."""
    capability = torch.backends.cpu.get_cpu_capability().lower()
    if capability in ("default", "no avx"):
        capability = platform.machine().lower()
    return f"{capability}+amx" if has_amx() else capability


def gpu_model(device: str) -> str | None:
    """Name of the GPU that `device` is, None for cpu."""
    if device == "mps":
        return cpu_model()  # one chip
    if device != "cuda":
        return None
    names = {name for name, _ in _nvidia_gpus()}
    # nvidia-smi is asked first because torch would hold GPU memory in this process from here on.
    return names.pop() if len(names) == 1 else torch.cuda.get_device_name()


def limit_threads(threads: int) -> None:
    """Compute with `threads` threads, in torch and in the libraries that this process or its children load later."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    torch.set_num_threads(threads)


def set_backends(task: str) -> None:
    """Process-wide switches: repeatable kernels where a task trains, the fastest where it times, else torch's own.

    To be called before describe_conditions, which records them.
    """
    if TASKS[task].trains:
        set_determinism()
        return
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.deterministic = False
    torch.backends.mkldnn.deterministic = False  # type: ignore[assignment, unused-ignore]
    # Shapes are fixed, so cuDNN may try its kernels during warm-up; its guess costs CNNs more than ViTs.
    torch.backends.cudnn.benchmark = TASKS[task].measures == "time"


def set_determinism() -> None:
    """Make training give the same numbers again: same seed, same threads, same machine and versions.

    Complete on the CPU, where an operator that could not be repeated raises RuntimeError. With a CUDA device it warns
    instead, because some backward passes have no repeatable kernel there. Seeds are the caller's.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts; without it cuBLAS may vary
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a debugging aid, slow
    torch.backends.mkldnn.deterministic = True  # type: ignore[assignment, unused-ignore]
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def _backend_flags() -> dict[str, Any]:
    """torch's switches that move numbers or times. TF32 is not among them: the cell's precision sets it."""
    return {
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "cudnn_deterministic": bool(torch.backends.cudnn.deterministic),
        "cudnn_benchmark": bool(torch.backends.cudnn.benchmark),
        "mkldnn": bool(torch.backends.mkldnn.is_available()),  # type: ignore[no-untyped-call, unused-ignore]
        "mkldnn_deterministic": bool(torch.backends.mkldnn.deterministic),
    }


def _driver(device: str) -> str | None:
    """Version of the GPU's driver; on Metal that is the system's."""
    if device == "mps":
        return f"macOS {platform.mac_ver()[0]}"
    if device != "cuda":
        return None
    drivers = [driver for _, driver in _nvidia_gpus()]
    return drivers[0] if drivers else None


def _cores() -> int:
    return os.cpu_count() or 1


def _memory_bytes() -> int:
    return int(psutil.virtual_memory().total)


def version_of(package: str) -> str | None:
    """`1.0.31`; with a hash of its code where that is a checkout, which is edited under one version."""
    try:
        found = version(package)
    except PackageNotFoundError:
        return None
    edited = edited_code(package)
    return found if edited is None else f"{found} from a checkout, {edited}"


def _proc_cpuinfo(key: str) -> str:
    """The first value of a key in /proc/cpuinfo, empty where there is none."""
    file = Path("/proc/cpuinfo")
    if file.exists():
        for line in file.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    return ""


@functools.cache
def _nvidia_gpus() -> tuple[tuple[str, str], ...]:
    """Name and driver version of each NVIDIA GPU, without starting CUDA in this process."""
    output = output_of(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]) or ""
    rows = [line.rpartition(",") for line in output.splitlines() if "," in line]
    return tuple((name.strip(), driver.strip()) for name, _, driver in rows)


@functools.cache
def _git_state(folder: Path) -> tuple[str | None, bool | None]:
    """Commit and dirtiness of the checkout that tracks `folder`. Asked once: this process runs the code it loaded."""
    if not output_of(["git", "-C", str(folder), "ls-files", "--error-unmatch", "."]):
        return None, None  # no checkout, or one that merely contains an installed copy
    commit = output_of(["git", "-C", str(folder), "rev-parse", "HEAD"])
    changes = output_of(["git", "-C", str(folder), "status", "--porcelain", "--", "."])
    return commit or None, None if changes is None else bool(changes)


def output_of(command: Sequence[str]) -> str | None:
    """What a program prints, stripped; None if it is absent, fails or takes too long."""
    # Inside a git hook these point at the hook's repository, whatever folder is asked about.
    environment = {k: v for k, v in os.environ.items() if k not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=True, env=environment
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


@functools.cache
def abilities_of(device: str) -> Abilities:
    """Precisions that the device computes natively, and whether torch.compile works there.

    Found out in a process of its own where asking would take the device: torch answers for a GPU only once it holds
    memory there, and the parent of timed processes must not.
    Raises BenchError if the process that was to find out failed.
    """
    if device == "cpu":
        return _ask(device)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bench.execute.environment", device],
            capture_output=True, text=True, check=True, cwd=Path(bench.__file__).parents[1],
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["it wrote nothing"])[-1]
        raise BenchError(f"What {device} can do could not be found out: {last}") from None
    answer = json.loads(done.stdout)
    return Abilities(tuple(answer["precisions"]), bool(answer["can_compile"]))


def _ask(device: str) -> Abilities:
    able = (precision for precision, reason in available_precisions(device).items() if reason is None)
    return Abilities(tuple(able), compile_reason(device) is None)  # type: ignore[arg-type]


if __name__ == "__main__":
    found = _ask(sys.argv[1])
    json.dump({"precisions": found.precisions, "can_compile": found.can_compile}, sys.stdout)
