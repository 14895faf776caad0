"""Every kind of cell has a row, and whoever keeps something for each kind of cell keeps it for every row."""

from __future__ import annotations

from typing import get_args

from bench.execute.prepare import PREPARE
from bench.execute.prepare_timing import PREPARE_TIMING
from bench.suite.cell import Cell, TimingCell
from bench.suite.tasks import TASKS


def test_every_kind_of_cell_has_a_row_under_its_own_name() -> None:
    assert {row.cell for row in TASKS.values()} == set(get_args(Cell))
    assert all(row.cell.model_fields["task"].default == name for name, row in TASKS.items())


def test_every_kind_of_cell_can_be_executed() -> None:
    assert set(PREPARE) == set(get_args(Cell))


def test_what_is_timed_is_alone_on_the_machine_and_has_its_threads() -> None:
    timings = {row.cell for row in TASKS.values() if row.measures is not None}
    assert timings == {row.cell for row in TASKS.values() if row.threads == "timed"}
    assert timings == set(PREPARE_TIMING) == set(get_args(TimingCell))


def test_every_duration_is_said_or_follows_from_a_training_or_from_images() -> None:
    unknown = {name for name, row in TASKS.items() if row.seconds is None and not row.trains}
    assert unknown == {"preflight", "evaluate", "fewshot", "pixels"}
