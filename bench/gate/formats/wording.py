"""What a check found, in words and figures that claim no more than its intervals allow. Shared by every format.

Functions that name models take `quote`, and those that repeat text of others take `plain`: how a format writes a name
or a sentence so that it stays text. The defaults are for formats without markup.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from bench.gate.result import (
    CheckResult,
    Comparison,
    CountChange,
    ExactResult,
    ModelResult,
    NoiseFloor,
    Side,
    Workload,
)
from bench.gate.rule import Verdict
from bench.markdown_text import one_line
from bench.plain_text import printable
from bench.shown import counted, fixed, listed, signed, significant

MISSING = "n/a"
SHORT = 8  # digits of a commit
NAMED = 3  # models that a sentence names before it says how many more there are
_ORDER: dict[Verdict, int] = {"FAIL": 0, "INCONCLUSIVE": 1, "PASS": 2}

Writer = Callable[[str], str]


def tidy(text: str) -> str:
    """One line without control characters."""
    return one_line(printable(text))


def worst_first(models: Sequence[ModelResult]) -> list[ModelResult]:
    """FAIL, then INCONCLUSIVE, then PASS, otherwise in the order in which they were asked for."""
    return sorted(models, key=lambda model: _ORDER[model.verdict])


def headline(result: CheckResult, quote: Writer = tidy, plain: Writer = tidy) -> str:
    """What was found, in one or a few sentences."""
    sentences = [
        _slower(result, quote),
        *(_rose(one, quote, plain) for one in result.exact if one.verdict == "FAIL"),
        _undecided(result, quote, plain),
        *(_uncounted(one, quote, plain) for one in result.exact if one.verdict == "INCONCLUSIVE"),
    ]
    said = [sentence for sentence in sentences if sentence]
    if not said:
        said = [_passed(result, quote)]
    return " ".join(said)


def _slower(result: CheckResult, quote: Writer) -> str:
    failed = _with(result, "FAIL")
    if not failed:
        return ""
    shown = [f"{quote(model.name)} {estimate(model)}" for model in failed[:NAMED]]
    interval = f"{interval_level(result)} interval{'' if len(shown) == 1 else 's'}"
    return f"Head is slower than base{_share(failed, result)}: {_enumerated(shown, len(failed))} ({interval})."


def _rose(one: ExactResult, quote: Writer, plain: Writer) -> str:
    return f"Exact counts of {quote(one.name)} rose ({plain(one.reason).rstrip('.')})."


def _undecided(result: CheckResult, quote: Writer, plain: Writer) -> str:
    if not result.models and not result.exact:
        return "Nothing was compared, which is not a pass."
    undecided = _with(result, "INCONCLUSIVE")
    if not undecided:
        return ""
    groups: dict[str, list[str]] = defaultdict(list)  # what broke one model has often broken all
    for model in undecided:
        groups[plain(model.reason).rstrip(".")].append(quote(model.name))
    shown = [f"{_enumerated(names[:NAMED], len(names))} ({reason})" for reason, names in groups.items()]
    return f"Not decided{_share(undecided, result)}, which is not a pass: {'; '.join(shown)}."


def _share(models: Sequence[ModelResult], result: CheckResult) -> str:
    """` on 2 of 3 models`; empty where there is only one."""
    return f" on {len(models)} of {len(result.models)} models" if len(result.models) > 1 else ""


def _uncounted(one: ExactResult, quote: Writer, plain: Writer) -> str:
    return f"Exact counts of {quote(one.name)} are not known ({plain(one.reason).rstrip('.')})."


def _passed(result: CheckResult, quote: Writer) -> str:
    if not result.models:
        return f"No count rose on {counted(len(result.exact), 'model')}; no time was measured."
    most = max(result.models, key=lambda model: model.slowdown_pct if model.slowdown_pct is not None else -100)
    limit = f"{result.threshold_pct:g} %"
    if len(result.models) == 1:
        seen = f"slowdown {estimate(most)} ({interval_level(result)} interval)"
        return f"Head is not slower than base by {limit} or more on {quote(most.name)}: {seen}."
    return (
        f"Head is not slower than base by {limit} or more on any of {len(result.models)} models; the largest slowdown "
        f"seen is {estimate(most)} on {quote(most.name)} ({interval_level(result)} interval)."
    )


def _with(result: CheckResult, verdict: Verdict) -> list[ModelResult]:
    return [model for model in result.models if model.verdict == verdict]


def _enumerated(shown: Sequence[str], count: int) -> str:
    if count > len(shown):
        return f"{', '.join(shown)} and {count - len(shown)} more"
    return listed(shown)


def estimate(model: ModelResult) -> str:
    """`+8.1 % [+6.9, +9.2]`: median slowdown over pairs and its interval; `n/a` where nothing can be estimated."""
    bare = bare_estimate(model)
    value, bracket, rest = bare.partition(" [")
    return f"{value} %{bracket}{rest}" if bracket else bare


def bare_estimate(model: ModelResult) -> str:
    """`+8.1 [+6.9, +9.2]`, in percent, for a column that says so."""
    if model.slowdown_pct is None or model.low_pct is None or model.high_pct is None:
        return MISSING
    return f"{signed(model.slowdown_pct, 1)} {_interval(model.low_pct, model.high_pct)}"


def _interval(low: float, high: float) -> str:
    """`[low, high]`, with one decimal more where an end that is not zero would be shown as zero."""
    decimals = 2 if any(end != 0 and round(end, 1) == 0 for end in (low, high)) else 1
    return f"[{signed(low, decimals)}, {signed(high, decimals)}]"


def interval_level(result: CheckResult) -> str:
    """`95 %`."""
    return f"{result.interval_level * 100:g} %"


def because(model: ModelResult) -> str:
    """Estimate, pairs and reason in one plain line; the reason alone where nothing could be estimated."""
    if not model.looks:
        return tidy(model.reason)
    pairs = counted(pair_count(model), "pair")
    return f"slowdown {estimate(model)} over {pairs} of processes: {tidy(model.reason)}"


def pair_count(model: ModelResult) -> int:
    """Pairs of processes that the estimate rests on; where there is none, those that were finished."""
    return model.looks[-1].pairs if model.looks else len(model.pairs)


def milliseconds(value: float | None) -> str:
    """Three significant digits."""
    return MISSING if value is None else significant(value, 3)


def p_value(model: ModelResult) -> str:
    """Holm's p at the last look, two significant digits."""
    if not model.looks:
        return MISSING
    p = model.looks[-1].p_holm
    return "< 0.0001" if p < 0.0001 else significant(p, 2)


