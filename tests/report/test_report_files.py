import csv
import subprocess
import sys
import time

import pytest
from synthetic_store import (
    complexity_record,
    conditions,
    desk_like,
    make_record,
    memory_record,
    speed_record,
    train_cell,
    train_values,
    tune_like,
    with_predictions,
)

from bench.catalog.tuned import tuned_rates
from bench.errors import StoreError
from bench.report.report_files import write_index, write_report


def none(cell_id):
    return None


def write(records, out, name="suite", predictions=none, **more):
    return write_report(
        name, records, predictions, question="Who wins?", out=out, rebuild_command=f"vitbench report {name}", **more
    )


def tiny(*models, dataset="textures"):
    return [make_record(train_cell(m, dataset, s), train_values(80.0 + s)) for m in models for s in range(2)]


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    records = desk_like()
    summary = {"wall_s": 500.0, "workers": [2], "in_cell_s": 900.0, "overhead_ratio": 1.11, "timing_wall_s": 100.0}
    path = write(
        records,
        tmp_path_factory.mktemp("reports"),
        "desk",
        with_predictions(records).get,
        warnings=["'x.jsonl' line 3 is torn"],
        run_summary=summary,
    )
    return path, path.read_text(encoding="utf-8")


def test_sections_come_in_the_order_of_the_style_guide(desk):
    _, text = desk
    places = [
        text.index(words)
        for words in (
            "# ViT against CNNs: suite desk",
            "*Who wins?*",
            "**Finding.** 18 comparisons of a ViT with a CNN of its size",
            "Trained from scratch on",
            "| Model | Family | Params",
            "![Top-1 against inference MACs",
            "## Conditions",
            "## Models of one size compared",
            "## Which model for which budget",
            "## Accuracy and training compute",
            "## Accuracy and training-set size",
            "## Models of one size along training images",
            "## Accuracy and speed",
            "## The paper's Figure 5 beside ours",
            "## What failed or was left out, and why",
            "## What these numbers cannot show",
            "## Rebuild this page",
        )
    ]
    assert places == sorted(places)


def test_page_links_to_files_that_are_there(desk):
    path, text = desk
    names = {line.split("](")[1].split(")")[0] for line in text.splitlines() if line.startswith("![")}
    assert len(names) == 8
    assert all((path.parent / name).stat().st_size < 1_000_000 for name in names)
    assert all((path.parent / name.replace(".png", ".svg")).exists() for name in names)


def test_page_says_what_failed_and_what_was_torn(desk):
    _, text = desk
    assert (
        "| failed | train | Loss became NaN at step 40. Lower the learning rate. | 1 | vit_32px_l on textures seed 9 |"
        in text
    )
    assert "| skipped | speed | bf16 is not supported here. | 1 |" in text
    assert "- 'x.jsonl' line 3 is torn" in text


def test_page_prints_the_run_summary(desk):
    _, text = desk
    assert "wall time 8.3 min, 2 workers, 15.0 min inside cells" in text
    assert "1.11 worker-seconds per second" in text


def test_runs_that_were_taken_up_again_are_told_together(tmp_path):
    together = {"wall_s": 2632.0, "workers": [2], "runs": 2, "untold_records": 3, "untold_in_cell_s": 300.0}
    text = write(tiny("vit_32px_s"), tmp_path, run_summary=together).read_text(encoding="utf-8")
    assert "wall time 43.9 min, 2 workers (2 runs together); without 3 records of runs that were stopped" in text
    assert "(5.0 min inside cells)" in text


def test_tied_scores_are_told_of_the_result_that_has_them(tmp_path):
    tied = make_record(train_cell("vit_32px_s", "textures", 0), train_values(10.0) | {"tied_scores": "All are tied."})
    text = write([tied, *tiny("resnet_32px_s")], tmp_path).read_text(encoding="utf-8")
    assert text.count("- Tied scores (train, vit_32px_s on textures seed 0): All are tied.") == 1


