"""A stored cell in a few words, as lists of failures and remarks name it."""

from __future__ import annotations

from bench.store.record import Record
from bench.suite.cell import Settings
from bench.suite.tasks import TIMING_TASKS


def cell_words(record: Record) -> str:
    """Model, weights, data set, seed and what else tells a cell from its neighbours."""
    cell = record.cell
    if cell.get("task") == "preflight":
        return str(cell.get("dataset", "?"))
    words = [str(cell.get("model", "?"))]
    if cell.get("weights") not in (None, "public"):
        words.append(f"({'from scratch' if cell['weights'] == 'random' else cell['weights']})")
    if cell.get("dataset"):
        words.append(f"on {cell['dataset']}")
    if cell.get("seed") is not None:
        words.append(f"seed {cell['seed']}")
    if cell.get("task") == "finetune" and cell.get("recipe"):
        words.append(f"learning rate {cell['recipe'].get('learning_rate')}")
    if cell.get("task") in TIMING_TASKS:
        words.append(f"at {cell.get('resolution_px', '?')} px")
    if cell.get("batch_size"):
        words.append(f"batch {cell['batch_size']}")
    if cell.get("role") in ("trial", "best"):
        words.append(f"({Settings(**cell['settings']).words})")
    return " ".join(words)
