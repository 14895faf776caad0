"""Under which conditions weights were evaluated, measured few-shot and fine-tuned; one line each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.analyse.finetuned import FinetuneScore
from bench.analyse.means import Scored
from bench.analyse.protocols import Protocols
from bench.catalog.identity import identify_dataset
from bench.catalog.image_tasks import in_order, vtab_group
from bench.markdown_text import escape
from bench.report.finetune_tables import recipe_words, seeds_words
from bench.report.formats import (
    counted,
    learning_rate,
    listed,
    span,
)


def _distinct(scores: Iterable[Scored], attribute: str) -> str:
    return listed(sorted({str(getattr(score.subject.key, attribute)) for score in scores}))


def _images_words(scores: Sequence[Scored]) -> str:
    words = []
    for name in in_order(score.dataset for score in scores):
        images = span({score.group.test_images for score in scores if score.dataset == name})
        seen = {one.train_images for one in scores if isinstance(one, FinetuneScore) and one.dataset == name}
        training = f"{span(seen)} training, " if seen else ""
        words.append(f"{escape(identify_dataset(name).title)}: {training}{images} test")
    return "; ".join(words)


def _setting_words(scores: Sequence[Scored]) -> str:
    pixels = span({score.subject.key.resolution_px for score in scores})
    return f"{_distinct(scores, 'device')} in {_distinct(scores, 'precision')}, {pixels} px"


def evaluate_conditions(protocols: Protocols) -> str:
    """Device, precision, resolution and images of the evaluations; Markdown, no full stop."""
    ones = protocols.evaluated
    crops = sorted({float(one.preprocessing["crop_pct"]) for one in ones if one.preprocessing.get("crop_pct")})
    kinds = sorted({str(one.preprocessing["interpolation"]) for one in ones if one.preprocessing.get("interpolation")})
    own = "each checkpoint's own preprocessing"
    if crops or kinds:
        shares = [f"crop {span(crops, 3)}"] if crops else []
        own += f" ({escape(', '.join([*shares, *kinds]))})"
    return f"{_setting_words(ones)}, {own}, every image once; images: {_images_words(ones)}"


def fewshot_conditions(protocols: Protocols) -> str:
    """Device, precision, resolution, draws, lambda and images of the few-shot results; Markdown, no full stop."""
    ones = protocols.fewshot
    draws = span({len(one.group.values_pct) for one in ones})
    l2 = sorted({one.fixed_l2 for one in ones if one.fixed_l2 is not None})
    fixed_l2 = f", fixed λ = {listed(f'{value:g}' for value in l2)}" if l2 else ""
    return (
        f"{_setting_words(ones)}, {draws} {'draw' if draws == '1' else 'draws'}, ridge regression in closed form"
        f"{fixed_l2}; images: {_images_words(ones)}"
    )


def finetune_conditions(protocols: Protocols) -> str:
    """Device, precision, resolution, batch, seeds and images of the fine-tunings; Markdown, no full stop."""
    ones = protocols.finetuned
    batches = span({one.batch_size for one in ones})
    apart = [one for one in ones if vtab_group(one.dataset) is None]
    tasks = len({one.dataset for one in ones}) - len({one.dataset for one in apart})
    images = [_images_words(apart)] if apart else []
    images += [f"{counted(tasks, 'VTAB task')}: 1 000 training each"] if tasks else []
    recipes = sorted({(one.recipe_name, one.learning_rate) for one in ones})
    names = listed(dict.fromkeys(recipe_words(name) for name, _ in recipes))
    rates = listed(dict.fromkeys(learning_rate(rate) for _, rate in recipes))
    return (
        f"{_setting_words(ones)}, recipe {escape(names)}, batch {batches}, {span({one.steps for one in ones})} steps, "
        f"learning rates {rates}, {seeds_words(protocols)}; images: {'; '.join(images)}"
    )
