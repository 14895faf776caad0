"""One side of a check, in its own interpreter: builds models, and runs forward passes when it is given the token.

A worker that is asked to count instead (facts.py) times nothing.

Started by file path (`python -P .../worker.py`) with the side's source tree first on PYTHONPATH: this file is always
head's, and everything that it imports from `bench` is the side's own. So it may import nothing of bench.gate, which
an older revision need not have. One JSON request a line on standard input, one reply a line; it ends with its input.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib.util
import json
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

WARMUP_PASSES = 3  # first calls allocate, choose kernels and fill caches
WARMUP_SECONDS = 0.1
PROBE_PASSES = 5  # their median says how long a pass takes

Step = Callable[[], object]


def main() -> None:
    """Serve requests until standard input ends."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a model prints goes to standard error
    sys.meta_path.insert(0, OwnTreeOnly)
    side = Side()
    for line in sys.stdin:
        request = json.loads(line)
        reply = side.answer(request)
        replies.write(json.dumps({"side": side.name, **reply}, separators=(",", ":")) + "\n")
        replies.flush()
    os._exit(0)  # at once: the parent waits before it starts the next pair


class OwnTreeOnly:
    """Find parts of `bench` beside the `bench` that was found first, and nowhere else.

    The finder of an editable installation would hand out what an older tree lacks from the tree that is installed.
    """

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        if not name.startswith("bench."):
            return None
        found = PathFinder.find_spec(name, path)
        if found is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return found


