"""What cells may draw on without its being part of them: where data and weights lie, what may be fetched, how often to
save. None of it changes a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.places import data_root

CHECKPOINT_SECONDS = 300.0


@dataclass(frozen=True)
class RunOptions:
    """Passed to every worker with its cell.

    data: data set name -> where its images are, as `--data` says it. root: folder of local copies of catalogued sets.
    weights: `sha256 <16 digits>` -> safetensors file. pretraining: the same -> what it saw, in its owner's words.
    download: whether data and weights may be fetched.
    keep_weights: whether trainings leave their weights in the cache. loader_workers: processes that decode images.
    micro_batch_size: images that go through a model at once in fine-tuning; None finds what fits into memory, which
    `beside` cells share.
    """

    data: Mapping[str, str] = field(default_factory=dict)
    root: str = field(default_factory=lambda: str(data_root()))
    weights: Mapping[str, str] = field(default_factory=dict)
    pretraining: Mapping[str, str] = field(default_factory=dict)
    download: bool = False
    keep_weights: bool = False
    checkpoint_every_s: float = CHECKPOINT_SECONDS
    loader_workers: int = 0
    micro_batch_size: int | None = None
    beside: int = 1

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunOptions:
        return cls(**data)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def data_root(self) -> Path:
        return Path(self.root)
