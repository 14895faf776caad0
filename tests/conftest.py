"""`--quick`: only test modules that start no process, need no torch and draw no page: an answer within a minute."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

STARTS_SLOWLY = re.compile(
    r"\b(import torch|from torch|subprocess|multiprocessing|playwright|from commands)\b"
    r"|\bbench\.(learn|measure|execute|gate|inspect|process_group)\b"
    r"|\b(browser|write_report|draw_all|load_dataset|make_part)\b"
    r'|sys, "argv"'
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="only modules that start no process and need no torch")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Whether a module is left out; None leaves that to pytest."""
    if not config.getoption("--quick") or collection_path.suffix != ".py":
        return None
    text = f"{collection_path.stem.replace('_', ' ')}\n{collection_path.read_text(encoding='utf-8')}"
    return True if STARTS_SLOWLY.search(text) else None
