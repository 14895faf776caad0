"""Pretraining images/s of real runs beside a bare training step of the same model with resident random inputs.

    python tests/speed/pretrain_rate.py --rounds 3 --device cpu

The bare step is forward, backward, clipping and the same fused AdamW on one batch that lies on the device; the
pretraining draws its batches from stored images of `mix-64`, in the project's pipeline. Both on one thread on a CPU, by
turns: each pretraining is held against the mean of the bare runs before and after it, and the median over rounds is
printed for each model, batch size and recipe of images.
Ends with 1 if a median is under --least.
"""

# ruff: noqa: T201  (a program of its own, which prints)
from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch
from timm.optim._param_groups import param_groups_weight_decay
from torch import nn
from torch.nn import functional as F

from bench.data.generated.corpora import find_corpus, stored_corpus
from bench.execute.environment import set_determinism
from bench.learn.pretrain import pretrain
from bench.learn.resumable import LabelledSquares, Session
from bench.measure.build import build_model
from bench.measure.complexity import count_macs
from bench.measure.devices import clock_for
from bench.process_group import alone
from bench.suite.cell import Budget, PretrainCell, PretrainRecipe, Settings

CORPUS, IMAGES, CLASSES = "mix-64", 8192, 64
SECONDS = 3.0  # of each measurement


def bare_rate(name: str, batch_size: int, px: int, device: str) -> float:
    """Images per second of optimiser steps on one resident batch."""
    model = build_model(name, num_classes=CLASSES, resolution_px=px, seed=0).to(device)
    model = model.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(param_groups_weight_decay(model, 0.1), lr=1e-3, fused=True)
    images = torch.randn(batch_size, 3, px, px, device=device).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, CLASSES, (batch_size,), device=device)
    clock = clock_for(device)

    def step() -> None:
        F.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    for _ in range(3):
        step()
    started, steps = clock.now(), 0
    while clock.now() - started < SECONDS:
        step()
        steps += 1
    return steps * batch_size / (clock.now() - started)


def pretraining_rate(name: str, batch_size: int, px: int, device: str, augmentation: str, rate: float) -> float:
    """Images per second of a pretraining of about SECONDS, as its record would say."""
    corpus = find_corpus(CORPUS, px)
    train, labels = stored_corpus(corpus, "train", IMAGES)
    held, held_labels = stored_corpus(corpus, "validation", 64)
    steps = max(5, round(SECONDS * rate / batch_size))
    cell = PretrainCell(
        metric_version=1,
        model=name,
        num_classes=CLASSES,
        resolution_px=px,
        dataset=CORPUS,
        fingerprint=corpus.fingerprint,
        train_images=IMAGES,
        seed=0,
        budget=Budget(unit="images", amount=steps * batch_size),
        recipe=PretrainRecipe(
            learning_rate=1e-3,
            batch_size=batch_size,
            grad_clip_norm=1.0,
            augmentation=augmentation,  # type: ignore[arg-type]
        ),
        device=device,  # type: ignore[arg-type]
        settings=Settings(memory_format="channels_last"),
    )
    model = build_model(name, num_classes=CLASSES, resolution_px=px, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        done = pretrain(
            cell,
            model,
            LabelledSquares(train, labels),
            LabelledSquares(held, held_labels, tuple(map(str, range(64)))),
            count_macs(name, px, CLASSES),
            Session(alone(device), Path(folder), 1000, threading.Event(), micro_batch_size=batch_size),
        )
    return float(done.values["train_img_per_s"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="vit_32px_s,resnet_32px_s,mbconv_32px_s,hybrid_32px_s")
    parser.add_argument("--batch-sizes", default="64,128")
    parser.add_argument("--recipes", default="none,light,strong")
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--least", type=float, default=0.9)
    given = parser.parse_args()
    if given.device == "cpu":
        torch.set_num_threads(1)
    set_determinism()
    lowest = 10.0
    for name in given.models.split(","):
        for batch_size in map(int, given.batch_sizes.split(",")):
            for recipe in given.recipes.split(","):
                bare = bare_rate(name, batch_size, given.resolution, given.device)
                ratios = []
                for _ in range(given.rounds):  # each run between two bare ones, whose mean it is held against
                    own = pretraining_rate(name, batch_size, given.resolution, given.device, recipe, bare)
                    after = bare_rate(name, batch_size, given.resolution, given.device)
                    ratios.append(2 * own / (bare + after))
                    bare = after
                median = statistics.median(ratios)
                lowest = min(lowest, median)
                shown = ", ".join(f"{ratio:.3f}" for ratio in ratios)
                print(f"{name:22} batch {batch_size:4} {recipe:7} {median:.3f}  ({shown})", flush=True)
    print(f"lowest median {lowest:.3f}, least allowed {given.least}")
    return int(lowest < given.least)


if __name__ == "__main__":
    started = time.perf_counter()
    code = main()
    print(f"{time.perf_counter() - started:.0f} s")
    sys.exit(code)
