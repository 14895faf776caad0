"""`choose`: which models meet a budget on a data set, stored or published, and which cannot be told from the best."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.options import DeviceChoice
from bench.units import EXA, GIGA

if TYPE_CHECKING:
    from bench.analyse.compare.choose import Candidate, Choices
    from bench.analyse.study import Study

_IMAGENET = ("imagenet", "ImageNet")
_PUBLIC = "Published checkpoints (--dataset imagenet)"
# Limit -> the stored cost that it is of, and the option's unit.
_STORED_COSTS = {
    "latency": ("latency_p50_ms", 1.0),
    "throughput": ("throughput_img_per_s", 1.0),
    "memory": ("peak_mib", 1.0),
    "training": ("train_flop", EXA),
    "macs": ("macs", GIGA),
}
JsonOption = Annotated[bool, typer.Option("--json", help="A JSON list, one object a suite and protocol.")]


def choose(
    dataset: Annotated[str, typer.Option(help="The data set whose accuracies count.")],
    max_latency_ms: Annotated[float | None, typer.Option(min=0, help="Median at batch 1.")] = None,
    min_throughput: Annotated[float | None, typer.Option(min=0, help="Images per second.")] = None,
    max_memory_mib: Annotated[float | None, typer.Option(min=0, help="Peak of one inference.")] = None,
    max_train_exaflop: Annotated[float | None, typer.Option(min=0, help="Training compute of one run.")] = None,
    max_macs_g: Annotated[float | None, typer.Option(min=0, help="Multiply-adds of one image, 1e9.")] = None,
    max_params_m: Annotated[float | None, typer.Option(min=0, help="Parameters, 1e6.", rich_help_panel=_PUBLIC)] = None,
    min_top1: Annotated[float | None, typer.Option(min=0, help="Percent.", rich_help_panel=_PUBLIC)] = None,
    robust: Annotated[
        str | None, typer.Option(help="Rank by real, v2, sketch, r or a instead of ImageNet.", rich_help_panel=_PUBLIC)
    ] = None,
    stratum: Annotated[
        str | None, typer.Option(help="Pretraining data: in1k, in21k or larger.", rich_help_panel=_PUBLIC)
    ] = None,
    family: Annotated[
        list[str] | None, typer.Option(help="vit, hierarchical, hybrid, cnn (repeatable).", rich_help_panel=_PUBLIC)
    ] = None,
    measure: Annotated[
        int | None,
        typer.Option(min=0, help="Finalists to time here first (5 if time is limited).", rich_help_panel=_PUBLIC),
    ] = None,
    device: Annotated[DeviceChoice, typer.Option(help="Where they are timed.", rich_help_panel=_PUBLIC)] = "auto",
    rerun: Annotated[bool, typer.Option("--rerun", help="Time anew what is stored.", rich_help_panel=_PUBLIC)] = False,
    suite: Annotated[list[str] | None, typer.Option(help="Only these suites (repeatable).")] = None,
    results: Annotated[list[Path] | None, typer.Option("--results", help="Folder of results (repeatable).")] = None,
    shipped: Annotated[bool, typer.Option("--shipped", help="The committed results instead of yours.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the models that meet a budget on a data set, best first, and which cannot be told from the best of them.

    Results of different suites, protocols, machines and devices are told apart, never ranked together. Of imagenet the
    published checkpoints of timm are chosen from and the finalists timed here, unless --suite or --shipped is given.
    """
    from bench.errors import RequestError

    limits = {
        "latency": max_latency_ms,
        "throughput": min_throughput,
        "memory": max_memory_mib,
        "training": max_train_exaflop,
        "macs": max_macs_g,
        "params": max_params_m,
    }
    given = {name: limit for name, limit in limits.items() if limit is not None}
    if not all(math.isfinite(limit) for limit in (*given.values(), min_top1 or 0.0)):
        raise RequestError("A limit must be a number. Leave an option out where there is no limit.")
    folders = results or [Path("results")]
    if dataset in _IMAGENET and not suite and not shipped:
        from bench.cli.choose_published import choose_published, wanted_of

        _require_published(given, folders)
        wanted = wanted_of(given, robust, min_top1, stratum, family or ())
        choose_published(wanted, measure, folders[0], device, rerun=rerun, as_json=as_json)
        return
    public = {"--max-params-m": max_params_m, "--min-top1": min_top1, "--robust": robust, "--stratum": stratum,
              "--family": family or None, "--measure": measure, "--rerun": rerun or None}  # fmt: skip
    if own := [option for option, value in public.items() if value is not None]:
        raise RequestError(f"{own[0]} is for published checkpoints: --dataset imagenet, without --suite and --shipped.")
    _choose_stored(dataset, given, folders, suite, shipped, as_json)


