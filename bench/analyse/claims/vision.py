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
from bench.shown import counted, significant
from bench.store.inspections import Facts

SMALLEST_GRID = 7  # places a side; on fewer, nearness on the grid and along the sequence are hard to tell apart


@dataclass(frozen=True)
class Looked:
    """One model with one set of weights, and a number for each image that was looked at."""

    label: str
    values: tuple[float, ...]
    facts: tuple[Facts, ...]
    is_trained: bool


def measure_global_heads(claim: Claim, measurements: Measurements) -> Verdict:
    """In the first layer, the head that reaches farthest, over what evenly spread attention would reach.

    Attention that has learned nothing is near even in every head, so a far head counts only beside a local one.
    Parameters: share (at least this much of the distance of even attention counts as global), local_share (at most
    this much as local).
    """
    share, local_share = float(claim.parameters["share"]), float(claim.parameters["local_share"])

    def reach(facts: Facts) -> float | None:
        if not facts.attention_distance_px or not facts.uniform_distance_px:
            return None
        return float(max(facts.attention_distance_px[0]) / facts.uniform_distance_px)

    def bearing(values: Sequence[float], looked: Sequence[Facts]) -> Bearing:
        nearest = [min((f.attention_distance_px or ((0.0,),))[0]) / (f.uniform_distance_px or 1.0) for f in looked]
        if max(values) < share:
            return "against"
        return "for" if min(values) >= share and max(nearest) <= local_share else "undecided"

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

    def bearing(values: Sequence[float], looked: Sequence[Facts]) -> Bearing:
        critical = _critical_correlation(len(looked[0].attention_distance_px or ()))
        if critical is not None and min(values) >= critical:
            return "for"
        return "against" if critical is not None and max(values) <= -critical else "undecided"

    return _conclude(claim, measurements, correlation, bearing, "rank correlation of attention distance with depth")


def measure_position_structure(claim: Claim, measurements: Measurements) -> Verdict:
    """Whether the similarity of position embeddings follows nearness on the grid more than along the sequence.

    Embeddings do not depend on the image: one value for each model. The two correlations must differ by more than the
    critical correlation of as many independent values as there are places; grids of fewer than SMALLEST_GRID places
    a side are undecided. Both bounds are ours.
    """

    def structure(facts: Facts) -> float | None:
        if facts.positions is None or not facts.positions.is_learned:
            return None
        return float(facts.positions.rank_correlation - facts.positions.rank_correlation_1d)

    def bearing(values: Sequence[float], looked: Sequence[Facts]) -> Bearing:
        tokens = looked[0].tokens
        if tokens is None or min(tokens.rows, tokens.columns) < SMALLEST_GRID:
            return "undecided"
        critical = _critical_correlation(tokens.rows * tokens.columns)
        if critical is None or abs(values[0]) < critical:
            return "undecided"
        return "for" if values[0] > 0 else "against"

    words = "rank correlation of similarity with nearness on the grid, minus with nearness along the sequence"
    return _conclude(claim, measurements, structure, bearing, words, of_images=False)


def _critical_correlation(count: int) -> float | None:
    """The rank correlation of so many values that chance exceeds in 2.5 % of orders (t approximation); None below 5."""
    if count < 5:
        return None
    t = float(stats.t.ppf((1 + LEVEL) / 2, count - 2))
    return t / float((count - 2 + t**2) ** 0.5)


def _conclude(
    claim: Claim,
    measurements: Measurements,
    number: Callable[[Facts], float | None],
    bearing: Callable[[Sequence[float], Sequence[Facts]], Bearing],
    words: str,
    *,
    of_images: bool = True,
) -> Verdict:
    seen = []
    for looked in _by_model([one.facts for one in measurements.inspections], number):
        own = bearing(looked.values, looked.facts) if looked.is_trained else "context"
        label = f"{looked.label}: {words}{_images_words(looked.values) if of_images else ''}"
        figure = Evidence(
            label, fmean(looked.values), "", None, None, own, "measured", "",
            record_ids=tuple(facts.inspection_id for facts in looked.facts),
        )  # fmt: skip
        seen.append(Seen(figure, _conditions(looked.facts[0], measurements)))
    trained = [one for one in seen if one.evidence.bearing != "context"]
    absent = "No stored inspection of trained ViT weights has these numbers; random weights would not count."
    if not trained:
        return Verdict("untestable here", absent, tuple(one.evidence for one in seen))
    return conclude(claim, seen, "every", lambda rows: tally(rows, "model", "models"), absent)


def _images_words(values: Sequence[float]) -> str:
    """How many images, and the range of their values: no interval, so it is told in words."""
    span = f", from {significant(min(values), 3)} to {significant(max(values), 3)}" if len(values) > 1 else ""
    return f", {counted(len(values), 'image')}{span}"


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
