"""`adopt`: what the records of a suite settle goes into the catalog, where other suites and reports read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import ResultsOption, ShippedOption


def adopt(
    suite: Annotated[str, typer.Argument(help="tune (learning rates) or public (counts).")] = "tune",
    results: ResultsOption = Path("results"),
    shipped: ShippedOption = False,
) -> None:
    """Take what a suite found into the catalog: learning rates of the sweep `tune`, or the counts of `public`."""
    from bench.errors import UnknownNameError
    from bench.store.files import suite_folder

    if suite not in _ADOPTED:
        raise UnknownNameError("suite to adopt from", suite, _ADOPTED)
    _ADOPTED[suite](suite_folder(results, suite, local=not shipped))


def _adopt_rates(folder: Path) -> None:
    from bench.analyse.accuracies.sweep import choose_rates
    from bench.catalog.tuned import tuned_path, tuned_rates, write_tuned_rates
    from bench.cli.words import table
    from bench.store.files import read_records
    from bench.suite.spec import load_suite

    rates = choose_rates(read_records(folder).records, load_suite("tune"))
    known = tuned_rates() | {(rate.model, rate.budget_gflop): rate for rate in rates}
    write_tuned_rates(known.values(), tuned_path())
    rows = [
        [
            rate.model,
            f"{rate.budget_gflop:g}",
            f"{rate.learning_rate:g}",
            "" if rate.weight_decay is None else f"{rate.weight_decay:g}",
            f"{rate.validation_top1_pct:.1f}",
            str(rate.seeds),
            str(rate.trials),
        ]
        for rate in rates
    ]
    header = ["Model", "Budget [GFLOP]", "Learning rate", "Weight decay", "Validation top-1 [%]", "Seeds", "Trials"]
    typer.echo(table(header, rows, right=(1, 2, 3, 4, 5, 6)))


def _adopt_counts(folder: Path) -> None:
    """Those of the installed versions, which alone can all be alike."""
    from bench.analyse.counts import counts_of
    from bench.catalog.public_counts import COUNTED_WITH, public_counts_path, write_public_counts
    from bench.execute.environment import version_of
    from bench.store.files import read_records

    versions = {package: version_of(package) or "absent" for package in COUNTED_WITH}
    counts = counts_of(read_records(folder).records, versions)
    write_public_counts(counts, versions, public_counts_path())
    doubtful = [count for count in counts if count.certificate != "ok"]
    typer.echo(f"{len(counts)} counts, {len(doubtful)} of them without a certificate.")
    for count in doubtful:
        typer.echo(f"{count.model} at {count.img_size} px: {count.certificate}, {count.certificate_note}")


_ADOPTED: Mapping[str, Callable[[Path], None]] = {"tune": _adopt_rates, "public": _adopt_counts}
