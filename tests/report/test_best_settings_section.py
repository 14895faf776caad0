from __future__ import annotations

from pathlib import Path

from analyse.test_best_settings import timed, trials
from report.test_report_files import write

from bench.analyse.study import study
from bench.report.tables.table import render_table
from bench.report.tables.timing_tables import best_settings_section
from bench.store.record import Record


def records() -> list[Record]:
    return [
        *timed("vit_32px_s", 1000.0, 1200.0, compile=True),
        *timed("resnet_32px_s", 500.0, 8000.0, precision="bf16", fold=True),
        *timed("mbconv_32px_s", 400.0, 400.0),
        *(trial for model in ("vit_32px_s", "resnet_32px_s", "mbconv_32px_s") for trial in trials(model, 16, 1)),
    ]


def test_the_table_tells_fixed_from_best_and_says_what_won():
    section = best_settings_section(study("s", records(), lambda cell_id: None))
    assert section.table is not None
    rows = [line.split(" | ") for line in render_table(section.table).splitlines()[2:5]]
    assert [row[0] for row in rows] == ["| ViT S", "| MBConv S", "| ResNet S"]
    assert [row[5] for row in rows] == ["1.20 × [1.20, 1.20]", "1.00 × [1.00, 1.00]", "16.00 × [16.00, 16.00]"]
    assert [row[3:5] for row in rows[:1]] == [
        ["1\u202f040 [1\u202f000, 1\u202f080]", "1\u202f248 [1\u202f200, 1\u202f296]"]
    ]
    assert rows[0][7] == "fp32, channels_last, compiled"
    assert rows[1][7].startswith("fp32, channels_last, eager")
    assert rows[2][7] == "bf16, channels_last, eager, folded"
    assert all(row[8].startswith("16") for row in rows)
    assert [note[:23] for note in section.table.notes] == ["some trials gave no res", "the fixed settings won;"]


def test_two_processes_have_a_ratio_without_a_range():
    few = [*timed("vit_32px_s", 1000.0, 1200.0, rounds=2, compile=True), *trials("vit_32px_s", 2)]
    table = best_settings_section(study("s", few, lambda cell_id: None)).table
    assert table is not None
    assert [cell.text for cell in table.rows[0]][3:6] == ["1\u202f010", "1\u202f212", "1.20 ×"]


def test_the_text_says_how_many_trials_chose_the_best():
    assert "The fastest of 16 trials per model" in best_settings_section(study("s", records(), lambda _: None)).text


def test_the_section_is_on_the_page_and_only_where_best_settings_were_timed(tmp_path: Path):
    with_best = write(records(), tmp_path / "a").read_text(encoding="utf-8")
    assert "## Fixed settings and best settings" in with_best
    fixed_only = [record for record in records() if record.cell.get("role") is None]
    assert "best settings" not in write(fixed_only, tmp_path / "b").read_text(encoding="utf-8")
