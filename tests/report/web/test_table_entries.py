import math

import pytest

from bench.report.tables.table import Cell, Column, Table
from bench.report.web.payload import RecordIndex, sort_value, table_entries


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (Cell("85.2 ± 2.5", 85.23333), 85.23333),
        (Cell("[−7.0, 10.4]", "-7.012 10.41"), -7.012),
        (Cell("12\u202f345"), 12345.0),
        (Cell("−0.5"), -0.5),
        (Cell("n/a", mark=1), None),
        (Cell("–"), None),
        (Cell("nan", math.nan), None),
        (Cell("3 × [2, 4]", 3.01), 3.01),
        (Cell("yes", True), None),
    ],
)
def test_entries_are_sorted_by_their_unrounded_value(cell, expected):
    assert sort_value(cell, Column("x")) == expected


def test_words_have_no_number_to_be_sorted_by():
    assert sort_value(Cell("3 seeds", 3), Column("x", is_number=False)) is None


def test_each_entry_knows_its_records_or_its_publication():
    columns = (Column("Model", is_number=False), Column("Measured"), Column("Published"))
    row = (Cell("ViT"), Cell("1.0", 1.04, ("b", "a")), Cell("2", 2, source="arXiv 2010.11929v2"))
    sources: dict[str, int] = {"another": 0}
    entries = table_entries(Table("t", columns, (row,)), RecordIndex(), sources)
    assert entries == [[(None, "", None), (1.04, "0 1", None), (2, "", 1)]]
    assert list(sources) == ["another", "arXiv 2010.11929v2"]
