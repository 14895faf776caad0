from pathlib import Path

import pytest

from bench.errors import StoreError
from bench.store.files import open_run
from bench.store.record import Record
from bench.store.suites import read_suite


def stored(root: Path, cell_id: str, day: int = 1, prediction: int = 1) -> None:
    record = Record(suite="s", cell_id=cell_id, cell={"task": "train"}, status="ok", conditions={},
                    started_at=f"2026-01-{day:02}T00:00:00Z", wall_s=1.0)  # fmt: skip
    with open_run(root, "s", "m", local=True) as writer:
        writer.append(record)
        writer.append_summary({"of": cell_id})
        columns = {"key": [cell_id], "label": [0], "prediction": [prediction], "label_probability": [0.5]}
        writer.write_predictions(cell_id, columns)


def test_several_folders_are_read_as_one_suite(tmp_path: Path) -> None:
    stored(tmp_path / "a", "1" * 16)
    stored(tmp_path / "b", "2" * 16)
    suite = read_suite([tmp_path / "a", tmp_path / "b"], "s", local=True)
    assert [record.cell_id for record in suite.records] == ["1" * 16, "2" * 16]
    assert [run.summary for run in suite.runs] == [{"of": "1" * 16}, {"of": "2" * 16}]
    found = suite.predictions("2" * 16)
    assert found is not None
    assert list(found["key"]) == ["2" * 16]
    assert suite.predictions("3" * 16) is None


@pytest.mark.parametrize("newer", ["a", "b"])
def test_of_a_cell_in_two_folders_the_predictions_are_those_of_the_newest_result(tmp_path: Path, newer: str) -> None:
    for name in "ab":
        stored(tmp_path / name, "1" * 16, day=2 if name == newer else 1, prediction=7 if name == newer else 3)
    found = read_suite([tmp_path / "a", tmp_path / "b"], "s", local=True).predictions("1" * 16)
    assert found is not None
    assert list(found["prediction"]) == [7]


def test_a_suite_that_is_not_there_has_no_records(tmp_path: Path) -> None:
    assert read_suite([tmp_path], "s", local=True).records == ()


def test_a_broken_line_stops_the_reading(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "x.jsonl").write_text("no\n")
    with pytest.raises(StoreError, match="is not JSON"):
        read_suite([tmp_path], "s", local=False)
