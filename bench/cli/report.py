"""`report`: the pages of stored suites, rebuilt from their records alone."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import ShippedOption

if TYPE_CHECKING:
    from bench.analyse.compare.against import Against
    from bench.analyse.study import Study
    from bench.store.suites import StoredSuite


def report(
    suite: Annotated[list[str] | None, typer.Argument(metavar="[SUITE]...", help="All stored ones by default.")] = None,
    results: Annotated[
        list[Path] | None, typer.Option("--results", help="Folder of results (repeatable: machines are merged).")
    ] = None,
    reports: Annotated[Path, typer.Option(help="Folder of the reports.", file_okay=False)] = Path("reports"),
    shipped: ShippedOption = False,
    against: Annotated[
        str | None,
        typer.Option(help="What moved since this run: the beginning of its file's name, or a results folder."),
    ] = None,
) -> None:
    """Rebuild the reports of suites from the stored records alone."""
    from bench.errors import RequestError
    from bench.report.report_files import PAGE, write_index
    from bench.store.files import stored_suites

    roots = results or [Path("results")]
    names = suite or sorted({name for root in roots for name in stored_suites(root, local=not shipped)})
    if not names:
        raise RequestError(
            f"No results under {', '.join(repr(str(root)) for root in roots)}. `vitbench run pocket` makes some; "
            "`vitbench report --shipped` rebuilds the pages of committed results."
        )
    if against is not None and len(names) != 1:
        raise RequestError(f"--against holds one suite against its other run. Name one of: {', '.join(names)}.")
    out = reports if shipped else reports / "local"
    studies: dict[str, Study] = {}
    for name in names:
        path = _write_one(name, roots, out, shipped, against, studies)
        typer.echo(f"{path}, {path.with_name(PAGE)}")
    typer.echo(f"{_write_claims(roots, out, shipped, studies)}")
    typer.echo(f"{write_index(out)}")


def _write_claims(roots: list[Path], out: Path, shipped: bool, studies: Mapping[str, Study]) -> Path:
    """The page of the claims, from every stored suite. studies: those that were made already, by name."""
    from bench.analyse.claims.claims import judge_claims
    from bench.cli.stored import studied_suites
    from bench.report.report_files import write_claims

    found = studied_suites(roots, shipped, studies)
    command = f"vitbench report{_flags(roots, shipped)}"
    return write_claims(out, judge_claims(found), [one.suite for one in found], rebuild_command=command)


def _flags(roots: list[Path], shipped: bool) -> str:
    """The options of a report that say where its results lie."""
    flags = "".join(f" --results {shlex.quote(str(root))}" for root in roots if roots != [Path("results")])
    return f"{flags} --shipped" if shipped else flags


def _write_one(
    name: str, roots: list[Path], out: Path, shipped: bool, against: str | None, studies: dict[str, Study]
) -> Path:
    """The report of one suite from all results folders; its study is put into `studies`."""
    from bench.analyse.study import study
    from bench.cli.words import stand_in_lines
    from bench.errors import RequestError
    from bench.report.figures.figure_files import second_process
    from bench.report.report_files import SUITE_PAGES, write_report
    from bench.store.files import read_records, suite_folder
    from bench.store.inspections import read_inspections
    from bench.store.suites import read_suite, total_of
    from bench.suite.spec import builtin_suites, load_suite

    spec = load_suite(name) if name in builtin_suites() or name.endswith(".toml") else None  # else the store knows it
    question, name = (spec.question, spec.name) if spec is not None else ("", name)
    stored = read_suite(roots, name, local=not shipped)
    if not stored.records and name not in SUITE_PAGES:
        raise RequestError(
            f"No results of suite '{name}' in {', '.join(repr(str(folder)) for folder in stored.folders)}. "
            f"Run `vitbench run {name}` first."
        )

    committed = [] if shipped else [suite_folder(root, name, local=False) for root in roots]
    looked = [read_inspections(folder) for folder in stored.folders]
    used = {record.cell.get("dataset", "") for record in stored.records}
    left_out = stand_in_lines(spec, used) if spec is not None else []
    flags = _flags(roots, shipped) + (f" --against {shlex.quote(against)}" if against is not None else "")
    with second_process(len(stored.records), has_many_points=name in SUITE_PAGES) as helper:
        studies[name] = study(name, stored.records, stored.predictions)
        return write_report(
            name,
            stored.records,
            stored.predictions,
            question=question,
            out=out,
            rebuild_command=f"vitbench report {name}{flags}",
            warnings=[*left_out, *stored.warnings, *(warning for one in looked for warning in one.warnings)],
            shipped=[record for folder in committed for record in read_records(folder).records],
            run_summary=total_of(stored.runs),
            against=None if against is None else _held_against(stored, roots, against, local=not shipped),
            inspections=[inspection for one in looked for inspection in one.inspections],
            analysed=studies[name],
            helper=helper,
        )


def _held_against(stored: StoredSuite, roots: list[Path], run: str, *, local: bool) -> Against:
    """What moved between the run that is named and the rest."""
    from bench.analyse.compare.against import compare_runs, run_figures
    from bench.store.suites import runs_to_compare

    two = runs_to_compare(stored, roots, run, local=local)
    before = run_figures(two.before.name, two.before.records, two.before_predictions)
    after = run_figures(two.after.name, two.after.records, two.after_predictions)
    return compare_runs(before, after, (two.told_before, two.told_after))
