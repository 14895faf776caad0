"""How often the intervals of reports hold the truth: simulated or enumerated with the project's own functions.

`python -m tests.analyse.interval_coverage` prints the tables of docs/intervals.md (about 4 minutes on one core).
Every draw comes from a fixed seed of its own scenario.
"""

from __future__ import annotations

import bisect
import itertools
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats

from bench.analyse.correctness import Correctness
from bench.analyse.intervals import (
    Interval,
    SeedGroup,
    Spread,
    accuracy_interval,
    contrast_interval,
    pooled_spread,
    process_interval,
    spread_of,
    t_interval,
    wilson_interval,
)
from bench.analyse.proportions import mcnemar_p, paired_interval

SpreadRule = Callable[[Sequence[Sequence[float]]], list[Spread | None]]  # groups -> the spread of each


@dataclass(frozen=True)
class Coverage:
    """Share of the draws whose interval held the truth, and the mean half width."""

    covered: float
    half_width: float
    draws: int


def coverage(intervals: Sequence[Interval], truth: float) -> Coverage:
    """Of these intervals, all of one truth."""
    held = [one.low <= truth <= one.high for one in intervals]
    return Coverage(float(np.mean(held)), float(np.mean([one.half_width for one in intervals])), len(held))


def plainly_pooled(groups: Sequence[Sequence[float]]) -> list[Spread | None]:
    """One variance for all groups, whatever they look like: the rule that was replaced."""
    df = sum(len(group) - 1 for group in groups)
    variance = sum(float(np.var(group)) * len(group) for group in groups) / df
    return [Spread(variance, df, "all")] * len(groups)


def each_its_own(groups: Sequence[Sequence[float]]) -> list[Spread | None]:
    """Every group's own variance."""
    return [pooled_spread([group], f"{index}") for index, group in enumerate(groups)]


def as_in_reports(groups: Sequence[Sequence[float]]) -> list[Spread | None]:
    """What reports do."""
    pool = pooled_spread(groups, "all")
    return [spread_of(group, pool, f"{index}") for index, group in enumerate(groups)]


RULES: dict[str, SpreadRule] = {"pooled": plainly_pooled, "own": each_its_own, "as in reports": as_in_reports}


# One accuracy: Wilson, enumerated


def wilson_coverage(images: int, accuracies: Sequence[float]) -> list[float]:
    """Exact chances that Wilson's interval holds each of these accuracies."""
    right = np.arange(images + 1)
    found = [wilson_interval(int(correct), images) for correct in right]
    low, high = (np.array([getattr(one, end) for one in found]) for end in ("low", "high"))
    return [float(np.sum(stats.binom.pmf(right, images, p)[(low <= 100 * p) & (100 * p <= high)])) for p in accuracies]


# The mean of a few seeds, test images aside


def percentile_bootstrap(values: Sequence[float]) -> Interval:
    """The percentile interval over all resamples with replacement (27 of 3 values), for comparison alone."""
    means = [float(np.mean(picked)) for picked in itertools.product(values, repeat=len(values))]
    low, high = np.percentile(means, [2.5, 97.5], method="inverted_cdf")
    return Interval(float(np.mean(values)), float(low), float(high), len(values), "percentile bootstrap")


def seeds_coverage(method: str, spreads: Sequence[float], seeds: int, draws: int, model: int = 0) -> Coverage:
    """The mean of one model among a family whose seeds scatter normally. spreads: of each model of the family."""
    rng = np.random.default_rng([1, seeds, len(spreads), model])
    found = []
    for _ in range(draws):
        groups = [list(map(float, rng.normal(0.0, spread, seeds))) for spread in spreads]
        if method == "percentile bootstrap":
            found.append(percentile_bootstrap(groups[model]))
        else:
            interval = t_interval(groups[model], RULES[method](groups)[model])
            assert interval is not None
            found.append(interval)
    return coverage(found, 0.0)


