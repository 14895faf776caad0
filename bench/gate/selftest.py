"""How often is the gate wrong on this runner? Pairs with planted slowdowns, resampled into verdicts of the rule.

The plant is real work: of n timed forward passes a planted side runs some more, so that the truth is known exactly.
Resampled verdicts are draws from the pairs that were run: what was never seen in a pair is in no verdict.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.gate.arms import WorkerLostError
from bench.gate.check import MAX_LOST_PAIRS, Listener
from bench.gate.pairs import Pacing, Pair, StartArms, run_pair
from bench.gate.plant import plant_of, true_log_ratio
from bench.gate.result import Comparison, PairTurns, Side, Workload
from bench.gate.rule import (
    MAX_LOOKS,
    PAIRS_PER_LOOK,
    RULE_VERSION,
    Verdict,
    look,
    percent,
)
from bench.suite.cell import Frozen

PLANTS_PCT = (0.0, 3.0, 5.0, 10.0)
VERDICTS = 1_000  # resampled from all pairs, for each rate
BOOTSTRAP = 100  # resamples of the pairs themselves, for the interval of a rate
BOOTSTRAP_VERDICTS = 100  # in each of them
POWER = 0.95  # with which the smallest caught slowdown is caught
CAUGHT_VERDICTS = 300  # for each slowdown that is tried


def planted(workload: Workload, slowdown_pct: float) -> Comparison:
    """A workload against itself with a planted slowdown, named `model +5 %`."""
    head = workload.model_copy(update={"plant": plant_of(slowdown_pct)})
    return Comparison(name=f"{workload.model} {slowdown_pct:+g} %", base=workload, head=head)


class RecordedPair(Frozen):
    """All turns of one pair of processes, a list entry for each comparison, in the order of `comparisons`."""

    turns: tuple[PairTurns, ...]


class Recording(Frozen):
    """Pairs with planted slowdowns on one runner, with every raw turn."""

    format_version: Literal[1] = 1
    rule_version: int = RULE_VERSION
    started_at: str
    wall_s: float
    seed: int
    side: Side
    conditions: dict[str, object]
    comparisons: tuple[Comparison, ...]
    pairs: tuple[RecordedPair, ...]


def record_pairs(
    comparisons: Sequence[Comparison], pairs: int, turns: int, seed: int, start: StartArms, listener: Listener
) -> tuple[RecordedPair, ...]:
    """Run that many pairs of all comparisons, without looks; one whose worker is lost is run again, as in a check.

    Raises WorkerLostError once MAX_LOST_PAIRS were lost before, and ValueError for a model that cannot be built.
    """
    random_state = random.Random(seed)
    pacing = Pacing()
    recorded: list[RecordedPair] = []
    lost = 0
    while len(recorded) < pairs:
        number = len(recorded)
        again_for = comparisons[number % len(comparisons)].name
        try:
            pair = run_pair(
                number, comparisons, again_for, start, turns=turns, pacing=pacing, random_state=random_state
            )  # fmt: skip
        except WorkerLostError as error:
            lost += 1
            listener.pair_lost(str(error))
            if lost > MAX_LOST_PAIRS:
                raise
            continue
        _require_all_built(pair)
        recorded.append(RecordedPair(turns=tuple(pair.turns[one.name] for one in comparisons)))
        listener.pair_done(number, pair)
    return tuple(recorded)


def _require_all_built(pair: Pair) -> None:
    for name, reason in pair.unbuilt.items():
        raise ValueError(f"{name}: {reason}")


@dataclass(frozen=True)
class Values:
    """Pair values of one comparison, and those of the A/A arm in the same pairs. ln units, arrays of one length."""

    truth: float
    values: NDArray[np.float64]
    noise: NDArray[np.float64]


def values_of(recordings: Sequence[Recording]) -> dict[str, Values]:
    """Comparison -> its values over all pairs of all recordings of one runner."""
    found: dict[str, Values] = {}
    names = [one.name for recording in recordings for one in recording.comparisons]
    for name in dict.fromkeys(names):
        values, noise, truth = [], [], 0.0
        for recording in recordings:
            places = [index for index, one in enumerate(recording.comparisons) if one.name == name]
            for index in places:
                truth = true_log_ratio(recording.comparisons[index].head.plant)
                values += [pair.turns[index].log_ratio for pair in recording.pairs]
                noise += [_noise_of(pair) for pair in recording.pairs]
        found[name] = Values(truth, np.array(values), np.array(noise))
    return found


def _noise_of(pair: RecordedPair) -> float:
    return next(turns.again_log_ratio for turns in pair.turns if turns.again_log_ratio is not None)


@dataclass(frozen=True)
class Rate:
    """A share of verdicts, with a 95 % interval over the pairs that were run."""

    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Rates:
    """What the rule makes of one comparison's pairs: shares of verdicts, and the errors of the estimate in points."""

    name: str
    truth_pct: float
    pairs: int
    verdicts: int  # resampled
    shares: dict[Verdict, Rate]
    spread_pct: float  # standard deviation of a pair
    error_median_pp: float  # |estimate - truth| of verdicts, as they ended
    error_p95_pp: float
    mean_pairs: float  # that a verdict took


