from bench.report.tables.table import Cell, Column, Notes, Table, render_table, rooted


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


def test_an_estimate_is_in_italics_and_what_has_no_root_of_its_own_gets_the_table_s():
    row = (Cell("27", 27.0, ("id1",), is_estimate=True), Cell("3", 3.0, source="paper"), Cell("4", 4.0))
    table = rooted(Table("t", (Column("a"), Column("b"), Column("c")), (row,)), "file")
    assert table is not None
    assert [cell.source for cell in table.rows[0]] == ["", "paper", "file"]
    assert "| *27* | 3 | 4 |" in render_table(table)
