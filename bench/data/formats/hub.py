"""Data sets of the Hugging Face hub that are parquet files: fetched at a pinned revision, checked, read in place.

Files go to huggingface_hub's own cache. What a revision consists of is remembered in ours, because the hub's client
takes half a download for a whole one and compares no hashes. HF_ENDPOINT and HF_HUB_CACHE are read when a set is
opened, not when the client is imported.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data.formats.hub_splits import choose_splits
from bench.data.formats.parquet import (
    FileLabels,
    LabelRule,
    check_columns,
    file_labels,
    image_column,
    images_of,
    is_called_label,
    keys_of,
    label_column,
    number_labels,
    parquet_file,
    values_of,
)
from bench.data.sets.class_labels import few
from bench.data.sets.collection import ImageCollection, LabelledImages, PartName
from bench.data.sets.fingerprints import file_stamp
from bench.errors import AbsentDataError, DataError, RequestError
from bench.places import cache_root
from bench.whole_files import write_whole

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


def open_hub(
    name: str,
    repo_id: str,
    *,
    revision: str | None,
    download: bool,
    image: str = "",
    label: str = "",
    label_rule: LabelRule | None = None,
    num_classes: int | None = None,
    config: str = "",
    splits: Sequence[str] = (),
) -> ImageCollection:
    """The parts of a parquet data set at one revision, classes as its files name them.

    revision: 40 hexadecimal digits, or None for the newest one, which is resolved only if `download`, and noted.
    image, label: columns; empty for those that can be meant. label_rule, num_classes: for a label that is worked out
    from the column; the classes are then named 0, 1, ... config: the folder of one of several configurations; empty
    where there is one. splits: those that are meant; empty for `choose_splits` to see.
    Raises RequestError for a name, revision, split or column that is not one, AbsentDataError for a revision that is
    not here, DataError for a download that fails or is not what the hub says, and for files that are no such images.
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
        revision = newest_revision(name, repo_id, download)
        notes = (f"No revision of hf:{repo_id} was given; {revision} was the newest.",)
    here = _of_config(name, files_of_revision(name, repo_id, revision, download), config)
    chosen = choose_splits(name, [file.path for file in here], splits)
    by_path = {file.path: file for file in here}
    files = {part: [by_path[path] for path in paths] for part, paths in chosen.paths.items()}
    collection = _read(name, files, here, image, label, label_rule, num_classes)
    return ImageCollection(name, collection.class_names, collection.parts, (*chosen.notes, *collection.notes, *notes))


def _of_config(name: str, files: Mapping[StoredFile, str], config: str) -> Mapping[StoredFile, str]:
    """The files of one configuration: those in its folder, at whatever depth. All of them without a name."""
    if not config:
        return files
    found = {file: local for file, local in files.items() if config in file.path.split("/")[:-1]}
    if not found:
        known = sorted({file.path.rpartition("/")[0] for file in files})
        raise RequestError(f"Data set {name!r} has no configuration {config!r}; its files lie in {few(known)}.")
    return found


def _read(
    name: str,
    files: Mapping[PartName, Sequence[StoredFile]],
    here: Mapping[StoredFile, str],
    image: str,
    label: str,
    rule: LabelRule | None,
    num_classes: int | None,
) -> ImageCollection:
    notes = []
    try:
        schemas = {file: parquet_file(here[file]).schema_arrow for held in files.values() for file in held}
        schema = schemas[(files.get("train") or next(iter(files.values())))[0]]
        for column in filter(None, (image, label)):
            if column not in schema.names:
                raise RequestError(f"Data set {name!r} has no column {column!r}; it has {few(schema.names, 12)}.")
        if not image:
            image, others = image_column(name, schema)
            notes += _of_column("Images", image, others)
        if not label:
            label, others = label_column(name, schema, image)
            notes += _of_column("Labels", label, others)
        parts, labels = {}, {}
        for part, held in files.items():
            columns = {column for file in held for column in schemas[file].names}
            # a test part may be published without labels, and not with others
            has_labels = label in columns or any(is_called_label(column) for column in columns)
            for file in held:
                check_columns(name, file.path, schemas[file], image, label if has_labels else None)
            reader = images_of([here[file] for file in held], image, held)
            parts[part] = reader, keys_of(part, reader.files, image, len(reader))
            labels[part] = [_labels(name, file, here[file], schemas[file], label, has_labels) for file in held]
    except (OSError, ValueError, LookupError, TypeError) as error:  # pyarrow's errors are these
        raise DataError(f"Data set {name!r}: its parquet files cannot be read: {str(error)[:200]}.") from None
    classes = number_labels(name, labels, rule, num_classes)
    return ImageCollection(
        name,
        classes.names,
        {part: LabelledImages(parts[part][0], held, parts[part][1]) for part, held in classes.labels.items()},
        (*notes, *classes.notes),
    )


def _labels(name: str, file: StoredFile, local: str, schema: Any, label: str, has_labels: bool) -> FileLabels:
    if not has_labels:
        return FileLabels(file.path, [None] * parquet_file(local).metadata.num_rows, ())
    return file_labels(name, file.path, values_of(local, label), schema, label)


