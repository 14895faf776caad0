"""Whole checks with planted slowdowns, run for real one after another; a file with every turn for each.

    python tests/speed/gate_verdicts.py FOLDER --name quiet --runs 10 [--busy 4] [--plants 0,0,0,3,5,10]

Every check compares this tree with itself on small models of all families, the head of some slowed down by extra
passes. --busy starts so many processes that compute all the time beside it. Numbers go on from what the folder holds.
"""

# ruff: noqa: T201  (a program of its own, which prints)

from __future__ import annotations

import argparse
import contextlib
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.gate.check import Plan, Request, run_check
from bench.gate.pairs import Pair
from bench.gate.request import DEFAULT_MODELS
from bench.gate.result import CheckResult, Workload
from bench.gate.rule import Look
from bench.gate.selftest import planted
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
    parser.add_argument("folder", type=Path)
    parser.add_argument("--name", default="quiet")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--busy", type=int, default=0)
    parser.add_argument("--plants", default="0,0,0,3,5,10")
    arguments = parser.parse_args()
    plants = [float(word) for word in arguments.plants.split(",")]
    arguments.folder.mkdir(parents=True, exist_ok=True)
    done = len(list(arguments.folder.glob(f"{arguments.name}-*.json")))
    with busy(arguments.busy):
        for number in range(done, done + arguments.runs):
            result = one_check(plants, number)
            file = arguments.folder / f"{arguments.name}-{number + 1:02d}.json"
            file.write_text(result.model_dump_json(exclude_defaults=True) + "\n")
            verdicts = ", ".join(f"{one.name} {one.verdict}" for one in result.models)
            print(f"{number + 1}: {verdicts} ({result.wall_s:.0f} s)", flush=True)


def one_check(plants: list[float], number: int) -> CheckResult:
    """One check; the models take turns in being the slowed ones."""
    models = [DEFAULT_MODELS[(number + index) % len(DEFAULT_MODELS)] for index in range(len(plants))]
    comparisons = tuple(planted(Workload(model=model), slow) for model, slow in zip(models, plants, strict=True))
    plan = Plan(seed=secrets.randbelow(2**32))
    request = Request(comparisons, base="HEAD", plan=plan, exact="off")  # in a worktree, as a check of two revisions
    return run_check(request, Silent(), cache_root() / "gate")


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


if __name__ == "__main__":
    main()
