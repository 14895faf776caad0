"""How a worker is asked to end: its input closes, and a cell that can save itself gets the time to do so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_SECONDS = 60.0  # for writing a checkpoint of a large model to a slow disk

STOP = threading.Event()  # set once the parent wants no more answers
_idle = threading.Event()
_idle.set()


@contextmanager
def saves_itself() -> Iterator[threading.Event]:
    """Within it the process is not ended at once: the work looks at the event, writes a checkpoint and returns."""
    _idle.clear()
    try:
        yield STOP
    finally:
        _idle.set()


def request_stop() -> None:
    """Set the event and wait until nothing that saves itself is under way, but not for ever."""
    STOP.set()
    _idle.wait(PATIENCE_SECONDS)
