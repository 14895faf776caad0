"""`baseline save` and `baseline show`: times kept for later, to be laid beside those of a check."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.run import DeviceChoice, ResultsOption, ShippedOption

if TYPE_CHECKING:
    from bench.gate.result import Workload
    from bench.store.baselines import Baseline

baseline_app = typer.Typer(help="Keep times for later; `check` lays them beside its own.", no_args_is_help=True)


@baseline_app.callback()
def _baseline() -> None:
    """Keep times for later; `check` lays them beside its own. Advisory: they never move a verdict."""


@baseline_app.command()
def save(
    model: Annotated[list[str], typer.Option("--model", metavar="NAME", help="What to time (repeatable).")],
    settings: Annotated[
        str, typer.Option(metavar="KEY=VALUE,...", help="As --a of check: compile=on,precision=bf16.")
    ] = "",
    batch_size: Annotated[int, typer.Option(min=1, help="Images in a forward pass.")] = 1,
    resolution: Annotated[int | None, typer.Option(min=1, help="Pixels (the model's own).")] = None,
    num_classes: Annotated[int | None, typer.Option(min=1, help="Of the head (the model's own).")] = None,
    device: Annotated[DeviceChoice, typer.Option(help="Where models run.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads, pinned to as many CPUs.")] = 1,
    processes: Annotated[int, typer.Option(min=1, help="Fresh processes, one after the other.")] = 5,
    turns: Annotated[int, typer.Option(min=1, help="Turns of each model and kernel in a process.")] = 40,
    results: ResultsOption = Path("results"),
    shipped: ShippedOption = False,
) -> None:
    """Time models in fresh processes beside fixed kernels that stand for this machine, and store both."""
    from bench.cli.check import resolve_check_device
    from bench.gate.session import run_baselines
    from bench.places import cache_root
    from bench.store.baselines import save_baseline

    common = {"batch_size": batch_size, "resolution_px": resolution, "num_classes": num_classes}
    saved = run_baselines(
        _workloads(model, common, settings),
        device=resolve_check_device(device),
        threads=threads,
        processes=processes,
        turns=turns,
        cache=cache_root() / "gate",
        progress=lambda process: typer.echo(f"process {process} of {processes} is done", err=True),
    )
    for baseline in saved:
        path = save_baseline(results, baseline, local=not shipped)
        typer.echo(f"{baseline.workload['model']}: {_milliseconds(baseline)} ms, in {path}")


@baseline_app.command()
def show(results: ResultsOption = Path("results"), shipped: ShippedOption = False) -> None:
    """List what is stored, for which machine, and how old it is."""
    from bench.cli.words import table
    from bench.execute.environment import machine_fingerprint
    from bench.store.baselines import baseline_folder, read_baselines

    found = read_baselines(results, local=not shipped)
    for warning in found.warnings:
        typer.echo(f"Warning: {warning}", err=True)
    if not found.baselines:
        folder = baseline_folder(results, local=not shipped)
        typer.echo(f"No baseline in '{folder}'. `vitbench baseline save --model NAME` makes one.")
        return
    now, here = datetime.now(UTC), machine_fingerprint()
    rows = [_row(one, here, now) for one in found.baselines]
    header = ["Model", "Under", "Time [ms]", "Machine", "Age", "torch", "Commit"]
    typer.echo(table(header, rows, right=(2,)))


def _workloads(models: list[str], common: dict[str, int | None], settings: str) -> list[Workload]:
    from bench.errors import RequestError
    from bench.gate.request import comparisons_of, parse_side

    fields = parse_side("--settings", settings)
    if "model" in fields or "plant" in fields:
        raise RequestError(f"--settings {settings!r}: a baseline is of --model as it is; leave out model= and plant=.")
    if len(set(models)) < len(models):
        raise RequestError("--model: one of them is given twice.")
    return [one.head.model_copy(update=fields) for one in comparisons_of(models, **common)]  # type: ignore[arg-type]


def _milliseconds(baseline: Baseline) -> str:
    """`4.13 (4.08 to 4.21)`: the stored time, and the range of its processes."""
    from bench.shown import significant

    each = [process.forward_ms for process in baseline.processes]
    return f"{significant(baseline.forward_ms, 3)} ({significant(min(each), 3)} to {significant(max(each), 3)})"


def _row(baseline: Baseline, here: str, now: datetime) -> list[str]:
    from bench.gate.baseline import switch

    asked, conditions = baseline.workload, baseline.conditions
    under = [f"batch {asked['batch_size']}"]
    under += [f"{asked['resolution_px']} px"] if asked.get("resolution_px") else []
    under += [f"{asked['num_classes']} classes"] if asked.get("num_classes") else []
    under += [f"{key} {switch(value)}" for key, value in sorted((asked.get("settings") or {}).items())]
    under += [baseline.device, f"{baseline.threads} thread{'' if baseline.threads == 1 else 's'}"]
    machine = "this one" if baseline.machine == here else f"{baseline.machine} ({conditions.get('cpu_model')})"
    commit = str(conditions.get("git_commit") or "none")[:8] + (" + changes" if conditions.get("git_dirty") else "")
    age = _age((now - datetime.fromisoformat(baseline.saved_at)).total_seconds())
    return [
        asked["model"], ", ".join(under), _milliseconds(baseline), machine, age, str(conditions.get("torch")), commit,
    ]  # fmt: skip


def _age(seconds: float) -> str:
    """`35 min`, `5 h` or `12 days`."""
    if seconds < 5_400:
        return f"{max(seconds, 0) / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 48 * 3600 else f"{seconds / 86_400:.0f} days"
