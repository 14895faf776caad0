"""Counts beside timm's: how many meet, and that each cause of a difference is one."""

from __future__ import annotations

import pytest

from bench.analyse.public.published_counts import PublishedCount, published_counts
from bench.analyse.public.study import public_study
from bench.catalog.public_counts import public_counts

COMPARED = {one.place: one for one in published_counts(public_study([]).rows)}


def test_every_counted_place_is_compared_once() -> None:
    assert set(COMPARED) == {place for place, count in public_counts().items() if count.macs is not None}


def test_nineteen_in_twenty_meet_and_no_difference_is_unexplained() -> None:
    different = [one for one in COMPARED.values() if not (one.macs_are_met and one.activations_are_met)]
    assert len(different) < 0.05 * len(COMPARED)
    assert [one.place for one in different if not one.cause] == []


def test_a_count_that_meets_timm_s_has_no_cause() -> None:
    met = [one for one in COMPARED.values() if one.macs_are_met and one.activations_are_met]
    assert {one.cause for one in met} == {""}


def timm_counts(one: PublishedCount, *, fused: bool) -> tuple[float, float]:
    """Multiply-adds in G and activations in M by fvcore, which timm counts with, of the fused network or not."""
    fvcore = pytest.importorskip("fvcore.nn")
    import timm
    import torch
    from timm.utils import reparameterize_model

    model = timm.create_model(one.place[0]).eval()
    image = torch.zeros(1, 3, one.place[1], one.place[1])
    found = []
    for analysis in (fvcore.FlopCountAnalysis, fvcore.ActivationCountAnalysis):
        counted = analysis(reparameterize_model(model) if fused else model, image)
        found.append(counted.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total())
    return found[0] / 1e9, found[1] / 1e6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "fused"),
    [
        (("repghostnet_200", 224), True),
        (("ghostnetv3_100", 224), True),
        (("repvgg_a0", 224), True),
        (("mobileone_s0", 224), True),
        (("levit_128s", 224), True),
        (("shvit_s3", 224), True),
        (("efficientvit_m3", 224), True),
        (("convmixer_1024_20_ks9_p14", 224), False),
        (("sequencer2d_s", 224), False),
        (("ghostnetv2_160", 224), False),
    ],
)
def test_timm_s_own_way_of_counting_gives_its_figure_where_ours_does_not(place: tuple[str, int], fused: bool) -> None:
    one = COMPARED[place]
    gmacs, macts = timm_counts(one, fused=fused)
    assert round(gmacs, 2) == pytest.approx(one.published.infer_gmacs, abs=0.0101)
    assert round(macts, 2) == pytest.approx(one.published.infer_macts, rel=0.005)
    assert not one.macs_are_met
