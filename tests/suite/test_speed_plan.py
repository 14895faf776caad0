"""Plans of speed blocks: training steps, searches for the largest batch, and what follows from their results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.catalog.datasets import find_dataset
from bench.errors import SuiteFileError
from bench.suite.cell import (
    Cell,
    LargestBatchCell,
    SpeedCell,
    TrainingMemoryCell,
    TrainingStepCell,
    parse_cell,
)
from bench.suite.plan import plan
from bench.suite.planning_context import ImagesFacts, PlanningContext
from bench.suite.spec import load_suite, parse_suite

WORLD = PlanningContext(
    device="cpu",
    find_dataset=lambda name, _: find_dataset(name),
    native_resolution=lambda _: 32,
    find_images=lambda name: ImagesFacts(name, 10, "t", "f", train_images=900, image_px=32),
)

TRAINING = """
question = "Why?"
[[speed]]
models = ["*_32px_s"]
metrics = ["training_throughput", "training_peak_memory"]
batch_sizes = [8, 64]
processes = 2
"""

LARGEST = """
question = "Why?"
[[speed]]
models = ["*_32px_s"]
metrics = ["throughput", "largest_batch"]
batch_sizes = [8, "largest"]
processes = 2
memory_limit_mib = 256
"""


def cells_of(text: str, context: PlanningContext = WORLD) -> list[Cell]:
    return plan(parse_suite(text, Path("mine.toml")), context)


def test_training_steps_come_in_rounds_of_random_order_and_memory_once() -> None:
    cells = cells_of(TRAINING)
    steps = [cell for cell in cells if isinstance(cell, TrainingStepCell)]
    assert [cell.repeat for cell in steps] == [0] * 10 + [1] * 10
    orders = [[(cell.model, cell.batch_size) for cell in steps if cell.repeat == repeat] for repeat in range(2)]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])
    assert sum(isinstance(cell, TrainingMemoryCell) for cell in cells) == 10
    assert len(cells) == 20 + 10  # nothing is timed that was not asked for


def test_a_search_is_once_per_model_and_its_budget_is_part_of_the_cell() -> None:
    searches = [cell for cell in cells_of(LARGEST) if isinstance(cell, LargestBatchCell)]
    assert len(searches) == 5
    assert {(cell.memory_limit_mib, cell.cap) for cell in searches} == {(256, 4096)}
    other = [cell for cell in cells_of(LARGEST.replace("256", "512")) if isinstance(cell, LargestBatchCell)]
    assert {cell.cell_id for cell in searches}.isdisjoint(cell.cell_id for cell in other)
    assert parse_cell(searches[0].model_dump(mode="json")) == searches[0]


def test_on_a_gpu_the_limit_is_the_devices_memory() -> None:
    searches = [cell for cell in cells_of(LARGEST, replace(WORLD, device="cuda")) if isinstance(cell, LargestBatchCell)]
    assert {cell.memory_limit_mib for cell in searches} == {None}


def test_timings_at_the_largest_batch_follow_when_it_is_known() -> None:
    before = cells_of(LARGEST)
    assert {cell.batch_size for cell in before if isinstance(cell, SpeedCell)} == {8}
    first, second, *_ = (cell for cell in before if isinstance(cell, LargestBatchCell))
    found = {first.cell_id: 77, second.cell_id: 0}  # of the second not one image fits
    after = [cell for cell in cells_of(LARGEST, replace(WORLD, largest_batches=found)) if cell not in before]
    assert [(c.model, c.batch_size, c.repeat) for c in after if isinstance(c, SpeedCell)] == [
        (first.model, 77, 0),
        (first.model, 77, 1),
    ]
    assert len(after) == 2


def test_a_search_without_a_budget_is_refused_with_file_and_line() -> None:
    with pytest.raises(SuiteFileError, match=r"mine.toml:3: speed.0?.*: the largest batch needs memory_limit_mib"):
        cells_of(LARGEST.replace("memory_limit_mib = 256", ""))


def test_cells_of_plain_blocks_have_the_ids_that_shipped_records_carry() -> None:
    ids = {cell.cell_id for cell in plan(load_suite("speed-desk"), WORLD) if isinstance(cell, SpeedCell)}
    shipped = Path(__file__).parents[2] / "results" / "speed-desk"
    stored = "".join(path.read_text(encoding="utf-8") for path in sorted(shipped.glob("*.jsonl")))
    assert len(ids) == 3 * (3 + 3) * 5
    assert all(f'"cell_id":"{cell_id}"' in stored for cell_id in ids)


def test_speed_desk_times_every_setting_in_five_processes() -> None:
    cells = plan(load_suite("speed-desk"), WORLD)
    assert sum(isinstance(cell, SpeedCell) for cell in cells) == 3 * (3 + 3) * 5
    assert sum(isinstance(cell, TrainingStepCell) for cell in cells) == 3 * 5
    assert sum(isinstance(cell, LargestBatchCell) for cell in cells) == 3 * 2


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_paper_speed_makes_a_plan_on_every_device(device: str) -> None:
    context = replace(WORLD, device=device, native_resolution=lambda _: 224)  # type: ignore[arg-type]
    cells = plan(load_suite("paper-speed"), context)
    searches = [cell for cell in cells if isinstance(cell, LargestBatchCell)]
    assert {cell.resolution_px for cell in searches} == {128, 224, 384, 512}
    assert len(searches) == 11 * 4
