"""Rules on studies made by hand: inside a claim's scope they decide, outside they give an analogue."""

from types import SimpleNamespace

import pytest
from analyse.records import counted, evaluated, finetuned, record, timed, trained
from made_up_claims import ANYWHERE, ELSEWHERE, claim, measured, seeds, studied

from bench.analyse.claims.attention_cost import measure_attention_grows, measure_attention_share
from bench.analyse.claims.compute import measure_cost_at_equal_accuracy
from bench.analyse.claims.device_cost import (
    measure_memory,
    measure_slower_at_equal_macs,
    measure_slower_latency,
)
from bench.analyse.claims.measurements import Measurements
from bench.analyse.claims.patches import measure_larger_patches
from bench.analyse.claims.pretraining import measure_ahead_on_every_set, measure_order_by_data
from bench.analyse.claims.public_weights import measure_public_best, measure_public_cost
from bench.analyse.claims.scaling import measure_keeps_rising, measure_lead_closes
from bench.analyse.claims.vision import (
    measure_distance_grows,
    measure_global_heads,
    measure_position_structure,
)
from bench.catalog.claims import Scope

VIT, CNN = "vit_32px_s", "resnet_32px_s"
ANALOGUE = {"supported": "same", "contradicted": "opposite", "inconclusive": "undecided"}


def both(measure, asked, study, word):
    """Inside the scope the records decide; outside they never do, and the analogue says what they would."""
    for scope in (ANYWHERE, ELSEWHERE):
        verdict = measure(claim(asked.rule, scope, **asked.parameters), measured(study))
        if scope is ANYWHERE:
            assert (verdict.word, verdict.analogue) == (word, None)
        else:
            assert (verdict.word, verdict.analogue) == ("untestable here", ANALOGUE[word])
            assert verdict.analogue_of
        assert all(row.record_ids and row.suite == "made-up" for row in verdict.evidence)


def nothing(measure, asked):
    """Without records the verdict is untestable, without an analogue."""
    verdict = measure(asked, measured(studied()))
    assert (verdict.word, verdict.analogue, verdict.evidence) == ("untestable here", None, ())


LESS_COMPUTE = claim("cost_at_equal_accuracy", first="vit", second="cnn", at_least=2, at_most=4, over="every set")


@pytest.mark.parametrize(("vit", "word"), [(90.0, "inconclusive"), (70.0, "contradicted"), (80.1, "inconclusive")])
def test_a_lead_at_equal_compute_contradicts_or_leaves_open_how_many_times_less_compute_is_needed(vit, word):
    study = studied(*(seeds(VIT, vit, name) + seeds(CNN, 80.0, name) for name in ("textures", "shapes")))
    both(measure_cost_at_equal_accuracy, LESS_COMPUTE, study, word)


def test_one_set_against_contradicts_every_set_but_not_the_mean():
    study = studied(seeds(VIT, 95.0), seeds(CNN, 80.0), seeds(VIT, 75.0, "shapes"), seeds(CNN, 80.0, "shapes"))
    assert measure_cost_at_equal_accuracy(LESS_COMPUTE, measured(study)).word == "contradicted"
    mean = claim("cost_at_equal_accuracy", **{**LESS_COMPUTE.parameters, "over": "mean"})
    verdict = measure_cost_at_equal_accuracy(mean, measured(study))
    assert (verdict.word, verdict.evidence[0].low > 0) == ("inconclusive", True)


def test_a_set_on_which_nothing_may_rest_and_a_single_seed_are_context():
    study = studied(seeds(VIT, 70.0, "digits"), seeds(CNN, 90.0, "digits"))
    verdict = measure_cost_at_equal_accuracy(LESS_COMPUTE, measured(study))
    assert ([row.bearing for row in verdict.evidence], verdict.word) == (["context"], "inconclusive")
    single = studied([trained(VIT, 0, 70.0), trained(CNN, 0, 90.0)])
    assert measure_cost_at_equal_accuracy(LESS_COMPUTE, measured(single)).word == "inconclusive"


