"""Larger patches: the same ViT with patches twice as large costs less and reaches less."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

from bench.analyse.claims.combine import Seen, apart, conclude, word_of
from bench.analyse.claims.contrasts import conditions_of
from bench.analyse.claims.image_noise import NOTE, Printed, images_tested, judge_signs
from bench.analyse.claims.measurements import Measurements
from bench.analyse.claims.table_six import SET_TITLES, jft_epochs
from bench.analyse.claims.verdicts import Bearing, Evidence, Verdict
from bench.analyse.claims.words import figure_words, tally
from bench.analyse.identity import identify_dataset
from bench.analyse.leads import Scored, compare_pair
from bench.analyse.study import Study
from bench.catalog.claims import Claim
from bench.catalog.papers import paper_scaling, paper_transfer

TABLE_5, TABLE_6 = "arXiv 2010.11929v2, Table 5", "arXiv 2010.11929v2, Table 6"
PAIRS = (("ViT-B/32", "ViT-B/16"), ("ViT-L/32", "ViT-L/16"))  # larger patch first
_NAME = re.compile(r"vit_(?P<size>[a-z]+)_patch(?P<patch>\d+)_(?P<resolution>\d+)(?:\.(?P<tag>.+))?")


def judge_larger_patches(claim: Claim) -> Verdict:
    """Larger minus smaller patch on every set of Table 5 or 6, and the compute that it saves.

    Parameters: table (5: three pre-trainings, pairs of unequal epochs left out; 6: JFT-300M at 7 epochs alone).
    """
    found = _table_six() if int(claim.parameters["table"]) == 6 else _table_five()
    rows = judge_signs(found, positive="against", negative="for")
    costs = _costs()
    told = tally(rows, "difference", "differences", NOTE)
    reason = f"{told[:-1]}; {'; '.join(map(figure_words, costs))}."
    every = [*rows, *costs]
    return Verdict(word_of([row.bearing for row in every], "every"), reason, tuple(every))


def _table_six() -> list[Printed]:
    top1 = {row.name: row.top1_pct for row in paper_scaling() if row.epochs == 7}
    return [
        Printed(
            f"{large} − {small}, {SET_TITLES[dataset]}",
            top1[large][dataset],
            top1[small][dataset],
            images_tested(SET_TITLES[dataset]),
            TABLE_6,
        )
        for large, small in PAIRS
        for dataset in top1[large]
    ]


def _table_five() -> list[Printed]:
    top1 = {(row.pretraining, row.model, row.dataset): row.top1_pct for row in paper_transfer()}
    rows = []
    for pretraining, dataset in dict.fromkeys((key[0], key[2]) for key in top1):
        for large, small in PAIRS:
            if pretraining == "JFT-300M" and jft_epochs(large) != jft_epochs(small):
                continue  # Table 6 has this pair at equal epochs
            ours, theirs = top1[pretraining, large, dataset], top1[pretraining, small, dataset]
            if ours is not None and theirs is not None:
                label = f"{large} − {small}, {dataset}, after {pretraining}"
                rows.append(Printed(label, ours, theirs, images_tested(dataset), TABLE_5))
    return rows


def _costs() -> list[Evidence]:
    exaflops = {row.name: row.exaflops for row in paper_scaling() if row.epochs == 7}
    return [
        Evidence(f"compute of {small} over {large}", exaflops[small] / exaflops[large], "times", None, None,
                 "for" if exaflops[small] > exaflops[large] else "against", "published", TABLE_6)
        for large, small in PAIRS
    ]  # fmt: skip


def measure_larger_patches(claim: Claim, measurements: Measurements) -> Verdict:
    """Pairs of public or own ViT weights that differ in nothing but the patch, on every set that both have.

    The size, the tag and the resolution of timm's names are the same in a pair. Counts alone show the cost.
    """
    scored = [
        (study, pair)
        for study in measurements.studies
        for pair in _pairs([*study.protocols.finetuned, *study.protocols.evaluated])
    ]
    seen = apart(
        claim.scope,
        scored,
        lambda one: conditions_of(one[0], one[1][0].subject, one[1][0].dataset),
        lambda own: [_scored_pair(study, large, small, len(own)) for study, (large, small) in own],
    )
    counted = [figure for study in measurements.studies for figure in _counted_pairs(study)]
    if not seen and counted:
        told = "; ".join(map(figure_words, counted[:3]))
        why = f"Counted here: {told}; no accuracy of two ViTs that differ in the patch alone is among the records."
        return Verdict("untestable here", why, tuple(counted))
    absent = "No suite read here measures two ViTs that differ in the patch alone."
    return conclude(claim, seen, "every", lambda rows: tally(rows, "pair", "pairs"), absent)


def _key(model: str) -> tuple[tuple[str, str, str], int] | None:
    found = _NAME.fullmatch(model)
    if found is None:
        return None
    return (found["size"], found["resolution"], found["tag"] or ""), int(found["patch"])


def _pairs(scores: Iterable[Scored]) -> list[tuple[Scored, Scored]]:
    """(larger patch, smaller patch) of one set, weights' kind and settings; neighbouring patch sizes."""
    groups: dict[tuple[object, ...], list[tuple[int, Scored]]] = {}
    for score in scores:
        key, subject = _key(score.subject.key.model), score.subject
        if key is not None:
            setting = (subject.key.resolution_px, subject.key.device, subject.key.precision)
            groups.setdefault((key[0], score.dataset, subject.weights, type(score), setting), []).append(
                (key[1], score)
            )
    found = []
    for group in groups.values():
        ordered = sorted(group, key=lambda one: one[0])
        found += [(large[1], small[1]) for small, large in pairwise(ordered)]
    return found


def _scored_pair(study: Study, large: Scored, small: Scored, pairs: int) -> Seen:
    interval, _, basis, verdict = compare_pair(large.group, small.group, pairs)
    bearing: Bearing = "undecided" if verdict == "not decided" else "against" if verdict == "ahead" else "for"
    low, high = (None, None) if interval is None else (interval.low, interval.high)
    title = identify_dataset(large.dataset).title
    label = f"{large.subject.key.model} − {small.subject.key.model}, {title}{f', by {basis}' if basis else ''}"
    delta = large.group.mean_pct - small.group.mean_pct
    ids = (*large.cell_ids, *small.cell_ids)
    figure = Evidence(label, delta, "points", low, high, bearing, "measured", "", study.suite, ids)
    return Seen(figure, conditions_of(study, large.subject, large.dataset))


def _counted_pairs(study: Study) -> list[Evidence]:
    """How many times the MACs the smaller patch costs, for each pair that the suite counted."""
    groups: dict[tuple[str, str, str], list[tuple[int, int, str, str]]] = {}
    for row in study.rows:
        key = _key(row.key.model)
        if key is not None and row.count is not None and str(row.key.resolution_px) == key[0][1]:
            groups.setdefault(key[0], []).append((key[1], row.count.macs, row.key.model, row.count.cell_id))
    found = []
    for group in groups.values():
        ordered = sorted(group)
        for small, large in pairwise(ordered):
            label = f"MACs of {small[2]} over {large[2]}"
            ids = (small[3], large[3])
            times = small[1] / large[1]
            found.append(Evidence(label, times, "times", None, None, "context", "measured", "", study.suite, ids))
    return found
