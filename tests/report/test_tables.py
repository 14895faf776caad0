from synthetic_store import (
    complexity_record,
    make_record,
    memory_record,
    speed_record,
    train_cell,
    train_values,
)

from bench.analyse.study import study
from bench.report.tables.main_table import METRICS, Metric, main_table
from bench.report.tables.published_tables import scaling_table, timm_table
from bench.report.tables.table import render_table
from bench.report.tables.timing_tables import speed_table
from bench.report.tables.training_tables import (
    budget_differences_table,
    differences_table,
    learning_rates_table,
    size_differences_table,
    training_sizes_table,
)


def none(cell_id):
    return None


def small_store():
    """Two models, one set, seeds without spread (so that expected intervals are the binomial part alone)."""
    records = [
        complexity_record("vit_32px_s", 1.6e6),
        complexity_record("resnet_32px_s", 1.5e6, certificate="differs", note="conv_x"),
    ]
    for seed in range(3):
        records.append(make_record(train_cell("vit_32px_s", seed=seed), train_values(80.0)))
        records.append(make_record(train_cell("resnet_32px_s", seed=seed), train_values(90.0)))
    records += [speed_record("vit_32px_s", repeat, 1000.0) for repeat in range(2)]
    return [*records, memory_record("vit_32px_s", 12.345)]


def test_a_budget_that_rests_on_uncertified_macs_is_marked_where_nothing_else_counts_them():
    doubted = {**train_values(80.0), "certificate": "differs", "certificate_note": "fvcore sees no product in: x"}
    records = [make_record(train_cell("vit_32px_s", seed=seed), doubted) for seed in range(3)]
    lines = render_table(main_table(study("s", records, none))).splitlines()
    assert "| 2.00¹ |" in lines[2]
    assert lines[4] == "¹ MACs not certified: fvcore sees no product in: x"


def test_main_table_whole():
    # 1.96 * sqrt(0.8 * 0.2 / 2000) = 1.8 %; 1.96 * sqrt(0.9 * 0.1 / 2000) = 1.3 %
    assert render_table(main_table(study("s", small_store(), none))) == "\n".join(
        [
            "| Model | Family | Params [M] | MACs [M] | Certificate | Wave textures: top-1 [%] | Training [TFLOP] | "
            "Epochs | Training [img/s] | Throughput, batch 64 [img/s] | Latency p50 / p99 [ms] | Peak memory [MiB] |",
            "|:---|:---|---:|---:|:---|---:|---:|---:|---:|---:|---:|---:|",
            "| ViT S (vit_32px_s) | ViT | 0.160 | 1.60 | ok | 80.0 ± 1.8 | 0.25 | 39.1 | 2\u202f000 | "
            "1\u202f000¹ | 2.50 / 3.30 | 12.3² |",
            "| ResNet S (resnet_32px_s) | CNN | 0.150 | 1.50 | differs³ | **90.0 ± 1.4** | 0.25 | 39.1 | 2\u202f000 | "
            "n/a⁴ | n/a⁴ | n/a⁵ |",
            "",
            "¹ fewer than five processes: no interval<br>"
            "² CPU: growth of the process's resident memory, at batch 64, in a pass of its own<br>³ conv_x<br>"
            "⁴ not timed on this machine<br>⁵ memory not measured on this machine",
        ]
    )


def runs(model, *top1, **more):
    return [make_record(train_cell(model, seed=seed, **more), train_values(v)) for seed, v in enumerate(top1)]


def lines(table):
    return render_table(table).splitlines()


def test_models_that_cannot_be_told_from_the_best_are_bold_with_it():
    records = [
        *runs("vit_32px_s", 80.0, 80.0, 80.0),
        *runs("resnet_32px_s", 90.0, 90.0, 90.0),
        *runs("mbconv_32px_s", 90.5, 90.5, 90.5),
    ]
    shown = {row[2:12].strip(): "**" in row for row in lines(main_table(study("s", records, none)))[2:5]}
    assert shown == {"ViT S (vit": False, "ResNet S (": True, "MBConv S (": True}


def unstable_store():
    """A model whose seeds lie 18 points apart: t of 2 degrees of freedom gives 90.3 ± 25.6."""
    return [*runs("vit_32px_s", 74.4, 92.0, 91.8), *runs("resnet_32px_s", 98.0, 98.2, 98.4)]


