"""JUnit XML as Jenkins and GitLab read it: a suite for each gate, FAIL a failure, INCONCLUSIVE skipped with its reason.

The time of a test case is the seconds that its timed forward passes took; that of the root is the whole check.
Elements and attributes are those of Jenkins' junit-10.xsd; GitLab shows the text inside failure and skipped.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

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
from bench.plain_text import printable


@dataclass(frozen=True)
class _Case:
    """One test case: message is one line, details are shown below it."""

    name: str
    verdict: Verdict
    message: str
    details: str
    seconds: float = 0.0


def render(result: CheckResult) -> str:
    """The whole file, with a declaration."""
    suites = {
        "speed": [_speed_case(model) for model in result.models],
        "exact": [_exact_case(one) for one in result.exact],
    }
    if not any(suites.values()):  # an empty file would count as a pass
        suites["speed"] = [_Case("check", "INCONCLUSIVE", headline(result), "\n".join(result.problems))]
    every = [case for cases in suites.values() for case in cases]
    root = ET.Element("testsuites", {"name": "vitbench check", **_totals(every), "time": f"{result.wall_s:.3f}"})
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


def _suite(result: CheckResult, gate: str, cases: list[_Case]) -> ET.Element:
    spent = sum(case.seconds for case in cases)
    skipped = sum(case.verdict == "INCONCLUSIVE" for case in cases)
    timing = {"skipped": str(skipped), "time": f"{spent:.3f}", "timestamp": result.started_at}
    suite = ET.Element("testsuite", {"name": gate, **_totals(cases), **timing})
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(result).items():
        ET.SubElement(properties, "property", name=name, value=tidy(value))
    for case in cases:
        suite.append(_case(gate, case))
    return suite


def _totals(cases: list[_Case]) -> dict[str, str]:
    failures = sum(case.verdict == "FAIL" for case in cases)
    return {"tests": str(len(cases)), "failures": str(failures), "errors": "0"}


def _properties(result: CheckResult) -> dict[str, str]:
    return {
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


def _case(gate: str, case: _Case) -> ET.Element:
    element = ET.Element("testcase", classname=f"vitbench.{gate}", name=tidy(case.name), time=f"{case.seconds:.3f}")
    details = printable(case.details)
    if case.verdict == "FAIL":
        kind = "slower" if gate == "speed" else "more work"
        ET.SubElement(element, "failure", type=kind, message=tidy(case.message)).text = details
    elif case.verdict == "INCONCLUSIVE":
        ET.SubElement(element, "skipped", message=tidy(f"INCONCLUSIVE: {case.message}")).text = details
    else:
        ET.SubElement(element, "system-out").text = details
    return element
