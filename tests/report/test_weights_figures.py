import io

import pytest
from PIL import Image
from synthetic_protocols import (
    BIT,
    FIVE,
    HYBRID,
    VIT,
    complexity_record,
    evaluate_record,
    fewshot_record,
    finetune_record,
    transfer_like,
)

from bench.analyse.study import study
from bench.report.figures.drawing import draw_panels
from bench.report.figures.figure_files import files_of
from bench.report.figures.style import figure_style
from bench.report.sections.weights_sections import (
    accuracy_against_shots,
    evaluated_against_macs,
    finetuned_against_macs,
    public_figure_5,
)


def protocols(*records):
    return study("s", records, lambda cell_id: None).protocols


def test_shots_are_on_the_axis_and_a_line_is_a_model():
    figure = accuracy_against_shots(protocols(fewshot_record(VIT, 70.0), fewshot_record(BIT, 50.0)))
    (panel,) = figure.panels
    assert [(line.label, line.family) for line in panel.lines] == [("ViT-B/16", "vit"), ("BiT-M R50x1", "cnn")]
    assert [point.x for point in panel.lines[0].points] == [1, 5, 10, 25]
    assert panel.lines[0].points[1].y == pytest.approx(71.0)  # leave-one-out, one point above the fixed rule
    assert "λ by leave-one-out" in figure.caption


def test_one_number_of_shots_makes_points_and_no_lines():
    (panel,) = accuracy_against_shots(protocols(fewshot_record(VIT, 70.0, shots=(5,)))).panels
    assert panel.lines == ()
    assert [point.label for point in panel.points] == ["ViT-B/16"]


def test_public_figure_has_compute_on_its_axis_and_imagenet_at_the_right():
    figure = public_figure_5(protocols(*transfer_like((VIT, HYBRID, BIT))))
    assert [panel.title for panel in figure.panels] == ["Mean of the five sets", "ImageNet (ILSVRC-2012)"]
    vit = next(point for point in figure.panels[0].points if point.label == "ViT-B/16")
    assert vit.x == pytest.approx(6 * 18.5e9 * 300 * 14.2e6 / 1e18)
    assert {point.family for point in figure.panels[1].points} == {"vit", "hybrid", "cnn"}
    assert "The recipes differ" in figure.caption
    assert "fine-tuned here" in figure.caption


def test_fewer_sets_are_called_what_they_are():
    records = transfer_like((VIT, BIT), FIVE[:3])
    figure = public_figure_5(protocols(*records))
    assert [panel.title for panel in figure.panels] == ["Mean of 3 sets"]
    assert "over CIFAR-10, CIFAR-100 and Oxford-IIIT Pets, the same for every point" in figure.caption


def test_without_compute_or_accuracy_there_is_no_public_figure():
    assert public_figure_5(protocols(finetune_record(VIT, 90.0, "pets"))) is None  # no MACs at 224 px
    assert public_figure_5(protocols(complexity_record("vit_base_patch16_224.in1k", 1e10, 224))) is None


def test_models_from_scratch_stay_out_of_the_figure_unless_alone():
    scratch = finetune_record(VIT, 50.0, "pets", weights="random")
    figure = finetuned_against_macs(protocols(finetune_record(VIT, 90.0, "pets"), scratch))
    assert [point.y for point in figure.panels[0].points] == [90.0]
    assert "from scratch are in the table alone" in figure.caption
    assert [point.y for point in finetuned_against_macs(protocols(scratch)).panels[0].points] == [50.0]


def test_rows_without_macs_are_in_no_figure():
    assert evaluated_against_macs(protocols(evaluate_record(values={"macs": None}))) is None
    assert finetuned_against_macs(protocols(finetune_record(values={"macs": None}))) is None


def test_nothing_measured_draws_nothing():
    for figure in (evaluated_against_macs, finetuned_against_macs, accuracy_against_shots, public_figure_5):
        assert figure(protocols()) is None


def test_small_marks_of_a_family_keep_their_colour():
    figure = public_figure_5(protocols(*transfer_like((VIT, HYBRID, BIT), ("pets", "imagenet"))))
    with figure_style():
        files = files_of(draw_panels(figure.panels), "f")
    with Image.open(io.BytesIO(files["f.png"])) as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(maxcolors=1 << 24)}
    for red, green, blue in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00), (0x00, 0x9E, 0x73)):
        assert any(max(abs(r - red), abs(g - green), abs(b - blue)) <= 48 for r, g, b in colours)


def test_a_crowded_panel_names_its_front_alone():
    # MACs rise with the index; accuracy rises to the 30th checkpoint and falls after it
    records = [
        evaluate_record(f"model_{i:02d}", 500 + 10 * min(i, 60 - i), 1000, values={"macs": 1e9 * 1.1**i})
        for i in range(50)
    ]
    figure = evaluated_against_macs(protocols(*records))
    labels = {point.label for point in figure.panels[0].points}
    assert labels == {"", *(f"model_{i:02d} @224" for i in range(31))}
    assert "labels only the Pareto front" in figure.caption
    draw_panels(figure.panels)