def test_an_unstable_model_shows_every_seed_and_is_in_no_ranking():
    analysed = study("s", unstable_store(), none)
    vit, resnet = main_table(analysed).rows
    cell = next(c for c in vit if "/" in c.text and c.value == 91.8)  # the median
    assert cell.text == "74.4 / 91.8 / 92.0 (2 of 3)"
    assert cell.more == (("seed 0", 74.4), ("seed 1", 92.0), ("seed 2", 91.8))
    assert not cell.is_bold
    assert "so in no ranking" in main_table(analysed).notes[cell.mark - 1]
    assert [c.text for c in resnet if c.is_bold] == ["98.2 ± 0.7"]


def test_an_unstable_model_is_in_no_difference():
    (row,) = differences_table(study("s", unstable_store(), none)).rows
    assert (row[0].text, row[1].text, row[1].value, row[1].is_bold) == ("ViT S − ResNet S", "unstable", None, False)


def test_differences_table_whole():
    assert render_table(differences_table(study("s", small_store(), none))) == "\n".join(
        [
            "| First minus second | Wave textures [points] |",
            "|:---|---:|",
            "| ViT S − ResNet S | **−10.0 [−12.2, −7.8]** |",
        ]
    )


def test_a_difference_is_bold_just_where_its_interval_leaves_zero_out():
    # images alone: 1.96 sqrt(2 x 0.8 x 0.2 / 2000) = 2.48 points
    for gap, is_bold in ((2.4, False), (2.6, True)):
        records = [*runs("vit_32px_s", *[80.0] * 3), *runs("resnet_32px_s", *[80.0 - gap] * 3)]
        ((_, cell),) = differences_table(study("s", records, none)).rows
        low, high = (end for _, end in cell.more)
        assert cell.is_bold is is_bold
        assert (low > 0) is is_bold
        assert high > gap


def test_one_seed_has_a_difference_without_an_interval():
    ((_, cell),) = differences_table(study("s", [*runs("vit_32px_s", 60.0), *runs("resnet_32px_s", 90.0)], none)).rows
    assert (cell.text, cell.is_bold, cell.more) == ("−30.0", False, ())


def test_models_of_other_sizes_and_budgets_do_not_meet():
    other_size = [*runs("vit_32px_s", 80.0, 80.0), *runs("resnet_32px_m", 90.0, 90.0)]
    assert differences_table(study("s", other_size, none)) is None
    other_budget = [*runs("vit_32px_s", 80.0, 80.0), *runs("resnet_32px_s", 90.0, 90.0, budget_gflop=500.0)]
    assert differences_table(study("s", other_budget, none)) is None


def test_only_pairs_with_several_sizes_are_in_the_table_of_sizes():
    records = [
        record
        for images in (512, 2048)
        for model, top1 in (("vit_32px_m", 70.0), ("resnet_32px_m", 80.0))
        for record in runs(model, top1, top1, train_images=images)
    ]
    records += [*runs("vit_32px_s", 80.0, 80.0, train_images=2048), *runs("resnet_32px_s", 90, 90, train_images=2048)]
    assert lines(size_differences_table(study("s", records, none))) == [
        "| First minus second | Data set | 512 images [points] | 2\u202f048 images [points] |",
        "|:---|:---|---:|---:|",
        "| ViT M − ResNet M | Wave textures | **−10.0 [−12.7, −7.3]** | **−10.0 [−12.7, −7.3]** |",
    ]


def test_the_sign_of_a_difference_is_told_at_every_budget_that_was_run():
    records = [
        record
        for budget, vit in ((250.0, 75.0), (500.0, 80.0), (1000.0, 85.0))
        for model, top1 in (("vit_32px_s", vit), ("resnet_32px_s", 80.0))
        for record in runs(model, top1, top1, budget_gflop=budget)
    ]
    (row,) = budget_differences_table(study("s", records, none)).rows
    assert [(cell.text[:4], cell.is_bold) for cell in row[2:]] == [("−5.0", True), ("0.0 ", False), ("+5.0", True)]


def test_sizes_table_has_a_column_per_size():
    records = [
        make_record(train_cell("vit_32px_s", seed=s, train_images=n), train_values(v))
        for n, v in ((512, 60.0), (2048, 70.0))
        for s in range(2)
    ]
    assert render_table(training_sizes_table(study("s", records, none))) == "\n".join(
        [
            "| Model | Data set | 512 images: top-1 [%] | 2\u202f048 images: top-1 [%] |",
            "|:---|:---|---:|---:|",
            "| ViT S | Wave textures | 60.0 ± 2.2 | 70.0 ± 2.0 |",
        ]
    )