def _require_published(limits: Mapping[str, float], folders: Sequence[Path]) -> None:
    """Raise RequestError for what nothing is known of, of published checkpoints."""
    from bench.errors import RequestError

    for name, option in (("memory", "--max-memory-mib"), ("training", "--max-train-exaflop")):
        if name in limits:
            raise RequestError(f"{option} is unknown of published checkpoints; --suite chooses by stored results.")
    if len(folders) > 1:
        raise RequestError("Timings of published checkpoints are kept in one folder: give --results once.")


def _choose_stored(
    dataset: str,
    given: Mapping[str, float],
    folders: Sequence[Path],
    suite: Sequence[str] | None,
    shipped: bool,
    as_json: bool,
) -> None:
    """Print what stored accuracies on the data set let one choose from. given: limits as the options have them."""
    from bench.analyse.compare.choose import at_one_budget, by_condition
    from bench.analyse.compare.choose import choose as within
    from bench.analyse.study import study
    from bench.cli.stored import meant_dataset, wanted_suites
    from bench.errors import RequestError
    from bench.report.sections.choices_section import limits_words

    limits = {name: given[option] * unit for option, (name, unit) in _STORED_COSTS.items() if option in given}
    read = wanted_suites(folders, suite, shipped)
    studies = [study(one.name, one.records, one.predictions) for one in read]
    points = {one.suite: one.pretraining.datasets for one in studies if one.pretraining is not None}
    known = {one.accuracy.dataset for analysed in studies for one in analysed.candidates}.union(*points.values())
    if not known:
        raise RequestError("No stored suite has accuracies to choose by. `vitbench run pocket` makes some.")
    dataset = meant_dataset(dataset, known)
    found = []
    for analysed in studies:
        own = [one for one in analysed.candidates if one.accuracy.dataset == dataset]
        for protocol in dict.fromkeys(one.protocol for one in own):
            of_protocol = at_one_budget([one for one in own if one.protocol == protocol], limits)
            for condition, comparable in by_condition(of_protocol, limits).items():
                found.append((analysed, protocol, condition, within(comparable, limits)))
    untold = {name: _left_out(name, dataset) for name, names in points.items() if dataset in names}
    if not found:
        raise RequestError(" ".join(untold.values()))
    if as_json:
        ranked = [_as_json(*one) for one in found]
        left_out = [
            {"suite": name, "protocol": "after pretraining", "not_ranked": words, "choices": []}
            for name, words in untold.items()
        ]
        typer.echo(json.dumps([*ranked, *left_out], indent=2))
        return
    typer.echo(f"Budget on {dataset}: {limits_words(limits)}.")
    for one in found:
        typer.echo("")
        _print(*one)
    for words in untold.values():
        typer.echo(f"\n{words}")


def _left_out(suite: str, dataset: str) -> str:
    return (
        f"Not ranked: what the pretrainings of '{suite}' gave on '{dataset}', which cost two trainings each. "
        f"`vitbench report {suite}` shows it by pretraining compute, `vitbench compare` puts two models side by side."
    )


