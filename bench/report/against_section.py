"""The section that holds a run against another one: what moved beyond noise, and what is in one of them alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from bench.analyse.against import Against, Figure, Kind, Move
from bench.markdown_text import bullets, escape, joined
from bench.report.document import Section
from bench.report.formats import bracketed, counted, ends, fixed, listed, signed, significant
from bench.report.table import Cell, Column, Notes, Table

HEADING = "Against another run"
_MOST_NAMED = 20  # figures of one run alone that are named
_SHOWN: dict[str, Callable[[float], str]] = {
    "%": lambda value: fixed(value, 1),
    "img/s": lambda value: fixed(value, 0 if value >= 100 else 1),
    "ms": lambda value: significant(value, 3),
    "MiB": lambda value: significant(value, 3),
    "images": lambda value: fixed(value, 0),
    "": lambda value: fixed(value, 0),
}
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
    words = [f"Before: {escape(against.told_before)}. After: {escape(against.told_after)}. {_summary(against.moves)}"]
    words.append(
        "Accuracies: points over seeds and test images; rates and times: after over before, on one machine alone, by "
        "Welch's t of logarithms over processes. Intervals are of a line alone; p is Holm's over "
        f"{counted(tests, 'test')}."
    )
    if any(move.before.kind == "rate" for move in against.moves):
        words.append(_SITTINGS)
    return " ".join(words)


def _summary(moves: Sequence[Move]) -> str:
    counts = Counter(move.verdict for move in moves)
    told = [f"{fixed(count, 0)} {verdict}" for verdict, count in counts.items()]
    return f"Of {counted(len(moves), 'figure')} in both: {listed(told)}." if moves else "No figure is in both."


def _table(against: Against) -> Table | None:
    """A line for each figure; counts that stayed are left to the summary."""
    shown = [move for move in against.moves if move.before.kind != "count" or move.verdict != "identical"]
    if not shown:
        return None
    heads = (
        Column("Model", is_number=False),
        Column("Metric", is_number=False),
        Column("Where", is_number=False),
        Column("Before"),
        Column("After"),
        Column("Change"),
        Column("95 % interval"),
        Column("p (Holm)"),
        Column("Verdict", is_number=False),
    )
    notes = Notes()
    return Table("against", heads, tuple(_cells(move, notes) for move in shown), tuple(notes.texts))


def _cells(move: Move, notes: Notes) -> tuple[Cell, ...]:
    ids = tuple(dict.fromkeys((*move.before.cell_ids, *move.after.cell_ids)))
    mark = notes.number(escape("differs between the runs: " + "; ".join(move.notes))) if move.notes else None
    decimals = 3 if move.before.kind == "rate" else 1
    unit = f" [{move.before.unit}]" if move.before.unit else ""
    return (
        Cell(move.before.model),
        Cell(move.before.metric + unit),
        Cell(move.before.where),
        _value_cell(move.before),
        _value_cell(move.after),
        Cell("–") if move.change is None else Cell(_CHANGES[move.before.kind](move.change), move.change, ids),
        Cell("–")
        if move.interval is None
        else Cell(bracketed(move.interval, decimals), f"{move.interval.low} {move.interval.high}", ids),
        Cell("–") if move.p_holm is None else Cell(_p(move.p_holm), move.p_holm, ids),
        Cell(move.verdict, move.verdict, ids, is_bold=move.verdict in ("moved", "changed"), mark=mark),
    )


def _value_cell(figure: Figure) -> Cell:
    text = _SHOWN[figure.unit](figure.value)
    return Cell(text, figure.value, figure.cell_ids, more=ends(figure.interval))


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else significant(value, 2)


def _alone(against: Against) -> str:
    """What one run has and the other lacks; Markdown."""
    blocks = []
    for words, figures in (("In the run before alone", against.gone), ("In the run after alone", against.new)):
        if figures:
            named = [escape(f"{one.model}: {one.metric}, {one.where}") for one in figures[:_MOST_NAMED]]
            more = [f"and {len(figures) - _MOST_NAMED} more"] if len(figures) > _MOST_NAMED else []
            blocks += [f"{words} ({len(figures)}):", bullets([*named, *more])]
    return joined(blocks).strip() if blocks else ""
