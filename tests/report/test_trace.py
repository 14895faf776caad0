import pytest

from bench.errors import RequestError, UnknownNameError
from bench.report.tables.sidecar import Entry, entries_at


def entry(row, column):
    return Entry(row, column, "1", "1", "", (), "")


ROWS = ("ViT S (vit_s)", "R+ViT S (hybrid_s)", "A: B")
COLUMNS = ("Params [M]", "Contours: top-1 [%]", "Digits: top-1 [%]")
TABLES = {
    "main": [entry(row, column) for row in ROWS for column in COLUMNS],
    "speed": [entry("ViT S, Batch 1\u202f024", "Throughput [img/s]")],
}


def place(query):
    return [(one.row, one.column) for one in entries_at(TABLES, query)]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("main:ViT S (vit_s):Contours: top-1 [%]", ("ViT S (vit_s)", "Contours: top-1 [%]")),
        ("main:vit s:contours", ("ViT S (vit_s)", "Contours: top-1 [%]")),  # begins with it before contains it
        ("main:hybrid_s:params", ("R+ViT S (hybrid_s)", "Params [M]")),
        ("main:A: B:Digits: top-1 [%]", ("A: B", "Digits: top-1 [%]")),  # colons on both sides
        ("speed:vit s, batch 1 024:through", ("ViT S, Batch 1\u202f024", "Throughput [img/s]")),
    ],
)
def test_a_place_is_found_by_as_much_as_tells_it_apart(query, found):
    assert place(query) == [found]


def test_fewer_parts_give_a_row_or_a_table():
    assert place("main:vit s") == [("ViT S (vit_s)", column) for column in COLUMNS]
    assert place("main:A: B") == [("A: B", column) for column in COLUMNS]
    assert len(place("main")) == len(place("main:")) == 9


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("mian", r"Unknown table 'mian' in the report. Did you mean 'main'\?"),
        ("main:ResNet:Params", "Unknown row 'ResNet' in table 'main'. Known: ViT S"),
        ("main:ViT S:Params [G]", r"Unknown column 'Params \[G\]' in table 'main'. Did you mean 'Params \[M\]'"),
        ("main:nobody", "Unknown row 'nobody'"),
    ],
)
def test_a_wrong_name_gets_what_there_is(query, message):
    with pytest.raises(UnknownNameError, match=message):
        place(query)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("main:vit s:top-1", "2 answer to the entry 'vit s:top-1': 'main:ViT S .vit_s.:Contours: top-1"),
        ("main:_s:params", "2 answer to the entry"),
        ("main:_s", "2 answer to the row '_s'"),
    ],
)
def test_an_ambiguous_name_lists_what_it_may_mean(query, message):
    with pytest.raises(RequestError, match=message):
        place(query)
