"""What was asked on a command line, as comparisons: one model in two revisions, or two sides that differ in words.

A side may be planted with a slowdown: real extra work of a known share, by which a gate can be tested.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from bench.errors import RequestError, UnknownNameError
from bench.gate.result import Comparison, Workload

# Small models of the catalog, one of each family: what `vitbench check` looks at when no model is named.
DEFAULT_MODELS = ("vit_32px_s", "resnet_32px_s", "mbconv_32px_s", "hybrid_32px_s")


def plant_of(slowdown_pct: float) -> tuple[int, int] | None:
    """Extra passes among how many give about this slowdown, None for 0: (1, 20) for 5, (1, 33) for 3 (3.03 %).

    The fewest passes that come within 2 % of what is asked. Raises ValueError outside 0 to 100.
    """
    if not 0 <= slowdown_pct <= 100:
        raise ValueError(f"A slowdown of {slowdown_pct:g} % cannot be planted; give 0 to 100.")
    if slowdown_pct == 0:
        return None
    wanted = slowdown_pct / 100
    for per in range(1, 1_001):
        share = Fraction(max(1, round(wanted * per)), per)
        if abs(float(share) / wanted - 1) <= 0.02:
            return share.numerator, share.denominator
    raise ValueError(f"A slowdown of {slowdown_pct:g} % is too small to be planted.")


def true_log_ratio(plant: tuple[int, int] | None) -> float:
    """ln of the planted slowdown, exactly; 0 for none."""
    extra, per = plant or (0, 1)
    return math.log1p(extra / per)


def _switch(word: str) -> bool:
    if word not in ("on", "off"):
        raise ValueError("expected on or off")
    return word == "on"


def _positive(word: str) -> int:
    number = int(word)
    if number < 1:
        raise ValueError("expected a whole number from 1 up")
    return number


def _one_of(*words: str) -> Callable[[str], str]:
    def choose(word: str) -> str:
        if word not in words:
            raise ValueError(f"expected {', '.join(words[:-1])} or {words[-1]}")
        return word

    return choose


# What a side may say of itself, in `--a` and `--b`: word -> field of a Workload.
_FIELDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "model": ("model", str),
    "batch": ("batch_size", _positive),
    "resolution": ("resolution_px", _positive),
    "classes": ("num_classes", _positive),
    "plant": ("plant", lambda word: plant_of(float(word))),
}
# ... and word -> setting, left out of a Workload where it is the default.
_SETTINGS: dict[str, tuple[Callable[[str], Any], Any]] = {
    "precision": (_one_of("fp32", "tf32", "fp16", "bf16"), "fp32"),
    "memory_format": (_one_of("contiguous", "channels_last"), "contiguous"),
    "compile": (_switch, False),
    "fold": (_switch, False),
}
WORDS = (*_FIELDS, *_SETTINGS)


def parse_side(option: str, text: str) -> dict[str, Any]:
    """`compile=on,batch=8` -> fields of a workload, its settings apart. Raises RequestError, which names the option."""
    fields: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        word, equals, value = part.partition("=")
        if not equals:
            raise RequestError(f"{option} {text!r}: {part!r} is not KEY=VALUE. Keys: {', '.join(WORDS)}.")
        if word not in WORDS:
            raise UnknownNameError("key", word, WORDS, where=f"{option} {text!r}")
        try:
            if word in _SETTINGS:
                parse, default = _SETTINGS[word]
                if (parsed := parse(value)) != default:
                    settings[word] = parsed
            else:
                name, parse = _FIELDS[word]
                fields[name] = parse(value)
        except ValueError as error:
            raise RequestError(f"{option} {text!r}: {word}={value}: {error}.") from None
    return {**fields, "settings": settings}


def comparisons_of(
    models: Sequence[str],
    *,
    batch_size: int = 1,
    resolution_px: int | None = None,
    num_classes: int | None = None,
    a: str = "",
    b: str = "",
) -> tuple[Comparison, ...]:
    """A comparison for each model; with `model=` on both sides one, between these two.

    a, b: what base and head say of themselves, over the common batch size, resolution and classes.
    Raises RequestError for words that are unknown, and for models without a side for one of them.
    """
    of_a, of_b = parse_side("--a", a), parse_side("--b", b)
    common = {"batch_size": batch_size, "resolution_px": resolution_px, "num_classes": num_classes}
    if ("model" in of_a) != ("model" in of_b):
        raise RequestError("--a and --b: give model= on both sides, or on neither and --model for both.")
    if "model" in of_a and models:
        raise RequestError("--model says what both sides run; with model= in --a and --b there is nothing left for it.")
    named = [""] if "model" in of_a else list(models or DEFAULT_MODELS)
    _require_relative([*named, of_a.get("model", ""), of_b.get("model", "")])
    found = []
    for model in named:
        base, head = (Workload(**{"model": model, **common, **side}) for side in (of_a, of_b))
        found.append(Comparison(name=_name(base, head, a, b), base=base, head=head))
    return tuple(found)


def _require_relative(models: Sequence[str]) -> None:
    for model in models:
        if model.startswith(("/", "~")):
            raise RequestError(
                f"Model {model!r} has an absolute path, which names one file for both sides. Give it relative to the "
                "current folder, so that each side finds its own."
            )


def _name(base: Workload, head: Workload, a: str, b: str) -> str:
    if base.model != head.model:
        return f"{base.model} → {head.model}"
    return f"{base.model} ({a or 'as given'} → {b or 'as given'})" if a or b else base.model
