"""What models see, as a section of a report: a table, the figures with their captions, and what is missing and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from bench.markdown_text import bullets, escape
from bench.report.document import Section
from bench.report.formats import counted, fixed, listed, span
from bench.report.inspect_captions import inspect_pictures
from bench.report.inspected import Seen, picture_words, pictures_of, seen_models, weights_words
from bench.report.style import family_style
from bench.report.table import Cell, Column, Notes, Table
from bench.store.inspections import Inspection, Picture

HEADING = "What the models see"
_RANDOM = "Random weights: what is shown here is the architecture, and nothing learned."
MOST_MODELS = 6
MOST_IMAGES = 4
_PARTS = ("patches", "filters", "positions", "attention", "gradient", "grad_cam")


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
        below=_below(everything),
        pictures=tuple(inspect_pictures(models, shown)),
    )


def _text(models: Sequence[Seen], images: Sequence[Picture]) -> str:
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


def inspections_table(models: Sequence[Seen]) -> Table:
    """One row a model: its tokens, how far its heads look in the first and the last layer, its position embeddings."""
    notes = Notes()
    columns = (
        Column("Model", False),
        Column("Family", False),
        Column("Weights", False),
        Column("Images"),
        Column("Resolution [px]"),
        Column("Tokens", False),
        Column("Layers × heads", False),
        Column("Attention distance, first layer [px]"),
        Column("Last layer [px]"),
        Column("Spread evenly [px]"),
        Column("Position similarity and nearness: rank correlation"),
    )
    rows = tuple(_row(model, notes) for model in models)
    return Table("inspections", columns, rows, tuple(notes.texts))


def _row(model: Seen, notes: Notes) -> tuple[Cell, ...]:
    facts, ids = model.facts, model.ids

    def entry(text: str, value: object = None) -> Cell:
        return Cell(text, value, ids)

    def missing(part: str) -> Cell:
        return notes.missing(escape(facts.absent.get(part, "it was not determined")))

    tokens = facts.tokens
    before = f"{len(tokens.prefix)} + " if tokens is not None and tokens.prefix else ""
    grid = f"{before}{tokens.rows} × {tokens.columns}" if tokens is not None else ""
    distances = model.distances_px
    ends = (distances[0], distances[-1]) if distances is not None else ((), ())
    positions = facts.positions
    return (
        entry(facts.title),
        entry(family_style(facts.family).name),
        entry(weights_words(facts), facts.weights.sha256),
        entry(str(len(model.inspections)), len(model.inspections)),
        entry(str(facts.resolution_px), facts.resolution_px),
        entry(grid) if tokens is not None else missing("patches"),
        entry(f"{facts.layers} × {facts.heads}") if distances is not None else missing("attention"),
        *(_heads(one, ids) if distances is not None else missing("attention") for one in ends),
        entry(fixed(facts.uniform_distance_px, 1), facts.uniform_distance_px)
        if facts.uniform_distance_px is not None
        else missing("attention"),
        entry(fixed(positions.rank_correlation, 2), positions.rank_correlation)
        if positions is not None
        else missing("positions"),
    )


def _heads(distances_px: Sequence[float], ids: tuple[str, ...]) -> Cell:
    """The lowest and the highest head of a layer; the value is their mean."""
    mean = sum(map(float, distances_px)) / len(distances_px)
    ends = (("lowest", float(min(distances_px))), ("highest", float(max(distances_px))))
    return Cell(span(distances_px, 1), mean, ids, more=ends)


def _below(models: Sequence[Seen]) -> str:
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


def _missing(models: Sequence[Seen]) -> Iterable[str]:
    """Parts that no figure shows, with the reason; models that lack a part for one reason share a line."""
    for part in _PARTS:
        reasons: dict[str, list[Seen]] = {}
        for model in models:
            if part in model.facts.absent:
                reasons.setdefault(model.facts.absent[part], []).append(model)
        for reason, those in reasons.items():
            yield f"No {_PART_WORDS[part]} of {_titles(those)}: {escape(reason)}"


_PART_WORDS = {
    "patches": "patches",
    "filters": "filters",
    "positions": "position embeddings",
    "attention": "attention",
    "gradient": "gradient",
    "grad_cam": "Grad-CAM",
}


def _titles(models: Iterable[Seen]) -> str:
    return listed(dict.fromkeys(escape(model.facts.title) for model in models))
