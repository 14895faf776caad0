"""`inspect`: what models see in an image, as figures on a page or as a section of a suite's report."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bench.cli.options import DataOption, DownloadOption, ResultsOption, ShippedOption

if TYPE_CHECKING:
    from bench.inspect.subjects import Opened
    from bench.store.inspections import Facts, Inspection

OWN_SUITE = "inspect"  # under results/local/: where inspections go that belong to no suite


Image = Annotated[
    str | None,
    typer.Argument(metavar="[IMAGE]", help="A file, or the photograph `china` or `flower`; both by default."),
]
Out = Annotated[Path | None, typer.Option("-o", "--out", metavar="DIR", help="Folder of the page.", file_okay=False)]
Beside = Annotated[
    list[str], typer.Option("--with", metavar="MODEL", help="Another model on the same images (repeatable).")
]
WeightsOption = Annotated[
    list[str],
    typer.Option(
        "--weights",
        help="random, public, trained:DATASET (of --suite), file:PATH with {model} for the name, or 'sha256 <16 "
        "digits>' of the cache. Once for all models, or once for each in their order.",
    ),
]
Dataset = Annotated[str | None, typer.Option(metavar="NAME", help="Take images of a data set instead of IMAGE.")]
Suite = Annotated[
    str | None, typer.Option(metavar="NAME", help="Store for the report of this suite, which then has a section.")
]


# Typer reads lists that are defaults, and nothing changes them.
def inspect(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A catalog name, a timm name, or file.py:function.")],
    image: Image = None,
    out: Out = None,
    beside: Beside = [],  # noqa: B006
    weights: WeightsOption = ["random"],  # noqa: B006
    resolution: Annotated[int | None, typer.Option(min=1, help="Pixels; each model's own by default.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of random weights, and of the training of trained:DATASET.")] = 0,
    dataset: Dataset = None,
    index: Annotated[list[int], typer.Option("--index", min=0, help="Which of its images (repeatable).")] = [0],  # noqa: B006
    part: Annotated[Literal["train", "validation", "test"], typer.Option(help="Part of the data set.")] = "test",
    data: DataOption = [],  # noqa: B006
    suite: Suite = None,
    results: ResultsOption = Path("results"),
    shipped: ShippedOption = False,
    download: DownloadOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list of what was found, without pictures.")] = False,
) -> None:
    """Draw patches, filters, position embeddings, attention and gradients of models that look at an image.

    Without -o and --suite the page is written to reports/local/inspect/.
    """
    from bench.errors import RequestError
    from bench.inspect.subjects import check_model
    from bench.store.files import stored_suites, suite_folder
    from bench.store.inspections import write_inspection

    models = [model, *beside]
    if len(weights) not in (1, len(models)):
        raise RequestError(
            f"--weights stands {len(weights)} times; models: {len(models)}. Give it once, or once for each."
        )
    if suite is not None and suite not in stored_suites(results, local=not shipped):
        raise RequestError(
            f"No results of suite '{suite}' in '{results}', so it has no report. `vitbench run {suite}` first."
        )
    for name in models:
        check_model(name)
    pictures = _pictures(image, dataset, part, index, data, download)
    trained = _trained_weights(suite, results, shipped)
    each = weights * len(models) if len(weights) == 1 else weights
    found: list[Inspection] = []
    for name, wanted in zip(models, each, strict=True):
        found += _look(name, wanted, pictures, resolution, seed, download, trained)
    page_folder = out if out is not None or suite is not None else _default_folder(models)
    folders = [suite_folder(results, suite or OWN_SUITE, local=not shipped)] if suite or out is None else []
    folders += [out] if out is not None else []
    stored = [write_inspection(folder, one) for folder in folders for one in found]
    page = _write_page(stored[-len(found) :], page_folder) if page_folder is not None else None
    if as_json:
        typer.echo(json.dumps([one.facts.model_dump(mode="json") for one in found], indent=2))
        return
    for one in found:
        typer.echo("\n".join(_lines(one.facts)))
    if suite:
        typer.echo(f"Stored for suite {suite}: `vitbench report {suite}{' --shipped' if shipped else ''}` shows it.")
    if page is not None:
        typer.echo(str(page))


def _pictures(
    image: str | None, dataset: str | None, part: Any, index: Sequence[int], data: list[str], download: bool
) -> list[Opened]:
    from bench.cli.options import named_data
    from bench.errors import RequestError
    from bench.inspect.subjects import PHOTOGRAPHS, open_dataset_picture, open_picture

    if dataset is None:
        if data:
            raise RequestError("--data says where the images of --dataset NAME are. Give --dataset too.")
        return [open_picture(name) for name in ([image] if image is not None else PHOTOGRAPHS)]
    if image is not None:
        raise RequestError(f"IMAGE '{image}' and --dataset {dataset} exclude one another.")
    places = named_data(data)
    return [open_dataset_picture(dataset, part, i, data=places, download=download) for i in dict.fromkeys(index)]


def _look(
    model: str,
    weights: str,
    pictures: Sequence[Opened],
    resolution: int | None,
    seed: int,
    download: bool,
    trained: Any,
) -> list[Inspection]:
    import torch

    from bench.execute.environment import describe_conditions
    from bench.inspect.look import look
    from bench.inspect.subjects import load_subject
    from bench.measure.build import check_takes_resolution
    from bench.measure.devices import memory_limit_named

    if resolution is not None:
        check_takes_resolution(model, resolution)
    with memory_limit_named(f"Looking at an image with {model}"):
        subject = load_subject(model, weights, resolution_px=resolution, seed=seed, download=download, trained=trained)
        conditions = describe_conditions("cpu", torch.get_num_threads(), 1)
        return [look(subject, picture, conditions) for picture in pictures]


def _trained_weights(suite: str | None, results: Path, shipped: bool) -> Callable[[str, str, int], str]:
    """What answers which weights a suite's training of a model on a data set ended with."""

    def answer(model: str, dataset: str, seed: int) -> str:
        from bench.errors import RequestError
        from bench.execute.runner import changed_model_files
        from bench.store.files import read_records, suite_folder
        from bench.suite.plan import definition_of

        if suite is None:
            raise RequestError(f"Weights 'trained:{dataset}' are those of a suite's training. Name it with --suite.")
        asked = {"task": "train", "model": model, "dataset": dataset, "seed": seed}
        done = [
            record
            for record in read_records(suite_folder(results, suite, local=not shipped)).records
            if record.status == "ok" and asked.items() <= record.cell.items()
        ]
        kept = [record for record in done if record.values.get("weights_sha256")]
        if not kept:
            lack = "kept no weights" if done else "has no finished training"
            raise RequestError(
                f"Suite '{suite}' {lack} of {model} on {dataset} with seed {seed}. "
                f"`vitbench run {suite} --keep-weights` keeps those of trainings that it runs."
            )
        same = [r for r in kept if r.cell.get("definition") == definition_of(model) and not changed_model_files(r)]
        if not same:
            raise RequestError(
                f"The weights that suite '{suite}' kept of {model} on {dataset} are of other code: it changed since. "
                f"`vitbench run {suite} --keep-weights` trains it again; 'sha256 <16 digits>' takes old ones by name."
            )
        largest = max(same, key=lambda record: (record.cell["budget_gflop"], record.cell["train_images"]))
        return str(largest.values["weights_sha256"])

    return answer


