"""Where things lie that are neither code nor results: caches and local copies of data sets."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "VITBENCH_CACHE"
DATA_VARIABLE = "VITBENCH_DATA"


def cache_root() -> Path:
    """$VITBENCH_CACHE, else ~/.cache/vitbench: decoded images, splits, checkpoints. Everything in it can be remade."""
    given = os.environ.get(CACHE_VARIABLE)
    return Path(given).expanduser() if given else Path.home() / ".cache" / "vitbench"


def data_root() -> Path:
    """$VITBENCH_DATA, else `data` in the cache: local copies of catalogued data sets, one folder for each."""
    given = os.environ.get(DATA_VARIABLE)
    return Path(given).expanduser() if given else cache_root() / "data"


def checkpoint_folder(cell_id: str) -> Path:
    """Where an unfinished fine-tuning keeps what it needs to go on; removed once its record is written."""
    return cache_root() / "checkpoints" / cell_id


def weights_file(weights: str) -> Path:
    """Where weights named `sha256 <16 digits>` lie, if a run of this project made them: by content."""
    return cache_root() / "weights" / f"{weights.removeprefix('sha256 ')}.safetensors"
