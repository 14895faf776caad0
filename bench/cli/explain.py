"""`explain`: where a number of a report comes from, down to the file and line of each record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bench.report.tables.sidecar import Entry
    from bench.store.files import StoredRecord

_POOLED = " (an interval may pool the spread of others of its family or measured beside it: docs/intervals.md)"
_WIDEST = 160  # characters of one field of a record; --json has them whole


def explain(
    report: Annotated[Path, typer.Argument(help="Folder of a report, such as reports/pocket.")],
    place: Annotated[
        str, typer.Argument(metavar="[TABLE[:ROW[:COLUMN]]]", help="The place of a number; less lists what there is.")
    ] = "",
    results: Annotated[list[Path] | None, typer.Option("--results", help="Folder of results (repeatable).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, records whole.")] = False,
) -> None:
    """Say where a number of a report comes from: shown and unrounded value, and each record with file and line."""
    from bench.errors import RequestError
    from bench.report.tables.sidecar import entries_at, read_sidecars
    from bench.store.files import find_records
    from bench.text import printable

    folder = report.parent if report.name == "report.md" else report
    try:
        tables = read_sidecars(folder)
    except KeyError as error:
        raise RequestError(
            f"The tables of '{folder}' were written by another version (no column {error}). "
            f"`vitbench report {folder.name}` writes them anew."
        ) from None
    if not tables:
        raise RequestError(f"'{folder}' holds no report with tables. `vitbench report` writes reports.")
    if not place:
        typer.echo(json.dumps(_table_facts(tables), indent=2) if as_json else printable(_table_list(tables)))
        return
    entries = entries_at(tables, place)
    if len(entries) > 1:
        facts_of_all = [asdict(entry) for entry in entries]
        typer.echo(json.dumps(facts_of_all, indent=2) if as_json else printable(_entry_list(entries)))
        return
    [entry] = entries
    places = _places(folder, results or [Path("results")])
    found = [one for at in places for one in find_records(at, entry.record_ids) if one.record.status == "ok"]
    inspections = _inspections(entry, places)
    lacking = sorted(set(entry.record_ids) - {one.record.cell_id for one in found} - inspections.keys())
    if as_json:
        facts = asdict(entry) | {"records": [_record_facts(one) for one in found], "records_not_found": lacking}
        typer.echo(json.dumps(facts | {"inspections": inspections}, indent=2))
    else:
        typer.echo(printable(_explanation(entry, found)))
        for number, file in inspections.items():
            typer.echo(f"\n{number}  {file}, what one model made of one image")
    if lacking:
        raise RequestError(
            f"{len(lacking)} of {len(entry.record_ids)} records are not there ({', '.join(lacking[:4])}). "
            "Name the results that the report was made from with --results."
        )


def _places(folder: Path, roots: Sequence[Path]) -> list[Path]:
    """The folders that the report, or the page of the claims, was made from."""
    from bench.store.files import LOCAL, stored_suites, suite_folder

    place = folder.absolute()
    if (place / "claims.md").exists():  # this page rests on every suite
        local = place.name == LOCAL
        suites = {name for root in roots for name in stored_suites(root, local=local)}
    else:
        local, suites = place.parent.name == LOCAL, {place.name}
    return [suite_folder(root, name, local=local) for root in roots for name in sorted(suites)]


def _inspections(entry: Entry, places: Sequence[Path]) -> dict[str, str]:
    """Those of the entry's ids that are inspections -> the file with their facts."""
    from bench.store.inspections import inspection_path

    files = [(number, inspection_path(at, number)) for number in entry.record_ids for at in places]
    return {number: str(file) for number, file in files if file.is_file()}


def _table_list(tables: Mapping[str, Sequence[Entry]]) -> str:
    from bench.cli.words import table

    rows = [[name, str(fact["rows"]), str(fact["entries"])] for name, fact in _table_facts(tables).items()]
    listed = table(["Table", "Rows", "Entries"], rows, right=(1, 2))
    return f"{listed}\n\n`vitbench explain REPORT TABLE` lists its entries."


def _table_facts(tables: Mapping[str, Sequence[Entry]]) -> dict[str, dict[str, int]]:
    return {
        name: {"rows": len({entry.row for entry in entries}), "entries": len(entries)}
        for name, entries in tables.items()
    }


def _entry_list(entries: Sequence[Entry]) -> str:
    from bench.cli.words import table

    rows = [[entry.row, entry.column, entry.shown, str(len(entry.record_ids)), entry.source] for entry in entries]
    return table(["Row", "Column", "Shown", "Records", "Published in"], rows, right=(3,))


def _record_facts(one: StoredRecord) -> dict[str, Any]:
    return {"file": str(one.path), "line": one.line, **one.record.model_dump(mode="json")}


def _explanation(entry: Entry, found: Sequence[StoredRecord]) -> str:
    from bench.number_format import counted

    lines = [f"{entry.row}: {entry.column}", f"  shown       {entry.shown}"]
    for name, text in (("unrounded", entry.value), ("and", entry.more), ("published", entry.source)):
        lines += [f"  {name:<10}  {text}"] if text else []
    if not entry.record_ids:
        why = "it is published" if entry.source else "no measurement stands behind it"
        lines.append(f"  No records: {why}.")
    else:
        lines.append(f"  from {counted(len(entry.record_ids), 'record')}{_POOLED if 'low=' in entry.more else ''}:")
    times: dict[str, list[str]] = {}
    for one in found:
        times.setdefault(one.record.cell_id, []).append(one.record.started_at)
    for one in found:
        own = times[one.record.cell_id]
        age = " (the newest)" if one.record.started_at == max(own) else " (an older one)"
        lines += ["", *_record_lines(one, age if len(own) > 1 else "")]
    return "\n".join(lines)


def _record_lines(one: StoredRecord, age: str) -> list[str]:
    from bench.text import printable

    record = one.record
    samples = {name: f"{len(values)} numbers" for name, values in record.samples.items()}
    lines = [f"{record.cell_id}  {one.path} line {one.line}, {record.started_at}{age}"]
    for title, fields in (("cell", record.cell), ("values", record.values), ("samples", samples),
                          ("conditions", record.conditions)):  # fmt: skip
        lines += [f"  {title}"] if fields else []
        for name, value in fields.items():
            text = value if isinstance(value, str) else json.dumps(value)
            shown = text if len(text) <= _WIDEST else f"{text[:_WIDEST]}... ({len(text)} characters)"
            lines.append(printable(f"    {name:<24} {' '.join(shown.split())}"))
    return lines
