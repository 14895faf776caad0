"""Coverage of crossover intervals on simulated stores; `python tests/analyse/test_crossover_coverage.py` prints it."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # as pytest does

from simulated_store import Scatter, line_through, simulated_store

from bench.analyse.crossings import crossovers
from bench.analyse.crossover import Crossing
from bench.analyse.frame import training_frame
from bench.analyse.identity import identify_dataset, identify_model
from bench.analyse.scores import trained_scores

STORES = 500
PLACES = (500, 1000, 2000, 4000, 8000)
Curve = Callable[[float], float]


@dataclass(frozen=True)
class World:
    """What is true of a simulated store, and where the first family truly passes the second."""

    name: str
    vit: Curve
    cnn: Curve
    crossing: float
    models: tuple[str, ...] = ("vit_32px_m", "resnet_32px_m")
    scatter: Scatter = field(default_factory=Scatter)
    datasets: tuple[str, ...] = ("textures",)

    def accuracy(self, model: str, place: float) -> float:
        return (self.vit if model.startswith("vit") else self.cnn)(place)


def steep(middle: float, rise: float, cnn: float = 70.0) -> tuple[Curve, Curve]:
    """A ViT that gains `rise` points a doubling and meets a level CNN at `middle` images."""
    ends = {250.0: 0.0, 16_000.0: 0.0}
    line = line_through({x: cnn + rise * math.log2(x / middle) for x in ends})
    return line, lambda x: cnn


def curved(x: float) -> float:
    """A learning curve that flattens: the interpolation between places is then not exact."""
    return 90 - 60 * (x / 250) ** -0.6


WORLDS = (
    World("between two places, 3 points a doubling", *steep(1400.0, 3.0), 1400.0),
    World("at a place, 3 points a doubling", *steep(2000.0, 3.0), 2000.0),
    World("steep, 8 points a doubling", *steep(2800.0, 8.0), 2800.0),
    World("flat, 1 point a doubling", *steep(1400.0, 1.0), 1400.0),
    World("beyond the range", *steep(12_000.0, 3.0), 12_000.0),
    World("two sets, mean", *steep(1400.0, 3.0), 1400.0, datasets=("textures", "shapes")),
    World("two CNNs to choose from", *steep(1400.0, 3.0), 1400.0,
          models=("vit_32px_m", "resnet_32px_m", "mbconv_32px_m")),
    World("5 seeds", *steep(1400.0, 3.0), 1400.0, scatter=Scatter(5)),
    World("5 seeds at a place", *steep(2000.0, 3.0), 2000.0, scatter=Scatter(5)),
    World("5 seeds, 2,000 images, 94 %", *steep(1400.0, 1.0, 94.0), 1400.0, scatter=Scatter(5, 2000)),
    World("side by side after it, 0.2 points apart", line_through({500: 64.0, 1000: 70.2, 16_000: 70.2}),
          lambda x: 70.0, 500 * 2 ** (6 / 6.2)),
    World("curved, 14 points from 1,000 to 2,000", curved, lambda x: 70.0, 250 * 3 ** (1 / 0.6)),
)  # fmt: skip


def simulate(world: World, number: int) -> Crossing:
    """The crossover that one simulated store of this world gives."""
    rng = np.random.default_rng([number, WORLDS.index(world)])
    records, predictions = [], {}
    for dataset in world.datasets:
        made = simulated_store(world.accuracy, world.models, PLACES, rng, world.scatter, dataset=dataset)
        records += made[0]
        predictions |= made[1]
    frame = training_frame(records)
    identities = {name: identify_model(name) for name in world.models}
    scores = trained_scores(frame, identities, predictions.get)
    found = crossovers(scores, [identify_dataset(name) for name in world.datasets])
    (mine,) = [one for one in found if one.datasets == world.datasets and (one.first, one.second) == ("vit", "cnn")]
    return mine.crossing


@dataclass(frozen=True)
class Tally:
    covered: float
    bounded: float
    width: float  # median ratio of the ends, of bounded intervals

    @classmethod
    def of(cls, world: World, stores: int) -> Tally:
        found = [simulate(world, number) for number in range(stores)]
        widths = [one.high / one.low for one in found if one.is_bounded]
        covered = sum(one.covers(world.crossing) for one in found) / stores
        return cls(covered, len(widths) / stores, float(np.median(widths)) if widths else math.nan)


EVEN = ("between two places, 3 points a doubling", "at a place, 3 points a doubling", "two sets, mean",
        "two CNNs to choose from", "5 seeds", "5 seeds at a place")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("world", [one for one in WORLDS if one.name in EVEN], ids=lambda world: world.name)
def test_the_interval_of_a_crossover_covers_it_in_93_to_97_percent_of_500_stores(world):
    assert 0.93 <= Tally.of(world, STORES).covered <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("world", [one for one in WORLDS if one.name not in EVEN], ids=lambda world: world.name)
def test_other_crossovers_are_covered_as_often_or_more(world):
    # Steep, flat and out of range: the t interval of four groups of three seeds is a little wide, and open ends cover.
    # Curves that run side by side beyond it are undecided at several places, each of which may err: docs/decisions.md.
    assert Tally.of(world, STORES).covered >= (0.85 if world.name.startswith("side by side") else 0.93)


def main() -> None:
    sys.stdout.write("world | covered | both ends in range | median high / low\n")
    for one in WORLDS:
        tally = Tally.of(one, STORES)
        sys.stdout.write(f"{one.name} | {tally.covered:.3f} | {tally.bounded:.2f} | {tally.width:.2f}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
