import pytest
from records import trained

from bench.analyse.crossings import crossovers
from bench.analyse.frame import training_frame
from bench.analyse.identity import ModelIdentity, identify_dataset, identify_model
from bench.analyse.scores import trained_scores


def found_in(records, *datasets):
    frame = training_frame(records)
    identities = {name: identify_model(name) for name in frame["model"].unique()}
    scores = trained_scores(frame, identities, lambda cell_id: None)
    return crossovers(scores, [identify_dataset(name) for name in datasets or ("textures",)])


def runs(model, mean, **more):
    return [trained(model, seed, mean + shift, **more) for seed, shift in enumerate((-0.2, 0, 0.2))]


def along_images(vit, cnn, size="m", **more):
    records = []
    for images, ours, theirs in zip((500, 1000, 2000), vit, cnn, strict=True):
        records += runs(f"vit_32px_{size}", ours, images=images, **more)
        records += runs(f"resnet_32px_{size}", theirs, images=images, **more)
    return records


def test_a_vit_passes_a_cnn_along_training_images():
    (found,) = found_in(along_images((40, 60, 80), (55, 60.0001, 70)))
    assert (found.axis, found.first, found.second, found.size_class) == ("training images", "vit", "cnn", "M")
    assert found.crossing.state == "passes"
    assert found.crossing.estimate == pytest.approx(1000, rel=0.01)
    assert len(found.crossing.cell_ids) == 18


def test_sizes_of_other_budgets_are_no_place_of_the_axis():
    records = along_images((40, 60, 80), (55, 60, 70))
    records += runs("vit_32px_m", 99, images=4000, budget=3.0) + runs("resnet_32px_m", 50, images=4000)
    (found,) = found_in(records)
    assert found.crossing.high_x == 2000


def test_each_budget_is_a_place_along_training_compute():
    records = []
    for budget, ours, theirs in ((1.0, 50, 60), (2.0, 60, 65), (4.0, 72, 68)):
        records += runs("vit_32px_m", ours, budget=budget) + runs("resnet_32px_m", theirs, budget=budget)
    (found,) = found_in(records)
    assert found.axis == "training compute"
    assert (found.crossing.low_x, found.crossing.high_x) == (1e9, 4e9)
    # -5 at 2 GFLOP and +4 at 4: five ninths of a doubling
    assert found.crossing.estimate == pytest.approx(2e9 * 2 ** (5 / 9))


def test_sets_with_a_flaw_are_left_out_of_the_mean_over_sets():
    records = [
        one
        for name in ("textures", "shapes", "digits")
        for one in along_images((40, 60, 80), (55, 60.0001, 70), dataset=name)
    ]
    found = found_in(records, "textures", "shapes", "digits")
    assert [one.datasets for one in found] == [("textures",), ("shapes",), ("digits",), ("textures", "shapes")]


def test_one_place_is_no_axis():
    assert found_in(runs("vit_32px_m", 50) + runs("resnet_32px_m", 60)) == []


def test_a_family_of_one_size_meets_only_its_own_size_class():
    records = along_images((40, 60, 80), (55, 60, 70)) + along_images((1, 2, 3), (90, 91, 92), size="s", budget=0.5)
    classes = {one.size_class: one.crossing.state for one in found_in(records) if one.axis == "training images"}
    assert classes == {"M": "passes", "S": "behind throughout"}


def test_each_series_is_followed_on_its_own():
    records = along_images((40, 60, 80), (55, 60.0001, 70))
    for images, top1 in zip((500, 1000, 2000), (90, 91, 92), strict=True):
        records += runs("mbconv_32px_m", top1, images=images)
    found = {(one.first_series, one.second_series): one.crossing.state for one in found_in(records)}
    assert found == {("ViT", "MBConv"): "behind throughout", ("ViT", "ResNet"): "passes"}


def test_models_of_no_series_are_compared_as_families():
    records = []
    for images, ours, theirs in zip((500, 1000), (40, 80), (55, 70), strict=True):
        records += runs("vit_32px_m", ours, images=images) + runs("resnet_32px_m", theirs, images=images)
        records += runs("mine.py:net", 10, images=images)
    frame = training_frame(records)
    identities = {name: identify_model(name) for name in frame["model"].unique()}
    identities["mine.py:net"] = ModelIdentity("mine.py:net", "mine.py:net", "cnn", "M")
    scores = trained_scores(frame, identities, lambda cell_id: None)
    (one,) = crossovers(scores, [identify_dataset("textures")])
    assert (one.first_series, one.second_series) == ("", "")
