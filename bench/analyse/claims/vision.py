"""Claims on what a ViT's attention and position embeddings look like, from stored inspections of trained weights.

The paper shows these in figures alone. Random weights decide nothing: what they show is architecture, not learning.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from scipy import stats

from bench.analyse.claims.combine import Seen, conclude
from bench.analyse.claims.contrasts import PRETRAINING_IMAGES
from bench.analyse.claims.measurements import Measurements
from bench.analyse.claims.scope import Conditions
from bench.analyse.claims.verdicts import Bearing, Evidence, Verdict
from bench.analyse.claims.words import tally
from bench.analyse.intervals import LEVEL
from bench.catalog.claims import Claim
from bench.catalog.models import find_model
from bench.catalog.public_pretraining import find_public_pretraining
from bench.shown import counted
from bench.store.inspections import Facts


@dataclass(frozen=True)
class Looked:
    """One model with one set of weights, and a number for each image that was looked at."""

    label: str
    values: tuple[float, ...]
    facts: tuple[Facts, ...]
    is_trained: bool


def measure_global_heads(claim: Claim, measurements: Measurements) -> Verdict:
    """In the first layer, the head that reaches farthest, over what evenly spread attention would reach.

    Parameters: share (at least this much of the distance of even attention counts as global).
    """
    share = float(claim.parameters["share"])

    def reach(facts: Facts) -> float | None:
        if not facts.attention_distance_px or not facts.uniform_distance_px:
            return None
        return float(max(facts.attention_distance_px[0]) / facts.uniform_distance_px)

    def bearing(values: Sequence[float], _: Facts) -> Bearing:
        return "for" if min(values) >= share else "against" if max(values) < share else "undecided"

    words = "distance of the farthest head of layer 1 over that of even attention"
    return _conclude(claim, measurements, reach, bearing, words)


def measure_distance_grows(claim: Claim, measurements: Measurements) -> Verdict:
    """Spearman's correlation of a layer's mean attention distance, over heads, with its depth."""

    def correlation(facts: Facts) -> float | None:
        distances = facts.attention_distance_px
        if not distances or len(distances) < 3:
            return None
        means = [fmean(heads) for heads in distances]
        found = stats.spearmanr(range(len(means)), means).statistic
        return float(found) if found == found else 0.0  # all layers alike: no trend

    def bearing(values: Sequence[float], facts: Facts) -> Bearing:
        critical = _critical_correlation(len(facts.attention_distance_px or ()))
        if critical is not None and min(values) >= critical:
            return "for"
        return "against" if critical is not None and max(values) <= -critical else "undecided"

    return _conclude(claim, measurements, correlation, bearing, "rank correlation of attention distance with depth")


def measure_position_structure(claim: Claim, measurements: Measurements) -> Verdict:
    """Whether the similarity of position embeddings follows nearness on the grid more than along the sequence."""

    def structure(facts: Facts) -> float | None:
        if facts.positions is None or not facts.positions.is_learned:
            return None
        return float(facts.positions.rank_correlation - facts.positions.rank_correlation_1d)

    def bearing(values: Sequence[float], _: Facts) -> Bearing:
        return "for" if min(values) > 0 else "against" if max(values) <= 0 else "undecided"

    words = "rank correlation of similarity with nearness on the grid, minus with nearness along the sequence"
    return _conclude(claim, measurements, structure, bearing, words)


def _critical_correlation(layers: int) -> float | None:
    """The rank correlation of so many layers that chance exceeds in 2.5 % of orders (t approximation); None below 5."""
    if layers < 5:
        return None
    t = float(stats.t.ppf((1 + LEVEL) / 2, layers - 2))
    return t / float((layers - 2 + t**2) ** 0.5)


def _conclude(
    claim: Claim,
    measurements: Measurements,
    number: Callable[[Facts], float | None],
    bearing: Callable[[Sequence[float], Facts], Bearing],
    words: str,
) -> Verdict:
    seen = []
    for looked in _by_model([one.facts for one in measurements.inspections], number):
        own = bearing(looked.values, looked.facts[0]) if looked.is_trained else "context"
        label = f"{looked.label}: {words}, {counted(len(looked.values), 'image')}"
        several = len(looked.values) > 1
        figure = Evidence(
            label, fmean(looked.values), "", min(looked.values) if several else None,
            max(looked.values) if several else None, own, "measured", "",
            record_ids=tuple(facts.inspection_id for facts in looked.facts),
        )  # fmt: skip
        seen.append(Seen(figure, _conditions(looked.facts[0], measurements)))
    trained = [one for one in seen if one.evidence.bearing != "context"]
    absent = "No stored inspection of trained ViT weights has these numbers; random weights would not count."
    if not trained:
        return Verdict("untestable here", absent, tuple(one.evidence for one in seen))
    return conclude(claim, seen, "every", lambda rows: tally(rows, "model", "models"), absent)


def _by_model(inspected: Iterable[Facts], number: Callable[[Facts], float | None]) -> list[Looked]:
    groups: dict[tuple[str, str], list[tuple[float, Facts]]] = defaultdict(list)
    for facts in inspected:
        value = number(facts)
        if value is not None:
            weights = facts.weights.sha256 or f"seed {facts.weights.seed}"
            groups[facts.model, f"{facts.weights.kind} {weights}"].append((value, facts))
    return [
        Looked(
            f"{rows[0][1].title} ({weights})",
            tuple(value for value, _ in rows),
            tuple(facts for _, facts in rows),
            rows[0][1].weights.kind != "random",
        )
        for (_, weights), rows in sorted(groups.items(), key=lambda item: item[0])
    ]


def _conditions(facts: Facts, measurements: Measurements) -> Conditions:
    return Conditions(pretraining_images=_images_seen(facts, measurements), resolution_px=facts.resolution_px)


def _images_seen(facts: Facts, measurements: Measurements) -> float | None:
    """Different images that the weights were trained on; None where nothing says it."""
    if facts.weights.kind == "public":
        row, known = find_model(facts.model), find_public_pretraining(facts.model)
        pretraining = row.pretraining if row is not None else known.pretraining if known is not None else ""
        return PRETRAINING_IMAGES.get(pretraining)
    for study in measurements.studies:
        for score in study.scores:
            if facts.weights.cell_id in score.cell_ids:
                return float(score.train_images)
    return None
