from __future__ import annotations

from bench.data.images import load_dataset
from bench.data.reference import logistic_regression_top1


def test_a_linear_model_reads_digits_but_not_textures():
    digits = logistic_regression_top1(load_dataset("digits"), 798, seed=0)
    textures = logistic_regression_top1(load_dataset("textures"), 1000, seed=0)

    assert digits > 90
    assert textures < 30


def test_the_linear_reference_is_deterministic_and_follows_the_seed():
    dataset = load_dataset("digits")
    first, again, other = (logistic_regression_top1(dataset, 100, seed) for seed in (0, 0, 1))

    assert first == again
    assert first != other
