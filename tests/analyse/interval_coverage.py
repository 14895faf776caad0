"""How often the intervals of reports hold the truth: simulated or enumerated with the project's own functions.

`python tests/analyse/interval_coverage.py` prints the tables of docs/intervals.md. Every scenario draws from a seed of
its own. Accuracies are in percent, differences in percentage points.
"""

from __future__ import annotations

import math
import sys
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy import special, stats

from bench.analyse.compare.differences import Difference, not_separable
from bench.analyse.stats.intervals import (
    Interval,
    SeedGroup,
    accuracy_interval,
    median_interval,
    t_quantile,
    wilson_interval,
)
from bench.analyse.stats.proportions import mcnemar_p, paired_interval
from bench.store.correctness import Correctness

STUDIES = 2000  # a share near 95 % is known to half a point
Groups = Sequence[SeedGroup]
Rule = Callable[[np.random.Generator, Groups], Interval]


def t_interval(values: Sequence[float], level: float = 0.95) -> Interval | None:
    """Interval of the mean of independent values, in their unit, by t; None with fewer than two."""
    n = len(values)
    if n < 2:
        return None
    mean = float(np.mean(values))
    half = t_quantile(n - 1, level) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n, f"t, {n - 1} degrees of freedom")


@dataclass(frozen=True)
class Coverage:
    """Share of the studies whose interval held the truth, and the mean half width."""

    covered: float
    half_width: float

    def __str__(self) -> str:
        return f"{100 * self.covered:.1f} (±{self.half_width:.2f})"


def coverage(intervals: Iterable[Interval], truth: float) -> Coverage:
    """Of these intervals, all of one truth."""
    found = [(one.low <= truth <= one.high, one.half_width) for one in intervals]
    return Coverage(*map(float, np.mean(found, axis=0)))


def generator(scenario: object) -> np.random.Generator:
    """The random numbers of one scenario, always the same."""
    return np.random.default_rng(zlib.crc32(repr(scenario).encode()))


# What is drawn: models whose true accuracy is known


@dataclass(frozen=True)
class Normal:
    """A model whose seeds scatter normally, images aside; one in `1 / collapses` falls by `drop` points."""

    seeds: int
    spread: float = 1.0
    collapses: float = 0.0
    drop: float = 20.0
    mean: float = 70.0
    images: int = 1

    @property
    def truth(self) -> float:
        return self.mean - self.collapses * self.drop

    def draw(self, rng: np.random.Generator, hardness: np.ndarray) -> SeedGroup:
        values = rng.normal(self.mean, self.spread, self.seeds)
        values -= self.drop * (rng.random(self.seeds) < self.collapses)
        return SeedGroup(tuple(map(float, values)), 10**12)


@cache
def image_names(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))


@dataclass(frozen=True)
class World:
    """A model on images: seed s gets image i right if hardness_i + shift_s + noise_si < threshold, all normal."""

    truth: float
    images: int
    seeds: int
    seed_spread: float = 0.15  # of shift; at 90 % it moves a seed by 2.2 points
    noise: float = 0.6  # the hardness of images scatters by 1

    def draw(self, rng: np.random.Generator, hardness: np.ndarray) -> SeedGroup:
        threshold = special.ndtri(self.truth / 100) * math.sqrt(1 + self.seed_spread**2 + self.noise**2)
        shift = rng.normal(0.0, self.seed_spread, (self.seeds, 1))
        right = hardness + shift + rng.normal(0.0, self.noise, (self.seeds, self.images)) < threshold
        values = tuple(map(float, 100 * right.mean(axis=1)))
        return SeedGroup(values, self.images, Correctness(image_names(self.images), right))


Model = Normal | World


def studies(models: Sequence[Model], count: int) -> Iterable[tuple[np.random.Generator, list[SeedGroup]]]:
    """So many studies of these models, all of one study tested on the same images."""
    rng = generator(models)
    for _ in range(count):
        hardness = rng.normal(size=models[0].images)
        yield rng, [one.draw(rng, hardness) for one in models]


