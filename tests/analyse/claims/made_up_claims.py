"""Claims, published rows and studies made by hand, for the tests of rules."""

from collections.abc import Iterable, Sequence
from typing import Any

from analyse.records import trained

from bench.analyse.claims.measurements import Measurements
from bench.analyse.study import Study, study
from bench.catalog.claims import Claim, Scope
from bench.catalog.papers import ScalingRow
from bench.store.record import Record

ANYWHERE = Scope()
ELSEWHERE = Scope(pretraining_images=(3e8, float("inf")))


def claim(rule: str, scope: Scope = ANYWHERE, **parameters: Any) -> Claim:
    """A claim with this rule; ANYWHERE lets every record decide it, ELSEWHERE none of those made here."""
    return Claim("made-up", "s.", "paper", "arXiv 0000.00000", "from memory", rule, parameters, "records", scope)


def seeds(model: str, mean: float, dataset: str = "textures", **more: Any) -> list[Record]:
    """Three seeds within half a point."""
    return [trained(model, seed, mean + shift, dataset, **more) for seed, shift in enumerate((-0.2, 0.0, 0.2))]


def studied(*records: Iterable[Record], suite: str = "made-up") -> Study:
    """The study of these lists of records."""
    return study(suite, [record for some in records for record in some], lambda cell_id: None)


def measured(*studies: Study) -> Measurements:
    """Studies as a rule gets them."""
    return Measurements(tuple(studies))


def scaling(name: str, family: str, exaflops: float, top1: float, epochs: int = 7) -> ScalingRow:
    """A row of Table 6 with one accuracy on every set."""
    sets = ("imagenet", "imagenet_real", "cifar10", "cifar100", "pets", "flowers")
    return ScalingRow(
        name, family, epochs, 224, dict.fromkeys(sets, top1), top1, exaflops, "FLOPs", None, "s", "verified", ""
    )


def use_table_six(monkeypatch: Any, rows: Sequence[ScalingRow]) -> None:
    """Replace Table 6."""
    monkeypatch.setattr("bench.analyse.claims.table_six.paper_scaling", lambda: list(rows))
