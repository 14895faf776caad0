"""Times of public models that were not timed here, from those that were: a ridge regression of log time.

It sees multiply-adds, activations and parameters as counted, the family, and the speeds that timm publishes of five
devices. Its interval is that of leaving one timed model out at a time, so it holds for models like those.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.analyse.public.rows import Place
from bench.catalog.public_counts import PublicCount, public_counts
from bench.catalog.public_results import PUBLISHED_DEVICES, PublicResult, public_results

LEVEL = 0.90  # of the prediction intervals
MIN_ANCHORS = 6  # with fewer timed models nothing is estimated
_FAMILIES = ("vit", "hierarchical", "hybrid", "cnn", "other")
_PENALTIES = np.logspace(-2, 2, 17)  # of standardised features, chosen by leaving one out

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimator:
    """Fitted to the timed models. factors: of each of them, how many times too long it is estimated when left out."""

    times: Mapping[Place, float]  # estimated, in the unit of the anchors', of every place whose features are known
    factors: Mapping[Place, float]

    @property
    def reach(self) -> float:
        """The factor up and down within which LEVEL of new models lie: a conformal quantile of the left-out ones.

        Infinite for fewer than nine of them. Source: Barber et al. 2021 (jackknife+), in its simplest form.
        """
        off = sorted(abs(math.log(factor)) for factor in self.factors.values())
        rank = math.ceil(LEVEL * (len(off) + 1))
        return math.exp(off[rank - 1]) if rank <= len(off) else math.inf


def fit_times(anchors: Mapping[Place, float]) -> Estimator | None:
    """An estimator of a positive time from those of the anchors; None for fewer than MIN_ANCHORS known places."""
    places, features = _features()
    rows = {place: i for i, place in enumerate(places)}
    known = [place for place in anchors if place in rows]
    if len(known) < MIN_ANCHORS:
        return None
    x, y = features[[rows[place] for place in known]], np.log([anchors[place] for place in known])
    left_out = [_predict(np.delete(x, i, 0), np.delete(y, i), x[i : i + 1])[0] for i in range(len(known))]
    return Estimator(
        times=dict(zip(places, np.exp(_predict(x, y, features)).tolist(), strict=True)),
        factors=dict(zip(known, np.exp(np.array(left_out) - y).tolist(), strict=True)),
    )


def errors(estimator: Estimator, measured: Mapping[Place, float]) -> list[float]:
    """How many times too long or too short each measured time was estimated, from 1 up."""
    logs = (math.log(estimator.times[place] / time) for place, time in measured.items() if place in estimator.times)
    return sorted(math.exp(abs(log)) for log in logs)


def _predict(x: Array, y: Array, new: Array) -> Array:
    from sklearn.linear_model import RidgeCV  # half a second to import

    model: Any = RidgeCV(_PENALTIES).fit(x, y)
    return np.asarray(model.predict(new), dtype=np.float64)


@cache
def _features() -> tuple[tuple[Place, ...], Array]:
    """Every counted place, and its features standardised over all of them, (places, features)."""
    results: dict[Place, PublicResult] = {}
    for result in public_results():
        if (count := public_counts().get(result.place)) is not None and count.macs and count.activations:
            results.setdefault(result.place, result)
    counts = [public_counts()[place] for place in results]
    costs = np.log([_costs(count) for count in counts])
    families = np.array([[result.family == family for family in _FAMILIES] for result in results.values()], dtype=float)
    features = np.hstack([costs, _published_times(costs, list(results.values())), families])
    spread = features.std(0)
    return tuple(results), (features - features.mean(0)) / np.where(spread > 0, spread, 1.0)


def _costs(count: PublicCount) -> tuple[float, float, float]:
    return float(count.macs or 1), float(count.activations or 1), float(count.params or 1)


def _published_times(costs: Array, results: Sequence[PublicResult]) -> Array:
    """Log seconds an image on the published devices; where one was not timed, as the complete columns foretell it."""
    img_per_s = [[getattr(result, column) or np.nan for column in PUBLISHED_DEVICES] for result in results]
    times: Array = -np.log(np.array(img_per_s, dtype=np.float64))
    gaps = np.isnan(times)
    complete = np.column_stack([np.ones(len(results)), costs, times[:, ~gaps.any(0)]])
    for column in np.flatnonzero(gaps.any(0)):
        known = ~gaps[:, column]
        weights = np.linalg.lstsq(complete[known], times[known, column], rcond=None)[0]
        times[~known, column] = complete[~known] @ weights
    return times
