"""Every error this package raises on purpose, as one tree.

BenchError                  something the user can mend; the command line prints it without a traceback
|- RequestError             the request was wrong: nothing was run, nothing was written
|  |- UnknownNameError      a model, data set, suite, metric or row that does not exist
|  |- SuiteFileError        a suite file that cannot be read as a suite
|  |- UserCodeError         the code of a user's own model raised something, with its file and line
|  `- ResolutionError       a model that cannot take images of this size
|- UnsupportedError         this device or this model cannot do what a cell asks: the cell is `skipped`
|- OutOfMemoryError         the device has too little memory: the cell is `oom`
|- CellFailedError          a cell started and could not finish, with the reason
|- TooSlowError             a pass that does not fit into a time limit: its metric is absent, with the reason
|- StoppedError             a cell that was asked to stop, has saved what it had, and can go on later
|- StoreError               the results folder cannot be read or written
`- DataError                images that cannot be made, read or trusted
   |- AbsentDataError       images that are not here: the cell is `skipped`, and the message says how to get them
   `- BadImageError         one image that cannot be decoded
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchError(Exception):
    """Root of the tree. The message says what was asked, what is wrong, and what to do."""


class RequestError(BenchError):
    """The request was wrong; nothing was run and nothing was written."""


class UnknownNameError(RequestError):
    """A name that is in no catalog, with the nearest names that are."""

    def __init__(
        self, kind: str, name: str, known: Iterable[str], where: str = "", hint: str = "", listed_by: str = ""
    ) -> None:
        known = list(known)
        nearest = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
        place = f" in {where}" if where else ""
        advice = (
            f"Did you mean {' or '.join(repr(n) for n in nearest)}?" if nearest else _list_hint(kind, known, listed_by)
        )
        super().__init__(f"Unknown {kind} {name!r}{place}. {advice} {hint}".rstrip())
        self.kind, self.name, self.nearest = kind, name, nearest


class SuiteFileError(RequestError):
    """A suite file that is not a suite: bad TOML, unknown key, wrong type, empty list."""


class UserCodeError(RequestError):
    """A user's model file raised an error when it was imported, called or run; the message begins with the place."""


class ResolutionError(RequestError):
    """A resolution that a model cannot take; the message says which it can."""


class UnsupportedError(BenchError):
    """This device or model cannot do what the cell asks; becomes a `skipped` record."""


class OutOfMemoryError(BenchError):
    """The device ran out of memory; becomes an `oom` record."""


class CellFailedError(BenchError):
    """A cell that started and could not finish; becomes a `failed` record."""


class TooSlowError(BenchError):
    """A pass takes longer than what is left of a time limit; becomes a metric without a value."""


class StoppedError(BenchError):
    """The cell was asked to stop and has written a checkpoint; nothing is recorded."""


class StoreError(BenchError):
    """The results folder cannot be read or written, or another run holds it."""


class DataError(BenchError):
    """Images that cannot be made, read or trusted."""


class AbsentDataError(DataError):
    """Images that are not on this machine; becomes a `skipped` record."""


class BadImageError(DataError):
    """One stored image that cannot be decoded; the message says why."""


def first_line(error: BaseException) -> str:
    """The first line of an error's text that is not blank; the name of its type if there is none."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _list_hint(kind: str, known: list[str], listed_by: str) -> str:
    if len(known) <= 12 or kind == "function":  # no command lists the functions of a user's file
        return f"Known: {', '.join(known[:12])}{', ...' if len(known) > 12 else ''}."
    command = listed_by or {"data set": "datasets", "suite": "suites"}.get(kind, "models")
    return f"{len(known)} are known; `vitbench {command}` lists them."
