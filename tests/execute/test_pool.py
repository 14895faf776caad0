"""Worker processes as they are started."""

from __future__ import annotations

import pytest

from bench.execute.pool import Group

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
