"""Weights and images of an inspection in plain words, for a page, a caption or a terminal."""

from __future__ import annotations

from bench.store.inspections import Facts, Picture


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
