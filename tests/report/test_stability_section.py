from __future__ import annotations

from pathlib import Path

from report.synthetic_store import speed_record
from report.test_report_files import write

from bench.analyse.study import study
from bench.report.tables.table import render_table
from bench.report.tables.timing_tables import stability_section
from bench.store.record import Record


def unsettled(model: str) -> Record:
    record = speed_record(model, 0, 100.0)
    return record.model_copy(update={"values": {**record.values, "warmup_settled": False}})


def test_one_row_per_warning_says_where_and_what_to_try():
    records = [unsettled("vit_32px_s"), unsettled("resnet_32px_s"), speed_record("vit_32px_s", 1, 101.0)]
    section = stability_section(study("s", records, lambda cell_id: None))
    assert section.table is not None
    assert render_table(section.table).splitlines()[2:] == [
        "| Warm-up ended by its time limit before the rate stood still | ResNet S, ViT S | 2 of 3 "
        "| the rate still moved | Time again on a quieter machine; the first blocks may be slow. |"
    ]


def test_the_section_is_on_the_page_only_where_a_check_fires(tmp_path: Path):
    heading = "## Timings to distrust"
    assert heading in write([unsettled("vit_32px_s")], tmp_path / "a").read_text(encoding="utf-8")
    assert heading not in write([speed_record("vit_32px_s", 0, 100.0)], tmp_path / "b").read_text(encoding="utf-8")
