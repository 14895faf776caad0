from synthetic_protocols import BIT, VIT, VIT_LARGE, complexity_record, evaluate_record, finetune_record

from bench.analyse.study import study
from bench.report.tables.published_tables import public_scaling_table, public_scaling_text, table_two_table
from bench.report.tables.table import render_table


def protocols(*records):
    return study("s", records, lambda cell_id: None).protocols


def test_table_two_has_three_columns_per_data_set():
    lines = render_table(table_two_table(protocols(finetune_record(VIT_LARGE, 93.0, "cifar100")))).splitlines()
    assert lines[0] == (
        "| System | Pre-training | Data set | The system [%] (published, ViT paper) | Public stand-in [%] (published) "
        "| Public stand-in [%] (measured here) |"
    )
    row = next(line for line in lines if line.startswith("| ViT-L/16") and "JFT" in line and "CIFAR-100" in line)
    cells = [cell.strip().rstrip("⁰¹²³⁴⁵⁶⁷⁸⁹") for cell in row.strip("| ").split("|")]
    # one seed, Wilson: 1.96 sqrt(0.93 x 0.07 / 10 000) = 0.50 points, and the longer arm a little more
    assert cells == ["ViT-L/16", "JFT-300M", "CIFAR-100", "93.90 ± 0.05", "93.44", "93.00 ± 0.52"]
    assert f"{VIT_LARGE} at 384 px, fine-tuned" in lines[-1]


def test_what_table_two_lacks_is_absent_with_its_reason():
    text = render_table(table_two_table(protocols(finetune_record(VIT_LARGE, 93.0, "cifar100"))))
    noisy = next(line for line in text.splitlines() if line.startswith("| Noisy") and "CIFAR-10 " in line)
    assert noisy.count("n/a") == 3
    assert "not in the paper's table" in text
    assert "the catalog has no published figure" in text
    assert "not measured here: no result of tf_efficientnet_l2.ns_jft_in1k" in text


def test_table_two_is_there_only_where_a_stand_in_was_measured():
    assert table_two_table(protocols(finetune_record(VIT, 93.0, "cifar100"))) is None
    assert table_two_table(protocols(evaluate_record("vit_large_patch16_384.augreg_in21k_ft_in1k"))) is not None


def test_public_compute_table_names_what_was_not_measured():
    records = [complexity_record("vit_base_patch16_224.in1k", 17.6e9, 224), evaluate_record("resnet50.a1_in1k")]
    lines = render_table(public_scaling_table(protocols(*records))).splitlines()
    # 6 x 17.6e9 x 300 x 14.2e6 / 1e18 = 449.9
    assert lines[6] == (
        "| vit_base_patch16_224.augreg_in21k | ViT | AugReg | 300¹ | 4\u202f260 | 17.6 | 450 | not measured here "
        "| not measured here |"
    )
    assert len(lines) == 2 + 16 + 2
    assert "None of these checkpoints was measured here." in public_scaling_text(protocols(*records))


def test_public_compute_table_shows_the_measured_mean():
    records = [complexity_record("resnetv2_50x1_bit.in1k", 4.2e9, 224)]
    records += [finetune_record(BIT, 80.0, name, seed) for name in ("pets", "imagenet") for seed in range(2)]
    found = protocols(*records)
    row = next(line for line in render_table(public_scaling_table(found)).splitlines() if line.startswith(f"| {BIT}"))
    # pets 1.3 and ImageNet 0.35 points: half the root of the sum of squares
    assert row.endswith("| 32.2 | 80.0 ± 0.7 | 80.0 ± 0.4 |")
    assert "Accuracies of 1 checkpoint: fine-tuned here over Oxford-IIIT Pets and ImageNet" in public_scaling_text(
        found
    )


def test_a_suite_without_these_protocols_has_no_public_table():
    assert public_scaling_table(protocols(complexity_record("vit_base_patch16_224.in1k", 17.6e9, 224))) is None
