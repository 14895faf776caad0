"""Pages about a check in Markdown: one for the step summary of a CI job, and a short one for a pull request.

Every name and every sentence that others wrote goes through `name` or `text`, so that it stays text.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from bench.gate.formats import wording
from bench.gate.result import CheckResult, ExactResult, ModelResult, Side
from bench.gate.rule import LEVEL, PAIRS_PER_LOOK
from bench.number_format import counted, listed, seconds, signed
from bench.text import bullets, code, escape_mentions, joined, printable

UNKNOWN = "unknown"
MARKER = "<!-- vitbench check -->"  # the first line of a comment, by which a bot finds it again; docs/ci/ looks for it
COMMENT_BYTES = 60_000  # GitHub takes 65,536 characters, and docs/ci/ posts no more than this
COMMENT_MODELS = 20  # in the table on top of a comment


def render_page(result: CheckResult) -> str:
    """GitHub-flavoured Markdown: the verdict first, then what it rests on."""
    exact = _exact(result.exact)
    return joined(
        [
            f"## vitbench check: {result.verdict}",
            f"{_headline(result)}\n\n{_sides(result)}",
            f"### Problems\n\n{_problems(result)}" if result.problems else "",
            _models_table(result),
            _noise(result),
            f"### Exact counts\n\n{exact}" if exact else "",
            _folded("Conditions", _conditions(result)),
            _folded("How to read this", _how_to_read(result)),
        ]
    )


def render_comment(result: CheckResult) -> str:
    """GitHub-flavoured Markdown. What does not fit into a comment is left out, and the comment says so."""
    top = [
        MARKER,
        f"**vitbench check: {result.verdict}.** {_headline(result)}",
        _models_table(result, is_short=True),
        _noise(result),
    ]
    details = [
        _sides(result),
        _problems(result),
        _models_table(result),
        _exact(result.exact),
        _conditions(result),
        _how_to_read(result),
    ]
    whole = joined([*top, _folded("Details", joined(details).rstrip("\n"))])
    if len(whole.encode(errors="replace")) <= COMMENT_BYTES:
        return whole
    return joined([*top, "The details are too long for a comment; the job's summary and its files have them."])


def name(one: str) -> str:
    """A model or a revision in code type."""
    return code(printable(one)) if wording.tidy(one) else "(no name)"


def text(one: str) -> str:
    """A sentence that somebody wrote, shown as it is."""
    return escape_mentions(printable(one))


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()) -> str:
    """A table of cells that are Markdown already; columns whose heading is in `numbers` are right-aligned."""
    rule = "|".join("---:" if heading in numbers else ":---" for heading in headings)
    lines = [" | ".join(headings), *(" | ".join(row) for row in rows)]
    head, *body = (f"| {line} |" for line in lines)
    return "\n".join([head, f"|{rule}|", *body])


def _folded(summary: str, block: str) -> str:
    """A block that opens on a click. summary: HTML text."""
    return f"<details><summary>{summary}</summary>\n\n{block}\n\n</details>"


def _headline(result: CheckResult) -> str:
    return wording.headline(result, name, text)


def _sides(result: CheckResult) -> str:
    """One line that says which two things were compared."""
    return f"Base: {wording.side(result.base, name)}. Head: {wording.side(result.head, name)}."


def _models_table(result: CheckResult, *, is_short: bool = False) -> str:
    """One row for each model, the worst first; empty where no model was timed. is_short: as a comment has it."""
    slowdown = f"Slowdown and {wording.interval_level(result)} interval [%]"
    cells: dict[str, Callable[[ModelResult], str]] = {
        "Model": lambda model: name(model.name),
        "Base [ms]": lambda model: wording.milliseconds(model.base_ms),
        "Head [ms]": lambda model: wording.milliseconds(model.head_ms),
        slowdown: wording.bare_estimate,
        "Pairs": lambda model: str(wording.pair_count(model)),
        "p (Holm)": lambda model: text(wording.p_value(model)),
        "Verdict": lambda model: model.verdict if model.verdict == "PASS" else f"**{model.verdict}**",
        "Why": lambda model: text(model.reason),
    }
    headings = list(cells)
    shown = ["Model", slowdown, "Verdict"] if is_short else headings
    models = wording.worst_first(result.models)[: COMMENT_MODELS if is_short else None]
    if not models:
        return ""
    table = _table(shown, [[cells[heading](model) for heading in shown] for model in models], headings[1:6])
    left_out = len(models) < len(result.models)
    return f"{table}\n\nThe worst {len(models)} of {len(result.models)} models." if left_out else table


def _noise(result: CheckResult) -> str:
    """This runner's noise floor, in a sentence."""
    return f"**Noise of this runner.** {text(wording.noise_floors(result))}"


