"""What the copies do that torchrun starts of a whole command."""

from __future__ import annotations

import pytest

from bench.errors import RequestError
from bench.execute.torchrun import processes_of_torchrun


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
