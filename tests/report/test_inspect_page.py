import csv
import re

import numpy as np
import pytest
from inspected import cnn, vit
from PIL import Image
from synthetic_store import make_record, train_cell, train_values

from bench.report.figures.inspect_figures import draw_distances, draw_maps, filter_pictures, map_tile, patch_sequence
from bench.report.figures.style import figure_style
from bench.report.figures.tiles import mosaic, spotlight
from bench.report.report_files import write_inspect_page, write_report
from bench.report.sections.inspect_section import MOST_IMAGES, inspect_section
from bench.report.sections.inspected import pictures_of, seen_models
from bench.store.inspections import Tokens, Weights

TRAINED = Weights(kind="file", sha256="12" * 8, cell_id="cd" * 8)


def page(inspections, out):
    path = write_inspect_page(inspections, out=out, rebuild_command="vitbench inspect vit_32px_s")
    return path.read_text(encoding="utf-8")


def test_a_page_of_random_weights_says_so_at_its_top_and_under_each_figure_that_depends_on_them(tmp_path):
    text = page([vit(), cnn()], tmp_path)
    assert text.splitlines()[2].startswith(
        "**Random weights: what is shown here is the architecture, and nothing learned"
    )
    captions = [line for line in text.splitlines() if line.startswith("**") and "Weights:" in line]
    assert len(captions) == 6  # maps, distances, two filters, positions, rollout
    assert all("random weights, seed 0 (architecture, nothing learned)" in caption for caption in captions)


def test_a_page_of_trained_weights_names_the_training_and_never_says_random(tmp_path):
    text = page([vit(weights=TRAINED)], tmp_path)
    assert f"sha256 {'12' * 8}, trained in cell {'cd' * 8}" in text
    assert f"Weights: trained in cell {'cd' * 8}." in text
    assert "andom" not in text


def test_of_several_models_those_with_random_weights_are_named(tmp_path):
    text = page([vit(weights=TRAINED), cnn()], tmp_path)
    assert "**Random weights** (architecture, nothing learned): ResNet S." in text


def test_every_linked_figure_is_there_and_no_other(tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "inspect_old.png").write_bytes(b"")
    text = page([vit(), cnn()], tmp_path)
    linked = set(re.findall(r"\((figures/[^)]+)\)", text))
    assert linked == {f"figures/{path.name}" for path in (tmp_path / "figures").iterdir()}
    assert sum(name.endswith(".svg") for name in linked) == 1


def test_the_same_inspections_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        page([vit(), cnn()], tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) > 8
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


def test_what_is_missing_is_listed_with_its_reason(tmp_path):
    text = page([vit(), cnn()], tmp_path)
    assert "- No attention of ResNet S: A CNN has no attention." in text
    assert "- No Grad-CAM of ViT S: Grad-CAM reads" in text


def test_names_with_markup_stay_text(tmp_path):
    odd = "<script>|*a*\n# b"
    text = page([vit(title=odd, model=odd, picture=odd)], tmp_path)
    assert "<script>" not in text
    assert "\n# b" not in text
    assert all(re.fullmatch(r"[\w.]+", path.name) for path in (tmp_path / "figures").iterdir())


def test_a_class_may_be_named_in_any_script(tmp_path):
    page([vit(target_name="\u732b\x07 <cat>")], tmp_path)
    assert list((tmp_path / "figures").glob("inspect_maps_*.png"))


@pytest.mark.parametrize("name", ["W" * 60, "swin_tiny_patch4_window7_224.ms_in22k_ft_in1k", "ViT S"])
def test_words_beside_maps_end_before_the_maps_begin(name):
    with figure_style():
        figure = draw_maps([vit(title=name, target_name=name)])
        renderer = figure.canvas.get_renderer()
        beside = [text.get_window_extent(renderer) for text in figure.texts if text.get_ha() == "left"]
        maps = min(axes.get_window_extent(renderer).x0 for axes in figure.axes)
    assert len(beside) >= 4
    assert max(box.x1 for box in beside) < maps


def test_figures_of_a_kind_are_explained_once(tmp_path):
    text = page([vit(1), vit(2, picture="flower")], tmp_path)
    assert text.count("SmoothGrad") == 1
    assert text.count("Abnar") == 1
    assert text.count("To be read like") == 2


def test_the_table_traces_every_number_to_its_inspections(tmp_path):
    page([vit(), vit(7, picture="flower", first_px=5.0)], tmp_path)
    with open(tmp_path / "tables" / "inspections.csv", encoding="utf-8", newline="") as stream:
        rows = {line["column"]: line for line in csv.DictReader(stream)}
    first = rows["Attention distance, first layer [px]"]
    assert first["shown"] == "4.5–5.5"  # heads look 4 and 5 px in one image, 5 and 6 px in the other
    assert first["value"] == "5.0"
    assert first["more"] == "lowest=4.5 highest=5.5"
    assert first["record_ids"].split() == [f"{1:016x}", f"{7:016x}"]


