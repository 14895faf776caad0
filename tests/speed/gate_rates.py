"""How often the speed gate is wrong: verdicts resampled from recorded process pairs, and verdicts as they were run.

    python tests/speed/gate_rates.py [FOLDER]

FOLDER: what the project ships in results/selftests, or another runner's: recordings of `vitbench check --selftest`
as pairs-*.json, and checks of gate_verdicts.py (NAME-01.json, ...).

Resampled verdicts are draws from the pairs: what the pairs never showed is in none of them, so that a rate of 0 among
them has no rule-of-three bound of its own. The number of process pairs that were run bounds it.
"""

# ruff: noqa: T201  (a program of its own, which prints)

from __future__ import annotations

import math
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.gate.plant import true_log_ratio
from bench.gate.result import CheckResult, Comparison, PairTurns
from bench.gate.rule import look, percent
from bench.gate.selftest import Rates, Recording, Values, rates

SELFTESTS = Path(__file__).resolve().parents[2] / "results" / "selftests"
THRESHOLD = 0.05
CURVE_VERDICTS = 4_000
BUSY = "busy"  # checks with busy processes beside them are told of apart, and their pairs are in no resampling


@dataclass
class Effect:
    """Everything measured at one planted slowdown: pair of processes -> (pair value, A/A value) of each model in it."""

    truth: float
    pairs: dict[tuple[str, int], list[tuple[float, float]]] = field(default_factory=dict)

    def add(self, file: str, turns: PairTurns, noise: float) -> None:
        self.pairs.setdefault((file, turns.pair), []).append((turns.log_ratio, noise))

    def values(self) -> Values:
        """One value for each pair of processes, of one of its models: values of one pair are not independent."""
        drawn = random.Random(0)
        chosen = [drawn.choice(values) for values in self.pairs.values()]
        return Values(self.truth, np.array([value for value, _ in chosen]), np.array([noise for _, noise in chosen]))


def main() -> None:
    folder = Path(sys.argv[1]) if sys.argv[1:] else SELFTESTS
    recordings = {
        file.stem: Recording.model_validate_json(file.read_text()) for file in sorted(folder.glob("pairs-*.json"))
    }
    checks = {
        file.stem: CheckResult.model_validate_json(file.read_text())
        for file in sorted(folder.glob("*-[0-9][0-9].json"))
        if not file.stem.startswith("pairs-")
    }
    quiet = {name: check for name, check in checks.items() if not name.startswith(BUSY)}
    found = collect(recordings, quiet)
    print_rates([rates(name, one.values(), threshold=THRESHOLD) for name, one in found.items()])
    print_levels(found)
    print_curve(found["+0 %"].values())
    for name in sorted({name.rpartition("-")[0] for name in checks}):
        print_run(name, [check for stem, check in checks.items() if stem.rpartition("-")[0] == name])


def collect(recordings: dict[str, Recording], checks: dict[str, CheckResult]) -> dict[str, Effect]:
    """Planted slowdown -> all that was measured at it, over all models."""
    found: dict[str, Effect] = {}
    for name, recording in recordings.items():
        for pair in recording.pairs:
            noise = noise_of(pair.turns)
            for comparison, turns in zip(recording.comparisons, pair.turns, strict=True):
                effect_of(found, comparison).add(name, turns, noise)
    for name, check in checks.items():
        for number, pair_of in enumerate(pairs_of(check)):
            noise = noise_of([turns for _, turns in pair_of])
            for comparison, turns in pair_of:
                effect_of(found, comparison).add(name, turns.model_copy(update={"pair": number}), noise)
    return dict(sorted(found.items(), key=lambda item: item[1].truth))


def effect_of(found: dict[str, Effect], comparison: Comparison) -> Effect:
    return found.setdefault(comparison.name.split(" ", 1)[1], Effect(true_log_ratio(comparison.head.plant)))


def pairs_of(check: CheckResult) -> Iterator[list[tuple[Comparison, PairTurns]]]:
    by_number: dict[int, list[tuple[Comparison, PairTurns]]] = defaultdict(list)
    for model in check.models:
        for turns in model.pairs:
            by_number[turns.pair].append((model.comparison, turns))
    yield from (by_number[number] for number in sorted(by_number))


