import csv
import io

import pytest

from bench.report.tables.sidecar import HEADER, Entry, read_sidecars, row_titles, table_csv
from bench.report.tables.table import Cell, Column, Table


def columns(*names, numbers=()):
    return tuple(Column(name, is_number=name in numbers) for name in names)


def test_every_entry_has_its_value_its_records_and_its_source():
    table = Table(
        "t",
        columns("Model", "Top-1 [%]", "Published [%]", "Rate [img/s]"),
        (
            (
                Cell("a|b"),
                Cell("81.4 ± 0.3", 81.44, ("id2", "id1"), more=(("low", 81.1), ("high", 81.7))),
                Cell("82.0", 82.0, source="Table 2"),
                Cell("n/a"),
            ),
        ),
    )
    assert list(csv.reader(io.StringIO(table_csv(table)))) == [
        HEADER,
        ["a|b", "Top-1 [%]", "81.4 ± 0.3", "81.44", "low=81.1 high=81.7", "id1 id2", ""],
        ["a|b", "Published [%]", "82.0", "82.0", "", "", "Table 2"],
        ["a|b", "Rate [img/s]", "n/a", "", "", "", ""],
    ]


def test_a_condition_of_the_row_points_at_the_rows_records():
    row = (Cell("a"), Cell("224", 224), Cell("ViT"), Cell("80.0", 80.0, ("id1",)), Cell("79", 79, ("id2",)))
    table = Table("t", columns("Model", "Res. [px]", "Family", "A", "B"), (row,))
    found = {line["column"]: line["record_ids"] for line in csv.DictReader(io.StringIO(table_csv(table)))}
    assert found == {"Res. [px]": "id1 id2", "Family": "", "A": "id1", "B": "id2"}


def test_rows_that_share_a_first_entry_are_told_apart_by_what_nobody_measured():
    rows = (
        (Cell("ViT S"), Cell("cnn"), Cell("digits"), Cell("32"), Cell("80", 80, ("x",))),
        (Cell("ViT S"), Cell("cnn"), Cell("shapes"), Cell("32"), Cell("70", 70, ("y",))),
        (Cell("ViT S"), Cell("cnn"), Cell("shapes"), Cell("64"), Cell("60", 60, ("z",))),
        (Cell("ViT M"), Cell("cnn"), Cell("digits"), Cell("32"), Cell("90", 90, ("w",))),
    )
    table = Table("t", columns("Model", "Family", "Data set", "Res. [px]", "Top-1", numbers=("Res. [px]",)), rows)
    assert row_titles(table) == ["ViT S, digits", "ViT S, shapes, Res. [px] 32", "ViT S, shapes, Res. [px] 64", "ViT M"]


def test_rows_that_nothing_tells_apart_are_numbered_and_measured_values_are_no_names():
    rows = ((Cell("a"), Cell("80", 80, ("x",))), (Cell("a"), Cell("70", 70, ("y",))), (Cell(""), Cell("1", 1, ("z",))))
    assert row_titles(Table("t", columns("Model", "Top-1"), rows)) == ["a (1)", "a (2)", "3"]


def test_what_is_written_is_read_back(tmp_path):
    table = Table("main", columns("Model", "Top-1"), ((Cell('a, "b"\n'), Cell("80", 80.5, ("x", "y"), source="s")),))
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "main.csv").write_text(table_csv(table), encoding="utf-8")
    assert read_sidecars(tmp_path) == {"main": [Entry('a, "b"', "Top-1", "80", "80.5", "", ("x", "y"), "s")]}


def test_a_table_of_another_version_is_not_read(tmp_path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "main.csv").write_text("row,column,shown,value,record_ids\na,b,1,1,x\n")
    with pytest.raises(KeyError, match="more"):
        read_sidecars(tmp_path)
