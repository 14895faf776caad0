"""Parallel curves of families: exact on exact ones, and intervals that know that checkpoints share an architecture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from analyse.public_rows import ALL, architectures

from bench.analyse.public.family_lines import FEWEST_ARCHITECTURES, fit_family_lines
from bench.analyse.public.rows import PublicRow


def half_width(rows: Sequence[PublicRow], x: Sequence[float], y: Sequence[float]) -> float:
    lines = fit_family_lines(rows, x, y)
    assert lines is not None
    draws = lines.level_draws["vit"] - lines.level_draws["cnn"]
    return lines.interval("vit", lines.levels["vit"] - lines.levels["cnn"], draws).half_width


def test_the_lines_are_those_of_least_squares() -> None:
    rows, rng = ALL[:600], np.random.default_rng(0)
    x, y = rng.normal(size=600), rng.normal(size=600)
    lines = fit_family_lines(rows, x, y)
    assert lines is not None
    kept = [i for i, row in enumerate(rows) if row.family in lines.levels]
    columns = [[float(rows[i].family == family) for i in kept] for family in lines.levels]
    away = x - np.median(x)
    expected = np.linalg.lstsq(np.column_stack([*columns, away[kept], away[kept] ** 2]), y[kept], rcond=None)[0]
    assert [*lines.levels.values(), lines.slope, lines.bend] == pytest.approx(expected.tolist())


def test_families_on_exact_lines_have_intervals_of_no_width() -> None:
    rows = [*architectures("vit", 9), *architectures("cnn", 9)]
    x = np.linspace(0, 1, 18)
    away = x - np.median(x)
    y = 2 * away - away**2 + np.where([row.family == "vit" for row in rows], 0.3, 0.1)
    lines = fit_family_lines(rows, x, y)
    assert lines is not None
    assert (lines.slope, lines.bend, lines.levels["vit"], lines.levels["cnn"]) == pytest.approx((2, -1, 0.3, 0.1))
    assert half_width(rows, x.tolist(), y.tolist()) == pytest.approx(0, abs=1e-9)


def test_a_family_of_few_architectures_gets_no_line_and_is_named() -> None:
    few = FEWEST_ARCHITECTURES - 1
    rows = [*architectures("vit", few), *architectures("cnn", FEWEST_ARCHITECTURES)]
    values = np.arange(len(rows), dtype=float)
    lines = fit_family_lines(rows, values, values)
    assert lines is not None
    assert (list(lines.levels), lines.too_few) == (["cnn"], {"vit": few})
    assert fit_family_lines(rows[:few], values[:few], values[:few]) is None
    assert fit_family_lines([], [], []) is None


def test_more_checkpoints_of_the_same_architectures_do_not_narrow_an_interval() -> None:
    rows, rng = [*architectures("vit", 12), *architectures("cnn", 12)], np.random.default_rng(0)
    x, y = rng.normal(size=24).tolist(), rng.normal(size=24).tolist()
    assert half_width(rows * 4, x * 4, y * 4) == pytest.approx(half_width(rows, x, y))


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rows, held = [*architectures("vit", 30), *architectures("cnn", 30)] * 2, 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=120)
        y = x + np.tile(rng.normal(size=60), 2) + 0.3 * rng.normal(size=120)  # no family is ahead
        lines = fit_family_lines(rows, x, y)
        assert lines is not None
        found = lines.interval("vit", 0, lines.level_draws["vit"] - lines.level_draws["cnn"])
        held += found.low <= 0 <= found.high
    assert 88 <= held <= 99
