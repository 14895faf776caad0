"""A command as a user types it, run in this process: torch is imported once for all tests and not once for each."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from bench.cli import main


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def vitbench(*arguments: object, cwd: Path, **environment: str) -> Done:
    """Run `vitbench ARGUMENTS` in a folder. What belongs to a process (signals, imports, time) needs a real one."""
    out, err = io.StringIO(), io.StringIO()
    words = ["vitbench", *map(str, arguments)]
    with (
        contextlib.chdir(cwd),
        mock.patch.dict(os.environ, {"COLUMNS": "80", **environment}),
        mock.patch.object(sys, "argv", words),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            return Done(ended.code if isinstance(ended.code, int) else 1, out.getvalue(), err.getvalue())
    raise AssertionError("main() ends the process")