def test_intervals_widen_with_the_number_of_sets():
    one = studied(seeds(VIT, 81.0), seeds(CNN, 80.0))
    two = studied(seeds(VIT, 81.0), seeds(CNN, 80.0), seeds(VIT, 81.0, "shapes"), seeds(CNN, 80.0, "shapes"))
    alone = measure_cost_at_equal_accuracy(LESS_COMPUTE, measured(one)).evidence[0]
    verdict = measure_cost_at_equal_accuracy(LESS_COMPUTE, measured(two))
    assert verdict.evidence[0].high - verdict.evidence[0].low > alone.high - alone.low
    assert "95 % for all 2 together" in verdict.reason


def test_sets_outside_the_scope_widen_no_interval_of_those_inside():
    one = studied(seeds(VIT, 81.0), seeds(CNN, 80.0))
    two = studied(seeds(VIT, 81.0), seeds(CNN, 80.0), seeds(VIT, 81.0, "shapes"), seeds(CNN, 80.0, "shapes"))
    asked = claim("cost_at_equal_accuracy", Scope(datasets=("textures",)), **LESS_COMPUTE.parameters)
    assert measure_cost_at_equal_accuracy(asked, measured(two)).evidence == (
        measure_cost_at_equal_accuracy(asked, measured(one)).evidence
    )


CLOSES = claim("lead_closes", first="hybrid", second="vit", closed_within_points=0.1)


@pytest.mark.parametrize(
    ("small", "large", "word"), [(90.0, 80.0, "supported"), (70.0, 80.0, "contradicted"), (80.2, 80.0, "inconclusive")]
)
def test_a_lead_that_closes_is_decided_at_both_budgets(small, large, word):
    study = studied(
        seeds(VIT, 80.0, budget=1.0),
        seeds("hybrid_32px_s", small, budget=1.0),
        seeds(VIT, 80.0, budget=2.0),
        seeds("hybrid_32px_s", large, budget=2.0),
    )
    both(measure_lead_closes, CLOSES, study, word)


RISES = claim("keeps_rising", family="vit", rises=True)


@pytest.mark.parametrize(("last", "word"), [(90.0, "supported"), (70.0, "contradicted"), (80.1, "inconclusive")])
def test_a_curve_still_rises_where_the_largest_budget_is_ahead_of_the_next(last, word):
    study = studied(seeds(VIT, 60.0, budget=1.0), seeds(VIT, 80.0, budget=2.0), seeds(VIT, last, budget=4.0))
    both(measure_keeps_rising, RISES, study, word)


def by_size(ahead):
    return claim("order_by_data", first="vit", second="cnn", pretraining="JFT-300M", ahead=ahead, dataset="ImageNet")


def sizes(small, large):
    return studied(
        seeds(VIT, small, images=500), seeds(CNN, 80.0, images=500),
        seeds(VIT, large, images=1000), seeds(CNN, 90.0, images=1000),
    )  # fmt: skip


@pytest.mark.parametrize(("small", "word"), [(70.0, "supported"), (95.0, "contradicted"), (80.2, "inconclusive")])
def test_behind_on_little_data_is_read_at_the_smallest_size(small, word):
    both(measure_order_by_data, by_size(False), sizes(small, 90.0), word)


@pytest.mark.parametrize(("large", "word"), [(95.0, "supported"), (80.2, "contradicted"), (90.1, "inconclusive")])
def test_overtaking_is_behind_at_the_smallest_size_and_ahead_at_the_largest(large, word):
    both(measure_order_by_data, by_size(True), sizes(70.0, large), word)


def test_a_first_that_was_ahead_all_along_has_overtaken_nothing():
    assert measure_order_by_data(by_size(True), measured(sizes(90.0, 95.0))).word == "inconclusive"


def test_gaining_while_still_behind_is_no_overtaking():
    verdict = measure_order_by_data(by_size(True), measured(sizes(60.0, 85.0)))  # from -20 to -5
    assert (verdict.word, verdict.evidence[0].value) == ("contradicted", pytest.approx(-5.0))


