import pytest

from bench.catalog.papers import training_exaflops
from bench.catalog.public_checkpoints import find_public_pretraining, public_pretraining


def test_every_row_names_its_source_and_how_sure_it_is():
    rows = public_pretraining()
    assert len(rows) == 16
    assert all(row.source.startswith("https://") and row.status for row in rows.values())


def test_images_seen_are_epochs_times_images():
    assert public_pretraining()["vit_base_patch16_224.augreg_in21k"].images_seen == 300 * 14_200_000
    assert public_pretraining()["resnetv2_50x1_bit.goog_in21k"].images_seen == 90 * 14_200_000


def test_what_is_not_known_for_certain_is_marked():
    assert all("from memory" in row.status for row in public_pretraining().values())


def test_compute_of_a_public_vit_follows_from_its_macs():
    # 6 x 17.58e9 x 300 x 14.2e6 / 1e18
    row = public_pretraining()["vit_base_patch16_224.augreg_in21k"]
    assert training_exaflops(17.58e9, row.images_seen) == pytest.approx(449.3, abs=0.1)


def test_rows_are_pre_trained_at_224_on_imagenet_21k():
    assert {(row.resolution_px, row.pretraining) for row in public_pretraining().values()} == {(224, "ImageNet-21k")}


def test_other_weights_have_no_row():
    assert find_public_pretraining("vit_base_patch16_224.augreg_in1k") is None
