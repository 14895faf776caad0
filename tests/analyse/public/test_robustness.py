"""Effective robustness: exact on made lines, and on the catalog what its formula says."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from analyse.public_rows import ALL, architectures

from bench.analyse.public.fronts import comparable
from bench.analyse.public.robustness import FURTHER_TEST_SETS, all_robustness, robustness
from bench.analyse.public.rows import PublicRow
from bench.catalog.identity import PublicFamily
from bench.catalog.public_results import public_results


def logit(pct: float) -> float:
    return math.log(pct / (100 - pct))


def expit_pct(x: float) -> float:
    return 100 / (1 + math.exp(-x))


def on_lines(levels: dict[PublicFamily, float], slope: float, count: int = 9) -> list[PublicRow]:
    """Rows whose accuracy on ImageNet-R lies on the line of their family, from 70 to 80 % on ImageNet."""
    rows = []
    for family, level in levels.items():
        for row, top1_pct in zip(architectures(family, count), np.linspace(70, 80, count).tolist(), strict=True):
            there = expit_pct(level + slope * logit(top1_pct))
            rows.append(replace(row, result=replace(row.result, imagenet_top1=top1_pct, imagenet_r_top1=there)))
    return rows


def test_a_family_is_ahead_by_the_distance_of_its_line_at_the_median_accuracy() -> None:
    found = robustness(on_lines({"cnn": -1.5, "vit": -1.2}, 0.9), "imagenet_r_top1")
    assert found is not None
    x = logit(75)
    expected = expit_pct(-1.2 + 0.9 * x) - expit_pct(-1.5 + 0.9 * x)
    ahead = found.ahead_pp["vit"]
    assert (found.at_top1_pct, found.lines.slope) == pytest.approx((75, 0.9))
    assert (ahead.estimate, ahead.low, ahead.high) == pytest.approx((expected,) * 3)
    assert (found.rows, found.architectures) == ({"cnn": 9, "vit": 9}, {"cnn": 9, "vit": 9})


def test_a_row_is_above_the_line_of_the_cnns_by_its_residual() -> None:
    rows = on_lines({"cnn": -1.5, "vit": -1.2}, 0.9)
    found = robustness(rows, "imagenet_r_top1")
    assert found is not None
    assert [found.residual_pp(row) for row in rows[:9]] == pytest.approx([0] * 9, abs=1e-9)
    assert found.residual_pp(rows[-1]) == pytest.approx(
        expit_pct(-1.2 + 0.9 * logit(80)) - expit_pct(-1.5 + 0.9 * logit(80))
    )


def test_a_family_of_few_architectures_is_named_and_without_enough_cnns_nothing_is_said() -> None:
    rows = on_lines({"cnn": -1.5, "vit": -1.2}, 0.9)
    found = robustness([*rows[:9], *rows[9:12]], "imagenet_r_top1")
    assert found is not None
    assert (found.ahead_pp, found.too_few) == ({}, {"vit": 3})
    assert robustness(rows[5:], "imagenet_r_top1") is None


def test_a_row_that_was_not_tested_on_a_set_is_left_out_of_it() -> None:
    rows = comparable(ALL, "in1k")
    untested = [row for row in rows if row.result.imagenet_a_top1 is None]
    found = all_robustness(rows)
    assert tuple(found) == FURTHER_TEST_SETS
    assert untested
    assert found["imagenet_a_top1"].residual_pp(untested[0]) is None
    assert sum(found["imagenet_a_top1"].rows.values()) == len(rows) - len(untested)
    assert sum(found["real_top1"].rows.values()) == len(rows)


def test_every_published_accuracy_is_on_the_logit_scale() -> None:
    assert all(0 < getattr(one, name) < 100 for one in public_results() for name in FURTHER_TEST_SETS[:-1])
