"""Order statistics of raw samples."""

from __future__ import annotations

from collections.abc import Sequence


def percentile(samples: Sequence[float], percent: float) -> float:
    """The value that `percent` of the samples lie below, linear between neighbours (numpy's default, Hyndman-Fan 7).

    percent: in [0, 100]. Raises ValueError for no samples or a percent outside that range.
    """
    if not samples or not 0 <= percent <= 100:
        raise ValueError(f"percentile {percent} of {len(samples)} samples does not exist")
    ordered = sorted(samples)
    position = (len(ordered) - 1) * percent / 100
    lower = int(position)
    upper = min(lower + 1, len(ordered) - 1)
    return ordered[lower] + (position - lower) * (ordered[upper] - ordered[lower])
