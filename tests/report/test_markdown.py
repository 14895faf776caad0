import csv
import io

import pytest

from bench.report.markdown import Cell, Column, Notes, Table, escape, fenced, render_table, table_csv


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a|b", r"a\|b"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("*bold* _it_ `code`", r"\*bold\* \_it\_ \`code\`"),
        ("line\nbreak\r\n# head", r"line break \# head"),
        ("vit_32px_s", "vit_32px_s"),
        ("[x](javascript:y)", r"\[x\](javascript:y)"),
        ("$x^2$ ~~no~~", r"\$x^2\$ \~\~no\~\~"),
        ("https://a.b", "https:&#8203;//a.b"),
        ("- item", r"\- item"),
        ("1. item", r"1\. item"),
        ("a & b", "a &amp; b"),
        ("back\\slash", r"back\\slash"),
    ],
)
def test_names_are_shown_and_never_interpreted(name, shown):
    assert escape(name) == shown


def test_a_table_is_rendered_whole():
    notes = Notes()
    missing = notes.missing("not timed")
    table = Table(
        "t",
        (Column("Model", is_number=False), Column("Top-1 [%]"), Column("Rate [img/s]")),
        (
            (Cell("a|b"), Cell("81.4 ± 0.3", 81.44, ("id2", "id1"), is_bold=True), missing),
            (Cell("c"), Cell("80.0", 80.0, ("id3",)), notes.missing("not timed")),
        ),
        tuple(notes.texts),
    )
    assert render_table(table) == (
        "| Model | Top-1 [%] | Rate [img/s] |\n"
        "|:---|---:|---:|\n"
        "| a\\|b | **81.4 ± 0.3** | n/a¹ |\n"
        "| c | 80.0 | n/a¹ |\n"
        "\n"
        "¹ not timed"
    )
    assert list(csv.reader(io.StringIO(table_csv(table)))) == [
        ["row", "column", "shown", "value", "record_ids"],
        ["a|b", "Top-1 [%]", "81.4 ± 0.3", "81.44", "id1 id2"],
        ["a|b", "Rate [img/s]", "n/a", "", ""],
        ["c", "Top-1 [%]", "80.0", "80.0", "id3"],
        ["c", "Rate [img/s]", "n/a", "", ""],
    ]


def test_a_fence_is_longer_than_any_in_its_text():
    assert fenced("a ``` b") == "````\na ``` b\n````"
