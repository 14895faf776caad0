"""Worker processes as they are started, and what the copies do that torchrun starts of a whole command."""

from __future__ import annotations

import pytest

from bench.errors import RequestError
from bench.execute.pool import Group, processes_of_torchrun

PRINT_ENVIRONMENT = """\
import os, sys
sys.stdin.readline()
names = ("TORCHELASTIC_USE_AGENT_STORE", "ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "RANK", "WORLD_SIZE")
print('{"status": "ok", "values": "' + " ".join(os.environ.get(name, "none") for name in names) + '"}', flush=True)
"""


def test_a_group_is_told_of_itself_and_not_of_what_started_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # With torchrun's word that its agent serves the store, all of a group would wait for a server that is not there.
    for name, value in {
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4",
        "RANK": "0",
        "WORLD_SIZE": "7",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("bench.execute.pool.WORKER", ["-c", PRINT_ENVIRONMENT])
    group = Group(threads=1, processes=2)
    try:
        group.send({})
        reply = group.receive()
    finally:
        group.stop()
    assert reply == {"status": "ok", "values": "none none 0 2"}


@pytest.fixture
def started_by_torchrun(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in {"TORCHELASTIC_RUN_ID": "none", "LOCAL_WORLD_SIZE": "3", "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_without_torchrun_a_cell_has_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert processes_of_torchrun() == 1


@pytest.mark.usefixtures("started_by_torchrun")
def test_the_first_copy_takes_as_many_processes_as_were_asked_for() -> None:
    assert processes_of_torchrun() == 3


def test_the_other_copies_leave_without_an_error(started_by_torchrun: pytest.MonkeyPatch) -> None:
    started_by_torchrun.setenv("RANK", "1")
    with pytest.raises(SystemExit) as left:
        processes_of_torchrun()
    assert left.value.code == 0


def test_several_machines_are_refused(started_by_torchrun: pytest.MonkeyPatch) -> None:
    started_by_torchrun.setenv("GROUP_WORLD_SIZE", "2")
    with pytest.raises(RequestError, match="several machines"):
        processes_of_torchrun()
