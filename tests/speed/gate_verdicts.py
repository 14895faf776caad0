"""Whole checks with planted slowdowns, run for real one after another; a line of JSON for each.

    python tests/speed/gate_verdicts.py OUT.jsonl --runs 10 [--busy 4] [--plants 0,0,0,5,10]

Every check compares this tree with itself on small models of three families, the head of some slowed down by extra
passes. --busy starts so many processes that compute all the time beside it. Appends, so that it may be stopped.
"""

# ruff: noqa: T201  (a program of its own, which prints)

from __future__ import annotations

import argparse
import contextlib
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.gate.check import Plan
from bench.gate.pairs import Pair
from bench.gate.plant import true_log_ratio
from bench.gate.request import DEFAULT_MODELS
from bench.gate.result import CheckResult, Workload
from bench.gate.rule import Look, percent
from bench.gate.selftest import planted
from bench.gate.session import Request, run_check
from bench.places import cache_root

BUSY = "while True: sum(range(100_000))"


class Silent:
    def pair_done(self, number: int, pair: Pair) -> None:
        return

    def pair_lost(self, reason: str) -> None:
        print(reason, file=sys.stderr)

    def looked(self, looks: Mapping[str, Look]) -> None:
        return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--busy", type=int, default=0)
    parser.add_argument("--plants", default="0,0,0,5,10")
    arguments = parser.parse_args()
    plants = [float(word) for word in arguments.plants.split(",")]
    with busy(arguments.busy):
        for number in range(arguments.runs):
            result = one_check(plants, number)
            with open(arguments.out, "a", encoding="utf-8") as stream:
                stream.write(json.dumps(summary(result, arguments.busy)) + "\n")
            verdicts = ", ".join(f"{one.name} {one.verdict}" for one in result.models)
            print(f"{number + 1}: {verdicts} ({result.wall_s:.0f} s)", flush=True)


def one_check(plants: list[float], number: int) -> CheckResult:
    """One check; the models take turns in being the slowed ones."""
    models = [DEFAULT_MODELS[(number + index) % len(DEFAULT_MODELS)] for index in range(len(plants))]
    comparisons = tuple(planted(Workload(model=model), slow) for model, slow in zip(models, plants, strict=True))
    plan = Plan(seed=secrets.randbelow(2**32))
    return run_check(Request(comparisons, base=None, plan=plan, exact="off"), Silent(), cache_root() / "gate")


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many processes that compute all the time, until the block ends."""
    running = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def summary(result: CheckResult, busy_processes: int) -> dict[str, Any]:
    """What is kept of a check: verdicts, estimates and pair values, without the turns."""
    return {
        "started_at": result.started_at,
        "wall_s": round(result.wall_s, 1),
        "busy": busy_processes,
        "rule_version": result.rule_version,
        "seed": result.seed,
        "commit": result.head.commit,
        "machine": result.conditions.get("machine"),
        "noise_mean_pct": result.noise and round(result.noise.mean_pct, 3),
        "noise_spread_pct": result.noise and round(result.noise.spread_pct, 3),
        "models": [
            {
                "name": one.name,
                "planted": one.name.split(" ", 1)[1],
                "truth_pct": round(percent(true_log_ratio(one.comparison.head.plant)), 4),
                "verdict": one.verdict,
                "reason": one.reason,
                "slowdown_pct": one.slowdown_pct,
                "low_pct": one.low_pct,
                "high_pct": one.high_pct,
                "log_ratios": [round(pair.log_ratio, 6) for pair in one.pairs],
                "clocks": sorted({pair.clock for pair in one.pairs}),
            }
            for one in result.models
        ],
    }


if __name__ == "__main__":
    main()