# How an interval is made: the project's rules, and others for comparison


def ours(rng: np.random.Generator, groups: Groups) -> Interval:
    """What reports print: of the one model, or of the first minus the second of several that are shown together."""
    if len(groups) == 1:
        return accuracy_interval(groups[0])
    found = Difference.of(groups[0], groups[1]).interval
    assert found is not None
    return found


def without_predictions(rng: np.random.Generator, groups: Groups) -> Interval:
    """The same where nobody stored which images were right."""
    return ours(rng, [replace(group, correctness=None) for group in groups])


def bootstrap(rng: np.random.Generator, groups: Groups, resamples: int = 400) -> Interval:
    """Percentile bootstrap of the seeds; crossed where there are images: they are drawn again too, once for all."""
    total = 0.0
    known = [group.correctness for group in groups if group.correctness]
    if known:
        rows = np.concatenate([one.right for one in known])
        patterns, counts = np.unique(rows, axis=1, return_counts=True)
        drawn = rng.multinomial(counts.sum(), counts / counts.sum(), resamples) / counts.sum()
        of_seeds = 100 * drawn @ patterns.T.astype(float)
    else:
        of_seeds = np.tile(np.concatenate([group.values_pct for group in groups]), (resamples, 1))
    start = 0
    for sign, group in zip((1, -1), groups, strict=False):
        picked = start + rng.integers(0, len(group.values_pct), (resamples, len(group.values_pct)))
        total = total + sign * np.take_along_axis(of_seeds, picked, axis=1).mean(axis=1)
        start += len(group.values_pct)
    low, high = np.percentile(total, [2.5, 97.5])
    return Interval(float(np.mean(total)), float(low), float(high), resamples, "bootstrap")


def mean_coverage(model: Model, rule: Rule = ours, count: int = STUDIES) -> Coverage:
    """The accuracy of one trained model."""
    return coverage((rule(rng, groups) for rng, groups in studies([model], count)), model.truth)


def difference_coverage(models: Sequence[Model], rule: Rule = ours, count: int = STUDIES) -> Coverage:
    """The first minus the second of the models."""
    found = (rule(rng, groups) for rng, groups in studies(models, count))
    return coverage(found, models[0].truth - models[1].truth)


# Throughput over processes: relative to the slower mode, in percent


def normal_processes(rng: np.random.Generator, size: int) -> np.ndarray:
    return 100 * np.exp(rng.normal(0.0, 0.03, size))


def heavy_processes(rng: np.random.Generator, size: int) -> np.ndarray:
    return 100 * np.exp(0.03 * rng.standard_t(2, size).clip(-30, 30))


def two_modes(share: float) -> Callable[[np.random.Generator, int], np.ndarray]:
    """Such a share of processes runs 1.5 times faster, all of their lives."""
    return lambda rng, size: normal_processes(rng, size) * np.where(rng.random(size) < share, 1.5, 1.0)


def rounds(rng: np.random.Generator, size: int) -> np.ndarray:
    """The ratio of two models round by round: each scatters by 3 %, their rounds by 10 % in common, which cancels."""
    machine = np.exp(rng.normal(0.0, 0.1, size))
    return 100 * (normal_processes(rng, size) * machine) / (normal_processes(rng, size) * machine)


PROCESSES = {
    "normal, 3 %": normal_processes,
    "heavy tails: t with 2 degrees of freedom, 3 %": heavy_processes,
    "two modes: 20 % of processes 1.5 times faster": two_modes(0.2),
    "two modes: 30 % of processes 1.5 times faster": two_modes(0.3),
    "ratio of two models, round by round": rounds,
}


def median_coverage(kind: str, processes: int, rule: str = "median", count: int = STUDIES) -> Coverage:
    """Rule median: the median of all processes, by order statistics. Rule t: their mean, by t on logarithms."""
    draw = PROCESSES[kind]
    population = draw(generator(kind), 10**6)
    rng = generator((kind, processes))
    if rule == "t":
        logs = (t_interval(list(np.log(draw(rng, processes)))) for _ in range(count))
        found = (replace(one, low=math.exp(one.low), high=math.exp(one.high)) for one in logs if one)
        return coverage(found, math.exp(float(np.mean(np.log(population)))))
    medians = (median_interval(list(draw(rng, processes))) for _ in range(count))
    return coverage((one for one in medians if one), float(np.median(population)))


