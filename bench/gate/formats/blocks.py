"""The parts of a page about a check, as Markdown; the step summary and the comment are put together from them.

Every name and every sentence that others wrote goes through `name` or `text`, so that it stays text.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from bench.gate.formats import wording
from bench.gate.result import CheckResult, ExactResult
from bench.gate.rule import LEVEL, PAIRS_PER_LOOK
from bench.markdown_text import bullets, code, escape_mentions, joined
from bench.plain_text import printable
from bench.shown import counted, listed, seconds, signed

UNKNOWN = "unknown"


def name(one: str) -> str:
    """A model or a revision in code type."""
    return code(printable(one)) if wording.tidy(one) else "(no name)"


def text(one: str) -> str:
    """A sentence that somebody wrote, shown as it is."""
    return escape_mentions(printable(one))


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: frozenset[str] = frozenset()) -> str:
    """A table of cells that are Markdown already; columns whose heading is in `numbers` are right-aligned."""
    rule = "|".join("---:" if heading in numbers else ":---" for heading in headings)
    lines = [" | ".join(headings), *(" | ".join(row) for row in rows)]
    head, *body = (f"| {line} |" for line in lines)
    return "\n".join([head, f"|{rule}|", *body])


def folded(summary: str, block: str) -> str:
    """A block that opens on a click. summary: HTML text."""
    return f"<details><summary>{summary}</summary>\n\n{block}\n\n</details>"


def headline(result: CheckResult) -> str:
    """What was found, names in code type."""
    return wording.headline(result, name, text)


def sides(result: CheckResult) -> str:
    """One line that says which two things were compared."""
    return f"Base: {wording.side(result.base, name)}. Head: {wording.side(result.head, name)}."


def models_table(result: CheckResult) -> str:
    """One row for each model, the worst first; empty where no model was timed."""
    slowdown = f"Slowdown and {wording.interval_level(result)} interval [%]"
    headings = ["Model", "Base [ms]", "Head [ms]", slowdown, "Pairs", "p (Holm)", "Verdict", "Why"]
    rows = [
        [
            name(model.name),
            wording.milliseconds(model.base_ms),
            wording.milliseconds(model.head_ms),
            wording.bare_estimate(model),
            str(wording.pair_count(model)),
            text(wording.p_value(model)),
            verdict(model.verdict),
            text(model.reason),
        ]
        for model in wording.worst_first(result.models)
    ]
    return table(headings, rows, frozenset(headings[1:6])) if rows else ""


def verdict(one: str) -> str:
    """A verdict as it stands in a table: only a PASS is not bold."""
    return one if one == "PASS" else f"**{one}**"


def noise(result: CheckResult) -> str:
    """This runner's noise floor, in a sentence."""
    return f"**Noise of this runner.** {text(wording.noise_floors(result))}"


def exact(results: Sequence[ExactResult]) -> str:
    """The deterministic gate: what was found for each model, then every count that differs; empty if it was off."""
    if not results:
        return ""
    headings = ["Model", "Count", "Base", "Head", "Difference", "Rise"]
    rows = [
        [
            name(one.name),
            name(change.what),
            wording.count(change.base),
            wording.count(change.head),
            _difference(change.base, change.head),
            "**yes**" if change.is_rise else "no",
        ]
        for one in results
        for change in one.changes
    ]
    changed = table(headings, rows, frozenset(headings[2:5])) if rows else ""
    reasons: dict[str, list[str]] = defaultdict(list)
    for one in results:
        reasons[text(one.reason)].append(name(one.name))
    return joined([bullets(f"{listed(names)}: {reason}" for reason, names in reasons.items()), changed]).rstrip("\n")


def _difference(base: float | None, head: float | None) -> str:
    if base is None or head is None:
        return wording.MISSING
    absolute = signed(head - base, 0)
    return f"{absolute} ({signed((head / base - 1) * 100, 1)} %)" if base else absolute


