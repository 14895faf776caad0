"""Asking a worker to end while it saves itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from bench.execute import stopping


@pytest.fixture(autouse=True)
def _not_stopped() -> Iterator[None]:
    stopping.STOP.clear()
    yield
    stopping.STOP.clear()


def test_an_idle_process_is_not_waited_for() -> None:
    started = time.monotonic()
    stopping.request_stop()
    assert time.monotonic() - started < 1.0
    assert stopping.STOP.is_set()


def test_work_that_saves_itself_sees_the_request_and_is_waited_for() -> None:
    saved = []

    def work() -> None:
        with stopping.saves_itself() as stop:
            begun.set()
            stop.wait(10)
            time.sleep(0.05)
            saved.append("checkpoint")

    begun = threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    begun.wait(10)
    stopping.request_stop()
    assert saved == ["checkpoint"]
    thread.join()


def test_waiting_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "PATIENCE_SECONDS", 0.05)
    with stopping.saves_itself():
        started = time.monotonic()
        stopping.request_stop()
        assert time.monotonic() - started < 5.0
