import pytest
from synthetic_protocols import VIT, evaluate_record, fewshot_record, transfer_like
from synthetic_store import (
    complexity_record,
    desk_like,
    make_record,
    memory_record,
    pixels_record,
    speed_record,
    train_cell,
    train_values,
    tune_like,
)

from bench.analyse.study import study
from bench.report.web.plot_data import value_on
from bench.report.web.points import study_plot


def plot_of_records(records):
    return study_plot(study("made-up", records, lambda cell_id: None))


def of_label(plot, label, layer="measured"):
    return [point for point in plot.points if point.label == label and point.layer == layer]


def test_a_model_is_one_point_with_accuracy_counts_and_timings():
    records = [make_record(train_cell("vit_32px_s", seed=s), train_values(80.0 + s)) for s in range(3)]
    records += [complexity_record("vit_32px_s", 1.5e6), memory_record("vit_32px_s", 20.0)]
    records += [speed_record("vit_32px_s", repeat, 1000.0) for repeat in range(5)]
    (point,) = of_label(plot_of_records(records), "ViT S")
    assert point.values["top1:textures"].value == 81.0
    assert point.values["macs"].value == 1.5e6
    assert point.values["throughput"].value == pytest.approx(1000.0)
    assert point.values["latency_p50"].value == pytest.approx(2.5)
    assert point.values["memory_process"].value == 20.0
    assert len(point.values["top1:textures"].records) == 3
    assert len(point.values["throughput"].records) == 5
    assert "3 seeds; 8\u202f190 training and 2\u202f000 test images" in point.values["top1:textures"].conditions
    assert ("Settings", "cpu, fp32, channels_last, eager") in point.facts


def test_training_compute_is_that_of_the_data_set_on_the_other_axis():
    records = [
        make_record(train_cell("vit_32px_s", "textures"), train_values(80.0, gflop=250.0)),
        make_record(train_cell("vit_32px_s", "digits"), train_values(90.0, gflop=500.0)),
    ]
    (point,) = of_label(plot_of_records(records), "ViT S")
    assert value_on(point, "train_flop", "top1:textures").value == 250e9
    assert value_on(point, "train_flop", "top1:digits").value == 500e9
    assert value_on(point, "train_flop", "macs") is None


def test_smaller_training_sets_are_shown_along_their_own_axis_alone():
    plot = plot_of_records(desk_like())
    smaller = [point for point in of_label(plot, "ViT M") if not point.is_main]
    assert len(smaller) == 2 * 2  # two sizes on two sets
    assert all(point.along == {"train_images": "ViT M"} for point in smaller)


def test_timings_of_another_batch_size_or_machine_are_not_ranked_together():
    records = [speed_record("vit_32px_s", 0, 1000.0), speed_record("resnet_32px_s", 0, 900.0, batch_size=32)]
    plot = plot_of_records([*records, complexity_record("vit_32px_s", 1e6), complexity_record("resnet_32px_s", 1e6)])
    vit, resnet = (of_label(plot, label)[0].values for label in ("ViT S", "ResNet S"))
    assert vit["throughput"].ranked_with != resnet["throughput"].ranked_with
    assert vit["latency_p50"].ranked_with == resnet["latency_p50"].ranked_with


def test_it_begins_with_the_accuracy_of_most_models_against_macs():
    plot = plot_of_records(desk_like())
    assert (plot.x, plot.y) == ("macs", "top1:shapes")


def test_without_accuracies_it_begins_with_throughput():
    records = [speed_record(model, 0, 1000.0) for model in ("vit_32px_s", "resnet_32px_s")]
    records += [complexity_record(model, 1e6) for model in ("vit_32px_s", "resnet_32px_s")]
    plot = plot_of_records(records)
    assert (plot.x, plot.y) == ("macs", "throughput")


def test_a_sweep_is_drawn_along_the_learning_rate():
    plot = plot_of_records(tune_like())
    assert (plot.x, plot.y) == ("learning_rate", "validation:textures")
    assert len([point for point in plot.points if "learning_rate" in point.along]) == len(tune_like())


@pytest.mark.parametrize("records", [[], [complexity_record("vit_32px_s", 1e6, activations=0)][:0]])
def test_no_records_give_no_plot(records):
    assert plot_of_records(records) is None


def test_fine_tuned_and_published_points_share_the_axes_of_their_sets():
    plot = plot_of_records(transfer_like())
    (measured,) = [
        p
        for p in plot.points
        if p.layer == "measured" and p.facts[0] == ("Model", VIT) and "finetuned:flowers102" in p.values
    ]
    paper = next(point for point in plot.points if point.layer == "paper")
    for axis in ("finetuned:mean", "finetuned:flowers102", "finetuned:imagenet"):
        assert axis in measured.values
        assert axis in paper.values
    assert ("Pre-training data", "ImageNet-21k") in measured.facts


def test_timms_own_results_come_with_a_model_that_it_knows():
    plot = plot_of_records([evaluate_record()])
    timm = next(p for p in plot.points if p.layer == "timm" and "augreg_in21k_ft_in1k @224" in p.label)
    assert "evaluated:imagenet" in timm.values
    assert "macs" not in timm.values  # timm's include norm layers
    assert not [point for point in plot_of_records(desk_like()).points if point.layer == "timm"]


def test_shots_other_than_the_headline_are_shown_along_the_shots_alone():
    records = [fewshot_record()]
    plot = plot_of_records(records)
    shots = {
        value_on(p, "shots", "fewshot:cifar100").value: p.is_main for p in plot.points if "fewshot:cifar100" in p.values
    }
    assert shots[5.0]
    assert not any(is_main for count, is_main in shots.items() if count != 5.0)


def test_unstable_seeds_stand_at_their_median_without_a_bar_and_are_ranked_with_nothing():
    records = [
        make_record(train_cell(model, seed=seed), train_values(top1))
        for model, values in (("vit_32px_s", (74.4, 92.0, 91.8)), ("resnet_32px_s", (80.0, 80.2, 80.4)))
        for seed, top1 in enumerate(values)
    ]
    plot = plot_of_records(records)
    ((unstable,), (stable,)) = (of_label(plot, label) for label in ("ViT S", "ResNet S"))
    value = unstable.values["top1:textures"]
    assert (value.value, value.bar, value.ranked_with) == (91.8, None, None)
    assert value.conditions.startswith("unstable seeds, their median: 74.4, 91.8, 92.0 %; 3 seeds")
    assert stable.values["top1:textures"].ranked_with == ""
    assert stable.values["top1:textures"].bar is not None


def test_the_regression_on_pixels_is_a_point_with_its_multiply_adds_and_one_at_each_smaller_size():
    records = [make_record(train_cell("vit_32px_s", seed=s, train_images=n), train_values(80.0)) for s in range(2)
               for n in (512, 8190)]  # fmt: skip
    records += [pixels_record(30.0, train_images=512), pixels_record(40.0)]
    smaller, main = sorted(of_label(plot_of_records(records), "logistic regression on pixels"), key=lambda p: p.is_main)
    assert (smaller.is_main, main.is_main) == (False, True)
    assert (smaller.values["top1:textures"].value, main.values["top1:textures"].value) == (30.0, 40.0)
    assert value_on(main, "macs", "top1:textures").value == 3 * 32 * 32 * 10
    assert value_on(smaller, "train_images", "top1:textures").value == 512
