"""Data sets of the Hugging Face hub that are parquet files: fetched at a pinned revision, checked, read in place.

Files go to huggingface_hub's own cache. What a revision consists of is remembered in ours, because the hub's client
takes half a download for a whole one and compares no hashes. HF_ENDPOINT and HF_HUB_CACHE are read when a set is
opened, not when the client is imported.
"""

from __future__ import annotations

import bisect
import functools
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.class_labels import few, number_classes
from bench.data.collection import ImageCollection, LabelledImages, PartName
from bench.data.fingerprints import stamp_of_files
from bench.errors import AbsentDataError, DataError, RequestError
from bench.places import cache_root

LABEL_NAMES = ("label", "labels", "fine_label", "target", "class")
IMAGE_NAMES = ("image", "img")
LabelRule = Callable[[NDArray[np.int64]], NDArray[np.int64]]

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_SPLIT = re.compile(r"(train(?:ing)?|val(?:id(?:ation)?)?|dev|test(?:ing)?)(?![a-z])", re.IGNORECASE)
_PARTS: Mapping[str, PartName] = {"tr": "train", "va": "validation", "de": "validation", "te": "test"}


@dataclass(frozen=True)
class StoredFile:
    """A file of a revision. sha256: of a large file; a small one has the hash of its git blob instead."""

    path: str
    size: int
    sha256: str | None
    blob: str


@dataclass(frozen=True)
class ParquetImages:
    """A reader of a column of encoded images, bytes or {bytes, path}, over several parquet files."""

    files: tuple[str, ...]
    ends: tuple[int, ...]  # images up to and with each file
    column: str

    def __len__(self) -> int:
        return self.ends[-1]

    def stamp(self) -> str:
        """What changes when a file does; see bench/data/fingerprints.py."""
        return f"{self.column}\t{stamp_of_files('', self.files)}"

    def read(self, index: int) -> bytes:
        at = bisect.bisect_right(self.ends, index)
        file, row = self.files[at], index - (self.ends[at - 1] if at else 0)
        group_ends = _group_ends(file)
        group = bisect.bisect_right(group_ends, row)
        try:
            stored = _row_group(file, group, self.column)[row - (group_ends[group - 1] if group else 0)].as_py()
        except (OSError, ValueError) as error:  # pyarrow's errors are these
            raise DataError(f"Row {row} of '{file}' cannot be read: {str(error)[:200]}.") from None
        encoded = stored.get("bytes") if isinstance(stored, dict) else stored
        if not isinstance(encoded, bytes):
            raise DataError(f"Row {row} of '{file}' has no image in column {self.column!r}, only {str(stored)[:80]!r}.")
        return encoded


def open_hub(
    name: str,
    repo_id: str,
    *,
    revision: str | None,
    download: bool,
    image_column: str = "",
    label_column: str = "",
    label_rule: LabelRule | None = None,
    num_classes: int | None = None,
    config: str = "",
) -> ImageCollection:
    """The parts of a parquet data set at one revision, classes as its card names them.

    revision: 40 hexadecimal digits, or None for the newest one, which is resolved only if `download`, and noted.
    image_column, label_column: empty for the only ones that can be meant. label_rule, num_classes: for a label that is
    worked out from the column; the classes are then named 0, 1, ... config: the folder of one of several
    configurations; empty where there is one.
    Raises RequestError for a name, revision or column that is not one, AbsentDataError for a revision that is not here,
    DataError for a download that fails or is not what the hub says, and for files that are no labelled images.
    """
    if not _REPOSITORY.fullmatch(repo_id):
        raise RequestError(f"Data set {name!r}: 'hf:{repo_id}' is not hf:owner/name[@revision].")
    if revision and not _COMMIT.fullmatch(revision):
        raise RequestError(
            f"Data set {name!r}: revision {revision!r} of hf:{repo_id} is not a commit of 40 hexadecimal digits. A "
            "branch or tag can move; the page 'Files and versions' of the data set shows its commits."
        )
    notes: tuple[str, ...] = ()
    if not revision:
        revision = _newest(name, repo_id, download)
        notes = (f"No revision of hf:{repo_id} was given; {revision} was the newest.",)
    manifest = _manifest_file(repo_id, revision)
    if not manifest.exists():
        if not download:
            raise AbsentDataError(
                f"Data set {name!r}: hf:{repo_id}@{revision} is not on this machine. Add --download to fetch it."
            )
        _fetch(name, repo_id, revision, manifest)
    paths = _local_paths(name, repo_id, revision, manifest, download)
    collection = _read(name, _of_config(name, paths, config), image_column, label_column, label_rule, num_classes)
    return collection.noted(*notes)


