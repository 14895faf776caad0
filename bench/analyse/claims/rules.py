"""Every rule by its name: how published numbers judge a claim, and how measured ones do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.analyse.claims.ablations import (
    judge_better_on_most,
    judge_stated_gap,
    judge_variant_apart,
    judge_variants_alike,
)
from bench.analyse.claims.attention_cost import (
    judge_attention_grows,
    judge_attention_share,
    measure_attention_grows,
    measure_attention_share,
)
from bench.analyse.claims.compute import judge_cost_at_equal_accuracy, measure_cost_at_equal_accuracy
from bench.analyse.claims.device_cost import (
    judge_fewer_core_days,
    judge_slower_at_equal_macs,
    measure_memory,
    measure_slower_at_equal_macs,
    measure_slower_latency,
)
from bench.analyse.claims.figures_only import judge_figure_only, no_records_decide, no_table_decides
from bench.analyse.claims.measurements import Measurements
from bench.analyse.claims.patches import judge_larger_patches, measure_larger_patches
from bench.analyse.claims.pretraining import (
    judge_ahead_on_every_set,
    judge_order_by_data,
    measure_ahead_on_every_set,
    measure_order_by_data,
)
from bench.analyse.claims.public_weights import (
    judge_public_best,
    judge_public_cost,
    measure_public_best,
    measure_public_cost,
)
from bench.analyse.claims.scaling import (
    judge_keeps_rising,
    judge_lead_closes,
    measure_keeps_rising,
    measure_lead_closes,
)
from bench.analyse.claims.verdicts import Verdict
from bench.analyse.claims.vision import (
    measure_distance_grows,
    measure_global_heads,
    measure_position_structure,
)
from bench.catalog.claims import Claim
from bench.catalog.papers import IMAGENET21K_IMAGES
from bench.errors import RequestError, UnknownNameError


@dataclass(frozen=True)
class Rule:
    """Two functions of one question, and the parameters that a claim must give them.

    most_images: pre-training images of the figures that `measured` finds, at most; None where they are not bounded.
    """

    published: Callable[[Claim], Verdict]
    measured: Callable[[Claim, Measurements], Verdict]
    parameters: frozenset[str] = frozenset()
    most_images: float | None = None


def _rule(
    published: Callable[[Claim], Verdict],
    measured: Callable[[Claim, Measurements], Verdict],
    *parameters: str,
    most_images: float | None = None,
) -> Rule:
    return Rule(published, measured, frozenset(parameters), most_images)


RULES: dict[str, Rule] = {
    "cost_at_equal_accuracy": _rule(
        judge_cost_at_equal_accuracy,
        measure_cost_at_equal_accuracy,
        *("first", "second", "at_least", "at_most", "over"),
        most_images=IMAGENET21K_IMAGES,
    ),
    "lead_closes": _rule(
        judge_lead_closes, measure_lead_closes, "first", "second", "closed_within_points", most_images=0
    ),
    "keeps_rising": _rule(judge_keeps_rising, measure_keeps_rising, "family", "rises", most_images=0),
    "order_by_data": _rule(
        judge_order_by_data, measure_order_by_data, "first", "second", "pretraining", "ahead", "dataset", most_images=0
    ),
    "ahead_on_every_set": _rule(judge_ahead_on_every_set, measure_ahead_on_every_set, "first", "second", "pretraining"),
    "fewer_core_days": _rule(judge_fewer_core_days, no_records_decide, "first", "pretraining", "at_least"),
    "larger_patches": _rule(judge_larger_patches, measure_larger_patches, "table"),
    "attention_grows": _rule(judge_attention_grows, measure_attention_grows, "exponent"),
    "attention_share": _rule(judge_attention_share, measure_attention_share, "resolution_px", "share"),
    "memory_at_equal_macs": _rule(judge_figure_only, measure_memory, "within"),
    "slower_at_equal_macs": _rule(judge_slower_at_equal_macs, measure_slower_at_equal_macs, "within", "slower"),
    "slower_latency": _rule(no_table_decides, measure_slower_latency, "within"),
    "public_cost": _rule(judge_public_cost, measure_public_cost, "first", "second", "stratum", "axis", "at_least"),
    "public_best": _rule(judge_public_best, measure_public_best, "first", "second", "stratum"),
    "stated_gap": _rule(judge_stated_gap, no_records_decide, "gaps"),
    "better_on_most": _rule(judge_better_on_most, no_records_decide, "ablation", "first", "second", "leave_out"),
    "variants_alike": _rule(judge_variants_alike, no_records_decide, "ablation", "apart", "margin_points"),
    "variant_apart": _rule(judge_variant_apart, no_records_decide, "ablation", "apart", "margin_points"),
    "global_heads_early": _rule(judge_figure_only, measure_global_heads, "share", "local_share"),
    "distance_grows": _rule(judge_figure_only, measure_distance_grows),
    "positions_two_dimensional": _rule(judge_figure_only, measure_position_structure),
    "figure_only": _rule(judge_figure_only, no_records_decide),
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


def can_be_decided(claim: Claim) -> bool:
    """Whether any suite's records could lie in the scope: some rules read only models trained from scratch."""
    rule = rule_of(claim)
    if rule.measured is no_records_decide:
        return False
    asked = claim.scope.pretraining_images
    return rule.most_images is None or asked is None or asked[0] <= rule.most_images


def check_rules(claims: Mapping[str, Claim]) -> None:
    """Raise RequestError if a claim names no rule, or gives it other parameters than it takes."""
    for claim in claims.values():
        rule_of(claim)
