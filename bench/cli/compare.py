"""`compare`: two or more models on the same test images, from stored records alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bench.analyse.accuracies.accuracy import Accuracy


def compare(
    model: Annotated[list[str], typer.Argument(metavar="MODEL MODEL [MODEL]...", help="Names or titles of models.")],
    dataset: Annotated[str | None, typer.Option(help="Only this data set; all that both have by default.")] = None,
    suite: Annotated[
        list[str] | None, typer.Option(help="Only this suite (repeatable); all stored by default.")
    ] = None,
    train_images: Annotated[
        int | None, typer.Option(min=1, help="Trainings on so many images; the most that both have by default.")
    ] = None,
    results: Annotated[list[Path] | None, typer.Option("--results", help="Folder of results (repeatable).")] = None,
    shipped: Annotated[bool, typer.Option("--shipped", help="The committed results instead of your own.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list, unrounded, with record ids.")] = False,
) -> None:
    """Compare models on the same test images: difference with interval, McNemar, images that decide, Holm's p."""
    from bench.analyse.compare.paired import compare_models, of_models
    from bench.cli import compare_words as words
    from bench.errors import RequestError

    found = _accuracies(results or [Path("results")], suite, shipped)
    names = [_resolved(name, found) for name in model]
    if len(names) < 2 or len(set(names)) < len(names):
        raise RequestError(f"compare needs two or more different models, not {', '.join(map(repr, model))}.")
    if dataset is not None:
        found = _on(dataset, found)
    comparisons = compare_models(of_models(found, names), names, train_images)
    if not comparisons:
        raise RequestError(_nothing_shared(names, found, dataset, train_images))
    if as_json:
        typer.echo(json.dumps(words.as_json(comparisons), indent=2))
        return
    blocks = [words.comparison_table(comparisons)]
    checkpoints = words.checkpoint_table(comparisons)
    if checkpoints:
        blocks.append(f"The checkpoints of one seed:\n{checkpoints}")
    blocks += ["\n".join(words.sentences(comparisons)), "\n".join(words.method_lines(comparisons))]
    typer.echo("\n\n".join(blocks))


def _accuracies(roots: Sequence[Path], suites: list[str] | None, shipped: bool) -> list[Accuracy]:
    """Every accuracy of the suites. Raises RequestError where a suite has no records or nothing is stored."""
    from bench.analyse.compare.paired import comparable_accuracies
    from bench.cli.stored import wanted_suites

    return [
        accuracy
        for stored in wanted_suites(roots, suites, shipped)
        for accuracy in comparable_accuracies(stored.name, stored.records, stored.predictions)
    ]


def _resolved(name: str, found: Iterable[Accuracy]) -> str:
    """The stored name that was meant: itself, or the only model with this title."""
    from bench.errors import UnknownNameError

    titles: dict[str, set[str]] = {}
    for one in found:
        titles.setdefault(one.identity.title.casefold(), set()).add(one.model)
    known = {model for models in titles.values() for model in models}
    meant = titles.get(name.casefold(), set())
    if name in known or len(meant) != 1:
        if name not in known:
            raise UnknownNameError("model", name, sorted(known), where="the results", hint=_ambiguous(name, meant))
        return name
    return meant.pop()


def _ambiguous(name: str, meant: set[str]) -> str:
    return f"{name!r} is the title of {' and '.join(sorted(meant))}." if meant else ""


def _on(dataset: str, found: Iterable[Accuracy]) -> list[Accuracy]:
    from bench.cli.stored import meant_dataset

    found = list(found)
    meant = meant_dataset(dataset, {one.dataset for one in found})
    return [one for one in found if one.dataset == meant]


def _nothing_shared(
    names: Sequence[str], found: Iterable[Accuracy], dataset: str | None, train_images: int | None
) -> str:
    """Why there is nothing to compare: what each model was scored on."""
    found = list(found)
    parts = []
    for name in names:
        sets = sorted({f"{one.dataset} ({one.protocol}, {one.suite})" for one in found if one.model == name})
        parts.append(f"{name!r} has {', '.join(sets) if sets else 'no accuracy'}")
    where = f" on {dataset!r}" if dataset else ""
    size = f" with {train_images} training images" if train_images else ""
    return f"No two of these models share a suite, protocol and data set{where}{size}: {'; '.join(parts)}."
