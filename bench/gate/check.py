"""A check: both sides' code made ready, exact counts compared, pairs in blocks with a look after each, one result."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Literal

from bench.errors import BenchError, RequestError
from bench.gate.arms import Launcher, StartArms, WorkerLostError, alone_on_machine, choose_cpus
from bench.gate.exact import count_exactly
from bench.gate.pairs import SIDES, Listener, Pair, PairRunner
from bench.gate.result import (
    CheckResult,
    Comparison,
    ExactResult,
    LookResult,
    ModelResult,
    NoiseFloor,
    PairTurns,
    Side,
)
from bench.gate.rule import MAX_LOOKS, PAIRS_PER_LOOK, AgainstItself, Look, Verdict, look, percent
from bench.gate.trees import SideBrokenError, SideCode, base_tree, is_one_environment, this_tree
from bench.suite.cell import Device

TURNS = 40
THRESHOLD_PCT = 5.0
ExactMode = Literal["gate", "show", "off"]


@dataclass(frozen=True)
class Plan:
    """How much is measured. threshold_pct: the slowdown worth failing. max_seconds: None for no limit."""

    threshold_pct: float = THRESHOLD_PCT
    turns: int = TURNS
    max_pairs: int = PAIRS_PER_LOOK * MAX_LOOKS
    seed: int = 0
    has_again_arm: bool = True
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.threshold_pct <= 100:
            raise RequestError(f"A threshold of {self.threshold_pct:g} % makes no gate; give more than 0, at most 100.")
        if self.turns < 2 or self.turns % 2:
            raise RequestError(f"{self.turns} turns: give an even number, so that each side goes first equally often.")
        allowed = [PAIRS_PER_LOOK * number for number in range(1, MAX_LOOKS + 1)]
        if self.max_pairs not in allowed:
            raise RequestError(
                f"At most {self.max_pairs} pairs: looks come after every {PAIRS_PER_LOOK}, so give one of "
                f"{', '.join(map(str, allowed))}. With {PAIRS_PER_LOOK} nothing can FAIL: a suspicion needs confirming."
            )


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


class _State:
    """What is known so far of a check under way."""

    def __init__(self, comparisons: Sequence[Comparison]) -> None:
        self.comparisons = comparisons
        self.turns: dict[str, list[PairTurns]] = {comparison.name: [] for comparison in comparisons}
        self.noise: list[AgainstItself] = []
        self.looks: dict[str, list[Look]] = {comparison.name: [] for comparison in comparisons}
        self.decided: dict[str, tuple[Verdict, str]] = {}

    def undecided(self) -> list[Comparison]:
        return [one for one in self.comparisons if one.name not in self.decided]

    def add(self, pair: Pair) -> None:
        """Keep a pair's turns. A comparison that could not be built is decided."""
        for name, turns in pair.turns.items():
            self.turns[name].append(turns)
            if turns.against_itself is not None:
                self.noise.append(turns.against_itself)
        for name, reason in pair.unbuilt.items():
            self.decided[name] = ("INCONCLUSIVE", reason)

    def look(self, plan: Plan) -> dict[str, Look]:
        """What each undecided comparison is now; with the others that have whole blocks of pairs in Holm's family."""
        whole = {name: pairs for name, pairs in self.turns.items() if pairs and len(pairs) % PAIRS_PER_LOOK == 0}
        looks = look(
            {name: [pair.log_ratio for pair in pairs] for name, pairs in whole.items()},
            self.noise,
            threshold=plan.threshold_pct / 100,
            max_looks=plan.max_pairs // PAIRS_PER_LOOK,
            undecided=[one.name for one in self.undecided()],
        )
        for name, one in looks.items():
            self.looks[name].append(one)
            if one.verdict is not None:
                self.decided[name] = (one.verdict, one.reason)
        return looks

    def give_up(self, reason: str) -> None:
        for one in self.undecided():
            self.decided[one.name] = ("INCONCLUSIVE", reason)

    def results(self) -> tuple[ModelResult, ...]:
        return tuple(
            ModelResult(
                comparison=one,
                verdict=self.decided[one.name][0],
                reason=self.decided[one.name][1],
                looks=tuple(map(_look_result, self.looks[one.name])),
                pairs=tuple(self.turns[one.name]),
            )
            for one in self.comparisons
        )


@dataclass(frozen=True)
class Measured:
    """What the pairs gave: a result for each comparison, noise floors, and sentences on what went wrong."""

    models: tuple[ModelResult, ...]
    noise: tuple[NoiseFloor, ...]
    problems: tuple[str, ...]


