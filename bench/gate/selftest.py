"""How often is the gate wrong on this runner? Pairs with planted slowdowns, resampled into verdicts of the rule.

The plant is real work: of n timed forward passes a planted side runs some more, so that the truth is known exactly.
Resampled verdicts are draws from the pairs that were run: what was never seen in a pair is in no verdict. So the bounds
of a share are those of as many verdicts as the pairs make without being used twice.
"""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.errors import RequestError
from bench.gate.arms import Launcher, StartArms, WorkerLostError, alone_on_machine, choose_cpus
from bench.gate.pairs import Listener, PairRunner
from bench.gate.request import plant_of, true_log_ratio
from bench.gate.result import Comparison, PairTurns, Side, Workload
from bench.gate.rule import MAX_LOOKS, PAIRS_PER_LOOK, RULE_VERSION, AgainstItself, Verdict, look, percent
from bench.gate.trees import SideBrokenError, this_tree
from bench.suite.cell import Device, Frozen

PLANTS_PCT = (0.0, 3.0, 5.0, 10.0)
VERDICTS = 1_000  # resampled from all pairs, for each rate
POWER = 0.95  # with which the smallest caught slowdown is caught
CAUGHT_VERDICTS = 300  # for each slowdown that is tried
BOUNDS_LEVEL = 0.95  # of the bounds of a share


def planted(workload: Workload, slowdown_pct: float) -> Comparison:
    """A workload against itself with a planted slowdown, named `model +5 %`."""
    head = workload.model_copy(update={"plant": plant_of(slowdown_pct)})
    return Comparison(name=f"{workload.model} {slowdown_pct:+g} %", base=workload, head=head)


class RecordedPair(Frozen):
    """All turns of one pair of processes, a list entry for each comparison, in the order of `comparisons`."""

    turns: tuple[PairTurns, ...]


class Recording(Frozen):
    """Pairs with planted slowdowns on one runner, with every raw turn."""

    format_version: Literal[1, 2] = 2  # 1: the A/A arm was always base's
    rule_version: int = RULE_VERSION
    started_at: str
    wall_s: float
    seed: int
    side: Side
    conditions: dict[str, object]
    comparisons: tuple[Comparison, ...]
    pairs: tuple[RecordedPair, ...]


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
    launcher = Launcher(here, here, device, threads, choose_cpus(threads))
    started_at, started = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    with alone_on_machine(cache):
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


def record_pairs(
    comparisons: Sequence[Comparison], pairs: int, turns: int, seed: int, start: StartArms, listener: Listener
) -> tuple[RecordedPair, ...]:
    """Run that many pairs of all comparisons, without looks.

    Raises WorkerLostError where a check would give up, and ValueError for a model that cannot be built.
    """
    runner = PairRunner(start, turns=turns, seed=seed, listener=listener)
    recorded = []
    for _ in range(pairs):
        pair = runner.run(comparisons)
        for name, reason in pair.unbuilt.items():
            raise ValueError(f"{name}: {reason}")
        recorded.append(RecordedPair(turns=tuple(pair.turns[one.name] for one in comparisons)))
        listener.pair_done(pair.number, pair)
    return tuple(recorded)


@dataclass(frozen=True)
class Values:
    """Pair values of one comparison, and those of the A/A arm in the same pairs. ln units, as many of each."""

    truth: float
    values: NDArray[np.float64]
    noise: Sequence[AgainstItself]

    def drawn(self, pairs: NDArray[np.int64]) -> Values:
        """Those pairs alone, each as often as it is named."""
        return Values(self.truth, self.values[pairs], [self.noise[pair] for pair in pairs])


def values_of(recordings: Sequence[Recording]) -> dict[str, Values]:
    """Comparison -> its values over all pairs of all recordings of one runner."""
    values: dict[str, list[float]] = defaultdict(list)
    noise: dict[str, list[AgainstItself]] = defaultdict(list)
    truths: dict[str, float] = {}
    for recording in recordings:
        noise_here = [noise_of(pair.turns) for pair in recording.pairs]
        for index, comparison in enumerate(recording.comparisons):
            truths[comparison.name] = true_log_ratio(comparison.head.plant)
            values[comparison.name] += [pair.turns[index].log_ratio for pair in recording.pairs]
            noise[comparison.name] += noise_here
    return {name: Values(truth, np.array(values[name]), noise[name]) for name, truth in truths.items()}


