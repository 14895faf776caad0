"""Checks made by hand, with figures that a reader can follow; nothing is measured."""

from __future__ import annotations

from typing import Any

from bench.gate.result import (
    CheckResult,
    Comparison,
    CountChange,
    ExactResult,
    LookResult,
    ModelResult,
    NoiseFloor,
    PairTurns,
    Side,
    Workload,
)
from bench.gate.rule import Verdict

BASE_COMMIT = "1234567890" * 4
HEAD_COMMIT = "abcdef0123" * 4
HOSTILE = (
    "<script>alert(1)</script> | `x` \\| *y* _z_ [a](http://b.c)\n# @someone \x1b[31m ]]> & \"q\" 'r' 100 %, ::error::"
)


def make_pair(number: int = 0, base_ms: float = 10.0, head_ms: float = 10.0, forwards: int = 2) -> PairTurns:
    """One pair of two turns, each of `forwards` forward passes that take base_ms and head_ms."""
    base_ns, head_ns = (round(ms * 1e6 * forwards) for ms in (base_ms, head_ms))
    return PairTurns(
        clock="cpu",
        pair=number,
        started_first="base" if number % 2 == 0 else "head",
        forwards=forwards,
        orders=("bh", "hb"),
        base_ns=(base_ns, base_ns),
        head_ns=(head_ns, head_ns),
    )


def make_model(
    name: str,
    verdict: Verdict = "PASS",
    slowdown: tuple[float, float, float] | None = (0.3, -0.4, 1.0),
    p_holm: float = 0.2,
    reason: str = "at most +1.0 %",
    pairs: int = 8,
    **workload: Any,
) -> ModelResult:
    """One comparison of a model with itself. slowdown: percent, with the ends of its interval; None: no estimate."""
    both = Workload(model=name, **workload)
    comparison = Comparison(name=name, base=both, head=both)
    if slowdown is None:
        return ModelResult(comparison=comparison, verdict=verdict, reason=reason)
    mean, low, high = slowdown
    look = LookResult(
        pairs=pairs,
        slowdown_pct=mean,
        low_pct=low,
        high_pct=high,
        p=p_holm,
        p_holm=p_holm,
        verdict=verdict,
        reason=reason,
    )
    turns = tuple(make_pair(number, 10.0, 10.0 * (1 + mean / 100)) for number in range(pairs))
    return ModelResult(comparison=comparison, verdict=verdict, reason=reason, looks=(look,), pairs=turns)


def passed(name: str = "vit_s") -> ModelResult:
    return make_model(name)


def failed(name: str = "resnet_s") -> ModelResult:
    return make_model(
        name, "FAIL", (8.1, 6.9, 9.2), 0.00003, "slower in two blocks of pairs one after the other", pairs=16
    )


def undecided(name: str = "hybrid_s") -> ModelResult:
    return make_model(name, "INCONCLUSIVE", None, reason="its worker died: out of memory")


def more_work(name: str = "vit_s") -> ExactResult:
    """Fused attention was replaced by two products and a softmax."""
    return ExactResult(
        name=name,
        verdict="FAIL",
        reason="more: aten.bmm: 0 -> 24, macs: 4,608,338 -> 4,700,000; "
        "less: aten.scaled_dot_product_attention: 12 -> 0",
        changes=(
            CountChange(what="aten.bmm", base=0, head=24, is_rise=True),
            CountChange(what="aten.scaled_dot_product_attention", base=12, head=0, is_rise=False),
            CountChange(what="macs", base=4_608_338, head=4_700_000, is_rise=True),
        ),
        counts={"params": 5_000_000, "macs": 4_700_000},
    )


def same_work(name: str = "resnet_s") -> ExactResult:
    return ExactResult(
        name=name,
        verdict="PASS",
        reason="the same params, macs and the calls of 9 operators",
        counts={"params": 1, "macs": 2},
    )


def make_result(*models: ModelResult, **changes: Any) -> CheckResult:
    """A check of two revisions on a small machine with these models."""
    fields: dict[str, Any] = {
        "started_at": "2026-11-25T22:00:00+00:00",
        "wall_s": 61.5,
        "seed": 7,
        "threshold_pct": 5.0,
        "turns": 40,
        "max_pairs": 32,
        "device": "cpu",
        "threads": 1,
        "cpus": (1,),
        "base": Side(
            label="base (12345678)", commit=BASE_COMMIT, is_dirty=False, python="3.12.4", torch="2.11.0", timm="1.0.20"
        ),
        "head": Side(label="head", commit=HEAD_COMMIT, is_dirty=True, python="3.12.4", torch="2.12.0", timm="1.0.20"),
        "conditions": {"cpu_model": "Example 9000", "cores": 2, "machine": "0a1b2c3d", "os": "Linux 6.1 x86_64"},
        "models": models,
        "noise": (
            NoiseFloor(side="base", pairs=4, median_pct=0.2, lowest_pct=-0.5, highest_pct=0.9),
            NoiseFloor(side="head", pairs=4, median_pct=-0.1, lowest_pct=-0.6, highest_pct=0.4),
        ),
        "has_head_copy": True,
    }
    return CheckResult(**{**fields, **changes})
