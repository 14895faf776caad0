"""The plan of suite `public`: places that are published, and a draw that anybody can repeat."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from bench.catalog.public_counts import public_counts
from bench.catalog.public_results import public_results, published_sizes
from bench.errors import RequestError
from bench.measure.build import native_resolution
from bench.suite.cell import ComplexityCell, SpeedCell
from bench.suite.plan import plan
from bench.suite.planning_context import PlanningContext
from bench.suite.requested import requested
from bench.suite.spec import Request, load_suite


def no_dataset(name: str, resolution_px: int | None) -> object:
    raise AssertionError(name)


CPU = PlanningContext(device="cpu", find_dataset=no_dataset, native_resolution=native_resolution)  # type: ignore[arg-type]
PUBLIC = load_suite("public")
ROWS = {(row.model, row.img_size) for row in public_results()}
PLACES = {row.place for row in public_results()}


def timings(request: Request, context: PlanningContext = CPU) -> list[SpeedCell]:
    cells = plan(requested(PUBLIC, request, ()), context)
    assert all(isinstance(cell, SpeedCell) for cell in cells)
    return cells  # type: ignore[return-value]


def test_every_published_architecture_is_counted_once_at_each_of_its_sizes() -> None:
    cells = plan(requested(PUBLIC, "with --counts", ()), CPU)
    assert all(isinstance(cell, ComplexityCell) and cell.num_classes == 1000 for cell in cells)
    places = [(cell.model, cell.resolution_px) for cell in cells if isinstance(cell, ComplexityCell)]
    assert len(places) == len(set(places))
    assert set(places) == PLACES


def test_an_anchor_is_timed_in_two_processes_at_a_size_for_which_its_accuracy_is_published() -> None:
    cells = timings("by default")
    assert {(cell.model, cell.resolution_px) for cell in cells} <= ROWS
    assert sorted(cell.repeat for cell in cells) == [0] * 24 + [1] * 24
    assert {(cell.batch_size, cell.metrics) for cell in cells} == {(8, ("latency", "throughput"))}


def test_what_checks_the_estimates_is_the_draw_that_the_suite_states() -> None:
    anchors = {cell.model.partition(".")[0] for cell in timings("by default")}
    counts = public_counts()
    allowed = [place for place in sorted(PLACES) if place[0] not in anchors and (counts[place].macs or 0) <= 60e9]
    drawn = random.Random(0).sample(allowed, 30)
    assert {(cell.model, cell.resolution_px) for cell in timings("with --check-estimates")} == set(drawn)


def test_a_gpu_tries_a_smaller_batch_where_the_larger_one_does_not_fit() -> None:
    cuda = replace(CPU, device="cuda")
    first = timings("by default", cuda)
    assert {(cell.batch_size, cell.metrics) for cell in first} == {(256, ("latency", "throughput"))}
    known = {cell.cell_id for cell in first if cell.model.startswith("vit_large") and cell.repeat == 1}
    second = timings("by default", replace(cuda, too_large=frozenset(known)))
    further = [cell for cell in second if cell not in first]
    assert {(cell.batch_size, cell.metrics) for cell in further} == {(128, ("throughput",))}
    assert sorted((cell.resolution_px, cell.repeat) for cell in further) == [(224, 0), (224, 1), (384, 0), (384, 1)]
    known |= {cell.cell_id for cell in further if cell.resolution_px == 384}
    third = timings("by default", replace(cuda, too_large=frozenset(known)))
    smallest = [cell for cell in third if cell not in second]
    assert {(cell.batch_size, cell.resolution_px) for cell in smallest} == {(64, 384)}


def test_a_model_without_a_published_size_cannot_be_counted_at_those() -> None:
    block = PUBLIC.complexity[0].model_copy(update={"models": ("vit_32px_s",)})
    with pytest.raises(RequestError, match="No accuracy of model 'vit_32px_s' is published at any size"):
        plan(PUBLIC.model_copy(update={"complexity": (block,)}), CPU)


def test_sizes_are_those_of_a_checkpoint_or_of_all_of_its_architecture() -> None:
    assert published_sizes("resnet50.a1_in1k") == (224, 288)
    assert published_sizes("resnet50") == (160, 176, 224, 288)
    assert published_sizes("nonesuch") == ()
