"""What the ViT paper and its popular accounts say about ViTs and CNNs: one row of claims.toml for each statement.

A row names the rule that judges it and the scope that records must lie in. Nothing is judged here.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal, get_args

from bench.errors import RequestError

Kind = Literal["paper", "popular account"]
Certainty = Literal["read in the paper", "read in a copy", "from memory"]
Range = tuple[float, float]  # both ends belong to it


@dataclass(frozen=True)
class Scope:
    """The conditions under which a claim was made. Empty or None: every record meets it."""

    pretraining_images: Range | None = None  # different images seen before fine-tuning; 0 for none
    exaflops: Range | None = None  # training compute of one model, 1e18 FLOPs
    resolution_px: Range | None = None
    macs: Range | None = None  # of one image
    devices: tuple[str, ...] = ()  # cpu, cuda, mps
    data: tuple[str, ...] = ()  # generated, real (embedded), public or given, as DatasetIdentity says
    datasets: tuple[str, ...] = ()  # names


@dataclass(frozen=True)
class Claim:
    """One statement, in our words, and how it is judged."""

    id: str
    statement: str
    kind: Kind
    where: str  # section, figure or table with the arXiv id, or the popular account
    certainty: Certainty  # of the statement's place and wording, not of its truth
    rule: str  # a name of bench.analyse.claims.rules.RULES
    parameters: Mapping[str, Any]  # of the rule
    decided_by: str  # which records would decide it
    scope: Scope


_KEYS = {"statement", "kind", "where", "certainty", "rule", "parameters", "decided_by", "scope"}
_OPTIONAL = {"parameters", "scope"}
_RANGES = {"pretraining_images", "exaflops", "resolution_px", "macs"}
_LISTS = {"devices", "data", "datasets"}


@functools.cache
def claim_rows() -> dict[str, Claim]:
    """Every claim by its id, in the order of claims.toml."""
    return parse_claims(resources.files("bench.catalog").joinpath("claims.toml").read_text(encoding="utf-8"))


def parse_claims(text: str) -> dict[str, Claim]:
    """The claims of a TOML text. Raises RequestError for a key, a kind or a range that none can have."""
    return {name: _claim(name, fields) for name, fields in tomllib.loads(text).items()}


def _claim(name: str, fields: Mapping[str, Any]) -> Claim:
    _check_keys(f"Claim '{name}'", fields, _KEYS)
    missing = sorted(_KEYS - _OPTIONAL - set(fields))
    if missing:
        raise RequestError(f"Claim '{name}' lacks {', '.join(missing)}.")
    for key, known in (("kind", get_args(Kind)), ("certainty", get_args(Certainty))):
        if fields[key] not in known:
            raise RequestError(f"Claim '{name}': {key} {fields[key]!r} is none of {', '.join(known)}.")
    scope = _scope(name, fields.get("scope", {}))
    return Claim(id=name, **{**fields, "parameters": fields.get("parameters", {}), "scope": scope})


def _scope(name: str, fields: Mapping[str, Any]) -> Scope:
    _check_keys(f"Scope of claim '{name}'", fields, _RANGES | _LISTS)
    found: dict[str, Any] = {}
    for key, value in fields.items():
        if key in _LISTS:
            found[key] = tuple(str(one) for one in value)
            continue
        if not isinstance(value, list) or len(value) != 2 or not value[0] <= value[1]:
            raise RequestError(f"Scope of claim '{name}': {key} must be [low, high], not {value!r}.")
        found[key] = (float(value[0]), float(value[1]))
    return Scope(**found)


def _check_keys(what: str, fields: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(fields) - known)
    if unknown:
        raise RequestError(f"{what} has unknown keys: {', '.join(unknown)}. Known: {', '.join(sorted(known))}.")
