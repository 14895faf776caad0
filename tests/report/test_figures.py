import pytest
from synthetic_store import desk_like, make_record, speed_record, train_cell, train_values, tune_like

from bench.analyse.study import study
from bench.catalog.papers import paper_scaling
from bench.report.contents import report_document
from bench.report.figures.drawing import draw_panels
from bench.report.figures.figure_files import drawn_files
from bench.report.figures.panels import (
    MOST_LABELS,
    MOST_SVG_POINTS,
    FigureSpec,
    Line,
    Panel,
    Point,
    front_corners,
    labelled_points,
)
from bench.report.figures.style import family_style, figure_style


def none(cell_id):
    return None


def all_figures(analysed):
    return report_document(analysed, question="", rebuild_command="").figures


@pytest.fixture(scope="module")
def figures():
    return {figure.name: figure for figure in all_figures(study("desk", desk_like(), none))}


def test_a_full_suite_has_every_figure(figures):
    assert list(figures) == [
        "accuracy_vs_macs",
        "gap_trends",
        "accuracy_vs_training",
        "accuracy_vs_training_images",
        "accuracy_vs_throughput",
        "accuracy_vs_latency",
        "accuracy_vs_memory",
        "paper_figure_5",
    ]


def test_points_are_the_means_over_seeds_at_the_counted_macs():
    records = [
        make_record(train_cell("vit_32px_s", seed=i), train_values(top1, macs=2e6))
        for i, top1 in enumerate((80.0, 82.0, 84.0))
    ]
    (figure,) = [f for f in all_figures(study("s", records, none)) if f.name == "accuracy_vs_macs"]
    (panel,) = figure.panels
    ((point),) = panel.points
    assert (point.x, point.y, point.family, point.label) == (2.0, pytest.approx(82.0), "vit", "ViT S")
    assert point.y_bar[0] < 82.0 < point.y_bar[1]


def test_panels_lead_with_generated_sets_and_leave_digits_last(figures):
    titles = [panel.title for panel in figures["accuracy_vs_macs"].panels]
    assert titles[-1] == "Handwritten digits (real)"
    assert all("generated" in title for title in titles[:-1])


def test_what_is_drawn_is_what_the_panel_holds():
    points = (Point(1.0, 80.0, "vit", "a", (79.0, 81.0)), Point(2.0, 85.0, "cnn", "b", None, (1.8, 2.2)))
    with figure_style():
        axes = draw_panels([Panel("t", "x", "y", points, front="low x")]).axes[0]
    drawn = {tuple(line.get_xydata()[0]): line for line in axes.lines if line.get_linestyle() == "None"}
    assert set(drawn) == {(1.0, 80.0), (2.0, 85.0)}
    assert drawn[1.0, 80.0].get_color() == family_style("vit").colour
    assert drawn[1.0, 80.0].get_marker() != drawn[2.0, 85.0].get_marker()
    bars = [segment.tolist() for collection in axes.collections for segment in collection.get_segments()]
    assert bars == [[[1.0, 79.0], [1.0, 81.0]], [[1.8, 85.0], [2.2, 85.0]]]
    (front,) = [line for line in axes.lines if line.get_linestyle() == "-"]
    assert front.get_xydata().tolist() == [[1.0, 80.0], [2.0, 80.0], [2.0, 85.0]]
    assert {text.get_text() for text in axes.texts if text.get_text()} == {"a", "b"}
    assert axes.get_xscale() == "log"


def test_unstable_seeds_are_crosses_with_their_own_legend_and_on_no_front():
    points = (
        Point(1.0, 91.8, "vit", "a", seeds=(74.4, 91.8, 92.0)),
        Point(2.0, 85.0, "cnn", "b"),
        Point(3.0, 88.0, "cnn", "c"),
    )
    with figure_style():
        figure = draw_panels([Panel("t", "x", "y", points, front="low x")])
    (axes,) = figure.axes
    (crosses,) = [line for line in axes.lines if line.get_marker() == "x"]
    assert crosses.get_xydata().tolist() == [[1.0, 74.4], [1.0, 91.8], [1.0, 92.0]]
    assert crosses.get_color() == family_style("vit").colour
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "ViT", "CNN", "Pareto front", "one seed (unstable)"]  # fmt: skip
    assert front_corners(points, "low x") == [(2.0, 85.0), (3.0, 85.0), (3.0, 88.0)]
    assert axes.get_ylim()[0] < 74.4


def test_stable_seeds_alone_have_no_cross_in_the_legend_and_one_point_is_no_front():
    panel = Panel("t", "x", "y", (Point(1.0, 90.0, "vit", "a"), Point(2.0, 85.0, "cnn", "b")), front="low x")
    with figure_style():
        figure = draw_panels([panel])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["ViT", "CNN"]


def test_an_unstable_model_stands_at_the_median_of_its_seeds_without_a_bar():
    records = [
        make_record(train_cell(model, seed=i), train_values(top1, macs=macs))
        for model, macs, values in (("vit_32px_s", 2e6, (74.4, 92.0, 91.8)), ("resnet_32px_s", 3e6, (98.0, 98.2, 98.4)))
        for i, top1 in enumerate(values)
    ]
    found = {figure.name: figure for figure in all_figures(study("s", records, none))}
    vit, resnet = found["accuracy_vs_macs"].panels[0].points
    assert (vit.y, vit.y_bar, sorted(vit.seeds)) == (91.8, None, [74.4, 91.8, 92.0])
    assert (resnet.seeds, resnet.y_bar is None) == ((), False)
    assert "crosses: every seed where seeds are unstable" in found["accuracy_vs_macs"].caption


