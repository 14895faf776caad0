"""Two runs of one suite: what moved, what is the same, what cannot be compared."""

import math

import pandas as pd
import pytest
from records import counted, evaluated, record, timed, trained
from scipy import stats

from bench.analyse.compare.against import compare_runs, run_figures


def none(cell_id):
    return None


def compare(before, after, read=(none, none)):
    sides = [run_figures("s", records, one) for records, one in zip((before, after), read, strict=True)]
    return compare_runs(*sides, ("before", "after"))


def moves(before, after, metric, read=(none, none)):
    return [move for move in compare(before, after, read).moves if move.before.metric == metric]


def seeds(model, *values, **more):
    return [trained(model, seed, value, **more) for seed, value in enumerate(values)]


def processes(model, *rates, **more):
    return [timed(model, repeat, rate, **more) for repeat, rate in enumerate(rates)]


def test_the_same_seeds_with_the_same_accuracies_are_identical():
    again = {"started_at": "2026-02-01T00:00:00Z"}
    [move] = moves(seeds("vit_32px_s", 80.0, 81.0), seeds("vit_32px_s", 80.0, 81.0, **again), "top-1")
    assert (move.verdict, move.change, move.p_value) == ("identical", 0.0, None)


def test_a_change_of_accuracy_is_judged_over_seeds_with_a_spread_of_each_run():
    [move] = moves(seeds("vit_32px_s", 80.0, 81.0, 82.0), seeds("vit_32px_s", 60.0, 61.0, 62.0), "top-1")
    images = [1e4 * p * (1 - p) / 1000 for p in (0.81, 0.61)]  # no predictions: each run's images drawn anew
    seeds_of_run = 1.0 / 3
    total = 2 * seeds_of_run + sum(images)
    told = 2 * seeds_of_run  # seeds count twice in the degrees of freedom
    df = (2 * told + sum(images)) ** 2 / (2 * told**2 / 2 + sum(image**2 for image in images) / 999)
    assert move.change == pytest.approx(-20.0)
    assert move.interval.half_width == pytest.approx(stats.t.ppf(0.975, df) * math.sqrt(total))
    assert move.verdict == "moved"
    [small] = moves(seeds("vit_32px_s", 80.0, 81.0, 82.0), seeds("vit_32px_s", 80.5, 81.5, 82.0), "top-1")
    assert small.verdict == "not beyond noise"


def test_a_change_of_throughput_is_a_ratio_with_welchs_interval_of_logarithms():
    before, after = (1000.0, 1010.0, 990.0, 1005.0, 995.0), (900.0, 912.0, 897.0, 903.0, 888.0)
    [move] = moves(processes("vit_32px_s", *before), processes("vit_32px_s", *after), "throughput")
    logs = [[math.log(rate) for rate in rates] for rates in (after, before)]
    expected = stats.ttest_ind(*logs, equal_var=False)
    ends = expected.confidence_interval(0.95)
    assert (move.interval.low, move.interval.high) == pytest.approx((math.exp(ends.low), math.exp(ends.high)))
    assert move.p_value == pytest.approx(expected.pvalue)
    assert move.verdict == "moved"


def test_a_change_of_throughput_is_judged_over_all_processes_of_runs_of_different_length():
    before, after = (1000.0, 1010.0, 990.0, 1005.0, 995.0), (996.0, 1008.0)
    [move] = moves(processes("vit_32px_s", *before), processes("vit_32px_s", *after), "throughput")
    logs = [[math.log(rate) for rate in rates] for rates in (after, before)]
    assert move.p_value == pytest.approx(stats.ttest_ind(*logs, equal_var=False).pvalue)
    assert (move.interval.n, move.verdict) == (2, "not beyond noise")
    assert move.interval.low < move.change < move.interval.high


def test_processes_that_are_all_alike_say_nothing_of_noise():
    [move] = moves(processes("vit_32px_s", *[100.0] * 3), processes("vit_32px_s", *[100.0] * 4), "throughput")
    assert (move.verdict, move.change, move.interval) == ("no interval", pytest.approx(1.0), None)


def test_timings_of_two_machines_get_no_ratio():
    [move] = moves(
        processes("vit_32px_s", 100.0, 101.0), processes("vit_32px_s", 500.0, 501.0, machine="m2"), "throughput"
    )
    assert (move.verdict, move.change, move.interval) == ("another machine", None, None)


