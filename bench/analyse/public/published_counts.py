"""Our counts of every public architecture and size beside timm's, and why they differ where they do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from bench.analyse.claims.published import meets_timm
from bench.analyse.public.rows import Place, PublicRow
from bench.catalog.public_counts import PublicCount
from bench.catalog.public_results import PublicResult
from bench.units import GIGA, MEGA

# How names begin, and what sets timm's counter or its network apart from ours; checked by the tests on models.
_CAUSES = tuple(
    (re.compile(names), cause)
    for names, cause in (
        (
            r"efficientvit_m\d|fastvit|ghostnetv3|levit|mobileone|repghostnet|repvgg|repvit|shvit",
            "timm counts the network fused for inference: parallel branches and norm layers folded into convolutions",
        ),
        (r"convmixer", 'timm\'s counter passes over convolutions with padding="same"'),
        (r"sequencer", "timm's counter passes over LSTMs"),
        (r"ghostnetv2", "timm's counter takes upsampling for multiply-adds"),
        (
            r"vit_\w+_rope_mixed",
            "the angles of the rotary embedding were a matrix product in the timm of the published count and are "
            "elementwise in the one that was counted here",
        ),
    )
)


@dataclass(frozen=True)
class PublishedCount:
    """One architecture and size, counted here and by timm; timm's MACs include norm layers, so ours do here too."""

    place: Place
    ours: PublicCount
    published: PublicResult

    @property
    def macs_with_norms(self) -> int:
        return (self.ours.macs or 0) + (self.ours.norm_macs or 0)

    @property
    def macs_are_met(self) -> bool:
        return meets_timm(self.macs_with_norms / GIGA, self.published.infer_gmacs)

    @property
    def activations_are_met(self) -> bool:
        return meets_timm((self.ours.activations or 0) / MEGA, self.published.infer_macts)

    @property
    def cause(self) -> str:
        """Why the two differ; "" where they do not, and where nothing is known."""
        if self.macs_are_met and self.activations_are_met:
            return ""
        return next((cause for names, cause in _CAUSES if names.match(self.place[0])), "")


def published_counts(rows: Iterable[PublicRow]) -> list[PublishedCount]:
    """Every architecture and size that was counted here, in the order of its names."""
    found: dict[Place, PublishedCount] = {}
    for row in rows:
        if row.count is not None and row.count.macs is not None:
            found.setdefault(row.result.place, PublishedCount(row.result.place, row.count, row.result))
    return [found[place] for place in sorted(found)]