def test_a_training_is_named_where_its_record_is_in_the_same_report():
    [seen] = seen_models([vit(weights=TRAINED)], {"cd" * 8})
    [strange] = seen_models([vit(weights=TRAINED)], {"ef" * 8})
    assert seen.ids == (f"{1:016x}", "cd" * 8)
    assert strange.ids == (f"{1:016x}",)


def test_an_inspection_of_two_results_folders_counts_once():
    [seen] = seen_models([vit(1), vit(2, picture="flower"), vit(1)])
    assert [one.facts.inspection_id for one in seen.inspections] == [f"{1:016x}", f"{2:016x}"]


def test_heads_that_look_as_far_as_even_attention_are_counted_by_layer():
    """Even attention looks 6 px; 90 % are 5.4. Layer 1 has heads of 4.5 and 5.5, layer 2 of 5.5 and 6.5."""
    [seen] = seen_models([vit(first_px=4.5)])
    assert seen.global_heads == [1, 2]


def test_models_are_told_apart_by_weights_and_images_belong_together():
    found = seen_models([vit(1), vit(2, picture="flower"), vit(3, weights=TRAINED)])
    assert [len(seen.inspections) for seen in found] == [2, 1]
    assert [one.name for one in pictures_of(found)] == ["china", "flower"]


def test_images_beyond_the_most_that_are_drawn_are_named():
    section = inspect_section([vit(number, picture=f"image {number}") for number in range(1, MOST_IMAGES + 2)])
    assert f"Not drawn: image {MOST_IMAGES + 1} (at most {MOST_IMAGES} images are drawn)" in section.text


def test_squares_follow_each_other_row_by_row():
    pixels = np.arange(4 * 4 * 3).reshape(4, 4, 3).astype(np.uint8)
    squares = patch_sequence(pixels, Tokens(kind="patches", rows=2, columns=2, stride_px=2))
    assert [square[0, 0, 0] for square in squares] == [pixels[r, c, 0] for r, c in ((0, 0), (0, 2), (2, 0), (2, 2))]
    assert np.array_equal(mosaic([squares[:2], squares[2:]], 0), pixels)


def test_the_distance_figure_plots_every_head_the_mean_and_even_attention():
    with figure_style():
        figure = draw_distances(seen_models([vit(first_px=4.0)]))
    plotted = [line.get_ydata() for line in figure.axes[0].get_lines()]
    assert [list(map(float, values)) for values in plotted] == [[4.5, 5.5], [4.0, 5.0], [5.0, 6.0], [6.0, 6.0]]


def test_a_picture_is_brightest_where_the_map_is_largest_and_stays_visible_elsewhere():
    white = np.full((8, 8, 3), 255, dtype=np.uint8)
    lit = spotlight(white, np.array([[0.0, 0.0], [0.0, 4.0]], dtype=np.float32), 8)
    assert lit[7, 7, 0] == 255
    assert lit[0, 0, 0] == 38  # 0.15 x 255


def test_a_filter_is_grey_at_zero_and_white_at_its_largest():
    [picture] = filter_pictures(np.array([[[[0.0, 2.0, -1.0]]]], dtype=np.float32))
    assert picture.tolist() == [[[128, 255, 64]]]


def test_a_missing_map_is_a_blank_tile():
    assert len(np.unique(map_tile(cnn(), "rollout", 10))) == 1


@pytest.mark.parametrize("side", [2, 3, 14, 24, 37])
def test_figures_of_every_grid_are_no_wider_than_a_page(tmp_path, side):
    one = vit()
    facts = one.facts.model_copy(
        update={"tokens": Tokens(kind="patches", rows=side, columns=side, stride_px=24 / side)}
    )
    maps = np.random.default_rng(0).random((12, 16, side, side), dtype=np.float32)
    similarity = np.zeros((side, side, side, side), dtype=np.float32)
    arrays = dict(one.arrays) | {"rollout": maps[:, 0], "rollout_heads": maps, "position_similarity": similarity}
    page([type(one)(facts, arrays)], tmp_path)
    for path in (tmp_path / "figures").glob("*.png"):
        with Image.open(path) as image:
            assert image.width <= 900, path.name


def test_a_suites_report_has_a_section_when_there_are_inspections(tmp_path):
    records = [make_record(train_cell("vit_32px_s", "textures", seed), train_values(80.0 + seed)) for seed in range(2)]

    def write(name, inspections):
        path = write_report(
            name, records, lambda _: None, question="Who?", out=tmp_path, rebuild_command="v", inspections=inspections
        )
        return path.read_text(encoding="utf-8")

    without, with_section = write("a", []), write("b", [vit(), cnn()])
    assert "What the models see" not in without
    assert "## What the models see" in with_section
    assert with_section.index("## What the models see") < with_section.index("## What these numbers cannot show")
    assert (tmp_path / "b" / "tables" / "inspections.csv").exists()
    assert list((tmp_path / "b" / "figures").glob("inspect_rollout_*.png"))