def is_fetched(repo_id: str, revision: str) -> bool:
    """Whether this revision has been fetched to its end."""
    return bool(revision) and _manifest_file(repo_id, revision).exists()


def part_of_path(path: str) -> tuple[PartName, str] | None:
    """The part that a file's path names (`data/train-00000-of-00002.parquet`), and the folders before it; or None."""
    steps = path.split("/")
    for i in reversed(range(len(steps))):
        if match := _SPLIT.match(steps[i]):
            return _PARTS[match[1][:2].lower()], "/".join(steps[:i])
    return None


def _manifest_file(repo_id: str, revision: str) -> Path:
    return cache_root() / "hub" / f"{repo_id.replace('/', '--')}@{revision}.json"


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def _cache() -> str | None:
    return os.environ.get("HF_HUB_CACHE") or None


def _newest(name: str, repo_id: str, download: bool) -> str:
    """The commit that the hub calls main, or without asking it, the one fetched last."""
    if download:
        from huggingface_hub import HfApi

        with _explained(name, repo_id):
            found = HfApi(endpoint=_endpoint()).dataset_info(repo_id)
        return str(found.sha)
    fetched = sorted(
        (cache_root() / "hub").glob(f"{repo_id.replace('/', '--')}@*.json"), key=lambda file: file.stat().st_mtime
    )
    if not fetched:
        raise AbsentDataError(f"Data set {name!r}: hf:{repo_id} is not on this machine. Add --download to fetch it.")
    return fetched[-1].stem.rpartition("@")[2]


def _fetch(name: str, repo_id: str, revision: str, manifest: Path) -> None:
    """Fetches every parquet file of the revision, checks sizes and hashes, and then writes down what there is."""
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.hf_api import RepoFile

    with _explained(name, repo_id, revision):
        tree = HfApi(endpoint=_endpoint()).list_repo_tree(
            repo_id, repo_type="dataset", revision=revision, recursive=True
        )
        files = [
            StoredFile(entry.path, entry.size, entry.lfs.sha256 if entry.lfs else None, entry.blob_id)
            for entry in tree
            if isinstance(entry, RepoFile) and entry.path.endswith(".parquet")
        ]
    if not files:
        raise DataError(
            f"Data set {name!r}: hf:{repo_id}@{revision} has no parquet files. Fetch it by hand and give its folder: "
            f"--data {name}=PATH."
        )
    for file in files:
        with _explained(name, repo_id, revision):
            local = Path(
                hf_hub_download(
                    repo_id,
                    file.path,
                    repo_type="dataset",
                    revision=revision,
                    endpoint=_endpoint(),
                    cache_dir=_cache(),
                )
            )
        _check_hash(name, repo_id, file, local)
    manifest.parent.mkdir(parents=True, exist_ok=True)
    temporary = manifest.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps([file.__dict__ for file in files], indent=1), encoding="utf-8")
    os.replace(temporary, manifest)


def _check_hash(name: str, repo_id: str, file: StoredFile, local: Path) -> None:
    """Raises DataError, and removes the file, unless its content is what the hub says it is."""
    if file.sha256 is not None:
        digest, expected = hashlib.sha256(), file.sha256
    else:
        digest, expected = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False), file.blob
    with open(local, "rb") as content:
        while piece := content.read(1 << 20):
            digest.update(piece)
    if digest.hexdigest() != expected:
        local.resolve().unlink(missing_ok=True)  # the cache's blob, which a second try would take for good
        local.unlink(missing_ok=True)
        raise DataError(
            f"Data set {name!r}: '{file.path}' of hf:{repo_id} came with the hash {digest.hexdigest()[:16]}..., the "
            f"hub says {expected[:16]}.... It was removed; try again."
        )


def _local_paths(name: str, repo_id: str, revision: str, manifest: Path, download: bool) -> dict[str, str]:
    """Path in the repository -> file here. A file that is gone from the hub's cache is fetched again if `download`."""
    from huggingface_hub import try_to_load_from_cache

    def found() -> tuple[dict[str, str], list[str]]:
        here, gone = {}, []
        for file in [StoredFile(**fields) for fields in json.loads(manifest.read_text(encoding="utf-8"))]:
            local = try_to_load_from_cache(
                repo_id, file.path, cache_dir=_cache(), revision=revision, repo_type="dataset"
            )
            if isinstance(local, str) and os.path.isfile(local) and os.path.getsize(local) == file.size:
                here[file.path] = local
            else:
                gone.append(file.path)
        return here, gone

    here, gone = found()
    if gone and download:
        _fetch(name, repo_id, revision, manifest)
        here, gone = found()
    if gone:
        raise AbsentDataError(
            f"Data set {name!r}: {few(gone)} of hf:{repo_id}@{revision} is gone from the cache or not whole. Add "
            "--download to fetch it."
        )
    return here


