"""A user's own images, by what `--data NAME=PLACE` says of where they are.

A new format is a module that reads it and a row of FORMATS.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.data.formats.folder import open_folder
from bench.data.formats.idx import open_idx
from bench.data.formats.listing import SUFFIXES, open_listing
from bench.data.formats.shards import is_compressed_tar, open_shards
from bench.data.sets.collection import ImageCollection
from bench.errors import RequestError

HUB_PREFIX, IDX_PREFIX, SHARDS_PREFIX = "hf:", "idx:", "shards:"

_HUB_SPEC = re.compile(
    r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>\w[\w./-]*))?(:(?P<config>[\w.-]+))?(#(?P<splits>.+))?"
)


class Format(NamedTuple):
    """described: how a SPEC of it is written. is_meant: whether a SPEC is of it. open: (data set, SPEC, whether files
    may be fetched) -> the images."""

    described: str
    is_meant: Callable[[str], bool]
    open: Callable[[str, str, bool], ImageCollection]


def open_user(name: str, spec: str, *, download: bool) -> ImageCollection:
    """The images at `spec`, in the parts that they come in; `bench.data.sets.splits` makes missing parts.

    download: whether files of a hub's data set may be fetched.
    Raises RequestError for a place that is none of these or does not exist, DataError for images that cannot be used.
    """
    if spec in ("", IDX_PREFIX, SHARDS_PREFIX):
        raise RequestError(f"Data set {name!r}: {spec!r} names no place. {_EXPECTED}")
    for form in reversed(FORMATS):
        if form.is_meant(spec):
            return form.open(name, spec, download)
    wrong = "is no kind of data set that can be read" if _path(spec).exists() else "does not exist"
    raise RequestError(f"Data set {name!r}: '{spec}' {wrong}. {_EXPECTED}")


def parse_data_option(option: str) -> tuple[str, str]:
    """`NAME=PLACE` -> (name, spec). Raises RequestError for anything else."""
    name, separator, spec = option.partition("=")
    if not (separator and name.isidentifier() and spec.strip()):
        raise RequestError(
            f"--data {option!r} is not NAME=PLACE, with letters, digits and '_' in the name. {_EXPECTED}"
        )
    return name, spec.strip()


def _path(spec: str) -> Path:
    return Path(spec).expanduser()


def _are_shards(spec: str) -> bool:
    return (
        spec.startswith(SHARDS_PREFIX)
        or is_compressed_tar(spec)
        or (spec.endswith(".tar") and not _path(spec).is_dir())
    )


def _open_shards(name: str, spec: str, download: bool) -> ImageCollection:
    place = spec.removeprefix(SHARDS_PREFIX)
    if is_compressed_tar(place):
        raise RequestError(
            f"Data set {name!r}: '{place}' is compressed, so single images cannot be reached. Unpack it to a .tar file."
        )
    return open_shards(name, place)


def _open_hub(name: str, spec: str, download: bool) -> ImageCollection:
    found = _HUB_SPEC.fullmatch(spec.removeprefix(HUB_PREFIX))
    if found is None:
        raise RequestError(f"Data set {name!r}: {spec!r} is not hf:owner/name[@revision][:config][#split+split].")
    from bench.data.formats.hub import open_hub

    return open_hub(
        name,
        found["repo"],
        revision=found["revision"],
        config=found["config"] or "",
        splits=found["splits"].split("+") if found["splits"] else (),
        download=download,
    )


FORMATS = (  # the last of those that are meant counts
    Format("a folder", lambda spec: _path(spec).is_dir(), lambda name, spec, _: open_folder(name, _path(spec))),
    Format(
        "a list (.csv or .parquet)",
        lambda spec: _path(spec).suffix.lower() in SUFFIXES and _path(spec).exists() and not _path(spec).is_dir(),
        lambda name, spec, _: open_listing(name, _path(spec)),
    ),
    Format("tar shards (shards:FOLDER, shards:PATH/{0000..0009}.tar)", _are_shards, _open_shards),
    Format(
        "idx:FOLDER[#SET]",
        lambda spec: spec.startswith(IDX_PREFIX),
        lambda name, spec, _: open_idx(name, spec.removeprefix(IDX_PREFIX)),
    ),
    Format("hf:owner/name[@revision][:config][#split+split]", lambda spec: spec.startswith(HUB_PREFIX), _open_hub),
)
_EXPECTED = f"Expected {', '.join(form.described for form in FORMATS[:-1])} or {FORMATS[-1].described}."