def test_another_machine_is_marked_and_in_no_ratio():
    records = [speed_record(m, r, rate, machine=machine)
               for m, rate in (("vit_32px_s", 100.0), ("resnet_32px_s", 200.0))
               for machine, rounds in (("home", 3), ("away", 1)) for r in range(rounds)
               if machine == "home" or m == "resnet_32px_s"]  # fmt: skip
    records += [complexity_record("vit_32px_s", 1.6e6), complexity_record("resnet_32px_s", 1.6e6)]
    table = render_table(speed_table(study("s", records, none)))
    assert "| ResNet S | home | 64 | 3 | 200¹ | 2.00 × | ViT S |" in table
    assert "| ResNet S | away² | 64 | 1 | 200¹ | – | – |" in table


def test_five_processes_have_the_range_of_their_median_and_a_ratio_with_its_own():
    rates = (100.0, 103.0, 101.0, 102.0, 150.0)
    records = [speed_record("vit_32px_s", r, rate) for r, rate in enumerate(rates)]
    records += [speed_record("resnet_32px_s", r, 2 * rate + r) for r, rate in enumerate(rates)]
    records += [complexity_record("vit_32px_s", 1.6e6), complexity_record("resnet_32px_s", 1.6e6)]
    vit, resnet = lines(speed_table(study("s", records, none)))[2:4]
    assert "| 102 [100, 150] |" in vit
    assert "| 207 [200, 304] | 2.02 × [2.00, 2.03] | ViT S |" in resnet


def test_sweep_table_whole():
    records = [
        make_record(train_cell("vit_32px_s", scored_part="validation", learning_rate=rate), train_values(v))
        for rate, v in ((0.001, 70.0), (0.003, 75.0))
    ]
    assert render_table(learning_rates_table(study("tune", records, none))) == "\n".join(
        [
            "| Model | Training [TFLOP] | 0.001: top-1 [%] | 0.003: top-1 [%] | Trials | Chosen | Remark |",
            "|:---|---:|---:|---:|---:|---:|:---|",
            "| ViT S | 0.25 | 70.0 | **75.0** | 2 | 0.003 | at the upper edge: extend the grid |",
        ]
    )


def test_table_6_has_computed_published_and_difference():
    record = complexity_record("vit_base_patch16_224.augreg_in1k", 17.58e9, 224)
    table = scaling_table(study("paper-compute", [record], none))
    row = next(row for row in table.rows if row[0].text == "ViT-B/16")
    assert [cell.text for cell in row] == ["ViT-B/16", "ViT", "7", "17.58", "224", "224", "−0.1", "94.08", "84.15"]
    assert row[4].records == (record.cell_id,)
    missing = next(row for row in table.rows if row[0].text == "ResNet200x3, 14 epochs")
    assert missing[4].text == "n/a"


def test_timm_table_says_whether_the_published_macs_are_met():
    record = complexity_record(
        "vit_base_patch16_224.augreg_in1k", 17.0e9, 224, norm_macs=100_000_000, params=86_567_656
    )
    (row,) = timm_table(study("paper-compute", [record], none)).rows
    assert [cell.text for cell in row][2:] == ["86.57", "86.57", "17.100", "17.58", "−0.480", "no"]


def test_a_new_metric_is_one_row_of_the_main_table(monkeypatch):
    """Its values are in the records already; nothing between them and the table knows of it."""
    energy = Metric("Energy [mJ]", "memory", {"energy_mj": "counted by the package"}, str, missing="not measured")
    cell = memory_record("vit_32px_s", 12.0).cell
    records = [complexity_record("vit_32px_s", 1.6e6), complexity_record("resnet_32px_s", 1.5e6)]
    records.append(make_record(cell, {"peak_rss_delta_mib": 12.0, "energy_mj": 3.5}))
    monkeypatch.setattr("bench.report.tables.main_table.METRICS", [*METRICS, energy])
    table = main_table(study("s", records, none))
    heads = [column.heading for column in table.columns]
    assert heads[-2:] == ["Peak memory [MiB]", "Energy [mJ]"]
    (vit,) = [row for row in table.rows if row[0].value == "vit_32px_s"]
    assert (vit[-1].text, vit[-1].value, vit[-1].records) == ("3.5", 3.5, vit[-2].records)
    assert table.notes[vit[-1].mark - 1] == "counted by the package, at batch 64, in a pass of its own"
