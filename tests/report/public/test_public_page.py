"""The page of public checkpoints: what it says with and without timings, and that every number has a root."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import pytest
from made_timings import ANCHORS, FURTHER, timings

from bench.analyse.public.fronts import comparable, front
from bench.analyse.public.rows import COSTS
from bench.analyse.public.study import PublicStudy, public_study
from bench.catalog.public_results import public_results
from bench.report.public.page import SuitePage, public_page
from bench.report.report_files import SUITE_PAGES, write_report
from bench.report.tables.sidecar import read_sidecars

MOST_BYTES = 1_000_000


@pytest.fixture(scope="module")
def timed() -> PublicStudy:
    return public_study(timings())


@pytest.fixture(scope="module")
def page(timed: PublicStudy) -> SuitePage:
    return public_page(timed)


@pytest.fixture(scope="module")
def untimed_page() -> SuitePage:
    return public_page(public_study([]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reports")
    return write_report("public", timings(), lambda cell_id: None, question="Which?", out=out,
                        rebuild_command="vitbench report public").parent  # fmt: skip


def test_the_first_screen_is_three_bullets_one_figure_and_at_most_twelve_rows(page: SuitePage) -> None:
    first = page.sections[0]
    assert first.text.count("\n- ") == 2
    assert first.text.startswith("- ")
    assert [figure.name for figure in first.figures] == ["accuracy_vs_macs"]
    assert first.table is not None
    assert 0 < len(first.table.rows) <= 12


def test_the_table_holds_rows_that_none_of_their_stratum_beats(page: SuitePage, timed: PublicStudy) -> None:
    best = {
        row.model
        for stratum in ("in1k", "in21k", "larger")
        for row in front(comparable(timed.rows, stratum, by_labels_alone=False), COSTS["latency"])
    }
    table = page.sections[0].table
    assert table is not None
    assert {row[0].text for row in table.rows} <= best


def test_estimates_are_marked_and_rest_on_the_anchors(page: SuitePage, timed: PublicStudy) -> None:
    table = page.sections[0].table
    assert table is not None
    anchors = {cell_id for time in timed.estimates["latency"].anchors.values() for cell_id in time.cell_ids}
    latencies = [row[7] for row in table.rows]
    assert any(cell.is_estimate for cell in latencies)
    for cell in latencies:
        assert cell.text.startswith("~") == cell.is_estimate
        assert set(cell.records) == anchors if cell.is_estimate else set(cell.records) < anchors


def test_a_row_that_is_best_by_an_estimate_is_said_to_be_estimated(page: SuitePage, timed: PublicStudy) -> None:
    kinds = {(row.model, row.result.img_size): row.times["latency"].kind for row in timed.rows if row.times}
    named = re.findall(r"within [\d.]+ ms `(\S+)` at (\d+) px \(([^)]*)\)", page.sections[0].text)
    assert named
    assert all(kinds[model, int(size)] in told for model, size, told in named)


def test_without_timings_the_page_speaks_of_multiply_adds_alone(untimed_page: SuitePage) -> None:
    words = " ".join([untimed_page.finding, *(section.text + section.below for section in untimed_page.sections)])
    assert "nothing was timed here" in words
    assert " ms" not in words
    assert "estimated" not in words
    figures = {figure.name for section in untimed_page.sections for figure in section.figures}
    assert figures == {"accuracy_vs_macs", "front_gaps", "robustness", "time_per_mac", "paper_figure_5"}


def test_without_further_models_the_error_is_that_of_the_anchors_and_it_says_how_to_check_it() -> None:
    places = [(record.cell["model"], record.cell["resolution_px"]) for record in timings()]
    twice = [record for record, place in zip(timings(), places, strict=True) if places.count(place) == 2]
    first = public_page(public_study(twice)).sections[0]
    assert f"of {ANCHORS} anchors, each left out in turn (`vitbench run public --check-estimates`" in first.text
    assert "interval held" not in first.text


def test_the_finding_says_once_that_recipes_differ(page: SuitePage) -> None:
    assert page.finding.count("published accuracies, one training each: recipes differ") == 1


def test_every_row_stands_in_the_file_beside_the_page(folder: Path) -> None:
    lines = (folder / "public.csv").read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert len(rows) == len(public_results())
    for row, result in zip(rows, public_results(), strict=True):
        assert (row["model"], int(row["img_size"])) == (result.model, result.img_size)
        assert float(row["imagenet_top1"]) == result.imagenet_top1
        assert float(row["latency_ms_low"]) <= float(row["latency_ms"]) <= float(row["latency_ms_high"])
    kinds = {row["latency_ms_kind"] for row in rows}
    assert kinds == {"measured", "estimated"}


def test_every_number_of_a_table_names_records_or_a_source(folder: Path) -> None:
    rootless = [
        (table, entry.row, entry.column)
        for table, entries in read_sidecars(folder).items()
        for entry in entries
        if re.search(r"\d", entry.shown) and not entry.record_ids and not entry.source
    ]
    assert rootless == []


def test_no_file_but_the_page_to_explore_is_large_and_crowded_figures_have_no_svg(folder: Path) -> None:
    sizes = {path.name: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    assert {name: size for name, size in sizes.items() if size > MOST_BYTES and name != "index.html"} == {}
    assert {name for name in sizes if name.endswith(".svg")} == {"front_gaps.svg", "paper_figure_5.svg"}


def test_every_timed_model_is_listed_with_what_it_would_have_been_estimated_at(page: SuitePage) -> None:
    table = next(s.table for s in page.sections if s.table is not None and s.table.name == "public_timings")
    assert [row[2].text for row in table.rows] == ["anchor"] * ANCHORS + ["further model"] * FURTHER
    for row in table.rows:
        assert isinstance(row[5].value, float)
        assert abs(math.log(row[5].value)) < 1.0


def test_only_its_own_suite_gets_the_page() -> None:
    assert set(SUITE_PAGES) == {"public"}
