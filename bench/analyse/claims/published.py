"""Published figures beside ours: computed ones, and those of released checkpoints that were measured here.

Training compute of Tables 6 and 2, timm's parameters and MACs; pre-training compute of released checkpoints beside
their accuracy, and stand-ins for the systems of Table 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench.analyse.accuracies.accuracy import Accuracy, Evaluated, FewShot, FineTuned
from bench.analyse.accuracies.pooling import headline_scores, headline_setting
from bench.analyse.accuracies.subjects import PUBLIC, Subject
from bench.analyse.compare.means import SetMean, Vtab, by_subject, set_mean, sets_to_average
from bench.analyse.stats.intervals import Interval
from bench.catalog.papers import (
    JFT_IMAGES,
    PretrainingRow,
    ScalingRow,
    SotaRow,
    TimmRow,
    implied_tflops_per_core,
    paper_pretraining,
    paper_scaling,
    paper_sota,
    paper_transfer,
    paper_vtab,
    timm_published,
    training_exaflops,
)
from bench.catalog.public_checkpoints import (
    OUR_SETS,
    REAL,
    STAND_INS,
    VTAB,
    PublicPretraining,
    StandIn,
    public_pretraining,
)
from bench.store.rows import Rows
from bench.units import GIGA


@dataclass(frozen=True)
class ScalingComparison:
    """One row of Table 6 and the training compute that our count of MACs gives for it."""

    row: ScalingRow
    macs: int | None  # None: timm has no such model, or it was not counted here at that resolution
    exaflops: float | None
    cell_id: str | None

    @property
    def difference_pct(self) -> float | None:
        """Computed over published, minus one, in percent."""
        return None if self.exaflops is None else 100 * (self.exaflops / self.row.exaflops - 1)


@dataclass(frozen=True)
class SotaComparison:
    """One system of Table 2, the training compute that we compute, and the speed per core which that implies."""

    row: PretrainingRow
    macs: int | None
    exaflops: float | None
    tflops_per_core: float | None
    cell_id: str | None


@dataclass(frozen=True)
class TimmComparison:
    """One model's counts beside timm's published ones; timm's MACs include norm layers, so ours do here too."""

    name: str
    resolution_px: int
    published: TimmRow
    params: int
    macs_with_norms: int
    cell_id: str

    @property
    def difference_gmacs(self) -> float:
        """Ours minus timm's, in 1e9."""
        return self.macs_with_norms / GIGA - self.published.gmacs

    @property
    def is_within_tolerance(self) -> bool:
        """Within the larger of 0.5 % and 0.005 G."""
        return meets_timm(self.macs_with_norms / GIGA, self.published.gmacs)


def meets_timm(ours: float, published: float) -> bool:
    """Within the larger of 0.5 % and what timm's two decimals leave open. In timm's units."""
    return abs(ours - published) <= max(0.005 * published, 0.005) * (1 + 1e-9)


def compare_scaling(counts: Rows) -> list[ScalingComparison]:
    """Table 6 in the paper's order."""
    counted = counts_by_architecture(counts)
    found = []
    for row in paper_scaling():
        macs, cell_id = counted.get((row.timm_arch or "", row.resolution_px), (None, None))
        exaflops = None if macs is None else training_exaflops(macs, row.epochs * JFT_IMAGES)
        found.append(ScalingComparison(row, macs, exaflops, cell_id))
    return found


def compare_sota(counts: Rows) -> list[SotaComparison]:
    """The systems of Table 2 in the paper's order."""
    counted = counts_by_architecture(counts)
    found = []
    for row in paper_pretraining():
        macs, cell_id = counted.get((row.timm_arch, row.resolution_px), (None, None))
        exaflops = speed = None
        if macs is not None and row.images_seen is not None:
            exaflops = training_exaflops(macs, row.images_seen)
            speed = implied_tflops_per_core(macs, row.images_seen, row.tpuv3_core_days)
        found.append(SotaComparison(row, macs, exaflops, speed, cell_id))
    return found


def compare_timm(counts: Rows) -> list[TimmComparison]:
    """Every counted model for which timm publishes figures at the same resolution, by name and resolution."""
    published = timm_published()
    found = []
    for row in sorted(counts, key=lambda row: (row["model"], row["resolution_px"])):
        theirs = published.get((str(row["model"]), int(row["resolution_px"])))
        if theirs is not None:
            macs = int(row["macs"]) + int(row["norm_macs"] or 0)
            found.append(
                TimmComparison(theirs.name, theirs.resolution_px, theirs, int(row["params"]), macs, str(row["cell_id"]))
            )
    return found