def noise_of(turns: Sequence[PairTurns]) -> float:
    return next(one.again_log_ratio for one in turns if one.again_log_ratio is not None)


def print_rates(all_rates: Sequence[Rates]) -> None:
    print(f"Threshold {THRESHOLD:.0%}. 1,000 verdicts for each line, resampled; brackets: 95 % over the pairs.")
    for one in all_rates:
        shares = ", ".join(
            f"{verdict} {rate.share:.1%} [{rate.low:.0%}, {rate.high:.0%}]" for verdict, rate in one.shares.items()
        )
        print(
            f"  {one.name:>6}: {one.pairs} process pairs; {shares}; |error| "
            f"median {one.error_median_pp:.2f}, p95 {one.error_p95_pp:.2f} points; {one.mean_pairs:.1f} pairs a verdict"
        )


def print_levels(found: dict[str, Effect]) -> None:
    """Bias and spread of pairs, and of the A/A arm: what the rule's promises rest on."""
    print("\nPairs: mean error against the truth ± its standard error, and standard deviation, in points")
    for name, one in found.items():
        print(f"  {name:>6}: {level(one.values().values, one.truth)}")
    noise = {key: values[0][1] for one in found.values() for key, values in one.pairs.items()}.values()
    print(f"  base against itself: {level(list(noise), 0.0)}, {len(noise)} process pairs")


def level(values: Sequence[float], truth: float) -> str:
    errors = (np.array(values) - truth) * 100
    spread = errors.std(ddof=1)
    return f"{errors.mean():+.2f} ± {spread / math.sqrt(len(errors)):.2f}, {spread:.2f}"


def print_curve(even: Values) -> None:
    """Chance of each verdict at true slowdowns of 0 to 6 %: pairs without a plant, moved by exactly so much."""
    print("\nTrue slowdown [%]   FAIL [%]   PASS [%]   INCONCLUSIVE [%]   (pairs of +0 %, moved)")
    for slowdown in range(7):
        counts = moved_verdicts(even.values + math.log1p(slowdown / 100), even.noise)
        shares = [100 * counts[verdict] / CURVE_VERDICTS for verdict in ("FAIL", "PASS", "INCONCLUSIVE")]
        print(f"{slowdown:17d}   {shares[0]:8.1f}   {shares[1]:8.1f}   {shares[2]:16.1f}")


def moved_verdicts(values: np.ndarray, noise: np.ndarray) -> Counter[str]:
    random_state = np.random.default_rng(0)
    counts: Counter[str] = Counter()
    for _ in range(CURVE_VERDICTS):
        drawn = random_state.integers(len(values), size=15)
        for pairs in (5, 10, 15):
            mine, theirs = values[drawn[:pairs]].tolist(), noise[drawn[:pairs]].tolist()
            seen = look({"it": mine}, theirs, threshold=THRESHOLD)["it"]
            if seen.verdict is not None:
                counts[seen.verdict] += 1
                break
    return counts


def print_run(name: str, checks: Sequence[CheckResult]) -> None:
    """Verdicts of whole checks as they were run."""
    print(f"\n{name}: {len(checks)} checks that were run, {sum(one.wall_s for one in checks) / 60:.0f} min")
    verdicts: dict[str, Counter[str]] = defaultdict(Counter)
    errors: dict[str, list[float]] = defaultdict(list)
    for check in checks:
        for model in check.models:
            planted = model.name.split(" ", 1)[1]
            verdicts[planted][model.verdict] += 1
            if model.slowdown_pct is not None:
                errors[planted].append(abs(model.slowdown_pct - percent(true_log_ratio(model.comparison.head.plant))))
    for planted, counts in verdicts.items():
        seen = ", ".join(f"{verdict} {count}" for verdict, count in sorted(counts.items()))
        middle, high = np.percentile(errors[planted], (50, 95))
        print(f"  {planted:>6}: {seen}; |error| median {middle:.2f}, p95 {high:.2f} points")


if __name__ == "__main__":
    main()