def test_every_measured_number_traces_to_its_records(desk):
    path, _ = desk
    known = {record.cell_id for record in desk_like()}
    with open(path.parent / "tables" / "main.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    traced = [row for row in rows if row["column"] not in ("Family",)]
    assert traced
    assert all(set(row["record_ids"].split()) <= known and row["record_ids"] for row in traced)
    column, model = "Contours: top-1 [%]", "ViT S (vit_32px_s)"
    accuracy = next(row for row in rows if row["row"] == model and row["column"] == column)
    assert len(accuracy["record_ids"].split()) == 3


def test_the_same_records_give_the_same_bytes(tmp_path):
    records = [*tiny("vit_32px_s", "resnet_32px_s"), speed_record("vit_32px_s", 0, 100.0)]
    first, second = write(records, tmp_path / "a"), write(list(reversed(records)), tmp_path / "b")
    files = {p.relative_to(tmp_path / "a"): p.read_bytes() for p in sorted((tmp_path / "a").rglob("*")) if p.is_file()}
    again = {p.relative_to(tmp_path / "b"): p.read_bytes() for p in sorted((tmp_path / "b").rglob("*")) if p.is_file()}
    assert first.name == second.name == "report.md"
    assert files.keys() == again.keys()
    assert all(files[name] == again[name] for name in files)


def test_rebuilding_removes_what_no_longer_belongs(tmp_path):
    write(tiny("vit_32px_s", "resnet_32px_s"), tmp_path)
    assert (tmp_path / "suite" / "tables" / "differences.csv").exists()
    write([complexity_record("vit_32px_s", 1e6)], tmp_path)
    assert sorted(p.name for p in (tmp_path / "suite" / "tables").iterdir()) == ["complexity.csv"]
    assert not (tmp_path / "suite" / "figures").exists()
    assert not list(tmp_path.rglob("*.tmp"))


def test_hostile_names_stay_text(tmp_path):
    model, dataset = "evil|<script>alert(1)</script>*b*\n# top.py:make", "set|<img src=x>_$y$"
    records = [
        *tiny(model, dataset=dataset),
        make_record(train_cell(model, dataset, 9), status="failed", reason="<b>|\nno"),
    ]
    text = write(records, tmp_path).read_text(encoding="utf-8")
    assert "<script>" not in text
    assert "<img" not in text
    assert "<b>" not in text
    assert r"evil\|&lt;script&gt;alert(1)&lt;/script&gt;\*b\* \# top.py:make" in text
    main = next(line for line in text.splitlines() if line.startswith("| evil"))
    assert main.replace(r"\|", "").count("|") == 8 + 1


@pytest.mark.parametrize(
    "records",
    [
        [],
        [r for r in desk_like() if r.status != "ok"],
        [complexity_record("vit_32px_s", 1e6)],
        [speed_record("vit_32px_s", 0, 100.0)],
        [memory_record("vit_32px_s", 20.0)],
        [make_record(train_cell("vit_32px_s"), train_values(80.0))],
        tiny("vit_32px_s", dataset="digits"),
        tiny("own_model"),
        tune_like()[:5],
    ],
    ids=["nothing", "failures", "counts", "speed", "memory", "one run", "digits", "unknown model", "sweep"],
)
def test_every_kind_of_store_gives_a_page(records, tmp_path):
    text = write(records, tmp_path).read_text(encoding="utf-8")
    assert text.startswith("# ViT against CNNs: suite suite\n\n*Who wins?*\n\n**Finding.** ")
    assert "vitbench report suite" in text
    assert "nan" not in text.replace("NaN", "")
    assert "None" not in text


def test_limits_are_made_of_what_is_there(tmp_path):
    records = [*tiny("vit_32px_s", "resnet_32px_s"), *(speed_record("vit_32px_s", r, 100.0 + r) for r in range(2))]
    text = write(records, tmp_path).read_text(encoding="utf-8")
    assert "2 seeds per model: no interval knows of a training that collapses once in ten." in text
    assert "2 processes for some models: with fewer than 5 nothing is said of how far processes differ." in text
    assert "locality is expected to help" in text
    assert "Trainings ran 2 at a time" in text
    assert "writers" not in text


def test_two_machines_are_told(tmp_path):
    records = [speed_record("vit_32px_s", r, 100.0) for r in range(2)] + [
        speed_record("vit_32px_s", 0, 50.0, machine="other")
    ]
    text = write(records, tmp_path).read_text(encoding="utf-8")
    assert "Records come from 2 machines" in text
    assert "another machine: in no ratio with the others" in text


def test_shipped_results_stand_beside_marked(tmp_path):
    ours = tiny("vit_32px_s", "resnet_32px_s")
    theirs = [record.model_copy(update={"conditions": conditions("ffffffff")}) for record in ours]
    text = write(ours, tmp_path, shipped=theirs).read_text(encoding="utf-8")
    assert "Top-1 [%] (shipped, another machine)" in text


def test_index_lists_every_report_with_its_finding(tmp_path):
    write(tiny("vit_32px_s", "resnet_32px_s"), tmp_path, "b-suite")
    write([], tmp_path, "a-suite")
    assert write_index(tmp_path).read_text(encoding="utf-8").splitlines()[4:8] == [
        "## [ViT against CNNs: suite a-suite](a-suite/report.md)",
        "",
        "This suite has no results yet.",
        "",
    ]


def test_index_answers_its_questions_first_each_by_the_first_report_that_is_there(tmp_path):
    write(tiny("vit_32px_s", "resnet_32px_s"), tmp_path, "pocket")
    write([], tmp_path, "a-suite")
    lines = write_index(tmp_path).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("## ")] == [
        "## Trained here from scratch, at equal compute, which family is ahead?",
        "## [ViT against CNNs: suite a-suite](a-suite/report.md)",
    ]
    assert lines[6].endswith("More: [ViT against CNNs: suite pocket](pocket/report.md).")
    assert lines[8].startswith("![Top-1 against ")
    assert (tmp_path / lines[8].partition("](")[2].removesuffix(")")).is_file()
    write(tiny("vit_32px_s", "resnet_32px_s"), tmp_path, "fashion-desk")
    headings = [line for line in write_index(tmp_path).read_text(encoding="utf-8").splitlines() if "## [" in line]
    assert headings[-1] == "## [ViT against CNNs: suite pocket](pocket/report.md)"