def _of_column(what: str, column: str, others: Sequence[str]) -> list[str]:
    return [f"{what} are those of column {column!r}; {few(others)} could be meant too."] if others else []


# --- files of a revision ---


@dataclass(frozen=True)
class StoredFile:
    """A file of a revision. sha256: of a large file; a small one has the hash of its git blob instead."""

    path: str
    size: int
    sha256: str | None
    blob: str

    def check(self, local: str) -> None:
        """Raises DataError unless the local file is what the hub says. It is read for that once in a process."""
        found, expected = self.hashes(local)
        if found != expected:
            raise DataError(
                f"'{local}' is not the file '{self.path}' that the hub has: its hash is {found[:16]}..., the hub says "
                f"{expected[:16]}.... Delete it and add --download to fetch it again."
            )

    def hashes(self, local: str) -> tuple[str, str]:
        """The hash of a local file, and what it should be."""
        found = _hash_of(local, self.size if self.sha256 is None else None, file_stamp(os.stat(local)))
        return found, self.blob if self.sha256 is None else self.sha256


def files_of_revision(name: str, repo_id: str, revision: str, download: bool) -> dict[StoredFile, str]:
    """Every parquet file of a revision -> where it lies here. Fetched if `download`, and not here or not whole.

    Raises AbsentDataError for files that are not here, DataError for a download that fails or is not what the hub says.
    """
    manifest = _manifest_file(repo_id, revision)
    if not manifest.exists():
        if not download:
            raise AbsentDataError(
                f"Data set {name!r}: hf:{repo_id}@{revision} is not on this machine. Add --download to fetch it."
            )
        _fetch(name, repo_id, revision, manifest)
    here, gone = _in_cache(name, repo_id, revision, manifest)
    if gone and download:
        _fetch(name, repo_id, revision, manifest)
        here, gone = _in_cache(name, repo_id, revision, manifest)
    if gone:
        raise AbsentDataError(
            f"Data set {name!r}: {few(gone)} of hf:{repo_id}@{revision} is gone from the cache or not whole. Add "
            "--download to fetch it."
        )
    return here


def is_fetched(repo_id: str, revision: str) -> bool:
    """Whether this revision has been fetched to its end."""
    return bool(revision) and _manifest_file(repo_id, revision).exists()


def _manifest_file(repo_id: str, revision: str) -> Path:
    return cache_root() / "hub" / f"{repo_id.replace('/', '--')}@{revision}.json"


def newest_revision(name: str, repo_id: str, download: bool) -> str:
    """The commit that the hub calls main, or without asking it, the one fetched last."""
    if download:
        from huggingface_hub import HfApi

        with _explained(name, repo_id):
            return str(HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None).dataset_info(repo_id).sha)
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

    endpoint = os.environ.get("HF_ENDPOINT") or None
    of_revision: dict[str, Any] = {"repo_type": "dataset", "revision": revision}
    with _explained(name, repo_id, revision):
        tree = HfApi(endpoint=endpoint).list_repo_tree(repo_id, **of_revision, recursive=True)
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
            found = hf_hub_download(repo_id, file.path, **of_revision, endpoint=endpoint, cache_dir=_cache())
        local = Path(found)
        digest, expected = file.hashes(str(local))
        if digest != expected:
            local.resolve().unlink(missing_ok=True)  # the cache's blob, which a second try would take for good
            local.unlink(missing_ok=True)
            raise DataError(
                f"Data set {name!r}: '{file.path}' of hf:{repo_id} came with the hash {digest[:16]}..., the hub says "
                f"{expected[:16]}.... It was removed; try again."
            )
    write_whole(manifest, json.dumps([file.__dict__ for file in files], indent=1), durable=False)


def _in_cache(name: str, repo_id: str, revision: str, manifest: Path) -> tuple[dict[StoredFile, str], list[str]]:
    """File of the revision -> where it lies here; and those that are gone from the hub's cache or not whole."""
    from huggingface_hub import try_to_load_from_cache

    here, gone = {}, []
    for file in _listed(name, manifest):
        local = try_to_load_from_cache(repo_id, file.path, _cache(), revision, "dataset")
        if isinstance(local, str) and os.path.isfile(local) and os.path.getsize(local) == file.size:
            here[file] = local
        else:
            gone.append(file.path)
    return here, gone


def _cache() -> str | None:
    return os.environ.get("HF_HUB_CACHE") or None


def _listed(name: str, manifest: Path) -> list[StoredFile]:
    try:
        return [StoredFile(**fields) for fields in json.loads(manifest.read_text(encoding="utf-8"))]
    except (ValueError, TypeError) as error:
        raise DataError(
            f"Data set {name!r}: the list of its files '{manifest}' is damaged: {error}. Delete it and add --download."
        ) from None


@functools.lru_cache(maxsize=4096)
def _hash_of(local: str, blob_bytes: int | None, stamp: str) -> str:
    """SHA-256, or of a git blob of so many bytes git's own SHA-1."""
    del stamp  # another one is another file
    digest = hashlib.sha256() if blob_bytes is None else hashlib.sha1(b"blob %d\0" % blob_bytes, usedforsecurity=False)
    with open(local, "rb") as content:
        while piece := content.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


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
