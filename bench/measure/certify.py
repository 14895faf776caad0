"""Count many models, in several processes, in a stable order."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

import timm
import torch

from bench.errors import BenchError, UserCodeError
from bench.measure.build import native_resolution
from bench.measure.complexity import Complexity, measure_complexity

CHUNK = 8  # names handed to a process at a time: neighbours in a list often share an architecture


def all_timm_models() -> list[str]:
    """Every architecture that timm lists, without tags: tags differ in weights, not in shape."""
    return list(timm.list_models())


def certify_all(
    names: Iterable[str], *, resolution_px: int | None = None, num_classes: int | None = None, processes: int = 1
) -> Iterator[tuple[str, Complexity | str]]:
    """(name, its count) for each name in the order given; a reason in place of a count that failed.

    resolution_px: None is each model's own. processes: 1 counts here; more start fresh processes, each of which
    imports torch and stays below 2 GB. Results come as they are ready, in order.
    """
    tasks = [(name, resolution_px, num_classes) for name in names]
    if processes <= 1:
        yield from map(_count_one, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from pool.map(_count_one, tasks, chunksize=CHUNK)


def _count_one(task: tuple[str, int | None, int | None]) -> tuple[str, Complexity | str]:
    name, resolution_px, num_classes = task
    try:
        return name, measure_complexity(name, resolution_px or native_resolution(name), num_classes)
    except UserCodeError:
        raise
    except BenchError as error:
        return name, str(error)
