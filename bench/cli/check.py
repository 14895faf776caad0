"""`check`: is head slower than base on this machine? And what this machine's gate is worth: `check --selftest`."""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench.cli.options import DeviceChoice

if TYPE_CHECKING:
    from bench.gate.formats.files import Target
    from bench.gate.pairs import Pair
    from bench.gate.result import CheckResult
    from bench.gate.rule import Look, Verdict

EXIT_CODES: dict[Verdict, int] = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 3}


Base = Annotated[
    str | None,
    typer.Option(metavar="REV", help="The revision that this working tree is compared with: HEAD~1, origin/main."),
]
Models = Annotated[
    list[str] | None,
    typer.Option("--model", metavar="NAME", help="What to time (repeatable; one small model of each family)."),
]
SettingsOfBase = Annotated[
    str, typer.Option("--a", metavar="KEY=VALUE,...", help="Base's settings, such as compile=off,batch=8.")
]
SettingsOfHead = Annotated[
    str, typer.Option("--b", metavar="KEY=VALUE,...", help="Head's settings, such as compile=on,batch=8.")
]
BasePython = Annotated[
    Path | None, typer.Option(help="Base's interpreter, such as one with another torch.", dir_okay=False)
]
Exact = Annotated[
    Literal["gate", "show", "off"],
    typer.Option(help="Params, MACs, operators, graph breaks: a rise fails, is shown, or is not looked at."),
]
AgainstItself = Annotated[
    bool, typer.Option("--aa/--no-aa", help="Time each side against itself too: the noise floor.")
]
MaxMinutes = Annotated[
    float | None, typer.Option(help="Stop before another eight pairs would take longer; INCONCLUSIVE.")
]
Write = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FORMAT=PATH",
        help="json, markdown, comment, junit, annotations, bencher, benchmark-action or history (repeatable).",
    ),
]
Selftest = Annotated[
    bool, typer.Option("--selftest", help="Plant slowdowns, and say how often this machine's gate is wrong.")
]


