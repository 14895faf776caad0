"""Made-up pretraining studies with a known truth: records as a run would leave them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
from analyse.records import SETTINGS, record

from bench.store.record import Record

SETS = ("digits", "textures", "counts")
MACS = {"vit_32px_s": 1.64e6, "resnet_32px_s": 1.62e6, "hybrid_32px_s": 1.65e6, "mbconv_32px_s": 1.63e6}
Truth = Callable[[str, float, int], float]  # model, budget in GFLOP, pretraining images -> mean accuracy in percent


@dataclass
class World:
    """What is true, and how much seeds and test images add to it.

    shared_noise: of one pretraining, on all its sets alike; own_noise: of one fine-tuning. scratch, pixels: controls.
    """

    truth: Truth
    models: Sequence[str] = ("vit_32px_s", "resnet_32px_s")
    budgets: Sequence[float] = (50.0, 160.0, 500.0, 1600.0)
    seeds: Sequence[int] = (0, 1, 2)
    sets: Sequence[str] = SETS
    images: int = 65536
    fewer_images: Sequence[int] = ()
    shared_noise: float = 0.0
    own_noise: float = 0.0
    test_images: int = 2000
    scratch: float = 30.0
    pixels: float = 25.0
    with_trials: bool = True
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def records(self) -> list[Record]:
        """Everything, in the order of a run."""
        found = []
        for model in self.models:
            for budget in self.budgets:
                for seed in self.seeds:
                    found += self._run(model, budget, self.images, seed)
                if self.with_trials and budget in (self.budgets[0], self.budgets[-1]):
                    found.append(pretrained(model, budget, self.images, 0, rate=0.1, validation=1.0))
            for fewer in self.fewer_images:
                for seed in self.seeds:
                    found += self._run(model, self.budgets[-2], fewer, seed)
            found += [
                tuned(model, "random", name, seed, self._drawn(self.scratch, 0.0), test_images=self.test_images)
                for name in self.sets
                for seed in self.seeds
            ]
            found += [linear(model, "random", name, self.scratch) for name in self.sets]
        found += [on_pixels(name, seed, self.pixels) for name in self.sets for seed in self.seeds]
        return found

    def _run(self, model: str, budget: float, images: int, seed: int) -> list[Record]:
        """One pretraining and all that starts from it."""
        run = pretrained(model, budget, images, seed)
        weights = str(run.values["weights_sha256"])
        shared = self.random.normal(0, self.shared_noise) if self.shared_noise else 0.0
        accuracy = self.truth(model, budget, images)
        found = [run]
        for name in self.sets:
            if images == self.images:
                top1 = self._drawn(accuracy, shared)
                found.append(tuned(model, weights, name, seed, top1, test_images=self.test_images))
            found.append(linear(model, weights, name, self._drawn(accuracy - 5, shared)))
        return found

    def _drawn(self, accuracy: float, shared: float) -> float:
        own = self.random.normal(0, self.own_noise) if self.own_noise else 0.0
        p = min(max((accuracy + shared + own) / 100, 0.0), 1.0)
        if self.shared_noise or self.own_noise:
            p = self.random.binomial(self.test_images, p) / self.test_images
        return 100 * float(p)


def pretrained(
    model: str,
    budget: float,
    images: int,
    seed: int,
    *,
    corpus: str = "mix-64",
    rate: float = 0.004,
    validation: float = 60.0,
    **more: Any,
) -> Record:
    """One pretraining to a budget in GFLOP."""
    cell = {
        "task": "pretrain",
        "metric_version": 1,
        "model": model,
        "num_classes": 64,
        "resolution_px": 32,
        "dataset": corpus,
        "fingerprint": "f",
        "train_images": images,
        "seed": seed,
        "budget": {"unit": "gflop", "amount": budget},
        "recipe": {"learning_rate": rate, "batch_size": 64},
        "device": "cpu",
        "settings": SETTINGS,
    }
    macs = MACS.get(model, 1.6e6)
    values = {
        "validation_top1_pct": validation,
        "images_seen": budget * 1e9 / (6 * macs),
        "steps": 100,
        "macs": macs,
        "params": 1e5,
        "train_flop": budget * 1e9,
        "train_img_per_s": 2500.0,
        "train_seconds": budget / 25.0,
        "step_flop_ratio": 0.97,
        "weights_sha256": f"sha256 {sha256(repr(sorted(cell.items())).encode()).hexdigest()[:16]}",
    }
    return record(cell, values, **more)


def on_photographs_and_drawn(
    photographs: Callable[[str, int], float], drawn: Callable[[str, int], float], models: Sequence[str], **size: int
) -> list[Record]:
    """As many images of Fashion-MNIST and of mix-64, then sets of which one is in the domain of mix-64.

    photographs, drawn: accuracy in percent on a set, of a seed. Fashion-MNIST is a transfer set of mix-64 alone.
    """
    found = []
    for model in models:
        for corpus, truth in (("fashion_mnist", photographs), ("mix-64", drawn)):
            for seed in (0, 1, 2):
                run = pretrained(model, 1600.0, 54000, seed, corpus=corpus)
                weights = str(run.values["weights_sha256"])
                sets = [*SETS, "unseen", *(["fashion_mnist"] if corpus == "mix-64" else [])]
                found += [run, *(tuned(model, weights, name, seed, truth(name, seed), **size) for name in sets)]
        sets = [*SETS, "unseen", "fashion_mnist"]
        found += [tuned(model, "random", name, seed, 30.0, **size) for name in sets for seed in (0, 1, 2)]
    return found


def tuned(
    model: str, weights: str, dataset: str, seed: int, top1: float, *, part: str = "test", test_images: int = 2000
) -> Record:
    """One fine-tuning."""
    cell = {
        "task": "finetune",
        "metric_version": 1,
        "model": model,
        "num_classes": 10,
        "resolution_px": 32,
        "weights": weights,
        "dataset": dataset,
        "fingerprint": "g",
        "train_images": 800,
        "seed": seed,
        "recipe": {"name": "vit", "learning_rate": 0.1, "batch_size": 64, "steps": 60},
        "scored_part": part,
        "device": "cpu",
        "settings": SETTINGS,
    }
    return record(cell, {"top1_pct": top1, "scored_images": test_images, "train_seconds": 2.0})


def linear(model: str, weights: str, dataset: str, top1: float) -> Record:
    """One few-shot fit of two draws."""
    cell = {
        "task": "fewshot",
        "metric_version": 1,
        "model": model,
        "resolution_px": 32,
        "weights": weights,
        "dataset": dataset,
        "fingerprint": "g",
        "shots": [5],
        "draws": 2,
        "l2": 1024.0,
        "device": "cpu",
        "settings": SETTINGS,
    }
    rows = [
        {
            "shots": 5,
            "draw": draw,
            "rule": rule,
            "top1_pct": top1 + (1 if draw else -1) - (10 if rule == "fixed" else 0),
        }
        for draw in (0, 1)
        for rule in ("fixed", "loo")
    ]
    return record(cell, {"results": rows, "test_images": 2000})


def on_pixels(dataset: str, seed: int, top1: float) -> Record:
    """One regression on pixels."""
    cell = {
        "task": "pixels",
        "metric_version": 1,
        "dataset": dataset,
        "fingerprint": "g",
        "resolution_px": 32,
        "num_classes": 10,
        "train_images": 800,
        "seed": seed,
    }
    return record(cell, {"top1_pct": top1, "scored_images": 2000})


def times_the_compute(factor: float, rise: float = 12.0) -> Truth:
    """A ViT that needs so many times the compute of a ResNet for every accuracy; lines in the logarithm."""

    def truth(model: str, budget: float, images: int) -> float:
        effective = budget / factor if model.startswith("vit") else budget
        return 20.0 + rise * float(np.log(effective / 1.0)) / float(np.log(3.2)) * 0.9 + float(np.log2(images / 65536))

    return truth