def _read(
    name: str,
    paths: Mapping[str, str],
    image_column: str,
    label_column: str,
    label_rule: LabelRule | None,
    num_classes: int | None,
) -> ImageCollection:
    import pyarrow.parquet as pq

    grouped, notes = _by_part(name, paths)
    try:
        schema = pq.read_schema(next(iter(grouped.values()))[0])
        image = image_column or _image_column(name, schema)
        label = label_column or _label_column(name, schema, image)
        for column in (image, label):
            if column not in schema.names:
                raise RequestError(f"Data set {name!r} has no column {column!r}; it has {few(schema.names, 12)}.")
        readers = {part: _reader(files, image) for part, files in grouped.items()}
        keys = {part: _keys(part, files, image, len(readers[part])) for part, files in grouped.items()}
        values = {part: _column(files, label) for part, files in grouped.items()}
    except (OSError, ValueError, LookupError, TypeError) as error:  # pyarrow's errors are these
        raise DataError(f"Data set {name!r}: its parquet files cannot be read: {str(error)[:200]}.") from None
    names, labels, label_notes = _number(name, values, _class_names(schema, label), label_rule, num_classes)
    parts = {part: LabelledImages(readers[part], labels[part], keys[part]) for part in labels}
    return ImageCollection(name, names, parts, (*notes, *label_notes))


def _of_config(name: str, paths: Mapping[str, str], config: str) -> Mapping[str, str]:
    """The files of one configuration: those in its folder, at whatever depth. All of them without a name."""
    if not config:
        return paths
    found = {path: file for path, file in paths.items() if config in path.split("/")[:-1]}
    if not found:
        known = sorted({path.rpartition("/")[0] for path in paths})
        raise RequestError(f"Data set {name!r} has no configuration {config!r}; its files lie in {few(known)}.")
    return found


def _by_part(name: str, paths: Mapping[str, str]) -> tuple[dict[PartName, list[str]], tuple[str, ...]]:
    """Local files of each part, in the order of their paths; all are train if no path names a part."""
    grouped: dict[PartName, list[str]] = {}
    configurations, others = set(), []
    for path in sorted(paths):
        if named := part_of_path(path):
            grouped.setdefault(named[0], []).append(paths[path])
            configurations.add(named[1])
        else:
            others.append(path)
    if len(configurations) > 1:
        raise DataError(
            f"Data set {name!r} has several configurations: {few(sorted(configurations))}. Name one: "
            "hf:owner/name@REVISION:CONFIGURATION."
        )
    if not grouped:
        return {"train": [paths[path] for path in others]}, ()
    return grouped, (f"Files that are of no part were left out: {few(others)}.",) if others else ()


def _image_column(name: str, schema: Any) -> str:
    import pyarrow as pa

    found = [
        column.name
        for column in schema
        if pa.types.is_binary(column.type)
        or pa.types.is_large_binary(column.type)
        or (pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0)
    ]
    return _one_of(name, "of images", found, IMAGE_NAMES, schema)


def _label_column(name: str, schema: Any, image: str) -> str:
    import pyarrow as pa

    found = [
        column.name
        for column in schema
        if column.name != image
        and (pa.types.is_integer(column.type) or pa.types.is_boolean(column.type) or _is_text(column.type))
    ]
    return _one_of(name, "of labels", found, LABEL_NAMES, schema)


