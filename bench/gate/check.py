"""The course of a check: pairs in blocks, a look after each, until every comparison is decided or pairs run out."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Protocol

from bench.errors import BenchError, RequestError
from bench.gate.arms import WorkerLostError
from bench.gate.pairs import SIDES, Again, Pacing, Pair, StartArms, again_sides, run_pair
from bench.gate.result import Comparison, LookResult, ModelResult, NoiseFloor, PairTurns
from bench.gate.rule import (
    MAX_LOOKS,
    PAIRS_PER_LOOK,
    AgainstItself,
    Look,
    SideName,
    Verdict,
    look,
    percent,
)
from bench.gate.trees import SideBrokenError

TURNS = 40
THRESHOLD_PCT = 5.0
MAX_LOST_PAIRS = 2  # in one check: a third one means that the workers do not live here


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


class Listener(Protocol):
    """Told of everything that a person may want to see."""

    def pair_done(self, number: int, pair: Pair) -> None: ...
    def pair_lost(self, reason: str) -> None: ...
    def looked(self, looks: Mapping[str, Look]) -> None: ...


@dataclass
class _State:
    """What is known so far of a check under way."""

    turns: dict[str, list[PairTurns]]
    noise: list[AgainstItself] = field(default_factory=list)
    looks: dict[str, list[Look]] = field(default_factory=dict)
    decided: dict[str, tuple[Verdict, str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    lost: int = 0

    def values(self) -> dict[str, list[float]]:
        """Pair values of every comparison that has whole blocks of them."""
        whole = {name: pairs for name, pairs in self.turns.items() if pairs and len(pairs) % PAIRS_PER_LOOK == 0}
        return {name: [pair.log_ratio for pair in pairs] for name, pairs in whole.items()}


@dataclass(frozen=True)
class Measured:
    """What the pairs gave: a result for each comparison, noise floors, and sentences on what went wrong."""

    models: tuple[ModelResult, ...]
    noise: tuple[NoiseFloor, ...]
    problems: tuple[str, ...]


def measure(comparisons: Sequence[Comparison], plan: Plan, start: StartArms, listener: Listener) -> Measured:
    """Run pairs until every comparison has a verdict.

    Comparisons that are decided take no further part. A pair whose worker dies or hangs is thrown away and run again,
    MAX_LOST_PAIRS times in all; then, or when time is up, what is undecided is INCONCLUSIVE and says why.
    """
    started = time.monotonic()
    random_state = random.Random(plan.seed)
    state = _State({comparison.name: [] for comparison in comparisons})
    pacing, sides = Pacing(), again_sides(random_state)
    number = 0
    block_s = 0.0
    while waiting := [one for one in comparisons if one.name not in state.decided]:
        block_started = time.monotonic()
        if plan.max_seconds is not None and block_started + block_s - started > plan.max_seconds:
            _give_up(waiting, state, f"out of time: another {PAIRS_PER_LOOK} pairs would take longer than allowed")
            break
        try:
            number = _run_block(number, waiting, plan, start, pacing, sides, random_state, state, listener)
        except (WorkerLostError, SideBrokenError) as error:
            _give_up(waiting, state, str(error))
            break
        _look(waiting, plan, state, listener)
        block_s = time.monotonic() - block_started
    models = tuple(_model_result(one, state) for one in comparisons)
    return Measured(models, noise_floors(state.noise), tuple(state.problems))


def _run_block(
    number: int,
    waiting: Sequence[Comparison],
    plan: Plan,
    start: StartArms,
    pacing: Pacing,
    sides: Iterator[SideName],
    random_state: random.Random,
    state: _State,
    listener: Listener,
) -> int:
    """Run PAIRS_PER_LOOK pairs; the number of the next one. A comparison that cannot be built is decided here."""
    done = 0
    while done < PAIRS_PER_LOOK:
        here = [one for one in waiting if one.name not in state.decided]
        if not here:
            break
        again = Again(here[number % len(here)].name, next(sides)) if plan.has_again_arm else None
        try:
            pair = run_pair(number, here, again, start, turns=plan.turns, pacing=pacing, random_state=random_state)
        except WorkerLostError as error:
            state.lost += 1
            state.problems.append(f"A pair was thrown away: {error}")
            listener.pair_lost(str(error))
            if state.lost > MAX_LOST_PAIRS:
                raise
            continue
        for name, turns in pair.turns.items():
            state.turns[name].append(turns)
            if turns.against_itself is not None:
                state.noise.append(turns.against_itself)
        for name, reason in pair.unbuilt.items():
            state.decided[name] = ("INCONCLUSIVE", reason)
        listener.pair_done(number, pair)
        number += 1
        done += 1
    return number


def _look(waiting: Sequence[Comparison], plan: Plan, state: _State, listener: Listener) -> None:
    undecided = [one.name for one in waiting if one.name not in state.decided]
    if not undecided:
        return
    looks = look(
        state.values(),
        state.noise,
        threshold=plan.threshold_pct / 100,
        max_looks=plan.max_pairs // PAIRS_PER_LOOK,
        undecided=undecided,
    )
    for name, one in looks.items():
        state.looks.setdefault(name, []).append(one)
        if one.verdict is not None:
            state.decided[name] = (one.verdict, one.reason)
    listener.looked(looks)


def _give_up(waiting: Sequence[Comparison], state: _State, reason: str) -> None:
    for one in waiting:
        state.decided.setdefault(one.name, ("INCONCLUSIVE", reason))


def _model_result(comparison: Comparison, state: _State) -> ModelResult:
    verdict, reason = state.decided[comparison.name]
    looks = tuple(_look_result(one) for one in state.looks.get(comparison.name, ()))
    return ModelResult(
        comparison=comparison, verdict=verdict, reason=reason, looks=looks, pairs=tuple(state.turns[comparison.name])
    )


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
