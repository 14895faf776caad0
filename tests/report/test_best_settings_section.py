from __future__ import annotations

from pathlib import Path

from analyse.test_best_settings import timed, trials
from report.test_page import write

from bench.analyse.study import study
from bench.report.best_settings_section import best_settings_section
from bench.report.markdown import render_table
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
    assert rows[0][7] == "fp32, channels_last, compiled"
    assert rows[1][7].startswith("fp32, channels_last, eager")
    assert rows[2][7] == "bf16, channels_last, eager, folded"
    assert all(row[8].startswith("16") for row in rows)
    assert [note[:23] for note in section.table.notes] == ["some trials gave no res", "the fixed settings won;"]


def test_a_sentence_says_whether_the_order_of_families_changes():
    text = best_settings_section(study("s", records(), lambda cell_id: None)).text
    assert "The fastest of 16 trials per model" in text
    assert "ViTs over CNNs at batch 64 (geometric mean of 3 models)" in text
    assert "2.24 × [2.24, 2.24] with fixed settings, 0.67 × [0.67, 0.67] with each model's best settings" in text
    assert text.endswith("the order changes.")


def test_the_section_is_on_the_page_and_only_where_best_settings_were_timed(tmp_path: Path):
    with_best = write(records(), tmp_path / "a").read_text(encoding="utf-8")
    assert "## Fixed settings and best settings" in with_best
    fixed_only = [record for record in records() if record.cell.get("role") is None]
    assert "best settings" not in write(fixed_only, tmp_path / "b").read_text(encoding="utf-8")
