"""The section against another run, over made-up stores, and the command that asks for it."""

from __future__ import annotations

from pathlib import Path

from commands import Done
from commands import vitbench as run_here
from synthetic_store import complexity_record, desk_like, make_record, speed_record, train_cell, train_values

from bench.analyse.compare.against import compare_runs, run_figures
from bench.report.sections.against_section import against_section
from bench.report.tables.table import render_table
from bench.store.record import Record

ROOT = Path(__file__).resolve().parents[2]


def section(before, after, told=("old", "new")):  # type: ignore[no-untyped-def]
    sides = [run_figures("s", records, lambda cell_id: None) for records in (before, after)]
    return against_section(compare_runs(*sides, told))


def run(rates: tuple[float, ...], top1: float, macs: float = 2e6) -> list[Record]:
    records = [speed_record("vit_32px_s", repeat, rate) for repeat, rate in enumerate(rates)]
    records += [make_record(train_cell("vit_32px_s", seed=s), train_values(top1 + s)) for s in range(3)]
    return [*records, complexity_record("vit_32px_s", macs)]


def test_nothing_asked_for_is_no_section() -> None:
    assert against_section(None).is_empty


def test_moved_figures_come_first_with_change_interval_and_verdict() -> None:
    made = section(run((1000.0, 1010.0, 990.0), 80.0), run((800.0, 808.0, 792.0), 80.0, macs=2.2e6))
    lines = render_table(made.table).replace("\u202f", " ").splitlines()
    assert lines[2].startswith(
        "| ViT S | latency p50 [ms] | batch 1, 32 px, cpu, fp32, channels_last | 2.50 | 3.12 | × 1.250 |"
    )
    assert lines[2].endswith("| **moved** |")
    assert any("| 2 000 000 | 2 200 000 | +200 000 |" in line and "**changed**" in line for line in lines)
    assert lines[-1].endswith("| 0.0 points | – | – | identical |")
    assert "2 moved" in made.text
    assert "`vitbench check` times two versions in turn" in made.text


def test_counts_that_stayed_are_told_in_the_summary_alone() -> None:
    made = section(run((1000.0, 1010.0, 990.0), 80.0), run((1000.0, 1010.0, 990.0), 80.0))
    assert "Of 6 figures in both: 6 identical." in made.text
    assert len(made.table.rows) == 3  # throughput, latency, top-1


def test_figures_of_one_run_alone_are_named() -> None:
    made = section(run((1000.0, 1010.0), 80.0), [*run((1000.0, 1010.0), 80.0), *desk_like()])
    assert "In the run after alone (" in made.below
    assert "and" in made.below.splitlines()[-1]
    assert "before alone" not in made.below


def test_names_stay_text() -> None:
    name = "evil|<script>*b*"
    records = [make_record(train_cell(name, seed=s), train_values(80.0 + s)) for s in range(2)]
    made = section(records, [*records, complexity_record("<img>", 1.0)], ("<b>", "run|x"))
    text = "\n".join([made.text, render_table(made.table), made.below])
    assert "<script>" not in text
    assert "<b>" not in text
    assert "<img>" not in text


def store(folder: Path, name: str, records: list[Record]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.jsonl").write_text("".join(record.model_dump_json() + "\n" for record in records))


def vitbench(*arguments: str, cwd: Path) -> Done:
    return run_here("report", *arguments, cwd=cwd)


def test_the_command_writes_the_section_its_sidecar_and_how_to_rebuild_it(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "local" / "mine"
    store(folder, "20260101T000000Z-m", run((1000.0, 1010.0, 990.0), 80.0))
    later = [r.model_copy(update={"started_at": "2026-02-02T00:00:00Z"}) for r in run((800.0, 808.0, 792.0), 80.0)]
    store(folder, "20260202T000000Z-m", later)
    result = vitbench("mine", "--against", "20260101", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "reports" / "local" / "mine" / "report.md").read_text(encoding="utf-8")
    assert "## Against another run" in page
    assert "Before: run 20260101. After: the other run, 20260202T000000Z-m." in page
    assert "vitbench report mine --against 20260101" in page
    assert (tmp_path / "reports" / "local" / "mine" / "tables" / "against.csv").exists()
    again = vitbench("mine", cwd=tmp_path)
    assert again.returncode == 0
    assert not (tmp_path / "reports" / "local" / "mine" / "tables" / "against.csv").exists()


def test_a_wrong_run_is_one_line_and_exit_two(tmp_path: Path) -> None:
    store(tmp_path / "results" / "local" / "mine", "20260101T000000Z-m", run((1000.0, 1010.0), 80.0))
    store(tmp_path / "results" / "local" / "other", "20260101T000000Z-m", run((1000.0, 1010.0), 80.0))
    for arguments, message in ((("mine", "--against", "2027"), "No run of suite 'mine' begins with '2027'"),
                               (("--against", "2026"), "Name one of: mine, other")):  # fmt: skip
        result = vitbench(*arguments, cwd=tmp_path)
        assert result.returncode == 2
        assert message in result.stderr
        assert result.stderr.count("\n") == 1
    assert not (tmp_path / "reports").exists()
