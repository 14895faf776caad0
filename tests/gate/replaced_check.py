"""`vitbench` with the measurement replaced by a result made by hand; everything else is the command itself.

Run by the tests of docs/ci/ as `python replaced_check.py PASS|FAIL|INCONCLUSIVE check ...`.
"""

from __future__ import annotations

import sys

from synthetic_results import failed, make_result, passed, undecided

import bench.gate.check
from bench.cli import main

MODELS = {"PASS": passed, "FAIL": failed, "INCONCLUSIVE": undecided}

if __name__ == "__main__":
    verdict = sys.argv.pop(1)
    bench.gate.check.run_check = lambda request, listener, cache: make_result(
        *(MODELS[verdict](one.name) for one in request.comparisons), problems=(f"base was {request.base}",)
    )
    main()
