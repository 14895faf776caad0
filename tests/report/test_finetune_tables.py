from synthetic_protocols import BIT, FIVE, VIT, finetune_record

from bench.analyse.study import study
from bench.report.tables.finetune_tables import (
    finetune_means_table,
    finetune_table,
    gains_table,
    mean_caption,
    sweep_table,
    training_speed_table,
)
from bench.report.tables.table import render_table


def protocols(*records):
    return study("s", records, lambda cell_id: None).protocols


def seeds(model, top1, dataset, **more):
    """Three seeds without spread: intervals are those of the test images alone."""
    return [finetune_record(model, top1, dataset, seed, **more) for seed in range(3)]


def small():
    return [
        *seeds(VIT, 90.0, "pets"),
        *seeds(VIT, 80.0, "imagenet"),
        *seeds(BIT, 70.0, "imagenet"),
        *seeds(BIT, 85.0, "pets"),
        *seeds(VIT, 50.0, "pets", weights="random", rate=0.03),
    ]


def test_means_table_whole():
    # 1.96 sqrt(p (1 - p) / n): pets 1.0, 1.2 and 1.6 of 3 669; ImageNet 0.4 of 50 000; means half the root of the sum
    assert render_table(finetune_means_table(protocols(*small()))) == "\n".join(
        [
            "| Model | Family | Weights | Pre-training data | Res. [px] | MACs [G] | Oxford-IIIT Pets: top-1 [%] "
            "| Mean of 2 sets: top-1 [%] | ImageNet (ILSVRC-2012): top-1 [%] |",
            "|:---|:---|:---|:---|---:|---:|---:|---:|---:|",
            f"| ViT-B/16 | ViT | {VIT} | ImageNet-21k | 384 | 55.5 | 90.0 ± 1.0 | 85.0 ± 0.5 | 80.0 ± 0.4 |",
            "| ViT-B/16 from scratch | ViT | from scratch | none (from scratch) | 384 | 55.5 | 50.0 ± 1.6 | n/a¹ "
            "| n/a² |",
            f"| BiT-M R50x1 | CNN | {BIT} | ImageNet-21k | 384 | 12.4 | 85.0 ± 1.2 | 77.5 ± 0.6 | 70.0 ± 0.4 |",
            "",
            "¹ not measured on all of the averaged sets<br>² not fine-tuned on this set, or every run failed "
            "(see below)",
        ]
    )


def test_five_sets_make_the_papers_mean_and_fewer_do_not():
    whole = protocols(*(finetune_record(VIT, 90.0, name) for name in FIVE))
    assert "Mean of the five sets: top-1 [%]" in render_table(finetune_means_table(whole))
    assert mean_caption(whole).startswith("The mean is that of the paper's Figure 5")
    four = protocols(*(finetune_record(VIT, 90.0, name) for name in FIVE[:4]))
    assert "Mean of 4 sets: top-1 [%]" in render_table(finetune_means_table(four))
    assert "not the paper's five" in mean_caption(four)
    apart = protocols(finetune_record(VIT, 90.0, "pets"), finetune_record(BIT, 90.0, "cifar10"))
    assert "Mean" not in render_table(finetune_means_table(apart))
    assert mean_caption(apart) == "No mean over sets: fewer than two were measured for every model."


def test_imagenet_is_the_last_column():
    head = render_table(finetune_means_table(protocols(*small()))).splitlines()[0]
    assert head.endswith("ImageNet (ILSVRC-2012): top-1 [%] |")


def test_details_table_whole():
    records = [
        finetune_record(VIT, 90.0, "pets", rate=0.01),
        finetune_record(VIT, 95.0, "pets", rate=0.03),
        finetune_record(VIT, 88.0, "pets", 9, rate=0.01, part="validation"),
        finetune_record(VIT, 87.0, "pets", 9, rate=0.03, part="validation"),
        finetune_record(BIT, 80.0, "pets", name="bit", rate=0.003, values={"top5_pct": None}),
    ]
    assert render_table(finetune_table(protocols(*records))) == "\n".join(
        [
            "| Model | Family | Weights | Pre-training data | Data set | Top-1 [%] | Top-5 [%] | Mean per class [%] "
            "| Seeds | Training images | Steps | Recipe | Learning rate | Recipes tried |",
            "|:---|:---|:---|:---|:---|---:|---:|---:|---:|---:|---:|:---|---:|---:|",
            f"| ViT-B/16 | ViT | {VIT} | ImageNet-21k | Oxford-IIIT Pets | 90.0 ± 1.0¹ | 95.00 | 89.50 | 1 "
            "| 50\u202f000 | 500 | ViT paper | 0.01² | 2 |",
            f"| BiT-M R50x1 | CNN | {BIT} | ImageNet-21k | Oxford-IIIT Pets | 80.0 ± 1.3¹ | n/a³ | 79.50 | 1 "
            "| 50\u202f000 | 500 | BiT HyperRule | 0.003⁴ | none |",
            "",
            "¹ one run: the interval is over test images alone<br>² the best of 2 recipes on validation"
            "<br>³ fewer than five classes<br>⁴ given in the suite file, not chosen on validation in "
            "this suite",
        ]
    )


