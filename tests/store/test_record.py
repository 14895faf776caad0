"""A record gives back the cell as it was planned."""

from __future__ import annotations

from analyse.records import record

from bench.suite.cell import ComplexityCell, PixelsCell

CELL = ComplexityCell(model="resnet50", resolution_px=224)


def test_the_cell_is_the_one_that_was_planned() -> None:
    read = record(CELL.model_dump(mode="json"))
    assert read.asked == CELL
    assert read.task is not None
    assert read.task.cell is ComplexityCell


def test_a_cell_that_this_version_does_not_know_is_none() -> None:
    assert record({"task": "dream", "model": "x"}).asked is None
    assert record({"task": "dream", "model": "x"}).task is None
    assert record({"task": "complexity", "model": "x", "colour": "red"}).asked is None


def test_a_copy_with_another_cell_asks_for_that_one() -> None:
    read = record(CELL.model_dump(mode="json"))
    assert read.asked == CELL
    other = PixelsCell(dataset="digits", fingerprint="0", resolution_px=32, num_classes=10, seed=0)
    assert read.model_copy(update={"cell": other.model_dump(mode="json")}).asked == other
