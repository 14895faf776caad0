"""The section that holds a run against another one: what moved beyond noise, and what is in one of them alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from bench.analyse.compare.against import Against, Figure, Kind, Move
from bench.number_format import (
    bare_rate,
    bracketed,
    counted,
    ends,
    fixed,
    listed,
    p_value,
    percent,
    signed,
    significant,
    whole,
)
from bench.report.document import Section
from bench.report.tables.columns import Records, number, words
from bench.report.tables.table import DASH, Cell, ColumnSpec, Notes, Table, make_table
from bench.text import bullets, escape, joined

HEADING = "Against another run"
_MOST_NAMED = 20  # figures of one run alone that are named
_SHOWN: dict[str, Callable[[float], str]] = {"%": percent, "img/s": bare_rate, "images": whole, "": whole}
_CHANGES: dict[Kind, Callable[[float], str]] = {
    "accuracy": lambda change: f"{signed(change, 1)} points",
    "rate": lambda change: f"× {fixed(change, 3)}",
    "single": lambda change: f"× {fixed(change, 3)}",
    "count": lambda change: signed(change, 0),
}
_SITTINGS = (
    "Processes of one run share the state of their machine at that time, which the intervals do not hold: a factor "
    "between two sittings is no verdict on a program. `vitbench check` times two versions in turn."
)


def against_section(against: Against | None) -> Section:
    """The section; empty where nothing was asked for."""
    if against is None:
        return Section(HEADING)
    return Section(HEADING, _text(against), _table(against), below=_alone(against))


def _text(against: Against) -> str:
    tests = sum(move.p_holm is not None for move in against.moves)
    told = [f"Before: {escape(against.told_before)}. After: {escape(against.told_after)}. {_summary(against.moves)}"]
    told.append(
        "Accuracies: points over seeds and test images; rates and times: after over before, on one machine alone, by "
        "Welch's t of logarithms over processes. Intervals are of a line alone; p is Holm's over "
        f"{counted(tests, 'test')}."
    )
    if any(move.before.kind == "rate" for move in against.moves):
        told.append(_SITTINGS)
    return " ".join(told)


def _summary(moves: Sequence[Move]) -> str:
    counts = Counter(move.verdict for move in moves)
    told = [f"{fixed(count, 0)} {verdict}" for verdict, count in counts.items()]
    return f"Of {counted(len(moves), 'figure')} in both: {listed(told)}." if moves else "No figure is in both."


def _table(against: Against) -> Table | None:
    """A line for each figure; counts that stayed are left to the summary."""

    def both(move: Move) -> Records:
        return tuple(dict.fromkeys((*move.before.cell_ids, *move.after.cell_ids)))

    def interval(move: Move, _: Notes) -> Cell:
        if move.interval is None:
            return DASH
        text = bracketed(move.interval, 3 if move.before.kind == "rate" else 1)
        return Cell(text, f"{move.interval.low} {move.interval.high}", both(move))

    def change(move: Move, _: Notes) -> Cell:
        return DASH if move.change is None else Cell(_CHANGES[move.before.kind](move.change), move.change, both(move))

    def verdict(move: Move, notes: Notes) -> Cell:
        mark = notes.mark(escape("differs between the runs: " + "; ".join(move.notes)) if move.notes else None)
        return Cell(move.verdict, move.verdict, both(move), is_bold=move.verdict in ("moved", "changed"), mark=mark)

    columns: list[ColumnSpec[Move]] = [
        words("Model", lambda move: move.before.model),
        words("Metric", lambda move: move.before.metric + (f" [{move.before.unit}]" if move.before.unit else "")),
        words("Where", lambda move: move.before.where),
        ColumnSpec("Before", lambda move, _: _value_cell(move.before)),
        ColumnSpec("After", lambda move, _: _value_cell(move.after)),
        ColumnSpec("Change", change),
        ColumnSpec("95 % interval", interval),
        number("p (Holm)", lambda move: move.p_holm, p_value, records=both),
        ColumnSpec("Verdict", verdict, is_number=False),
    ]
    shown = [move for move in against.moves if move.before.kind != "count" or move.verdict != "identical"]
    return make_table("against", shown, columns)


def _value_cell(figure: Figure) -> Cell:
    text = _SHOWN[figure.unit](figure.value) if figure.unit in _SHOWN else significant(figure.value, 3)
    return Cell(text, figure.value, figure.cell_ids, more=ends(figure.interval))


def _alone(against: Against) -> str:
    """What one run has and the other lacks; Markdown."""
    blocks = []
    for which, figures in (("In the run before alone", against.gone), ("In the run after alone", against.new)):
        if figures:
            names = [escape(f"{one.model}: {one.metric}, {one.where}") for one in figures[:_MOST_NAMED]]
            more = [f"and {len(figures) - _MOST_NAMED} more"] if len(figures) > _MOST_NAMED else []
            blocks += [f"{which} ({len(figures)}):", bullets([*names, *more])]
    return joined(blocks).strip() if blocks else ""
