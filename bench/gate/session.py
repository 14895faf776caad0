"""A whole check: both sides' code made ready, exact counts compared, pairs run, one result."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from bench.errors import RequestError
from bench.gate.arms import Arm, ProcessArm, WorkerLostError
from bench.gate.check import Measured, Plan, inconclusive, measure
from bench.gate.exact import count_exactly
from bench.gate.pairs import ArmName, Listener, side_of
from bench.gate.result import CheckResult, Comparison, ExactResult, Side
from bench.gate.rule import SideName
from bench.gate.selftest import Recording, record_pairs
from bench.gate.trees import SideBrokenError, SideCode, base_tree, is_one_environment, this_tree
from bench.suite.cell import Device

ExactMode = Literal["gate", "show", "off"]


@dataclass(frozen=True)
class Request:
    """What `vitbench check` was asked. base: a revision; None compares two workloads or interpreters of this tree."""

    comparisons: tuple[Comparison, ...]
    base: str | None
    base_python: Path | None = None
    plan: Plan = field(default_factory=Plan)
    device: Device = "cpu"
    threads: int = 1
    exact: ExactMode = "gate"


@dataclass
class Launcher:
    """Starts the workers of pairs, and remembers what they say of themselves."""

    base: SideCode
    head: SideCode
    device: Device
    threads: int
    cpus: tuple[int, ...] | None
    head_copy: SideCode | None = None  # runs head against itself in the A/A arm; None: head's own tree does
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)  # in their order, each once
    conditions: dict[str, Any] = field(default_factory=dict)

    @contextlib.contextmanager
    def __call__(self, names: Sequence[ArmName]) -> Iterator[Mapping[ArmName, Arm]]:
        arms: dict[ArmName, ProcessArm] = {}
        try:
            for name in names:  # all import at once
                code = self.code_of(name)
                arms[name] = ProcessArm(name, code, device=self.device, threads=self.threads, cpus=self.cpus)
            for name, arm in arms.items():
                arm.ready()
                self.versions[name] = arm.versions
            yield arms
            self.notes.update(dict.fromkeys(note for arm in arms.values() for note in arm.notes))
            if not self.conditions:  # after the turns: what it imports would be in one worker and not in the others
                self.conditions = arms["head"].conditions()
        finally:
            for arm in arms.values():
                arm.close()

    def code_of(self, name: ArmName) -> SideCode:
        """What a worker runs."""
        if name == "again head" and self.head_copy is not None:
            return self.head_copy
        return self.head if side_of(name) == "head" else self.base

    def side(self, name: SideName) -> Side:
        """A side with the versions that its worker reported, if one ran."""
        return self.code_of(name).side.model_copy(update=self.versions.get(name, {}))


def run_check(request: Request, listener: Listener, cache: Path) -> CheckResult:
    """Everything that `vitbench check` does but printing.

    cache: folder for environments of bases with other dependencies. Raises RequestError for what cannot be asked.
    """
    head = this_tree()
    _require_known(request)
    cpus = choose_cpus(request.threads)
    started_at, started = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    with contextlib.ExitStack() as held:
        held.enter_context(_alone(cache))
        launcher: Launcher | None = None
        exact: tuple[ExactResult, ...] = ()
        try:
            base, head = held.enter_context(_sides(request, head, cache))
            copy = held.enter_context(head_copy(request, head, cache))
            launcher = Launcher(base, head, request.device, request.threads, cpus, copy)
            exact = _count(request, base, head)
            measured = measure(request.comparisons, request.plan, launcher, listener)
        except SideBrokenError as error:
            measured = inconclusive(request.comparisons, error)
        problems = (*measured.problems, *_other_packages(request, launcher), *_notes(launcher))
        measured = replace(measured, problems=problems)
        wall_s = time.monotonic() - started
        return _result(request, head, launcher, measured, exact, cpus, started_at, wall_s)


def _other_packages(request: Request, launcher: Launcher | None) -> tuple[str, ...]:
    """A sentence where the two sides ran with other packages though nobody asked for another interpreter."""
    if launcher is None or request.base_python is not None:
        return ()
    base, head = launcher.versions.get("base", {}), launcher.versions.get("head", {})
    differing = [f"{key} {base[key]} and {head[key]}" for key in base if base[key] != head.get(key)]
    if not differing:
        return ()
    return (f"Base and head depend on other packages and ran with them ({', '.join(differing)}): a difference may be "
            "theirs.",)  # fmt: skip


def _notes(launcher: Launcher | None) -> tuple[str, ...]:
    """What a reader should know of the sides' trees and of what their workers read."""
    return () if launcher is None else (*launcher.base.notes, *launcher.notes)


