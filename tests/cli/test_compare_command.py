"""`vitbench compare` as a user types it, over small made-up stores and over the committed results."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from analyse.records import evaluated, trained
from commands import Done
from commands import vitbench as run_here

from bench.analyse.compare.paired import comparable_accuracies, compare_models, of_models
from bench.cli.compare_words import as_json, comparison_table, sentences

ROOT = Path(__file__).resolve().parents[2]
VIT = "vit_base_patch16_224.augreg_in21k_ft_in1k"
BIT = "resnetv2_50x1_bit.goog_in21k_ft_in1k"
RESNET = "resnet50.a1_in1k"


def vitbench(*arguments: object, cwd: Path = ROOT) -> Done:
    return run_here(*arguments, cwd=cwd)


def compare(records, models, read=lambda cell_id: None):
    return compare_models(of_models(comparable_accuracies("s", records, read), models), models)


def head(correct):
    right = np.arange(1000) < correct
    keys = [f"{i:04d}" for i in range(1000)]
    return pd.DataFrame({"key": keys, "label": 0, "prediction": np.where(right, 0, 1)})


def test_a_decided_sentence_names_amount_interval_and_whose_it_is():
    records = [evaluated(VIT, 900), evaluated(BIT, 880)]
    tables = {records[0].cell_id: head(900), records[1].cell_id: head(880)}
    [sentence] = sentences(compare(records, [BIT, VIT], tables.get))
    assert sentence == (
        "Of these two checkpoints, ViT-B/16 is ahead of BiT-M R50x1 by 2.0 points [1.3, 3.1] on ImageNet "
        "(ILSVRC-2012) (evaluated; p < 0.001)."
    )


def test_an_open_sentence_says_not_decided():
    records = [trained(m, s, v + s) for m, v in (("vit_32px_s", 80.0), ("resnet_32px_s", 80.5)) for s in (0, 1, 2)]
    [sentence] = sentences(compare(records, ["vit_32px_s", "resnet_32px_s"]))
    assert sentence.startswith("The order of ViT S and ResNet S is not decided on Wave textures: −0.5 points [−")
    assert "ahead" not in sentence


def test_what_differs_is_said_instead_of_a_verdict():
    comparisons = compare([evaluated(VIT, 900), evaluated(RESNET, 500)], [VIT, RESNET])
    [sentence] = sentences(comparisons)
    assert "are not put in one sentence on ImageNet (ILSVRC-2012). What differs: pre-training data (" in sentence
    assert "not like with like" in comparison_table(comparisons)


def test_another_training_compute_is_told():
    sides = (("vit_32px_s", 80.0, 600.0), ("resnet_32px_s", 90.0, 300.0))
    records = [trained(model, s, top1 + s, budget=budget) for model, top1, budget in sides for s in (0, 1, 2)]
    [sentence] = sentences(compare(records, ["vit_32px_s", "resnet_32px_s"]))
    assert sentence.endswith("Training compute differs: 600 GFLOP and 300 GFLOP.")


def test_compute_that_rests_on_an_uncertified_count_is_told():
    records = [trained(model, seed, 80.0 + seed) for model in ("spectral", "vit_32px_s") for seed in (0, 1, 2)]
    doubt = {"certificate": "differs", "certificate_note": "uncounted: aten::_fft_r2c"}
    records[:3] = [one.model_copy(update={"values": one.values | doubt}) for one in records[:3]]
    [sentence] = sentences(compare(records, ["spectral", "vit_32px_s"]))
    assert sentence.endswith("Training compute differs: 1 GFLOP (of MACs not certified) and 1 GFLOP.")


def test_names_cannot_move_the_terminal():
    name = "evil\x1b[2J\n.py:make"
    records = [trained(m, s, v + s) for m, v in ((name, 80.0), ("resnet_32px_s", 90.0)) for s in (0, 1, 2)]
    comparisons = compare(records, [name, "resnet_32px_s"])
    text = "\n".join([comparison_table(comparisons), *sentences(comparisons)])
    assert "\x1b" not in text
    assert len(comparison_table(comparisons).splitlines()) == 3


def test_json_holds_unrounded_values_and_the_records_behind_them():
    records = [evaluated(VIT, 903), evaluated(BIT, 880)]
    tables = {records[0].cell_id: head(903), records[1].cell_id: head(880)}
    [row] = json.loads(json.dumps(as_json(compare(records, [VIT, BIT], tables.get))))
    assert row["first"]["record_ids"] == [records[0].cell_id]
    assert row["delta_pp"] == pytest.approx(2.3)
    assert row["checkpoints"][0]["mcnemar_p"] == pytest.approx(2 / 2**23)
    assert row["interval_pp"][0] < 2.3 < row["interval_pp"][1]
    assert row["verdict"] == "ahead"


def test_the_committed_results_are_compared_by_title_and_by_name():
    place = ("--shipped", "--suite", "pretrain-desk", "--dataset")
    by_title = vitbench("compare", "ViT S", "resnet s", *place, "Tilted bars", "--json")
    by_name = vitbench("compare", "vit_32px_s", "resnet_32px_s", *place, "tilts", "--json")
    assert by_title.returncode == by_name.returncode == 0
    assert by_title.stdout == by_name.stdout
    row, *_ = json.loads(by_title.stdout)
    assert (row["verdict"], len(row["checkpoints"]), row["basis"]) == ("behind", 3, "seeds")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vit_32px_s", "resnet_32px_x"], "Unknown model 'resnet_32px_x' in the results. Did you mean 'resnet_32px_s'"),
        (["vit_32px_s"], "two or more different models"),
        (["vit_32px_s", "ViT S"], "two or more different models"),
        (
            ["vit_32px_s", "resnet_32px_s", "--dataset", "shape"],
            "Unknown data set 'shape' in the results. Did you mean",
        ),
        (
            ["vit_32px_s", "resnet_32px_s", "--suite", "pockte"],
            "Unknown suite 'pockte' in the results. Did you mean 'pocket'",
        ),
        (["vit_32px_s", "resnet_32px_s", "--train-images", "7"], "No two of these models share"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_two(arguments: list[str], message: str) -> None:
    result = vitbench("compare", *arguments, "--shipped")
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_without_results_it_says_where_to_get_some(tmp_path: Path) -> None:
    result = vitbench("compare", "a", "b", cwd=tmp_path)
    assert result.returncode == 2
    assert "No results under 'results'" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_number_of_training_images_that_nobody_had_is_refused():
    result = vitbench("compare", "ViT S", "ResNet S", "--train-images", 7, "--shipped")
    assert result.returncode == 2
    assert "with 7 training images" in result.stderr