def collapsing_seeds_coverage(
    method: str, draws: int, models: int = 3, seeds: int = 3, chance: float = 0.1
) -> Coverage:
    """The same where now and then a training collapses by 20 points: seeds of a heavy lower tail."""
    rng = np.random.default_rng(2)
    found = []
    for _ in range(draws):
        table = rng.normal(0.0, 1.0, (models, seeds)) - 20.0 * (rng.random((models, seeds)) < chance)
        groups = [list(map(float, row)) for row in table]
        interval = t_interval(groups[0], RULES[method](groups)[0])
        assert interval is not None
        found.append(interval)
    return coverage(found, -20.0 * chance)


# Seeds x test images: a latent margin of difficulty of the image, luck of the seed, and luck of both


@dataclass(frozen=True)
class World:
    """Image i is right under seed s if hardness_i + shift_s + noise_si < threshold, all normal with these spreads."""

    accuracy: float
    images: int
    seeds: int
    seed_spread: float = 0.15
    noise: float = 0.6

    @property
    def threshold(self) -> float:
        """Where the chance over images, seeds and noise is the accuracy."""
        return float(stats.norm.ppf(self.accuracy)) * math.sqrt(1 + self.seed_spread**2 + self.noise**2)

    def draw(self, rng: np.random.Generator, hardness: np.ndarray) -> np.ndarray:
        """Which images each seed gets right; (seeds, images)."""
        shift = rng.normal(0.0, self.seed_spread, (self.seeds, 1))
        return hardness + shift + rng.normal(0.0, self.noise, (self.seeds, self.images)) < self.threshold


def _groups(tables: Sequence[np.ndarray], rule: SpreadRule, with_predictions: bool = True) -> list[SeedGroup]:
    keys = tuple(map(str, range(tables[0].shape[1])))
    values = [tuple(map(float, 100 * table.mean(axis=1))) for table in tables]
    return [
        SeedGroup(own, spread, len(keys), Correctness(keys, table) if with_predictions else None)
        for own, spread, table in zip(values, rule(values), tables, strict=True)
    ]


def accuracy_coverage(world: World, rule: str, draws: int, models: int = 3) -> Coverage:
    """One trained model of a family of several of equal skill, over seeds and test images."""
    rng = np.random.default_rng([3, world.images, world.seeds, int(1000 * world.accuracy)])
    found = []
    for _ in range(draws):
        hardness = rng.normal(size=world.images)
        tables = [world.draw(rng, hardness) for _ in range(models)]
        found.append(accuracy_interval(_groups(tables, RULES[rule])[0]))
    return coverage(found, 100 * world.accuracy)


def difference_coverage(first: World, second: World, rule: str, draws: int, models: int = 3, *,
                        with_predictions: bool = True) -> Coverage:  # fmt: skip
    """First minus second, each of a family of its own, on the same test images."""
    rng = np.random.default_rng([4, first.images, first.seeds, int(1000 * first.accuracy), int(1000 * second.accuracy)])
    found = []
    for _ in range(draws):
        hardness = rng.normal(size=first.images)
        sides = []
        for sign, world in ((1.0, first), (-1.0, second)):
            tables = [world.draw(rng, hardness) for _ in range(models)]
            family = [SeedGroup(g.values_pct, _named(g.spread, f"{sign}"), g.test_images, g.correctness)
                      for g in _groups(tables, RULES[rule], with_predictions)]  # fmt: skip
            sides.append((sign, family[0]))
        interval = contrast_interval(sides)
        assert interval is not None
        found.append(interval)
    return coverage(found, 100 * (first.accuracy - second.accuracy))


def _named(spread: Spread | None, family: str) -> Spread | None:
    return None if spread is None else Spread(spread.variance, spread.df, f"{family} {spread.pool}")


# Processes


def process_coverage(rule: str, spreads: Sequence[float], processes: int, draws: int, model: int) -> Coverage:
    """Throughput of one model among others timed in turn; spreads: relative, of each model. Half width in percent."""
    rng = np.random.default_rng([5, processes, len(spreads), model])
    found = []
    for _ in range(draws):
        logs = [list(map(float, rng.normal(0.0, spread, processes))) for spread in spreads]
        interval = process_interval([math.exp(one) for one in logs[model]], RULES[rule](logs)[model])
        assert interval is not None
        logarithms = [100 * math.log(end) for end in (interval.estimate, interval.low, interval.high)]
        found.append(Interval(*logarithms, interval.n, interval.method))
    return coverage(found, 0.0)


