import pytest
from analyse.records import SETTINGS, evaluated, finetuned, record, timed, trained

from bench.analyse.accuracies.pooling import trained_accuracies
from bench.analyse.speed.speeds import speeds
from bench.catalog.identity import identify_model
from bench.store.current import current_records
from bench.store.rows import speed_rows, task_rows

OLD, NEW = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"


def changed(one, **fields):
    return record({**one.cell, **fields}, one.values, started_at=one.started_at)


def on_torch(one, version):
    return one.model_copy(update={"conditions": {**one.conditions, "torch": version}})


@pytest.mark.parametrize("field", ["definition", "fingerprint", "num_classes"])
def test_only_the_newest_of_what_a_name_stood_for_is_kept(field):
    old = changed(trained("vit_32px_s", 0, 80.0, started_at=OLD), **{field: "1"})
    new = changed(trained("vit_32px_s", 1, 90.0, started_at=NEW), **{field: "2"})
    assert current_records([old, new]) == ([new], [old])


def test_models_trained_on_older_data_do_not_meet_those_on_newer():
    old = changed(trained("vit_32px_s", 0, 80.0, started_at=OLD), fingerprint="a")
    new = changed(trained("resnet_32px_s", 0, 90.0, started_at=NEW), fingerprint="b")
    assert current_records([old, new]) == ([new], [old])


def test_recipes_of_two_data_sets_stay():
    records = [trained("vit_32px_s", 0, 80.0), trained("vit_32px_s", 0, 80.0, dataset="shapes", rate=0.01)]
    assert current_records(records) == (records, [])


def test_timings_of_an_older_torch_are_left_out():
    old = [on_torch(timed("vit_32px_s", i, 100.0, started_at=OLD), "2.11") for i in range(2)]
    new = [on_torch(timed("vit_32px_s", i, 50.0, started_at=NEW), "2.15") for i in range(2)]
    assert current_records([*old, *new]) == (new, old)


def test_timings_under_another_rule_for_freed_memory_are_left_out_and_memory_stays():
    old, new = (timed("vit_32px_s", i, 100.0, started_at=at) for i, at in enumerate((OLD, NEW)))
    kept = new.model_copy(update={"conditions": {**new.conditions, "allocator": "glibc, freed memory kept"}})
    assert current_records([old, kept]) == ([kept], [old])
    weighed = [changed(one, task="memory") for one in (old, kept)]
    assert current_records(weighed) == (weighed, [])


def test_what_is_not_filtered_is_still_not_pooled():
    runs = [changed(trained("vit_32px_s", seed, 80.0 + seed), fingerprint=str(seed)) for seed in range(2)]
    frame = task_rows(runs, "train")
    (score,) = trained_accuracies(frame, {"vit_32px_s": identify_model("vit_32px_s")}, lambda cell_id: None)
    assert len(score.seeds) == 1
    processes = [on_torch(timed("vit_32px_s", i, 100.0), str(i)) for i in range(2)]
    assert [one.processes for one in speeds(speed_rows(processes))] == [1, 1]


def test_a_p99_is_shown_only_where_every_process_has_one():
    cell = {"task": "speed", "model": "m", "resolution_px": 32, "batch_size": 1, "device": "cpu", "settings": SETTINGS}
    values = {"latency_p50_ms": 1.0, "latency_samples": 1000}
    have = [record({**cell, "repeat": i}, {**values, "latency_p99_ms": p99}) for i, p99 in enumerate((2.0, None))]
    assert speeds(speed_rows(have))[0].latency_p99_median is None
    assert speeds(speed_rows(have[:1]))[0].latency_p99_median == 2.0


def test_each_protocol_has_its_own_newest_images():
    old = evaluated("a", 1, cell={"fingerprint": "1"}, started_at="2026-01-01T00:00:00Z")
    new = evaluated("b", 1, cell={"fingerprint": "2"}, started_at="2026-02-01T00:00:00Z")
    other = finetuned("a", 0, 90.0, "imagenet", cell={"fingerprint": "3"}, started_at="2026-01-15T00:00:00Z")
    kept, left = current_records([old, new, other])
    assert (kept, left) == ([new, other], [old])


def test_heads_of_another_size_do_not_make_another_data_set():
    first, second = evaluated("a", 1), evaluated("b", 1, cell={"num_classes": 1000})
    assert current_records([first, second])[1] == []


def test_a_preflight_has_no_model_and_its_newest_images_count():
    cells = [{"task": "preflight", "metric_version": 1, "dataset": "d", "fingerprint": f} for f in ("1", "2")]
    old, new = (record(cell, started_at=f"2026-0{i}-01T00:00:00Z") for i, cell in enumerate(cells, 1))
    assert current_records([old, new]) == ([new], [old])


def test_results_of_a_model_that_read_other_files_are_left_out():
    old, new = (trained("net.py:build", seed, 80.0, started_at=at) for seed, at in ((0, OLD), (1, NEW)))
    old, new = (
        one.model_copy(update={"conditions": {**one.conditions, "model_files": {"config.json": digest}}})
        for one, digest in ((old, "1" * 16), (new, "2" * 16))
    )
    assert current_records([old, new]) == ([new], [old])
