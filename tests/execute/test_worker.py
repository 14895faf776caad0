"""A real worker process that answers a request."""

from __future__ import annotations

import math
from multiprocessing.connection import wait
from pathlib import Path
from typing import NoReturn

import pytest

from bench.data.sets.fingerprints import fingerprint_of_collection
from bench.data.sets.open import open_images
from bench.errors import CellFailedError, OutOfMemoryError, ResolutionError, UnsupportedError
from bench.execute.pool import IMPORT, Worker, request_of
from bench.execute.run_options import RunOptions
from bench.execute.worker import attempt
from bench.measure.build import build_model
from bench.measure.outcome import Outcome
from bench.measure.weight_files import file_weights_id, save_weights
from bench.suite.cell import ComplexityCell, EvaluateCell, Settings
from bench.suite.plan import definition_of

PATIENCE_SECONDS = 120.0


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ResolutionError("no 50 px"), "skipped"),
        (UnsupportedError("no bf16"), "skipped"),
        (OutOfMemoryError("full"), "oom"),
        (CellFailedError("broken"), "failed"),
        (KeyError("x"), "failed"),
        (SystemExit(0), "failed"),
    ],
)
def test_what_stops_a_cell_is_its_status(error: BaseException, status: str) -> None:
    def prepare() -> NoReturn:
        raise error

    assert attempt(prepare, {"wall_s": 0.0})["status"] == status


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_fails_the_cell_and_not_the_worker(bad: float) -> None:
    for outcome, place in (
        (Outcome({"notes": [], "rates": {"img_per_s": bad}}), "values.rates.img_per_s"),
        (Outcome({"params": 3}, {"loss": [1.0, bad]}), "samples.loss.1"),
    ):
        reply = attempt(lambda outcome=outcome: lambda: outcome, {"wall_s": 0.0})  # type: ignore[misc]
        assert reply["reason"] == f"{place} came out as {bad}, which is no number: no result is kept."
        assert (reply["status"], reply["values"]) == ("failed", {"is_final": True})


@pytest.mark.slow
def test_images_are_decoded_by_processes_while_the_worker_waits_for_its_input(tmp_path: Path) -> None:
    # A loader process forked from a worker whose thread reads standard input never came to its first image.
    file = tmp_path / "w.safetensors"
    save_weights(file, build_model("resnet_32px_s", num_classes=10, seed=0).state_dict(), {})
    weights = file_weights_id(file)
    digits = open_images("digits", data={}, root=tmp_path, download=False)
    cell = EvaluateCell(
        model="resnet_32px_s",
        num_classes=10,
        resolution_px=32,
        weights=weights,
        dataset="digits",
        fingerprint=fingerprint_of_collection(digits, ("test",)),
        device="cpu",
        settings=Settings(),
    )
    options = RunOptions(weights={weights: str(file)}, loader_workers=1)
    worker = Worker(threads=1)
    try:
        worker.send(
            {
                "cell": cell.model_dump(mode="json"),
                "threads": 1,
                "side_by_side": 1,
                "options": options.as_json(),
            }
        )
        has_answered = bool(wait([worker.fileno()], PATIENCE_SECONDS))
        reply = worker.receive() if has_answered else None
        if not has_answered:
            worker.kill()
    finally:
        worker.stop()
    assert reply is not None
    assert (reply["status"], reply["values"]["images"]) == ("ok", len(digits.part("test")))


def test_a_model_that_asks_for_input_is_not_given_the_next_request(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("import sys, os\nX = os.read(0, 100)\nY = input()\n")
    model = f"{tmp_path}/net.py:build"
    cell = ComplexityCell(
        model=model,
        definition=definition_of(model),
        resolution_px=32,
    )
    request = {"cell": cell.model_dump(), "threads": 1, "side_by_side": 1, "options": RunOptions().as_json()}
    worker = Worker(threads=1)
    try:
        for _ in range(2):
            worker.send(request)
        replies = [worker.receive() for _ in range(2)]
        worker.send({**request, "cell": {**cell.model_dump(), "definition": "sha256 0123456789abcdef"}})
        replies.append(worker.receive())
    finally:
        worker.stop()
    reasons = [reply["reason"] for reply in replies if reply is not None]
    assert [reason.partition("net.py:")[2][:11] for reason in reasons[:2]] == ["3: EOFError"] * 2
    assert "changed after the plan was made" in reasons[2]


def test_a_worker_that_was_asked_to_import_answers_and_then_runs_its_cell() -> None:
    worker = Worker(threads=1)
    try:
        worker.send(IMPORT)
        assert worker.receive(PATIENCE_SECONDS) == {}
        cell = ComplexityCell(model="vit_32px_s", definition=definition_of("vit_32px_s"), resolution_px=32)
        worker.send(request_of(cell, 1, RunOptions()))
        reply = worker.receive(PATIENCE_SECONDS)
    finally:
        worker.stop()
    assert reply is not None
    assert reply["status"] == "ok"
