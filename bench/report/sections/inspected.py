"""What follows from stored inspections: models with all their images, and distances averaged over these. No torch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.store.inspections import Facts, Inspection, Picture

GLOBAL_SHARE = 0.9  # of the distance that evenly spread attention has: such a head looks across the whole image


@dataclass(frozen=True)
class InspectedModel:
    """One model with its weights at one resolution, and what it made of each image. What does not depend on the image
    (filters, position embeddings, tokens) is the same in all of them."""

    inspections: tuple[Inspection, ...]
    training: str | None = None  # cell id of the record that the weights come from, where that is among the results

    @property
    def facts(self) -> Facts:
        """Those of the first image; what belongs to the model is the same in all."""
        return self.inspections[0].facts

    @property
    def first(self) -> Inspection:
        return self.inspections[0]

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the inspections, and of the training that the weights come from, if its record is known."""
        trained = (self.training,) if self.training is not None else ()
        return (*(one.facts.inspection_id for one in self.inspections), *trained)

    @property
    def distances_px(self) -> NDArray[np.float64] | None:
        """Mean attention distance of each head, averaged over the images: (L, H), pixels."""
        found = [one.facts.attention_distance_px for one in self.inspections]
        if any(one is None for one in found):
            return None
        means: NDArray[np.float64] = np.mean(np.array(found, dtype=np.float64), axis=0)
        return means

    @property
    def global_heads(self) -> list[int] | None:
        """How many heads of each layer look about as far as attention that is spread evenly."""
        distances, uniform = self.distances_px, self.facts.uniform_distance_px
        if distances is None or uniform is None:
            return None
        return [int(count) for count in (distances >= GLOBAL_SHARE * uniform).sum(axis=1)]


def seen_models(inspections: Iterable[Inspection], cell_ids: Collection[str] = ()) -> list[InspectedModel]:
    """Inspections by model, weights and resolution, in the order in which each comes first.

    cell_ids: of the records that these stand beside. Of inspections with one id, of several results folders, the first
    counts.
    """
    distinct: dict[str, Inspection] = {}
    for one in inspections:
        distinct.setdefault(one.facts.inspection_id, one)
    groups: dict[tuple[object, ...], list[Inspection]] = {}
    for one in distinct.values():
        groups.setdefault(_model_key(one.facts), []).append(one)
    return [_seen(tuple(group), cell_ids) for group in groups.values()]


def _seen(inspections: tuple[Inspection, ...], cell_ids: Collection[str]) -> InspectedModel:
    cell = inspections[0].facts.weights.cell_id
    return InspectedModel(inspections, cell if cell in cell_ids else None)


def _model_key(facts: Facts) -> tuple[object, ...]:
    weights = facts.weights
    return (facts.model, facts.definition, weights.kind, weights.sha256, weights.seed, facts.resolution_px)


def pictures_of(models: Sequence[InspectedModel]) -> list[Picture]:
    """Every image that was looked at, once, in order."""
    return list(dict.fromkeys(one.facts.picture for model in models for one in model.inspections))


def weights_words(facts: Facts) -> str:
    """What the weights are, plain: `random weights, seed 0`."""
    weights = facts.weights
    if weights.kind == "random":
        return f"random weights, seed {weights.seed}"
    if weights.kind == "public":
        return f"public weights, sha256 {weights.sha256}"
    made = f", trained in cell {weights.cell_id}" if weights.cell_id else ""
    return f"weights of a file, sha256 {weights.sha256}{made}"


def picture_words(picture: Picture) -> str:
    """Which image, plain: `shapes/test/00003 (class “ring”)`."""
    return f"{picture.name} (class “{picture.class_name}”)" if picture.class_name else picture.name


def weights_label(facts: Facts) -> tuple[str, str]:
    """What the weights are, in two short lines: for a figure's label, or joined in its caption."""
    weights = facts.weights
    if weights.kind == "random":
        return "random weights,", f"seed {weights.seed}"
    if weights.kind == "public":
        return "public weights", str(weights.sha256)
    return ("trained in cell", weights.cell_id) if weights.cell_id else ("weights of file", str(weights.sha256))