def test_where_the_curves_cross_stands_beside_it():
    verdict = measure_order_by_data(by_size(True), measured(sizes(70.0, 95.0)))
    (crossing,) = [row for row in verdict.evidence if row.unit == "images"]
    assert (crossing.bearing, 500 < crossing.value < 1000) == ("context", True)


def test_sizes_trained_at_other_budgets_are_not_compared():
    study = studied(
        seeds(VIT, 70.0, images=500, budget=1.0), seeds(CNN, 80.0, images=500, budget=1.0),
        seeds(VIT, 95.0, images=1000, budget=2.0), seeds(CNN, 90.0, images=1000, budget=2.0),
    )  # fmt: skip
    assert measure_order_by_data(by_size(True), measured(study)).evidence == ()


PUBLIC_VIT, PUBLIC_CNN = "vit_base_patch16_224.augreg_in21k", "resnetv2_50x1_bit.goog_in21k"
EVERY_SET = claim("ahead_on_every_set", first="ViT-L/16", second="BiT-L ResNet152x4", pretraining="JFT-300M")


@pytest.mark.parametrize(("vit", "word"), [(95.0, "supported"), (70.0, "contradicted"), (80.1, "inconclusive")])
def test_public_weights_of_one_pretraining_meet_on_every_set(vit, word):
    rows = [
        finetuned(model, seed, mean + shift, dataset)
        for dataset in ("pets", "cifar100")
        for model, mean in ((PUBLIC_VIT, vit), (PUBLIC_CNN, 80.0))
        for seed, shift in enumerate((-0.2, 0.0, 0.2))
    ]
    both(measure_ahead_on_every_set, EVERY_SET, studied(rows), word)


def test_weights_of_two_pretrainings_are_not_compared():
    rows = [
        finetuned(model, seed, mean + seed / 10)
        for model, mean in ((PUBLIC_VIT, 90.0), ("resnet50.a1_in1k", 80.0))
        for seed in range(3)
    ]
    assert measure_ahead_on_every_set(EVERY_SET, measured(studied(rows))).evidence == ()


PATCHES = claim("larger_patches", table=6)


@pytest.mark.parametrize(("large", "word"), [(700, "supported"), (900, "contradicted"), (801, "inconclusive")])
def test_two_vits_that_differ_in_the_patch_alone_are_paired(large, word):
    rows = [
        evaluated("vit_base_patch32_224.augreg_in21k_ft_in1k", large),
        evaluated("vit_base_patch16_224.augreg_in21k_ft_in1k", 800),
        evaluated("vit_large_patch16_224.augreg_in21k_ft_in1k", 999),
    ]
    both(measure_larger_patches, PATCHES, studied(rows), word)


def test_counts_alone_show_the_cost_of_a_patch_and_decide_nothing():
    rows = [counted("vit_base_patch32_224.augreg_in1k", 4), counted("vit_base_patch16_224.augreg_in1k", 16)]
    verdict = measure_larger_patches(PATCHES, measured(studied(rows)))
    assert (verdict.word, verdict.analogue) == ("untestable here", None)
    assert [(row.value, row.bearing) for row in verdict.evidence] == [(4.0, "context")]


def attention(exponent):
    tokens = {224: 197, 384: 577}
    return studied(
        counted(f"vit_base_patch16_{px}.augreg_in1k", 10**12, px, attention_macs=round(1000 * n**exponent))
        for px, n in tokens.items()
    )


@pytest.mark.parametrize(("exponent", "word"), [(2.0, "supported"), (1.5, "contradicted")])
def test_counts_at_two_resolutions_give_the_power_of_the_tokens(exponent, word):
    verdict = measure_attention_grows(claim("attention_grows", exponent=2), measured(attention(exponent)))
    assert verdict.word == word
    assert verdict.evidence[0].value == pytest.approx(exponent, abs=1e-3)


