"""What the ViT paper and its popular accounts say of ViTs and CNNs: one row of claims.toml for each statement.

A row names the rules that judge it; `bench.analyse.claims` and `claims_measured` hold them. Nothing is judged here.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from bench.errors import RequestError

PAPER = "arXiv 2010.11929v2"


@dataclass(frozen=True)
class Claim:
    """One statement, in our words, and how it is judged."""

    id: str
    statement: str
    where: str  # a section, figure or table of PAPER, or the popular account
    needs: str = ""  # what records would have to hold to decide it, where those read do not
    note: str = ""  # what its published verdict does not say, as a sentence
    published: Mapping[str, Any] = field(default_factory=dict)  # the rule for published numbers with its parameters
    measured: Mapping[str, Any] = field(
        default_factory=dict
    )  # the rule for records, with the scope that they must meet


_KNOWN = {"statement", "where", "needs", "note", "published", "measured"}
_REQUIRED = {"statement", "where", "needs"}


@functools.cache
def claim_rows() -> dict[str, Claim]:
    """Every claim by its id, in the order of claims.toml."""
    return parse_claims(resources.files("bench.catalog").joinpath("claims.toml").read_text(encoding="utf-8"))


def parse_claims(text: str) -> dict[str, Claim]:
    """The claims of a TOML text. Raises RequestError for a row that lacks a key or has one that none can have."""
    return {name: _claim(name, fields) for name, fields in tomllib.loads(text).items()}


def _claim(name: str, fields: Mapping[str, Any]) -> Claim:
    unknown, missing = sorted(set(fields) - _KNOWN), sorted(_REQUIRED - set(fields))
    if unknown:
        raise RequestError(
            f"Claim '{name}' has unknown keys: {', '.join(unknown)}. Known: {', '.join(sorted(_KNOWN))}."
        )
    if missing:
        raise RequestError(f"Claim '{name}' lacks {', '.join(missing)}.")
    return Claim(id=name, **fields)
