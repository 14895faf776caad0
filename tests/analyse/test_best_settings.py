from __future__ import annotations

import math

import pytest
from report.synthetic_store import make_record, speed_record

from bench.analyse.best_settings import family_orders, tuned_models
from bench.analyse.study import study
from bench.store.record import Record
from bench.suite.best_settings import candidate_settings
from bench.suite.cell import Settings
from bench.suite.world import Abilities

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
    assert one.ratio_mean == pytest.approx(1.5)
    assert one.ratio is not None
    assert one.ratio.half_width == pytest.approx(0.0, abs=1e-9)
    assert one.settings == Settings(memory_format="channels_last", compile=True)
    assert one.log_rates[1] == pytest.approx((math.log(102.0), math.log(153.0)))


def test_trials_are_counted_with_those_that_failed():
    records = [*timed("vit_32px_s", 100.0, 150.0), *trials("vit_32px_s", 8, failed=2), *trials("resnet_32px_s", 3)]
    (one,) = tuned_models([record for record in records if record.status == "ok"], records)
    assert (one.trials, one.failed_trials) == (8, 2)


def test_a_model_without_best_settings_is_not_among_them():
    records = [speed_record("vit_32px_s", r, 100.0) for r in range(3)]
    assert tuned_models(records, records) == []


@pytest.mark.parametrize(
    ("cnn_best", "verdict"), [(300.0, "changes"), (90.0, "stays")], ids=["the slower overtakes", "it does not"]
)
def test_an_order_of_families_changes_only_where_both_orders_are_decided(cnn_best: float, verdict: str):
    records = [*timed("vit_32px_s", 100.0, 120.0), *timed("resnet_32px_s", 50.0, cnn_best)]
    # a little scatter of its own for the CNN, or the interval has no width
    records = [
        r.model_copy(update={"values": {**r.values, "throughput_img_per_s": r.values["throughput_img_per_s"] * 1.001}})
        if r.cell["model"] == "resnet_32px_s" and r.cell["repeat"] == 0 else r
        for r in records
    ]  # fmt: skip
    (order,) = family_orders(tuned_models(records, records))
    assert (order.first, order.second, order.models) == ("vit", "cnn", 2)
    assert order.fixed is not None
    assert order.fixed.estimate == pytest.approx(2.0, rel=0.01)
    assert order.verdict == verdict


def test_an_order_within_noise_is_open():
    noisy = [timed("vit_32px_s", 100.0 + r, 100.0 - 9 * r, rounds=r + 1)[-2:] for r in range(3)]
    records = [*[record for pair in noisy for record in pair], *timed("resnet_32px_s", 50.0, 88.0, rounds=3)]
    (order,) = family_orders(tuned_models(records, records))
    assert order.verdict == "open"


def test_the_main_table_and_the_rest_of_the_study_keep_to_fixed_settings():
    records = [*timed("vit_32px_s", 100.0, 900.0, compile=True), *trials("vit_32px_s", 4)]
    analysed = study("s", records, lambda cell_id: None)
    assert [row.key.compile for row in analysed.rows] == [False]
    assert max(speed.throughput_median or 0 for speed in analysed.speeds) < 200
    assert len(analysed.tuned) == 1