def test_hybrids_and_models_that_name_no_patch_have_no_power():
    rows = [counted("hybrid_32px_s", 100, px, attention_macs=10, family="hybrid") for px in (32, 64)] + [
        counted("own_vit", 100, px, attention_macs=10) for px in (32, 64)
    ]
    nothing_found = measure_attention_grows(claim("attention_grows", exponent=2), measured(studied(rows)))
    assert nothing_found.evidence == ()


@pytest.mark.parametrize(
    ("share", "resolution", "word", "analogue"),
    [(40, 224, "supported", None), (60, 224, "contradicted", None), (60, 1024, "untestable here", "opposite")],
)
def test_the_counted_share_of_attention_decides_up_to_the_claims_resolution(share, resolution, word, analogue):
    study = studied([counted("vit_base_patch16_224.augreg_in1k", 100, resolution, attention_macs=share)])
    asked = claim("attention_share", Scope(resolution_px=(1, 512)), resolution_px=512, share=0.5)
    verdict = measure_attention_share(asked, measured(study))
    assert (verdict.word, verdict.analogue) == (word, analogue)


def equal_macs(*more):
    rows = [counted(VIT, 100, 32), counted(CNN, 110, 32, family="cnn"), *more]
    return studied(rows)


@pytest.mark.parametrize(("rate", "against"), [(50.0, "for"), (200.0, "against")])
def test_speed_at_equal_macs_is_paired_by_process(rate, against):
    rows = [timed(VIT, i, rate + i / 10) for i in range(5)] + [timed(CNN, i, 100 + i / 10) for i in range(5)]
    asked = claim("slower_at_equal_macs", within=1.25, slower=True)
    (row,) = measure_slower_at_equal_macs(asked, measured(equal_macs(*rows))).evidence
    assert row.bearing == against
    assert row.value == pytest.approx(rate / 100, rel=0.01)
    assert row.low < row.value < row.high


def test_models_of_unequal_macs_are_not_paired():
    rows = [timed(VIT, i, 50.0 + i) for i in range(5)] + [timed(CNN, i, 100.0 + i) for i in range(5)]
    study = studied([counted(VIT, 100, 32), counted(CNN, 200, 32, family="cnn"), *rows])
    asked = claim("slower_at_equal_macs", within=1.25, slower=True)
    assert measure_slower_at_equal_macs(asked, measured(study)).evidence == ()
    assert measure_slower_latency(claim("slower_latency", within=1.25), measured(study)).evidence == ()


@pytest.mark.parametrize(("rate", "bearing"), [(50.0, "for"), (200.0, "against")])
def test_latency_is_compared_at_equal_macs(rate, bearing):
    rows = [timed(VIT, i, rate + i / 10) for i in range(5)] + [timed(CNN, i, 100 + i / 10) for i in range(5)]
    verdict = measure_slower_latency(claim("slower_latency", within=1.25), measured(equal_macs(*rows)))
    assert [row.bearing for row in verdict.evidence] == [bearing]
    assert verdict.word == "inconclusive"  # one pair is no majority


def on_cuda(one):
    return record({**one.cell, "device": "cuda"}, one.values)


@pytest.mark.parametrize(
    ("measure", "more"), [(measure_slower_at_equal_macs, {"slower": True}), (measure_slower_latency, {})]
)
def test_a_timing_outside_the_scope_takes_no_vit_the_vote_of_one_inside(measure, more):
    outside = [timed(VIT, i, 200.0 + i / 10) for i in range(5)] + [timed(CNN, i, 100 + i / 10) for i in range(5)]
    inside = [timed(VIT, i, 50.0 + i / 10) for i in range(5)] + [timed(CNN, i, 100 + i / 10) for i in range(5)]
    asked = claim("speed", Scope(devices=("cuda",)), within=1.25, **more)
    verdict = measure(asked, measured(equal_macs(*outside, *map(on_cuda, inside))))
    assert [row.bearing for row in verdict.evidence] == ["for"]


def searched(model, largest, device="cpu", limit=128):
    cell = {"task": "largest_batch", "model": model, "resolution_px": 32, "device": device, "cap": 4096,
            "memory_limit_mib": limit, "settings": {}}  # fmt: skip
    values = {"largest_batch": largest, "stopped_by": "memory", "smallest_refused": largest + 1, "tries": []}
    return record(cell, values)


