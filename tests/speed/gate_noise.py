"""How often the speed gate is wrong under ugly noise: simulated pairs through the rule itself, the truth known.

    python tests/speed/gate_noise.py [CHECKS]

CHECKS of each line (2,000): fixed seeds, so that the same number prints the same table. docs/gate.md holds it.
"""

# ruff: noqa: T201  (a program of its own, which prints)

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.gate.rule import MAX_LOOKS, PAIRS_PER_LOOK, AgainstItself
from bench.gate.selftest import Values, decide

PAIRS = PAIRS_PER_LOOK * MAX_LOOKS
THRESHOLD = 0.05
TRUTHS = (0.0, 0.05, 0.10)
# (random state) -> how much slower base, head and the A/A arm's worker are in each pair than they should be, ln units
Noise = Callable[[np.random.Generator], NDArray[np.float64]]


def normal(spread: float) -> Noise:
    return lambda random: random.normal(0, spread, (3, PAIRS))


def heavy_tails(scale: float) -> Noise:
    """Student's t with 2 degrees of freedom, which has no variance."""
    return lambda random: scale * random.standard_t(2, (3, PAIRS))


def two_modes(spread: float) -> Noise:
    """One process in ten is 18 % faster."""
    return lambda random: random.normal(0, spread, (3, PAIRS)) - math.log(1.18) * (random.random((3, PAIRS)) < 0.1)


def carried_over(correlation: float, spread: float, *, by_tree: bool = False) -> Noise:
    """AR(1) from pair to pair, for each worker; by_tree: for each tree, so that the A/A arm has its side's state."""

    def draw(random: np.random.Generator) -> NDArray[np.float64]:
        shocks = random.normal(0, spread, (3, PAIRS))
        states = np.empty_like(shocks)
        states[:, 0] = shocks[:, 0]
        for pair in range(1, PAIRS):
            states[:, pair] = correlation * states[:, pair - 1] + math.sqrt(1 - correlation**2) * shocks[:, pair]
        if by_tree:
            states[2] = np.where(is_base(), states[0], states[1])
        return states

    return draw


def is_base() -> NDArray[np.bool_]:
    """Pairs whose A/A arm runs base: every other one."""
    return np.arange(PAIRS) % 2 == 0


NOISES: dict[str, Noise] = {
    "normal, 1.5 %": normal(0.015),
    "normal, 3 %": normal(0.03),
    "t with 2 df, scale 1 %": heavy_tails(0.01),
    "t with 2 df, scale 1.5 %": heavy_tails(0.015),
    "10 % of processes 18 % faster, 1 %": two_modes(0.01),
    "10 % of processes 18 % faster, 1.5 %": two_modes(0.015),
    "AR 0.5, 1.5 %": carried_over(0.5, 0.015),
    "AR 0.5, 3 %": carried_over(0.5, 0.03),
    "AR 0.9, 1.5 %": carried_over(0.9, 0.015),
    "AR 0.9, 3 %": carried_over(0.9, 0.03),
    "AR 0.9 of a tree, 1.5 %": carried_over(0.9, 0.015, by_tree=True),
    "AR 0.9 of a tree, 3 %": carried_over(0.9, 0.03, by_tree=True),
}


def simulate(noise: Noise, truth: float, checks: int, seed: int = 0) -> tuple[Counter[str], float]:
    """Verdicts of so many checks of one model, and the pairs that one takes on average."""
    random = np.random.default_rng(seed)
    verdicts: Counter[str] = Counter()
    taken = 0
    for _ in range(checks):
        base, head, again = noise(random)
        own = again - np.where(is_base(), base, head)
        arm: list[AgainstItself] = [("base" if of else "head", one) for of, one in zip(is_base(), own, strict=True)]
        found = decide(Values(math.log1p(truth), math.log1p(truth) + head - base, arm), THRESHOLD)
        assert found is not None
        verdicts[found[0]] += 1
        taken += found[2]
    return verdicts, taken / checks


def main() -> None:
    checks = int(sys.argv[1]) if sys.argv[1:] else 2_000
    print(f"{checks} checks of one model each. FAIL / PASS / INCONCLUSIVE [%] and pairs a check at true slowdowns of")
    print("| one process scatters by | " + " | ".join(f"{truth:.0%}" for truth in TRUTHS) + " |")
    for name, noise in NOISES.items():
        cells = []
        for truth in TRUTHS:
            verdicts, pairs = simulate(noise, truth, checks)
            shares = " / ".join(f"{100 * verdicts[one] / checks:.1f}" for one in ("FAIL", "PASS", "INCONCLUSIVE"))
            cells.append(f"{shares}, {pairs:.0f}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