def noise_floors(result: CheckResult) -> str:
    """One sentence for each side of the A/A arm: median, lowest and highest pair."""
    if not result.noise:
        return "The A/A arm was off, so this run says nothing of the runner's own noise."
    return " ".join(_noise_floor(one, result.has_head_copy) for one in result.noise)


def _noise_floor(noise: NoiseFloor, has_head_copy: bool) -> str:
    where = " in a worktree" if noise.side == "head" and has_head_copy else ""
    return (
        f"{noise.side.capitalize()} against itself{where} came out {signed(noise.median_pct, 1)} % over "
        f"{counted(noise.pairs, 'pair')} of processes ({signed(noise.lowest_pct, 1)} to "
        f"{signed(noise.highest_pct, 1)})."
    )


def count(value: float | None) -> str:
    """A deterministic count with its thousands grouped."""
    if value is None:
        return "not counted"
    return fixed(value, 0) if float(value).is_integer() else significant(value, 4)


def count_change(change: CountChange, plain: Writer = tidy) -> str:
    """`aten.bmm: 24 → 36`."""
    return f"{plain(change.what)}: {count(change.base)} → {count(change.head)}"


def side(one: Side, quote: Writer = tidy) -> str:
    """A side with its commit, as far as there is one and the label does not say it."""
    if one.commit and one.commit[:SHORT] in one.label:
        return quote(one.label)
    known = [short_commit(one.commit)] if one.commit else []
    if one.is_dirty:
        known.append("with uncommitted changes")
    return f"{quote(one.label)} ({' '.join(known)})" if known else quote(one.label)


def short_commit(commit: str) -> str:
    """A commit as git shows it in a list."""
    return tidy(commit)[:SHORT]


def workload(one: Workload) -> str:
    """What a side runs beside its model: `batch size 1, the model's own resolution, compile=on`."""
    size = f"{one.resolution_px} px" if one.resolution_px is not None else "the model's own resolution"
    parts = [f"batch size {one.batch_size}", size]
    if one.num_classes is not None:
        parts.append(counted(one.num_classes, "class", "classes"))
    parts += [f"{key}={_setting(value)}" for key, value in sorted(one.settings.items())]
    if one.plant is not None:
        parts.append(f"{one.plant[0]} forward passes more for every {one.plant[1]}, planted")
    return tidy(", ".join(parts))


def _setting(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def comparison(one: Comparison) -> str:
    """What both sides run, or what each does where they differ."""
    base, head = workload(one.base), workload(one.head)
    if one.base.model != one.head.model:
        base, head = f"{tidy(one.base.model)}, {base}", f"{tidy(one.head.model)}, {head}"
    return base if base == head else f"base {base}; head {head}"
