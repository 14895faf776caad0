"""What the ViT paper and its popular accounts say of ViTs and CNNs: one row of claims.toml for each statement.

A row names the rules that judge it; `bench.analyse.claims.claims` holds them. Nothing is judged here.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from bench.catalog.tables import catalog_file
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
    # the rule for records, with the scope that they must meet
    measured: Mapping[str, Any] = field(default_factory=dict)


_KNOWN = {one.name for one in fields(Claim)} - {"id"}
_REQUIRED = {"statement", "where", "needs"}


@functools.cache
def claim_rows() -> dict[str, Claim]:
    """Every claim by its id, in the order of claims.toml."""
    return parse_claims(catalog_file("claims.toml").read_text(encoding="utf-8"))


def parse_claims(text: str) -> dict[str, Claim]:
    """The claims of a TOML text. Raises RequestError for a row that lacks a key or has one that none can have."""
    claims = {}
    for name, given in tomllib.loads(text).items():
        if unknown := sorted(set(given) - _KNOWN):
            known = ", ".join(sorted(_KNOWN))
            raise RequestError(f"Claim '{name}' has unknown keys: {', '.join(unknown)}. Known: {known}.")
        if missing := sorted(_REQUIRED - set(given)):
            raise RequestError(f"Claim '{name}' lacks {', '.join(missing)}.")
        claims[name] = Claim(id=name, **given)
    return claims
