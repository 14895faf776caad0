"""Pages about speed: what they show, what they claim, and that nothing is ranked across devices."""

from pathlib import Path

import pytest
from synthetic_speed import MODELS, largest_record, rate, speed_desk_like, training_record
from synthetic_store import speed_record

from bench.analyse.study import Study, study
from bench.report.contents import speed_sections
from bench.report.report_files import write_report
from bench.report.sections.batch_sections import batch_table
from bench.report.sections.resolution_sections import figure_12, resolution_table
from bench.report.tables.timing_tables import speed_table
from bench.report.words.speed_words import speed_finding
from bench.store.record import Record


def nothing(cell_id: str) -> None:
    return None


def made(records: list[Record]) -> Study:
    return study("s", records, nothing)


@pytest.fixture(scope="module")
def desk() -> Study:
    return made(speed_desk_like())


def test_every_axis_of_the_suite_has_its_section_and_figure(desk: Study):
    sections = speed_sections(desk)
    assert [section.heading for section in sections] == [
        "Speed and memory against resolution",
        "Throughput lost with resolution",
        "Throughput against batch size",
        "The largest batch that fits",
        "Training steps",
    ]
    figures = [figure.name for section in sections for figure in section.figures]
    assert figures == ["speed_vs_resolution", "cost_vs_resolution", "throughput_vs_batch", "training_vs_inference"]


def test_a_suite_of_one_batch_and_size_has_no_such_section():
    assert speed_sections(made([speed_record("vit_32px_m", repeat, 100.0 + repeat) for repeat in range(3)])) == []


def test_falls_are_told_with_the_growth_of_macs(desk: Study):
    [table] = [s.table for s in speed_sections(desk) if s.heading == "Throughput lost with resolution"]
    fall = next(fall for fall in desk.speed.falls() if fall.series.model == table.rows[0][0].value)
    texts = [cell.text for cell in table.rows[0]]
    assert texts[1:3] == [str(fall.low_px), str(fall.high_px)]
    assert texts[3] == f"{(fall.high_px // fall.low_px) ** 2} ×"
    assert (table.rows[0][4].value, table.rows[0][4].text) == (fall.factor, f"{fall.factor:.1f} ×")
    macs = {
        row.key.resolution_px: row.count.macs for row in desk.rows if row.key.model == fall.series.model and row.count
    }
    assert table.rows[0][5].value == macs[fall.high_px] / macs[fall.low_px]


def test_curves_are_logarithmic_on_both_axes_and_have_a_line_per_model(desk: Study):
    for section in speed_sections(desk):
        for figure in section.figures:
            for panel in figure.panels:
                assert panel.log_y
                assert "log" in panel.x_label
                assert "log" in panel.y_label
                assert "[" in panel.y_label or panel.y_label.startswith("Images")
                assert len(panel.lines) + len(panel.points) == len(MODELS)


def test_the_batch_table_says_where_a_model_nears_its_peak(desk: Study):
    table = batch_table(desk)
    heads = [column.heading for column in table.columns]
    assert heads[2:6] == ["Batch 1 [img/s]", "Batch 8 [img/s]", "Batch 64 [img/s]", "Batch 512 [img/s]"]
    assert heads[-1] == "Within 5 % of the peak from batch"
    # half of the peak at batch 2: 80 % of it at batch 8, 97 % at 64; noise of 1 % may ask for 512
    assert {row[-1].text for row in table.rows} <= {"64", "512"}
    assert all(row[-3].more for row in table.rows), "the peak has its range over five processes"


def test_with_fewer_than_five_processes_there_is_no_peak_and_no_range():
    table = batch_table(made(speed_desk_like(processes=4)))
    assert {row[column].text for row in table.rows for column in (-3, -2, -1)} == {"n/a"}
    assert not any("[" in cell.text for row in table.rows for cell in row)


def test_a_size_that_a_model_cannot_take_stands_in_the_table_with_its_reason(desk: Study):
    table = resolution_table(desk)
    (row,) = [row for row in table.rows if row[1].text == "50"]
    assert row[2].text == "skipped"
    assert row[2].mark is not None
    assert "8 px wide" in table.notes[row[2].mark - 1]


