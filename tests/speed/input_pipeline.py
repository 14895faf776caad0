"""Training images/s from JPEGs: this project's pipeline beside a plain DataLoader loop with timm's transforms.

    python tests/speed/input_pipeline.py --images 2000 --epochs 5 --rounds 3

Writes JPEGs of 100 x 100 to 160 x 120 pixels into a temporary folder and trains the same small models on them, with
the same crops, flips, optimiser and batch size: from the decoded-image cache (made anew in each round), and through
ImageFolder, timm's create_transform and a DataLoader with 0 and with 2 workers. The order alternates. The ratio is to
the better of the two loaders in the same round; its median over rounds is printed, with decoding and without.
Then the share of time that a model of about 10 million multiply-adds waits for the pipeline.
Ends with 1 if the ratio with decoding is under --least for a model, or the share over --most-wait.
"""

# ruff: noqa: T201  (a program of its own, which prints)
from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

from bench.data.decoding.square_cache import stored_images
from bench.data.formats.safe_paths import FileReader, real_root
from bench.data.sets.collection import ImageCollection, LabelledImages
from bench.learn.pipeline import TrainingBatches, images_per_second
from bench.measure.complexity import count_macs
from bench.places import CACHE_VARIABLE

RESOLUTION_PX, STORED_PX, CLASSES = 64, 80, 10
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "vit-2M": (
        "vit_tiny_patch16_224",
        {"img_size": RESOLUTION_PX, "patch_size": 16, "embed_dim": 48, "depth": 2, "num_heads": 3},
    ),
    "cnn-2M": ("resnet18d", {"channels": [8, 12, 16, 24], "stem_width": 4}),
    "vit-10M": (
        "vit_tiny_patch16_224",
        {"img_size": RESOLUTION_PX, "patch_size": 8, "embed_dim": 72, "depth": 2, "num_heads": 3},
    ),
    "cnn-10M": ("resnet18d", {"channels": [20, 32, 44, 64], "stem_width": 10}),
}


@dataclass(frozen=True)
class Timed:
    """Seconds of a training, and of making the cache before it; images seen."""

    training_s: float
    decoding_s: float
    images: int
    waited_s: float = 0.0

    @property
    def rate(self) -> float:
        return self.images / self.training_s

    @property
    def rate_with_decoding(self) -> float:
        return self.images / (self.training_s + self.decoding_s)


