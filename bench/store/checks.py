"""Where checks of the speed gate are kept: one file each, with every raw turn. Reading them is the gate's work.

results/local/checks/<start>-<machine>.json      a user's own, ignored by git
results/local/selftests/<start>-<machine>.json
"""

from __future__ import annotations

import errno
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from bench.errors import StoreError
from bench.store.files import LOCAL
from bench.whole_files import write_whole


def save_check(results: Path, text: str, machine: str, kind: Literal["checks", "selftests"] = "checks") -> Path:
    """Write one check, or the recording of one self-test, under a name of its own. Raises StoreError."""
    folder = results / LOCAL / kind
    path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z-{machine}.json"
    mark = folder.parent / ".gitignore"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not mark.exists():  # a user's results may stand in a repository, which a check asks if it is dirty
            mark.write_text("*\n", encoding="utf-8")
        write_whole(path, text)
    except OSError as error:
        reason = "no space left" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or str(error)
        raise StoreError(f"'{path}' cannot be written: {reason}. Give --results another folder.") from None
    return path
