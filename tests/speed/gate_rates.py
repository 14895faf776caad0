"""How often the speed gate is wrong: today's rule on recorded process pairs, and verdicts as they were run.

    python tests/speed/gate_rates.py [FOLDER]

FOLDER: what the project ships in results/selftests, or another runner's: recordings of `vitbench check --selftest`
as pairs-*.json, and checks of gate_verdicts.py (NAME-01.json, ...).

Pairs in a row are the recorded ones, one after the other, each in one verdict: few, but independent, so that their
counts have bounds. Resampled verdicts are draws from the same pairs, and show nothing that is in none of them.
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
from typing import get_args

import numpy as np

from bench.gate.request import true_log_ratio
from bench.gate.result import CheckResult, Comparison, PairTurns
from bench.gate.rule import AgainstItself, Verdict, percent
from bench.gate.selftest import (
    BOUNDS_LEVEL,
    Rates,
    Recording,
    Values,
    count_bounds,
    decide,
    noise_of,
    rates,
    resampled,
)
from bench.number_format import fixed

SELFTESTS = Path(__file__).resolve().parents[2] / "results" / "selftests"
THRESHOLD = 0.05
CURVE_VERDICTS = 4_000
BUSY = "busy"  # checks with busy processes beside them are told of apart, and their pairs are in no resampling


@dataclass
class Effect:
    """Everything measured at one planted slowdown: pair of processes -> (pair value, A/A value) of each model in it."""

    truth: float
    pairs: dict[tuple[str, int], list[tuple[float, AgainstItself]]] = field(default_factory=dict)

    def add(self, file: str, turns: PairTurns, noise: AgainstItself) -> None:
        self.pairs.setdefault((file, turns.pair), []).append((turns.log_ratio, noise))

    def values(self) -> Values:
        """One value for each pair of processes, of one of its models: values of one pair are not independent."""
        drawn = random.Random(0)
        chosen = [drawn.choice(values) for values in self.pairs.values()]
        return Values(self.truth, np.array([value for value, _ in chosen]), [noise for _, noise in chosen])


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
    busy = {name: check for name, check in checks.items() if name.startswith(BUSY)}
    found = collect(recordings, quiet)
    print_in_a_row("quiet", found)
    print_in_a_row("busy", collect({}, busy))
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


def print_in_a_row(name: str, found: dict[str, Effect]) -> None:
    """Verdicts of today's rule on the pairs in their recorded order, none in two verdicts."""
    print(f"{name}: verdicts by the rule on pairs in a row")
    for planted, one in found.items():
        values, verdicts, done = one.values(), Counter[str](), 0
        while (verdict := decide(values.drawn(np.arange(done, len(values.values))), THRESHOLD)) is not None:
            verdicts[verdict[0]] += 1
            done += verdict[2]
        print(f"  {planted:>6}: {shares_of(verdicts)}")


def shares_of(verdicts: Counter[str]) -> str:
    said = [f"{verdict} {counted_share(verdicts[verdict], verdicts.total())}" for verdict in get_args(Verdict)]
    return ", ".join(said)


def counted_share(count: int, trials: int) -> str:
    """`0 of 30 (95 %: at most 10 %)`."""
    low, high = (_percent(end) for end in count_bounds(count, trials))
    words = f"at most {high} %" if count == 0 else f"at least {low} %" if count == trials else f"{low} to {high} %"
    return f"{count} of {trials} ({BOUNDS_LEVEL * 100:g} %: {words})"


def _percent(share: float) -> str:
    """Whole percent, and two decimals where these would say none or all."""
    return fixed(100 * share, 0 if 0.01 <= share <= 0.99 else 2)


def print_rates(all_rates: Sequence[Rates]) -> None:
    print(f"\nThreshold {THRESHOLD:.0%}. 1,000 verdicts a line, resampled; brackets: bounds of as many undrawn ones.")
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
    noise = list({key: values[0][1] for one in found.values() for key, values in one.pairs.items()}.values())
    for side in sorted({side for side, _ in noise}):
        values = [value for whose, value in noise if whose == side]
        print(f"  {side} against itself: {level(values, 0.0)}, {len(values)} process pairs")


def level(values: Sequence[float], truth: float) -> str:
    errors = (np.array(values) - truth) * 100
    spread = errors.std(ddof=1)
    return f"{errors.mean():+.2f} ± {spread / math.sqrt(len(errors)):.2f}, {spread:.2f}"


def print_curve(even: Values) -> None:
    """Chance of each verdict at true slowdowns of 0 to 6 %: pairs without a plant, moved by exactly so much."""
    print("\nTrue slowdown [%]   FAIL [%]   PASS [%]   INCONCLUSIVE [%]   (pairs of +0 %, moved)")
    for slowdown in range(7):
        counts = moved_verdicts(Values(0.0, even.values + math.log1p(slowdown / 100), even.noise))
        shares = [100 * counts[verdict] / CURVE_VERDICTS for verdict in ("FAIL", "PASS", "INCONCLUSIVE")]
        print(f"{slowdown:17d}   {shares[0]:8.1f}   {shares[1]:8.1f}   {shares[2]:16.1f}")


def moved_verdicts(moved: Values) -> Counter[str]:
    random_state = np.random.default_rng(0)
    return Counter(resampled(moved, THRESHOLD, random_state)[0] for _ in range(CURVE_VERDICTS))


def print_run(name: str, checks: Sequence[CheckResult]) -> None:
    """Verdicts of whole checks as they were run, by the rule of that day."""
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
        middle, high = np.percentile(errors[planted], (50, 95))
        print(f"  {planted:>6}: {shares_of(counts)}; |error| median {middle:.2f}, p95 {high:.2f} points")


if __name__ == "__main__":
    main()
