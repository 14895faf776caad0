"""Measured differences between two families, as evidence: trained from scratch at equal compute, and public weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from bench.analyse.claims.combine import Seen, apart
from bench.analyse.claims.scope import Conditions
from bench.analyse.claims.verdicts import Bearing, Evidence
from bench.analyse.claims.words import tally
from bench.analyse.compare import Comparison, compare_families
from bench.analyse.identity import identify_dataset
from bench.analyse.intervals import LEVEL, Interval, SeedGroup, contrast_interval
from bench.analyse.leads import Lead, Scored, Side, compare_pair
from bench.analyse.scores import Score
from bench.analyse.study import Study
from bench.analyse.weights import NO_PRETRAINING, Subject, pretraining_of
from bench.catalog.claims import Scope
from bench.catalog.papers import IMAGENET21K_IMAGES, IMAGENET_IMAGES, JFT_IMAGES
from bench.shown import fixed, listed, significant
from bench.units import EXA, GIGA, TERA

FAMILY_TITLES = {"vit": "ViT", "cnn": "CNN", "hybrid": "hybrid"}
# Different images that weights of a stratum saw before fine-tuning, by the words of the catalog.
PRETRAINING_IMAGES = {
    NO_PRETRAINING: 0.0,
    "ImageNet-1k": IMAGENET_IMAGES,
    "ImageNet-21k": IMAGENET21K_IMAGES,
    "ImageNet-21k then ImageNet-1k": IMAGENET21K_IMAGES,
    "JFT-300M": JFT_IMAGES,
    "unlabelled JFT-300M + ImageNet-1k": JFT_IMAGES,
}


@dataclass(frozen=True)
class Contrast:
    """First family minus second in one regime, before anything is said of its level. dataset: name."""

    suite: str
    dataset: str
    words: str  # the regime, for a label
    parts: tuple[tuple[float, SeedGroup], ...]
    conditions: Conditions
    record_ids: tuple[str, ...]

    @property
    def decides(self) -> bool:
        """Whether a finding may rest on this set, and several seeds say how far they differ."""
        return identify_dataset(self.dataset).carries_findings and all(g.spread is not None for _, g in self.parts)

    @property
    def estimate_pp(self) -> float:
        """The difference in percentage points."""
        return sum(weight * group.mean_pct for weight, group in self.parts)


def family_title(family: str) -> str:
    """The family as a label says it."""
    return FAMILY_TITLES.get(family, family)


def from_scratch(study: Study, scores: Iterable[Score], first: str, second: str) -> list[Contrast]:
    """First minus second on every set of these scores, at the largest training budget that both have."""
    found = []
    for one in compare_families(scores):
        pair = (one.first.family, one.second.family)
        if pair in ((first, second), (second, first)):
            found.append(_contrast(study.suite, one, 1.0 if pair[0] == first else -1.0, first, second))
    return found


def _contrast(suite: str, one: Comparison, sign: float, first: str, second: str) -> Contrast:
    parts = [(sign * weight, score.group) for weight, score in one.first.weights]
    parts += [(-sign * weight, score.group) for weight, score in one.second.weights]
    identity, score = identify_dataset(one.dataset), one.scores[0]
    regime = (
        f"{family_title(first)} − {family_title(second)}, {identity.title}, {fixed(score.train_images, 0)} images, "
        f"{significant(one.budget_gflop * GIGA / TERA, 3)} TFLOP"
    )
    return Contrast(suite, one.dataset, regime, tuple(parts), scratch_conditions(score), one.cell_ids)


def scratch_conditions(score: Score) -> Conditions:
    """The conditions of a model trained from scratch."""
    return Conditions(
        pretraining_images=0.0,
        exaflops=score.train_flop / EXA,
        resolution_px=score.key.resolution_px,
        macs=score.macs,
        device=score.key.device,
        data=identify_dataset(score.dataset).kind,
        dataset=score.dataset,
    )


def judged(
    scope: Scope, contrasts: Sequence[Contrast], *, positive: Bearing = "for", negative: Bearing = "against"
) -> list[Seen]:
    """Contrasts as evidence, each at 95 % for all of those together that lie in the scope, or outside it (Bonferroni).

    positive, negative: what a difference decided above or below zero says of the claim. A set on which nothing may
    rest is context.
    """
    return apart(scope, contrasts, conditions_met, lambda own: _judged(own, positive, negative))


def conditions_met(contrast: Contrast) -> Conditions:
    """The conditions of a contrast."""
    return contrast.conditions


def _judged(contrasts: Sequence[Contrast], positive: Bearing, negative: Bearing) -> list[Seen]:
    level = bonferroni(sum(contrast.decides for contrast in contrasts))
    found = []
    for one in contrasts:
        interval = contrast_interval(one.parts, level)
        bearing = sign_bearing(interval, positive, negative) if one.decides else "context"
        found.append(Seen(interval_evidence(one, interval, bearing), one.conditions))
    return found


def interval_evidence(contrast: Contrast, interval: Interval | None, bearing: Bearing) -> Evidence:
    """A contrast with its interval as one figure."""
    low, high = (None, None) if interval is None else (interval.low, interval.high)
    ids = contrast.record_ids
    return Evidence(
        contrast.words, contrast.estimate_pp, "points", low, high, bearing, "measured", "", contrast.suite, ids
    )


def sign_bearing(interval: Interval | None, positive: Bearing = "for", negative: Bearing = "against") -> Bearing:
    """What an interval of a difference says: undecided when it holds zero or is not known."""
    if interval is None or interval.low <= 0.0 <= interval.high:
        return "undecided"
    return positive if interval.low > 0 else negative


def bonferroni(comparisons: int) -> float:
    """The level of each of so many intervals, 95 % for all together."""
    return 1 - (1 - LEVEL) / max(comparisons, 1)


def correction_words(comparisons: int) -> str:
    """How intervals were corrected, for a sentence."""
    return "95 % intervals" if comparisons <= 1 else f"intervals at 95 % for all {comparisons} together"


def corrected_tally(
    noun: str, plural: str, also: str = "", intervals_each: int = 1
) -> Callable[[Sequence[Evidence]], str]:
    """A sentence on differences that were judged together, with how many of them the intervals were corrected for.

    also: follows that. intervals_each: behind each figure that decides.
    """

    def say(rows: Sequence[Evidence]) -> str:
        judged_rows = sum(row.bearing != "context" and row.unit == "points" for row in rows)
        words = correction_words(intervals_each * judged_rows)
        return tally(rows, noun, plural, f"{words}; {also}" if also else words)

    return say


def mean_of(contrasts: Sequence[Contrast]) -> Contrast | None:
    """The mean of one suite's contrasts over its sets that may decide; None with fewer than two."""
    own = [one for one in contrasts if one.decides]
    if len(own) < 2:
        return None
    parts = tuple((weight / len(own), group) for one in own for weight, group in one.parts)
    titles = listed(identify_dataset(one.dataset).title for one in own)
    words = f"{own[0].words.split(',', 1)[0]}, mean of {titles} at equal training compute"
    ids = tuple(sorted({cell_id for one in own for cell_id in one.record_ids}))
    return replace(own[0], words=words, parts=parts, record_ids=ids)


