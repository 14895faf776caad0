from analyse.records import counted, fewshot, finetuned, record, timed, trained

from bench.store.rows import COLUMNS, speed_rows, task_rows, unfinished_records


def test_the_latest_ok_record_of_a_cell_wins():
    old = trained("vit_32px_s", 0, 80.0, started_at="2026-01-01T00:00:00Z")
    new = trained("vit_32px_s", 0, 81.0, started_at="2026-01-02T00:00:00Z")
    failed = trained("vit_32px_s", 0, 0.0, started_at="2026-01-03T00:00:00Z", status="failed", reason="NaN")
    assert [row["top1_pct"] for row in task_rows([new, failed, old], "train")] == [81.0]


def test_one_training_on_two_machines_is_one_draw():
    records = [trained("vit_32px_s", 0, 80.0, machine=machine) for machine in ("m1", "m2")]
    assert len(task_rows(records, "train")) == 1


def test_timings_of_two_machines_stay_apart():
    records = [timed("vit_32px_s", 0, 100.0, machine=machine) for machine in ("m1", "m2")]
    assert [row["machine"] for row in speed_rows(records)] == ["m1", "m2"]


def test_rows_have_their_columns():
    (row,) = task_rows([trained("vit_32px_s", 0, 80.0)], "train")
    assert list(row) == COLUMNS["train"]


def test_a_row_says_where_it_comes_from():
    one = counted("vit_base_patch16_224", 10)
    (row,) = task_rows([one], "complexity")
    assert (row["cell_id"], row["machine"], row["macs"]) == (one.cell_id, "m1", 10)


def test_a_failure_that_a_later_run_mended_is_no_failure():
    failed = trained("vit_32px_s", 0, 0.0, status="failed", reason="NaN")
    assert unfinished_records([failed, trained("vit_32px_s", 0, 80.0)]) == []


def test_each_cell_that_never_finished_is_listed_once():
    cell = {"task": "speed", "model": "x"}
    first = record(cell, status="oom", reason="no memory", started_at="2026-01-01T00:00:00Z")
    again = record(cell, status="oom", reason="still none", started_at="2026-01-02T00:00:00Z")
    assert [one.reason for one in unfinished_records([again, first])] == ["still none"]


def test_a_failure_after_a_result_is_listed_and_one_before_is_not():
    failed = trained("vit_32px_s", 0, 0.0, status="failed", reason="NaN", started_at="2026-01-02T00:00:00Z")
    before = trained("vit_32px_s", 0, 80.0, started_at="2026-01-01T00:00:00Z")
    after = trained("vit_32px_s", 0, 80.0, started_at="2026-01-03T00:00:00Z", machine="m2")
    assert unfinished_records([before, failed]) == [failed]
    assert unfinished_records([failed, after]) == []


def picked(rows, *columns):
    return [[row[column] for column in columns] for row in rows]


def test_few_shot_has_a_row_for_each_result():
    rows = task_rows([fewshot("m", (60.0, 61.0), shots=10, rule="loo")], "fewshot")
    assert picked(rows, "shots", "rule", "draw", "top1_pct", "fixed_l2") == [
        [10, "loo", 0, 60.0, 1024.0],
        [10, "loo", 1, 61.0, 1024.0],
    ]


def test_fine_tuning_names_its_recipe_and_rate():
    rows = task_rows([finetuned("m", 0, 90.0, rate=0.003, name="bit")], "finetune")
    columns = ("recipe_name", "learning_rate", "batch_size", "weights")
    assert picked(rows, *columns) == [["bit", 0.003, 512, "public"]]


def test_protocols_without_records_have_no_rows():
    skipped = finetuned("m", 0, 1.0).model_copy(update={"status": "skipped"})
    for task in ("evaluate", "fewshot", "finetune", "preflight"):
        assert task_rows([skipped], task) == []
