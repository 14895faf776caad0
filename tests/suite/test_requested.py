"""Blocks that a run plans only when it is asked for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import RequestError, SuiteFileError
from bench.suite.requested import requested
from bench.suite.spec import ComplexityBlock, EvaluateBlock, SpeedBlock, builtin_suites, load_suite, parse_suite

TEXT = """
question = "Why?"

[[complexity]]
models = ["vit_32px_s"]

[[complexity]]
planned = "with --counts"
models = ["resnet_32px_s"]

[[evaluate]]
planned = "with --data"
models = ["vit_32px_s"]
datasets = ["imagenet", "pets"]

[[speed]]
planned = "with --check-estimates"
models = ["hybrid_32px_s"]
metrics = ["latency"]
"""
SUITE = parse_suite(TEXT, Path("mine.toml"))
BY_DEFAULT, COUNTED = SUITE.complexity


def test_a_run_without_an_option_plans_what_no_option_asks_for() -> None:
    assert requested(SUITE, "by default", ()).blocks == (BY_DEFAULT,)


def test_an_option_plans_its_own_blocks_and_nothing_else() -> None:
    assert requested(SUITE, "with --counts", {"imagenet", "pets"}).blocks == (COUNTED,)
    assert requested(SUITE, "with --check-estimates", ()).blocks == SUITE.speed


def test_an_evaluation_with_data_waits_for_the_images_of_all_its_sets() -> None:
    assert not requested(SUITE, "by default", {"imagenet"}).evaluate
    assert requested(SUITE, "by default", {"pets", "birds", "imagenet"}).evaluate == SUITE.evaluate


def test_an_option_that_no_block_asks_for_is_refused_with_the_suites_that_have_it() -> None:
    with pytest.raises(RequestError) as caught:
        requested(load_suite("pocket"), "with --counts", ())
    assert str(caught.value) == "Suite 'pocket' plans nothing with --counts. Of those that ship, these do: public."


def test_a_suite_of_nothing_but_requests_says_which_options_it_has() -> None:
    suite = parse_suite(TEXT.replace('models = ["vit_32px_s"]\n', 'models = ["a"]\nplanned = "with --counts"\n', 1),
                        Path("mine.toml"))  # fmt: skip
    with pytest.raises(RequestError) as caught:
        requested(suite, "by default", ())
    assert str(caught.value) == (
        "Suite 'mine' plans nothing without an option: its blocks are with --check-estimates, with --counts, "
        "with --data."
    )


@pytest.mark.parametrize("name", sorted(set(builtin_suites()) - {"public"}))
def test_the_other_suites_that_ship_plan_all_their_blocks_without_an_option(name: str) -> None:
    assert requested(load_suite(name), "by default", ()) == load_suite(name)


def test_a_block_that_is_planned_in_a_way_that_it_cannot_be_is_refused() -> None:
    with pytest.raises(SuiteFileError, match=r"mine.toml:12: evaluate.0.planned: 'with --counts' is not known"):
        parse_suite(TEXT.replace("with --data", "with --counts"), Path("mine.toml"))


def test_suite_public_times_24_anchors_counts_everything_published_and_checks_30_others() -> None:
    suite = load_suite("public")
    (anchors,) = requested(suite, "by default", ()).blocks
    (counts,) = requested(suite, "with --counts", ()).blocks
    others = requested(suite, "with --check-estimates", ()).speed
    assert isinstance(anchors, SpeedBlock)
    assert isinstance(counts, ComplexityBlock)
    assert len(anchors.models) == 24
    assert (counts.models, counts.resolution_px) == (("@public",), "published")
    assert sum(len(block.models) for block in others) == 30
    (evaluate,) = requested(suite, "by default", {"imagenet"}).evaluate
    assert isinstance(evaluate, EvaluateBlock)
    assert evaluate.models == anchors.models