def leads_between(scope: Scope, studies: Sequence[Study], first: str, second: str) -> list[Seen]:
    """Leads of one family's checkpoints over another's on single sets, as first minus second.

    A lead is corrected for the pairs of checkpoints that could have led; here also for the sets of all leads in the
    scope, or outside it. Models without pre-training are left out; a set on which nothing may rest is context.
    """
    found = [
        (study, lead)
        for study in studies
        for lead in (*study.protocols.finetuned_leads, *study.protocols.evaluated_leads)
        if len(lead.datasets) == 1 and lead.second is not None and lead.pretraining != NO_PRETRAINING
        if {lead.first.family, lead.second.family} == {first, second}
    ]

    def judge(own: Sequence[tuple[Study, Lead]]) -> list[Seen]:
        leads = sum(identify_dataset(lead.datasets[0]).carries_findings for _, lead in own)
        return [_lead_seen(study, lead, max(leads, 1), first) for study, lead in own]

    return apart(
        scope, found, lambda one: conditions_of(one[0], _sides(one[1], first)[0].subject, one[1].datasets[0]), judge
    )


def _sides(lead: Lead, first: str) -> list[Side]:
    assert lead.second is not None
    return [lead.first, lead.second] if lead.first.family == first else [lead.second, lead.first]


def _lead_seen(study: Study, lead: Lead, leads: int, first: str) -> Seen:
    scores: list[Scored] = [*study.protocols.finetuned, *study.protocols.evaluated]
    sides = _sides(lead, first)
    ours, theirs = (
        next(s.group for s in scores if s.cell_ids == side.cell_ids and s.subject == side.subject) for side in sides
    )
    interval, _, basis, verdict = compare_pair(ours, theirs, lead.pairs * leads)
    bearing: Bearing = "undecided" if verdict == "not decided" else "for" if verdict == "ahead" else "against"
    low, high = (None, None) if interval is None else (interval.low, interval.high)
    identity = identify_dataset(lead.datasets[0])
    if not identity.carries_findings:
        bearing = "context"
    by = f", by {basis}" if basis and interval is None else ""
    words = " − ".join(study.protocols.labels.get(s.subject, s.subject.key.model) for s in sides)
    words = f"{words}, {identity.title}, pre-training: {lead.pretraining}{by}"
    delta = ours.mean_pct - theirs.mean_pct
    ids = (*sides[0].cell_ids, *sides[1].cell_ids)
    figure = Evidence(words, delta, "points", low, high, bearing, "measured", "", study.suite, ids)
    return Seen(figure, conditions_of(study, sides[0].subject, lead.datasets[0]))


def conditions_of(study: Study, subject: Subject, dataset: str) -> Conditions:
    """The conditions of weights that were pre-trained elsewhere or in the suite, on one set."""
    return Conditions(
        pretraining_images=_images_seen(study, subject),
        resolution_px=subject.key.resolution_px,
        device=subject.key.device,
        data=identify_dataset(dataset).kind,
        dataset=dataset,
    )


def _images_seen(study: Study, subject: Subject) -> float | None:
    """Different images behind the weights; of weights trained in the suite, its training images."""
    if subject.trained_on:
        return max((float(s.train_images) for s in study.scores if s.dataset == subject.trained_on), default=None)
    return PRETRAINING_IMAGES.get(pretraining_of(subject))
