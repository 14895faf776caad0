"""What this process may use of the machine that it runs on. No torch."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """The CPU cores that this process may run on, at least one; the machine may have more."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
