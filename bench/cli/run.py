"""`run`: from a suite to records."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import (
    CheckEstimatesOption,
    CountsOption,
    DataOption,
    DeviceOption,
    DownloadOption,
    ResultsOption,
    ShippedOption,
    SuiteArgument,
    named_data,
    request_of,
)

if TYPE_CHECKING:
    from bench.execute.runner import Mode, Resources, Summary
    from bench.store.record import Record
    from bench.suite.cell import Cell
    from bench.suite.spec import Suite


def run(
    suite: SuiteArgument,
    device: DeviceOption = "auto",
    results: ResultsOption = Path("results"),
    data: DataOption = [],  # noqa: B006 - typer reads the default, nothing changes it
    workers: Annotated[int | None, typer.Option(min=1, help="Trainings side by side (CPU: one per core).")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of a timed model (all cores).")] = None,
    rerun: Annotated[bool, typer.Option("--rerun", help="Run finished cells again.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run cells again that did not end ok.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would run, and run nothing.")] = False,
    shipped: ShippedOption = False,
    download: DownloadOption = False,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Processes that share one evaluation or fine-tuning, such as one per GPU.")
    ] = None,
    checkpoint_minutes: Annotated[
        float, typer.Option(min=0.001, help="How often an unfinished fine-tuning is saved.")
    ] = 5.0,
    micro_batch: Annotated[
        int | None, typer.Option(min=1, help="Images at once in fine-tuning (as many as fit).")
    ] = None,
    keep_weights: Annotated[
        bool, typer.Option("--keep-weights", help="Leave the weights of trainings in the cache, for `inspect`.")
    ] = False,
    counts: CountsOption = False,
    check_estimates: CheckEstimatesOption = False,
) -> None:
    """Run the cells of suites and store a record of each. Stopped half-way, the same command resumes."""
    from bench.cli import EXIT_FAILED_CELLS
    from bench.errors import RequestError
    from bench.execute.pool import processes_of_torchrun
    from bench.execute.run_options import RunOptions
    from bench.execute.runner import Resources, default_loader_workers, default_workers
    from bench.measure.devices import resolve_device
    from bench.suite.requested import requested
    from bench.suite.spec import load_suite

    if rerun and retry_failed:
        raise RequestError("--rerun and --retry-failed exclude one another.")
    mode: Mode = "rerun" if rerun else "retry-failed" if retry_failed else "resume"
    processes = processes or processes_of_torchrun()
    request, places = request_of(counts, check_estimates), named_data(data)
    loaded = [requested(load_suite(name), request, places) for name in suite]
    here = resolve_device(device)
    options = RunOptions(
        data=places,
        download=download,
        keep_weights=keep_weights,
        checkpoint_every_s=checkpoint_minutes * 60,
        loader_workers=default_loader_workers(here, processes),
        micro_batch_size=micro_batch,
    )
    resources = Resources(workers or default_workers(here), threads or default_workers("cpu"), processes, options)
    jobs = [_Job(one, name, here, resources, results, mode, shipped) for name, one in zip(suite, loaded, strict=True)]
    for job in jobs:
        job.check()  # of every suite before the first cell of any runs
    if sum([job.show() if dry_run else job.run() for job in jobs]):
        raise typer.Exit(EXIT_FAILED_CELLS)


class _Job:
    """One suite on this machine: its plan, what is already done, and how to run the rest."""

    def __init__(
        self, suite: Suite, name: str, device: str, resources: Resources, results: Path, mode: Mode, shipped: bool
    ) -> None:
        """name: of the suite, or the path of its file."""
        from bench.cli.progress import LookProgress
        from bench.execute.environment import describe_conditions
        from bench.execute.local_context import LocalContext
        from bench.execute.runner import finished_cells
        from bench.store.files import read_records, suite_folder
        from bench.suite.spec import suite_place

        options = resources.options
        options = replace(options, keep_weights=options.keep_weights or suite.starts_from_own_trainings)
        self.suite, self.results, self.local = suite, results, not shipped
        self.resources = replace(resources, options=options)
        self.context = LocalContext(device, options, suite_place(name), LookProgress())
        started = time.monotonic()
        self.here = describe_conditions(device, resources.timing_threads, 1)
        stored = read_records(suite_folder(results, suite.name, local=self.local))
        for warning in stored.warnings:
            typer.echo(f"Warning: {warning}", err=True)
        done = finished_cells(stored.records, self.here, self.resources.threads, mode)
        if options.download:  # what was absent may be fetched now
            done = {cell_id: record for cell_id, record in done.items() if record.status != "skipped"}
        self.stored = {record.cell_id: record for record in sorted(stored.records, key=lambda one: one.started_at)}
        self.done = done  # also what the plan does not ask for yet: transfers wait for the last training, say
        self.preparing_s = time.monotonic() - started

    def plan(self, finished: Iterable[Record]) -> list[Cell]:
        from bench.suite.plan import plan as plan_cells

        cells = plan_cells(self.suite, self.context.planning_context(finished))
        options = self.resources.options
        stated = self.context.pretraining(self.suite)
        options = replace(options, weights=dict(self.context.weights), pretraining=stated)
        self.resources = replace(self.resources, options=options)
        return cells

    def confirmed_plan(self, finished: Iterable[Record]) -> list[Cell]:
        """Like `plan`, which goes by what is remembered of images; those of what waits are read wholly first."""
        finished = list(finished)
        cells = self.plan(finished)
        known = {record.cell_id for record in finished}
        if self.context.confirm(cell for cell in cells if cell.cell_id not in known):
            return cells
        return self.plan(finished)

    def show(self) -> int:
        """Print what would run; no cell of it has failed."""
        from bench.cli.plan import print_plan

        waiting = [cell for cell in self.plan(self.done.values()) if cell.cell_id not in self.done]
        print_plan(self.suite, waiting, self.resources.training_workers)
        return 0

    def check(self) -> None:
        """Raise for anything wrong with the request while nothing has been written."""
        from bench.catalog.public_results import published_sizes
        from bench.cli.words import stand_in_lines
        from bench.measure.build import check_takes_resolution, native_resolution, require_own_code_builds
        from bench.suite.cell import PixelsCell, PreflightCell
        from bench.suite.model_source import is_user_model
        from bench.suite.tasks import is_timing

        started = time.monotonic()
        cells = self.plan(self.done.values())
        waiting = [cell.cell_id for cell in cells if cell.cell_id not in self.done]
        changes = _changes(self.stored[one] for one in waiting if one in self.stored)
        for warning in (*changes, *stand_in_lines(self.suite, {getattr(cell, "dataset", "") for cell in cells})):
            typer.echo(f"Warning: {warning}", err=True)
        planned = [cell for cell in cells if not isinstance(cell, PreflightCell | PixelsCell)]
        points = {(cell.model, cell.resolution_px) for cell in planned if cell.cell_id not in self.done}
        # of several sizes that a model is timed at, those that it cannot take become skipped records
        timed = {(cell.model, cell.resolution_px) for cell in planned if is_timing(cell)}
        sizes = Counter(model for model, _ in timed)
        lenient = timed - {(cell.model, cell.resolution_px) for cell in planned if not is_timing(cell)}
        for model, resolution in sorted(points):
            is_one_of_several = sizes[model] > 1 and (model, resolution) in lenient
            is_known = resolution == native_resolution(model) or resolution in published_sizes(model)
            if not is_known and not is_one_of_several:
                check_takes_resolution(model, resolution)
        for model, cell in {cell.model: cell for cell in planned if cell.cell_id not in self.done}.items():
            if is_user_model(model):
                require_own_code_builds(model, num_classes=cell.num_classes)
        self.preparing_s += time.monotonic() - started

    def run(self) -> int:
        """Run what is waiting; how many of the suite's cells stand as failed now, earlier runs included."""
        from bench.cli.plan import absent_sets
        from bench.cli.progress import make_progress
        from bench.execute.runner import run_plan
        from bench.store.files import open_run

        cells = self.confirmed_plan(self.done.values())
        self._restate(cells)
        for line in absent_sets(cells):
            typer.echo(line, err=True)
        if all(cell.cell_id in self.done for cell in cells):
            typer.echo(f"{self.suite.name}: all {len(cells)} cells are in the store. --rerun runs them again.")
            return self._failed(self.done[cell.cell_id] for cell in cells)
        with open_run(self.results, self.suite.name, self.here["machine"], local=self.local) as writer:
            progress = make_progress()
            try:
                summary, finished = run_plan(
                    self.suite.name, self.confirmed_plan, self.done, self.resources, writer, progress
                )
            finally:
                progress.close()
            summary.preparing_s = self.preparing_s
            writer.append_summary(summary.as_json())
        _print_summary(self.suite.name, summary, self.local)
        return self._failed(finished.values())

    def _restate(self, cells: Iterable[Cell]) -> None:
        """Write finished records anew where the suite says something else now of what their weights saw."""
        from bench.execute.runner import restated
        from bench.store.files import open_run

        known = [self.done[cell.cell_id] for cell in cells if cell.cell_id in self.done]
        changed = restated(known, self.resources.options)
        if not changed:
            return
        with open_run(self.results, self.suite.name, self.here["machine"], local=self.local) as writer:
            for record in changed:
                writer.append(record)
        typer.echo(f"{self.suite.name}: `pretraining` was written anew to {len(changed)} of its records.")

    @staticmethod
    def _failed(records: Iterable[Record]) -> int:
        return sum(record.status == "failed" for record in records)


def _changes(records: Iterable[Record]) -> list[str]:
    """For each user's model what has changed of the files that it reads, so that these records no longer count."""
    from bench.execute.runner import changed_model_files

    changed: dict[str, set[str]] = {}
    for record in records:
        if names := changed_model_files(record):
            changed.setdefault(record.cell["model"], set()).update(names)
    return [
        f"Model {model!r} read {', '.join(sorted(names))}, which changed since: its cells run again."
        for model, names in changed.items()
    ]


def _print_summary(suite: str, summary: Summary, local: bool) -> None:
    counts = ", ".join(f"{count} {status}" for status, count in summary.counts.items() if count)
    typer.echo(f"{suite}: {counts or 'nothing ran'}; {summary.resumed} were in the store.")
    if summary.overhead_ratio is not None and sum(summary.counts.values()) > summary.counts["skipped"]:
        figures = summary.as_json()
        typer.echo(
            f"Wall time {figures['wall_s']:.0f} s with {summary.workers} workers, {figures['in_cell_s']:.0f} s inside "
            f"cells: {summary.overhead_ratio:.2f} worker-seconds for each second inside."
        )
    typer.echo(f"`vitbench report {suite}{'' if local else ' --shipped'}` writes the report.")
