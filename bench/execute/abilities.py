"""What the device can be asked for, found out in a process of its own where asking would take the device.

torch answers for a GPU only once it holds memory there, and the parent of timed processes must not.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys

from bench.errors import BenchError
from bench.execute.pool import PACKAGE_ROOT
from bench.suite.world import Abilities


@functools.cache
def abilities_of(device: str) -> Abilities:
    """Precisions that the device computes natively, and whether torch.compile works there.

    Raises BenchError if the process that was to find out failed.
    """
    if device == "cpu":
        return _ask(device)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bench.execute.abilities", device],
            capture_output=True, text=True, check=True, cwd=PACKAGE_ROOT,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["it wrote nothing"])[-1]
        raise BenchError(f"What {device} can do could not be found out: {last}") from None
    answer = json.loads(done.stdout)
    return Abilities(tuple(answer["precisions"]), bool(answer["can_compile"]))


def _ask(device: str) -> Abilities:
    from bench.measure.devices import available_precisions, compile_reason

    able = (precision for precision, reason in available_precisions(device).items() if reason is None)
    return Abilities(tuple(able), compile_reason(device) is None)  # type: ignore[arg-type]


if __name__ == "__main__":
    found = _ask(sys.argv[1])
    json.dump({"precisions": found.precisions, "can_compile": found.can_compile}, sys.stdout)