def test_front_of_throughput_steps_down_to_the_fast():
    points = [Point(100.0, 90.0, "vit", "a"), Point(200.0, 80.0, "cnn", "b"), Point(150.0, 70.0, "cnn", "c")]
    assert front_corners(points, "high x") == [(100.0, 90.0), (100.0, 80.0), (200.0, 80.0)]


def test_no_two_labels_of_a_full_figure_overlap(figures):
    for name, spec in figures.items():
        with figure_style():
            figure = draw_panels(spec.panels)
            figure.canvas.draw()
        for axes, panel in zip(figure.axes, spec.panels, strict=True):
            boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
            expected = len(panel.points) + sum(bool(line.label) for line in panel.lines)
            assert len(boxes) == expected, f"{name}: every point is labelled"
            for i, box in enumerate(boxes):
                assert not any(box.shrunk(0.9, 0.8).overlaps(other) for other in boxes[i + 1 :]), name
                assert figure.bbox.x0 <= box.x0
                assert box.x1 <= figure.bbox.x1


def test_the_papers_figure_5_plots_table_6(figures):
    average, imagenet, _ours = figures["paper_figure_5"].panels
    rows = paper_scaling()
    assert [(p.x, p.y, p.family) for p in average.points] == [(r.exaflops, r.average5_pct, r.family) for r in rows]
    assert [p.y for p in imagenet.points] == [r.top1_pct["imagenet"] for r in rows]


def test_one_training_budget_gives_no_training_compute_figure():
    records = [
        make_record(train_cell(m, seed=i), train_values(80.0))
        for m in ("vit_32px_s", "resnet_32px_s")
        for i in range(2)
    ]
    found = {figure.name: figure for figure in all_figures(study("s", records, none))}
    assert "accuracy_vs_training" not in found
    assert "no compute axis" in found["paper_figure_5"].caption


def test_speed_without_accuracy_gives_no_empty_plot():
    assert all_figures(study("s", [speed_record("vit_32px_s", 0, 100.0)], none)) == []
    assert all_figures(study("s", [], none)) == []


def test_a_sweep_is_drawn_with_the_best_rate_of_each_model():
    (figure,) = all_figures(study("tune", tune_like(), none))
    small = figure.panels[0]
    assert small.title == "Wave textures, size S"
    assert {line.label for line in small.lines} == {
        "ViT S: 0.003",
        "R+ViT S: 0.003",
        "ResNet S: 0.009",
        "MBConv S: 0.009",
    }
    vit = next(line for line in small.lines if line.family == "vit")
    assert vit.points[vit.label_at].x == 0.003


def test_with_many_points_only_the_fronts_of_families_are_labelled():
    points = [Point(float(i + 1), float(i % 10), "vit" if i % 2 else "cnn", str(i)) for i in range(MOST_LABELS + 1)]
    chosen = labelled_points(points, "low x")
    assert {point.label for point in chosen} == {"0", "2", "4", "6", "8", "1", "3", "5", "7", "9"}
    assert labelled_points(points[:MOST_LABELS]) == points[:MOST_LABELS]


def test_light_points_are_hollow_and_below_and_points_without_a_label_get_none():
    points = (Point(1.0, 50.0, "vit", "named"), Point(2.0, 60.0, "vit", "", is_light=True))
    assert [point.label for point in labelled_points(points)] == ["named"]
    with figure_style():
        solid, light = sorted(
            draw_panels([Panel("t", "x", "y", points)]).axes[0].lines, key=lambda line: line.get_xdata()[0]
        )
    assert (solid.get_markerfacecolor(), light.get_markerfacecolor()) == (family_style("vit").colour, "none")
    assert light.get_zorder() < solid.get_zorder()
    assert light.get_alpha() < 1


def test_a_bare_line_has_no_marker_and_its_bars_are_a_band():
    ends = [(40.0, 60.0), (50.0, 80.0)]
    points = tuple(Point(x, 55.0, "vit", "", y_bar=bar) for x, bar in zip((1.0, 2.0), ends, strict=True))
    with figure_style():
        axes = draw_panels([Panel("t", "x", "y", lines=(Line(points, "vit", "", is_bare=True),))]).axes[0]
    assert [line.get_marker() for line in axes.lines] == ["None"]
    (band,) = axes.collections
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices}
    assert {(x, end) for x, bar in zip((1.0, 2.0), ends, strict=True) for end in bar} <= corners


def test_a_figure_of_thousands_of_points_has_no_svg():
    few, many = (
        FigureSpec("f", "a", "c", (Panel("t", "x", "y", (Point(1.0, 1.0, "vit", ""),) * count),))
        for count in (MOST_SVG_POINTS, MOST_SVG_POINTS + 1)
    )
    assert few.has_svg
    assert not many.has_svg
    with figure_style():
        assert set(drawn_files([many])) == {"f.png"}


def test_an_axis_may_be_linear():
    with figure_style():
        points = (Point(60.0, 1.0, "vit", ""), Point(80.0, 2.0, "vit", ""))
        axes = draw_panels([Panel("t", "x", "y", points, log_base=0)]).axes[0]
    assert axes.get_xscale() == "linear"


def test_every_caption_says_its_conditions(figures):
    for name in ("accuracy_vs_macs", "accuracy_vs_training", "accuracy_vs_training_images"):
        for words in ("cpu", "fp32", "batch 64", "32 px", "3 seeds", "test"):
            assert words in figures[name].caption, name
    for name in ("accuracy_vs_throughput", "accuracy_vs_latency"):
        for words in ("Example CPU", "fp32", "batch 64", "32 px", "5 fresh processes"):
            assert words in figures[name].caption, name