def problems(result: CheckResult) -> str:
    """What a reader must know of this run, empty if it went well."""
    return bullets(text(problem) for problem in result.problems)


def conditions(result: CheckResult) -> str:
    """Both sides, then the machine and the settings of the check."""
    both = [("label", "label"), ("commit", "commit"), ("Python", "python"), ("torch", "torch"), ("timm", "timm")]
    rows = [[title, *(_side_fact(side, field) for side in (result.base, result.head))] for title, field in both]
    facts = [[title, text(value)] for title, value in _facts(result).items()]
    workloads = [["Workload", text(value)] for value in _workloads(result)]
    return joined([table(["", "Base", "Head"], rows), table(["Condition", "Value"], [*facts, *workloads])]).rstrip("\n")


def _side_fact(side: object, field: str) -> str:
    value = getattr(side, field)
    if value is None:
        return UNKNOWN
    shown = name(str(value))
    return f"{shown} with uncommitted changes" if field == "commit" and getattr(side, "is_dirty", None) else shown


def _facts(result: CheckResult) -> dict[str, str]:
    known = result.conditions
    cpu = f"{known.get('cpu_model', UNKNOWN)}, {counted(int(known['cores']), 'core')}" if "cores" in known else None
    pinned = "not pinned" if result.cpus is None else f"pinned to {', '.join(str(cpu) for cpu in result.cpus)}"
    return {
        "CPU": cpu or str(known.get("cpu_model", UNKNOWN)),
        **({"GPU": str(known["gpu_model"])} if known.get("gpu_model") else {}),
        "Machine": str(known.get("machine", UNKNOWN)),
        "System": str(known.get("os", UNKNOWN)),
        "Device": result.device,
        "Threads, CPUs": f"{counted(result.threads, 'thread')}, {pinned}",
        "Clock": _clocks(result),
        **({"Allocator": str(known["allocator"])} if "allocator" in known else {}),
        "Threshold": f"{result.threshold_pct:g} %",
        "Turns a pair, pairs at most": f"{result.turns}, {result.max_pairs}",
        "Seed": str(result.seed),
        "Rule version": str(result.rule_version),
        "Started, took": f"{result.started_at}, {seconds(result.wall_s)}",
    }


def _clocks(result: CheckResult) -> str:
    words = {"cpu": "CPU time of the worker's thread", "wall": "wall clock"}
    used = {pair.clock for model in result.models for pair in model.pairs}
    return listed(words[clock] for clock in sorted(used)) if used else UNKNOWN


def _workloads(result: CheckResult) -> list[str]:
    """`what is run: which models`, one line for each kind of workload."""
    groups: dict[str, list[str]] = defaultdict(list)
    for model in result.models:
        groups[wording.comparison(model.comparison)].append(wording.tidy(model.name))
    return [f"{listed(names)}: {what}" for what, names in groups.items()]


def how_to_read(result: CheckResult) -> str:
    """What the words and figures of the page mean."""
    return bullets(
        [
            "**Slowdown** is how much longer one forward pass takes on head than on base, on this machine, turn "
            "against turn; + is slower. It is a median over pairs of fresh processes, with the interval of the sign "
            "test. Base and Head [ms] are medians of one forward pass, so that their quotient differs a little. CPU "
            "time holds nothing of what other processes took.",
            f"**FAIL** needs two blocks of {PAIRS_PER_LOOK} pairs, one after the other, above "
            f"{result.threshold_pct / 2:g} %, and Holm's p of at most {LEVEL * 100:g} %. "
            f"**PASS** needs an interval below {result.threshold_pct:g} %. **INCONCLUSIVE** is neither: too noisy a "
            "runner, or something that could not run.",
            "**p (Holm)** is one-sided, against *head is no slower*, adjusted for the number of models.",
            "**Noise of this runner** is each side against itself in other processes: a slowdown no larger says "
            "nothing.",
            "Counts are exact and need no statistics.",
            "`docs/gate.md` of vitbench has the rule and how often it is wrong.",
        ]
    )
