import pytest
from records import counted

from bench.analyse.claims.published import compare_scaling, compare_sota, compare_timm
from bench.store.rows import task_rows


def test_training_exaflops_of_table_6_are_six_macs_epochs_images():
    rows = compare_scaling(task_rows([counted("vit_base_patch16_224.augreg_in21k", 17_580_000_000)], "complexity"))
    one = next(row for row in rows if row.row.name == "ViT-B/16")
    assert one.exaflops == pytest.approx(6 * 17.58e9 * 7 * 303e6 / 1e18)
    assert one.difference_pct == pytest.approx(100 * (one.exaflops / 224 - 1))


def test_another_resolution_or_architecture_gives_no_computed_figure():
    rows = compare_scaling(task_rows([counted("vit_base_patch16_224.x", 10, resolution=384)], "complexity"))
    assert all(row.macs is None and row.difference_pct is None for row in rows)


def test_a_tag_with_1000_classes_stands_for_the_architecture():
    records = [counted("vit_base_patch32_224.a_in21k", 2), counted("vit_base_patch32_224.b_in1k", 1)]
    rows = compare_scaling(task_rows(records, "complexity"))
    assert next(row for row in rows if row.row.name == "ViT-B/32").macs == 1


def test_implied_speed_of_table_2_is_exaflops_over_core_days():
    rows = compare_sota(task_rows([counted("vit_huge_patch14_224.orig_in21k", 167_400_000_000)], "complexity"))
    one = next(row for row in rows if row.row.system == "ViT-H/14")
    assert one.tflops_per_core == pytest.approx(one.exaflops * 1e18 / (2500 * 86400) / 1e12)
    assert one.tflops_per_core == pytest.approx(19.7, abs=0.1)


def test_a_system_without_an_epoch_count_has_no_exaflops():
    rows = compare_sota(task_rows([counted("tf_efficientnet_l2.ns_jft_in1k", 10, resolution=800)], "complexity"))
    assert next(row for row in rows if "Noisy" in row.row.system).exaflops is None


def test_timms_macs_are_compared_with_norm_layers_counted():
    name = "vit_base_patch16_224.augreg_in21k_ft_in1k"
    (one,) = compare_timm(task_rows([counted(name, 17_500_000_000, norm_macs=80_000_000)], "complexity"))
    assert one.macs_with_norms == 17_580_000_000
    assert one.is_within_tolerance
    assert one.difference_gmacs == pytest.approx(0.0, abs=0.01)
