"""What `choose --dataset imagenet` says: a table of the finalists, what was left out, and one line at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import isfinite
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from bench.analyse.public.choose import Choice
    from bench.analyse.public.rows import CostAxis, PublicRow, Time
    from bench.cli.choose_published import Answer

MOST_ROWS = 12
MOST_REASONS = 3  # of models that could not be timed, those of this call first
_CHEAPER_WORDS = {"macs": "takes {} times fewer MACs", "params": "has {} times fewer parameters"}


def print_answer(answer: Answer) -> None:
    """The table, its conditions, and the line that says what to take."""
    from bench.text import printable

    lines = [_question(answer), "", _table(answer), "", *_notes(answer), answer_line(answer)]
    typer.echo(printable("\n".join(lines)))


def answer_line(answer: Answer) -> str:
    """What to take, in one line; or that nothing is within the limits, and what to do."""
    choice = answer.choice
    best, other = choice.best, choice.alternative
    if best is None:
        return _no_answer(answer)
    take = f"Take {_named(best, choice)}"
    noise = f"the noise of {_whole(_images(choice))} test images, one training each"
    if choice.by_estimate and choice.wanted.timed_limits:
        return f"{take}, by estimate alone: `--measure 5` times the finalists first."
    if other is None:
        return f"{take}: {_known(choice)} and as accurate within {noise}."
    return (
        f"{take}: {_named(other, choice)} is not distinguishable from it [difference within {noise}] and "
        f"{_cheaper(choice.cheaper, choice.times_cheaper(other, best))}."
    )


def _no_answer(answer: Answer) -> str:
    choice = answer.choice
    limits = _timed_limits(choice)
    rows = choice.missed or [row for row in choice.candidates if row.times]
    nearest = min(rows, key=lambda row: _distance(row, choice), default=None)
    near = "" if nearest is None else f"; the nearest is {_named(nearest, choice)}"
    if choice.next_to_time() is not None:
        return f"Take none yet: nothing that was timed has {limits}{near}. `--measure {2 * answer.asked}` goes on."
    return f"Take none: nothing that qualifies is likely to have {limits}{near}."


def _distance(row: PublicRow, choice: Choice) -> float:
    """By how many times a row is beyond the limit on time that it misses most."""
    from bench.analyse.public.rows import COSTS

    beyond = [1.0]
    for name, limit in choice.wanted.limits.items():
        axis = COSTS[name]
        if axis.time is not None and (value := axis.value(row)) is not None:
            beyond.append(limit / value if axis.more_is_better else value / limit if limit else float("inf"))
    return max(beyond)


def _cheaper(axis: CostAxis, times: float) -> str:
    from bench.number_format import significant

    return _CHEAPER_WORDS.get(axis.name, "{} times as fast").format(significant(times, 2))


def _known(choice: Choice) -> str:
    return "nothing that was timed is faster" if choice.cheaper.time else "nothing within the limits is clearly cheaper"


def _named(row: PublicRow, choice: Choice) -> str:
    """`resnet50.a1_in1k @224 (in1k, top-1 80.2 %, 21 ms measured)`."""
    cost = choice.cheaper
    value = cost.value(row)
    parts = [row.training.stratum, f"{_top1_words(choice)} {choice.wanted.top1_pct(row):.1f} %"]
    if cost.time is not None and cost.time in row.times:
        parts.append(_time_words(row.times[cost.time], cost.unit))
    elif value is not None and cost.time is None:
        parts.append(f"{_short(value)} {cost.unit} {'MACs' if cost.name == 'macs' else 'parameters'}")
    return f"{row.label} ({', '.join(parts)})"


def _time_words(time: Time, unit: str) -> str:
    if time.kind == "measured":
        return f"{_short(time.value)} {unit} measured"
    return f"about {_short(time.value)} {unit} estimated {_interval(time)}"


def _interval(time: Time) -> str:
    """Of an estimate; one of few timings has none."""
    return f"[{_short(time.low)}, {_short(time.high)}]" if isfinite(time.high) else "[no interval]"


def _short(value: float) -> str:
    from bench.number_format import significant

    return significant(value, 3)


def _whole(value: float) -> str:
    from bench.number_format import whole

    return whole(value)


def _counted(number: int, noun: str) -> str:
    from bench.number_format import counted

    return counted(number, noun)


def _images(choice: Choice) -> int:
    from bench.catalog.public_results import TEST_SETS

    return TEST_SETS[choice.wanted.test_set][1]


def _test_set(choice: Choice) -> str:
    from bench.catalog.public_results import TEST_SETS

    return TEST_SETS[choice.wanted.test_set][0]


def _top1_words(choice: Choice) -> str:
    return "top-1" if choice.wanted.test_set == "imagenet_top1" else f"top-1 on {_test_set(choice)}"


def _timed_limits(choice: Choice) -> str:
    """In words; empty without any."""
    from bench.analyse.public.choose import limit_words
    from bench.number_format import listed

    return listed([limit_words(name, limit) for name, limit in choice.wanted.timed_limits.items()] or [""])


def _question(answer: Answer) -> str:
    """Which rows are chosen from, and how many each limit left."""
    steps = [f"{_whole(left)} with {words}" for words, left in answer.filtered.left]
    timed = _timed_limits(answer.choice)
    wanted = f" Wanted: {timed}." if timed else ""
    return f"Of {_whole(answer.rows)} published checkpoints and test sizes (timm) {', '.join(steps)}.{wanted}"


def _shown(answer: Answer) -> list[PublicRow]:
    """What was timed for this question; the most accurate within the limits where nothing was."""
    choice = answer.choice
    if choice.cheaper.time is None or choice.by_estimate:
        rows = list(choice.within[:MOST_ROWS])
    else:
        asked = {row.place: row for row in reversed(choice.candidates) if row.place in answer.timed_now}
        shown = {id(row) for row in (*choice.contenders, *asked.values()) if choice.is_known(row)}
        rows = [row for row in choice.candidates if id(row) in shown][:MOST_ROWS]
    extra = choice.alternative
    return [*rows, extra] if extra is not None and not any(row is extra for row in rows) else rows


def _standing(row: PublicRow, choice: Choice) -> str:
    if any(row is one for one in choice.missed):
        return "beyond the limit"
    if choice.best is not None and row is choice.best:
        return "best by estimate" if choice.by_estimate and choice.wanted.timed_limits else "best"
    return "not distinguishable" if any(row is one for one in choice.equals) else "behind the best"


def _table(answer: Answer) -> str:
    from bench.analyse.public.rows import COSTS
    from bench.cli.words import table

    choice = answer.choice
    times = [axis for axis in COSTS.values() if axis.time in choice.timings]
    header = ["Model", "Family", "Stratum", f"{_test_set(choice)} top-1 [%]", "MACs [G]", "Params [M]"]
    header += [f"{axis.time} [{axis.unit}]".capitalize() for axis in times]
    rows = []
    for row in _shown(answer):
        costs = [COSTS[name].value(row) for name in ("macs", "params")]
        cells = [row.label, row.family, row.training.stratum, f"{choice.wanted.top1_pct(row):.1f}"]
        cells += ["n/a" if cost is None else _short(cost) for cost in costs]
        rows.append([*cells, *(_time_cell(row, axis) for axis in times), _standing(row, choice)])
    return table([*header, "Is"], rows, right=range(3, len(header)))


def _time_cell(row: PublicRow, axis: CostAxis) -> str:
    if axis.time is None or axis.time not in row.times:
        return "n/a"
    time = row.times[axis.time]
    return _short(time.value) if time.kind == "measured" else f"~{_short(time.value)} {_interval(time)}"


def _notes(answer: Answer) -> Iterator[str]:
    from bench.number_format import named

    choice = answer.choice
    for timing in choice.timings:
        estimator, times = choice.here.estimators[timing], choice.here.measured[timing]
        where = f"{timing.capitalize()} on machine {answer.machine}, fp32, eager: {_counted(len(times), 'model')} timed"
        if estimator is None:
            yield f"{where}."
            continue
        reach = f", to a factor of {_short(estimator.reach)} in nine of ten" if isfinite(estimator.reach) else ""
        yield f"{where}, others (~) estimated from these{reach}."
        if odd := [place[0] for place in times if place not in estimator.factors]:
            yield f"Contradicted by the others, so not estimated from: {named(odd, 5)}. `--rerun` times all anew."
    untimed = sorted(choice.here.untimed.items(), key=lambda one: one[0] not in answer.timed_now)
    for place, reason in untimed[:MOST_REASONS]:
        yield f"Could not be timed: {place[0]} at {place[1]} px: {reason}"
    if len(untimed) > MOST_REASONS:
        yield f"Could not be timed either: {named([place[0] for place, _ in untimed[MOST_REASONS:]], 5)}."
    if answer.absent:
        names = named(sorted({row.place[0] for row in answer.absent}), 5)
        yield f"Left out, as the timm here does not have them: {_counted(len(answer.absent), 'row')} ({names})."
    strata = "" if choice.wanted.stratum else " Strata are ranked together here: more data, not the family, may decide."
    yield f"Published accuracies, one training each: recipes differ.{strata}"


def print_json(answer: Answer) -> None:
    """Everything that the text says, unrounded."""
    choice, wanted = answer.choice, answer.choice.wanted
    best, other = choice.best, choice.alternative
    typer.echo(
        json.dumps(
            {
                "dataset": "imagenet",
                "accuracies": "published",
                "test_set": _test_set(choice),
                "test_images": _images(choice),
                "limits": wanted.limits,
                "min_top1_pct": wanted.min_top1_pct,
                "stratum": wanted.stratum,
                "families": wanted.families,
                "published_rows": answer.rows,
                "left_by": [{"limit": words, "rows": left} for words, left in answer.filtered.left],
                "machine": answer.machine,
                "timed": {timing: len(times) for timing, times in choice.here.measured.items()},
                "estimates_reach": {
                    timing: None if one is None else _finite(one.reach)
                    for timing, one in choice.here.estimators.items()
                },
                "timed_now": [{"architecture": name, "img_size": size} for name, size in answer.timed_now],
                "not_timed": [
                    {"architecture": place[0], "img_size": place[1], "reason": reason}
                    for place, reason in choice.here.untimed.items()
                ],
                "not_in_timm": sorted({row.place[0] for row in answer.absent}),
                "is_estimate": choice.by_estimate and bool(wanted.timed_limits),
                "finalists": [_row_json(row, choice) for row in _shown(answer)],
                "best": None if best is None else _row_json(best, choice),
                "alternative": None
                if best is None or other is None
                else {**_row_json(other, choice), "times_cheaper": choice.times_cheaper(other, best)},
                "cheaper_by": choice.cheaper.name,
                "answer": answer_line(answer),
            },
            indent=2,
        )
    )


def _row_json(row: PublicRow, choice: Choice) -> dict[str, Any]:
    return {
        "model": row.model,
        "img_size": row.result.img_size,
        "family": row.family,
        "stratum": row.training.stratum,
        "pretraining": row.training.pretraining,
        "top1_pct": choice.wanted.top1_pct(row),
        "macs": row.macs,
        "params": row.params,
        "times": {timing: _time_json(time) for timing, time in row.times.items()},
        "is": _standing(row, choice),
    }


def _time_json(time: Time) -> dict[str, Any]:
    ends = {"low": _finite(time.low), "high": _finite(time.high)}
    return {"is": time.kind, "value": time.value, **ends, "record_ids": time.cell_ids}


def _finite(value: float) -> float | None:
    """None for an end that too few timings leave open."""
    return value if isfinite(value) else None
