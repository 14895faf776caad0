from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch.distributed

from bench.errors import RequestError, UnsupportedError
from bench.process_group import MEMBER_VARIABLES, SIZE_VARIABLE, ProcessGroup, alone, group_size, joined_group

MEMBER = """
import json, sys
from pathlib import Path
import torch
from bench.process_group import joined_group
with joined_group("cpu") as group:
    group.barrier()
    gathered = group.gather([f"{group.rank}:{i}" for i in range(group.rank)])  # rank 0 has nothing to give
    found = [group.rank, group.size, group.device, group.is_first, gathered, torch.get_num_threads()]
    Path(sys.argv[1]).joinpath(f"{group.rank}.json").write_text(json.dumps(found))
assert not torch.distributed.is_initialized()
"""


@pytest.fixture(autouse=True)
def no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (SIZE_VARIABLE, "LOCAL_WORLD_SIZE", *MEMBER_VARIABLES):
        monkeypatch.delenv(name, raising=False)


def test_without_an_environment_a_process_is_alone_and_needs_no_group() -> None:
    with joined_group("cpu") as group:
        assert group == alone("cpu") == ProcessGroup(rank=0, size=1, device="cpu")
        assert group.is_first
        assert group.gather([1, 2]) == [1, 2]
        group.barrier()
        assert not torch.distributed.is_initialized()


def test_a_group_of_one_is_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SIZE_VARIABLE, "1")  # torchrun with one process
    with joined_group("cpu") as group:
        assert group == alone("cpu")
        assert not torch.distributed.is_initialized()


def test_an_incomplete_environment_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SIZE_VARIABLE, "2")
    monkeypatch.setenv("RANK", "0")
    with (
        pytest.raises(RequestError, match=r"LOCAL_RANK, MASTER_ADDR, MASTER_PORT is not set.*torchrun"),
        joined_group("cpu"),
    ):
        pass


@pytest.mark.parametrize("size", ["two", "0", "-1", ""])
def test_a_size_that_is_no_number_is_refused(size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SIZE_VARIABLE, size)
    with pytest.raises(RequestError, match=f"WORLD_SIZE is '{size}', expected a whole number from 1"):
        group_size()


def set_group(monkeypatch: pytest.MonkeyPatch, rank: int, size: int) -> None:
    group = {SIZE_VARIABLE: size, "RANK": rank, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 1}
    for name, value in group.items():
        monkeypatch.setenv(name, str(value))


def test_a_rank_beyond_the_group_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    set_group(monkeypatch, rank=2, size=2)
    with pytest.raises(RequestError, match="ranks go from 0 to 1"), joined_group("cpu"):
        pass


def test_processes_do_not_share_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    set_group(monkeypatch, rank=1, size=2)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(UnsupportedError, match="needs a GPU of its own; torch sees 1"), joined_group("cuda"):
        pass
    with pytest.raises(UnsupportedError, match="mps"), joined_group("mps"):
        pass


@pytest.mark.slow
def test_processes_find_each_other_and_gather_in_the_order_of_their_ranks(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    group = {SIZE_VARIABLE: 3, "LOCAL_WORLD_SIZE": 3, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    kept = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    started = []
    for rank in (0, 1, 2):
        environment = {**kept, **{k: str(v) for k, v in {**group, "RANK": rank, "LOCAL_RANK": rank}.items()}}
        command = [sys.executable, "-W", "error::UserWarning:accelerate", "-c", MEMBER, str(tmp_path)]
        started.append(subprocess.Popen(command, env=environment))
    assert [process.wait(timeout=300) for process in started] == [0, 0, 0]
    threads = max(1, len(os.sched_getaffinity(0)) // 3)
    for rank in (0, 1, 2):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert found == [rank, 3, "cpu", rank == 0, ["1:0", "2:0", "2:1"], threads]
