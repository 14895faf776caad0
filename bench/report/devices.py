"""How the device behind some timings is named."""

from __future__ import annotations

from bench.analyse.study import Study
from bench.catalog.tasks import TIMING_TASKS
from bench.markdown_text import escape
from bench.report.formats import counted
from bench.store.frame import machine_of


def device_words(study: Study) -> str:
    """The processor (or GPU) of the home machine's timings with its threads."""
    timed = (record for record in study.shown if record.cell.get("task") in TIMING_TASKS)
    at_home = (record for record in timed if machine_of(record) == study.home)
    conditions = next((record.conditions for record in at_home), {})
    name = conditions.get("gpu_model") or conditions.get("cpu_model") or "unknown device"
    threads = conditions.get("threads")
    if conditions.get("gpu_model") is not None or threads is None:
        return escape(str(name))
    return f"{escape(str(name))} ({counted(int(threads), 'thread')})"
