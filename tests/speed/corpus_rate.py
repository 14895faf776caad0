"""Images of generated corpora drawn per second on one core: `python tests/speed/corpus_rate.py [--device cuda]`.

Ends with 1 if a family is under --least images/s at 32 px.
"""

# ruff: noqa: T201  (a program of its own, which prints)
from __future__ import annotations

import argparse
import sys
import time

import torch

from bench.data.generated.corpora import draw_block, find_corpus
from bench.data.generated.small_sets import BLOCK_IMAGES

SECONDS = 3.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", default="fractals-64,rings-64,mix-64,fractals-1000,mix-10000")
    parser.add_argument("--sides", default="32,64,128,224")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--least", type=float, default=2000.0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    lowest = float("inf")
    for name in given.names.split(","):
        for side in map(int, given.sides.split(",")):
            corpus = find_corpus(name, side)
            draw_block(corpus, "train", 0, given.device)
            started, blocks = time.perf_counter(), 0
            while time.perf_counter() - started < SECONDS:
                draw_block(corpus, "train", blocks, given.device)
                blocks += 1
            rate = blocks * BLOCK_IMAGES / (time.perf_counter() - started)
            lowest = min(lowest, rate) if side == 32 else lowest
            print(f"{name:14} {side:4} px {rate:8.0f} images/s", flush=True)
    print(f"lowest at 32 px {lowest:.0f}, least allowed {given.least:.0f}")
    return int(lowest < given.least)


if __name__ == "__main__":
    sys.exit(main())
