"""Where checks of the speed gate are kept: one file each, with every raw turn. Reading them is the gate's work.

results/local/checks/<start>-<machine>.json      a user's own, ignored by git
results/local/selftests/<start>-<machine>.json
"""

from __future__ import annotations

import errno
from datetime import UTC, datetime
from pathlib import Path

from bench.errors import StoreError
from bench.store.files import LOCAL
from bench.whole_files import write_whole

CHECKS, SELFTESTS = "checks", "selftests"


def save_check(results: Path, text: str, machine: str) -> Path:
    """Write one check under a name of its own, whole or not at all. Raises StoreError."""
    return _save(results / LOCAL / CHECKS, text, machine)


def save_selftest(results: Path, text: str, machine: str) -> Path:
    """Write the recording of one self-test, whole or not at all. Raises StoreError."""
    return _save(results / LOCAL / SELFTESTS, text, machine)


def _save(folder: Path, text: str, machine: str) -> Path:
    path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z-{machine}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _ignore(folder.parent)
        write_whole(path, text)
    except OSError as error:
        reason = "no space left" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or str(error)
        raise StoreError(f"'{path}' cannot be written: {reason}. Give --results another folder.") from None
    return path


def _ignore(folder: Path) -> None:
    """Keep a user's own results out of the repository that they happen to stand in: a check asks if it is dirty."""
    mark = folder / ".gitignore"
    if not mark.exists():
        mark.write_text("*\n", encoding="utf-8")
