"""Which blocks of a suite a run plans: those that need no asking, or those alone that an option asks for."""

from __future__ import annotations

from collections.abc import Collection

from bench.errors import RequestError
from bench.suite.cell import Frozen
from bench.suite.spec import EvaluateBlock, Request, Suite, builtin_suites, load_suite


def requested(suite: Suite, request: Request, given: Collection[str]) -> Suite:
    """The suite with those of its blocks that the request plans. given: the data sets that `--data` names.

    Raises RequestError if that is none, with the suites that ship and have some.
    """
    chosen = _chosen(suite, request, given)
    if chosen.blocks:
        return chosen
    if request == "by default":
        options = sorted({block.planned for block in suite.blocks})  # type: ignore[attr-defined]  # all have one
        raise RequestError(
            f"Suite '{suite.name}' plans nothing without an option: its blocks are {', '.join(options)}."
        )
    others = [name for name in builtin_suites() if _chosen(load_suite(name), request, given).blocks]
    raise RequestError(
        f"Suite '{suite.name}' plans nothing {request}. Of those that ship, these do: {', '.join(others)}."
    )


def _chosen(suite: Suite, request: Request, given: Collection[str]) -> Suite:
    blocks = {name: value for name, value in suite if isinstance(value, tuple)}
    kept = {
        name: tuple(block for block in value if _is_planned(block, request, given)) for name, value in blocks.items()
    }
    return suite.model_copy(update=kept)


def _is_planned(block: Frozen, request: Request, given: Collection[str]) -> bool:
    if isinstance(block, EvaluateBlock) and block.planned == "with --data":
        return request == "by default" and set(block.datasets) <= set(given)
    return getattr(block, "planned", "by default") == request
