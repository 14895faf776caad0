from pathlib import Path
from typing import Any

import pytest

from bench.errors import RequestError
from bench.store.files import StoredRun
from bench.store.record import Record
from bench.store.suites import read_suite, runs_to_compare, total_of

OLD, NEW = "20260101T000000000000Z-m1", "20260202T000000000000Z-m1"


def put(folder: Path, run: str, *cell_ids: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    records = [
        Record(
            suite="s", cell_id=cell_id, cell={"task": "train"}, status="ok", conditions={}, started_at=run[:8], wall_s=1
        )
        for cell_id in cell_ids
    ]
    (folder / f"{run}.jsonl").write_text("".join(record.model_dump_json() + "\n" for record in records))
    (folder / "predictions").mkdir(exist_ok=True)


def predicted(folder: Path, cell_id: str) -> None:
    import pandas as pd

    pd.DataFrame({"key": ["a"], "label": [0], "prediction": [0]}).to_parquet(
        folder / "predictions" / f"{cell_id}.parquet"
    )


def two(root: Path, run: str):  # type: ignore[no-untyped-def]
    return runs_to_compare(read_suite([root], "s", local=True), [root], run, local=True)


def ids(suite) -> list[str]:  # type: ignore[no-untyped-def]
    return [record.cell_id for record in suite.records]


def test_a_run_is_held_against_the_others_and_its_parts_belong_to_it(tmp_path: Path) -> None:
    folder = tmp_path / "local" / "s"
    put(folder, OLD, "a", "b")
    put(folder, f"{OLD}-2", "c")
    put(folder, NEW, "a")
    found = two(tmp_path, "20260101")
    assert (sorted(ids(found.before)), ids(found.after)) == (["a", "b", "c"], ["a"])
    assert ids(two(tmp_path, f"{NEW}.jsonl").before) == ["a"]


def test_predictions_belong_to_the_newest_run_of_a_cell(tmp_path: Path) -> None:
    # the file of cell `a` was overwritten by the newer run, that of `b` was not
    folder = tmp_path / "local" / "s"
    put(folder, OLD, "a", "b")
    put(folder, NEW, "a")
    for cell_id in "ab":
        predicted(folder, cell_id)
    found = two(tmp_path, OLD)
    assert [found.before_predictions(c) is None for c in "ab"] == [True, False]
    assert [found.after_predictions(c) is None for c in "ab"] == [False, True]


@pytest.mark.parametrize("inside", ["local/s", "s", "."])
def test_a_folder_is_read_whatever_its_depth(tmp_path: Path, inside: str) -> None:
    put(tmp_path / "here" / "local" / "s", NEW, "a")
    put(tmp_path / "there" / inside, OLD, "a", "b")
    predicted(tmp_path / "there" / inside, "a")
    found = two(tmp_path / "here", str(tmp_path / "there"))
    assert (ids(found.before), ids(found.after)) == (["a", "b"], ["a"])
    assert found.before_predictions("a") is not None
    assert found.before.name == "s"


@pytest.mark.parametrize(
    ("run", "message"), [("2027", "No run of suite 's' begins with '2027'"), ("2026", "nothing is left to compare")]
)
def test_a_run_that_is_not_there_gets_those_that_are(tmp_path: Path, run: str, message: str) -> None:
    put(tmp_path / "local" / "s", OLD, "a")
    put(tmp_path / "local" / "s", NEW, "a")
    with pytest.raises(RequestError, match=message) as raised:
        two(tmp_path, run)
    assert OLD in str(raised.value)


def test_a_folder_without_the_suite_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "here" / "local" / "s", NEW, "a")
    with pytest.raises(RequestError, match="holds no results of suite 's'"):
        two(tmp_path / "here", str(tmp_path))


def taken(wall_s: float, in_cell_s: float, workers: int = 2) -> dict[str, Any]:
    return {
        "wall_s": wall_s,
        "in_cell_s": in_cell_s,
        "workers": workers,
        "overhead_ratio": wall_s * workers / in_cell_s,
    }


def run_of(name: str, hour: int, cells: str, summary: dict[str, Any] | None) -> StoredRun:
    records = [
        Record(suite="s", cell_id=cell * 16, cell={}, status="ok", conditions={"machine": "m"},
               started_at=f"2026-01-01T{hour:02}:00:00Z", wall_s=10.0)
        for cell in cells
    ]  # fmt: skip
    return StoredRun(name, records, summary)


def test_runs_that_were_taken_up_again_count_together() -> None:
    total = total_of([run_of("a", 1, "1234", taken(2500.0, 4000.0)), run_of("b", 2, "56", taken(60.0, 80.0))])
    assert total is not None
    assert (total["wall_s"], total["in_cell_s"], total["runs"], total["workers"]) == (2560.0, 4080.0, 2, [2])
    assert total["overhead_ratio"] == pytest.approx(2560 * 2 / 4080)
    assert total["untold_records"] == 0


def test_a_run_whose_cells_were_all_run_again_counts_no_more() -> None:
    total = total_of([run_of("a", 1, "12", taken(500.0, 900.0)), run_of("b", 2, "12", taken(60.0, 80.0))])
    assert total is not None
    assert (total["wall_s"], total["runs"]) == (60.0, 1)


def test_a_run_that_was_stopped_is_told_by_its_records() -> None:
    total = total_of([run_of("a", 1, "123", None), run_of("b", 2, "4", taken(60.0, 80.0))])
    assert total is not None
    assert (total["wall_s"], total["untold_records"], total["untold_in_cell_s"]) == (60.0, 3, 30.0)
    assert total_of([run_of("a", 1, "123", None)]) is None
