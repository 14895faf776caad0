"""All sections about speed along an axis, in the order of the page."""

from __future__ import annotations

from bench.analyse.study import Study
from bench.report.batch_section import batch_section
from bench.report.falls_section import falls_section
from bench.report.largest_section import largest_section
from bench.report.resolution_section import resolution_section
from bench.report.section import Section
from bench.report.training_section import training_section


def speed_sections(study: Study) -> list[Section]:
    """Those for which the suite has results."""
    makers = (resolution_section, falls_section, batch_section, largest_section, training_section)
    made = (make(study) for make in makers)
    return [section for section in made if section is not None]