def _default_folder(models: Sequence[str]) -> Path:
    """A folder of its own for these models, with a name that any file system takes."""
    digest = hashlib.sha256("\n".join(models).encode()).hexdigest()[:6]
    slug = re.sub(r"[^A-Za-z0-9_.-]+", "-", models[0].rpartition("/")[2]).strip("-.")[:60] or "model"
    return (
        Path("reports") / "local" / OWN_SUITE / (slug if slug == models[0] and len(models) == 1 else f"{slug}-{digest}")
    )


def _write_page(stored: Sequence[Path], folder: Path) -> Path:
    """Draw from what lies on the disk, so that a page rebuilt later has the same pixels."""
    from bench.report.report_files import write_inspect_page
    from bench.store.inspections import read_inspection

    command = shlex.join(["vitbench", *sys.argv[1:]])
    return write_inspect_page([read_inspection(path) for path in stored], out=folder, rebuild_command=command)


def _lines(facts: Facts) -> list[str]:
    """One inspection for a terminal."""
    from bench.report.sections.inspected import weights_words

    lines = [
        f"{facts.model} ({facts.family}, {weights_words(facts)}) on {facts.picture.name} at {facts.resolution_px} px"
    ]
    if facts.tokens is not None:
        grid = facts.tokens
        before = f" after {len(grid.prefix)} more ({', '.join(grid.prefix)})" if grid.prefix else ""
        lines.append(f"  {grid.rows} x {grid.columns} tokens, one every {grid.stride_px:g} px{before}")
    if facts.attention_distance_px is not None:
        for layer in sorted({0, facts.layers - 1}):
            heads = facts.attention_distance_px[layer]
            lines.append(
                f"  layer {layer + 1} of {facts.layers}: mean attention distance {min(heads):.3g} to "
                f"{max(heads):.3g} px over {facts.heads} heads (spread evenly: {facts.uniform_distance_px:.3g} px)"
            )
    if facts.positions is not None:
        lines.append(f"  position embeddings: rank correlation with nearness {facts.positions.rank_correlation:.2f}")
    lines += [f"  {note}" for note in facts.notes]
    lines += [f"  no {part.replace('_', ' ')}: {reason}" for part, reason in facts.absent.items()]
    return lines
