from __future__ import annotations

import subprocess
import sys

import pytest

from bench.execute import prepare_timing
from bench.suite.cell import Settings, SpeedCell


def test_a_timing_says_what_went_on_in_the_machine(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        prepare_timing, "measure_speed", lambda cell, model: ({"throughput_img_per_s": 5.0}, {"blocks": [5.0]})
    )
    cell = SpeedCell(
        metric_version=1, model="resnet_32px_s", num_classes=10, resolution_px=32, batch_size=1,
        metrics=("throughput",), repeat=0, device="cpu", settings=Settings(),
    )  # fmt: skip
    outcome = prepare_timing.prepare_timing(cell)()
    assert outcome.values["throughput_img_per_s"] == 5.0
    assert outcome.samples == {"blocks": [5.0]}
    assert outcome.values["machine_state"]["watched_s"] > 0
    assert "other_cpu_share" in outcome.values["machine_state"]


def test_a_timing_pays_for_no_library_that_it_does_not_use():
    script = "import sys, bench.execute.prepare_timing; print(sorted({'sklearn', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
