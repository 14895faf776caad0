"""Short records for tests of the analysis."""

from typing import Any

from bench.store.record import Record
from bench.suite.cell import cell_id_of

Fields = dict[str, Any] | None
SETTINGS = {"precision": "fp32", "memory_format": "contiguous", "compile": False}


def record(cell: dict[str, Any], values: dict[str, Any] | None = None, **more: Any) -> Record:
    machine = more.pop("machine", "m1")
    fields = {"status": "ok", "started_at": "2026-01-01T00:00:00Z", **more}
    return Record(
        suite="s",
        cell_id=cell_id_of(cell),
        cell=cell,
        values=values or {},
        conditions={"machine": machine, "device": "cpu", "side_by_side": 1, "threads": 1},
        wall_s=1.0,
        **fields,
    )


def trained(model: str, seed: int, top1: float, dataset: str = "textures", validation: float | None = None,
            budget: float = 1.0, images: int = 1000, rate: float = 0.001, part: str = "test",
            recipe: Fields = None,
            **more: Any) -> Record:  # fmt: skip
    cell = {
        "task": "train",
        "model": model,
        "resolution_px": 32,
        "dataset": dataset,
        "train_images": images,
        "seed": seed,
        "budget_gflop": budget,
        "recipe": {
            "learning_rate": rate,
            "batch_size": 64,
            "weight_decay": 0.1,
            "augmentation": "flip",
            **(recipe or {}),
        },
        "scored_part": part,
        "device": "cpu",
        "settings": SETTINGS,
    }
    values = {
        "top1_pct": top1,
        "validation_top1_pct": top1 if validation is None else validation,
        "test_images": 1000,
        "validation_images": 1000,
        "images_seen": 100,
        "macs": 1e6,
        "params": 1e5,
        "train_flop": budget * 1e9,
        "train_img_per_s": 100.0,
    }
    return record(cell, values, **more)


def timed(model: str, repeat: int, rate: float, **more: Any) -> Record:
    cell = {
        "task": "speed",
        "model": model,
        "resolution_px": 32,
        "batch_size": 64,
        "repeat": repeat,
        "device": "cpu",
        "settings": SETTINGS,
    }
    values = {
        "throughput_img_per_s": rate,
        "warmup_settled": True,
        "latency_p50_ms": 1000 / rate,
        "latency_p99_ms": None,
        "latency_samples": 300,
    }
    return record(cell, values, **more)


def counted(model: str, macs: int, resolution: int = 224, **values: Any) -> Record:
    cell = {"task": "complexity", "model": model, "num_classes": None, "resolution_px": resolution}
    known = {"params": 10, "macs": macs, "norm_macs": 0, "activations": 1, "attention_macs": 0}
    return record(cell, {**known, "certificate": "ok", "certificate_note": "", "family": "vit", **values})


def _weights(task: str, model: str, dataset: str, more: dict[str, Any]) -> dict[str, Any]:
    cell = {"task": task, "model": model, "resolution_px": 224, "weights": "public", "dataset": dataset}
    return {**cell, "fingerprint": "f", "device": "cpu", "settings": SETTINGS, **more}


def evaluated(model: str, correct: int, images: int = 1000, dataset: str = "imagenet", *, values: Fields = None,
              cell: Fields = None, **more: Any) -> Record:  # fmt: skip
    known = {"top1_pct": 100 * correct / images, "images": images, "correct_top1": correct, "self_check": "ok"}
    return record(_weights("evaluate", model, dataset, cell or {}), {**known, "macs": 1e9, **(values or {})}, **more)


def fewshot(model: str, top1: tuple[float, ...], shots: int = 5, rule: str = "fixed", dataset: str = "pets", *,
            values: Fields = None, cell: Fields = None, **more: Any) -> Record:  # fmt: skip
    results = [{"shots": shots, "rule": rule, "draw": i, "l2": 1.0, "top1_pct": v} for i, v in enumerate(top1)]
    known = {"results": results, "test_images": 1000, "feature_width": 8, "layer": "pre_logits", "overlap": False}
    asked = {"shots": [shots], "draws": len(top1), "l2": 1024.0, **(cell or {})}
    return record(_weights("fewshot", model, dataset, asked), {**known, **(values or {})}, **more)


def finetuned(model: str, seed: int, top1: float, dataset: str = "pets", rate: float = 0.01, name: str = "vit",
              part: str = "test", *, values: Fields = None, cell: Fields = None, **more: Any) -> Record:  # fmt: skip
    recipe = {"name": name, "learning_rate": rate, "steps": 500, "batch_size": 512}
    asked = {"seed": seed, "recipe": recipe, "scored_part": part, **(cell or {})}
    known = {"top1_pct": top1, "scored_images": 1000, "train_images": 800, "steps": 500, "macs": 1e9, "notes": []}
    return record(_weights("finetune", model, dataset, asked), {**known, **(values or {})}, **more)
