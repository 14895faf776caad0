"""Which data sets belong together: the paper's five, VTAB's nineteen in three groups, and the order of columns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from bench.catalog.image_tasks import image_tasks

PAPER_SETS = ("cifar10", "cifar100", "pets", "flowers102", "imagenet")  # ImageNet at the right, as in Figure 5
VTAB_GROUPS = ("Natural", "Specialized", "Structured")
VTAB_TASKS = 19


def vtab_group(dataset: str) -> str | None:
    """The VTAB group of a data set, or None where it is no task of VTAB."""
    task = image_tasks().get(dataset)
    return task.group if task is not None and task.group in VTAB_GROUPS else None


def vtab_tasks() -> list[str]:
    """Names of VTAB's tasks in the order of the catalog, group by group."""
    rows = image_tasks().values()
    return [task.name for group in VTAB_GROUPS for task in rows if task.group == group]


def set_order(dataset: str) -> tuple[int, int, str]:
    """Sort key: the paper's small sets, then others by name, then VTAB's tasks, ImageNet last."""
    if dataset == "imagenet":
        return 3, 0, dataset
    if dataset in PAPER_SETS:
        return 0, PAPER_SETS.index(dataset), dataset
    return (1, 0, dataset) if vtab_group(dataset) is None else (2, vtab_tasks().index(dataset), dataset)


def averaged_sets(sets_of_models: Iterable[Collection[str]]) -> tuple[str, ...]:
    """The sets that a mean over sets is taken of: identical ones for all models; none where fewer than two are shared.

    sets_of_models: for each model, the sets that it has a result on. The paper's five as soon as one model has all of
    them (the others then have no mean); otherwise those that every model has, of the paper's sets if any was measured.
    """
    found = [set(names) for names in sets_of_models]
    if any(names >= set(PAPER_SETS) for names in found):
        return PAPER_SETS
    shared = set.intersection(*found) if found else set()
    if any(names & set(PAPER_SETS) for names in found):
        shared &= set(PAPER_SETS)
    return in_order(name for name in shared if vtab_group(name) is None) if len(shared) > 1 else ()


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Data sets in the order of columns."""
    return tuple(sorted(set(names), key=set_order))


def is_five_set_mean(names: Sequence[str]) -> bool:
    """Whether these are the sets of the paper's Figure 5, left."""
    return set(names) == set(PAPER_SETS)