# Sets and unstable seeds


def best_set(models: Sequence[Model], count: int = STUDIES) -> tuple[float, float, float]:
    """How often the first, truly the best, is left out of the set though ranked, and unranked; mean size of the set."""
    sets = [not_separable(dict(enumerate(groups))) for _, groups in studies(models, count)]
    unranked = [0 in one.unranked for one in sets]
    left_out = [0 not in (*one.members, *one.unranked) for one in sets]
    return float(np.mean(left_out)), float(np.mean(unranked)), float(np.mean([len(one.members) for one in sets]))


def unstable_share(model: Normal, count: int = STUDIES) -> tuple[float, float]:
    """How often the seeds are called unstable: of all studies, and of those that saw a collapse (nan without any)."""
    low = model.mean - model.drop / 2 if model.collapses else -math.inf
    found = [(group.is_unstable, min(group.values_pct) < low) for _, (group,) in studies([model], count)]
    seen = [unstable for unstable, collapsed in found if collapsed]
    return float(np.mean([unstable for unstable, _ in found])), float(np.mean(seen)) if seen else math.nan


# One or two checkpoints


def wilson_coverage(images: int, accuracies: Sequence[float]) -> list[float]:
    """Exact chances that Wilson's interval holds each of these accuracies."""
    right = np.arange(images + 1)
    found = [wilson_interval(int(correct), images) for correct in right]
    low, high = (np.array([getattr(one, end) for one in found]) for end in ("low", "high"))
    return [float(np.sum(stats.binom.pmf(right, images, p)[(low <= 100 * p) & (100 * p <= high)])) for p in accuracies]


def paired(images: int, only_first: float, only_second: float, count: int = STUDIES) -> tuple[Coverage, float]:
    """Tango's interval of two checkpoints, and how often McNemar has p < 0.05; given the chances to be right alone."""
    rng = generator((images, only_first, only_second))
    drawn = rng.multinomial(images, [only_first, only_second, 1 - only_first - only_second], size=count)
    pairs = [(int(b), int(c)) for b, c, _ in drawn]
    found = {pair: (paired_interval(*pair, images), mcnemar_p(*pair)) for pair in set(pairs)}
    held = coverage((found[pair][0] for pair in pairs), 100 * (only_first - only_second))
    return held, float(np.mean([found[pair][1] < 0.05 for pair in pairs]))


# Tables


def _write(head: str, rows: Iterable[Sequence[object]]) -> None:
    """One table as Markdown. head: its columns, parted by |."""
    sys.stdout.write(f"\n| {head} |\n|:---|{'---:|' * head.count('|')}\n")
    for row in rows:
        sys.stdout.write(f"| {' | '.join(map(str, row))} |\n")
        sys.stdout.flush()


def _percent(share: float) -> str:
    return "none" if math.isnan(share) else f"{100 * share:.1f}"


def write_means() -> None:
    _write("Mean of a model | 3 seeds | 5 seeds | 10 seeds", [
        ["normal seeds, no images", *(mean_coverage(Normal(seeds)) for seeds in (3, 5, 10))],
        *([f"{images} images, {truth} %", *(mean_coverage(World(truth, images, seeds)) for seeds in (3, 5, 10))]
          for images in (300, 2000) for truth in (70, 90, 98)),
    ])  # fmt: skip


def write_differences() -> None:
    spreads = {"alike": (1, 1), "second scatters 5 times as much": (1, 5), "second scatters 10 times as much": (1, 10),
               "alike, a third of the table scatters 10 times as much": (1, 1, 10)}  # fmt: skip
    rows = ([name, *(difference_coverage([Normal(n, one) for one in each]) for n in (3, 5, 10))]
            for name, each in spreads.items())  # fmt: skip
    _write("Difference of two, no images | 3 seeds | 5 seeds | 10 seeds", rows)


