"""What CI systems show beside a job: JUnit XML, and the workflow commands of GitHub."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Literal, NamedTuple

from bench.gate.formats.wording import (
    because,
    count_change,
    estimate,
    headline,
    milliseconds,
    p_value,
    pair_count,
    side,
    tidy,
)
from bench.gate.result import CheckResult, ExactResult, ModelResult
from bench.gate.rule import Verdict
from bench.text import printable

COMMANDS_PER_LEVEL = 10  # a step shows no more of each
_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})


class _Case(NamedTuple):
    """One test case of JUnit: message is one line, details are shown below it."""

    name: str
    verdict: Verdict
    message: str
    details: str
    seconds: float = 0.0


def render_junit(result: CheckResult) -> str:
    """JUnit XML, with a declaration: a suite for each gate, FAIL a failure, INCONCLUSIVE skipped with its reason.

    The time of a test case is the seconds that its timed forward passes took; that of the root is the whole check.
    Elements and attributes are those of Jenkins' junit-10.xsd; GitLab shows the text inside failure and skipped.
    """
    suites = {
        "speed": [_speed_case(model) for model in result.models],
        "exact": [_exact_case(one) for one in result.exact],
    }
    if not any(suites.values()):  # an empty file would count as a pass
        suites["speed"] = [_Case("check", "INCONCLUSIVE", headline(result), "\n".join(result.problems))]
    totals = _totals([case for cases in suites.values() for case in cases])
    root = ET.Element("testsuites", {"name": "vitbench check", **totals, "time": f"{result.wall_s:.3f}"})
    for gate, cases in suites.items():
        if cases:
            root.append(_suite(result, gate, cases))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _speed_case(model: ModelResult) -> _Case:
    details = [
        f"slowdown: {estimate(model)}",
        f"base: {milliseconds(model.base_ms)} ms, head: {milliseconds(model.head_ms)} ms",
        f"pairs of processes: {pair_count(model)}, p (Holm): {p_value(model)}",
        f"why: {model.reason}",
    ]
    spent_ns = sum(sum(pair.base_ns) + sum(pair.head_ns) + sum(pair.again_ns) for pair in model.pairs)
    return _Case(model.name, model.verdict, because(model), "\n".join(details), spent_ns / 1e9)


def _exact_case(one: ExactResult) -> _Case:
    details = [one.reason, *(count_change(change) for change in one.changes)]
    return _Case(one.name, one.verdict, one.reason, "\n".join(details))


def _suite(result: CheckResult, gate: str, cases: Sequence[_Case]) -> ET.Element:
    spent = sum(case.seconds for case in cases)
    skipped = sum(case.verdict == "INCONCLUSIVE" for case in cases)
    timing = {"skipped": str(skipped), "time": f"{spent:.3f}", "timestamp": result.started_at}
    suite = ET.Element("testsuite", {"name": gate, **_totals(cases), **timing})
    properties = ET.SubElement(suite, "properties")
    known = {
        "verdict": result.verdict,
        "base": side(result.base),
        "head": side(result.head),
        "threshold_pct": f"{result.threshold_pct:g}",
        "rule_version": str(result.rule_version),
        "seed": str(result.seed),
        "device": result.device,
        "threads": str(result.threads),
        "machine": str(result.conditions.get("machine", "unknown")),
    }
    for name, value in known.items():
        ET.SubElement(properties, "property", name=name, value=tidy(value))
    for case in cases:
        suite.append(_case(gate, case))
    return suite


def _totals(cases: Sequence[_Case]) -> dict[str, str]:
    failures = sum(case.verdict == "FAIL" for case in cases)
    return {"tests": str(len(cases)), "failures": str(failures), "errors": "0"}


def _case(gate: str, case: _Case) -> ET.Element:
    element = ET.Element("testcase", classname=f"vitbench.{gate}", name=tidy(case.name), time=f"{case.seconds:.3f}")
    if case.verdict == "FAIL":
        kind = "slower" if gate == "speed" else "more work"
        shown = ET.SubElement(element, "failure", type=kind, message=tidy(case.message))
    elif case.verdict == "INCONCLUSIVE":
        shown = ET.SubElement(element, "skipped", message=tidy(f"INCONCLUSIVE: {case.message}"))
    else:
        shown = ET.SubElement(element, "system-out")
    shown.text = printable(case.details)
    return element


def render_annotations(result: CheckResult) -> str:
    """GitHub workflow commands: errors, then warnings, then notices, one line each.

    They act where they are printed, so the target is standard output: `--write annotations=-`.
    Source of the escapes: github.com/actions/toolkit, packages/core/src/command.ts.
    """
    errors = [
        *((f"Slower: {model.name}", because(model)) for model in result.models if model.verdict == "FAIL"),
        *((f"More work: {one.name}", one.reason) for one in result.exact if one.verdict == "FAIL"),
    ]
    warnings = [
        *((f"Not decided: {model.name}", because(model)) for model in result.models if model.verdict == "INCONCLUSIVE"),
        *((f"Not counted: {one.name}", one.reason) for one in result.exact if one.verdict == "INCONCLUSIVE"),
        *(("Problem", problem) for problem in result.problems),
    ]
    notices = [(f"vitbench check: {result.verdict}", headline(result))]
    return (
        "\n".join([*_commands("error", errors), *_commands("warning", warnings), *_commands("notice", notices)]) + "\n"
    )


def _commands(level: Literal["error", "warning", "notice"], annotations: Sequence[tuple[str, str]]) -> list[str]:
    """Titles and messages: at most as many as a step shows; the last one then says what is left out."""
    if len(annotations) > COMMANDS_PER_LEVEL:
        left_out = annotations[COMMANDS_PER_LEVEL - 1 :]
        titles = "; ".join(title for title, _ in left_out)
        annotations = [*annotations[: COMMANDS_PER_LEVEL - 1], (f"{len(left_out)} more", titles)]
    return [workflow_command(level, title, message) for title, message in annotations]


def workflow_command(level: str, title: str, message: str) -> str:
    """One workflow command. Title and message may hold anything; they stay text."""
    return f"::{level} title={printable(title).translate(_PROPERTY)}::{printable(message).translate(_DATA)}"
