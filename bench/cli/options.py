"""Arguments and options that several commands share, and what `--data` says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from bench.suite.spec import Request

DeviceChoice = Literal["auto", "cpu", "cuda", "mps"]

SuiteArgument = Annotated[
    list[str], typer.Argument(metavar="SUITE...", help="Names that ship, or paths to .toml files.")
]
DeviceOption = Annotated[DeviceChoice, typer.Option(help="Where models run; auto takes the best there is.")]
ResultsOption = Annotated[Path, typer.Option(help="Folder of the results.", file_okay=False)]
DataOption = Annotated[
    list[str],
    typer.Option(
        "--data",
        metavar="NAME=PLACE",
        help="Where the images of NAME are: a folder, a list (.csv, .parquet), tar shards, idx:FOLDER, or "
        "hf:owner/name. A name that is in no catalog is a set of your own, and joins the suite's (repeatable).",
    ),
]
DownloadOption = Annotated[bool, typer.Option("--download", help="Fetch data sets and weights that are not here.")]
CountsOption = Annotated[bool, typer.Option("--counts", help="Nothing but the counts that a suite plans on request.")]
CheckEstimatesOption = Annotated[
    bool, typer.Option("--check-estimates", help="Nothing but the timings that a suite checks its estimates by.")
]
ShippedOption = Annotated[
    bool, typer.Option("--shipped", help="The project's committed results instead of your own under `local/`.")
]


def request_of(counts: bool, check_estimates: bool) -> Request:
    """Which blocks of suites are meant. Raises RequestError for both options."""
    from bench.errors import RequestError

    if counts and check_estimates:
        raise RequestError("--counts and --check-estimates exclude one another.")
    return "with --counts" if counts else "with --check-estimates" if check_estimates else "by default"


def named_data(options: list[str]) -> dict[str, str]:
    """`NAME=PLACE` options -> name: place. Raises RequestError for a name that is taken."""
    from bench.catalog.datasets import dataset_rows
    from bench.data.formats.formats import parse_data_option
    from bench.errors import RequestError

    data: dict[str, str] = {}
    for option in options:
        name, place = parse_data_option(option)
        if name in data or name in dataset_rows():
            raise RequestError(f"--data {name}: there is a data set of that name already. Choose another name.")
        data[name] = place
    return data
