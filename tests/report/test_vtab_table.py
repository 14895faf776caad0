from synthetic_protocols import BIT, HYBRID, VIT, finetune_record

from bench.analyse.study import study
from bench.catalog.image_tasks import vtab_tasks
from bench.report.tables.finetune_tables import vtab_table, vtab_text
from bench.report.tables.table import render_table


def protocols(*records):
    return study("s", records, lambda cell_id: None).protocols


def whole(model, top1):
    return [finetune_record(model, top1, name, seed) for name in vtab_tasks() for seed in range(2)]


def test_fewer_tasks_whole_table():
    # 1.96 sqrt(p (1 - p) / 1 000): 2.8 points at 70 %, 3.1 at 50 and at 60; no spread between seeds
    cifar, dtd = "vtab_cifar100", "vtab_dtd"
    records = [finetune_record(VIT, 70.0, name, seed) for name in (cifar, dtd) for seed in range(2)]
    notes = {"notes": ["Another order than the official one."]}
    records += [finetune_record(BIT, 50.0, cifar, seed, values=notes) for seed in range(2)]
    table = render_table(vtab_table(protocols(*records)))
    assert table == "\n".join(
        [
            "| Task | Group | ViT-B/16: top-1 [%] | BiT-M R50x1: top-1 [%] |",
            "|:---|:---|---:|---:|",
            "| CIFAR-100¹ | Natural | 70.0 ± 2.9 | 50.0 ± 3.1 |",
            "| DTD | Natural | 70.0 ± 2.9 | n/a² |",
            "| Mean of the 7 Natural tasks | Natural | n/a³ | n/a³ |",
            "",
            "¹ Another order than the official one.<br>² not fine-tuned on this set, or every run failed (see "
            "below)<br>"
            "³ not all 7 tasks of the group",
        ]
    )
    assert "**No VTAB score**" in vtab_text(protocols(*records))
    assert "Fewer than two tasks were measured for every model" in vtab_text(protocols(*records))


def test_nineteen_tasks_make_a_score_and_eighteen_a_mean_on_identical_tasks():
    lines = render_table(vtab_table(protocols(*whole(VIT, 70.0), *whole(BIT, 60.0)[2:]))).splitlines()
    assert lines[-6:-2] == [
        "| VTAB score (mean of 19) | All | **70.0 ± 0.7** | n/a³ |",
        "| Mean of 18 tasks that all models have | All | **70.0 ± 0.7** | **60.0 ± 0.7** |",
        "| Mean rank over 18 tasks | All | 1.0 | 2.0 |",
        "| Interquartile mean over 18 tasks | All | 70.0 [70.0, 70.0] | 60.0 [60.0, 60.0] |",
    ]
    assert "³ not all 19 tasks: no VTAB score" in lines[-1]


def test_where_every_model_has_all_tasks_there_is_the_score_alone():
    text = render_table(vtab_table(protocols(*whole(VIT, 70.0))))
    assert "| VTAB score (mean of 19) | All | **70.0 ± 0.7** |" in text
    assert "that all models have" not in text
    assert "No VTAB score" not in vtab_text(protocols(*whole(VIT, 70.0)))


def test_ranks_and_interquartile_means_name_their_records_and_leave_unstable_seeds_out():
    unstable = [finetune_record(HYBRID, top1, "vtab_dtd", seed) for seed, top1 in enumerate((30.0, 90.0))]
    records = [*whole(VIT, 70.0), *whole(BIT, 60.0)]
    records += [r for r in whole(HYBRID, 80.0) if r.cell["dataset"] != "vtab_dtd"] + unstable
    table = vtab_table(protocols(*records))
    ranks, means = table.rows[-2:]
    assert [cell.text for cell in ranks[2:]] == ["1.0", "n/a", "2.0"]
    assert [cell.text for cell in means[2:]] == ["70.0 [70.0, 70.0]", "n/a", "60.0 [60.0, 60.0]"]
    assert table.notes[ranks[3].mark - 1] == "unstable seeds on some task"
    of_vit = {r.cell_id for r in records if r.cell["model"] == VIT}
    of_bit = {r.cell_id for r in records if r.cell["model"] == BIT}
    assert set(means[2].records) == of_vit
    assert set(ranks[2].records) == of_vit | of_bit
    assert "bootstrap over tasks" in vtab_text(protocols(*records))
    assert "bootstrap" not in vtab_text(protocols(*whole(VIT, 70.0)))


def test_without_tasks_there_is_no_table():
    assert vtab_table(protocols(finetune_record())) is None
    assert vtab_text(protocols(finetune_record())) == ""
