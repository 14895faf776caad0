"""Claims on what ViTs and CNNs of equal multiply-adds cost a device: speed, memory, and pre-training days."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from statistics import median

from bench.analyse.claims.combine import Seen, apart, conclude, one_vote_each, p_words, sign_test_p, word_of
from bench.analyse.claims.measurements import Measurements
from bench.analyse.claims.scope import Conditions
from bench.analyse.claims.verdicts import Bearing, Evidence, Verdict
from bench.analyse.claims.words import figure_words, tally
from bench.analyse.largest_batches import LargestBatch
from bench.analyse.speed_study import quotient
from bench.analyse.study import Row, Study
from bench.catalog.claims import Claim
from bench.catalog.papers import (
    TimmRow,
    paper_pretraining,
    paper_sota,
    timm_published,
    training_exaflops,
)
from bench.shown import counted, fixed, significant
from bench.units import GIGA

TIMM = "timm's results files at commit aa4b5850, RTX 5090, AMP"
TABLE_2 = "arXiv 2010.11929v2, Table 2"
SEARCH_RESOLUTION = 1.05  # the search for the largest batch ends within 5 %
_VOTES = "95 % intervals; a sign test over ViTs, each with one vote"
_VIT_SYSTEMS = ("ViT-",)
_HYBRID_SYSTEMS = ("R+ViT", "R26+ViT", "R50+ViT")


def judge_slower_at_equal_macs(claim: Claim) -> Verdict:
    """timm's published throughput: every ViT against the CNN nearest in multiply-adds.

    Parameters: within (largest ratio of multiply-adds that still counts as equal), slower (whether ViTs are claimed
    to be slower). One architecture and resolution counts once; the pairs are tested by an exact sign test.
    """
    within, slower = float(claim.parameters["within"]), bool(claim.parameters["slower"])
    timed = _distinct(timm_published().values())
    vits = [row for row in timed if row.system.startswith(_VIT_SYSTEMS)]
    cnns = [row for row in timed if not row.system.startswith((*_VIT_SYSTEMS, *_HYBRID_SYSTEMS))]
    rows = []
    for vit in vits:
        cnn = min(cnns, key=lambda other: (abs(math.log(other.gmacs / vit.gmacs)), other.name))
        if max(cnn.gmacs / vit.gmacs, vit.gmacs / cnn.gmacs) > within:
            continue
        times = (vit.rtx5090_amp_img_per_s or math.nan) / (cnn.rtx5090_amp_img_per_s or math.nan)
        label = (
            f"{vit.system} @{vit.resolution_px} ({significant(vit.gmacs, 3)} G) over "
            f"{cnn.system} @{cnn.resolution_px} ({significant(cnn.gmacs, 3)} G), images/s"
        )
        bearing: Bearing = "for" if (times < 1) is slower else "against"
        rows.append(Evidence(label, times, "times", None, None, bearing, "published", TIMM))
    ours, theirs = (sum(row.bearing == bearing for row in rows) for bearing in ("for", "against"))
    faster = theirs if slower else ours
    reason = (
        f"On one GPU the ViT is the faster of {faster} of {counted(len(rows), 'pair')} within "
        f"{fixed(100 * (within - 1), 0)} % of MACs, by a median factor of "
        f"{significant(median(row.value or 0.0 for row in rows), 2)} (exact sign test "
        f"{p_words(sign_test_p(ours, theirs))}); batches of up to 1 024, so nothing of latency."
    )
    return Verdict(word_of([row.bearing for row in rows], "most"), reason, tuple(rows))


def _distinct(rows: Iterable[TimmRow]) -> list[TimmRow]:
    """Timed rows, one for each architecture and resolution: tags share their throughput."""
    found: dict[tuple[str, int], TimmRow] = {}
    for row in rows:
        if row.rtx5090_amp_img_per_s:
            found.setdefault((row.name.partition(".")[0].rsplit("_", 1)[0], row.resolution_px), row)
    return list(found.values())


def measure_slower_at_equal_macs(claim: Claim, measurements: Measurements) -> Verdict:
    """Throughput of ViTs over CNNs of equal multiply-adds, paired by process round on one machine; a vote per ViT."""
    within, slower = float(claim.parameters["within"]), bool(claim.parameters["slower"])
    pairs = [one for study in measurements.studies for one in _speed_pairs(study, within, slower)]
    seen = apart(claim.scope, pairs, _conditions_of_vote, one_vote_each)
    absent = "No suite read here times a ViT and a CNN of equal MACs on one machine."
    return conclude(claim, seen, "most", lambda rows: tally(rows, "ViT", "ViTs", _VOTES), absent)


def _speed_pairs(study: Study, within: float, slower: bool) -> list[tuple[str, Seen]]:
    """(name of the ViT, figure) for every batch size and CNN."""
    rows = {row.key: row for row in study.rows}
    seen = []
    for one in study.ratios:
        cnn, vit = rows.get(one.key), rows.get(one.reference)
        if cnn is None or vit is None or (cnn.identity.family, vit.identity.family) != ("cnn", "vit"):
            continue
        if not _are_equal(vit, cnn, within):
            continue
        low, high = (None, None) if one.ratio is None else (1 / one.ratio.high, 1 / one.ratio.low)
        bearing: Bearing = "undecided"
        if low is not None and high is not None and not low <= 1 <= high:
            bearing = "for" if (high < 1) is slower else "against"
        label = (
            f"{vit.label} over {cnn.label}, images/s at batch {one.batch_size}, {one.key.resolution_px} px, "
            f"{one.key.device}"
        )
        figure = Evidence(
            label, 1 / one.ratio_mean, "times", low, high, bearing, "measured", "", study.suite, one.cell_ids
        )
        seen.append((vit.key.model, Seen(figure, _conditions(vit))))
    return seen


def _conditions_of_vote(vote: tuple[str, Seen]) -> Conditions:
    return vote[1].conditions


def _conditions(row: Row) -> Conditions:
    return Conditions(resolution_px=row.key.resolution_px, macs=row.macs, device=row.key.device)


def measure_slower_latency(claim: Claim, measurements: Measurements) -> Verdict:
    """Latency at batch 1 of ViTs over CNNs of equal multiply-adds, on one machine, from unpaired processes.

    Parameters: within (as above).
    """
    within = float(claim.parameters["within"])
    seen = []
    for study in measurements.studies:
        timed = [row for row in study.rows if row.speed is not None and row.speed.latency_p50_ms is not None]
        for vit in (row for row in timed if row.identity.family == "vit"):
            for cnn in (row for row in timed if row.identity.family == "cnn"):
                if _are_equal(vit, cnn, within) and replace(vit.key, model="") == replace(cnn.key, model=""):
                    seen.append((vit.key.model, _latency_pair(study, vit, cnn)))
    absent = "No suite read here times single images with a ViT and a CNN of equal MACs on one machine."
    votes = apart(claim.scope, seen, _conditions_of_vote, one_vote_each)
    return conclude(claim, votes, "most", lambda rows: tally(rows, "ViT", "ViTs", _VOTES), absent)


def _are_equal(vit: Row, cnn: Row, within: float) -> bool:
    return (
        bool(vit.macs and cnn.macs)
        and max((cnn.macs or 1.0) / (vit.macs or 1.0), (vit.macs or 1.0) / (cnn.macs or 1.0)) <= within
    )


def _latency_pair(study: Study, vit: Row, cnn: Row) -> Seen:
    assert vit.speed is not None
    assert vit.speed.latency_p50_ms is not None
    assert cnn.speed is not None
    assert cnn.speed.latency_p50_ms is not None
    times = quotient(vit.speed.latency_p50_ms, cnn.speed.latency_p50_ms)
    bearing: Bearing = "for" if times.low > 1 else "against" if times.high < 1 else "undecided"
    label = f"{vit.label} over {cnn.label}, latency, {vit.key.resolution_px} px, {vit.key.device}"
    ids = (*vit.speed.cell_ids, *cnn.speed.cell_ids)
    figure = Evidence(label, times.estimate, "times", times.low, times.high, bearing, "measured", "", study.suite, ids)
    return Seen(figure, _conditions(vit))


def measure_memory(claim: Claim, measurements: Measurements) -> Verdict:
    """The largest batch of ViTs over that of CNNs of equal multiply-adds, within one limit and at one resolution.

    Parameters: within (as above).
    """
    within = float(claim.parameters["within"])
    seen = [one for study in measurements.studies for one in _batch_pairs(study, within)]
    note = f"within {fixed(100 * (SEARCH_RESOLUTION - 1), 0)} % is a tie"
    absent = "No suite read here searches the largest batch of a ViT and a CNN of equal MACs within one limit."
    return conclude(claim, seen, "every", lambda rows: tally(rows, "pair", "pairs", note), absent)


def _batch_pairs(study: Study, within: float) -> list[Seen]:
    """Every ViT with every CNN of one setting and limit; those of unequal multiply-adds are context beside others."""
    rows = {(row.key.model, row.key.resolution_px): row for row in study.rows}  # a search alone makes no row of its own
    found = [
        (one, rows[place])
        for one in study.speed.largest
        if (place := (one.key.model, one.key.resolution_px)) in rows and one.largest > 0
    ]
    seen = []
    for ours, vit in (pair for pair in found if pair[1].identity.family == "vit"):
        for theirs, cnn in (pair for pair in found if pair[1].identity.family == "cnn"):
            same = replace(ours.key, model="") == replace(theirs.key, model="") and ours.limit == theirs.limit
            if same and vit.macs and cnn.macs:
                figure = _batch_evidence(study, ours, theirs, vit.macs / cnn.macs, _are_equal(vit, cnn, within))
                seen.append(Seen(figure, replace(_conditions(vit), device=ours.key.device)))
    return [one for one in seen if any(other.evidence.bearing != "context" for other in seen)]


def _batch_evidence(
    study: Study, ours: LargestBatch, theirs: LargestBatch, macs_ratio: float, is_equal: bool
) -> Evidence:
    times = ours.largest / theirs.largest
    bearing: Bearing = "undecided"
    if max(times, 1 / times) > SEARCH_RESOLUTION:
        bearing = "for" if times > 1 else "against"
    limit = f"{ours.budget_mib} MiB" if ours.budget_mib else "the device's memory"
    label = (
        f"largest batch of {study.labels[ours.key]} over {study.labels[theirs.key]}, {ours.key.resolution_px} px, "
        f"within {limit} ({significant(macs_ratio, 2)} times the MACs)"
    )
    ids = (ours.cell_id, theirs.cell_id)
    own = bearing if is_equal else "context"
    return Evidence(label, times, "times", None, None, own, "measured", "", study.suite, ids)


def judge_fewer_core_days(claim: Claim) -> Verdict:
    """Table 2: pre-training days of TPUv3 cores of every other system over those of one, and exaFLOPs where known.

    Parameters: first, pretraining (a system of Table 2), at_least (times).
    """
    first, pretraining = str(claim.parameters["first"]), str(claim.parameters["pretraining"])
    least = float(claim.parameters["at_least"])
    days = {(row.system, row.pretraining): row.tpuv3_core_days for row in paper_sota()}
    own = days[first, pretraining]
    rows = []
    for (system, data), other in days.items():
        if system.startswith("ViT"):
            continue
        bearing: Bearing = "for" if other / own >= least else "against"
        label = f"core-days of {system} ({data}) over those of {first}"
        rows.append(Evidence(label, other / own, "times", None, None, bearing, "published", TABLE_2))
    compute = _exaflops_ratio(first)
    reason = tally(rows, "system", "systems")
    if compute is not None:
        reason = f"{reason[:-1]}; part of it is speed for each FLOP: {figure_words(compute)}."
        rows.append(compute)
    return Verdict(word_of([row.bearing for row in rows], "every"), reason, tuple(rows))


def _exaflops_ratio(first: str) -> Evidence | None:
    """Computed training compute of BiT-L over that of the system, both on JFT-300M, from timm's published MACs."""
    rows = {row.system: row for row in paper_pretraining() if row.pretraining == "JFT-300M"}
    macs = {(name.partition(".")[0], px): row.gmacs * GIGA for (name, px), row in timm_published().items()}
    sides = []
    for system in ("BiT-L ResNet152x4", first):
        row = rows.get(system)
        per_image = None if row is None else macs.get((row.timm_arch, row.resolution_px))
        if row is None or row.images_seen is None or per_image is None:
            return None
        sides.append(training_exaflops(per_image, row.images_seen))
    source = f"computed: 6 x MACs x images seen; {TIMM.split(',')[0]} (with norms), {TABLE_2} and 3"
    label = f"computed exaFLOPs of BiT-L ResNet152x4 over those of {first}"
    return Evidence(label, sides[0] / sides[1], "times", None, None, "context", "computed", source)
