"""Claims by public checkpoints: figures recomputed from the tables by loops, and times of made records."""

from __future__ import annotations

import itertools

import pytest
from analyse.records import record, timed

from bench.analyse.claims.claims import judge_published, measured_figures
from bench.analyse.study import study
from bench.catalog.claims import Claim, claim_rows
from bench.catalog.public_counts import public_counts
from bench.catalog.public_results import PublicResult, public_results
from bench.errors import UnknownNameError
from bench.store.record import Record

IN_TIME = {"rule": "front", "strata": ["in1k"], "cost": "throughput", "at": 3, "first": "vit", "second": "cnn"}
BY_FRONTS = [name for name, claim in claim_rows().items() if claim.published.get("rule") == "front"]


def best_within(stratum: str, group: str, cost: str, limit: float) -> float:
    """By a loop over the catalog."""
    family, _, part = group.partition(":")
    found = []
    for row in public_results():
        training = row.training
        if training.stratum != stratum or training.self_supervised or training.distilled:
            continue
        if row.family != family or part not in row.model.partition(".")[0]:
            continue
        macs, rate = public_counts()[row.place].macs, row.rtx5090_amp_nchw_img_per_s
        if (macs is not None and macs / 1e9 <= limit) if cost == "macs" else (rate is not None and rate >= limit):
            found.append(row.imagenet_top1)
    return max(found)


@pytest.mark.parametrize("name", BY_FRONTS)
def test_a_gap_is_between_the_best_checkpoints_within_each_cost(name: str) -> None:
    rule = claim_rows()[name].published
    figures = judge_published(claim_rows()[name]).figures
    places = [(stratum, at) for stratum in rule["strata"] for at in rule["at"]]
    expected = {
        (stratum, at): best_within(stratum, rule["first"], rule["cost"], at)
        - best_within(stratum, rule["second"], rule["cost"], at)
        for stratum, at in places
    }
    assert [one.value for one in figures] == pytest.approx([expected[place] for place in places])
    for one, (_, at) in zip(figures, places, strict=True):
        assert f"{at} " in one.label.partition(",")[0]
        assert one.low is not None
        assert one.high is not None
        assert 0.5 < one.high - one.low < 1.3  # 1.96 standard errors of two proportions near 80 % are 0.5 points


def test_the_share_of_vits_is_that_of_the_range_of_costs_where_one_is_the_best() -> None:
    (figure,) = judge_published(
        Claim("x", "s", "w", published={"rule": "front_share", "strata": ["in21k"], "costs": ["macs"],
                                        "family": "vit", "above_pct": 50})
    ).figures  # fmt: skip
    assert (figure.bearing, figure.label) == ("against", "MACs of one image (ImageNet-21k or 12k)")
    assert figure.value == pytest.approx(1.9, abs=0.05)


def test_time_at_equal_macs_is_told_of_every_published_device() -> None:
    figures = judge_published(claim_rows()["vits-slower-at-equal-macs"]).figures
    assert [one.label for one in figures] == [
        "RTX 5090", "RTX 5090 compiled", "RTX 4090", "Core i9-10940X", "Core i7-12700H"
    ]  # fmt: skip
    assert all(one.low < one.value < one.high for one in figures)  # type: ignore[operator]
    assert figures[0].value == pytest.approx(0.72, abs=0.01)


@pytest.mark.parametrize("wrong", [{"strata": ["in2k"]}, {"cost": "mac"}, {"first": "vits"}])
def test_an_unknown_stratum_cost_or_family_is_named(wrong: dict[str, object]) -> None:
    rule = {**IN_TIME, "cost": "macs", "at": [8], **wrong}
    with pytest.raises(UnknownNameError, match="Did you mean"):
        judge_published(Claim("x", "s", "w", published=rule))


def public_records() -> list[Record]:
    """Ten ViTs and ten CNNs of ImageNet-1k, timed twice, the faster the fewer their MACs."""
    records = []
    for family in ("vit", "cnn"):
        own: dict[str, PublicResult] = {}
        for row in public_results():
            if row.family == family and row.training.stratum == "in1k" and not row.training.marks:
                own.setdefault(row.architecture, row)
        for row, process in itertools.product(list(own.values())[:10], range(2)):
            macs = public_counts()[row.place].macs
            assert macs is not None
            one = timed(row.model, process, 1e12 / macs + process)
            records.append(record({**one.cell, "resolution_px": row.img_size}, one.values))
    return records


def test_times_here_decide_by_measured_and_estimated_rows_of_suite_public_alone() -> None:
    claim, records = Claim("x", "s", "w", measured=IN_TIME), public_records()
    figures = measured_figures(claim, [study("public", records, lambda cell_id: None)])
    assert len(figures) == 3
    assert {one.record_ids for one in figures} == {tuple(sorted(one.cell_id for one in records))}
    assert all(", cpu" in one.label for one in figures)
    assert any("(time estimated)" in one.label for one in figures)
    assert measured_figures(claim, [study("core", records, lambda cell_id: None)]) == []
    other = Claim("x", "s", "w", measured={**IN_TIME, "device": "cuda"})
    assert measured_figures(other, [study("public", records, lambda cell_id: None)]) == []