# Two checkpoints on the same images


def mcnemar_rejections(images: int, only_first: float, only_second: float) -> float:
    """Exact chance that exact McNemar has p below 0.05, given the chances that only one gets an image right."""
    discordant = only_first + only_second
    counts = np.arange(images + 1)
    chances = stats.binom.pmf(counts, images, discordant)
    total = 0.0
    for count in counts[chances > 1e-12]:
        most = _most_refused(int(count))  # refused where the rarer side has at most so many
        share = only_first / discordant
        refused = stats.binom.cdf(most, count, share) + stats.binom.sf(count - most - 1, count, share)
        total += float(chances[count] * refused)
    return total


@cache
def _most_refused(count: int) -> int:
    """The largest b below half of the count with p below 0.05 for b against the rest; -1 if there is none."""
    return bisect.bisect_left(range((count + 1) // 2), True, key=lambda b: mcnemar_p(b, count - b) >= 0.05) - 1


def paired_coverage(images: int, only_first: float, only_second: float, method: Callable[[int, int, int], Interval],
                    draws: int) -> Coverage:  # fmt: skip
    """Intervals of the difference of two checkpoints from their discordant images."""
    rng = np.random.default_rng([6, images, int(1000 * only_first), int(1000 * only_second)])
    table = rng.multinomial(images, [only_first, only_second, 1 - only_first - only_second], size=draws)
    known: dict[tuple[int, int], Interval] = {}
    found = []
    for b, c, _ in table:
        key = int(b), int(c)
        if key not in known:
            known[key] = method(*key, images)
        found.append(known[key])
    return coverage(found, 100 * (only_first - only_second))


def wald_interval(only_first: int, only_second: int, images: int) -> Interval:
    """The textbook interval, for comparison alone."""
    delta = (only_first - only_second) / images
    error = math.sqrt(only_first + only_second - (only_first - only_second) ** 2 / images) / images
    reach = 1.959964 * error
    return Interval(100 * delta, 100 * (delta - reach), 100 * (delta + reach), images, "Wald")


# Tables


def _write(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    rule = f"|:---|{'---:|' * (len(head) - 1)}"
    lines = ["", f"### {title}", "", f"| {' | '.join(head)} |", rule, *(f"| {' | '.join(row)} |" for row in rows)]
    sys.stdout.write("\n".join(lines) + "\n")


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _told(found: Coverage) -> str:
    return f"{_percent(found.covered)} (±{found.half_width:.2f})"


def write_wilson() -> None:
    shares = (0.5, 0.9, 0.98, 0.995, 0.999)
    rows = []
    for images in (50, 100, 500, 899, 2000):
        grid = wilson_coverage(images, list(np.linspace(0.5, 0.999, 200)))
        cells = wilson_coverage(images, shares)
        rows.append([f"{images}", *map(_percent, cells), _percent(float(np.mean(grid))), _percent(min(grid))])
    head = ["Test images", *(f"at {100 * p:g} %" for p in shares), "mean", "worst"]
    _write("One checkpoint's accuracy: Wilson", head, rows)


def write_seeds(draws: int) -> None:
    rows = []
    for label, spreads, model in (
        ("3 models alike", (1.0,) * 3, 0),
        ("6 models alike", (1.0,) * 6, 0),
        ("3 of 6 scatter 5 times as much: a quiet one", (1.0,) * 3 + (5.0,) * 3, 0),
        ("3 of 6 scatter 5 times as much: a noisy one", (1.0,) * 3 + (5.0,) * 3, 5),
        ("1 of 6 scatters 10 times as much: a quiet one", (1.0,) * 5 + (10.0,), 0),
        ("1 of 6 scatters 10 times as much: the noisy one", (1.0,) * 5 + (10.0,), 5),
    ):
        methods = ("percentile bootstrap", "own", "pooled", "as in reports")
        rows.append([label, *(_told(seeds_coverage(method, spreads, 3, draws, model)) for method in methods)])
    found = [_told(collapsing_seeds_coverage(method, draws)) for method in ("own", "pooled", "as in reports")]
    rows.append(["3 models, one training in ten collapses by 20 points", "", *found])
    head = ["Family", "percentile bootstrap", "own t", "pooled t alone", "as in reports"]
    _write("The mean over 3 seeds", head, rows)


def write_accuracies(draws: int) -> None:
    rows = []
    for images, accuracy in itertools.product((50, 100, 300, 2000), (0.7, 0.9, 0.98, 0.995)):
        ours = [accuracy_coverage(World(accuracy, images, seeds), "as in reports", draws) for seeds in (3, 5)]
        rows.append([f"{images} images, {100 * accuracy:g} %", *map(_told, ours)])
    _write("A trained model's accuracy over seeds and test images", ["World", "3 seeds", "5 seeds"], rows)


def write_differences(draws: int) -> None:
    rows = []
    for images, (first, second) in itertools.product((100, 300, 2000), ((0.9, 0.9), (0.98, 0.95), (0.995, 0.98))):
        cells = [
            difference_coverage(World(first, images, seeds), World(second, images, seeds), "as in reports", draws,
                                with_predictions=known)
            for seeds, known in ((3, True), (5, True), (3, False))
        ]  # fmt: skip
        rows.append([f"{images} images, {100 * first:g} and {100 * second:g} %", *map(_told, cells)])
    uneven = difference_coverage(
        World(0.9, 2000, 3, seed_spread=0.02), World(0.9, 2000, 3, seed_spread=0.5), "as in reports", draws
    )
    rows.append(["2000 images, 90 and 90 %, seeds of one scatter 25 times as much", _told(uneven), "", ""])
    head = ["World", "3 seeds", "5 seeds", "3 seeds, no predictions"]
    _write("The difference of two trained models", head, rows)


def write_processes(draws: int) -> None:
    rows = []
    for label, spreads, processes, model in (
        ("12 models alike, 5 processes", (0.03,) * 12, 5, 0),
        ("3 of 12 at 20 %, the rest at 3 %, 5 processes: a quiet one", (0.03,) * 9 + (0.2,) * 3, 5, 0),
        ("3 of 12 at 20 %, the rest at 3 %, 5 processes: a noisy one", (0.03,) * 9 + (0.2,) * 3, 5, 11),
        ("8 models alike, 2 processes", (0.03,) * 8, 2, 0),
        ("2 of 8 at 20 %, the rest at 3 %, 2 processes: a quiet one", (0.03,) * 6 + (0.2,) * 2, 2, 0),
        ("2 of 8 at 20 %, the rest at 3 %, 2 processes: a noisy one", (0.03,) * 6 + (0.2,) * 2, 2, 7),
    ):
        found = (process_coverage(rule, spreads, processes, draws, model) for rule in RULES)
        rows.append([label, *map(_told, found)])
    _write("Throughput over processes (half width in %)", ["Models", "pooled t alone", "own t", "as in reports"], rows)


def write_paired(draws: int) -> None:
    rows = []
    for images, share in itertools.product((50, 200, 899, 2000), (0.02, 0.1, 0.3)):
        size = mcnemar_rejections(images, share / 2, share / 2)
        powers = [mcnemar_rejections(images, share / 2 + d / 2, share / 2 - d / 2) if d < share else None
                  for d in (0.01, 0.03, 0.05)]  # fmt: skip
        cells = [_told(paired_coverage(images, share / 2, share / 2, method, draws))
                 for method in (wald_interval, paired_interval)]  # fmt: skip
        tilted = _told(paired_coverage(images, 0.8 * share, 0.2 * share, paired_interval, draws))
        rows.append([f"{images} images, {100 * share:g} % decide", _percent(size),
                     *("" if power is None else _percent(power) for power in powers), *cells, tilted])  # fmt: skip
    head = ["Two checkpoints", "McNemar's false alarms", "found: 1 point", "3 points", "5 points", "Wald",
            "Tango", "Tango, 4 to 1"]  # fmt: skip
    _write("Two checkpoints on the same images", head, rows)


if __name__ == "__main__":
    write_wilson()
    write_seeds(4000)
    write_accuracies(1000)
    write_differences(1000)
    write_processes(4000)
    write_paired(4000)