def test_every_number_of_the_sections_traces_to_its_records(desk: Study):
    known = {record.cell_id for record in desk.records}
    for section in speed_sections(desk):
        assert section.table is not None
        for row in section.table.rows:
            assert all(set(cell.records) <= known for cell in row)
            numbers = [cell for cell in row[2:] if isinstance(cell.value, float)]
            assert all(cell.records for cell in numbers)


def test_devices_and_limits_have_panels_of_their_own():
    records = speed_desk_like()
    records += [largest_record("vit_32px_m", pixels, 9000, device="cuda", memory_limit_mib=None) for pixels in (32, 64)]
    figure = figure_12(made(records))
    assert figure is not None
    titles = [panel.title for panel in figure.panels]
    assert titles == [
        "Speed on cpu",
        "Largest batch within 128 MiB on cpu",
        "Largest batch within the device's memory on cuda",
    ]
    assert "fastest" not in speed_finding(made(records))


def test_the_finding_names_the_fastest_only_where_the_ranges_are_apart(desk: Study):
    assert "is ViT M at 32 and 64 px and ResNet M at 128 px" in speed_finding(desk)
    close = speed_finding(made(speed_desk_like(noise=0.3)))
    assert "no model is told to be the fastest at 32, 64 and 128 px (ranges over processes overlap)" in close
    few = speed_finding(made(speed_desk_like(processes=4)))
    assert "no model is told to be the fastest at 32, 64 and 128 px (fewer than 5 processes)" in few


def test_a_rate_that_is_not_settled_and_of_few_processes_says_both():
    records = [speed_record("vit_32px_m", repeat, 100.0) for repeat in range(2)]
    records[0] = records[0].model_copy(update={"values": {**records[0].values, "warmup_settled": False}})
    table = speed_table(made(records))
    assert table is not None
    (cell,) = [cell for cell in table.rows[0] if cell.text == "100"]
    assert cell.mark is not None
    assert "fewer than five processes" in table.notes[cell.mark - 1]
    assert "steady state" in table.notes[cell.mark - 1]


def test_the_finding_of_training_steps_alone_compares_nothing():
    text = speed_finding(made([training_record("vit_32px_m", repeat, 100.0) for repeat in range(2)]))
    assert text.endswith("1 model gave no figure that can be compared.")


def test_a_search_that_the_cap_stopped_says_or_more():
    records = [largest_record(model, 32, 4096, "cap") for model in MODELS]
    assert "4 096 or more for ViT M" in speed_finding(made(records)).replace("\u202f", " ")


def test_not_even_one_image_is_shown_and_not_drawn():
    records = [largest_record("vit_32px_m", 32, 10), largest_record("vit_32px_m", 64, 0)]
    figure = figure_12(made(records))
    assert figure is not None
    assert [len(line.points) for panel in figure.panels for line in panel.lines] == [1]
    assert "1 points where not one image fits" in figure.caption


def test_the_page_leads_with_the_finding_and_figure_12(tmp_path: Path):
    path = write_report(
        "speed-desk", speed_desk_like(), nothing, question="How fast?", out=tmp_path, rebuild_command="make report"
    )
    text = path.read_text(encoding="utf-8")
    order = [
        "**Finding.** On Example CPU 1 GHz (1 thread) in fp32, the fastest of 3 models",
        "| Model | Family | Res. [px]",
        "figures/speed_vs_resolution.png",
        "## Conditions",
        "## Speed and memory against resolution",
        "figures/cost_vs_resolution.png",
        "## Throughput against batch size",
        "## The largest batch that fits",
        "## Training steps",
        "## Every timing",
        "| skipped | speed | its patches are 8 px wide | 1 | vit_32px_m at 50 px batch 64 |",
    ]
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    assert text.count("speed_vs_resolution.png") == 1
    assert "nan" not in text
    assert "None" not in text


def test_the_made_up_models_have_their_peaks_where_the_formula_says():
    assert rate("vit_32px_m", 64, 32) > 0.95 * 16000 > rate("vit_32px_m", 8, 32)