def _print(analysed: Study, protocol: str, condition: Sequence[str], found: Choices) -> None:
    from bench.cli.words import table
    from bench.number_format import counted
    from bench.text import printable

    where = f" Measured on {'; '.join(dict.fromkeys(filter(None, condition)))}." if any(condition) else ""
    qualify = f"{counted(len(found.choices), 'model')} qualif{'ies' if len(found.choices) == 1 else 'y'}"
    lines = [f"{analysed.suite}, {protocol}: {qualify}.{where}"]
    if found.choices:
        header = ["Model", "Family", "Top-1 [%]", "Is", *_COSTS.values()]
        rows = [
            [_line(one.label), one.accuracy.identity.family, _top1(one), _standing(one, found), *_cost_words(one)]
            for one in found.choices
        ]
        lines.append(table(header, rows, right=(2, *range(4, len(header)))))
    if len(found.best) > 1:
        cheapest = found.cheapest("macs")
        told = f" The cheapest of them in MACs: {_line(cheapest.label)}." if cheapest is not None else ""
        lines.append(
            f"{counted(len(found.best), 'model')} cannot be told apart at the top (95 %, Holm over all that "
            f"qualify).{told}"
        )
    if found.on_the_limit:
        lines.append(f"Perhaps outside the budget, by their range over processes: {_names(found.on_the_limit)}.")
    lines += [
        f"Not certified: the MACs of {_line(one.label)}, and the compute that rests on them ({_line(one.macs_note)})."
        for one in found.choices
        if one.macs_note
    ]
    if any(one.costs[name].is_rough for one in found.choices for name in found.limits):
        lines.append("Memory is one reading of a process's growth, which scatters by some tens of percent.")
    if found.too_costly:
        lines.append(f"Outside the budget: {_names(found.too_costly)}.")
    if found.unknown:
        missing = sorted({_COSTS[name] for _, names in found.unknown for name in names})
        lines.append(f"Not measured there ({', '.join(missing)}): {_names([one for one, _ in found.unknown])}.")
    typer.echo(printable("\n".join(lines)))


def _top1(one: Candidate) -> str:
    from bench.number_format import plus_minus
    from bench.report.tables.accuracy_cells import seeds_words

    group, interval = one.accuracy.group, one.accuracy.interval
    return seeds_words(group) if group.is_unstable else plus_minus(interval, 1)


def _standing(one: Candidate, found: Choices) -> str:
    if one in found.unranked:
        return "unstable" if one.accuracy.group.is_unstable else "not ranked: one run"
    if one not in found.best:
        return "behind the best"
    return "best" if one is found.best[0] else "not separable from it"


def _line(text: str) -> str:
    return " ".join(text.split())


_COSTS = {
    "macs": "MACs [M]",
    "train_flop": "Training [TFLOP]",
    "latency_p50_ms": "Latency [ms]",
    "throughput_img_per_s": "Throughput [img/s]",
    "peak_mib": "Memory [MiB]",
}
_UNITS = {"macs": 1e6, "train_flop": 1e12}


def _cost_words(candidate: Candidate) -> list[str]:
    from bench.number_format import significant

    costs = (candidate.costs.get(name) for name in _COSTS)
    return [
        "n/a" if cost is None else significant(cost.value / _UNITS.get(name, 1.0), 3)
        for name, cost in zip(_COSTS, costs, strict=True)
    ]


def _names(candidates: Sequence[Candidate], most: int = 8) -> str:
    names = sorted({_line(one.label) for one in candidates})
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def _as_json(analysed: Study, protocol: str, condition: Sequence[str], found: Choices) -> dict[str, Any]:
    return {
        "suite": analysed.suite,
        "protocol": protocol,
        "measured_on": list(condition),
        "limits": found.limits,
        "choices": [{**_candidate(one), "is": _standing(one, found)} for one in found.choices],
        "on_the_limit": [one.key.model for one in found.on_the_limit],
        "too_costly": [_candidate(one) for one in found.too_costly],
        "not_measured": [{"missing": list(missing), **_candidate(one)} for one, missing in found.unknown],
    }


def _candidate(one: Candidate) -> dict[str, Any]:
    from bench.analyse.accuracies.subjects import pretraining_of

    return {
        "model": one.key.model,
        "label": one.label,
        "family": one.accuracy.identity.family,
        "resolution_px": one.key.resolution_px,
        "pretraining": "" if one.accuracy.protocol == "trained" else pretraining_of(one.accuracy.subject),
        "macs_note": one.macs_note,
        "top1_pct": one.accuracy.group.mean_pct,
        "top1_interval_pct": [one.accuracy.interval.low, one.accuracy.interval.high],
        "costs": {
            name: {"value": cost.value, "condition": cost.condition, "record_ids": list(cost.cell_ids),
                   "interval": None if cost.interval is None else [cost.interval.low, cost.interval.high]}
            for name, cost in one.costs.items()
        },
        "record_ids": list(one.accuracy.cell_ids),
    }  # fmt: skip
