"""The part of a page about pretraining: which figures and tables there are, that numbers trace back, and the words."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from analyse.records import trained
from analyse.synthetic_pretraining import World, on_photographs_and_drawn, times_the_compute

from bench.analyse.study import Study, study
from bench.number_format import THIN
from bench.report.contents import report_document
from bench.report.report_files import write_report
from bench.report.sections.pretraining_section import pretraining_sections
from bench.report.words.training_words import finding
from bench.store.record import Record


def studied(records: list[Record]) -> Study:
    return study("s", records, lambda cell_id: None)


def behind(noise: float = 0.5) -> World:
    return World(
        times_the_compute(30.0),
        fewer_images=(1024, 4096),
        own_noise=noise,
        shared_noise=noise,
        random=np.random.default_rng(6),
    )


def test_the_figures_are_those_of_the_paper_and_have_controls() -> None:
    sections = pretraining_sections(studied(behind().records()).pretraining)
    figures = {figure.name: figure for section in sections for figure in section.figures}
    assert set(figures) == {
        "finetuned_vs_pretraining",
        "5_shot_vs_pretraining",
        "5_shot_vs_pretraining_images",
        "transfer_by_set",
    }
    ours, papers = figures["finetuned_vs_pretraining"].panels
    assert papers.title.startswith("Published")
    assert {line.label for line in ours.lines if not line.is_control} == {"ViT S", "ResNet S"}
    controls = [line for line in ours.lines if line.is_control]
    assert sorted((line.family, line.label) for line in controls) == [("cnn", ""), ("other", "pixels"), ("vit", "")]
    assert "the same recipe from random weights" in figures["finetuned_vs_pretraining"].caption
    assert all(point.y_bar is not None for line in ours.lines if not line.is_control for point in line.points)
    shots = figures["5_shot_vs_pretraining"].panels[0]
    assert sum(line.is_control for line in shots.lines) == 3
    assert "features of random weights" in figures["5_shot_vs_pretraining"].caption
    along_images = figures["5_shot_vs_pretraining_images"].panels[0]
    assert [point.x for point in along_images.lines[0].points] == [1024, 4096, 65536]


def test_every_number_of_the_tables_names_its_records() -> None:
    records = behind().records()
    known = {record.cell_id for record in records}
    sections = pretraining_sections(studied(records).pretraining)
    tables = {section.table.name: section.table for section in sections if section.table is not None}
    assert set(tables) == {
        "pretraining",
        "pretraining_compute_differences",
        "set_differences",
        "pretraining_images",
        "pretraining_images_differences",
        "pretraining_gains",
        "transfer_fine_tuned",
        "transfer_5_shot",
    }
    for table in tables.values():
        assert table.rows
        for row in table.rows:
            for column, cell in zip(table.columns, row, strict=True):
                if column.is_number and cell.text not in ("n/a", "unstable"):
                    assert cell.records, f"{table.name}: {column.heading}"
                    assert set(cell.records) <= known


def test_a_vit_that_is_behind_at_every_budget_is_counted_there_and_measured_at_the_largest() -> None:
    words = finding(studied(behind().records())).replace(THIN, " ")
    points, interval = r"\d+\.\d", r"\[[−\d.]+, [−\d.]+\]"
    sentences = (
        r"4 comparisons of a ViT with a CNN of its size after the same pretraining compute \(50 to 1 600 GFLOP\), "
        r"on the mean of 3 sets: the ViT is ahead in none and behind in 4\.",
        rf"Decided at the largest budget of a pair, in points: ViT S − ResNet S −{points} {interval} \(1\.6 TFLOP\)\.",
        r"Pretrained with 1\.6 TFLOP on 65 536 images of generated fractals and rings \(64 classes\), fine-tuned, "
        rf"3 seeds: ResNet S has {points} % {interval} on the mean of 3 sets, ahead of the other one\.",
        r"Pretraining over the same fine-tuning steps from random weights, on the mean of 3 sets: raises ViT S and "
        r"ResNet S\.",
    )
    assert re.fullmatch(" ".join(sentences), words), words


def test_a_vit_that_passes_is_ahead_at_the_budgets_where_its_interval_says_so() -> None:
    def truth(model: str, budget: float, images: int) -> float:
        slope, start = (14.0, 15.0) if model.startswith("vit") else (6.0, 35.0)
        return start + slope * float(np.log(budget / 50) / np.log(3.2))

    words = finding(studied(World(truth, own_noise=0.3).records()))
    assert "the ViT is ahead in 1 and behind in 3." in words
    assert re.search(r"in points: ViT S − ResNet S \+\d", words)


def test_a_budget_that_few_models_have_ranks_nobody() -> None:
    longer = World(times_the_compute(3.0), models=("vit_32px_s",), budgets=(5000.0, 9000.0), own_noise=0.3)
    more = [r for r in longer.records() if r.cell.get("weights") != "random" and r.cell["task"] != "pixels"]
    words = finding(studied([*behind().records(), *more])).replace(THIN, " ")
    assert "Pretrained with 1.6 TFLOP" in words
    assert "9.0 TFLOP" not in words


def real_and_generated(behind_by: float = 8.0) -> list[Record]:
    """ViT S gains 12 points from photographs, ResNet S loses `behind_by`; seeds are 3 points apart."""
    return [
        record
        for model, gain in (("vit_32px_s", 12.0), ("resnet_32px_s", -behind_by))
        for record in on_photographs_and_drawn(
            lambda name, seed, gain=gain: 60.0 + gain + 3 * seed, lambda name, seed: 60.0 + 3 * seed, (model,)
        )
    ]


def test_real_and_generated_pretraining_are_set_against_each_other_model_by_model() -> None:
    records = [*behind().records(), *real_and_generated()]
    words = finding(studied(records)).replace(THIN, " ")
    interval = r"\[[−\d.]+, [−\d.]+\]"
    assert re.search(
        r"Pretraining on 54 000 images of Fashion-MNIST in place of generated fractals and rings \(64 classes\), as "
        r"many and for the same compute \(1\.6 TFLOP\), fine-tuned, on the mean of 3 sets out of domain: "
        rf"raises ViT S \(\+12\.0 {interval}\); lowers ResNet S \(−8\.0 {interval}\)\.$",
        words,
    ), words
    undecided = finding(studied([*behind().records(), *real_and_generated(behind_by=0.5)])).replace(THIN, " ")
    assert re.search(rf"raises ViT S \(\+12\.0 {interval}\); undecided for ResNet S \(−0\.5 {interval}\)\.$", undecided)


def test_the_sets_of_both_stand_beside_their_controls(tmp_path: Path) -> None:
    records = [*behind().records(), *real_and_generated()]
    sections = {one.heading: one for one in pretraining_sections(studied(records).pretraining)}
    differences = sections["Pretraining on real and on generated images at equal compute"].table
    assert differences is not None
    assert [cell.value for row in differences.rows for cell in row[3:4]] == pytest.approx([12.0, -8.0])
    table = sections["Pretraining on real and on generated images at equal compute: fine-tuned"].table
    assert table is not None
    fashion = [column.heading for column in table.columns].index("Fashion-MNIST: top-1 [%]")
    told = {(row[0].text, row[1].text): row[fashion] for row in table.rows}
    own = told["ViT S", "pretrained on Fashion-MNIST"]
    assert (own.text, table.notes[own.mark - 1 if own.mark else 0]) == ("n/a", "it is what was pretrained on")
    assert told["ViT S", "pretrained on generated fractals and rings (64 classes)"].value == pytest.approx(63.0)
    assert told["ViT S", "from scratch"].value == pytest.approx(30.0)
    text = _page(records, tmp_path)
    assert "differ in classes, colours and how alike their images are" in text


def test_one_transfer_set_is_named_and_has_no_mean_beside_it() -> None:
    world = World(lambda model, budget, images: 80.0, sets=("fashion_mnist",), budgets=(1600.0,), own_noise=0.3)
    scratch = [
        trained(model, seed, 90.0 + 0.1 * seed, dataset="fashion_mnist", budget=2000.0)
        for model in ("vit_32px_s", "resnet_32px_s")
        for seed in (0, 1, 2)
    ]
    found = studied([*world.records(), *scratch])
    words = finding(found).replace(THIN, " ")
    assert (
        "Pretraining over training from random weights at equal total compute (2000 GFLOP), on Fashion-MNIST: lowers "
        "ViT S and ResNet S."
    ) in words
    assert "mean" not in words
    tables = [one.table for one in pretraining_sections(found.pretraining) if one.table is not None]
    headings = {table.name: [column.heading for column in table.columns] for table in tables}
    assert headings["transfer_fine_tuned"] == ["Model", "Weights", "Fashion-MNIST: top-1 [%]"]
    assert headings["pretraining_gains"][3:] == ["Fashion-MNIST [points]"]
    assert "Fashion-MNIST, fine-tuned [%]" in headings["pretraining"]


def test_unstable_seeds_are_in_no_sentence_but_as_such() -> None:
    words = finding(studied(World(times_the_compute(30.0), shared_noise=40.0).records()))
    assert "the ViT is ahead in none and behind in none; unstable seeds: 4." in words
    assert "no model is ranked on the mean of 3 sets: unstable seeds." in words
    assert "unstable seeds: ViT S and ResNet S." in words


def test_what_pretraining_takes_away_is_said() -> None:
    words = finding(studied(World(lambda model, budget, images: 20.0, own_noise=0.3).records()))
    assert "Pretraining over the same fine-tuning steps from random weights, on the mean of 3 sets: lowers ViT" in words


def test_before_anything_is_transferred_nothing_is_claimed_of_other_sets() -> None:
    records = [record for record in behind().records() if record.cell["task"] == "pretrain"]
    words = finding(studied(records))
    assert "nothing was transferred" in words
    assert report_document(studied(records), question="?", rebuild_command="x").sections


def test_one_family_alone_makes_no_comparison() -> None:
    world = World(times_the_compute(3.0), models=("vit_32px_s",), own_noise=0.3)
    words = finding(studied(world.records()))
    assert "comparison" not in words
    assert "ViT S has " in words
    assert "ahead" not in words


def test_one_seed_makes_a_page_that_says_so(tmp_path: Path) -> None:
    records = World(times_the_compute(3.0), seeds=(0,), fewer_images=(1024,)).records()
    text = _page(records, tmp_path)
    assert "one seed: no interval" in text


def test_a_page_is_written_with_its_figures_and_tables(tmp_path: Path) -> None:
    text = _page(behind().records(), tmp_path)
    for heading in (
        "Models of one size along pretraining compute",
        "The same on each set",
        "Accuracy and the number of pretraining images",
        "What pretraining added",
        "Set by set: fine-tuned",
        "Set by set: 5-shot linear",
    ):
        assert f"## {heading}" in text
    assert "Fine-tuned, set by set" not in text, "hundreds of weight files are not listed one by one"
    assert (tmp_path / "s" / "figures" / "finetuned_vs_pretraining.png").stat().st_size > 5000
    assert (tmp_path / "s" / "tables" / "pretraining_compute_differences.csv").exists()
    assert (tmp_path / "s" / "index.html").exists()


def test_the_same_records_give_the_same_page(tmp_path: Path) -> None:
    records = behind().records()
    assert _page(records, tmp_path / "one") == _page(list(reversed(records)), tmp_path / "two")


@pytest.mark.parametrize("suite", ["desk", "transfer-desk"])
def test_suites_without_pretraining_have_no_such_section(suite: str) -> None:
    from bench.store.files import read_records, suite_folder

    root = Path(__file__).resolve().parents[2]
    found = study(suite, read_records(suite_folder(root / "results", suite, local=False)).records, lambda cell_id: None)
    assert found.pretraining is None
    assert pretraining_sections(found.pretraining) == []


def _page(records: list[Record], out: Path) -> str:
    path = write_report("s", records, lambda cell_id: None, question="Why?", out=out, rebuild_command="x")
    return path.read_text(encoding="utf-8")