def check(
    base: Base = None,
    model: Models = None,
    a: SettingsOfBase = "",
    b: SettingsOfHead = "",
    base_python: BasePython = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images in a forward pass.")] = 1,
    resolution: Annotated[int | None, typer.Option(min=1, help="Pixels (the model's own).")] = None,
    num_classes: Annotated[int | None, typer.Option(min=1, help="Of the head (the model's own).")] = None,
    device: Annotated[DeviceChoice, typer.Option(help="Where models run.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of a worker, pinned to as many CPUs.")] = 1,
    threshold: Annotated[float, typer.Option(help="The slowdown worth failing, in percent.")] = 5.0,
    pairs_max: Annotated[int, typer.Option(help="Pairs of processes at most: 8, 16, 24 or 32.")] = 32,
    turns: Annotated[int, typer.Option(help="Turns of each pair, an even number.")] = 40,
    seed: Annotated[int | None, typer.Option(help="Of the order of turns (drawn, and recorded).")] = None,
    exact: Exact = "gate",
    aa: AgainstItself = True,
    max_minutes: MaxMinutes = None,
    write: Write = None,
    results: Annotated[Path, typer.Option(help="Folder of the results.", file_okay=False)] = Path("results"),
    selftest: Selftest = False,
    selftest_pairs: Annotated[int, typer.Option(min=2, help="Pairs of processes in a self-test.")] = 20,
) -> None:
    """Time head against base in turns: PASS, FAIL or INCONCLUSIVE. docs/gate.md has the rule and how often it errs.

    Exit codes: 0 PASS, 1 FAIL, 3 INCONCLUSIVE, 2 the request was wrong, 130 interrupted.
    """
    from bench.errors import RequestError
    from bench.gate.check import Plan, Request, run_check
    from bench.gate.formats.files import STANDARD_OUTPUT, parse_target
    from bench.gate.request import comparisons_of
    from bench.places import cache_root

    targets = [parse_target(text) for text in write or ()]  # wrong ones are said before minutes of measuring
    here = _device(device)
    seed = secrets.randbelow(2**32) if seed is None else seed
    common = {"batch_size": batch_size, "resolution_px": resolution, "num_classes": num_classes}
    if selftest:
        if base or a or b or base_python or write:
            raise RequestError("--selftest compares this tree with itself: leave out --base, --a, --b and --write.")
        from bench.cli.selftest import SELFTEST_MODELS, run_and_describe

        comparisons = comparisons_of(model or SELFTEST_MODELS, **common)  # type: ignore[arg-type]
        run_and_describe(comparisons, selftest_pairs, turns, seed, here, threads, threshold, results, CheckProgress())
        return
    if not (base or a or b or base_python):
        raise RequestError("Nothing to compare with. Say --base REV, or two sides with --a and --b, or --base-python.")
    request = Request(
        comparisons=comparisons_of(model or (), **common, a=a, b=b),  # type: ignore[arg-type]
        base=base,
        base_python=None if base_python is None else base_python.expanduser().absolute(),
        plan=Plan(threshold, turns, pairs_max, seed, aa, None if max_minutes is None else max_minutes * 60),
        device=here,
        threads=threads,
        exact=exact,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: workers and worktree are taken away
    result = run_check(request, CheckProgress(), cache_root() / "gate")
    has_standard_output = any(target.path == STANDARD_OUTPUT for target in targets)
    for line in _describe(result):
        typer.echo(line, err=has_standard_output)
    _keep(result, results, targets)
    if EXIT_CODES[result.verdict]:
        raise typer.Exit(EXIT_CODES[result.verdict])


def _device(device: DeviceChoice) -> Literal["cpu", "cuda", "mps"]:
    """The device that is meant. Raises RequestError for one that is absent."""
    if device == "cpu":
        return "cpu"
    from bench.measure.devices import resolve_device  # imports torch, which a check on the CPU need not

    return resolve_device(device)  # type: ignore[return-value]


def _keep(result: CheckResult, results: Path, targets: Sequence[Target]) -> None:
    """The whole result into the store, then what --write asked for: all of it, whatever of it fails.

    Raises the first StoreError once everything was tried.
    """
    from bench.errors import StoreError
    from bench.gate.formats.files import write_format
    from bench.gate.result import render_json
    from bench.store.checks import save_check

    problems: list[StoreError] = []
    machine = str(result.conditions.get("machine", "unknown"))
    try:
        kept = save_check(results, render_json(result), machine)
        typer.echo(f"Every turn is in {kept}.", err=True)
    except StoreError as error:
        problems.append(error)
    for name, path in targets:
        try:
            write_format(result, name, path)
        except StoreError as error:
            problems.append(error)
    for further in problems[1:]:
        typer.echo(f"Error: {further}", err=True)
    if problems:
        raise problems[0]


class CheckProgress:
    """A line on standard error for each pair and each look."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def pair_done(self, number: int, pair: Pair) -> None:
        from bench.gate.rule import percent

        values = ", ".join(f"{name} {percent(turns.log_ratio):+.1f} %" for name, turns in sorted(pair.turns.items()))
        typer.echo(f"[{time.monotonic() - self._started:4.0f} s] pair {number + 1}: {values or 'nothing'}", err=True)

    def pair_lost(self, reason: str) -> None:
        typer.echo(f"A pair was thrown away: {reason}", err=True)

    def looked(self, looks: Mapping[str, Look]) -> None:
        for name, look in looks.items():
            if look.verdict is None:
                typer.echo(f"{name}: more pairs ({look.reason})", err=True)


def _describe(result: CheckResult) -> Iterator[str]:
    """A check for a terminal: the table, what else was found, and the verdict in a sentence last."""
    from bench.cli.words import duration, table
    from bench.gate.formats.wording import headline, noise_floors, tidy

    rows = []
    for one in result.models:
        shown = "n/a"
        if one.slowdown_pct is not None:
            shown = f"{one.slowdown_pct:+.1f} % [{one.low_pct:+.1f}, {one.high_pct:+.1f}]"
        times = ["n/a" if ms is None else f"{ms:.3g}" for ms in (one.base_ms, one.head_ms)]
        rows.append([tidy(one.name), *times, shown, str(len(one.pairs)), one.verdict, tidy(one.reason)])
    yield table(["Model", "Base [ms]", "Head [ms]", "Slowdown", "Pairs", "Verdict", "Why"], rows, right=(1, 2, 4))
    for exact in result.exact:
        if exact.changes or exact.verdict != "PASS":
            yield f"{tidy(exact.name)}, exact counts: {exact.verdict}: {tidy(exact.reason)}"
    if result.noise:
        yield noise_floors(result)
    for problem in result.problems:
        yield f"Note: {tidy(problem)}"
    yield f"{headline(result)} ({duration(result.wall_s)})"
