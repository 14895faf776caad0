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
    page = (report / "report.md").read_text(encoding="utf-8")
    finding = next(line for line in page.splitlines() if line.startswith("**Finding.**"))
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
    behind = sum("unstable" not in e.shown and re.search(r"high=-", str(e.more)) is not None for e in pairs)
    unstable = sum("unstable" in e.shown for e in pairs)
    return [float(count) for count in (*rows.values(), *same.values(), len(pairs), behind, unstable)]
