"""Every number of the committed reports leads to records of the committed results or to a publication."""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path

import pytest

from bench.report.tables.sidecar import Entry, read_sidecars
from bench.store.files import read_records
from bench.store.inspections import read_inspections

ROOT = Path(__file__).resolve().parents[2]
REPORTS = sorted(path.parent for path in (ROOT / "reports").glob("*/report.md"))
TOP1 = ": top-1 [%]"
NUMBER = re.compile(r"[−+-]?\d[\d\u202f]*(?:\.\d+)?")


def entries(report: Path) -> list[tuple[str, Entry]]:
    return [(table, entry) for table, found in read_sidecars(report).items() for entry in found]


@pytest.mark.parametrize("report", REPORTS, ids=lambda path: path.name)
def test_every_number_names_records_or_a_publication(report: Path) -> None:
    rootless = [
        (table, entry.row, entry.column, entry.shown)
        for table, entry in entries(report)
        if re.search(r"\d", entry.shown) and not entry.record_ids and not entry.source
    ]
    assert rootless == []


@pytest.mark.parametrize("report", REPORTS, ids=lambda path: path.name)
def test_every_named_record_is_among_the_committed_results(report: Path) -> None:
    known = {record.cell_id for record in read_records(ROOT / "results" / report.name).records}
    known |= {one.facts.inspection_id for one in read_inspections(ROOT / "results" / report.name).inspections}
    named = {cell_id for _, entry in entries(report) for cell_id in entry.record_ids}
    assert named <= known


@pytest.mark.parametrize("report", REPORTS, ids=lambda path: path.name)
def test_every_entry_has_a_place_of_its_own(report: Path) -> None:
    places = [(table, entry.row, entry.column) for table, entry in entries(report)]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("report", REPORTS, ids=lambda path: path.name)
def test_every_number_of_the_finding_stands_in_a_table(report: Path) -> None:
    """As shown, or as an unrounded value that rounds to it, or as a count of rows, or among the conditions."""
    finding, page = finding_of(report), (report / "report.md").read_text(encoding="utf-8")
    conditions = page.partition("## Conditions")[2].partition("\n## ")[0]
    found = entries(report)
    told = " ".join([conditions, *(f"{e.row} {e.column} {e.shown} {e.value} {e.more}" for _, e in found)])
    known = [_value(number) for number in NUMBER.findall(told)] + _counts(found)
    lost = [
        number
        for number in NUMBER.findall(finding)
        if not any(math.isclose(abs(_value(number)), abs(one), abs_tol=_half_a_digit(number)) for one in known)
    ]
    assert lost == []


def finding_of(report: Path) -> str:
    page = (report / "report.md").read_text(encoding="utf-8")
    return next(line for line in page.splitlines() if line.startswith("**Finding.**"))


@pytest.mark.parametrize("report", REPORTS, ids=lambda path: path.name)
def test_no_headline_is_about_a_model_below_the_pixels_or_with_seeds_far_apart(report: Path) -> None:
    """Whom the finding names as the best of a set, and whose leads it counts, by the records behind the tables.

    Where logistic regression on pixels was not run, the finding has to say so.
    """
    results = {record.cell_id: record for record in read_records(ROOT / "results" / report.name).records}
    finding, found = finding_of(report), entries(report)
    main = [entry for table, entry in found if table == "main" and entry.column.endswith(TOP1) and entry.record_ids]
    pixels = {entry.column: float(entry.value) for entry in main if entry.row == "Logistic regression on pixels"}
    told: list[tuple[str, tuple[str, ...]]] = []  # column of the main table, records of one model
    for entry in main:
        named = re.search(
            rf"On {re.escape(entry.column.removesuffix(TOP1))} (.+?)(?: \(fewest|; not ranked|\. )", finding
        )
        if named is not None and re.search(rf"{re.escape(entry.row.split(' (')[0])}(,| and| has|$)", named[1]):
            told.append((entry.column, entry.record_ids))
    for entry in (entry for table, entry in found if table == "differences"):
        is_decided = "low=" in entry.more and ("low=-" not in entry.more or "high=-" in entry.more)
        if is_decided and "below pixels" not in entry.shown:
            models = {results[i].cell["model"] for i in entry.record_ids}
            sides = [tuple(i for i in entry.record_ids if results[i].cell["model"] == model) for model in models]
            told += [(entry.column.replace(" [points]", TOP1), ids) for ids in sides]
    for column, ids in told:
        runs = [float(results[i].values["top1_pct"]) for i in ids]
        assert max(runs) - min(runs) <= 20, (column, ids)
        assert sum(runs) / len(runs) >= pixels.get(column, 0.0), (column, ids)
    if {column for column, _ in told} - pixels.keys():
        assert "Logistic regression on pixels was not run" in finding


@pytest.mark.parametrize("report", REPORTS, ids=lambda path: path.name)
def test_every_pretrained_model_of_a_finding_is_above_the_pixels_on_the_mean_over_sets(report: Path) -> None:
    means = [e for table, e in entries(report) if table == "transfer_fine_tuned" and e.column.startswith("Mean of")]
    (level,) = [float(e.value) for e in means if e.row.endswith("on pixels")] or [0.0]
    assert all(float(entry.value) >= level for entry in means if ", pretrained" in entry.row)


def _value(number: str) -> float:
    return float(number.replace("\u202f", "").replace("−", "-"))


def _half_a_digit(number: str) -> float:
    """What rounding may have taken from the number, and the error of a float."""
    return 0.5 * 10 ** -len(number.partition(".")[2]) * (1 + 1e-9) if "." in number else 1e-9


def _counts(found: list[tuple[str, Entry]]) -> list[float]:
    """How many rows each table has, how many say the same in a column, and what became of pairs of a ViT and a CNN."""
    rows = Counter(table for table, _ in {(table, entry.row) for table, entry in found})
    same = Counter((table, entry.column, entry.shown) for table, entry in found)
    pairs = [e for table, e in found if table == "differences" and re.match(r"ViT.* − (?!R\+ViT)", e.row)]
    below = sum("below pixels" in e.shown for e in pairs)
    behind = sum("below pixels" not in e.shown and re.search(r"high=-", str(e.more)) is not None for e in pairs)
    unstable = sum("unstable" in e.shown for e in pairs)
    return [float(count) for count in (*rows.values(), *same.values(), len(pairs), behind, below, unstable)]
