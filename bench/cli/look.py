"""`models`, `datasets`, `suites`, `complexity` and `doctor`: what there is, and what it holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from bench.measure.complexity import Complexity

JsonOption = Annotated[bool, typer.Option("--json", help="A JSON list, one object a row.")]


def models(
    pattern: Annotated[str, typer.Argument(help="Part of a name, or a pattern such as 'vit_*_384*'.")] = "",
    family: Annotated[Literal["vit", "cnn", "hybrid"] | None, typer.Option(help="Only this family.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the catalogued models. Every other timm model works too, and your own as path/to/file.py:function."""
    from fnmatch import fnmatch

    from bench.catalog.models import model_rows
    from bench.cli.words import table
    from bench.errors import UnknownNameError

    rows = [row for row in model_rows().values() if family is None or row.family == family]
    found = [row for row in rows if fnmatch(row.name, pattern if "*" in pattern else f"*{pattern}*")]
    if not found:
        raise UnknownNameError("model", pattern, [row.name for row in rows], where="the catalog")
    if as_json:
        typer.echo(json.dumps([asdict(row) | {"arguments": dict(row.arguments)} for row in found], indent=2))
        return
    lines = [
        [row.name, row.family, row.size_class, str(row.resolution_px), row.paper_system, row.pretraining]
        for row in found
    ]
    typer.echo(table(["Model", "Family", "Size", "Pixels", "System", "Public weights"], lines, right=(3,)))


