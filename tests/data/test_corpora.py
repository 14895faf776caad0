"""Generated corpora: the same pixels everywhere, a beginning that never changes, figures that fill their pictures."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from bench.data.generated.corpora import CorpusPart, draw_block, find_corpus, is_corpus
from bench.data.generated.fractals import (
    FEWEST_MAPS,
    LEAST_FILLED,
    LEAST_TURNS,
    MOST_FILLED,
    PROBE_CLASSES,
    SIGMA_RANGE,
    TABLE,
    find_systems,
)
from bench.data.generated.small_sets import BLOCK_IMAGES
from bench.errors import RequestError, UnknownNameError

# What records of pretrainings name. A change here makes every one of them another corpus.
FINGERPRINTS = {
    ("mix-64", 32): "bcd47d50334ca32e",
    ("fractals-64", 32): "c52f584a3d4caf94",
    ("rings-64", 32): "e14bc84e78dbda30",
    ("mix-512", 64): "a5968b6093f8162f",
    ("fractals-1000", 224): "59c96c8c38246157",
}
each_family = pytest.mark.parametrize("name", ["fractals-64", "rings-64", "mix-64"])


@pytest.mark.parametrize(("name", "resolution_px"), FINGERPRINTS)
def test_pixels_are_those_that_results_were_measured_on(name: str, resolution_px: int) -> None:
    assert find_corpus(name, resolution_px).fingerprint == FINGERPRINTS[name, resolution_px]


def test_another_process_with_other_threads_draws_the_same_pixels() -> None:
    code = "from bench.data.generated.corpora import find_corpus; print(find_corpus('mix-64', 32).fingerprint)"
    for threads in ("1", "3"):
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "PYTHONHASHSEED": "7"}
        found = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=120
        )
        assert found.stdout.strip() == FINGERPRINTS["mix-64", 32]


@each_family
def test_blocks_can_be_drawn_in_any_order_and_more_than_once(name: str) -> None:
    corpus = find_corpus(name, 32)
    later, _ = draw_block(corpus, "train", 5)
    first, _ = draw_block(corpus, "train", 0)
    assert np.array_equal(draw_block(corpus, "train", 0)[0], first)
    assert np.array_equal(draw_block(corpus, "train", 5)[0], later)
    assert not np.array_equal(first, later)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@each_family
def test_a_gpu_draws_what_a_cpu_draws(name: str) -> None:
    corpus = find_corpus(name, 64)
    assert np.array_equal(draw_block(corpus, "train", 1, device="cuda")[0], draw_block(corpus, "train", 1)[0])


@each_family
@pytest.mark.parametrize("part", ["train", "validation"])
def test_image_i_is_of_class_i_mod_c(name: str, part: CorpusPart) -> None:
    corpus = find_corpus(name, 32)
    labels = np.concatenate([draw_block(corpus, part, block)[1] for block in range(3)])
    assert labels.tolist() == [i % 64 for i in range(3 * BLOCK_IMAGES)]


def test_a_class_is_the_same_in_a_corpus_of_more_classes() -> None:
    """Not the images, which have streams of their own, but what is drawn: ring 3 has as many lobes in both."""
    few, many = (find_systems("corpus", 0) for _ in range(2))
    assert np.array_equal(few.maps, many.maps)
    small, large = find_corpus("rings-64", 32), find_corpus("rings-1000", 32)
    assert small.class_names[:5] == large.class_names[:5]
    means = []
    for corpus in (small, large):
        blocks = range(16 if corpus is large else 8)
        found = [draw_block(corpus, "train", block) for block in blocks]
        pixels, labels = (np.concatenate(parts) for parts in zip(*found, strict=True))
        contrast = pixels.astype(np.float64).std(axis=(1, 2, 3))
        means.append([contrast[labels == label].mean() for label in range(20)])
    assert np.corrcoef(means[0], means[1])[0, 1] > 0.6, "how much ink a class has"


@each_family
def test_every_class_has_ink_and_ground(name: str) -> None:
    pixels, labels = draw_block(find_corpus(name, 32), "train", 0)
    grey = pixels.astype(np.float64).mean(axis=3)
    spread = grey.std(axis=(1, 2))
    assert spread.min() > 12, f"an empty picture of class {labels[spread.argmin()]}"


@each_family
def test_mean_colour_says_nothing_about_hue_by_class(name: str) -> None:
    corpus = find_corpus(name, 32)
    found = [draw_block(corpus, "train", block) for block in range(32)]
    pixels, labels = (np.concatenate(parts) for parts in zip(*found, strict=True))
    means = pixels.astype(np.float64).mean(axis=(1, 2))
    for hue in (means[:, 0] - means[:, 1], means[:, 1] - means[:, 2]):
        per_class = [hue[labels == label] for label in range(64)]
        noise = hue.std() / len(per_class[0]) ** 0.5
        # 4.8 standard errors: by chance in under 1 of 10,000 sets of 64 classes.
        assert max(abs(values.mean() - hue.mean()) for values in per_class) < 4.8 * noise


def test_maps_have_the_singular_values_that_fill_a_picture() -> None:
    for group in range(3):
        systems = find_systems("corpus", group)
        for maps in systems.maps:
            used = [one[:4].reshape(2, 2) for one in maps if one.any()]
            assert len(used) >= FEWEST_MAPS
            values = [np.linalg.svd(one.astype(np.float64), compute_uv=False) for one in used]
            assert all(1.0 + 1e-6 >= s1 >= s2 >= 0 for s1, s2 in values)
            sigma = sum(s1 + 2 * s2 for s1, s2 in values)
            low, high = ((end + len(used)) / 2 for end in SIGMA_RANGE)
            assert low - 1e-5 <= sigma <= high + 1e-5


def test_every_map_has_its_turns() -> None:
    systems = find_systems("corpus", 1)
    for maps, table in zip(systems.maps, systems.tables, strict=True):
        turns = np.bincount(table, minlength=4)
        used = [i for i, one in enumerate(maps) if one.any()]
        assert turns.sum() == TABLE
        assert all(turns[i] >= LEAST_TURNS for i in used)
        assert turns[[i for i in range(4) if i not in used]].sum() == 0


def test_classes_of_the_unseen_set_are_in_no_corpus() -> None:
    seen = {maps.tobytes() for group in range(4) for maps in find_systems("corpus", group).maps}
    assert not seen & {maps.tobytes() for maps in find_systems("unseen", 0).maps}


def test_attractors_are_neither_dust_nor_a_blot() -> None:
    assert 0 < LEAST_FILLED < MOST_FILLED < 1
    corpus = find_corpus("fractals-64", 32)
    pixels, labels = (
        np.concatenate(parts) for parts in zip(*(draw_block(corpus, "train", b) for b in range(4)), strict=True)
    )
    grey = pixels.astype(np.float64).mean(axis=3)
    ground = np.median(grey, axis=(1, 2), keepdims=True)
    inked = (np.abs(grey - ground) > 40).mean(axis=(1, 2))
    per_class = [inked[labels == label].mean() for label in range(PROBE_CLASSES)]
    assert min(per_class) > 0.01
    assert max(per_class) < 0.75


@pytest.mark.parametrize("name", ["fractals-63", "rings-10001", "mix-0"])
def test_too_few_and_too_many_classes_are_refused(name: str) -> None:
    with pytest.raises(RequestError, match="it can have 64 to 10,000"):
        find_corpus(name, 32)


@pytest.mark.parametrize("resolution_px", [31, 225])
def test_sizes_out_of_range_are_refused(resolution_px: int) -> None:
    with pytest.raises(RequestError, match="32 to 224 px"):
        find_corpus("mix-64", resolution_px)


def test_other_names_are_no_corpora() -> None:
    assert not any(map(is_corpus, ("digits", "mix", "mix-", "fractals-6x", "Mix-64", "fractels-64")))
    with pytest.raises(UnknownNameError, match="fractals-1000"):
        find_corpus("fractels-1000", 32)


@pytest.mark.parametrize("classes", [64, 100, 1000, 10_000])
def test_the_validation_part_has_as_many_images_of_every_class(classes: int) -> None:
    corpus = find_corpus(f"mix-{classes}", 32)
    assert corpus.validation_images % classes == 0
    assert corpus.validation_images >= classes
    assert len(set(corpus.class_names)) == classes


def test_points_go_with_the_pixels_at_every_size() -> None:
    """A larger picture is the same figure with more points, not a thinner one."""
    shares = []
    for px in (32, 96):
        pixels, _ = draw_block(find_corpus("fractals-64", px), "train", 0)
        grey = pixels.astype(np.float64).mean(axis=3)
        shares.append((np.abs(grey - np.median(grey, axis=(1, 2), keepdims=True)) > 40).mean())
    assert math.isclose(shares[0], shares[1], rel_tol=0.35)
