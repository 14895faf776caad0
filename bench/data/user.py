"""A user's own images, by what `--data NAME=SPEC` says of where they are.

PATH                            a folder, see `bench.data.folder`
PATH.csv, PATH.parquet          a list, see `bench.data.listing`
shards:FOLDER, shards:PATH/{0000..0009}.tar, PATH.tar
                                tar shards, see `bench.data.shards`
hf:owner/name[@revision][:config][#split+split]
                                a data set of the Hugging Face hub, see `bench.data.hub`
"""

from __future__ import annotations

import re
from pathlib import Path

from bench.data.collection import ImageCollection
from bench.data.folder import open_folder
from bench.data.listing import SUFFIXES, open_listing
from bench.data.shards import is_compressed_tar, open_shards
from bench.errors import RequestError

HUB_PREFIX, SHARDS_PREFIX = "hf:", "shards:"

_HUB_SPEC = re.compile(
    r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>\w[\w./-]*))?(:(?P<config>[\w.-]+))?(#(?P<splits>.+))?"
)
_KINDS = (
    "Expected a folder, a list (.csv or .parquet), tar shards (shards:FOLDER, shards:PATH/{0000..0009}.tar) or "
    "hf:owner/name[@revision][:config][#split+split]."
)


def open_user(name: str, spec: str, *, download: bool) -> ImageCollection:
    """The images at `spec`, in the parts that they come in; `bench.data.splits` makes missing parts.

    download: whether files of a hub's data set may be fetched.
    Raises RequestError for a place that is none of these or does not exist, DataError for images that cannot be used.
    """
    if spec.startswith(HUB_PREFIX):
        return _open_hub(name, spec, download=download)
    place = spec.removeprefix(SHARDS_PREFIX)
    if not place:
        raise RequestError(f"Data set {name!r}: {spec!r} names no place. {_KINDS}")
    if is_compressed_tar(place):
        raise RequestError(
            f"Data set {name!r}: '{place}' is compressed, so single images cannot be reached. Unpack it to a .tar file."
        )
    if spec.startswith(SHARDS_PREFIX) or (spec.endswith(".tar") and not Path(spec).expanduser().is_dir()):
        return open_shards(name, place)
    path = Path(spec).expanduser()
    if path.is_dir():
        return open_folder(name, path)
    if not path.exists():
        raise RequestError(f"Data set {name!r}: '{spec}' does not exist. {_KINDS}")
    if path.suffix.lower() in SUFFIXES:
        return open_listing(name, path)
    raise RequestError(f"Data set {name!r}: '{spec}' is no kind of data set that can be read. {_KINDS}")


def parse_data_option(option: str) -> tuple[str, str]:
    """`NAME=SPEC` -> (name, spec). Raises RequestError for anything else."""
    name, separator, spec = option.partition("=")
    if not (separator and name.isidentifier() and spec.strip()):
        raise RequestError(f"--data {option!r} is not NAME=SPEC, with letters, digits and '_' in the name. {_KINDS}")
    return name, spec.strip()


def _open_hub(name: str, spec: str, *, download: bool) -> ImageCollection:
    found = _HUB_SPEC.fullmatch(spec.removeprefix(HUB_PREFIX))
    if found is None:
        raise RequestError(f"Data set {name!r}: {spec!r} is not hf:owner/name[@revision][:config][#split+split].")
    from bench.data.hub import open_hub

    return open_hub(
        name,
        found["repo"],
        revision=found["revision"],
        config=found["config"] or "",
        splits=found["splits"].split("+") if found["splits"] else (),
        download=download,
    )