def write_shared() -> None:
    def row(images: int, first: float, second: float, spread: float) -> list[object]:
        three, five = ([World(first, images, n, spread), World(second, images, n)] for n in (3, 5))
        noisy = "" if spread == 0.15 else ", second scatters 5 times as much"
        found = difference_coverage(three), difference_coverage(five), difference_coverage(three, without_predictions)
        return [f"{images} images, {first:g} and {second:g} %{noisy}", *found]

    sides = ((90.0, 90.0, 0.15), (98.0, 95.0, 0.15), (90.0, 90.0, 0.03))
    rows = (row(images, *each) for images in (300, 2000) for each in sides)
    _write("Difference, the same images | 3 seeds | 5 seeds | 3 seeds, no predictions", rows)


def write_medians() -> None:
    rows = ([kind, *(median_coverage(kind, n) for n in (5, 7, 10)), median_coverage(kind, 5, "t")]
            for kind in PROCESSES)  # fmt: skip
    _write("Median of processes | 5 | 7 | 10 | t on logarithms, 5", rows)


def write_sets() -> None:
    def row(models: int, lead: float) -> list[object]:
        best = World(90.0, 300, 3, 0.08)
        left_out, unranked, size = best_set([best, *[replace(best, truth=90.0 - lead)] * (models - 1)])
        return [f"{models} models, best by {lead:g} points", _percent(left_out), _percent(unranked), f"{size:.1f}"]

    rows = (row(models, lead) for models in (4, 12) for lead in (0.0, 3.0, 5.0))
    _write("Set not separable from the best | best left out | best unstable | mean size", rows)


def write_unstable() -> None:
    models = {"spread 3": Normal(0, 3.0), "spread 1, one in ten falls": Normal(0, collapses=0.1)}
    made = ((f"{n} seeds, {name}", replace(one, seeds=n)) for n in (3, 5, 10) for name, one in models.items())
    rows = ([name, mean_coverage(one), *map(_percent, unstable_share(one))] for name, one in made)
    _write("Unstable seeds | mean held | called unstable | of those with a collapse", rows)


def write_bootstraps() -> None:
    both = (ours, bootstrap)
    rows = ([f"mean of {n} normal seeds", *(mean_coverage(Normal(n), rule) for rule in both)] for n in (3, 5, 10))
    _write("Mean | t | percentile bootstrap", rows)
    rows = ([f"{images} images, {n} seeds", *(difference_coverage([World(90.0, images, n)] * 2, rule) for rule in both)]
            for images in (300, 2000) for n in (5, 10))  # fmt: skip
    _write("Difference | Welch | crossed bootstrap", rows)


def write_checkpoints() -> None:
    shares, grid = (0.5, 0.9, 0.98, 0.995), np.linspace(0.5, 0.999, 200)
    found = ((n, wilson_coverage(n, shares), wilson_coverage(n, grid)) for n in (50, 300, 2000))
    rows = ([n, *map(_percent, (*some, float(np.mean(many)), min(many)))] for n, some, many in found)
    _write("Wilson: images | 50 % | 90 % | 98 % | 99.5 % | mean | worst", rows)
    pairs = ((n, gap, paired(n, 0.05 + gap / 2, 0.05 - gap / 2)) for n in (50, 300, 2000) for gap in (0.0, 0.03))
    rows = ([f"{n} images, one better by {100 * gap:g}", held, _percent(p)] for n, gap, (held, p) in pairs)
    _write("Two checkpoints, 10 % of images decide | Tango | McNemar p < 0.05", rows)


TABLES = (write_means, write_differences, write_shared, write_medians, write_sets, write_unstable, write_bootstraps,
          write_checkpoints)  # fmt: skip

if __name__ == "__main__":
    for table in TABLES:
        if len(sys.argv) == 1 or table.__name__.removeprefix("write_") in sys.argv[1:]:
            table()