def counts_by_architecture(counts: Rows) -> dict[tuple[str, int], tuple[int, str]]:
    """(timm architecture, resolution) -> (MACs, cell id), from a tag with 1,000 classes where one was counted.

    A head of 21,843 classes adds up to 0.4 % to the MACs of the smallest ViT.
    """
    counted: dict[tuple[str, int], tuple[int, str]] = {}
    rows = [row for row in counts if row["macs"] is not None]
    for row in sorted(rows, key=lambda row: (not str(row["model"]).endswith("in1k"), row["model"], row["cell_id"])):
        architecture = str(row["model"]).split(".", 1)[0]
        counted.setdefault((architecture, int(row["resolution_px"])), (int(row["macs"]), str(row["cell_id"])))
    return counted


@dataclass(frozen=True)
class PublicPoint:
    """One checkpoint. mean: over the sets of the figure; imagenet: that set alone; None where not measured here."""

    row: PublicPretraining
    macs: float | None
    exaflops: float | None
    count_ids: tuple[str, ...]  # of the record that counted the MACs
    mean: SetMean | None
    imagenet: SetMean | None


@dataclass(frozen=True)
class PublicScaling:
    """All released checkpoints, and what their accuracies are: one protocol, one list of sets for all."""

    points: tuple[PublicPoint, ...]
    datasets: tuple[str, ...]  # behind the means; empty where there is none
    protocol: str  # finetune, fewshot, or empty where nothing was measured
    shots: int  # of few-shot
    rule: str

    @property
    def is_counted(self) -> bool:
        """Whether the compute of some checkpoint is known."""
        return any(point.exaflops is not None for point in self.points)


def public_scaling(
    counted: Rows,
    finetuned: Sequence[FineTuned],
    fewshot: Sequence[FewShot],
    evaluated: Sequence[Evaluated] = (),
) -> PublicScaling:
    """Every row of public_pretraining.csv with its compute, and its accuracy where a protocol measured one.

    MACs are those counted at the resolution of pre-training; a record of another protocol at that resolution serves
    where no counting record does. Accuracy: fine-tuned where any checkpoint was fine-tuned, else few-shot.
    """
    counts: dict[tuple[str, int], tuple[float, tuple[str, ...]]] = {
        key: (float(macs), (cell_id,)) for key, (macs, cell_id) in counts_by_architecture(counted).items()
    }
    known: list[Accuracy] = [*evaluated, *fewshot, *finetuned]
    for one in known:
        key = (one.key.model.split(".", 1)[0], one.key.resolution_px)
        if one.macs is not None:
            counts.setdefault(key, (one.macs, one.cell_ids[:1]))
    rows = public_pretraining()
    tuned = [score for score in finetuned if _is_row(score.subject, rows)]
    protocol, shots, rule, scores = "", 0, "", list[Accuracy]()
    if tuned:
        protocol, scores = "finetune", list(tuned)
    elif shot := [score for score in fewshot if _is_row(score.subject, rows)]:
        shots, rule = headline_setting(shot)
        protocol, scores = "fewshot", list(headline_scores(shot))
    datasets = sets_to_average(scores)
    if not datasets and len({score.dataset for score in scores}) == 1:
        datasets = (scores[0].dataset,)
    found = by_subject(scores)
    points = []
    for row in rows.values():
        macs, ids = counts.get((row.timm_arch, row.resolution_px), (None, ()))
        exaflops = None if macs is None else training_exaflops(macs, row.images_seen)
        mean = _of_checkpoint(found, row.name, datasets)
        points.append(PublicPoint(row, macs, exaflops, ids, mean, _of_checkpoint(found, row.name, ("imagenet",))))
    return PublicScaling(tuple(points), datasets, protocol, shots, rule)


def _is_row(subject: Subject, rows: Mapping[str, PublicPretraining]) -> bool:
    return subject.weights == PUBLIC and subject.key.model in rows


def _of_checkpoint(
    found: Mapping[Subject, Mapping[str, Accuracy]], name: str, datasets: Iterable[str]
) -> SetMean | None:
    """The mean of a checkpoint, at the largest resolution that has one."""
    names = tuple(datasets)
    own = sorted((s for s in found if s.key.model == name), key=lambda s: (-s.key.resolution_px, s))
    means = (set_mean(found[subject], names) for subject in own)
    return next((mean for mean in means if mean is not None), None)


