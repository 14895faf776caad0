from __future__ import annotations

import numpy as np

from bench.data.generated.embedded import enlarge, make_digits


def test_the_digits_split_has_half_of_the_scans_for_testing():
    parts = make_digits()

    assert (len(parts.train), len(parts.validation), len(parts.test)) == (798, 100, 899)


def test_the_digits_split_is_stratified():
    parts = make_digits()
    train, validation, test = (np.bincount(p.labels) for p in (parts.train, parts.validation, parts.test))

    assert np.abs(train + validation - test).max() <= 1
    assert set(validation.tolist()) <= {9, 10, 11}


def test_every_scan_is_in_exactly_one_part():
    parts = make_digits()
    keys = parts.train.keys + parts.validation.keys + parts.test.keys

    assert sorted(keys) == [f"digits/{i:04d}" for i in range(1797)]


def test_an_even_scan_stays_even_when_enlarged():
    pictures = enlarge(np.full((1, 8, 8), 16))

    assert pictures.shape == (1, 32, 32, 3)
    assert pictures.dtype == np.uint8
    assert (pictures == 255).all()


def test_enlarging_is_bilinear_between_pixel_centres():
    scan = np.zeros((1, 8, 8), dtype=np.int64)
    scan[:, :, 1:] = 16

    row = enlarge(scan)[0, 16, :, 0]

    # Pixels 0 and 1 lie left of the first centre; 2 to 5 lie 1/8, 3/8, 5/8 and 7/8 of the way to the second.
    assert row[:7].tolist() == [0, 0, 32, 96, 159, 223, 255]