def rates(name: str, observed: Values, *, threshold: float, seed: int = 0) -> Rates:
    """Resample whole pairs into verdicts. threshold: the slowdown worth failing, as a fraction."""
    random_state = np.random.default_rng(seed)
    outcomes = [_verdict(observed, threshold, random_state) for _ in range(VERDICTS)]
    shares: dict[Verdict, list[float]] = {"PASS": [], "FAIL": [], "INCONCLUSIVE": []}
    for _ in range(BOOTSTRAP):
        drawn = random_state.integers(len(observed.values), size=len(observed.values))
        again = Values(observed.truth, observed.values[drawn], observed.noise[drawn])
        verdicts = [_verdict(again, threshold, random_state)[0] for _ in range(BOOTSTRAP_VERDICTS)]
        for verdict, listed in shares.items():
            listed.append(verdicts.count(verdict) / BOOTSTRAP_VERDICTS)
    all_verdicts = [verdict for verdict, _, _ in outcomes]
    errors = [abs(percent(mean) - percent(observed.truth)) for _, mean, _ in outcomes]
    return Rates(
        name=name,
        truth_pct=percent(observed.truth),
        pairs=len(observed.values),
        verdicts=VERDICTS,
        shares={
            verdict: Rate(all_verdicts.count(verdict) / VERDICTS, *np.percentile(listed, (2.5, 97.5)).tolist())
            for verdict, listed in shares.items()
        },
        spread_pct=float(np.std(observed.values, ddof=1)) * 100,
        error_median_pp=float(np.median(errors)),
        error_p95_pp=float(np.percentile(errors, 95)),
        mean_pairs=float(np.mean([pairs for _, _, pairs in outcomes])),
    )


def _verdict(
    observed: Values, threshold: float, random_state: np.random.Generator, max_pairs: int = PAIRS_PER_LOOK * MAX_LOOKS
) -> tuple[Verdict, float, int]:
    """One run of the rule on pairs drawn with replacement: its verdict, its last estimate, and pairs it took."""
    max_looks = max_pairs // PAIRS_PER_LOOK
    drawn = random_state.integers(len(observed.values), size=max_pairs)
    values, noise = observed.values[drawn].tolist(), observed.noise[drawn].tolist()
    for number in range(1, max_looks + 1):
        pairs = PAIRS_PER_LOOK * number
        seen = look({"it": values[:pairs]}, noise[:pairs], threshold=threshold, max_looks=max_looks)["it"]
        if seen.verdict is not None:
            return seen.verdict, seen.estimate.mean, pairs
    raise AssertionError("the last look decides")


def smallest_caught_pct(even: Values, *, threshold: float, max_pairs: int, seed: int = 0) -> float | None:
    """The smallest slowdown in percent, in steps of half a point, that the gate FAILs with POWER.

    None if that is more than three times the threshold. even: pairs without a plant, which are moved by exactly so
    much. threshold: as a fraction. max_pairs: 10 or 15; with 5 nothing FAILs.
    """
    limit = round(6 * threshold * 100)
    for halves in range(1, limit + 1):
        moved = Values(0.0, even.values + math.log1p(halves / 200), even.noise)
        random_state = np.random.default_rng(seed)
        verdicts = [_verdict(moved, threshold, random_state, max_pairs)[0] for _ in range(CAUGHT_VERDICTS)]
        if verdicts.count("FAIL") >= POWER * CAUGHT_VERDICTS:
            return halves / 2
    return None


def one_model_pair_s(recordings: Sequence[Recording]) -> float:
    """Seconds that a pair takes in a check of one model: starting, building, and one comparison's turns."""
    walls = turns = 0.0
    count = sum(len(one.pairs) for one in recordings)
    for recording in recordings:
        walls += recording.wall_s
        turns += sum(
            sum(one.base_ns) + sum(one.head_ns) + sum(one.again_ns) for p in recording.pairs for one in p.turns
        )
    each = [sum(pair.turns[0].base_ns) for one in recordings for pair in one.pairs]
    return max(0.0, walls - turns / 1e9) / count + 3 * float(np.median(each)) / 1e9


def summarise(recordings: Sequence[Recording], *, threshold: float, seed: int = 0) -> tuple[Rates, ...]:
    """Rates of every planted comparison of one runner's recordings."""
    return tuple(rates(name, seen, threshold=threshold, seed=seed) for name, seen in values_of(recordings).items())