OneSet = TypeVar("OneSet", Evaluated, FineTuned)


@dataclass(frozen=True)
class QuotedAccuracy:
    """A published accuracy of a stand-in."""

    top1_pct: float
    model: str
    source: str


@dataclass(frozen=True)
class Measured:
    """An accuracy of a stand-in that was measured here. interval: None where no spread over seeds is known."""

    top1_pct: float
    interval: Interval | None
    model: str
    resolution_px: int
    protocol: str  # evaluated or fine-tuned
    cell_ids: tuple[str, ...]


@dataclass(frozen=True)
class TableTwoRow:
    """One system on one data set: as published, a public stand-in, measured here; None for what there is not."""

    published: SotaRow
    stand_in: StandIn | None
    quoted: QuotedAccuracy | None
    measured: Measured | None


def table_two(evaluated: Sequence[Evaluated], finetuned: Sequence[FineTuned], vtab: Vtab | None) -> list[TableTwoRow]:
    """Every system and data set of Table 2 in the paper's order."""
    rows = []
    for published in paper_sota():
        stand_in = STAND_INS.get((published.system, published.pretraining))
        quoted = measured = None
        if stand_in is not None:
            quoted = _quoted(stand_in, published.dataset)
            measured = _measured(stand_in, published.dataset, evaluated, finetuned, vtab)
        rows.append(TableTwoRow(published, stand_in, quoted, measured))
    return rows


def _quoted(stand_in: StandIn, dataset: str) -> QuotedAccuracy | None:
    if dataset in ("ImageNet", REAL):
        for model in stand_in.models:
            rows = sorted((key for key in timm_published() if key[0] == model), key=lambda key: -key[1])
            for key in rows:
                row = timm_published()[key]
                value = row.imagenet_top1_pct if dataset == "ImageNet" else row.real_top1_pct
                if value is not None:
                    return QuotedAccuracy(
                        value, f"{model} at {row.resolution_px} px", f"timm's result files, {row.source}"
                    )
    if dataset == VTAB:
        for vtab in paper_vtab():
            if vtab.system == stand_in.vtab_system and vtab.task == "(mean of 19, paper)":
                return QuotedAccuracy(vtab.accuracy_pct, vtab.system, vtab.source)
    for theirs in paper_transfer():
        place = theirs.pretraining, theirs.model, theirs.dataset
        if place == ("ImageNet-21k", stand_in.transfer_model, dataset) and theirs.top1_pct is not None:
            return QuotedAccuracy(theirs.top1_pct, f"{theirs.model}, ImageNet-21k", theirs.source)
    return None


def _measured(
    stand_in: StandIn,
    dataset: str,
    evaluated: Sequence[Evaluated],
    finetuned: Sequence[FineTuned],
    vtab: Vtab | None,
) -> Measured | None:
    ours = OUR_SETS.get(dataset, "imagenet" if dataset == REAL else "")
    for model in stand_in.models:
        for one in _largest_first(evaluated, model, ours):
            interval = one.real if dataset == REAL else one.top1
            if interval is not None:
                px = one.subject.key.resolution_px
                return Measured(interval.estimate, interval, model, px, "evaluated", one.cell_ids)
        if dataset == REAL:
            continue
        for score in _largest_first(finetuned, model, ours):
            px = score.subject.key.resolution_px
            return Measured(score.interval.estimate, score.interval, model, px, "fine-tuned", score.cell_ids)
        for subject in vtab.subjects if dataset == VTAB and vtab is not None else ():
            mean = vtab.score(subject) if vtab is not None and _is_public(subject, model) else None
            if mean is not None:
                px = subject.key.resolution_px
                return Measured(mean.mean_pct, mean.interval, model, px, "fine-tuned", mean.cell_ids)
    return None


def _is_public(subject: Subject, model: str) -> bool:
    return subject.weights == PUBLIC and subject.key.model == model


def _largest_first(scores: Sequence[OneSet], model: str, dataset: str) -> list[OneSet]:
    """Results of these public weights on this set, the largest resolution first."""
    found = [s for s in scores if _is_public(s.subject, model) and s.dataset == dataset]
    return sorted(found, key=lambda score: (-score.subject.key.resolution_px, score.subject))