MEMORY = claim("memory_at_equal_macs", within=1.25)


@pytest.mark.parametrize(("vit", "word"), [(200, "supported"), (50, "contradicted"), (102, "inconclusive")])
def test_the_largest_batch_at_equal_macs_is_the_memory_claim(vit, word):
    both(measure_memory, MEMORY, equal_macs(searched(VIT, vit), searched(CNN, 100)), word)


def test_a_cpu_is_outside_the_memory_claims_scope():
    asked = claim("memory_at_equal_macs", Scope(devices=("cuda",)), within=1.25)
    verdict = measure_memory(asked, measured(equal_macs(searched(VIT, 200), searched(CNN, 100))))
    assert (verdict.word, verdict.analogue, verdict.analogue_of) == ("untestable here", "same", "cpu, not cuda")


def test_batches_within_different_limits_are_not_compared():
    study = equal_macs(searched(VIT, 200), searched(CNN, 100, limit=256))
    assert measure_memory(MEMORY, measured(study)).evidence == ()


SYSTEMS = {"first": "EfficientNetV2", "second": "ViT-", "stratum": "ImageNet-21k then ImageNet-1k"}
ON_IMAGENET = Scope(pretraining_images=(1.3e7, 1.5e7), datasets=("imagenet",))


def on_imagenet(v2_correct, v2_macs, dataset="imagenet"):
    rows = [
        ("vit_small_patch16_224.augreg_in21k_ft_in1k", 8000, 4e9),
        ("vit_large_patch16_224.augreg_in21k_ft_in1k", 8600, 60e9),
        ("tf_efficientnetv2_m.in21k_ft_in1k", v2_correct, v2_macs),
    ]
    return studied(
        evaluated(name, correct, 10_000, dataset, values={"macs": macs, "params": 1e6}) for name, correct, macs in rows
    )


@pytest.mark.parametrize(("macs", "word"), [(3e9, "supported"), (70e9, "contradicted"), (15e9, "inconclusive")])
def test_evaluated_weights_decide_the_cost_at_equal_accuracy(macs, word):
    asked = claim("public_cost", ON_IMAGENET, **SYSTEMS, axis="macs", at_least=1)
    assert measure_public_cost(asked, measured(on_imagenet(8300, macs))).word == word


@pytest.mark.parametrize(("correct", "word"), [(9000, "supported"), (8000, "contradicted"), (8610, "inconclusive")])
def test_evaluated_weights_decide_which_system_is_the_most_accurate(correct, word):
    asked = claim("public_best", ON_IMAGENET, **SYSTEMS)
    assert measure_public_best(asked, measured(on_imagenet(correct, 1e9))).word == word


def test_other_images_than_imagenets_say_nothing_of_published_accuracies():
    asked = claim("public_best", ON_IMAGENET, **SYSTEMS)
    assert measure_public_best(asked, measured(on_imagenet(9000, 1e9, "pets"))).evidence == ()


def inspection(first_layer=(10.0, 90.0), layers=6, rising=True, kind="public", grid=0.9, line=0.5, side=14):
    means = [20.0 + 10 * i if rising else 70.0 - 10 * i for i in range(1, layers)]
    positions = SimpleNamespace(rank_correlation=grid, rank_correlation_1d=line, is_learned=kind != "random")
    facts = SimpleNamespace(
        inspection_id="abc", model="vit_base_patch16_224.augreg_in21k", title="ViT <b>", resolution_px=224,
        weights=SimpleNamespace(kind=kind, sha256=None if kind == "random" else "f00", seed=0, cell_id=None),
        attention_distance_px=(first_layer, *((mean, mean) for mean in means)), uniform_distance_px=100.0,
        positions=positions, tokens=SimpleNamespace(rows=side, columns=side),
    )  # fmt: skip
    return SimpleNamespace(facts=facts)


