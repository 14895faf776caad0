"""Public weights: their safetensors file in the hub's cache, fetched there first where that is asked for.

A pickle runs code when it is opened, so weights that exist only as one are refused.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from huggingface_hub import (
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from timm.models import get_pretrained_cfg

from bench.catalog.models import find_model
from bench.errors import CellFailedError, UnsupportedError
from bench.measure.weight_files import ID_DIGITS, first_line, sha256_of
from bench.suite.model_source import is_user_model

_SHA256 = re.compile(r"[0-9a-f]{64}")
# The hub's own error is one of the HTTP library's, which has been another in other versions of huggingface_hub.
_TRANSFER_ERRORS: tuple[type[BaseException], ...] = (OSError, *HfHubHTTPError.__bases__)


def public_file(model_name: str, *, download: bool) -> Path:
    """The public weights of a model in the hub's cache; fetched there first if they are absent and `download` is given.

    Raises UnsupportedError where there are none, or none within reach, and CellFailedError for a broken transfer.
    """
    config = None if is_user_model(model_name) else _public_config(model_name)
    if config is None:
        raise UnsupportedError(
            f"Model '{model_name}' has no public weights. Give a safetensors file of your own, or take `random`."
        )
    if not config.hf_hub_id:
        raise UnsupportedError(
            f"The public weights of '{model_name}' exist only as a pickle ({config.url}), and opening one runs code. "
            "Convert it to safetensors yourself and give that file."
        )
    repository, _, revision = config.hf_hub_id.partition("@")
    names = _safetensors_names(config.hf_hub_filename)
    for name in names:
        found = try_to_load_from_cache(repository, name, revision=revision or None)
        if isinstance(found, str):
            return Path(found)
    if not download:
        raise UnsupportedError(
            f"The weights of '{model_name}' are not here (hub repository '{repository}'). "
            "Get them once with `vitbench run ... --download`; later runs need no network."
        )
    return _fetched(model_name, repository, revision or None, names)


def _public_config(model_name: str) -> Any:
    """timm's configuration of public weights, or None where the name has none."""
    row = find_model(model_name)
    if row is not None and row.arguments:
        return None
    config = get_pretrained_cfg(row.timm_name if row is not None else model_name)
    return config if config is not None and config.has_weights else None


def _safetensors_names(filename: str | None) -> list[str]:
    """Names under which a repository may hold its weights as safetensors, in timm's order of preference."""
    if filename is None or filename == constants.PYTORCH_WEIGHTS_NAME:
        return [constants.SAFETENSORS_SINGLE_FILE]
    if filename.endswith(".safetensors"):
        return [filename]
    same_name = filename.rpartition(".")[0] + ".safetensors"
    return ["open_clip_model.safetensors", same_name] if filename == "open_clip_pytorch_model.bin" else [same_name]


def _fetched(model_name: str, repository: str, revision: str | None, names: list[str]) -> Path:
    """The first of the names that the hub has, whole and with the hash that the hub announced."""
    endpoint = os.environ.get("HF_ENDPOINT") or constants.ENDPOINT
    if constants.is_offline_mode():
        raise UnsupportedError(
            f"The weights of '{model_name}' are not here, and HF_HUB_OFFLINE forbids fetching them. Unset it, or copy "
            f"the hub's cache of '{repository}' to this machine."
        )
    for name in names:
        try:
            # The client's own first look waits for a silent hub for five minutes; this one takes one timeout.
            address = hf_hub_url(repository, name, revision=revision, endpoint=endpoint)
            get_hf_file_metadata(address, timeout=constants.HF_HUB_ETAG_TIMEOUT, endpoint=endpoint)
        except (RepositoryNotFoundError, RevisionNotFoundError, GatedRepoError) as error:
            raise UnsupportedError(
                f"The weights of '{model_name}' cannot be had: {endpoint} shows no repository '{repository}' to you "
                f"({type(error).__name__}). HF_TOKEN may give access."
            ) from error
        except EntryNotFoundError:
            continue
        except _TRANSFER_ERRORS as error:
            raise UnsupportedError(
                f"The weights of '{model_name}' are not here, and {endpoint} does not answer ({first_line(error)}) "
                "Run again with a network; finished cells are kept."
            ) from error
        try:
            path = Path(hf_hub_download(repository, name, revision=revision, endpoint=endpoint))
        except _TRANSFER_ERRORS as error:
            raise CellFailedError(
                f"The weights of '{model_name}' did not arrive whole from {endpoint}: {first_line(error)} "
                "Run again; what arrived is kept."
            ) from error
        _require_announced(path, name, is_new=True)
        return path
    raise UnsupportedError(
        f"The weights of '{model_name}' are not at {endpoint}: '{repository}' has no {' or '.join(names)}, and pickles "
        "are not read."
    )


def checked_digest(path: Path) -> str:
    """First digits of the SHA-256 of a file in the hub's cache, which must be the one that the hub announced."""
    return _require_announced(path, path.name, is_new=False)[:ID_DIGITS]


def _require_announced(path: Path, name: str, *, is_new: bool) -> str:
    """SHA-256 of a cached file. The cache names large files by the hash that the hub announced; nobody else checks it.

    A file that came just now and is wrong is removed, so that the next run fetches it again.
    """
    digest, stored = sha256_of(path), path.resolve()
    if not _SHA256.fullmatch(stored.name) or stored.name == digest:
        return digest
    if is_new:
        for wrong in (path, stored):
            with suppress(OSError):
                wrong.unlink(missing_ok=True)
        remedy = "It was removed; run again."
    else:
        remedy = f"Remove '{stored}' and run again with --download."
    raise CellFailedError(
        f"Weights '{name}' are not what the hub announced: their SHA-256 is {digest[:ID_DIGITS]}..., expected "
        f"{stored.name[:ID_DIGITS]}.... {remedy}"
    )
