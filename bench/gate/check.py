"""The course of a check: pairs in blocks, a look after each, until every comparison is decided or pairs run out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench.errors import BenchError, RequestError
from bench.gate.arms import WorkerLostError
from bench.gate.pairs import SIDES, Listener, Pair, PairRunner, StartArms
from bench.gate.result import Comparison, LookResult, ModelResult, NoiseFloor, PairTurns
from bench.gate.rule import MAX_LOOKS, PAIRS_PER_LOOK, AgainstItself, Look, Verdict, look, percent
from bench.gate.trees import SideBrokenError

TURNS = 40
THRESHOLD_PCT = 5.0


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
    MAX_LOST_PAIRS times in all; then, or when time is up, what is undecided is INCONCLUSIVE and says why.
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
