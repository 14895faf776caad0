"""The study of public checkpoints: which timing stands for a place that was timed in several ways."""

from __future__ import annotations

from analyse.records import record, timed

from bench.analyse.public.study import public_study


def test_a_place_timed_in_several_ways_is_as_in_most_processes() -> None:
    suite = [timed("resnet50.a1_in1k", repeat, 100.0) for repeat in (0, 1)]
    suite = [one.model_copy(update={"cell": {**one.cell, "resolution_px": 224}}) for one in suite]
    alone = record({**suite[0].cell, "model": "resnet50", "batch_size": 1, "repeat": 0}, {"latency_p50_ms": 99.0})
    times = {row.label: row.times for row in public_study([alone, *suite]).rows if row.place == ("resnet50", 224)}
    assert {each["latency"].value for each in times.values()} == {10.0}