def measure(comparisons: Sequence[Comparison], plan: Plan, start: StartArms, listener: Listener) -> Measured:
    """Run pairs until every comparison has a verdict.

    Comparisons that are decided take no further part. A pair whose worker dies or hangs is thrown away and run again,
    pairs.MAX_LOST_PAIRS times in all; then, or when time is up, what is undecided is INCONCLUSIVE and says why.
    """
    started = time.monotonic()
    state = _State(comparisons)
    runner = PairRunner(start, turns=plan.turns, seed=plan.seed, listener=listener)
    block_s = 0.0
    while state.undecided():
        block_started = time.monotonic()
        if plan.max_seconds is not None and block_started + block_s - started > plan.max_seconds:
            state.give_up(f"out of time: another {PAIRS_PER_LOOK} pairs would take longer than allowed")
            break
        try:
            for _ in range(PAIRS_PER_LOOK):
                if here := state.undecided():
                    pair = runner.run(here, has_again_arm=plan.has_again_arm)
                    state.add(pair)
                    listener.pair_done(pair.number, pair)
        except (WorkerLostError, SideBrokenError) as error:
            state.give_up(str(error))
            break
        if state.undecided():
            listener.looked(state.look(plan))
        block_s = time.monotonic() - block_started
    problems = tuple(f"A pair was thrown away: {reason}" for reason in runner.lost)
    return Measured(state.results(), noise_floors(state.noise), problems)


def _look_result(one: Look) -> LookResult:
    return LookResult(
        pairs=one.pairs,
        slowdown_pct=percent(one.estimate.median),
        low_pct=percent(one.estimate.low),
        high_pct=percent(one.estimate.high),
        p=one.estimate.p,
        p_holm=one.p_holm,
        verdict=one.verdict,
        reason=one.reason,
    )


def noise_floors(noise: Sequence[AgainstItself]) -> tuple[NoiseFloor, ...]:
    """What each side against itself came to, as far as there are pairs of it."""
    found = []
    for side in SIDES:
        values = [percent(value) for whose, value in noise if whose == side]
        if values:
            ends = {"lowest_pct": min(values), "highest_pct": max(values)}
            found.append(NoiseFloor(side=side, pairs=len(values), median_pct=median(values), **ends))
    return tuple(found)


def inconclusive(comparisons: Sequence[Comparison], error: BenchError) -> Measured:
    """What a check is whose base or head never ran: nothing is known, and the reason is."""
    models = tuple(ModelResult(comparison=one, verdict="INCONCLUSIVE", reason=str(error)) for one in comparisons)
    return Measured(models, (), (str(error),))


def run_check(request: Request, listener: Listener, cache: Path) -> CheckResult:
    """Everything that `vitbench check` does but printing.

    cache: folder for environments of bases with other dependencies. Raises RequestError for what cannot be asked.
    """
    plan = request.plan
    head = this_tree()
    _require_known(request)
    cpus = choose_cpus(request.threads)
    started_at, started = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    with contextlib.ExitStack() as held:
        held.enter_context(alone_on_machine(cache))
        launcher: Launcher | None = None
        exact: tuple[ExactResult, ...] = ()
        try:
            base, head = held.enter_context(_sides(request, head, cache))
            copy = held.enter_context(head_copy(request, head, cache))
            launcher = Launcher(base, head, request.device, request.threads, cpus, copy)
            exact = _count(request, base, head)
            measured = measure(request.comparisons, plan, launcher, listener)
        except SideBrokenError as error:
            measured = inconclusive(request.comparisons, error)
        wall_s = time.monotonic() - started
    unknown_base = Side(label=f"base ({request.base})" if request.base else "a")
    return CheckResult(
        started_at=started_at,
        wall_s=wall_s,
        seed=plan.seed,
        threshold_pct=plan.threshold_pct,
        turns=plan.turns,
        max_pairs=plan.max_pairs,
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
        problems=(*measured.problems, *(_remarks(request, launcher) if launcher else ())),
        is_revision_check=request.base is not None,
    )


def _remarks(request: Request, launcher: Launcher) -> Iterator[str]:
    """What a reader should know of the sides' packages and trees, and of what their workers read."""
    differing = launcher.differing_packages()
    if differing and request.base_python is None:
        yield (
            f"Base and head depend on other packages and ran with them ({', '.join(differing)}): a difference may be "
            "theirs."
        )
    yield from launcher.base.notes
    yield from launcher.notes


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
