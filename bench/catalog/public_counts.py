"""Multiply-adds, parameters and activations of every public architecture and size, for 1,000 classes. No torch.

Counted here, twice, so that no figure rests on another project's convention. The table is written by `vitbench adopt
public` from the records of `vitbench run public --counts`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from bench.catalog.tables import catalog_file, read_csv, typed, write_csv

COUNTED_WITH = ("torch", "timm", "fvcore")  # the packages that can move a count
_HEADER_NOTE = "Counted by `vitbench run public --counts`, taken by `vitbench adopt public`; do not edit by hand."


@dataclass(frozen=True, kw_only=True)
class PublicCount:
    """What one image costs in one architecture at one size; None for what could not be counted."""

    model: str  # the architecture, without a tag: weights change no count
    img_size: int  # pixels
    params: int | None = None
    macs: int | None = None  # multiply-adds of convolutions and matrix products
    norm_macs: int | None = None
    activations: int | None = None  # output elements of convolutions and matrix products
    certificate: Literal["ok", "differs", "failed"]  # of macs: whether two counters agree
    certificate_note: str = ""


def public_counts_path() -> Path:
    """The table's file in the package."""
    return catalog_file("public_counts.csv")


@cache
def public_counts() -> Mapping[tuple[str, int], PublicCount]:
    """Architecture and size -> its count."""
    return {(row.model, row.img_size): row for row in typed(PublicCount, read_csv("public_counts"))}


@cache
def counted_with() -> Mapping[str, str]:
    """Package -> the version that the counts were made with."""
    lines = public_counts_path().read_text(encoding="utf-8").splitlines()
    notes = " ".join(line for line in lines if line.startswith("#"))
    return {package: version for package in COUNTED_WITH for version in re.findall(rf"\b{package} ([\w.+]*\w)", notes)}


def write_public_counts(counts: Iterable[PublicCount], versions: Mapping[str, str], path: Path) -> None:
    """Replace the table, sorted by architecture and size, whole or not at all. versions: of COUNTED_WITH."""
    made_with = ", ".join(f"{package} {versions[package]}" for package in COUNTED_WITH)
    rows = sorted(counts, key=lambda count: (count.model, count.img_size))
    write_csv(path, PublicCount, rows, notes=(_HEADER_NOTE, f"For 1,000 classes, with {made_with}."))
    public_counts.cache_clear()
    counted_with.cache_clear()
