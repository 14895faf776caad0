"""Every rule by its name: how published numbers judge a claim, and how measured ones do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.analyse.claims.figures_only import judge_figure_only, no_records_decide
from bench.analyse.claims.measurements import Measurements
from bench.analyse.claims.verdicts import Verdict
from bench.catalog.claims import Claim
from bench.errors import RequestError, UnknownNameError


@dataclass(frozen=True)
class Rule:
    """Two functions of one question, and the parameters that a claim must give them."""

    published: Callable[[Claim], Verdict]
    measured: Callable[[Claim, Measurements], Verdict]
    parameters: frozenset[str] = frozenset()


RULES: dict[str, Rule] = {
    "figure_only": Rule(judge_figure_only, no_records_decide),
}


def rule_of(claim: Claim) -> Rule:
    """The claim's rule. Raises RequestError where it is unknown or its parameters are not those of the claim."""
    if claim.rule not in RULES:
        raise UnknownNameError("rule", claim.rule, RULES, where=f"claim '{claim.id}'")
    rule = RULES[claim.rule]
    wrong = sorted(rule.parameters ^ set(claim.parameters))
    if wrong:
        takes = ", ".join(sorted(rule.parameters)) or "none"
        raise RequestError(
            f"Claim '{claim.id}': parameters of rule '{claim.rule}': {takes}; missing or unknown: {', '.join(wrong)}."
        )
    return rule


def check_rules(claims: Mapping[str, Claim]) -> None:
    """Raise RequestError if a claim names no rule, or gives it other parameters than it takes."""
    for claim in claims.values():
        rule_of(claim)
