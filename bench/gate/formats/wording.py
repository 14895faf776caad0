"""What a check found, in words and figures that claim no more than its intervals allow. Shared by every format.

Functions that name models take `quote`, and those that repeat text of others take `plain`: how a format writes a name
or a sentence so that it stays text. The defaults are for formats without markup.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from bench.gate.result import CheckResult, Comparison, CountChange, ModelResult, Side, Workload
from bench.gate.rule import VERDICTS
from bench.number_format import counted, fixed, listed, signed, significant
from bench.number_format import p_value as p_words
from bench.text import one_line

MISSING = "n/a"
COMMIT_DIGITS = 8
NAMED = 3  # models that a sentence names before it says how many more there are

Writer = Callable[[str], str]
tidy: Writer = one_line  # without control characters


def worst_first(models: Sequence[ModelResult]) -> list[ModelResult]:
    """FAIL, then INCONCLUSIVE, then PASS, otherwise in the order in which they were asked for."""
    return sorted(models, key=lambda model: VERDICTS.index(model.verdict))


def headline(result: CheckResult, quote: Writer = tidy, plain: Writer = tidy) -> str:
    """What was found, in one or a few sentences."""

    def counts_of(verdict: str, found: str) -> list[str]:
        return [
            f"Exact counts of {quote(one.name)} {found} ({plain(one.reason).rstrip('.')})."
            for one in result.exact
            if one.verdict == verdict
        ]

    sentences = [
        _slower(result, quote),
        *counts_of("FAIL", "rose"),
        _undecided(result, quote, plain),
        *counts_of("INCONCLUSIVE", "are not known"),
    ]
    return " ".join(filter(None, sentences)) or _passed(result, quote)


def _slower(result: CheckResult, quote: Writer) -> str:
    failed = [model for model in result.models if model.verdict == "FAIL"]
    if not failed:
        return ""
    shown = [f"{quote(model.name)} {estimate(model)}" for model in failed]
    interval = f"{interval_level(result)} interval{'' if len(shown) == 1 else 's'}"
    return f"Head is slower than base{_share(failed, result)}: {_enumerated(shown)} ({interval})."


def _undecided(result: CheckResult, quote: Writer, plain: Writer) -> str:
    if not result.models and not result.exact:
        return "Nothing was compared, which is not a pass."
    undecided = [model for model in result.models if model.verdict == "INCONCLUSIVE"]
    if not undecided:
        return ""
    groups: dict[str, list[str]] = defaultdict(list)  # what broke one model has often broken all
    for model in undecided:
        groups[plain(model.reason).rstrip(".")].append(quote(model.name))
    shown = "; ".join(f"{_enumerated(names)} ({reason})" for reason, names in groups.items())
    return f"Not decided{_share(undecided, result)}, which is not a pass: {shown}."


def _passed(result: CheckResult, quote: Writer) -> str:
    if not result.models:
        return f"No count rose on {counted(len(result.exact), 'model')}; no time was measured."
    most = max(result.models, key=lambda model: model.slowdown_pct if model.slowdown_pct is not None else -100)
    start = f"Head is not slower than base by {result.threshold_pct:g} % or more on"
    interval = f"({interval_level(result)} interval)"
    if len(result.models) == 1:
        return f"{start} {quote(most.name)}: slowdown {estimate(most)} {interval}."
    return (
        f"{start} any of {len(result.models)} models; the largest slowdown seen is {estimate(most)} on "
        f"{quote(most.name)} {interval}."
    )


def _share(models: Sequence[ModelResult], result: CheckResult) -> str:
    """` on 2 of 3 models`; empty where there is only one."""
    return f" on {len(models)} of {len(result.models)} models" if len(result.models) > 1 else ""


def _enumerated(names: Sequence[str]) -> str:
    if len(names) > NAMED:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"
    return listed(names)


def estimate(model: ModelResult) -> str:
    """`+8.1 % [+6.9, +9.2]`: median slowdown over pairs and its interval; `n/a` where nothing can be estimated."""
    return bare_estimate(model).replace(" [", " % [")


def bare_estimate(model: ModelResult) -> str:
    """`+8.1 [+6.9, +9.2]`, in percent, for a column that says so.

    The interval has one decimal more where an end that is not zero would be shown as zero.
    """
    if model.slowdown_pct is None or model.low_pct is None or model.high_pct is None:
        return MISSING
    ends = (model.low_pct, model.high_pct)
    decimals = 2 if any(end != 0 and round(end, 1) == 0 for end in ends) else 1
    low, high = (signed(end, decimals) for end in ends)
    return f"{signed(model.slowdown_pct, 1)} [{low}, {high}]"


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
    return p_words(model.looks[-1].p_holm, least=0.0001)


def noise_floors(result: CheckResult) -> str:
    """One sentence for each side of the A/A arm: median, lowest and highest pair."""
    if not result.noise:
        return "The A/A arm was off, so this run says nothing of the runner's own noise."
    return " ".join(
        f"{one.side.capitalize()} against itself"
        f"{' in a worktree' if one.side == 'head' and result.has_head_copy else ''} came out "
        f"{signed(one.median_pct, 1)} % over {counted(one.pairs, 'pair')} of processes "
        f"({signed(one.lowest_pct, 1)} to {signed(one.highest_pct, 1)})."
        for one in result.noise
    )


def count(value: float | None) -> str:
    """A deterministic count with its thousands grouped."""
    if value is None:
        return "not counted"
    return fixed(value, 0) if float(value).is_integer() else significant(value, 4)


def count_change(change: CountChange) -> str:
    """`aten.bmm: 24 → 36`."""
    return f"{tidy(change.what)}: {count(change.base)} → {count(change.head)}"


def side(one: Side, quote: Writer = tidy) -> str:
    """A side with its commit, as far as there is one and the label does not say it."""
    if one.commit and one.commit[:COMMIT_DIGITS] in one.label:
        return quote(one.label)
    known = [tidy(one.commit)[:COMMIT_DIGITS]] if one.commit else []
    if one.is_dirty:
        known.append("with uncommitted changes")
    return f"{quote(one.label)} ({' '.join(known)})" if known else quote(one.label)


def comparison(one: Comparison) -> str:
    """What both sides run, or what each does where they differ."""
    base, head = _workload(one.base), _workload(one.head)
    if one.base.model != one.head.model:
        base, head = f"{tidy(one.base.model)}, {base}", f"{tidy(one.head.model)}, {head}"
    return base if base == head else f"base {base}; head {head}"


def _workload(one: Workload) -> str:
    """What a side runs beside its model: `batch size 1, the model's own resolution, compile=on`."""
    size = f"{one.resolution_px} px" if one.resolution_px is not None else "the model's own resolution"
    parts = [f"batch size {one.batch_size}", size]
    if one.num_classes is not None:
        parts.append(counted(one.num_classes, "class", "classes"))
    for key, value in sorted(one.settings.items()):
        parts.append(f"{key}={('on' if value else 'off') if isinstance(value, bool) else value}")
    if one.plant is not None:
        parts.append(f"{one.plant[0]} forward passes more for every {one.plant[1]}, planted")
    return tidy(", ".join(parts))
