from synthetic_protocols import BIT, VIT, evaluate_record, fewshot_record, finetune_record, predictions_of

from bench.analyse.study import study
from bench.report.tables.table import render_table
from bench.report.tables.weights_tables import USUAL_CAUSES, evaluate_table, fewshot_table, record_notes, strata_table

AUGREG, GOOG = "vit_base_patch16_224.augreg_in21k_ft_in1k", "resnetv2_50x1_bit.goog_in21k_ft_in1k"


def none(cell_id):
    return None


def protocols(*records, predictions=none):
    return study("s", records, predictions).protocols


def test_evaluate_table_whole():
    # 84.534 %: Wilson's longer arm sqrt(0.84534 x 0.15466 / 50 000) x 1.96 = 0.317 + 0.003 points
    fine = evaluate_record(
        values={"published_top1_pct": 84.5, "published_source": "timm's results", "delta_pp": 0.034, "self_check": "ok",
                "self_check_note": "Within 0.1 points.",
                "real_top1_pct": 88.0, "real_images": 46837}
    )  # fmt: skip
    wrong = evaluate_record(
        GOOG, 39_600, resolution_px=448,
        values={"published_top1_pct": 80.386, "delta_pp": -1.186, "self_check": "differs", "macs": 16.6e9,
                "self_check_note": "over 0.1 points", "top5_pct": None},
    )  # fmt: skip
    apart = {"self_check_note": "Not compared: a file."}
    file = evaluate_record(correct=40_000, weights="sha256 0123456789abcdef", values=apart)
    assert render_table(evaluate_table(protocols(wrong, file, fine))) == "\n".join(
        [
            "| Model | Family | Weights | Pre-training data | Data set | Res. [px] | MACs [G] | Top-1 [%] "
            "(measured here) "
            "| Top-5 [%] | Mean per class [%] | ReaL [%] | Top-1 [%] (published) | Difference [points] | Self-check |",
            "|:---|:---|:---|:---|:---|---:|---:|---:|---:|---:|---:|---:|---:|:---|",
            f"| ViT-B/16 | ViT | {AUGREG} | ImageNet-21k then ImageNet-1k | ImageNet (ILSVRC-2012) | 224 | 17.6 "
            "| 84.53 ± 0.32 | 97.29 | 84.53 | 88.00 ± 0.30¹ | 84.50² | +0.03 | ok |",
            "| ViT-B/16 file 01234567 | ViT | file sha256 0123456789abcdef | not stated³ | ImageNet (ILSVRC-2012) | "
            "224 | 17.6 "
            "| 80.00 ± 0.35 | 97.29 | 80.00 | n/a⁴ | n/a⁵ | n/a⁵ | no reference |",
            f"| BiT-M R50x1 | CNN | {GOOG} | ImageNet-21k then ImageNet-1k | ImageNet (ILSVRC-2012) | 448 | 16.6 "
            "| 79.20 ± 0.36 | n/a⁶ | 79.20 | n/a⁴ | 80.39 | −1.19⁷ | **differs**⁸ |",
            "",
            '¹ over 46\u202f837 images that have ReaL labels<br>² timm\'s results<br>³ `pretraining = "..."` beside '
            "`weights` in the suite says it; rows without are compared with one another<br>"
            "⁴ ReaL labels are of ImageNet's validation images alone<br>"
            "⁵ Not compared: a file.<br>"
            f"⁶ fewer than five classes<br>⁷ over 0.1 points<br>⁸ {USUAL_CAUSES}",
        ]
    )


def test_causes_that_a_record_names_stand_at_the_self_check():
    values = {"published_top1_pct": 85.0, "delta_pp": -0.5, "self_check": "differs"}
    values["self_check_note"] = "Half a point below. Usual causes: another crop."
    text = render_table(evaluate_table(protocols(evaluate_record(values=values))))
    assert "| −0.50² | **differs**³ |" in text
    assert text.endswith("² Half a point below.<br>³ usual causes: another crop.")


def test_one_shot_without_leave_one_out_says_why():
    record = fewshot_record(VIT, 70.0, shots=(1, 5))
    results = [row for row in record.values["results"] if (row["shots"], row["rule"]) != (1, "loo")]
    other = fewshot_record(BIT, 70.0, shots=(1, 5))
    ours = record.model_copy(update={"values": {**record.values, "results": results}})
    text = render_table(fewshot_table(protocols(ours, other)))
    assert "without the one image of a class nothing is left of it" in text


