"""The report of suite `public`: its finding, its first screen and its sections, in the order of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.analyse.public.estimates import MIN_ANCHORS
from bench.analyse.public.fronts import comparable, front_shares
from bench.analyse.public.mac_times import MacTimes, mac_times
from bench.analyse.public.published_counts import published_counts
from bench.analyse.public.robustness import CAUTIONS, all_robustness
from bench.analyse.public.rows import COSTS, PublicRow, Timing
from bench.analyse.public.study import Estimates, PublicStudy
from bench.catalog.strata import STRATUM_TITLES, Stratum
from bench.report.document import Section
from bench.report.figures.figure_files import drawn
from bench.report.figures.training_figures import published_figure_5
from bench.report.public.check_tables import causes_table, differing_counts_table, errors_table, timings_table
from bench.report.public.figures import (
    accuracy_vs_latency,
    accuracy_vs_macs,
    gap_figure,
    gaps_along,
    robustness_figure,
    time_per_mac_figure,
)
from bench.report.public.picks import COMPARED, LEAST_PCT, leading_cost, rows_of, stratum_front, thinned
from bench.report.public.rows_file import ROWS_FILE, rows_file
from bench.report.public.tables import (
    front_table,
    ids_of,
    mac_times_table,
    robustness_table,
    shares_table,
    unknown_table,
)
from bench.report.public.words import (
    ONE_TRAINING,
    answer_words,
    counts_words,
    finding_words,
    front_words,
    gap_words,
    limit_words,
    mac_words,
)
from bench.report.web.plot_data import Plot
from bench.report.web.public_points import public_plot
from bench.text import bullets

_FRONT_ROWS = 12  # of the first table, all strata together


@dataclass(frozen=True)
class SuitePage:
    """What stands in the report of one suite in place of the general finding, sections and plot. Texts are Markdown.

    sections: the first is the first screen. limits: what its numbers cannot show. files: name -> content, beside the
    page. plot: to explore.
    """

    finding: str
    sections: tuple[Section, ...]
    limits: tuple[str, ...]
    files: Mapping[str, str]
    plot: Plot


def public_page(study: PublicStudy) -> SuitePage:
    """The page of public checkpoints; without timings, of counts and published figures alone."""
    costs = [cost for cost in (COSTS["macs"], COSTS["latency"]) if any(cost.value(row) for row in study.rows)]
    shares = {
        (stratum, cost.name): front_shares(rows_of(study, stratum), cost) for stratum in COMPARED for cost in costs
    }
    gaps = gaps_along(study, costs)
    devices = mac_times(study.rows)
    sections = (
        _first_screen(study, bullets([answer_words(study), gap_words(gaps), mac_words(devices, study.estimates)])),
        Section("Accuracy and latency on this machine", figures=drawn(accuracy_vs_latency(study))),
        Section(
            "How far apart the fronts are", _GAP_TEXT, shares_table(shares, study.estimates), drawn(gap_figure(gaps))
        ),
        _robustness_section(study),
        _mac_times_section(study, list(devices.values())),
        Section(
            "The paper's Figure 5: accuracy against pretraining compute",
            _FIGURE_5_TEXT,
            figures=drawn(published_figure_5()),
        ),
        *_count_sections(study.rows),
        *_estimate_sections(study.estimates),
        _unknown_section(study.rows),
    )
    return SuitePage(
        finding=finding_words(shares),
        sections=sections,
        limits=limit_words(study),
        files={ROWS_FILE: rows_file(study)},
        plot=public_plot(study),
    )


def _first_screen(study: PublicStudy, answers: str) -> Section:
    """The answers, the front of each stratum, and all rows against multiply-adds."""
    cost = leading_cost(study)
    fronts = {stratum: stratum_front(study, stratum, cost) for stratum in COMPARED}
    shown = [row for own in fronts.values() for row in thinned(own, cost, _FRONT_ROWS // len(fronts))]
    table, told = front_table(shown, study.estimates), front_words(fronts, cost, len(shown))
    return Section("", answers, table, drawn(accuracy_vs_macs(study)), below=told)


def _mac_times_section(study: PublicStudy, devices: Sequence[MacTimes]) -> Section:
    throughput = study.estimates["throughput"]
    table = mac_times_table(devices, ids_of(throughput.measured))
    return Section("How far multiply-adds mislead", _MACS_TEXT, table, drawn(time_per_mac_figure(study)))


def _estimate_sections(estimates: Mapping[Timing, Estimates]) -> list[Section]:
    """How far estimates err, and what they are made of; empty where nothing was timed."""
    if not any(one.anchors for one in estimates.values()):
        return []
    errors = errors_table(estimates)
    return [
        Section("How good the estimates are", _ESTIMATES_TEXT if errors else _NO_ESTIMATES_TEXT, errors),
        Section("Every timed model", _TIMED_TEXT, timings_table(estimates)),
    ]


def _robustness_section(study: PublicStudy) -> Section:
    found = {stratum: all_robustness(comparable(study.rows, stratum)) for stratum in _OF_ONE_SET}
    figure = robustness_figure(rows_of(study, _DRAWN), found[_DRAWN], STRATUM_TITLES[_DRAWN])
    return Section("Robustness at equal ImageNet accuracy", _ROBUSTNESS_TEXT, robustness_table(found), drawn(figure))


def _count_sections(rows: Sequence[PublicRow]) -> list[Section]:
    compared = published_counts(rows)
    different = [one for one in compared if not (one.macs_are_met and one.activations_are_met)]
    text = counts_words(compared, different)
    return [
        Section("Counts beside timm's published ones", text, causes_table(different)),
        Section("Every count that differs from timm's", "", differing_counts_table(different)),
    ]


def _unknown_section(rows: Sequence[PublicRow]) -> Section:
    return Section("Rows that no rule can place", _UNKNOWN_TEXT, unknown_table(rows))


_OF_ONE_SET: tuple[Stratum, ...] = ("in1k", "in21k")  # whose rows saw about the same images
_DRAWN: Stratum = "in1k"  # the stratum of the figure on robustness: most rows
_GAP_TEXT = (
    f"Rows trained by labels alone, from {LEAST_PCT:.0f} % top-1 up. A front's share is the part of its range of log "
    f"costs over which the most accurate row is of that family; {ONE_TRAINING}."
)
_ROBUSTNESS_TEXT = (
    "How many points a family is above the CNNs on a further test set at the same ImageNet accuracy, with its 95 % "
    "interval (bootstrap over architectures): one curve on the logit scale with a level for each family, within one "
    f"stratum, rows trained by labels alone. Bold: the interval leaves zero out. {ONE_TRAINING.capitalize()}. "
    "Larger data are left out: CLIP's, hashtags and JFT differ more from each other than families do. "
    f"{' '.join(CAUTIONS.values())}"
)
_MACS_TEXT = (
    "Each architecture and size once. *Time at equal MACs*: a family's line over that of the CNNs, with its 95 % "
    "interval (bold: it leaves 1 out). *Time per MAC*: median and tenths at either end, over the median CNN."
)
_FIGURE_5_TEXT = (
    "Multiply-adds of one image say nothing of what a checkpoint took to train; the paper's own axis is pretraining "
    "compute, which is not published for most of the rows above."
)
_ESTIMATES_TEXT = (
    "A ridge regression of log time on multiply-adds, activations, parameters, family and timm's published speeds "
    "on five devices, fitted to the anchors. The interval is the conformal quantile of the anchors' own errors, "
    "each left out in turn; the further models were timed to check it and taught the estimator nothing."
)
_NO_ESTIMATES_TEXT = f"None were made: fewer than {MIN_ANCHORS} models were timed."
_TIMED_TEXT = (
    "Measured here with random weights: median over processes. *Estimated over measured*: what the estimator said "
    "without this model."
)
_UNKNOWN_TEXT = "Their tags do not say what they were trained on; they are in no comparison."
