"""`data check`, a look at every image of a data set before anything is run on it; `data show`, a sheet of some."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.processes import usable_cores

if TYPE_CHECKING:
    from bench.data.preflight.contact_sheet import Sheet
    from bench.data.sets.collection import ImageCollection
    from bench.store.preflights import Duplicates, Preflight

EXIT_UNUSABLE = 1
SHOWN_PX = 96  # side of a tile of images that have many sizes
_SHOWN = 10  # examples of a finding on the terminal; --json has more

data_app = typer.Typer(help="Look at data sets before they are used.", no_args_is_help=True)


@data_app.callback()
def _data() -> None:
    """Look at data sets before they are used."""


@data_app.command()
def check(
    spec: Annotated[
        str,
        typer.Argument(
            metavar="SPEC",
            help="A folder, a list (.csv, .parquet), tar shards, idx:FOLDER, hf:owner/name[@revision], a catalogued "
            "name, or NAME=PLACE for either.",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Processes that decode images; as many as cores by default.")
    ] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch files that are not here.")] = False,
) -> None:
    """Decode every image once and report broken, odd, doubled and missing ones.

    Exit codes: 0 usable, 1 more than 1 % of the images cannot be decoded, 2 the request was wrong.
    """
    from bench.cli.progress import LookProgress
    from bench.data.preflight.preflight import check_images

    collection = open_collection(spec, download)
    progress = LookProgress(quiet=as_json)
    try:
        found = check_images(collection, processes=processes or usable_cores(), progress=progress)
    finally:
        progress.close()
    if as_json:
        typer.echo(json.dumps({"dataset": collection.name} | found.as_values(), indent=2))
    else:
        typer.echo("\n".join(describe(collection.name, found)))
    if not found.is_usable:
        raise typer.Exit(EXIT_UNUSABLE)


@data_app.command()
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
    from bench.data.preflight.contact_sheet import draw_sheet
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


def describe(name: str, found: Preflight) -> Iterator[str]:
    """The findings as lines for a terminal: what there is, what is wrong, and whether it can be used."""
    from bench.store.preflights import MOST_BAD_SHARE, TINY_CLASS

    parts = ", ".join(f"{part} {images:,}" for part, images in found.parts.items())
    yield f"{name}: {found.images:,} images ({parts}), {found.class_names:,} classes"
    if found.width_px:
        yield f"Size: {_range(found.width_px)} px wide, {_range(found.height_px)} px high"
    yield f"Formats: {_counts(found.formats) or 'pixel arrays'}"
    yield f"Converted: {_counts(found.converted) or 'none'}"
    yield f"Looked at in {found.seconds:.1f} s, {found.img_per_s:.0f} images/s in {found.processes} processes"
    yield from (f"Note: {note}" for note in found.notes)
    yield ""
    if found.bad:
        yield f"{len(found.bad):,} images ({float(f'{100 * found.bad_share:.2g}'):g} %) cannot be decoded:"
        yield from _some([f"{bad.key} in {bad.part}: {bad.reason}" for bad in found.bad], len(found.bad))
    if found.wrong_extension.count:
        yield f"{found.wrong_extension.count:,} images are not what their extension says (read all the same):"
        yield from _some(found.wrong_extension.keys, found.wrong_extension.count)
    for part, names in found.classes_missing.items():
        yield f"{len(names):,} classes have no image in {part}:"
        yield from _some(names, len(names))
    if found.tiny_classes:
        yield f"{len(found.tiny_classes):,} classes of a part have fewer than {TINY_CLASS} images:"
        lines = [f"{tiny['class_name']} in {tiny['part']}: {tiny['images']}" for tiny in found.tiny_classes]
        yield from _some(lines, len(lines))
    yield from _duplicates("the same file", found.exact_duplicates)
    yield from _duplicates("nearly the same picture", found.near_duplicates)
    if found.missing_parts:
        how = (
            "They are split off train, always the same way" if "train" in found.parts else "No part can be made of them"
        )
        yield f"Missing parts: {', '.join(found.missing_parts)}. {how}."
    if not found.is_usable:
        yield f"NOT USABLE: more than {100 * MOST_BAD_SHARE:g} % of the images cannot be decoded."
    elif found.bad:
        yield "Usable: the images that cannot be decoded are left out, and named in the report."
    else:
        yield "Usable: every image can be decoded."


def _duplicates(what: str, twins: Duplicates) -> Iterator[str]:
    if not twins.count:
        return
    least = "" if twins.complete else "at least "
    notes = [f"{twins.across_parts:,} across parts"] if twins.across_parts else []
    notes += [f"{twins.labels_differ:,} with different labels"] if twins.labels_differ else []
    yield f"{least}{twins.count:,} groups of {twins.images:,} images are {what}" + (
        f" ({', '.join(notes)}):" if notes else ":"
    )
    yield from _some([" = ".join(group["keys"][:4]) for group in twins.groups], twins.count)


def _some(lines: Sequence[str], count: int) -> Iterator[str]:
    for line in lines[:_SHOWN]:
        yield f"  {_printable(line)}"
    if count > _SHOWN:
        yield f"  and {count - min(_SHOWN, len(lines)):,} more; --json lists them"


def _printable(text: str) -> str:
    """Without the control characters that a file name may hold: they would act on the terminal."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda found: repr(found[0])[1:-1], text)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {images:,}" for name, images in counts.items())


def _range(sides: Mapping[str, float]) -> str:
    return f"{sides['min']:.0f} to {sides['max']:.0f} (median {sides['p50']:.0f})"


def open_collection(spec: str, download: bool) -> ImageCollection:
    """The collection that the argument stands for; its name is the catalogued one, the given one or the place's."""
    from bench.catalog.image_tasks import image_tasks
    from bench.data.formats.formats import open_user, parse_data_option
    from bench.data.public.catalogued import open_catalogued
    from bench.places import data_root

    place: str | None
    if spec in image_tasks():
        name, place = spec, None
    elif re.match(r"[^\W\d]\w*=", spec) and not os.path.exists(spec):
        name, place = parse_data_option(spec)
    else:
        stem = os.path.basename(os.path.abspath(spec)).partition(".")[0]
        return open_user(re.sub(r"\W+", "_", stem) or "data", spec, download=download)
    if place is None or name in image_tasks():
        return open_catalogued(name, root=data_root(), spec=place, download=download)
    return open_user(name, place, download=download)


def _sheet(spec: str, resolution: int | None, classes: int, columns: int, download: bool) -> tuple[Sheet, str]:
    """The images, and the set's name as a file can have it."""
    from bench.data.generated.corpora import CORPUS_PX, find_corpus, is_corpus
    from bench.data.preflight.contact_sheet import sheet_of_corpus, sheet_of_images
    from bench.data.sets.open import is_embedded, open_images
    from bench.places import data_root

    if is_corpus(spec) or (re.fullmatch(r"[a-z]+-\d+", spec) and not Path(spec).exists()):  # a misspelt one says so
        return sheet_of_corpus(find_corpus(spec, resolution or CORPUS_PX[0]), classes, columns), spec
    if is_embedded(spec):
        found, side = open_images(spec, data={}, root=data_root(), download=download), resolution or 32
    else:
        found, side = open_collection(spec, download), resolution or SHOWN_PX
    part = found.part("train" if "train" in found.parts else next(iter(found.parts)))
    return sheet_of_images(part, found.class_names, classes, columns, side), found.name
