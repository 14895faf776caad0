"""What is stored, for the commands that read results: the suites that were asked for, or all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from bench.analyse.study import Study
    from bench.store.suites import StoredSuite


def wanted_suites(roots: Sequence[Path], suites: Sequence[str] | None, shipped: bool) -> list[StoredSuite]:
    """The named suites with their records, all stored ones by default; warns of what was passed over.

    Raises RequestError where nothing is stored, UnknownNameError for a suite without records.
    """
    from bench.errors import RequestError, UnknownNameError
    from bench.store.files import stored_suites
    from bench.store.suites import read_suite

    known = sorted({name for root in roots for name in stored_suites(root, local=not shipped)})
    if not known:
        raise RequestError(
            f"No results under {', '.join(repr(str(root)) for root in roots)}. `vitbench run pocket` makes some; "
            "`--shipped` reads the committed results."
        )
    for name in suites or ():
        if name not in known:
            raise UnknownNameError("suite", name, known, where="the results")
    found = [read_suite(roots, name, local=not shipped) for name in dict.fromkeys(suites or known)]
    for stored in found:
        for warning in stored.warnings:
            typer.echo(f"Warning: {warning}", err=True)
    return found


def studied_suites(roots: Sequence[Path], shipped: bool, made: Mapping[str, Study] | None = None) -> list[Study]:
    """Every stored suite with records, analysed, by name; none where nothing is stored. made: those that exist."""
    from bench.analyse.study import study
    from bench.store.files import stored_suites
    from bench.store.suites import read_suite

    found = []
    for name in sorted({name for root in roots for name in stored_suites(root, local=not shipped)}):
        if made is not None and name in made:
            found.append(made[name])
            continue
        stored = read_suite(roots, name, local=not shipped)
        for warning in stored.warnings:
            typer.echo(f"Warning: {warning}", err=True)
        if stored.records:
            found.append(study(name, stored.records, stored.predictions))
    return found


def meant_dataset(dataset: str, names: Collection[str]) -> str:
    """The data set of this name or title among those that have results. Raises UnknownNameError."""
    from bench.catalog.identity import identify_dataset
    from bench.errors import UnknownNameError

    meant = [name for name in sorted(names) if dataset in (name, identify_dataset(name).title)]
    if not meant:
        raise UnknownNameError("data set", dataset, sorted(names), where="the results")
    return meant[0]
