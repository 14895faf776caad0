"""Claims by records made by hand: within a claim's scope they decide, outside they say nothing."""

import math

import pytest
from analyse.records import counted, record, timed

from bench.analyse.claims.claims import measured_figures
from bench.analyse.claims.verdicts import verdict
from bench.analyse.study import study
from bench.catalog.claims import Claim, claim_rows

VIT, CNN = "vit_32px_s", "resnet_32px_s"
EQUAL = [counted(VIT, 100, 32), counted(CNN, 110, 32, family="cnn")]


def figures(records, **rule):
    return measured_figures(
        Claim("made-up", "s", "w", measured=rule), [study("made-up", records, lambda cell_id: None)]
    )


def rates(model, rate, device="cpu"):
    rows = [timed(model, process, rate + process / 10) for process in range(5)]
    return [record({**one.cell, "device": device}, one.values) for one in rows]


@pytest.mark.parametrize(("exponent", "word"), [(2, "supported"), (1, "contradicted")])
def test_counts_at_two_resolutions_give_the_power_of_the_tokens(exponent, word):
    tokens = (197, 577)  # of 16 px patches at 224 and 384 px
    records = [
        counted(f"vit_base_patch16_{px}.augreg_in1k", 1000 * n + 10 * n**exponent, px, attention_macs=10 * n**exponent)
        for px, n in zip((224, 384), tokens, strict=True)
    ]
    found = figures(records, rule="attention", exponent=2)
    assert found[0].value == pytest.approx(exponent)
    assert (verdict(found).word, len(found[0].record_ids)) == (word, 2)


def test_patches_of_two_sizes_and_hybrids_are_no_pair():
    records = [
        counted(f"vit_base_patch{patch}_{px}", 100, px, attention_macs=10) for patch, px in ((16, 224), (32, 384))
    ]
    records += [counted("hybrid_32px_s", 100, px, attention_macs=10, family="hybrid") for px in (32, 64)]
    assert figures(records, rule="attention", exponent=2) == []


@pytest.mark.parametrize(
    ("share", "px", "words"), [(40, 224, ["supported"]), (60, 224, ["contradicted"]), (60, 1024, [])]
)
def test_the_counted_share_of_attention_decides_up_to_the_claims_resolution(share, px, words):
    found = figures(
        [counted("vit_base_patch16_224", 100, px, attention_macs=share)],
        rule="attention", below_pct=50, resolution_px=[128, 512],
    )  # fmt: skip
    assert [verdict(found).word] == (words or ["undecided"])


@pytest.mark.parametrize(("rate", "word"), [(50.0, "supported"), (200.0, "contradicted"), (100.05, "inconclusive")])
@pytest.mark.parametrize("of", ["images/s", "latency"])
def test_a_vit_is_slower_than_a_cnn_of_equal_macs_or_not(rate, word, of):
    found = figures([*EQUAL, *rates(VIT, rate), *rates(CNN, 100.0)], rule="equal_macs", of=of, within=1.25)
    assert verdict(found).word == word
    assert found[0].value == pytest.approx((rate / 100) ** (1 if of == "images/s" else -1), rel=0.01)
    assert found[0].low < found[0].value < found[0].high
    assert len(found[0].record_ids) == 10


def test_the_fastest_cnn_of_equal_macs_is_the_rival():
    slow = [counted("mbconv_32px_s", 101, 32, family="cnn"), *rates("mbconv_32px_s", 20.0)]
    found = figures(
        [*EQUAL, *rates(VIT, 50.0), *rates(CNN, 100.0), *slow], rule="equal_macs", of="images/s", within=1.25
    )
    assert [figure.value for figure in found] == [pytest.approx(0.5, rel=0.01)]


def test_models_of_unequal_macs_are_not_paired():
    records = [EQUAL[0], counted(CNN, 200, 32, family="cnn"), *rates(VIT, 50.0), *rates(CNN, 100.0)]
    assert figures(records, rule="equal_macs", of="images/s", within=1.25) == []


@pytest.mark.parametrize("scope", [{"device": "cuda"}, {"macs": [200, math.inf]}, {"resolution_px": [64, 512]}])
def test_a_timing_outside_the_scope_says_nothing(scope):
    records = [*EQUAL, *rates(VIT, 50.0), *rates(CNN, 100.0)]
    assert figures(records, rule="equal_macs", of="images/s", within=1.25, **scope) == []


def searched(model, largest, device="cuda", limit=None, refused=None):
    cell = {"task": "largest_batch", "model": model, "resolution_px": 32, "device": device, "cap": 4096,
            "memory_limit_mib": limit, "settings": {}}  # fmt: skip
    values = {"largest_batch": largest, "stopped_by": "memory", "smallest_refused": refused, "tries": []}
    return record(cell, values)


@pytest.mark.parametrize(
    ("vit", "refused", "word"),
    [
        (200, 210, "supported"),
        (50, 53, "contradicted"),
        (100, 105, "inconclusive"),
        (50, None, "inconclusive"),
    ],
)
def test_the_largest_batch_at_equal_macs_is_the_memory_claim(vit, refused, word):
    records = [*EQUAL, searched(VIT, vit, refused=refused), searched(CNN, 100, refused=105)]
    assert verdict(figures(records, rule="equal_macs", of="largest batch", within=1.25, device="cuda")).word == word


def test_batches_within_different_limits_are_not_compared():
    records = [*EQUAL, searched(VIT, 200, "cpu", 128), searched(CNN, 100, "cpu", 256)]
    assert figures(records, rule="equal_macs", of="largest batch", within=1.25) == []


def test_a_claim_without_a_rule_for_records_is_left_to_the_published_numbers():
    assert measured_figures(claim_rows()["vits-need-jft"], []) == []
