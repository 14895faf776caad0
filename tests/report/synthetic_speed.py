"""A made-up store of speed curves: batch sizes, resolutions, largest batches, training steps, and what failed."""

from __future__ import annotations

from typing import Any

import numpy as np
from synthetic_store import complexity_record, make_record, memory_record, speed_record

from bench.store.record import Record

MODELS = ("vit_32px_m", "hybrid_32px_m", "resnet_32px_m")
BATCHES = (1, 8, 64, 512)
SIZES = (32, 64, 128)
SETTINGS = {"precision": "fp32", "memory_format": "channels_last", "compile": False}
_PEAK = {"vit_32px_m": 16000.0, "hybrid_32px_m": 12000.0, "resnet_32px_m": 9000.0}
_SLOPE = {"vit_32px_m": 2.4, "hybrid_32px_m": 2.2, "resnet_32px_m": 1.9}  # of throughput against height


def rate(model: str, batch: int, pixels: int) -> float:
    """Images per second: a model is at half of its peak at batch 2, and falls with its own power of the size."""
    return _PEAK[model] * batch / (batch + 2) * (32 / pixels) ** _SLOPE[model]


def training_record(model: str, repeat: int, img_per_s: float, **more: Any) -> Record:
    """One process that timed a training step."""
    values = {
        "training_img_per_s": img_per_s,
        "training_blocks": 8,
        "warmup_iters": 30,
        "warmup_settled": True,
        "compile_s": None,
    }
    return make_record({**_cell("training_step", model), "batch_size": 64, "repeat": repeat, **more}, values)


def training_memory_record(model: str, mib: float) -> Record:
    """Peak memory of a training step on the CPU."""
    return make_record({**_cell("training_memory", model), "batch_size": 64}, {"peak_rss_delta_mib": mib})


def largest_record(model: str, pixels: int, largest: int, stopped_by: str = "memory", **more: Any) -> Record:
    """One search for the largest batch; by default on the CPU within 128 MiB."""
    cell = {**_cell("largest_batch", model, pixels), "cap": 4096, "memory_limit_mib": 128, **more}
    refused = None if stopped_by == "cap" else largest + 1
    reason = {"memory": "The process grows by 129 MiB, the budget is 128 MiB.", "error": "no kernel"}.get(stopped_by)
    tried = {"peak_mib": 120.0, "limit_mib": 128.0, "reason": None, "seconds": 4.0, "status": "ok", "fits": True}
    tries = [{**tried, "batch_size": largest}] if largest else []
    if refused is not None:
        status = "oom" if stopped_by == "memory" else "failed"
        tries.append({**tried, "batch_size": refused, "status": status, "fits": False, "reason": reason})
    values = {
        "largest_batch": largest,
        "stopped_by": stopped_by,
        "smallest_refused": refused,
        "peak_mib": 120.0 if largest else None,
        "limit_mib": 128.0,
        "tries": tries,
    }
    return make_record(cell, values)


def _cell(task: str, model: str, pixels: int = 32) -> dict[str, Any]:
    return {
        "task": task,
        "metric_version": 1,
        "model": model,
        "num_classes": 10,
        "resolution_px": pixels,
        "device": "cpu",
        "settings": SETTINGS,
    }


def speed_desk_like(processes: int = 5, noise: float = 0.01) -> list[Record]:
    """What the suite speed-desk gives, with one size that a model could not take and one batch that did not fit."""
    rng = np.random.default_rng(3)
    records = []
    for model in MODELS:
        for pixels in SIZES:
            records.append(complexity_record(model, 3.7e6 * (pixels / 32) ** 2, pixels))
            records.append(memory_record(model, 10.0 * (pixels / 32) ** 2, resolution_px=pixels))
        records += [largest_record(model, pixels, round(1500 * (32 / pixels) ** 2)) for pixels in (32, 128)]
        for repeat in range(processes):
            places = [(batch, 32) for batch in BATCHES] + [(64, 64), (64, 128)]
            for batch, pixels in places:
                seen = rate(model, batch, pixels) * float(rng.normal(1, noise))
                records.append(speed_record(model, repeat, seen, batch_size=batch, resolution_px=pixels))
            trained = rate(model, 64, 32) / 3.5 * float(rng.normal(1, noise))
            records.append(training_record(model, repeat, trained))
        records.append(training_memory_record(model, 35.0))
    refused = {**_cell("speed", "vit_32px_m", 50), "batch_size": 64, "metrics": ["throughput"], "repeat": 0}
    full = {**_cell("speed", "resnet_32px_m"), "batch_size": 4096, "metrics": ["throughput"], "repeat": 0}
    records.append(make_record(refused, status="skipped", reason="its patches are 8 px wide"))
    records.append(make_record(full, status="oom", reason="Inference does not fit into memory"))
    return records
