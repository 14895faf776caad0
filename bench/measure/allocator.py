"""The one rule for memory that a model frees while it is timed: it is kept, as a server keeps it between requests.

Left alone, glibc gives large blocks back to the system and faults them in again at the next pass, in each process
differently. It reads its environment when a process starts, so the rule is applied by whoever starts one that times.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from pathlib import Path

# MMAP_MAX_ and not MMAP_THRESHOLD_, which glibc before 2.35 refuses above 32 MiB: it then maps from 128 KiB on.
KEPT_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",  # no block gets a mapping of its own, which ends when it is freed
    "MALLOC_TRIM_THRESHOLD_": str(1024**4),  # the heap's free end stays, up to 1 TiB
}
# What decides whether freed memory is kept (mallopt(3)). Whoever sets one of them has a rule of his own.
VARIABLES = (*KEPT_MEMORY, "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_")
TUNABLES = "GLIBC_TUNABLES"


def kept_memory(environment: Mapping[str, str]) -> dict[str, str]:
    """What to add to the environment of a process that times: nothing without glibc, or where its user set a rule."""
    return {} if not _is_glibc() or _users_rule(environment) else dict(KEPT_MEMORY)


def allocator_of(environment: Mapping[str, str]) -> str:
    """What a process started with this environment does with freed memory, as records say it."""
    preloaded = [Path(one).name for one in environment.get("LD_PRELOAD", "").replace(":", " ").split()]
    if others := [name for name in preloaded if "malloc" in name]:
        return f"{', '.join(others)}, preloaded by the user"
    if not _is_glibc():
        return "not glibc, nothing set"
    if KEPT_MEMORY.items() <= environment.items():
        return "glibc, freed memory kept"
    rule = _users_rule(environment)
    return f"glibc, set by the user: {', '.join(rule)}" if rule else "glibc, nothing set"


def allocator_of_timings() -> str:
    """What a timing started from this process does with freed memory."""
    return allocator_of({**os.environ, **kept_memory(os.environ)})


def page_faults() -> int:
    """Pages that the system handed this process so far, in all its threads, without reading a disk."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def _users_rule(environment: Mapping[str, str]) -> list[str]:
    tunables = environment.get(TUNABLES, "").split(":")
    names = tuple(f"glibc.malloc.{variable.removeprefix('MALLOC_').strip('_').lower()}=" for variable in VARIABLES)
    own = [f"{variable}={environment[variable]}" for variable in VARIABLES if variable in environment]
    return own + [one for one in tunables if one.startswith(names)]


def _is_glibc() -> bool:
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (ValueError, OSError):  # a name that macOS and musl do not know
        return False
