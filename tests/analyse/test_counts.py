"""From records of counts to the table of the catalog."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import vitbench

from bench.analyse.counts import counts_of
from bench.catalog import public_counts as catalog
from bench.catalog.public_counts import COUNTED_WITH, PublicCount, public_counts
from bench.errors import RequestError
from bench.execute.environment import version_of
from bench.store.files import open_run
from bench.store.record import Record
from bench.suite.cell import ComplexityCell

HERE = {package: str(version_of(package)) for package in COUNTED_WITH}


def counted(count: PublicCount, **changes: Any) -> Record:
    cell = ComplexityCell(model=count.model, num_classes=1000, resolution_px=count.img_size)
    names = ("params", "macs", "norm_macs", "activations", "certificate", "certificate_note")
    arguments: dict[str, Any] = {
        "suite": "public",
        "cell_id": cell.cell_id,
        "cell": cell.model_dump(mode="json"),
        "status": "ok",
        "values": {"flops": 2, **{name: getattr(count, name) for name in names}},
        "conditions": HERE,
        "started_at": "2026-01-01T00:00:00.000+00:00",
        "wall_s": 0.1,
    }
    return Record(**arguments | changes)


def records() -> Iterator[Record]:
    return (counted(count) for count in public_counts().values())


def test_counts_are_those_of_the_records() -> None:
    assert counts_of(records(), HERE) == list(public_counts().values())


def test_the_latest_record_counts_and_a_failure_keeps_its_reason() -> None:
    first = next(iter(public_counts().values()))
    later = {"status": "failed", "reason": "no forward pass", "started_at": "2026-01-02T00:00:00.000+00:00"}
    found = counts_of([counted(first, **later), *records()], HERE)[0]
    assert found == PublicCount(
        model=first.model, img_size=first.img_size, certificate="failed", certificate_note="no forward pass"
    )


def test_counts_of_other_versions_do_not_count() -> None:
    with pytest.raises(
        RequestError, match=r"^1193 of 1193 architectures .* torch 9.9, .*`vitbench run public --counts`"
    ):
        counts_of(records(), {**HERE, "torch": "9.9"})


def test_adopt_writes_the_table_from_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = tmp_path / "public_counts.csv"
    committed = catalog.public_counts_path().read_bytes()
    monkeypatch.setattr(catalog, "public_counts_path", lambda: written)
    with open_run(tmp_path / "results", "public", "abcd", local=True) as writer:
        for record in records():
            writer.append(record)
    done = vitbench("adopt", "public", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1193 counts, 0 of them without a certificate.\n"
    assert written.read_bytes() == committed


def test_adopt_says_from_which_suites_it_can(tmp_path: Path) -> None:
    done = vitbench("adopt", "desk", cwd=tmp_path)
    assert done.returncode == 2
    assert "Unknown suite to adopt from 'desk'" in done.stderr
