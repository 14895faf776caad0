"""The figures of inspections in words: which there are, their file names, alternatives and captions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import partial

from bench.number_format import listed, span
from bench.report.figures.figure_files import Picture
from bench.report.figures.inspect_figures import (
    MOST_PLACES,
    draw_distances,
    draw_filters,
    draw_maps,
    draw_patches,
    draw_positions,
    draw_rollout,
)
from bench.report.sections.inspected import InspectedModel, picture_words, weights_label
from bench.store.inspections import IMAGE, Facts, Inspection
from bench.store.inspections import Picture as Looked
from bench.text import code, escape

MOST_TOKENS = 4096  # drawn as a sequence


def inspect_pictures(models: Sequence[InspectedModel], images: Sequence[Looked]) -> Iterable[Picture]:
    """Every figure, those that compare the models first; of each kind the first says how it is read."""
    for number, image in enumerate(images):
        yield _maps(models, image, is_first=number == 0)
    with_attention = [model for model in models if model.distances_px is not None]
    if with_attention:
        yield _distances(with_attention)
    yield from _patches(models, images)
    is_first = True
    for model in models:
        if "filters" in model.first.arrays:
            yield _filters(model)
        if "position_similarity" in model.first.arrays:
            yield _positions(model)
        for one in model.inspections:
            if "rollout_heads" in one.arrays and one.facts.picture in images:
                yield _rollout(one, is_first=is_first)
                is_first = False


def _maps(models: Sequence[InspectedModel], image: Looked, *, is_first: bool) -> Picture:
    looking = [one for model in models for one in model.inspections if one.facts.picture == image]
    name = escape(picture_words(image))
    how = _how_to_read_maps(looking) if is_first else "To be read like the figure before."
    caption = f"**The same image, {name}, as each model sees it.** {how} Weights: {_weights_of(looking)}."
    file = f"inspect_maps_{_slug(image.name, image.sha256)}"
    return Picture(file, f"What each model sees in {name}", caption, partial(draw_maps, looking))


def _how_to_read_maps(looking: Sequence[Inspection]) -> str:
    words = (
        "Gradient: SmoothGrad (arXiv 1706.03825) of the score of the class that the model puts first, the largest of "
        "three channels, white from the 99th percentile up; every model has one, so it compares the families."
    )
    if any("rollout" in one.arrays for one in looking):
        words += " Rollout (arXiv 2005.00928): where the query comes from after the last layer, heads averaged."
    layers = [
        f"{code(str(one.facts.grad_cam_layer))} ({'×'.join(map(str, one.arrays['grad_cam'].shape))}) of "
        f"{escape(one.facts.title)}"
        for one in looking
        if "grad_cam" in one.arrays
    ]
    if layers:
        words += f" Grad-CAM (arXiv 1610.02391) on the feature map of {listed(layers)}."
    return f"{words} Bright: much; each map has its own scale."


def _distances(models: Sequence[InspectedModel]) -> Picture:
    images = sorted({len(model.inspections) for model in models})
    caption = (
        "**How far each head looks, by depth.** A point is a head, the line their mean; dashed: what attention spread "
        f"evenly over all patches gives. Mean over {span(images)} image{'' if images == [1] else 's'}; right axis: "
        "share of the image's width. Method: Figures 7 (right) and 11 of arXiv 2010.11929v2, with patch centres and "
        f"without prefix tokens. Weights: {_weights_of(model.first for model in models)}."
    )
    alternative = "Mean attention distance of every head against the layer, a panel for each model"
    return Picture("inspect_attention_distance", alternative, caption, partial(draw_distances, models), has_svg=True)


def _patches(models: Sequence[InspectedModel], images: Sequence[Looked]) -> Iterable[Picture]:
    """One for each way to cut an image, however many models do it."""
    cuts: dict[tuple[object, ...], list[Inspection]] = {}
    for one in (one for model in models for one in model.inspections):
        tokens = one.facts.tokens
        if tokens is not None and one.facts.picture in images and tokens.rows * tokens.columns <= MOST_TOKENS:
            shape = (tokens.rows, tokens.columns, tokens.stride_px, tokens.prefix)
            cuts.setdefault((one.facts.picture, *shape, one.arrays[IMAGE].tobytes()), []).append(one)
    return map(_cut, cuts.values())


def _cut(alike: Sequence[Inspection]) -> Picture:
    """The figure of one image cut in one way. alike: of the models that do so."""
    one, tokens = alike[0], alike[0].facts.tokens
    assert tokens is not None
    models = [(escape(other.facts.title), other.facts.tokens) for other in alike]
    cutting = listed(title for title, own in models if own and own.kind == "patches")
    others = listed(title for title, own in models if own and own.kind != "patches")
    what = f" For {cutting} each becomes a vector by one matrix product, the patch embedding." if cutting else ""
    if others:
        what += (
            f" The tokens of {others} are places of a convolutional stem's feature map, one for each square "
            "drawn here; each sees more of the image than its square."
        )
    if tokens.prefix:
        what += f" Before them: {listed(tokens.prefix)} token{'s' * (len(tokens.prefix) > 1)}, drawn empty."
    picture = one.facts.picture
    name = escape(picture_words(picture))
    digest = _sha256(f"{one.facts.model} {one.facts.resolution_px} {picture.sha256} {tokens}")
    return Picture(
        f"inspect_patches_{tokens.rows}x{tokens.columns}_{_slug(picture.name, digest)}",
        f"{name} cut into squares, and the squares in a row",
        f"**{name} as a sequence**: {tokens.rows} × {tokens.columns} squares of {tokens.stride_px:g} px.{what}",
        partial(draw_patches, one, tokens),
    )


def _filters(model: InspectedModel) -> Picture:
    title = escape(model.facts.title)
    if model.facts.filters == "principal components":
        what = (
            f"**The first principal components of the patch-embedding filters of {title}**, with the share of the "
            "filters' variance that each explains. A component's sign is free. Method: Figure 7 (left) of arXiv "
            "2010.11929v2."
        )
    else:
        what = f"**The strongest filters of the first convolution of {title}**, largest norm first, as RGB."
    caption = f"{what} Grey: zero; each is scaled to its own largest magnitude. Weights: {_weights_of([model.first])}."
    name = f"inspect_filters_{_model_slug(model.facts)}"
    return Picture(name, f"First-layer filters of {title}", caption, partial(draw_filters, model.first))


def _positions(model: InspectedModel) -> Picture:
    title = escape(model.facts.title)
    rows, columns = model.first.arrays["position_similarity"].shape[:2]
    step = -(-max(rows, columns) // MOST_PLACES)
    thinned = f" Of {rows} × {columns} places every {step}th is shown." if step > 1 else ""
    caption = (
        f"**Similarity of the position embeddings of {title}.** Each small map belongs to one place of the grid and "
        f"shows the cosine of its embedding with those of all places.{thinned} Method: Figure 7 (centre) of arXiv "
        f"2010.11929v2. Weights: {_weights_of([model.first])}."
    )
    name = f"inspect_positions_{_model_slug(model.facts)}"
    return Picture(name, f"Position similarity of {title}", caption, partial(draw_positions, model.first))


def _rollout(one: Inspection, *, is_first: bool) -> Picture:
    facts, picture = one.facts, one.facts.picture
    title, name = escape(facts.title), escape(picture_words(picture))
    how = "To be read like the first of these figures."
    if is_first:
        how = (
            "Attention (half) and shortcut (half) only pass tokens on (Abnar and Zuidema 2020, arXiv 2005.00928). "
            "Column “all heads”: averaged in every layer; a head's column: that head alone in this layer, all heads in "
            "the layers before. Bright: much; each map has its own scale."
        )
    caption = (
        f"**Attention rollout of {title} on {name}**: which patches the {facts.query} comes from, after each layer. "
        f"{how} Weights: {_weights_of([one])}."
    )
    file = f"inspect_rollout_{_model_slug(facts)}_{_slug(picture.name, picture.sha256)}"
    alternative = f"Attention rollout of {title} over {name}, by layer and head"
    return Picture(file, alternative, caption, partial(draw_rollout, one))


def _weights_of(inspections: Iterable[Inspection]) -> str:
    """What the weights are, and a plain word where they are random."""
    words: dict[str, dict[str, None]] = {}  # of weights -> titles of the models
    for one in inspections:
        nothing = " (architecture, nothing learned)" if one.facts.weights.kind == "random" else ""
        words.setdefault(" ".join(weights_label(one.facts)) + nothing, {})[one.facts.title] = None
    if len(words) == 1:
        return escape(next(iter(words)))
    return "; ".join(f"{escape(listed(titles))}: {escape(text)}" for text, titles in words.items())


def _model_slug(facts: Facts) -> str:
    weights = facts.weights
    identity = f"{facts.model} {facts.definition} {weights.kind} {weights.sha256} {weights.seed} {facts.resolution_px}"
    return _slug(facts.model.rpartition("/")[2], _sha256(identity))


def _slug(name: str, digest: str) -> str:
    """Part of a file's name: what is readable of the name, and six digits that tell it from others."""
    readable = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:40]
    return f"{readable}_{digest[:6]}" if readable else digest[:6]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
