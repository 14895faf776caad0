"""`export`: the stored records as one table, for pandas, R or a spreadsheet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bench.cli.options import ShippedOption


def export(
    suite: Annotated[
        list[str] | None, typer.Argument(metavar="[SUITE]...", help="Suites to take; all stored ones by default.")
    ] = None,
    format_: Annotated[Literal["csv", "parquet"], typer.Option("--format", help="What is written.")] = "csv",
    results: Annotated[list[Path] | None, typer.Option("--results", help="Folder of results (repeatable).")] = None,
    shipped: ShippedOption = False,
    out: Annotated[Path | None, typer.Option(help="File to write; standard output by default.")] = None,
) -> None:
    """Write every stored record as a row of one table, with units in the names of its columns.

    The same table in Python: `bench.load_records("results")`. What each column holds: docs/records.md.
    """
    from bench.cli.stored import wanted_suites
    from bench.errors import RequestError
    from bench.store.frame import tidy_frame
    from bench.whole_files import replacing

    if format_ == "parquet" and out is None:
        raise RequestError("Parquet is no text: say which file to write with --out FILE.")
    stored = wanted_suites(results or [Path("results")], suite, shipped)
    frame = tidy_frame(record for one in stored for record in one.records)
    if out is None:
        typer.echo(frame.to_csv(index=False), nl=False)
        return
    with replacing(out) as temporary:
        if format_ == "csv":
            frame.to_csv(temporary, index=False)
        else:
            frame.to_parquet(temporary, index=False)
    typer.echo(f"{len(frame)} records written to {out}.", err=True)
