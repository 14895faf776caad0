"""Writing a check to files: whole or not at all, or appended where a file is meant to grow."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bench.errors import RequestError, StoreError, UnknownNameError
from bench.gate.formats import FORMATS
from bench.gate.result import CheckResult
from bench.whole_files import write_whole

STANDARD_OUTPUT = "-"
SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"  # names the file in which the steps of a job collect their summaries


class Target(NamedTuple):
    """One `--write FORMAT=PATH`."""

    format: str
    path: str


def parse_target(text: str) -> Target:
    """`junit=out/speed.xml` as a target; to be asked before anything is measured.

    Raises RequestError for what is not FORMAT=PATH and for a path that is a folder, UnknownNameError for a format
    that does not exist.
    """
    name, equals, path = text.partition("=")
    if not equals or not path:
        raise RequestError(
            f"--write takes FORMAT=PATH, not {text!r}. Formats: {', '.join(FORMATS)}. PATH is - for standard output."
        )
    if name not in FORMATS:
        raise UnknownNameError("format", name, FORMATS, "--write")
    if Path(path).is_dir():
        file = f"{path.rstrip('/')}/check{FORMATS[name].ending}"
        raise RequestError(f"--write {name}={path} names a folder. Name a file, such as {file}.")
    return Target(name, path)


def write_format(result: CheckResult, name: str, path: str, environment: Mapping[str, str] = os.environ) -> None:
    """Write `result` as `name` to `path`, `-` for standard output; folders are made as needed.

    A history and the file that $GITHUB_STEP_SUMMARY names are appended to, any other file is replaced in one step.
    Raises StoreError if that cannot be done; what stood in the file is then still there.
    """
    chosen = FORMATS[name]
    if path == STANDARD_OUTPUT:
        sys.stdout.write(chosen.render(result))
        sys.stdout.flush()
        return
    target = Path(path)
    step_summary = environment.get(SUMMARY_VARIABLE)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if chosen.append is not None:
            existing = target.read_bytes().decode(errors="replace") if target.exists() else ""
            _append(target, chosen.append(result, existing))
        elif step_summary and target.absolute() == Path(step_summary).absolute():
            _append(target, chosen.render(result))
        else:
            _replace(target, chosen.render(result))
    except OSError as error:
        raise _write_error(name, path, error) from None


def _append(path: Path, text: str) -> None:
    """Add the text with its end on the disk; if that fails the file is as long as before."""
    with open(path, "ab", buffering=0) as stream:
        before = os.fstat(stream.fileno()).st_size
        try:
            _write_all(stream.fileno(), text)
        except OSError:
            os.ftruncate(stream.fileno(), before)
            raise


def _replace(path: Path, text: str) -> None:
    if path.exists() and not path.is_file():  # a pipe or a device cannot be replaced
        with open(path, "wb", buffering=0) as stream:
            _write_all(stream.fileno(), text, is_synced=False)
        return
    write_whole(path.resolve(), text.encode(errors="replace"))  # a link stays a link


def _write_all(descriptor: int, text: str, *, is_synced: bool = True) -> None:
    data = text.encode(errors="replace")
    while data:
        data = data[os.write(descriptor, data) :]
    if is_synced:
        os.fsync(descriptor)


def _write_error(name: str, path: str, error: OSError) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(f"No space left to write {name} to '{path}'. Free some, or give --write another place.")
    why = error.strerror or str(error)
    return StoreError(f"'{path}' cannot be written as {name}: {why}. Give --write another place.")
