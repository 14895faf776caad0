"""Public rows for tests of what is computed from them."""

from __future__ import annotations

from bench.analyse.public.rows import PublicRow
from bench.catalog.identity import PublicFamily
from bench.catalog.public_results import public_results

ALL = tuple(PublicRow(result, None, {}) for result in public_results())


def architectures(family: PublicFamily, count: int) -> list[PublicRow]:
    """One row of each of so many architectures of a family."""
    first = {row.result.architecture: row for row in reversed(ALL) if row.family == family}
    return list(first.values())[:count]