def test_of_several_machines_each_meets_itself():
    before = [*processes("vit_32px_s", 100.0, 101.0), *processes("vit_32px_s", 50.0, 51.0, machine="m2")]
    after = processes("vit_32px_s", 50.0, 51.0, machine="m2", started_at="2026-02-01T00:00:00Z")
    found = compare(before, after)
    assert {(move.before.machine, move.verdict) for move in found.moves} == {("m2", "identical")}
    assert {figure.machine for figure in found.gone} == {"m1"}


def test_one_process_has_no_interval_and_no_verdict():
    [move] = moves(processes("vit_32px_s", 100.0), processes("vit_32px_s", 200.0), "throughput")
    assert (move.verdict, move.change, move.p_holm) == ("no interval", pytest.approx(2.0), None)


def test_counts_are_identical_or_changed():
    assert {m.verdict for m in compare([counted("vit_32px_s", 100)], [counted("vit_32px_s", 100)]).moves} == {
        "identical"
    }
    [move] = moves([counted("vit_32px_s", 100)], [counted("vit_32px_s", 110)], "MACs")
    assert (move.verdict, move.change) == ("changed", 10.0)


def test_single_measurements_are_told_without_a_verdict():
    def memory(mib):
        cell = {"task": "memory", "model": "vit_32px_s", "resolution_px": 32, "batch_size": 64, "device": "cpu",
                "settings": {}}  # fmt: skip
        return record(cell, {"peak_rss_delta_mib": mib})

    [move] = moves([memory(10.0)], [memory(12.0)], "memory of the process")
    assert (move.verdict, move.change) == ("no interval", pytest.approx(1.2))


def test_one_checkpoint_each_is_judged_by_mcnemar_on_its_images():
    def table(correct):
        right = [i < correct for i in range(1000)]
        return pd.DataFrame(
            {"key": [f"{i:04d}" for i in range(1000)], "label": 0, "prediction": [0 if r else 1 for r in right]}
        )

    model = "vit_base_patch16_224.augreg_in21k_ft_in1k"
    before, after = evaluated(model, 900), evaluated(model, 880)
    [move] = moves([before], [after], "top-1", (lambda cell_id: table(900), lambda cell_id: table(880)))
    assert move.p_value == pytest.approx(2 / 2**20)
    assert move.change == pytest.approx(-2.0)
    assert move.verdict == "moved"


def test_other_images_are_not_compared():
    model = "vit_base_patch16_224.augreg_in21k_ft_in1k"
    [move] = moves([evaluated(model, 900)], [evaluated(model, 880, cell={"fingerprint": "g"})], "top-1")
    assert (move.verdict, move.change) == ("other test images", None)


def test_p_values_are_corrected_over_every_test_of_the_request():
    rates = ((1000.0, 1012.0, 994.0), (980.0, 992.0, 974.0))  # the same for both: one p
    before = [r for model in ("vit_32px_s", "resnet_32px_s") for r in processes(model, *rates[0])]
    after = [r for model in ("vit_32px_s", "resnet_32px_s") for r in processes(model, *rates[1])]
    found = [move for move in compare(before, after).moves if move.p_value is not None]
    assert len(found) == 4  # throughput and latency of two models
    assert [move.p_holm for move in found] == pytest.approx([4 * move.p_value for move in found])


def test_what_one_run_has_alone_is_listed():
    found = compare(
        [*seeds("vit_32px_s", 80.0), *seeds("vit_32px_m", 80.0)], [*seeds("vit_32px_s", 80.0), counted("x", 1)]
    )
    assert [figure.model for figure in found.gone] == ["ViT M"]
    assert [(figure.model, figure.metric) for figure in found.new] == [
        ("x", "MACs"),
        ("x", "activations"),
        ("x", "params"),
    ]


def test_conditions_that_differ_are_noted():
    old = timed("vit_32px_s", 0, 100.0)
    new = timed("vit_32px_s", 0, 90.0)
    new = new.model_copy(update={"conditions": {**new.conditions, "threads": 2, "torch": "9"}})
    [move] = moves([old], [new], "throughput")
    assert move.notes == ("threads: 1 and 2", "torch: unknown and 9")
