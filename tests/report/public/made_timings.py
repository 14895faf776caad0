"""Made-up timings of public architectures that follow a power law of their counts."""

from __future__ import annotations

import math

import numpy as np
from report.synthetic_store import conditions

from bench.analyse.public.rows import Place
from bench.analyse.public.study import check_places
from bench.catalog.public_counts import public_counts
from bench.store.record import Record
from bench.suite.cell import cell_id_of

ANCHORS, FURTHER = 24, 30
_SETTINGS = {"precision": "fp32", "memory_format": "contiguous", "compile": False}


def milliseconds(place: Place, noise: float = 0.0) -> float:
    count = public_counts()[place]
    assert count.macs
    assert count.activations
    return float(20 * (count.macs / 1e9) ** 0.7 * (count.activations / 1e7) ** 0.2 * math.exp(noise))


def timed(place: Place, repeat: int, ms: float) -> Record:
    """One process that timed an architecture at a size."""
    cell = {
        "task": "speed", "model": place[0], "resolution_px": place[1], "batch_size": 8, "repeat": repeat,
        "device": "cpu", "settings": _SETTINGS,
    }  # fmt: skip
    values = {
        "throughput_img_per_s": 1300 / ms,
        "latency_p50_ms": ms,
        "latency_p99_ms": None,
        "latency_samples": 50,
        "warmup_settled": True,
    }
    return Record(
        suite="public", cell_id=cell_id_of(cell), cell=cell, values=values, conditions=conditions(), wall_s=1.0,
        status="ok", started_at="2026-01-02T03:04:05Z",
    )  # fmt: skip


def timings(seed: int = 0) -> list[Record]:
    """Anchors in two processes each and further models in one, spread over all places, 15 % off the law."""
    rng = np.random.default_rng(seed)
    others = sorted(set(public_counts()) - check_places())
    chosen = [others[i] for i in rng.permutation(len(others))[:ANCHORS]] + sorted(check_places())
    records = []
    for i, place in enumerate(chosen):
        noise = rng.normal(0, 0.15)
        repeats = 2 if i < ANCHORS else 1
        records += [timed(place, repeat, milliseconds(place, noise + 0.01 * repeat)) for repeat in range(repeats)]
    return records
