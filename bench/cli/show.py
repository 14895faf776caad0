"""`data show`: a contact sheet of a data set or of a generated corpus."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bench.data.contact_sheet import Sheet

SHOWN_PX = 96  # side of a tile of images that have many sizes


def show(
    spec: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="An embedded or catalogued set, a generated corpus (fractals-1000, rings-64, mix-128), or a place as "
            "for `data check`.",
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="The PNG to write. [default: NAME.png]", dir_okay=False)] = None,
    resolution: Annotated[
        int | None, typer.Option(min=8, help="Side in pixels at which a corpus is drawn (32), or others are shown.")
    ] = None,
    classes: Annotated[int, typer.Option(min=1, max=200, help="Classes, from the first on.")] = 20,
    columns: Annotated[int, typer.Option(min=1, max=64, help="Images of each class.")] = 12,
    download: Annotated[bool, typer.Option("--download", help="Fetch files that are not here.")] = False,
) -> None:
    """Write a contact sheet: a row for each class, some images in it."""
    from bench.data.contact_sheet import draw_sheet
    from bench.errors import DataError, StoreError

    sheet, name = _sheet(spec, resolution, classes, columns, download)
    if not any(sheet.rows):
        raise DataError(f"Data set '{name}' has no training images to show.")
    file = out or Path(f"{name}.png")
    drawn = draw_sheet(sheet)
    try:
        drawn.save(file, format="PNG", optimize=True)
    except OSError as error:
        raise StoreError(f"Contact sheet '{file}' cannot be written: {error.strerror or error}.") from None
    images = sum(len(row) for row in sheet.rows)
    typer.echo(f"{file}: {images} images of {len(sheet.rows)} classes of {name}, {drawn.width} x {drawn.height} px")


def _sheet(spec: str, resolution: int | None, classes: int, columns: int, download: bool) -> tuple[Sheet, str]:
    """The images, and the set's name as a file can have it."""
    from bench.cli.data import open_collection
    from bench.data.contact_sheet import sheet_of_corpus, sheet_of_images
    from bench.data.corpora import CORPUS_PX, find_corpus, is_corpus
    from bench.data.open import is_embedded, open_images
    from bench.places import data_root

    if is_corpus(spec) or (re.fullmatch(r"[a-z]+-\d+", spec) and not Path(spec).exists()):  # a misspelt one says so
        return sheet_of_corpus(find_corpus(spec, resolution or CORPUS_PX[0]), classes, columns), spec
    if is_embedded(spec):
        found, side = open_images(spec, data={}, root=data_root(), download=download), resolution or 32
    else:
        found, side = open_collection(spec, download), resolution or SHOWN_PX
    part = found.part("train" if "train" in found.parts else next(iter(found.parts)))
    return sheet_of_images(part, found.class_names, classes, columns, side), found.name
