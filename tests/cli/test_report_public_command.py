"""`vitbench report public`: written from the catalog alone, and from timings where there are any."""

from __future__ import annotations

from pathlib import Path

from commands import vitbench


def test_the_public_page_needs_no_record(tmp_path: Path) -> None:
    result = vitbench("report", "public", "--results", tmp_path / "none", "--reports", tmp_path, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "local" / "public" / "report.md").read_text(encoding="utf-8")
    assert "nothing was timed here" in page
    assert "## Conditions" not in page  # nothing was run
    assert f"vitbench report public --results {tmp_path / 'none'}" in page


def test_another_suite_still_asks_for_records(tmp_path: Path) -> None:
    result = vitbench("report", "pocket", "--results", tmp_path / "none", "--reports", tmp_path, cwd=tmp_path)
    assert result.returncode == 2
    assert "Run `vitbench run pocket` first." in result.stderr
