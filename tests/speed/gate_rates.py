"""How often the speed gate is wrong: verdicts resampled from the recorded process pairs, and those that were run.

    python tests/speed/gate_rates.py                     the recordings and verdicts that the project ships
    python tests/speed/gate_rates.py FILE.json...        recordings of another runner (`vitbench check --selftest`)

Resampled verdicts are draws from the pairs: what the pairs never showed is in none of them, so that a rate of 0 among
them has no rule-of-three bound of its own. The number of pairs bounds it.
"""

# ruff: noqa: T201  (a program of its own, which prints)

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from bench.cli.selftest import describe_selftest
from bench.gate.rule import look
from bench.gate.selftest import Recording, Values, summarise, values_of

SELFTESTS = Path(__file__).resolve().parents[2] / "results" / "selftests"
THRESHOLD_PCT = 5.0
CURVE_VERDICTS = 4_000


def main() -> None:
    files = [Path(name) for name in sys.argv[1:]] or sorted(SELFTESTS.glob("pairs-*.json"))
    recordings = [Recording.model_validate_json(file.read_text()) for file in files]
    found = summarise(recordings, threshold=THRESHOLD_PCT / 100)
    print(describe_selftest(recordings, found, THRESHOLD_PCT))
    print_levels(values_of(recordings))
    print_curve(values_of(recordings))
    if not sys.argv[1:]:
        print_real_verdicts()


def print_levels(values: dict[str, Values]) -> None:
    """Bias and spread of pairs, and of the A/A arm: what the rule's promises rest on."""
    print("\nPairs: mean error against the truth with its standard error, and standard deviation, in points")
    for name, one in values.items():
        print(f"  {name:24s} {level((one.values - one.truth) * 100)}")
    print(f"  {'base against itself':24s} {level(next(iter(values.values())).noise * 100)}")


def level(errors: np.ndarray) -> str:
    spread = errors.std(ddof=1)
    return f"{errors.mean():+.2f} ± {spread / math.sqrt(len(errors)):.2f}, {spread:.2f}"


def print_curve(values: dict[str, Values]) -> None:
    """Probability of FAIL and PASS at true slowdowns of 0 to 6 %: pairs without a plant, shifted by exactly so much."""
    print("\nTrue slowdown [%]   FAIL [%]   PASS [%]   INCONCLUSIVE [%]   (pairs of +0 %, shifted; all models)")
    even = [one for one in values.values() if one.truth == 0]
    pairs = np.concatenate([one.values for one in even])
    noise = np.concatenate([one.noise for one in even])
    for slowdown in range(7):
        counts = shifted_verdicts(pairs + math.log1p(slowdown / 100), noise)
        shares = [100 * counts[verdict] / CURVE_VERDICTS for verdict in ("FAIL", "PASS", "INCONCLUSIVE")]
        print(f"{slowdown:17d}   {shares[0]:8.1f}   {shares[1]:8.1f}   {shares[2]:16.1f}")


def shifted_verdicts(values: np.ndarray, noise: np.ndarray) -> dict[str, int]:
    random = np.random.default_rng(0)
    counts: dict[str, int] = defaultdict(int)
    for _ in range(CURVE_VERDICTS):
        drawn = random.integers(len(values), size=15)
        for pairs in (5, 10, 15):
            seen = look(
                {"it": values[drawn[:pairs]].tolist()}, noise[drawn[:pairs]].tolist(), threshold=THRESHOLD_PCT / 100
            )["it"]
            if seen.verdict is not None:
                counts[seen.verdict] += 1
                break
    return counts


def print_real_verdicts() -> None:
    """Verdicts of whole checks as they were run (gate_verdicts.py)."""
    for file in sorted(SELFTESTS.glob("verdicts-*.jsonl")):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        errors: dict[str, list[float]] = defaultdict(list)
        for line in lines:
            for one in line["models"]:
                counts[one["planted"]][one["verdict"]] += 1
                if one["slowdown_pct"] is not None:
                    errors[one["planted"]].append(abs(one["slowdown_pct"] - one["truth_pct"]))
        print(f"\n{file.stem}: {len(lines)} checks that were run, {sum(line['wall_s'] for line in lines) / 60:.0f} min")
        for planted, of in sorted(counts.items()):
            seen = ", ".join(f"{verdict} {count}" for verdict, count in sorted(of.items()))
            middle, high = np.percentile(errors[planted], (50, 95))
            print(f"  {planted:>5}: {seen}; |estimate - truth| median {middle:.2f}, p95 {high:.2f} points")


if __name__ == "__main__":
    main()
