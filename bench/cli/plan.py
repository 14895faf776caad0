"""`plan`: every cell of a suite before anything runs, with what it costs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.options import (
    CheckEstimatesOption,
    CountsOption,
    DataOption,
    DeviceOption,
    ResultsOption,
    ShippedOption,
    SuiteArgument,
)

if TYPE_CHECKING:
    from bench.execute.estimate import Rate
    from bench.suite.cell import Cell, TrainingStepCell
    from bench.suite.spec import Suite

SECONDS_PER_HOUR = 3600


def plan(
    suite: SuiteArgument,
    device: DeviceOption = "auto",
    results: ResultsOption = Path("results"),
    data: DataOption = [],  # noqa: B006 - typer reads the default, nothing changes it
    shipped: ShippedOption = False,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure",
            help="Time a training step of every model first, in seconds to minutes each; gives device-hours.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list of cells.")] = False,
    counts: CountsOption = False,
    check_estimates: CheckEstimatesOption = False,
) -> None:
    """Print every cell of suites, with its MACs, training compute and a time estimate, before anything runs.

    What stored results lead to, such as the final runs of a finished sweep, is among them.
    """
    from bench.cli.options import named_data, request_of
    from bench.cli.progress import LookProgress
    from bench.execute.local_context import LocalContext
    from bench.execute.run_options import RunOptions
    from bench.execute.runner import default_workers
    from bench.measure.devices import resolve_device
    from bench.store.files import read_records, suite_folder
    from bench.suite.plan import plan as plan_cells
    from bench.suite.requested import requested
    from bench.suite.spec import load_suite, suite_place

    here = resolve_device(device)
    options = RunOptions(data=named_data(data))
    request = request_of(counts, check_estimates)
    loaded = [requested(load_suite(name), request, options.data) for name in suite]
    plans: list[tuple[Suite, list[Cell]]] = []
    done: set[str] = set()
    for name, one in zip(suite, loaded, strict=True):
        stored = read_records(suite_folder(results, one.name, local=not shipped)).records
        finished = {record.cell_id: record for record in sorted(stored, key=lambda record: record.started_at)}
        context = LocalContext(here, options, suite_place(name), LookProgress()).planning_context(finished.values())
        plans.append((one, plan_cells(one, context)))
        done |= finished.keys()
    rates = _measured([cell for _, cells in plans for cell in cells]) if measure else None
    if as_json:
        listed = [_as_json(one, cell, rates) for one, cells in plans for cell in cells]
        typer.echo(json.dumps(listed, indent=2))
        return
    for one, cells in plans:
        print_plan(one, cells, default_workers(here), rates)
        if known := sum(cell.cell_id in done for cell in cells):
            typer.echo(f"{known} of these cells have a record in the store.\n")


def _as_json(suite: Suite, cell: Cell, rates: Mapping[TrainingStepCell, Rate] | None) -> dict[str, Any]:
    fields = cell.model_dump(mode="json")
    return {"suite": suite.name, "cell_id": cell.cell_id, **fields, **_costs(cell, rates), **_doubt(cell)}


def print_plan(
    suite: Suite, cells: list[Cell], workers: int, rates: Mapping[TrainingStepCell, Rate] | None = None
) -> None:
    """The cells of one suite as a table, what they come to, and what is not among them yet.

    rates: measured ones of training steps; without them there are no device-hours.
    """
    from bench.cli.words import duration, stand_in_lines, table
    from bench.execute.estimate import estimated_seconds, macs_of, point_of
    from bench.suite.cell import ComplexityCell
    from bench.suite.tasks import describe_cell, is_timing

    typer.echo(f"{suite.name}: {suite.question}")
    rows, side_by_side, alone, unknown = [], 0.0, 0.0, 0
    exaflop, hours = 0.0, 0.0
    for cell in cells:
        # a complexity cell is the count itself, and a score without its images need not wait for one
        is_uncounted = isinstance(cell, ComplexityCell) or (_lacks_images(cell) and point_of(cell) is None)
        macs = None if is_uncounted else macs_of(cell)
        costs = _costs(cell, rates)
        estimate = estimated_seconds(cell)
        if (known := costs.get("device_hours")) is not None:
            estimate = known * SECONDS_PER_HOUR
            hours += known
        exaflop += costs.get("exaflop") or 0.0
        unknown += estimate is None
        seconds = estimate or 0.0
        alone += seconds if is_timing(cell) else 0.0
        side_by_side += 0.0 if is_timing(cell) else seconds
        row = [cell.cell_id, _number(None if macs is None else macs / 1e6), _number(costs.get("exaflop"))]
        row += [_number(known)] if rates is not None else []
        rows.append([*row, "n/a" if estimate is None else duration(seconds), describe_cell(cell)])
    head = ["Cell", "MACs [M]", "exaFLOPs", *(["Device-hours"] if rates is not None else []), "About", "What"]
    typer.echo(table(head, rows, right=range(1, len(head) - 1)))
    total = side_by_side / workers + alone
    typer.echo(
        f"{len(cells)} cells, about {duration(total)} with {workers} trainings side by side (a rough estimate"
        f"{f', without {unknown} cells that nothing is known of' if unknown else ''})."
    )
    if rates is not None:
        typer.echo(f"Training: {exaflop:.4g} exaFLOPs, {hours:.4g} device-hours at the rates measured here.")
        for point, rate in rates.items():
            if rate.img_per_s is None:
                typer.echo(f"No rate of {point.model} at {point.resolution_px} px: {rate.reason}")
    warnings = [
        f"{model} at {resolution_px} px: {warning}" for (model, resolution_px), warning in _warnings(cells).items()
    ]
    used = {getattr(cell, "dataset", "") for cell in cells}
    for line in (*warnings, *stand_in_lines(suite, used), *_absent(cells), *_later(suite, cells)):
        typer.echo(line)
    typer.echo("")


def _measured(cells: list[Cell]) -> dict[TrainingStepCell, Rate]:
    from bench.execute.estimate import measured_rates
    from bench.execute.runner import default_workers

    threads = 1 if all(getattr(cell, "device", "cpu") == "cpu" for cell in cells) else default_workers("cpu")
    return measured_rates(cells, threads, lambda what: typer.echo(f"Timing a training step of {what}", err=True))


def _costs(cell: Cell, rates: Mapping[TrainingStepCell, Rate] | None) -> dict[str, float | None]:
    """Training compute in exaFLOPs and device-hours, of a cell that trains; None for what is not known beforehand."""
    from bench.execute.estimate import images_seen_of, point_of, training_flop_of
    from bench.suite.cell import PretrainCell
    from bench.units import EXA

    point = point_of(cell)
    if point is None:
        return {}
    flop = training_flop_of(cell)
    costs = {"exaflop": None if flop is None else flop / EXA}
    if rates is None:
        return costs
    if isinstance(cell, PretrainCell) and cell.budget.unit == "device_s":
        return costs | {"device_hours": cell.budget.amount / SECONDS_PER_HOUR}
    images, rate = images_seen_of(cell), rates[point].img_per_s
    return costs | {"device_hours": None if images is None or rate is None else images / rate / SECONDS_PER_HOUR}


def _warnings(cells: Iterable[Cell]) -> dict[tuple[str, int], str]:
    """(model, resolution) -> why the MACs that its training rests on are not certified, where they are not."""
    from bench.execute.estimate import TrainingCell, count_of

    trained = {(c.model, c.resolution_px, c.num_classes): c for c in cells if isinstance(c, TrainingCell)}
    counts = {(model, px): count_of(cell) for (model, px, _), cell in trained.items()}
    return {key: count.warning for key, count in counts.items() if count and count.warning}


def _doubt(cell: Cell) -> dict[str, str]:
    """The same of one cell, as a field of its own; nothing where there is none."""
    warnings = list(_warnings([cell]).values())
    return {"doubt": warnings[0]} if warnings else {}


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4g}"


def _absent(cells: Iterable[Cell]) -> Iterator[str]:
    """What the cells need that is not here, or may not be."""
    cells = list(cells)
    yield from absent_sets(cells)
    public = len({getattr(cell, "model", "") for cell in cells if getattr(cell, "weights", "") == "public"})
    if public:
        yield f"Public weights of {public} models are needed; `vitbench run --download` fetches those not in the cache."


def absent_sets(cells: Iterable[Cell]) -> Iterator[str]:
    """One line for each data set that is not here: how many of the cells need it, and how to get it."""
    from bench.catalog.image_tasks import image_tasks

    sets = Counter(getattr(cell, "dataset", "") for cell in cells if _lacks_images(cell))
    for name, count in sets.items():
        yield f"Not here: the images of '{name}', so {count} cells would be skipped. {image_tasks()[name].how_to_get}"


def _lacks_images(cell: Cell) -> bool:
    from bench.execute.local_context import ABSENT

    return getattr(cell, "fingerprint", "") == ABSENT


def _later(suite: Suite, cells: Iterable[Cell]) -> Iterator[str]:
    """What a plan does not show yet, because it depends on results."""
    from bench.suite.cell import FinetuneCell, PretrainCell, TrainCell
    from bench.suite.spec import Sweep

    if any(isinstance(cell, FinetuneCell) and cell.scored_part == "validation" for cell in cells):
        yield "The final runs of fine-tuning are not among them: they follow when all trials of a sweep are in."
    if suite.starts_from_own_trainings and any(isinstance(cell, TrainCell | PretrainCell) for cell in cells):
        yield "Cells that start from this suite's own trainings are not among them: they follow when these are done."
    rates = [*(block.learning_rate for block in suite.train), *(block.learning_rate for block in suite.pretrain)]
    if any("largest" in block.batch_sizes for block in suite.speed):
        yield "Timings at the largest batch may not be among them: they follow when the search for it is done."
    if any(block.settings == "best" for block in suite.speed):
        yield "Timings with fixed and best settings may not be among them: they follow when all their trials are in."
    if any(isinstance(rate, Sweep) for rate in rates):
        yield "The further trials of a sweep are not among them: they follow when its first ones are in."
    if any(isinstance(block.learning_rate, Sweep) for block in suite.pretrain):
        yield "Pretrainings at a rate that a sweep chooses are not among them: they follow when its trials are in."
