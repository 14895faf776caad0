"""How fast the preflight is beside bare Pillow, in the same number of processes.

    python tests/speed/preflight_speed.py --images 600 --processes 2 --rounds 5

Writes JPEGs of about 500 x 375 into a temporary folder. Each round times both, in an order that alternates, from the
moment when all processes are ready. Prints the median of the paired ratios; ends with 1 if it is under --least.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from PIL import Image

from bench.data.preflight.preflight import check_images
from bench.data.sets.collection import ImageCollection, LabelledImages


@dataclass(frozen=True)
class Files:
    """A reader of whole files."""

    paths: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> bytes:
        return Path(self.paths[index]).read_bytes()


def write_jpegs(folder: Path, count: int) -> tuple[str, ...]:
    """Pictures with structure at three scales, so that their files have the size of photographs' (about 60 kB)."""
    generator = np.random.default_rng(0)
    paths = []
    for index in range(count):
        width, height = 500 + int(generator.integers(-40, 41)), 375 + int(generator.integers(-40, 41))
        layers = [
            Image.fromarray(generator.integers(0, 256, (rows, columns, 3), dtype=np.uint8)).resize(
                (width, height), Image.Resampling.BICUBIC
            )
            for rows, columns in ((6, 8), (60, 80), (375, 500))
        ]
        picture = Image.blend(Image.blend(layers[0], layers[1], 0.35), layers[2], 0.08)
        paths.append(str(folder / f"{index:05d}.jpg"))
        picture.save(paths[-1], quality=90)
    return tuple(paths)


def decode_bare(paths: tuple[str, ...], connection: Connection) -> None:
    """In a process: say ready, wait for the word, decode, say done."""
    connection.send("ready")
    connection.recv()
    for path in paths:
        with Image.open(path) as image:
            image.convert("RGB")
    connection.send("done")


def bare_img_per_s(paths: tuple[str, ...], processes: int) -> float:
    """Images a second of `Image.open(path).convert('RGB')`, each process going through its share."""
    context = get_context("spawn")
    connections = []
    for number in range(processes):
        near, far = context.Pipe()
        context.Process(target=decode_bare, args=(paths[number::processes], far), daemon=True).start()
        connections.append(near)
    for connection in connections:
        connection.recv()
    started = time.perf_counter()
    for connection in connections:
        connection.send("go")
    for connection in connections:
        connection.recv()
    return len(paths) / (time.perf_counter() - started)


def preflight_img_per_s(paths: tuple[str, ...], processes: int) -> float:
    """Images a second that the preflight says."""
    part = LabelledImages(Files(paths), np.zeros(len(paths), dtype=np.int64), paths)
    return check_images(ImageCollection("speed", ("all",), {"train": part}), processes=processes).img_per_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--least", type=float, default=0.0, help="smallest ratio that is a success")
    options = parser.parse_args()
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        paths = write_jpegs(Path(folder), options.images)
        for number in range(options.rounds):
            if number % 2:
                preflight = preflight_img_per_s(paths, options.processes)
                bare = bare_img_per_s(paths, options.processes)
            else:
                bare = bare_img_per_s(paths, options.processes)
                preflight = preflight_img_per_s(paths, options.processes)
            ratios.append(preflight / bare)
            sys.stdout.write(
                f"round {number + 1}: bare {bare:.0f}, preflight {preflight:.0f} img/s: {ratios[-1]:.3f}\n"
            )
    median = statistics.median(ratios)
    sys.stdout.write(
        f"preflight / bare Pillow, {options.images} images, {options.processes} processes, {options.rounds} rounds: "
        f"median {median:.3f}, from {min(ratios):.3f} to {max(ratios):.3f}\n"
    )
    sys.exit(median < options.least)


if __name__ == "__main__":
    main()
