from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
from typing import Any

import pytest

from bench.measure.timing import timing
from bench.measure.timing.timing import KEPT_MEMORY, allocator_of, kept_memory, page_faults

# One pass, as a model makes it: blocks of several sizes, some above 32 MiB, written and then freed.
PASSES = """
import json, resource, torch
from bench.measure.timing.timing import page_faults
def one_pass():
    for mib in (1, 8, 40, 3):
        torch.ones(mib * 2**18).add_(1)
for _ in range(3):
    one_pass()
before = page_faults()
for _ in range(5):
    one_pass()
print(json.dumps((page_faults() - before) / 5))
"""


@pytest.fixture(autouse=True)
def _with_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "_is_glibc", lambda: True)


def test_a_process_that_times_keeps_freed_memory_and_says_so() -> None:
    added = kept_memory({"HOME": "x"})
    assert added == KEPT_MEMORY
    assert allocator_of({"HOME": "x", **added}) == "glibc, freed memory kept"
    assert allocator_of({"HOME": "x"}) == "glibc, nothing set"


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"MALLOC_TRIM_THRESHOLD_": "0"}, "MALLOC_TRIM_THRESHOLD_=0"),
        ({"MALLOC_MMAP_THRESHOLD_": "65536"}, "MALLOC_MMAP_THRESHOLD_=65536"),
        ({"GLIBC_TUNABLES": "glibc.pthread.rseq=0:glibc.malloc.mmap_max=9"}, "glibc.malloc.mmap_max=9"),
    ],
)
def test_a_rule_of_the_users_own_stands_and_is_recorded(own: dict[str, str], said: str) -> None:
    assert kept_memory(own) == {}
    assert allocator_of(own) == f"glibc, set by the user: {said}"


def test_variables_that_decide_nothing_about_freed_memory_change_nothing() -> None:
    assert kept_memory({"MALLOC_ARENA_MAX": "2", "GLIBC_TUNABLES": "glibc.pthread.rseq=0"}) == KEPT_MEMORY


def test_a_preloaded_allocator_is_named_without_its_place() -> None:
    preloaded = {"LD_PRELOAD": "/opt/lib/libother.so:/opt/lib/libjemalloc.so.2", **KEPT_MEMORY}
    assert allocator_of(preloaded) == "libjemalloc.so.2, preloaded by the user"


def test_without_glibc_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "_is_glibc", lambda: False)
    assert kept_memory({}) == {}
    assert allocator_of({}) == "not glibc, nothing set"


def test_page_faults_grow_with_memory_that_is_written() -> None:
    before = page_faults()
    with mmap.mmap(-1, 8 * 2**20) as fresh:  # what the allocator kept would not be fresh
        fresh.write(b"x" * len(fresh))
    assert page_faults() > before


def test_passes_that_free_what_they_took_have_no_page_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    added = kept_memory({})
    if not added:
        pytest.skip("there is no glibc here, or its user set a rule")
    assert _faults_per_pass(added) < 5
    assert _faults_per_pass({}) > 1_000


def _faults_per_pass(added: dict[str, str]) -> Any:
    own = {key: value for key, value in os.environ.items() if key not in timing.VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", PASSES], env={**own, "OMP_NUM_THREADS": "1", **added}, capture_output=True, check=True
    )
    return json.loads(done.stdout)