def datasets(
    name: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Data sets, @paper or @vtab.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the data sets and whether each is here. With names: how to get them, and what to know of them."""
    rows = _dataset_facts(name or [])
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    elif name:
        typer.echo("\n\n".join(_dataset_details(row) for row in rows))
    else:
        typer.echo(_dataset_table(rows))


def _dataset_facts(names: list[str]) -> list[dict[str, Any]]:
    """One object a data set, embedded ones first: what it holds, where it comes from, whether it is on this machine."""
    from bench.catalog.datasets import dataset_rows
    from bench.catalog.image_tasks import image_task_names, image_tasks
    from bench.data.public.catalogued import is_here
    from bench.errors import UnknownNameError
    from bench.places import data_root

    rows: dict[str, dict[str, Any]] = {
        row.name: asdict(row) | {"group": "embedded", "metric": "top1", "here": True} for row in dataset_rows().values()
    }
    for task in image_tasks().values():
        rows[task.name] = asdict(task) | {"kind": "real", "here": is_here(task.name, root=data_root())}
    wanted = [one for name in names for one in image_task_names(name)] or list(rows)
    for one in wanted:
        if one not in rows:
            raise UnknownNameError("data set", one, rows)
    return [rows[one] for one in dict.fromkeys(wanted)]


def _dataset_table(rows: Iterable[dict[str, Any]]) -> str:
    from bench.cli.words import table

    lines = [
        [row["name"], row["group"], str(row["num_classes"]), str(row["train_images"]), str(row["validation_images"]),
         str(row["test_images"]), row["metric"], "yes" if row["here"] else "no", row["licence"], row["source"]]
        for row in rows
    ]  # fmt: skip
    header = ["Data set", "Group", "Classes", "Train", "Validation", "Test", "Metric", "Here", "Licence", "Source"]
    hint = "`vitbench datasets NAME` says how to get one, what to know of it and how sure each fact is."
    return f"{table(header, lines, right=(2, 3, 4, 5))}\n\n{hint}"


def _dataset_details(row: dict[str, Any]) -> str:
    from bench.places import data_root

    sizes = f"{row['train_images']:,} train, {row['validation_images']:,} validation, {row['test_images']:,} test"
    here = "yes" if row["here"] else "no"
    lines = [f"{row['name']}: {row['title']} ({row['group']})", f"  Here: {here}"]
    if "folder" in row:
        lines.append(f"  Folder: {data_root() / row['folder']}, or --data {row['name']}=PATH")
    lines.append(f"  Images: {sizes}, {row['num_classes']} classes, metric {row['metric']}")
    for title, key in (("How to get it", "how_to_get"), ("Licence", "licence"), ("Source", "source"),
                       ("What", "description"), ("Caution", "caution"), ("How sure", "status")):  # fmt: skip
        if row.get(key):
            lines.append(f"  {title}: {row[key]}")
    return "\n".join(lines)


def suites(as_json: JsonOption = False) -> None:
    """List the suites that ship, with the question that each answers."""
    from bench.cli.words import table
    from bench.suite.spec import builtin_suites, load_suite

    rows = [(name, load_suite(name)) for name in builtin_suites()]
    if as_json:
        typer.echo(json.dumps([{"suite": name, **suite.model_dump(mode="json")} for name, suite in rows], indent=2))
        return
    typer.echo(table(["Suite", "Question"], [[name, suite.question] for name, suite in rows]))


def complexity(
    name: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Models, patterns, @systems or @small.")
    ] = None,
    resolution: Annotated[int | None, typer.Option(min=1, help="Pixels; each model's own by default.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every model that timm lists.")] = False,
    processes: Annotated[int | None, typer.Option(min=1, help="Processes that count (one per core).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Count parameters, MACs and activations with two counters, and say whether they agree."""
    import timm

    from bench.catalog.models import select_models
    from bench.cli import EXIT_FAILED_CELLS
    from bench.errors import RequestError
    from bench.execute.runner import default_workers
    from bench.measure.build import check_takes_resolution, native_resolution
    from bench.measure.complexity import certify_all

    if everything == bool(name):
        raise RequestError("Give model names, or --all.")
    names = timm.list_models() if everything else select_models(name or [])  # without tags, which share a shape
    if not everything:
        for one in names:
            native = native_resolution(one)  # an unknown name stops here
            if resolution is not None and resolution != native:
                check_takes_resolution(one, resolution)
    few = len(names) <= 4  # not worth starting processes for
    counted = certify_all(names, resolution_px=resolution, processes=1 if few else processes or default_workers("cpu"))
    rows = [_complexity_row(one, result, resolution) for one, result in counted]
    typer.echo(json.dumps(rows, indent=2) if as_json else _complexity_table(rows))
    failed = [row for row in rows if row["certificate"] == "failed"]
    if failed:
        typer.echo(f"{len(failed)} of {len(rows)} models could not be counted.", err=True)
        raise typer.Exit(EXIT_FAILED_CELLS)


def _complexity_row(name: str, result: Complexity | str, resolution: int | None) -> dict[str, Any]:
    if isinstance(result, str):
        unknown = dict.fromkeys(("params", "macs", "flops", "activations"))
        return {"model": name, "resolution_px": resolution, **unknown, "certificate": "failed", "reason": result}
    values = asdict(result)
    return {"model": name, "resolution_px": values.pop("input_px"), **values}


def _complexity_table(rows: Iterable[dict[str, Any]]) -> str:
    from bench.cli.words import table

    def scaled(value: int | None, unit: float, digits: int = 3) -> str:
        return "n/a" if value is None else f"{value / unit:.{digits}f}"

    lines = [
        [row["model"], str(row["resolution_px"] or ""), scaled(row["params"], 1e6, 2), scaled(row["macs"], 1e9),
         scaled(row["flops"], 1e9), scaled(row["activations"], 1e6, 2), row["certificate"],
         row.get("reason") or row.get("certificate_note") or ""]
        for row in rows
    ]  # fmt: skip
    header = ["Model", "Pixels", "Params [M]", "MACs [G]", "FLOPs [G]", "Activations [M]", "Certificate", "Remark"]
    return table(header, lines, right=(1, 2, 3, 4, 5))


def doctor(as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """Say which devices, precisions, data sets and extras this machine has, and what each missing one needs."""
    from bench.cli.words import table

    facts = _facts()
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    for title, rows in facts.items():
        typer.echo(table([title.capitalize(), "State", "Needs"], [[n, s, need or ""] for n, (s, need) in rows.items()]))
        typer.echo("")


def _facts() -> dict[str, dict[str, tuple[str, str | None]]]:
    """Group -> name -> (state, what a missing one needs)."""
    from bench.errors import RequestError
    from bench.execute.environment import describe_conditions
    from bench.measure.counting.counters import fvcore_problem, torch_problem
    from bench.measure.devices import available_precisions, compile_reason, resolve_device

    best = resolve_device("auto")
    here = describe_conditions(best, 1, 1)
    shown = ("cpu_model", "isa", "cores", "memory_gib", "gpu_model", "torch", "timm")
    machine: dict[str, tuple[str, str | None]] = {key: (str(here[key]), None) for key in shown}
    devices: dict[str, tuple[str, str | None]] = {}
    for device in ("cpu", "cuda", "mps"):
        try:
            devices[device] = ("best here" if resolve_device(device) == best else "yes", None)
        except RequestError as error:
            devices[device] = ("no", str(error))
    precisions = {
        f"{precision} on {best}": ("no" if reason else "yes", reason)
        for precision, reason in available_precisions(best).items()
    }
    precisions[f"compile on {best}"] = ("no" if compile_reason(best) else "yes", compile_reason(best))
    counters = {
        "fvcore": ("no" if fvcore_problem() else "yes", fvcore_problem()),
        "FlopCounterMode": ("no" if torch_problem() else "yes", torch_problem()),
    }
    sets: dict[str, tuple[str, str | None]] = {
        row["name"]: ("yes", None) if row["here"] else ("no", _way_to_get(row)) for row in _dataset_facts([])
    }
    return {
        "machine": machine,
        "device": devices,
        "setting": precisions,
        "counter": counters,
        "data set": sets,
        "extra": _extras(),
    }


def _way_to_get(row: Mapping[str, Any]) -> str:
    """One command: it fetches a small set, and says of any other what to do and how much it is."""
    name = row["name"]
    return f"vitbench data check {name} --download" if row["group"] == "small" else f"vitbench datasets {name}"


def _extras() -> dict[str, tuple[str, str | None]]:
    """Optional parts of the package -> whether all that they need is installed."""
    import re
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        requirements = distribution("vitbench").requires or []
    except PackageNotFoundError:
        return {"vitbench": ("not installed", "pip install . in the project's folder")}
    needed: dict[str, list[str]] = {}
    for requirement in requirements:
        if match := re.match(r"([\w.-]+).*extra == ['\"](\w+)['\"]", requirement):
            needed.setdefault(match[2], []).append(match[1])
    return {extra: _extra_state(extra, packages) for extra, packages in needed.items()}


def _extra_state(extra: str, packages: list[str]) -> tuple[str, str | None]:
    from importlib.metadata import PackageNotFoundError, distribution

    missing = []
    for package in packages:
        try:
            distribution(package)
        except PackageNotFoundError:
            missing.append(package)
    return ("no", f"pip install '.[{extra}]' ({', '.join(missing)})") if missing else ("yes", None)