def _one_of(name: str, what: str, found: Sequence[str], preferred: Sequence[str], schema: Any) -> str:
    named = [column for column in preferred if column in found]
    if named:
        return named[0]
    if len(found) == 1:
        return found[0]
    raise RequestError(
        f"Data set {name!r} has {len(found)} columns that could be {what}; its columns are {few(schema.names, 12)}. "
        f"Expected one, or one called {preferred[0]!r}."
    )


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _class_names(schema: Any, label: str) -> tuple[str, ...]:
    """The names of the classes in the metadata that the hub's library writes; () if there are none."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(str(one) for one in features[label]["names"])
    except (ValueError, LookupError, TypeError):
        return ()


def _number(
    name: str,
    values: Mapping[PartName, list[Any]],
    card_names: tuple[str, ...],
    rule: LabelRule | None,
    num_classes: int | None,
) -> tuple[tuple[str, ...], dict[PartName, NDArray[np.int64]], tuple[str, ...]]:
    """Class names, labels of each part, and notes."""
    for part, found in values.items():
        if None in found:
            raise DataError(f"Data set {name!r}: row {found.index(None)} of '{part}' has no label.")
    first = next((value for found in values.values() for value in found), None)
    if first is None:
        raise DataError(f"Data set {name!r}: its parquet files hold no rows.")
    unlabelled = [part for part, found in values.items() if isinstance(first, int) and set(found) == {-1}]
    notes = tuple(f"Part '{part}' has no labels (-1) and was left out." for part in unlabelled)
    kept = {part: found for part, found in values.items() if part not in unlabelled}
    if not kept:
        raise DataError(f"Data set {name!r} has no labels: all are -1.")
    if isinstance(first, int) and (card_names or rule or num_classes):
        labels = {part: np.array(found, dtype=np.int64) for part, found in kept.items()}
        if rule:
            labels = {part: rule(held) for part, held in labels.items()}
        names = card_names if card_names and not rule else tuple(str(i) for i in range(num_classes or 0))
        for part, held in labels.items():
            if len(held) and not 0 <= held.min() <= held.max() < len(names):
                raise DataError(
                    f"Data set {name!r}: labels of '{part}' are {held.min()} to {held.max()}, expected 0 to "
                    f"{len(names) - 1}."
                )
        return names, labels, notes
    classes = number_classes(
        name,
        {
            part: [str(int(value)) if isinstance(value, bool) else str(value) for value in found]
            for part, found in kept.items()
        },
        lambda part, row: f"row {row} of '{part}'",
    )
    return classes.names, dict(classes.labels), (*notes, *classes.notes)


def _reader(files: Sequence[str], column: str) -> ParquetImages:
    counts = [_group_ends(file)[-1] if _group_ends(file) else 0 for file in files]
    return ParquetImages(tuple(files), tuple(int(end) for end in np.cumsum(counts)), column)


def _keys(part: PartName, files: Sequence[str], column: str, count: int) -> tuple[str, ...]:
    """The images' own names where each has one, else their numbers."""
    if "path" in [str(leaf).partition(".")[2] for file in files[:1] for leaf in _leaves(file, column)]:
        paths = [
            entry["path"] if entry else None
            for file in files
            for entry in _opened(file).read(columns=[f"{column}.path"]).column(column).to_pylist()
        ]
        if all(paths) and len(set(paths)) == len(paths):
            return tuple(f"{part}/{path}" for path in paths)
    return tuple(f"{part}/{i:07d}" for i in range(count))


def _leaves(file: str, column: str) -> list[str]:
    schema = _opened(file).schema
    paths = [schema.column(i).path for i in range(len(schema.names))]
    return [path for path in paths if path.partition(".")[0] == column]


def _column(files: Sequence[str], column: str) -> list[Any]:
    return [value for file in files for value in _opened(file).read(columns=[column]).column(column).to_pylist()]


@functools.lru_cache(maxsize=64)
def _opened(file: str) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetFile(file, memory_map=True)  # no shared file position, so a forked process can go on reading


@functools.lru_cache(maxsize=64)
def _group_ends(file: str) -> tuple[int, ...]:
    metadata = _opened(file).metadata
    return tuple(
        int(end) for end in np.cumsum([metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)])
    )


@functools.lru_cache(maxsize=4)  # images are mostly read in order; a row group is read once for all of its images
def _row_group(file: str, group: int, column: str) -> Any:
    return _opened(file).read_row_group(group, columns=[column]).column(column)


@contextmanager
def _explained(name: str, repo_id: str, revision: str = "main") -> Iterator[None]:
    """Turns what the hub's client raises into a DataError of one line."""
    from huggingface_hub import errors

    # the base error of the HTTP library, which is another one in other versions of the client
    transport: type[Exception] = errors.HfHubHTTPError.__bases__[0]
    what = f"Data set {name!r}: hf:{repo_id}@{revision}"
    try:
        yield
    except errors.RepositoryNotFoundError:
        raise DataError(f"{what} cannot be fetched: there is no such data set, or it is not public.") from None
    except errors.RevisionNotFoundError:
        raise DataError(f"{what} cannot be fetched: the data set has no such revision.") from None
    except errors.OfflineModeIsEnabled:
        raise DataError(f"{what} cannot be fetched: HF_HUB_OFFLINE is set.") from None
    except (OSError, ValueError, transport) as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise DataError(f"{what} cannot be fetched: {type(error).__name__}: {reason[:200]}. Try again.") from None
