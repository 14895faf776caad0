"""From `settings = "best"` in a suite file to the table that sets fixed and best settings side by side."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bench.store.files import read_records, suite_folder

ROOT = Path(__file__).resolve().parents[1]
SUITE = """
question = "What does the best setting gain?"
[[speed]]
models = ["resnet_32px_s"]
num_classes = 10
metrics = ["throughput"]
batch_sizes = [4]
processes = 2
settings = "best"
trial_precisions = ["fp32"]
"""


@pytest.mark.slow
def test_trials_come_first_and_the_winner_is_timed_anew(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(SUITE)
    # without a compiler there are four trials: two memory formats, folded or not
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CXX": "no-such-compiler"}
    for command in (["run", "mine.toml", "--device", "cpu", "--threads", "1"], ["report", "mine.toml"]):
        subprocess.run([sys.executable, "-m", "bench", *command], cwd=tmp_path, env=environment, check=True)
    records = read_records(suite_folder(tmp_path / "results", "mine", local=True)).records
    roles = [record.cell.get("role", "fixed") for record in records]
    assert roles[:4] == ["trial"] * 4
    assert Counter(roles) == {"trial": 4, "fixed": 2, "best": 2}
    folded = [record for record in records if record.cell["settings"].get("fold")]
    assert all(record.values["folded_batch_norms"] > 0 for record in folded)
    page = (tmp_path / "reports/local/mine/report.md").read_text(encoding="utf-8")
    assert "## Fixed settings and best settings" in page
    assert "The fastest of 4 trials per model" in page
