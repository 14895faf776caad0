"""Throughput by this project's code against a loop written by hand, in one process, in turns. Run by hand.

    python tests/speed/tight_loop.py
    python tests/speed/tight_loop.py --models resnet50 --device cuda --batch-size 64 --pairs 40

What must hold: the median of the paired ratios within 1 +- 0.02 for ResNet-50, ViT-B/16 and EfficientNet-B0.
"""

# ruff: noqa: T201  (a program of its own, which prints)

from __future__ import annotations

import argparse
import math
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

LIMIT = 0.02
MODELS = ("resnet50", "vit_base_patch16_224", "efficientnet_b0")
LEVEL = 0.95


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--block-seconds", type=float, default=0.5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    import torch

    torch.set_num_threads(asked.threads)
    print(f"{asked.device}, {asked.threads} threads, batch {asked.batch_size}, torch {torch.__version__}, "
          f"load before: {os.getloadavg()[0]:.2f} (1 min)")  # fmt: skip
    holds = True
    for name in asked.models:
        ours = project_turn(name, asked.batch_size, asked.device, asked.block_seconds)
        by_hand = hand_turn(name, asked.batch_size, asked.device)
        _, iterations = ours()  # both warmed up, and a number of passes for all blocks of the loop by hand
        by_hand(iterations)
        ratios = paired_ratios(ours, by_hand, iterations, asked.pairs)
        middle, (low, high) = median(ratios), median_interval(ratios)
        holds &= abs(middle - 1) <= LIMIT
        print(
            f"{name}: {middle:.4f} [{low:.4f}, {high:.4f}], {len(ratios)} pairs, about {iterations} passes a turn",
            flush=True,
        )
    print(f"{'holds' if holds else 'does not hold'}: limit 1 +- {LIMIT}; load after: {os.getloadavg()[0]:.2f}")
    sys.exit(not holds)


def project_turn(name: str, batch: int, device: str, block_seconds: float) -> Callable[[], tuple[float, int]]:
    """One block as a speed cell times it: settings applied, its contexts entered, its images; img/s and passes."""
    import torch

    from bench.measure.build import build_model, native_resolution
    from bench.measure.devices import clock_for
    from bench.measure.settings import apply_settings
    from bench.measure.timing.speed import collector_paused
    from bench.measure.timing.steps import inference_step
    from bench.measure.timing.timing import measure_throughput
    from bench.suite.cell import Settings, SpeedCell

    cell = SpeedCell(
        model=name, resolution_px=native_resolution(name), batch_size=batch,
        metrics=("throughput",), repeat=0, device=device, settings=Settings(),
    )  # fmt: skip
    model = build_model(name, resolution_px=cell.resolution_px).eval()
    clock = clock_for(device)
    step = inference_step(cell, apply_settings(model, cell.settings, device, cell.resolution_px), batch)

    def turn() -> tuple[float, int]:
        applied = apply_settings(model, cell.settings, device, cell.resolution_px)  # its context can be entered once
        with applied.context, torch.inference_mode(), collector_paused():
            found = measure_throughput(
                step, images_per_step=batch, clock=clock, block_seconds=block_seconds, blocks=1, max_warmup_seconds=0.0
            )
        return found.img_per_s, found.iters_per_block

    return turn


def hand_turn(name: str, batch: int, device: str) -> Callable[[int], float]:
    """What anybody would write: one pass for warm-up, then a loop; img/s."""
    import timm
    import torch

    model = timm.create_model(name).eval().to(device)
    px = model.default_cfg["input_size"][-1]
    images = torch.randn(batch, 3, px, px, device=device)
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None

    def turn(iterations: int) -> float:
        with torch.inference_mode():
            model(images)
            wait()
            started = time.perf_counter()
            for _ in range(iterations):
                model(images)
            wait()
            return batch * iterations / (time.perf_counter() - started)

    return turn


def paired_ratios(
    ours: Callable[[], tuple[float, int]], by_hand: Callable[[int], float], iterations: int, pairs: int
) -> list[float]:
    """Ours over the loop by hand, one ratio a pair, in random order within it."""
    order = random.Random(0)
    ratios = []
    for _ in range(pairs):
        if order.random() < 0.5:
            mine = ours()[0]
            theirs = by_hand(iterations)
        else:
            theirs = by_hand(iterations)
            mine = ours()[0]
        ratios.append(mine / theirs)
    return ratios


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Interval of the median by order statistics: at least LEVEL, whatever the distribution."""
    ordered, n = sorted(values), len(values)
    left_out = max((k for k in range(n // 2) if _below(k, n) <= (1 - LEVEL) / 2), default=0)
    return ordered[left_out], ordered[n - 1 - left_out]


def _below(k: int, n: int) -> float:
    """Chance that at most k of n values lie below the median."""
    return sum(math.comb(n, i) for i in range(k + 1)) / 2**n


if __name__ == "__main__":
    main()