LOOKS = [
    (measure_global_heads, {"share": 0.8, "local_share": 0.5}, {}, {"first_layer": (10.0, 30.0)}),
    (measure_distance_grows, {}, {"first_layer": (5.0, 5.0)}, {"first_layer": (99.0, 99.0), "rising": False}),
    (measure_position_structure, {}, {}, {"grid": 0.2}),
]


@pytest.mark.parametrize(("measure", "parameters", "good", "bad"), LOOKS)
def test_inspections_of_trained_weights_decide(measure, parameters, good, bad):
    scope = Scope(pretraining_images=(1e6, float("inf")), resolution_px=(224, float("inf")))
    for fields, word in ((good, "supported"), (bad, "contradicted")):
        found = Measurements((), (inspection(**fields),))
        verdict = measure(claim("vision", scope, **parameters), found)
        assert verdict.word == word
        assert verdict.evidence[0].record_ids == ("abc",)


@pytest.mark.parametrize(("measure", "parameters", "good", "bad"), LOOKS)
def test_random_weights_never_decide_what_a_model_learned(measure, parameters, good, bad):
    found = Measurements((), (inspection(kind="random", **good),))
    verdict = measure(claim("vision", ANYWHERE, **parameters), found)
    assert (verdict.word, verdict.analogue) == ("untestable here", None)
    assert all(row.bearing == "context" for row in verdict.evidence)


def test_weights_of_which_nothing_is_known_are_outside_the_scope():
    scope = Scope(pretraining_images=(1e6, float("inf")))
    found = Measurements((), (inspection(kind="file"),))
    verdict = measure_global_heads(claim("vision", scope, share=0.8, local_share=0.5), found)
    assert (verdict.word, verdict.analogue) == ("untestable here", "same")


def test_heads_that_all_attend_evenly_show_no_global_head():
    asked = claim("vision", ANYWHERE, share=0.8, local_share=0.5)
    found = Measurements((), (inspection(first_layer=(96.0, 102.0)),))
    assert measure_global_heads(asked, found).word == "inconclusive"


@pytest.mark.parametrize("fields", [{"side": 4, "grid": 0.1}, {"side": 4}, {"grid": 0.45}, {"grid": 0.6}])
def test_small_grids_and_small_differences_of_correlations_decide_nothing(fields):
    found = Measurements((), (inspection(**fields),))
    assert measure_position_structure(claim("vision", ANYWHERE), found).word == "inconclusive"


def test_positions_count_once_for_a_model_and_a_range_over_images_is_no_interval():
    found = Measurements((), (inspection(), inspection(first_layer=(10.0, 95.0))))
    (positions,) = measure_position_structure(claim("vision", ANYWHERE), found).evidence
    assert (positions.low, positions.high, "image" in positions.label) == (None, None, False)
    (heads,) = measure_global_heads(claim("vision", ANYWHERE, share=0.8, local_share=0.5), found).evidence
    assert (heads.low, heads.high) == (None, None)
    assert heads.label.endswith("2 images, from 0.900 to 0.950")


def test_images_that_disagree_leave_a_model_undecided():
    found = Measurements((), (inspection(), inspection(first_layer=(10.0, 30.0))))
    assert measure_global_heads(claim("vision", ANYWHERE, share=0.8, local_share=0.5), found).word == "inconclusive"


@pytest.mark.parametrize(
    ("measure", "asked"),
    [
        (measure_cost_at_equal_accuracy, LESS_COMPUTE),
        (measure_lead_closes, CLOSES),
        (measure_keeps_rising, RISES),
        (measure_order_by_data, by_size(True)),
        (measure_ahead_on_every_set, EVERY_SET),
        (measure_larger_patches, PATCHES),
        (measure_memory, MEMORY),
        (measure_public_best, claim("public_best", **SYSTEMS)),
        (measure_public_cost, claim("public_cost", **SYSTEMS, axis="throughput", at_least=1)),
        (measure_attention_share, claim("attention_share", resolution_px=512, share=0.5)),
    ],
)
def test_without_records_of_its_kind_a_rule_is_untestable(measure, asked):
    nothing(measure, asked)