class Side:
    """The models of one worker, each as a step that runs one forward pass."""

    def __init__(self) -> None:
        self.name = os.environ.get("VITBENCH_GATE_SIDE", "")
        self._steps: list[tuple[Step, tuple[int, int]] | None] = []
        self._synchronise: Callable[[], None] = lambda: None
        self._is_one_thread = False
        self._watch: Any = None  # of files_read.py, in a check of two revisions
        self._held = contextlib.ExitStack()  # contexts that are entered for as long as the worker lives

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        match request["do"]:
            case "turn":  # first: this is the path that is timed
                return self.turn(request["workload"], request["warm"], request["forwards"])
            case "start":
                return self.start(request)
            case "build":
                return self.build(request["workload"], request["device"])
            case "count":
                return self.count(request["workload"])
            case "conditions":
                from bench.execute.environment import describe_conditions  # as this side's code states them

                return {"conditions": describe_conditions(request["device"], request["threads"], 1)}
            case other:
                return {"error": f"unknown request {other!r}"}

    def start(self, request: dict[str, Any]) -> dict[str, Any]:
        """Import what is slow to import, pin the process, and say who this is."""
        try:
            import timm
            import torch

            import bench
            import bench.measure.build
            import bench.measure.settings
        except Exception as error:  # the side's own code: anything may happen while it is imported
            return {"error": f"cannot be imported: {one_line(error)}"}
        if request["cpus"] and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, request["cpus"])  # only now: the workers of a pair import on all CPUs at once
        torch.set_num_threads(request["threads"])
        has_count = hasattr(resource, "RUSAGE_THREAD")  # Linux
        self._is_one_thread = request["device"] == "cpu" and request["threads"] == 1 and has_count
        torch.backends.cudnn.benchmark = True
        if request["device"] == "cuda":
            self._synchronise = torch.cuda.synchronize
        elif request["device"] == "mps":
            self._synchronise = torch.mps.synchronize
        if request["watch"] is not None:
            self._watch = load_beside("files_read").Watch(request["watch"])
        return {
            "origin": os.path.dirname(os.path.dirname(os.path.abspath(bench.__file__))),
            "python": ".".join(map(str, sys.version_info[:3])),
            "torch": torch.__version__,
            "timm": timm.__version__,
        }

    def build(self, workload: dict[str, Any], device: str) -> dict[str, Any]:
        """Make one model ready: the nanoseconds of a pass, or why it cannot be made; and what was read meanwhile."""
        import torch

        if not self._steps:
            self._held.enter_context(torch.inference_mode())

        def make() -> dict[str, Any]:
            try:
                step = self._make_step(workload, device)
                forward_ns = self._warm_up(step)
            except Exception as error:  # the side's own code, or a model that does not fit: the check says so
                self._steps.append(None)
                return {"error": one_line(error)}
            self._steps.append((step, tuple(workload["plant"] or (0, 1))))
            return {"forward_ns": forward_ns}

        reply = self._watched(make)
        if "error" not in reply:
            gc.collect()
            gc.freeze()
            gc.disable()
        return reply

    def count(self, workload: dict[str, Any]) -> dict[str, Any]:
        """What one forward pass holds; and what was read meanwhile."""
        warnings.simplefilter("ignore")
        facts = load_beside("facts")
        return self._watched(lambda: facts.count_workload(workload, graph_breaks=True))

    def _watched(self, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The reply of `make`, with what was read meanwhile if that is asked for."""
        if self._watch is None:
            return make()
        self._watch.on()
        reply = make()
        return {**reply, "seen": self._watch.report()}

    def turn(self, index: int, warm: int, forwards: int) -> dict[str, Any]:
        """Nanoseconds of so many forward passes, after `warm` that are not timed. A plant adds its share of passes.

        cpu_ns: of this thread, which leaves out the time when other processes had the CPU. waits: how often the thread
        gave the CPU up by itself meanwhile; None where cpu_ns does not hold all the work, or the system does not count.
        """
        made = self._steps[index]
        if made is None:
            raise LookupError(f"workload {index} was not built")
        step, (extra, per) = made
        passes = range(forwards + extra * forwards // per)
        synchronise = self._synchronise
        for _ in range(warm):  # the caches are full of what the other side left there
            step()
        synchronise()
        waited = self._count_waits()
        cpu_started, started = time.thread_time_ns(), time.perf_counter_ns()
        for _ in passes:
            step()
        synchronise()
        ended, cpu_ended = time.perf_counter_ns(), time.thread_time_ns()
        waits = None if waited is None else (self._count_waits() or 0) - waited
        return {"ns": ended - started, "cpu_ns": cpu_ended - cpu_started, "waits": waits}

    def _count_waits(self) -> int | None:
        if not self._is_one_thread:
            return None
        return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw

    def _make_step(self, workload: dict[str, Any], device: str) -> Step:
        import torch

        from bench.measure.build import build_model, native_resolution
        from bench.measure.settings import apply_settings
        from bench.suite.cell import Settings

        settings = Settings(**workload["settings"])
        resolution = workload["resolution_px"] or native_resolution(workload["model"])
        model = build_model(
            workload["model"], num_classes=workload["num_classes"], resolution_px=workload["resolution_px"], seed=0
        )
        # An older revision knows no folding, and so no resolution here.
        sizes = {"resolution_px": resolution} if workload["settings"].get("fold") else {}
        applied = apply_settings(model.eval(), settings, device, **sizes)
        self._held.enter_context(applied.context)
        size = (workload["batch_size"], 3, resolution, resolution)
        layout = torch.channels_last if settings.memory_format == "channels_last" else torch.contiguous_format
        images = torch.randn(size, generator=torch.Generator().manual_seed(0))  # the same on both sides
        images = images.to(device=device, dtype=applied.input_dtype, memory_format=layout)
        network = applied.model
        return lambda: network(images)

    def _warm_up(self, step: Step) -> int:
        """Run passes until caches and kernels are settled; the median nanoseconds of a few after that."""
        started, done = time.perf_counter(), 0
        while done < WARMUP_PASSES or time.perf_counter() - started < WARMUP_SECONDS:
            step()
            self._synchronise()
            done += 1
        samples = []
        for _ in range(PROBE_PASSES):
            begun = time.perf_counter_ns()
            step()
            self._synchronise()
            samples.append(time.perf_counter_ns() - begun)
        return sorted(samples)[PROBE_PASSES // 2]


@functools.cache
def load_beside(name: str) -> Any:
    """A module beside this file: a script that is started by its path can import nothing of its folder."""
    place = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"vitbench_{name}", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def one_line(error: BaseException) -> str:
    """An error's type and first line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300] if lines else 'no message'}"


if __name__ == "__main__":
    main()