def write_jpegs(root: Path, count: int) -> None:
    """Smooth colours with some noise, about 6 KB each, in class folders."""
    rng = np.random.default_rng(0)
    for i in range(count):
        folder = root / f"class{i % CLASSES}"
        folder.mkdir(exist_ok=True)
        width, height = int(rng.integers(100, 161)), int(rng.integers(100, 121))
        coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
        noisy = np.clip(smooth + rng.integers(-12, 13, smooth.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{i:05d}.jpg", quality=90)


def collection_of(root: Path) -> ImageCollection:
    files = sorted(root.rglob("*.jpg"))
    keys = tuple(file.relative_to(root).as_posix() for file in files)
    labels = np.array([int(key.split("/")[0].removeprefix("class")) for key in keys], dtype=np.int64)
    part = LabelledImages(FileReader(real_root(root), keys), labels, keys)
    return ImageCollection("jpegs", tuple(f"class{i}" for i in range(CLASSES)), {"train": part})


def build(name: str) -> nn.Module:
    torch.manual_seed(0)
    arch, arguments = MODELS[name]
    model: nn.Module = timm.create_model(arch, num_classes=CLASSES, **arguments)
    return model


def train(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> int:
    """Train on every batch; returns how many images there were. Pixels are as the model wants them."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    images = 0
    for pixels, labels in batches:
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(model(pixels), labels).backward()
        optimizer.step()
        images += len(labels)
    return images


def ours(name: str, root: Path, epochs: int, batch_size: int) -> Timed:
    with tempfile.TemporaryDirectory() as cache:
        os.environ[CACHE_VARIABLE] = cache
        model, collection = build(name), collection_of(root)
        started = time.perf_counter()
        images = stored_images(collection, "train", STORED_PX)
        decoded = time.perf_counter()
        with batches_of(images, collection, epochs, batch_size) as batches:
            seen = train(model, ((batch.images.mul_(2).sub_(1), batch.labels) for batch in batches))
        return Timed(time.perf_counter() - decoded, decoded - started, seen, batches.waited_s)


def batches_of(images: Any, collection: ImageCollection, epochs: int, batch_size: int) -> TrainingBatches:
    return TrainingBatches(
        images,
        collection.part("train").labels,
        batch_size=batch_size,
        steps=len(images) // batch_size * epochs,
        seed=0,
        resolution_px=RESOLUTION_PX,
        crop="inception",
        flip=True,
        device="cpu",
    )


def plain(name: str, root: Path, epochs: int, batch_size: int, workers: int) -> Timed:
    transform = timm.data.create_transform(
        RESOLUTION_PX,
        is_training=True,
        scale=(0.05, 1.0),
        ratio=(3 / 4, 4 / 3),
        hflip=0.5,
        color_jitter=None,
        auto_augment=None,
        interpolation="bilinear",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )
    model = build(name)
    started = time.perf_counter()
    loader = DataLoader(
        ImageFolder(str(root), transform),
        batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    seen = sum(train(model, loader) for _ in range(epochs))
    return Timed(time.perf_counter() - started, 0.0, seen)


def compare(name: str, root: Path, options: argparse.Namespace) -> float:
    """Prints each round; returns the median ratio with decoding."""
    ratios, without = [], []
    arguments = (name, root, options.epochs, options.batch_size)
    for number in range(options.rounds):
        runs = {
            "ours": lambda: ours(*arguments),
            "0 workers": lambda: plain(*arguments, 0),
            "2 workers": lambda: plain(*arguments, 2),
        }
        order = list(runs) if number % 2 == 0 else list(reversed(runs))
        timed = {which: runs[which]() for which in order}
        best = max(timed["0 workers"].rate, timed["2 workers"].rate)
        ratios.append(timed["ours"].rate_with_decoding / best)
        without.append(timed["ours"].rate / best)
        print(
            f"{name}, round {number + 1}: ours {timed['ours'].rate_with_decoding:.0f} img/s with decoding "
            f"({timed['ours'].decoding_s:.2f} s), {timed['ours'].rate:.0f} without; plain "
            f"{timed['0 workers'].rate:.0f} with 0 workers, {timed['2 workers'].rate:.0f} with 2; "
            f"ratio {ratios[-1]:.2f} / {without[-1]:.2f}; load {os.getloadavg()[0]:.1f}"
        )
    print(
        f"{name}: median ratio {statistics.median(ratios):.2f} with decoding over {options.epochs} epochs, "
        f"{statistics.median(without):.2f} without"
    )
    return statistics.median(ratios)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--threads", type=int, help="of torch; by default as many as it takes")
    parser.add_argument("--least", type=float, default=1.2)
    parser.add_argument("--most-wait", type=float, default=0.05)
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_jpegs(root, options.images)
        for name in options.models:
            macs = count_macs(build(name), RESOLUTION_PX) / 1e6
            print(f"{name}: {macs:.2f} M multiply-adds at {RESOLUTION_PX} px, {torch.get_num_threads()} threads")
            if macs <= 2:
                missed |= compare(name, root, options) < options.least
                continue
            timed = ours(name, root, max(1, options.epochs // 2), options.batch_size)
            share = timed.waited_s / timed.training_s
            print(f"{name}: {timed.rate:.0f} img/s, waited {share:.1%} of {timed.training_s:.1f} s")
            missed |= share > options.most_wait
        with tempfile.TemporaryDirectory() as cache:
            os.environ[CACHE_VARIABLE] = cache
            collection = collection_of(root)
            images = stored_images(collection, "train", STORED_PX)
            rate = images_per_second(batches_of(images, collection, options.epochs, options.batch_size))
            print(f"pipeline alone: {rate:.0f} img/s")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