def test_fewshot_table_whole():
    # no spread between draws: 1.96 x sqrt(0.7 x 0.3 / 10 000) = 0.9 points at 70 %
    ours = fewshot_record(VIT, 70.0, shots=(5,), spread=0.0)
    theirs = fewshot_record(
        BIT, 50.0, shots=(5, 10), draws=1,
        values={"overlap": True, "overlap_note": "has seen them", "feature_width": 2048, "layer": "pooled"},
    )  # fmt: skip
    assert render_table(fewshot_table(protocols(ours, theirs))) == "\n".join(
        [
            "| Model | Family | Weights | Pre-training data | Data set | Res. [px] | Layer | Width | Overlap "
            "| 5-shot, fixed λ: top-1 [%] | 5-shot, λ by leave-one-out: top-1 [%] | 10-shot, fixed λ: top-1 [%] "
            "| 10-shot, λ by leave-one-out: top-1 [%] |",
            "|:---|:---|:---|:---|:---|---:|:---|---:|:---|---:|---:|---:|---:|",
            f"| ViT-B/16 | ViT | {VIT} | ImageNet-21k | CIFAR-100 | 224 | pre_logits | 768 | no | 70.0 ± 0.9 "
            "| 71.0 ± 0.9 | n/a¹ | n/a¹ |",
            f"| BiT-M R50x1 | CNN | {BIT} | ImageNet-21k | CIFAR-100 | 224 | pooled | 2048 | yes² | 50.0 ± 1.0³ "
            "| 51.0 ± 1.0³ | 55.0 ± 1.0³ | 56.0 ± 1.0³ |",
            "",
            "¹ not measured with so many images a class<br>² has seen them<br>³ one run: the interval is over test "
            "images alone",
        ]
    )


def paired(better, worse):
    """Two checkpoints of which the first gets 20 images right that the second does not, and none the other way."""
    frames = {
        better.cell_id: predictions_of([True] * 800 + [False] * 200),
        worse.cell_id: predictions_of([True] * 780 + [False] * 220),
    }
    return protocols(better, worse, predictions=frames.get)


def test_strata_table_whole():
    # exact McNemar: 2 x 0.5^20 = 2e-6
    better, worse = evaluate_record(correct=800, images=1000), evaluate_record(GOOG, 780, 1000)
    table = strata_table(paired(better, worse))
    assert render_table(table) == "\n".join(
        [
            "| Data set | Protocol | Pre-training data | Compared | Best | Best [%] | Not separable from it |",
            "|:---|:---|:---|---:|:---|---:|:---|",
            "| ImageNet (ILSVRC-2012) | evaluated | ImageNet-21k then ImageNet-1k | 2 | ViT-B/16 | 80.0 | none |",
        ]
    )
    assert set(table.rows[0][3].records) == {better.cell_id, worse.cell_id}
    assert table.rows[0][5].records == (better.cell_id,)


def test_without_paired_predictions_near_checkpoints_are_not_separable():
    # unpaired: 2.0 points with a standard error of 1.8
    alone = render_table(
        strata_table(protocols(evaluate_record(correct=800, images=1000), evaluate_record(GOOG, 780, 1000)))
    )
    assert "| 2 | ViT-B/16 | 80.0 | BiT-M R50x1 |" in alone


def test_an_unstable_checkpoint_is_in_no_ranking_and_named_at_the_foot():
    seeds = [finetune_record(VIT, top1, "pets", i) for i, top1 in enumerate((70.0, 88.0, 89.0))]
    seeds += [finetune_record(BIT, 80.0, "pets", i) for i in range(3)]
    table = strata_table(protocols(*seeds))
    assert [cell.text for cell in table.rows[0][3:]] == ["1", "BiT-M R50x1", "80.0", "none"]
    assert table.notes == ("not ranked for unstable seeds: ViT-B/16",)


def test_notes_of_records_are_told_once_with_their_rows():
    records = [
        evaluate_record(model, resolution_px=px, values={"notes": ["the images were *cropped*"]})
        for model, px in ((AUGREG, 224), (GOOG, 448))
    ]
    found = protocols(*records)
    assert record_notes(found.evaluated, [found.labels[one.subject] for one in found.evaluated]) == [
        r"the images were \*cropped\* (BiT-M R50x1 on ImageNet (ILSVRC-2012) and ViT-B/16 on ImageNet (ILSVRC-2012))"
    ]


def test_nothing_measured_makes_no_table():
    assert evaluate_table(protocols()) is None
    assert fewshot_table(protocols()) is None
    assert strata_table(protocols(evaluate_record())) is None
