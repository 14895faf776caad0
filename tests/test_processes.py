"""Processes as they are started, asked, waited for and ended."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from bench import processes
from bench.processes import JsonProcess


@pytest.fixture(autouse=True)
def _not_stopped() -> Iterator[None]:
    processes.STOP.clear()
    yield
    processes.STOP.clear()


def test_an_idle_process_is_not_waited_for() -> None:
    started = time.monotonic()
    processes.request_stop()
    assert time.monotonic() - started < 1.0
    assert processes.STOP.is_set()


def test_work_that_saves_itself_sees_the_request_and_is_waited_for() -> None:
    saved: list[str] = []

    def work() -> None:
        with processes.saves_itself() as stop:
            begun.set()
            stop.wait(10)
            time.sleep(0.05)
            saved.append("checkpoint")

    begun = threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    begun.wait(10)
    processes.request_stop()
    assert saved == ["checkpoint"]
    thread.join()


def test_waiting_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PATIENCE_SECONDS", 0.05)
    with processes.saves_itself():
        started = time.monotonic()
        processes.request_stop()
        assert time.monotonic() - started < 5.0


def python(code: str) -> JsonProcess:
    return JsonProcess([sys.executable, "-c", code])


def test_an_answer_that_never_comes_is_a_timeout_and_one_that_comes_late_is_read_whole() -> None:
    process = python("import sys, time; sys.stdin.readline(); print('{\"a\":', flush=True, end=''); "
                     "sys.stdin.readline(); print('1}', flush=True)")  # fmt: skip
    try:
        process.send({})
        with pytest.raises(TimeoutError):
            process.receive(seconds=1.0)
        process.send({})
        assert process.receive(seconds=30.0) == {"a": 1}
    finally:
        process.stop()


@pytest.mark.parametrize(
    ("code", "words", "last_line"),
    [
        ("raise SystemExit('no such file')", "ended with exit code 1", "no such file"),
        ("import os; os.kill(os.getpid(), 11)", "died of SIGSEGV", ""),
        (
            "import os; os.kill(os.getpid(), 9)",
            "was killed (SIGKILL), most often by the system when memory runs out",
            "",
        ),
    ],
)
def test_a_process_that_ends_instead_of_answering_says_how(code: str, words: str, last_line: str) -> None:
    process = python(code)
    try:
        process.send({"anything": 1})
        assert process.receive(seconds=30.0) is None
        ending = process.ending()
        assert (ending.words, ending.last_line) == (words, last_line)
    finally:
        process.stop()


def test_a_process_that_does_not_leave_is_ended_with_what_it_started() -> None:
    process = python(
        "import subprocess, sys, time; child = subprocess.Popen(['sleep', '60']); "
        "print('{\"child\": %d}' % child.pid, flush=True); time.sleep(60)"
    )
    reply = process.receive(seconds=30.0)
    assert reply is not None
    child = psutil.Process(reply["child"])
    process.stop(patience_s=0.1)
    child.wait(timeout=10)
