"""`check --selftest`: what this machine's gate is worth, measured and told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

if TYPE_CHECKING:
    from bench.gate.pairs import Listener
    from bench.gate.result import Comparison
    from bench.gate.rule import Verdict
    from bench.gate.selftest import Rates, Recording

SELFTEST_MODELS = ("vit_32px_s", "resnet_32px_s")


def run_and_describe(
    comparisons: Sequence[Comparison],
    pairs: int,
    turns: int,
    seed: int,
    device: Literal["cpu", "cuda", "mps"],
    threads: int,
    threshold: float,
    results: Path,
    progress: Listener,
) -> None:
    """Record pairs with planted slowdowns, keep them, and print what follows."""
    from bench.gate.selftest import PLANTS_PCT, planted, run_selftest, summarise
    from bench.places import cache_root
    from bench.store.checks import save_check

    plants = [planted(one.base, slowdown) for one in comparisons for slowdown in PLANTS_PCT]
    recording = run_selftest(
        plants,
        pairs,
        turns=turns,
        seed=seed,
        device=device,
        threads=threads,
        listener=progress,
        cache=cache_root() / "gate",
    )
    machine = str(recording.conditions.get("machine", "unknown"))
    kept = save_check(results, recording.model_dump_json(exclude_defaults=True), machine, "selftests")
    typer.echo(f"Every turn is in {kept}.", err=True)
    typer.echo(describe_selftest([recording], summarise([recording], threshold=threshold / 100), threshold))


def describe_selftest(recordings: Sequence[Recording], found: Sequence[Rates], threshold_pct: float) -> str:
    """What a self-test says, as text: shares of verdicts with intervals, errors, and what more time would show."""
    from bench.cli.words import duration, table
    from bench.gate.rule import MAX_LOOKS, PAIRS_PER_LOOK
    from bench.gate.selftest import one_model_pair_s, smallest_caught_pct, values_of

    def share(one: Rates, verdict: Verdict) -> str:
        rate = one.shares[verdict]
        return f"{rate.share:.1%} [{rate.low:.0%}, {rate.high:.0%}]"

    rows = [
        [one.name, f"{one.truth_pct:.2f}", str(one.pairs), share(one, "FAIL"), share(one, "PASS"),
         share(one, "INCONCLUSIVE"), f"{one.error_median_pp:.2f} / {one.error_p95_pp:.2f}", f"{one.spread_pct:.2f}"]
        for one in found
    ]  # fmt: skip
    heads = ["Planted", "True [%]", "Pairs run", "FAIL", "PASS", "INCONCLUSIVE", "Error median / p95 [pp]",
             "Pair SD [%]"]  # fmt: skip
    lines = [
        f"Threshold {threshold_pct:g} %. Shares are of 1,000 verdicts resampled from the pairs that were run; in "
        "brackets the 95 % bounds of as many verdicts as the pairs make without being drawn twice. SD: of a pair.",
        table(heads, rows, right=(1, 2)),
    ]
    values = values_of(recordings)
    pair_s = one_model_pair_s(recordings)
    for one in found:
        if one.truth_pct == 0:
            for pairs in (2 * PAIRS_PER_LOOK, MAX_LOOKS * PAIRS_PER_LOOK):
                caught = smallest_caught_pct(values[one.name], threshold=threshold_pct / 100, max_pairs=pairs)
                words = f"{caught:g} %" if caught is not None else f"none up to {3 * threshold_pct:g} %"
                lines.append(
                    f"{one.name.split(' ')[0]}: smallest slowdown that FAILs in 95 of 100 checks of up to {pairs} "
                    f"pairs, about {duration(pairs * pair_s)}: {words}."
                )
    return "\n".join(lines)
