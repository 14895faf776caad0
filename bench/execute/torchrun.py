"""`torchrun --nproc-per-node N -m bench run SUITE` does what `vitbench run SUITE --processes N` does.

torchrun starts N copies of the command. One of them runs the suite and starts the processes of each cell itself (so
that a cell which dies takes nobody along); the others leave at once.
"""

from __future__ import annotations

import os
import sys

from bench.errors import RequestError


def processes_of_torchrun() -> int:
    """Processes per cell that torchrun asked for, 1 without it. Ends the process in all copies but the first.

    Raises RequestError on several machines: the results folder has one writer.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return 1
    if os.environ.get("GROUP_WORLD_SIZE", "1") != "1":
        raise RequestError("torchrun on several machines is not supported; run it on one, with --nnodes 1.")
    if os.environ.get("RANK", "0") != "0":
        sys.exit(0)
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
