"""A worker process: reads one request per line on standard input, answers one line per request.

Started as `python -m bench.execute.worker`. It ends when its input does, so it never outlives its parent.
"""

from __future__ import annotations

import math
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bench.errors import (
    AbsentDataError,
    BenchError,
    CellFailedError,
    OutOfMemoryError,
    ResolutionError,
    UnsupportedError,
    UserCodeError,
)
from bench.execute.pool import IMPORT
from bench.execute.run_options import RunOptions
from bench.processes import serve_json
from bench.suite.cell import Cell, parse_cell
from bench.suite.model_source import error_words, is_user_model, require_definition
from bench.suite.tasks import is_timing

if TYPE_CHECKING:
    from bench.measure.outcome import Outcome


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The reply to one request: status, reason, values, samples, predictions, conditions, times.

    request: `cell` (JSON of a cell), `threads`, `side_by_side` (trainings that run at once), `options` (JSON). IMPORT
    is answered by nothing, once torch and timm are there.
    """
    if request == IMPORT:
        from bench.execute import environment, prepare_timing  # noqa: F401 - to have them

        return {}
    from bench.execute.environment import describe_conditions, limit_threads, set_backends

    cell = parse_cell(request["cell"])
    limit_threads(request["threads"])
    set_backends(cell.task)
    reply: dict[str, Any] = {"started_at": datetime.now(UTC).isoformat(timespec="milliseconds"), "wall_s": 0.0}
    device = getattr(cell, "device", "cpu")
    reply["conditions"] = describe_conditions(device, request["threads"], request["side_by_side"])
    options = RunOptions.from_json(request["options"])
    reply |= attempt(lambda: _prepare(cell, options), reply)
    model = getattr(cell, "model", "")
    if is_user_model(model):
        from bench.measure.user_model import files_beside_definition

        reply["conditions"] |= _unless_empty("model_files", files_beside_definition(model))
    return reply


def _unless_empty(name: str, value: dict[str, str]) -> dict[str, Any]:
    return {name: value} if value else {}


def _prepare(cell: Cell, options: RunOptions) -> Callable[[], Outcome]:
    """What the cell does. A timing cell pays for its imports in every process, so it has them from a smaller module."""
    model = getattr(cell, "model", "")
    if is_user_model(model):
        require_definition(model, getattr(cell, "definition", None))
    if is_timing(cell):
        from bench.execute.prepare_timing import prepare_timing

        return prepare_timing(cell)
    from bench.execute.prepare import prepare

    return prepare(cell, options)


def attempt(prepare: Callable[[], Callable[[], Outcome]], reply: dict[str, Any]) -> dict[str, Any]:
    """Status and content of a cell, whatever happens in it: a failure is a result."""
    started = None
    try:
        perform = prepare()
        started = time.perf_counter()
        outcome = perform()
        reply["wall_s"] = time.perf_counter() - started
        return {"status": "ok", "reason": None} | _content(outcome)
    except OutOfMemoryError as error:
        return {"status": "oom", "reason": _one_line(str(error))}
    except (UnsupportedError, AbsentDataError, ResolutionError) as error:
        return {"status": "skipped", "reason": _one_line(str(error))}
    except (CellFailedError, UserCodeError) as error:
        # what the cell was asked for cannot be done, and trying again would show no more: a sweep may go on without it
        return {"status": "failed", "reason": _one_line(str(error)), "values": {"is_final": True}}
    except BenchError as error:
        return {"status": "failed", "reason": _one_line(str(error))}
    except MemoryError:
        return {"status": "oom", "reason": "The machine ran out of memory."}
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the one place where anything may happen: other people's models run here
        traceback.print_exc(file=sys.stderr)
        return {"status": "failed", "reason": _one_line(error_words(error))}
    finally:
        if started is not None and not reply["wall_s"]:
            reply["wall_s"] = time.perf_counter() - started


def _content(outcome: Outcome) -> dict[str, Any]:
    """Values, samples and predictions as the parent gets them. Raises CellFailedError for a number that is none."""
    content: dict[str, Any] = {"values": outcome.values, "samples": outcome.samples}
    for place, number in _numbers(content, ""):
        if not math.isfinite(number):
            raise CellFailedError(f"{place.lstrip('.')} came out as {number}, which is no number: no result is kept.")
    if outcome.predictions is not None:
        content["predictions"] = {
            "key": list(outcome.predictions.keys),
            "label": outcome.predictions.labels.tolist(),
            "prediction": outcome.predictions.predictions.tolist(),
            "label_probability": outcome.predictions.label_probability.tolist(),
        }
    return content


def _numbers(content: Any, place: str) -> Iterator[tuple[str, float]]:
    """Every float in nested dicts and lists, with the keys that lead to it."""
    if isinstance(content, float):
        yield place, content
    elif isinstance(content, dict | list | tuple):
        parts = content.items() if isinstance(content, dict) else enumerate(content)
        for key, part in parts:
            yield from _numbers(part, f"{place}.{key}")


def _one_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines)[:500] or "no message"


if __name__ == "__main__":
    serve_json(answer)
