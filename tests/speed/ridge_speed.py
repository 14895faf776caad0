"""Seconds and peak memory of the few-shot ridge at ImageNet's size. Run by hand: the answer depends on the machine.

    python tests/speed/ridge_speed.py

What must hold: 100,000 images x 1,024 features x 1,000 classes in 60 s and 8 GB on 2 cores, choice of l2 included.
"""

# ruff: noqa: T201  (a program of its own, which prints)

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from pathlib import Path

LIMIT_S, LIMIT_GB = 60.0, 8.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=1024)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--test-images", type=int, default=0, help="also predicted, inside the time")
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(asked.threads)  # read when numpy is imported, so before it
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

    import numpy as np

    from bench.learn.ridge import decompose

    random = np.random.default_rng(0)
    labels = np.arange(asked.images) % asked.classes
    # Correlated features of uneven spread, as networks give; independent ones would have equal eigenvalues.
    spread = (np.arange(1, asked.features + 1) ** -0.5).astype(np.float32)
    centres = 0.5 * random.standard_normal((asked.classes, asked.features), dtype=np.float32) * spread

    def draw(labels: np.ndarray) -> np.ndarray:
        noise = random.standard_normal((len(labels), asked.features), dtype=np.float32)
        noise *= spread
        noise += centres[labels]
        noise[:, 1:] += 0.3 * noise[:, :-1]
        return noise

    features = draw(labels)
    test_labels = np.arange(asked.test_images) % asked.classes
    test_features = draw(test_labels)

    print(f"load before: {os.getloadavg()[0]:.2f} (1 min), {os.cpu_count()} cores, {asked.threads} threads")
    cpu, wall = time.process_time(), time.perf_counter()
    ridge = decompose(features, labels, asked.classes)
    print(f"decomposed in {time.perf_counter() - wall:.1f} s")
    chosen = ridge.choose_l2()
    print(f"l2 {chosen.l2:g} chosen from {len(chosen.tried)} tried at {time.perf_counter() - wall:.1f} s")
    ridge.weights(chosen.l2)
    if asked.test_images:
        top1 = (ridge.predict(test_features, chosen.l2) == test_labels).mean() * 100
        print(f"top-1 {top1:.2f} % of {asked.test_images} at {time.perf_counter() - wall:.1f} s")
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
    print(f"{seconds:.1f} s wall, {cpu_seconds:.1f} s processor, peak {peak_gb:.2f} GB")
    verdict = "holds" if seconds <= LIMIT_S and peak_gb <= LIMIT_GB else "does not hold"
    print(f"{verdict}: limit {LIMIT_S:.0f} s and {LIMIT_GB:.0f} GB; load after: {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    main()
