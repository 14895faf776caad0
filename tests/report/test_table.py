from bench.report.tables.table import Cell, Column, Notes, Table, render_table


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
