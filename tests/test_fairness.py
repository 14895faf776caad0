"""The table of trials in docs/fairness.md is that of the catalog. `python tests/test_fairness.py` writes it."""

from __future__ import annotations

from pathlib import Path

from bench.catalog.identity import family_rank, identify_dataset, identify_model
from bench.catalog.tuned import TunedRate, tuned_rates
from bench.number_format import flop_scale, learning_rate
from bench.report.tables.columns import family_column, no_records, number, words
from bench.report.tables.table import make_table, render_table
from bench.units import GIGA

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "fairness.md"
BEGIN, END = "<!-- begin: ", "<!-- end -->"


def trials_table() -> str:
    """A row for each model and budget that was swept, families grouped."""

    def rank(row: TunedRate) -> tuple[object, ...]:
        model = identify_model(row.model)
        return family_rank(model.family), "SML".find(model.size_class), row.model, row.budget_gflop

    rows = sorted(tuned_rates().values(), key=rank)
    scale = flop_scale(row.budget_gflop * GIGA for row in rows)
    table = make_table(
        "trials",
        rows,
        [
            words("Model", lambda row: identify_model(row.model).title),
            family_column(lambda row: identify_model(row.model).family),
            words("Swept on", lambda row: identify_dataset(row.dataset).title),
            number(f"Budget [{scale.unit}]", lambda row: row.budget_gflop * GIGA / scale.factor, "{:.3g}".format,
                   records=no_records),
            number("Trials", lambda row: row.trials, str, records=no_records),
            number("Seeds behind the choice", lambda row: row.seeds, str, records=no_records),
            number("Learning rate", lambda row: row.learning_rate, learning_rate, records=no_records),
            number("Weight decay", lambda row: row.weight_decay, learning_rate, records=no_records),
        ],
    )  # fmt: skip
    assert table is not None
    return render_table(table)


def with_table(text: str) -> str:
    """The document with the table between its marks."""
    head, _, rest = text.partition(BEGIN)
    command, _, rest = rest.partition("-->\n")
    return f"{head}{BEGIN}{command}-->\n\n{trials_table()}\n\n{END}{rest.partition(END)[2]}"


def test_the_document_holds_the_trials_of_the_catalog() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text == with_table(text), "run: python tests/test_fairness.py"


def test_a_sweep_gives_every_family_as_many_seeds_behind_its_choice() -> None:
    assert len({row.seeds for row in tuned_rates().values()}) == 1


def test_the_table_is_written_between_its_marks_and_nothing_else_changes() -> None:
    text = f"Before.\n{BEGIN}how -->\nold\n{END}\nAfter.\n"
    written = with_table(text)
    assert written == f"Before.\n{BEGIN}how -->\n\n{trials_table()}\n\n{END}\nAfter.\n"
    assert with_table(written) == written


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
