"""Vision Transformers against CNNs: one harness for accuracy, compute, speed and memory.

The folders are the stages: catalog -> suite -> data, learn, measure -> execute -> store,
and for reading: store -> analyse -> report. README.md says what each holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.store.frame import load_records as load_records

__version__ = "0.1.0"
__all__ = ["__version__", "load_records"]


def __getattr__(name: str) -> Any:
    """`load_records`, which brings pandas along, once it is asked for: most commands need none."""
    if name == "load_records":
        from bench.store.frame import load_records

        return load_records
    raise AttributeError(f"module 'bench' has no attribute {name!r}")
