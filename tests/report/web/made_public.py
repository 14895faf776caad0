"""The study of public checkpoints with made-up times of some of them: a power law of multiply-adds, 15 % off."""

from __future__ import annotations

import random

from synthetic_store import speed_record

from bench.analyse.public.study import PublicStudy, public_study
from bench.catalog.public_counts import public_counts

ANCHORS = 30


def made_study(anchors: int = ANCHORS) -> PublicStudy:
    """So many architectures timed in two processes each, the others estimated."""
    chance = random.Random(0)
    counted = sorted(place for place, count in public_counts().items() if count.macs)
    records = []
    for model, pixels in chance.sample(counted, anchors):
        macs = public_counts()[model, pixels].macs or 1
        rate = 100 * (macs / 1e9) ** -0.7 * chance.lognormvariate(0, 0.15)
        records += [
            speed_record(model, repeat, rate * (1 + 0.02 * repeat), resolution_px=pixels, batch_size=8)
            for repeat in range(2)
        ]
    return public_study(records)