def test_a_folder_that_cannot_be_written_is_one_error(tmp_path):
    (tmp_path / "suite").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match="cannot be written"):
        write([], tmp_path)


def test_reporting_never_imports_torch():
    script = (
        "import sys, bench.report.report_files, bench.analyse.study, bench.report.figures.training_figures\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'timm', 'matplotlib.pyplot')))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.slow
def test_ten_thousand_records_take_under_twenty_seconds(tmp_path):
    records = []
    for index in range(200):
        name = f"custom_model_{index:03d}"
        family = ("vit", "cnn", "hybrid")[index % 3]
        records += [complexity_record(name, 1e6 * 1.02**index, family=family), memory_record(name, 10.0 + index)]
        records += [speed_record(name, repeat, 1000.0 + index + repeat) for repeat in range(12)]
        records += [
            make_record(train_cell(name, dataset, seed, train_images=images), train_values(70 + index / 40 + seed))
            for dataset in ("textures", "shapes", "digits")
            for images in (256, 512, 1024, 4096)
            for seed in range(3)
        ]
    start = time.process_time()  # not the wall: other tests may run beside this one
    write(records, tmp_path)
    assert len(records) == 10_000
    assert time.process_time() - start < 20


def test_results_left_out_and_failures_after_a_result_are_listed(tmp_path):
    failed = make_record(train_cell("vit_32px_s"), status="failed", reason="NaN", started_at="2026-02-02T03:04:05Z")
    old = make_record(train_cell("vit_32px_s", seed=5, definition="other"), train_values(10.0), started_at="2025")
    text = write([*tiny("vit_32px_s", "resnet_32px_s"), failed, old], tmp_path).read_text(encoding="utf-8")
    assert "| failed | train | NaN (an older result is shown) | 1 | vit_32px_s on textures seed 0 |" in text
    assert "| left out | train | the model's name stood for another definition | 1 |" in text


def test_learning_rates_are_called_swept_only_where_they_are_those_of_the_sweep(tmp_path):
    rate = next(row.learning_rate for row in tuned_rates().values() if row.model == "vit_32px_s")
    for learning_rate, words in ((rate, "from the sweep `tune`"), (2 * rate, "given in the suite file")):
        record = make_record(train_cell("vit_32px_s", learning_rate=learning_rate), train_values(80.0))
        assert f"Learning rates are {words}" in write([record], tmp_path).read_text(encoding="utf-8")