def noise_of(turns: Sequence[PairTurns]) -> AgainstItself:
    """The A/A value of one pair of processes, out of all its comparisons."""
    return next(one.against_itself for one in turns if one.against_itself is not None)


@dataclass(frozen=True)
class Rate:
    """A share of resampled verdicts, with the 95 % bounds of as many as the pairs make without being used twice."""

    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Rates:
    """What the rule makes of one comparison's pairs: shares of verdicts, and the errors of the estimate in points."""

    name: str
    truth_pct: float
    pairs: int
    shares: dict[Verdict, Rate]
    spread_pct: float  # standard deviation of a pair
    error_median_pp: float  # |estimate - truth| of verdicts, as they ended
    error_p95_pp: float
    mean_pairs: float  # that a verdict took


def count_bounds(count: int, trials: int) -> tuple[float, float]:
    """The share that a count stands for, 95 % by Clopper and Pearson; one-sided for none and for all."""
    test = partial(stats.binomtest, count, trials)
    tried = test(alternative="less") if count == 0 else test(alternative="greater") if count == trials else test()
    bounds = tried.proportion_ci(BOUNDS_LEVEL, method="exact")
    return float(bounds.low), float(bounds.high)


def rates(name: str, observed: Values, *, threshold: float, seed: int = 0) -> Rates:
    """Resample whole pairs into verdicts. threshold: the slowdown worth failing, as a fraction."""
    random_state = np.random.default_rng(seed)
    outcomes = [resampled(observed, threshold, random_state) for _ in range(VERDICTS)]
    counts = Counter(verdict for verdict, _, _ in outcomes)
    errors = [abs(percent(seen) - percent(observed.truth)) for _, seen, _ in outcomes]
    mean_pairs = float(np.mean([pairs for _, _, pairs in outcomes]))
    undrawn = max(1, int(len(observed.values) / mean_pairs))  # verdicts that use no pair twice
    return Rates(
        name=name,
        truth_pct=percent(observed.truth),
        pairs=len(observed.values),
        shares={
            verdict: Rate(
                counts[verdict] / VERDICTS, *count_bounds(round(counts[verdict] / VERDICTS * undrawn), undrawn)
            )
            for verdict in get_args(Verdict)
        },
        spread_pct=float(np.std(observed.values, ddof=1)) * 100,
        error_median_pp=float(np.median(errors)),
        error_p95_pp=float(np.percentile(errors, 95)),
        mean_pairs=mean_pairs,
    )


def resampled(
    observed: Values, threshold: float, random_state: np.random.Generator, max_pairs: int = PAIRS_PER_LOOK * MAX_LOOKS
) -> tuple[Verdict, float, int]:
    """One run of the rule on pairs drawn with replacement: its verdict, its last estimate, and pairs it took."""
    drawn = observed.drawn(random_state.integers(len(observed.values), size=max_pairs))
    found = decide(drawn, threshold, max_pairs // PAIRS_PER_LOOK)
    assert found is not None, "the last look decides"
    return found


def decide(pairs: Values, threshold: float, max_looks: int = MAX_LOOKS) -> tuple[Verdict, float, int] | None:
    """The rule on these pairs, in their order: verdict, estimate, and pairs it took. None: it would need more."""
    values = pairs.values.tolist()
    for taken in range(PAIRS_PER_LOOK, min(len(values), PAIRS_PER_LOOK * max_looks) + 1, PAIRS_PER_LOOK):
        seen = look({"it": values[:taken]}, pairs.noise[:taken], threshold=threshold, max_looks=max_looks)["it"]
        if seen.verdict is not None:
            return seen.verdict, seen.estimate.median, taken
    return None


def smallest_caught_pct(even: Values, *, threshold: float, max_pairs: int, seed: int = 0) -> float | None:
    """The smallest slowdown in percent, in steps of half a point, that the gate FAILs with POWER.

    None if that is more than three times the threshold. even: pairs without a plant, which are moved by exactly so
    much. threshold: as a fraction. max_pairs: a whole number of looks; with one nothing FAILs.
    """
    limit = round(6 * threshold * 100)
    for halves in range(1, limit + 1):
        moved = Values(0.0, even.values + math.log1p(halves / 200), even.noise)
        random_state = np.random.default_rng(seed)
        verdicts = [resampled(moved, threshold, random_state, max_pairs)[0] for _ in range(CAUGHT_VERDICTS)]
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