def _exact(results: Sequence[ExactResult]) -> str:
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
    reasons: dict[str, list[str]] = defaultdict(list)
    for one in results:
        reasons[text(one.reason)].append(name(one.name))
    said = bullets(f"{listed(names)}: {reason}" for reason, names in reasons.items())
    return joined([said, _table(headings, rows, headings[2:5]) if rows else ""]).rstrip("\n")


def _difference(base: float | None, head: float | None) -> str:
    if base is None or head is None:
        return wording.MISSING
    absolute = signed(head - base, 0)
    return f"{absolute} ({signed((head / base - 1) * 100, 1)} %)" if base else absolute


def _problems(result: CheckResult) -> str:
    """What a reader must know of this run, empty if it went well."""
    return bullets(text(problem) for problem in result.problems)


def _conditions(result: CheckResult) -> str:
    """Both sides, then the machine and the settings of the check."""
    both = [("label", "label"), ("commit", "commit"), ("Python", "python"), ("torch", "torch"), ("timm", "timm")]
    rows = [[title, *(_side_fact(side, field) for side in (result.base, result.head))] for title, field in both]
    workloads: dict[str, list[str]] = defaultdict(list)
    for model in result.models:
        workloads[wording.comparison(model.comparison)].append(wording.tidy(model.name))
    facts = [
        *_facts(result).items(),
        *(("Workload", f"{listed(names)}: {what}") for what, names in workloads.items()),
    ]
    shown = [[title, text(value)] for title, value in facts]
    return joined([_table(["", "Base", "Head"], rows), _table(["Condition", "Value"], shown)]).rstrip("\n")


def _side_fact(side: Side, field: str) -> str:
    value = getattr(side, field)
    if value is None:
        return UNKNOWN
    return f"{name(str(value))}{' with uncommitted changes' if field == 'commit' and side.is_dirty else ''}"


def _facts(result: CheckResult) -> dict[str, str]:
    known = result.conditions
    cpu = str(known.get("cpu_model", UNKNOWN))
    pinned = "not pinned" if result.cpus is None else f"pinned to {', '.join(str(cpu) for cpu in result.cpus)}"
    clocks = {"cpu": "CPU time of the worker's thread", "wall": "wall clock"}
    used = sorted({pair.clock for model in result.models for pair in model.pairs})
    return {
        "CPU": f"{cpu}, {counted(int(known['cores']), 'core')}" if "cores" in known else cpu,
        **({"GPU": str(known["gpu_model"])} if known.get("gpu_model") else {}),
        "Machine": str(known.get("machine", UNKNOWN)),
        "System": str(known.get("os", UNKNOWN)),
        "Device": result.device,
        "Threads, CPUs": f"{counted(result.threads, 'thread')}, {pinned}",
        "Clock": listed(clocks[clock] for clock in used) if used else UNKNOWN,
        **({"Allocator": str(known["allocator"])} if "allocator" in known else {}),
        "Threshold": f"{result.threshold_pct:g} %",
        "Turns a pair, pairs at most": f"{result.turns}, {result.max_pairs}",
        "Seed": str(result.seed),
        "Rule version": str(result.rule_version),
        "Started, took": f"{result.started_at}, {seconds(result.wall_s)}",
    }


def _how_to_read(result: CheckResult) -> str:
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
