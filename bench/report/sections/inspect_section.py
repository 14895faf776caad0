"""What models see, as a section of a report: a table, the figures with their captions, and what is missing and why."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from bench.number_format import counted, fixed, listed, percent, rounded, span
from bench.report.document import Section
from bench.report.figures.style import family_style
from bench.report.sections.inspected import InspectedModel, picture_words, pictures_of, seen_models, weights_words
from bench.report.tables.columns import Records, number, words
from bench.report.tables.table import Cell, ColumnSpec, Notes, Table, make_table
from bench.report.words.inspect_captions import inspect_pictures
from bench.store.inspections import Inspection, Picture
from bench.text import bullets, escape

HEADING = "What the models see"
_RANDOM = "Random weights: what is shown here is the architecture, and nothing learned."
MOST_MODELS = 6
MOST_IMAGES = 4
_PARTS = {
    "patches": "patches",
    "filters": "filters",
    "positions": "position embeddings",
    "attention": "attention",
    "gradient": "gradient",
    "grad_cam": "Grad-CAM",
}


def inspect_section(inspections: Sequence[Inspection], cell_ids: Collection[str] = ()) -> Section:
    """Everything that stored inspections show; empty if there are none. cell_ids: of the records in the same report."""
    if not inspections:
        return Section(HEADING)
    everything = seen_models(inspections, cell_ids)
    models = everything[:MOST_MODELS]
    images = pictures_of(models)
    shown = images[:MOST_IMAGES]
    return Section(
        HEADING,
        _text(everything, images),
        inspections_table(everything),
        tuple(inspect_pictures(models, shown)),
        below=_below(everything),
    )


def _text(models: Sequence[InspectedModel], images: Sequence[Picture]) -> str:
    random = [model for model in models if model.facts.weights.kind == "random"]
    if len(random) == len(models):
        warning = f"**{_RANDOM}** "
    elif random:
        warning = f"**Random weights** (architecture, nothing learned): {_titles(random)}. "
    else:
        warning = ""
    left = []
    if len(models) > MOST_MODELS:
        left.append(f"{_titles(models[MOST_MODELS:])} (at most {MOST_MODELS} models are drawn)")
    if len(images) > MOST_IMAGES:
        rest = listed(escape(picture_words(one)) for one in images[MOST_IMAGES:])
        left.append(f"{rest} (at most {MOST_IMAGES} images are drawn)")
    more = f" Not drawn: {'; '.join(left)}." if left else ""
    return (
        f"{warning}{counted(len(models), 'model')} on {counted(len(images), 'image')}, computed here with `vitbench "
        "inspect`. An image shows what a model does with it, not what it does with others; a gradient or a rollout is "
        f"a hint at what moves an answer, no explanation of it.{more}"
    )


def inspections_table(models: Sequence[InspectedModel]) -> Table | None:
    """One row a model: its tokens, how far its heads look in the first and the last layer, its position embeddings."""

    def ids(model: InspectedModel) -> Records:
        return model.ids

    def absent(part: str) -> Callable[[InspectedModel], str]:
        return lambda model: escape(model.facts.absent.get(part, "it was not determined"))

    def tokens(model: InspectedModel, notes: Notes) -> Cell:
        found = model.facts.tokens
        if found is None:
            return notes.missing(absent("patches")(model))
        prefix = f"{len(found.prefix)} + " if found.prefix else ""
        return Cell(f"{prefix}{found.rows} × {found.columns}", None, model.ids)

    def heads(model: InspectedModel, notes: Notes) -> Cell:
        if model.distances_px is None:
            return notes.missing(absent("attention")(model))
        return Cell(f"{model.facts.layers} × {model.facts.heads}", None, model.ids)

    def distance(layer: int) -> Callable[[InspectedModel, Notes], Cell]:
        def entry(model: InspectedModel, notes: Notes) -> Cell:
            if model.distances_px is None:
                return notes.missing(absent("attention")(model))
            found = [float(value) for value in model.distances_px[layer]]
            ends = (("lowest", min(found)), ("highest", max(found)))
            return Cell(span(found, 1), sum(found) / len(found), model.ids, more=ends)

        return entry

    columns: list[ColumnSpec[InspectedModel]] = [
        words("Model", lambda model: model.facts.title, records=ids),
        words("Family", lambda model: family_style(model.facts.family).name, records=ids),
        words("Weights", lambda model: weights_words(model.facts), lambda model: model.facts.weights.sha256,
              records=ids),
        number("Images", lambda model: len(model.inspections), str, records=ids),
        number("Resolution [px]", lambda model: model.facts.resolution_px, str, records=ids),
        ColumnSpec("Tokens", tokens, is_number=False),
        ColumnSpec("Layers × heads", heads, is_number=False),
        ColumnSpec("Attention distance, first layer [px]", distance(0)),
        ColumnSpec("Last layer [px]", distance(-1)),
        number("Spread evenly [px]", lambda model: model.facts.uniform_distance_px, percent, records=ids,
               missing=absent("attention")),
        number("Position similarity and nearness: rank correlation",
               lambda model: model.facts.positions and model.facts.positions.rank_correlation,
               rounded(2), records=ids, missing=absent("positions")),
    ]  # fmt: skip
    return make_table("inspections", models, columns)


def _below(models: Sequence[InspectedModel]) -> str:
    """How to read the table, and what is missing or was assumed."""
    lines = [
        "Attention distance: over query patches the mean of the distance between patch centres, weighted by attention "
        "(prefix tokens left out); lowest and highest head, averaged over the images. Figures 7 and 11 of arXiv "
        "2010.11929v2 show it for 128 images."
    ]
    for model in models:
        heads = model.global_heads
        if heads is not None:
            lines.append(
                f"{escape(model.facts.title)}: heads that look at least 90 % as far as attention spread evenly, by "
                f"layer, of {model.facts.heads}: {', '.join(map(str, heads))}."
                f"{' Untrained attention is spread about evenly.' if model.facts.weights.kind == 'random' else ''}"
            )
        structure = model.facts.positions
        if structure is not None:
            lines.append(
                f"{escape(model.facts.title)}: mean cosine of the position embeddings of two places in one row "
                f"{fixed(structure.same_row, 2)}, in one column {fixed(structure.same_column, 2)}, elsewhere "
                f"{fixed(structure.elsewhere, 2)}; rank correlation with nearness along the sequence instead of on the "
                f"grid {fixed(structure.rank_correlation_1d, 2)}"
                f"{'' if structure.is_learned else ' (not learned)'}."
            )
        lines += [f"{escape(model.facts.title)}: {escape(note)}" for note in model.facts.notes]
    return bullets([*lines, *_missing(models)])


def _missing(models: Sequence[InspectedModel]) -> Iterable[str]:
    """Parts that no figure shows, with the reason; models that lack a part for one reason share a line."""
    for part, name in _PARTS.items():
        reasons: dict[str, list[InspectedModel]] = {}
        for model in models:
            if part in model.facts.absent:
                reasons.setdefault(model.facts.absent[part], []).append(model)
        for reason, those in reasons.items():
            yield f"No {name} of {_titles(those)}: {escape(reason)}"


def _titles(models: Iterable[InspectedModel]) -> str:
    return listed(dict.fromkeys(escape(model.facts.title) for model in models))