def test_sweep_table_whole():
    records = [
        finetune_record(VIT, top1, "pets", 9, rate=rate, part="validation")
        for rate, top1 in ((0.003, 80.0), (0.01, 85.0))
    ]
    records += [
        finetune_record(BIT, 70.0, "pets", 9, rate=0.01, part="validation"),
        finetune_record(BIT, 72.0, "pets", 9, rate=0.003, name="bit", part="validation"),
        finetune_record(
            VIT, 0.0, "pets", 9, rate=0.06, part="validation", record={"status": "failed", "reason": "NaN"}
        ),
    ]
    assert render_table(sweep_table(protocols(*records))) == "\n".join(
        [
            "| Model | Weights | Data set | ViT paper, 0.003: top-1 [%] | ViT paper, 0.01: top-1 [%] "
            "| ViT paper, 0.06: top-1 [%] | BiT HyperRule, 0.003: top-1 [%] | Chosen | Remark |",
            "|:---|:---|:---|---:|---:|---:|---:|:---|:---|",
            f"| ViT-B/16 | {VIT} | Oxford-IIIT Pets | 80.0 | **85.0** | failed | – | ViT paper, 0.01 |  |",
            f"| BiT-M R50x1 | {BIT} | Oxford-IIIT Pets | – | 70.0 | – | **72.0** | BiT HyperRule, 0.003 |  |",
        ]
    )


def test_a_best_rate_at_the_edge_is_remarked():
    records = [
        finetune_record(VIT, top1, "pets", 9, rate=rate, part="validation")
        for rate, top1 in ((0.003, 80.0), (0.01, 85.0))
    ]
    assert "| at the upper edge: extend the grid |" in render_table(sweep_table(protocols(*records)))
    assert "| one recipe tried: nothing was chosen |" in render_table(sweep_table(protocols(records[0])))


def test_gains_table_whole():
    # 1.96 sqrt((0.9 x 0.1 + 0.5 x 0.5) / 3 669) = 1.9 points
    assert render_table(gains_table(protocols(*small()))) == "\n".join(
        [
            "| Model | Data set | Pretrained [%] | From scratch [%] | Difference [points] "
            "| Learning rates (pretrained, scratch) | Pretraining |",
            "|:---|:---|---:|---:|---:|---:|:---|",
            "| ViT-B/16 | Oxford-IIIT Pets | 90.0 ± 1.0 | 50.0 ± 1.6 | **+40.0 [38.1, 41.9]** | 0.01, 0.03¹ | helps |",
            "",
            "¹ not swept: pretrained and from scratch",
        ]
    )


def test_training_speed_table_whole():
    record = finetune_record(VIT, 90.0, "pets", values={"model_img_per_s": None})
    assert render_table(training_speed_table(protocols(record))) == "\n".join(
        [
            "| Model | Weights | Data set | Family | Res. [px] | MACs [G] | Processes | Micro-batch | Training [img/s] "
            "| Pipeline alone [img/s] | Model alone [img/s] | Waiting [% of time] |",
            "|:---|:---|:---|:---|---:|---:|---:|---:|---:|---:|---:|---:|",
            f"| ViT-B/16 | {VIT} | Oxford-IIIT Pets | ViT | 384 | 55.5 | 1 | 64 | 162 | 5\u202f000 | n/a¹ | 2.1 |",
            "",
            "¹ not recorded",
        ]
    )


def test_every_number_traces_to_its_records():
    records = seeds(VIT, 90.0, "pets")
    table = finetune_means_table(protocols(*records))
    cell = table.rows[0][6]
    assert (cell.value, set(cell.records)) == (90.0, {record.cell_id for record in records})