def run_selftest(
    comparisons: Sequence[Comparison],
    pairs: int,
    *,
    turns: int,
    seed: int,
    device: Device,
    threads: int,
    listener: Listener,
    cache: Path,
) -> Recording:
    """Pairs of this tree against itself with planted slowdowns. Raises RequestError if a worker cannot run them."""
    here = this_tree("this tree")
    cpus = choose_cpus(threads)
    started_at, started = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    launcher = Launcher(here, here, device, threads, cpus)
    with _alone(cache):
        try:
            recorded = record_pairs(comparisons, pairs, turns, seed, launcher, listener)
        except (WorkerLostError, SideBrokenError, ValueError) as error:
            raise RequestError(f"The self-test cannot run: {error}") from None
    return Recording(
        started_at=started_at,
        wall_s=time.monotonic() - started,
        seed=seed,
        side=launcher.side("head"),
        conditions=launcher.conditions,
        comparisons=tuple(comparisons),
        pairs=recorded,
    )


@contextlib.contextmanager
def _sides(request: Request, head: SideCode, cache: Path) -> Iterator[tuple[SideCode, SideCode]]:
    """Base and head; of two revisions each can prove that it ran its own code."""
    if request.base is not None:
        with base_tree(request.base, head, cache, request.base_python) as base:
            yield base, replace(head, places=base.places, apart=base.apart)
        return
    label = f"a ({request.base_python.name})" if request.base_python else "a"
    side = head.side.model_copy(update={"label": label})
    yield SideCode(side, request.base_python or head.python, head.tree, head.folder), head


@contextlib.contextmanager
def head_copy(request: Request, head: SideCode, cache: Path) -> Iterator[SideCode | None]:
    """Head's commit in a worktree of its own, as the base has one: what it differs by from head's tree is no code.

    None where there is no A/A arm, where base and head share a tree, and where changes are not committed.
    """
    if request.base is None or head.side.is_dirty or not request.plan.has_again_arm:
        yield None
        return
    with base_tree("HEAD", head, cache, head.python) as copy:
        side = copy.side.model_copy(update={"label": "head in a worktree"})
        yield replace(copy, side=side, places=head.places)  # apart from head's tree, as the base is


def _count(request: Request, base: SideCode, head: SideCode) -> tuple[ExactResult, ...]:
    """The deterministic gate, before anything is timed. It gates between revisions alone: settings may well differ."""
    if request.exact == "off":
        return ()
    is_one = is_one_environment(base.python, head.python)
    gates = request.exact == "gate" and request.base is not None and is_one
    return count_exactly(request.comparisons, base, head, gates=gates)


def _require_known(request: Request) -> None:
    if request.base_python is not None and not os.access(request.base_python, os.X_OK):
        raise RequestError(f"--base-python: '{request.base_python}' is no program that can be run.")
    names = [one.name for one in request.comparisons]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise RequestError(f"{twice!r} is asked for twice; each comparison needs a name of its own.")


def choose_cpus(threads: int) -> tuple[int, ...] | None:
    """The CPUs that every worker is pinned to: the last ones that this process may use. None where pinning is absent.

    The last ones, because the system's own work tends to sit on the first. Raises RequestError if there are too few.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    if threads > len(allowed):
        raise RequestError(f"--threads {threads}: this process may use {len(allowed)} CPUs.")
    return tuple(allowed[-threads:])


@contextlib.contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """Refuse a second check on this machine: each would measure the other."""
    import fcntl

    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "check.lock", "a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            holder = stream.read().strip() or "unknown"
            raise RequestError(
                f"Another check (process {holder}) is running on this machine, and each would measure the other. "
                "Wait for it."
            ) from None
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield


def _result(
    request: Request,
    head: SideCode,
    launcher: Launcher | None,
    measured: Measured,
    exact: tuple[ExactResult, ...],
    cpus: tuple[int, ...] | None,
    started_at: str,
    wall_s: float,
) -> CheckResult:
    unknown_base = Side(label=f"base ({request.base})" if request.base else "a")
    return CheckResult(
        started_at=started_at,
        wall_s=wall_s,
        seed=request.plan.seed,
        threshold_pct=request.plan.threshold_pct,
        turns=request.plan.turns,
        max_pairs=request.plan.max_pairs,
        device=request.device,
        threads=request.threads,
        cpus=cpus,
        base=launcher.side("base") if launcher else unknown_base,
        head=launcher.side("head") if launcher else head.side,
        conditions=launcher.conditions if launcher else {},
        models=measured.models,
        noise=measured.noise,
        has_head_copy=launcher is not None and launcher.head_copy is not None,
        exact=exact,
        problems=measured.problems,
        is_revision_check=request.base is not None,
    )
