import pytest
from synthetic_protocols import (
    BIT,
    VIT,
    complexity_record,
    crossing,
    evaluate_record,
    fewshot_record,
    finetune_record,
    preflight_record,
    transfer_like,
)
from synthetic_store import make_record, train_cell, train_values

from bench.report.report_files import write_report


def none(cell_id):
    return None


def write(records, out):
    path = write_report("suite", records, none, question="Which?", out=out, rebuild_command="vitbench report suite")
    return path.read_text(encoding="utf-8")


def skipped(record):
    reason = "The weights are not here. Fetch them with --download."
    return record.model_copy(update={"status": "skipped", "reason": reason, "values": {}})


def test_sections_come_in_order(tmp_path):
    text = write([*transfer_like(), preflight_record(exact_duplicates=crossing())], tmp_path)
    places = [
        text.index(words)
        for words in (
            "**Finding.** Fine-tuned on 5 data sets (5 models, 3 seeds).",
            "**Warning.** birds: the same pictures",
            "| Model | Family | Weights | Pre-training data | Res. [px]",
            "![Fine-tuned top-1 against MACs]",
            "## Conditions",
            "| Fine-tuning | cuda in bf16, 384 px, recipe ViT paper, batch 512, 500 steps, learning rates 0.01 "
            "and 0.03",
            "## Fine-tuned, set by set",
            "## Checkpoints compared",
            "## Does pretraining help?",
            "## Learning rates of the fine-tuning",
            "## The public Figure 5",
            "## The paper's Table 2: published, public stand-in, measured here",
            "## Training speed and the input pipeline",
            "## Checked data",
            "## Data set birds",
            "## Training compute beside the paper's Table 6",
            "## What failed or was left out, and why",
            "## What these numbers cannot show",
            "## Rebuild this page",
        )
    ]
    assert places == sorted(places)
    assert text.count("## The public Figure 5") == 1


def test_offline_the_first_screen_says_that_nothing_was_evaluated(tmp_path):
    text = write([skipped(evaluate_record()), complexity_record("vit_base_patch16_224.in1k", 1.7e10, 224)], tmp_path)
    first_screen = text.split("## Conditions")[0]
    assert "**Finding.** **Nothing was evaluated**, so no model has a result: of 1 cell, 1 skipped." in first_screen
    assert "Fetch them with --download" in first_screen
    assert "| skipped | evaluate | The weights are not here. Fetch them with --download. | 1 |" in text


def test_a_suite_of_preflights_is_a_page_of_its_own(tmp_path):
    text = write([preflight_record(), preflight_record("fish")], tmp_path)
    assert "**Finding.** 2 data sets checked" in text
    assert "## Data set birds" in text
    assert "## Data set fish" in text
    assert "?" not in text.split("## What failed")[1].split("## What these")[0]
    assert (tmp_path / "suite" / "tables" / "preflight.csv").exists()


def test_a_failed_preflight_is_named_by_its_set(tmp_path):
    text = write(
        [preflight_record().model_copy(update={"status": "failed", "reason": "2 % bad.", "values": {}})], tmp_path
    )
    assert "| failed | preflight | 2 % bad. | 1 | birds |" in text
    assert "**Nothing was checked**, so no data set has a result" in text


def test_trained_and_fine_tuned_models_share_a_page(tmp_path):
    trained = [make_record(train_cell("vit_32px_s", seed=s), train_values(80.0 + s)) for s in range(2)]
    text = write([*trained, finetune_record(VIT, 90.0, "pets")], tmp_path)
    assert "**Finding.** On Wave textures ViT S has" in text
    assert "Fine-tuned on Oxford-IIIT Pets (1 model, 1 seed)." in text
    assert text.index("| Model | Family | Params") < text.index("| Model | Family | Weights")
    below_conditions = text.split("## Conditions")[1].split("\n## ")
    assert below_conditions[1].startswith("Fine-tuned\n\nMeasured here: mean over seeds")
    assert "| Model | Family | Weights" not in below_conditions[0]


def test_the_check_of_a_set_that_only_was_trained_on_has_its_heading(tmp_path):
    trained = [make_record(train_cell("vit_32px_s", seed=s), train_values(80.0 + s)) for s in range(2)]
    text = write([*trained, preflight_record()], tmp_path)
    assert "\n## Checked data\n" in text


def test_weights_that_nobody_released_are_not_called_so(tmp_path):
    text = write([evaluate_record(), evaluate_record(weights="sha256 0123456789abcdef")], tmp_path)
    assert "Evaluated on ImageNet (ILSVRC-2012) (2 checkpoints)." in text
    assert "**Accuracy of given weights against inference compute.**" in text
    assert "released checkpoint" not in text.split("## What these numbers cannot show")[0]


def test_results_on_older_images_are_left_out_with_the_reason(tmp_path):
    old = evaluate_record(fingerprint="older", record={"started_at": "2025-01-01T00:00:00Z"})
    text = write([old, evaluate_record()], tmp_path)
    assert "| left out | evaluate | the data set was another one (fingerprint or classes) | 1 |" in text


@pytest.mark.parametrize(
    "records",
    [
        [evaluate_record()],
        [evaluate_record(values={"macs": None, "params": None, "top5_pct": None})],
        [fewshot_record(draws=1)],
        [finetune_record()],
        [finetune_record(part="validation")],
        [finetune_record(weights="random")],
        [finetune_record(dataset="vtab_dtd")],
        [skipped(finetune_record()), skipped(fewshot_record()), skipped(evaluate_record())],
        [finetune_record("a|<script>*b*", 50.0, "c|<script>*d*"), fewshot_record("a|<script>*b*", 30.0, "c|<script>")],
    ],
    ids=["evaluated", "no counts", "one draw", "one seed", "trials", "scratch", "one task", "all skipped", "hostile"],
)
def test_partial_data_make_a_page(records, tmp_path):
    text = write(records, tmp_path)
    assert text.startswith("# ViT against CNNs: suite suite\n\n*Which?*\n\n**Finding.** ")
    assert "<script>" not in text
    assert "nan" not in text
    assert "None" not in text.replace("None has", "").replace("None of these", "")


def test_hostile_names_stay_in_their_cells(tmp_path):
    text = write([finetune_record("a|<script>*b*", 50.0, "c|<script>*d*")], tmp_path)
    row = next(line for line in text.splitlines() if line.startswith("| a"))
    assert row.startswith(r"| a\|&lt;script&gt;\*b\* | ")
    head = next(line for line in text.splitlines() if line.startswith("| Model | Family | Weights"))
    assert row.replace(r"\|", "").count("|") == head.replace(r"\|", "").count("|")


def test_the_same_records_give_the_same_bytes(tmp_path):
    records = [*transfer_like((VIT, BIT), ("pets", "cifar10")), fewshot_record(), evaluate_record(), preflight_record()]
    write(records, tmp_path / "a")
    write(records[::-1], tmp_path / "b")
    first, again = (
        {p.relative_to(tmp_path / side): p.read_bytes() for p in (tmp_path / side).rglob("*") if p.is_file()}
        for side in "ab"
    )
    assert first == again
