from __future__ import annotations

import pytest
from report.synthetic_store import make_record, speed_record

from bench.analyse.speed.speeds import tuned_models
from bench.analyse.study import study
from bench.store.record import Record
from bench.suite.cell import Settings
from bench.suite.planning_context import Abilities
from bench.suite.speed_plan import candidate_settings

FIXED = Settings(memory_format="channels_last").model_dump(mode="json")


def timed(model: str, fixed: float, best: float, rounds: int = 5, **settings: object) -> list[Record]:
    """A model whose img/s scatter alike under both settings, so that their ratio does not scatter."""
    won = {**FIXED, **settings}
    scatter = [1.0 + 0.02 * r for r in range(rounds)]
    return [
        record
        for r in range(rounds)
        for record in (
            speed_record(model, r, fixed * scatter[r], settings=FIXED),
            speed_record(model, r, best * scatter[r], settings=won, role="best"),
        )
    ]


def trials(model: str, count: int, failed: int = 0) -> list[Record]:
    tried = candidate_settings(Settings(), ("bf16",), Abilities(("fp32", "bf16"), can_compile=True))[:count]
    cells = [speed_record(model, 0, 100.0, settings=one.model_dump(mode="json"), role="trial") for one in tried]
    return [
        make_record(record.cell, status="failed", reason="no") if n < failed else record
        for n, record in enumerate(cells)
    ]


def test_the_ratio_is_taken_process_by_process():
    records = timed("vit_32px_s", 100.0, 150.0, compile=True)
    (one,) = tuned_models(records, records)
    # the rates scatter by 8 %, their quotient in each round does not
    assert one.ratio.values == pytest.approx((1.5,) * 5)
    assert one.ratio.median == pytest.approx(1.5)
    assert one.ratio.interval is not None
    assert (one.ratio.interval.low, one.ratio.interval.high) == pytest.approx((1.5, 1.5))
    assert one.settings == Settings(memory_format="channels_last", compile=True)


def test_fewer_than_five_rounds_give_a_ratio_without_an_interval():
    records = timed("vit_32px_s", 100.0, 150.0, rounds=4, compile=True)
    (one,) = tuned_models(records, records)
    assert (one.ratio.median, one.ratio.interval) == (pytest.approx(1.5), None)


def test_trials_are_counted_with_those_that_failed():
    records = [*timed("vit_32px_s", 100.0, 150.0), *trials("vit_32px_s", 8, failed=2), *trials("resnet_32px_s", 3)]
    (one,) = tuned_models([record for record in records if record.status == "ok"], records)
    assert (one.trials, one.failed_trials) == (8, 2)


def test_a_model_without_best_settings_is_not_among_them():
    records = [speed_record("vit_32px_s", r, 100.0) for r in range(3)]
    assert tuned_models(records, records) == []


def test_the_main_table_and_the_rest_of_the_study_keep_to_fixed_settings():
    records = [*timed("vit_32px_s", 100.0, 900.0, compile=True), *trials("vit_32px_s", 4)]
    analysed = study("s", records, lambda cell_id: None)
    assert [row.key.compile for row in analysed.rows] == [False]
    assert max(one.throughput.median for one in analysed.speeds if one.throughput is not None) < 200
    assert len(analysed.tuned) == 1
