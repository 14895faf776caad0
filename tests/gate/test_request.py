from __future__ import annotations

import math

import pytest

from bench.errors import RequestError, UnknownNameError
from bench.gate.request import DEFAULT_MODELS, comparisons_of, parse_side, plant_of, true_log_ratio


def test_models_become_comparisons_with_themselves() -> None:
    one, two = comparisons_of(["resnet18", "vit_32px_s"], batch_size=8)
    assert (one.name, two.name) == ("resnet18", "vit_32px_s")
    assert one.base == one.head
    assert one.base.batch_size == 8


def test_no_model_means_one_small_model_of_each_family() -> None:
    assert [one.name for one in comparisons_of([])] == list(DEFAULT_MODELS)


def test_sides_that_differ_in_settings_say_so_in_the_name() -> None:
    (one,) = comparisons_of(["resnet18"], a="compile=off", b="compile=on,batch=2")
    assert one.name == "resnet18 (compile=off → compile=on,batch=2)"
    assert one.base.settings == {}
    assert one.head.settings == {"compile": True}
    assert (one.base.batch_size, one.head.batch_size) == (1, 2)


def test_two_models_are_one_comparison() -> None:
    (one,) = comparisons_of([], a="model=resnet18", b="model=resnet34")
    assert one.name == "resnet18 → resnet34"


@pytest.mark.parametrize(
    ("a", "message"),
    [
        ("compile", "'compile' is not KEY=VALUE"),
        ("compile=maybe", "compile=maybe: expected on or off"),
        ("batch=0", "expected a whole number from 1 up"),
        ("batch=many", "batch=many: invalid literal"),
        ("precision=int8", "expected fp32, tf32, fp16 or bf16"),
        ("plant=-5", "cannot be planted"),
        ("model=resnet18", "on both sides, or on neither"),
    ],
)
def test_wrong_words_are_refused_by_name(a: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        comparisons_of([], a=a)


def test_an_unknown_key_gets_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'precision'"):
        parse_side("--b", "precison=bf16")


def test_an_absolute_path_would_be_one_file_for_both_sides() -> None:
    with pytest.raises(RequestError, match="one file for both sides"):
        comparisons_of(["/models/net.py:build"])


def test_a_model_on_both_sides_leaves_nothing_for_the_option() -> None:
    with pytest.raises(RequestError, match="nothing left for it"):
        comparisons_of(["resnet18"], a="model=resnet18", b="model=resnet34")


@pytest.mark.parametrize(("slowdown", "plant"), [(0, None), (3, (1, 33)), (5, (1, 20)), (10, (1, 10)), (50, (1, 2))])
def test_a_plant_is_the_fewest_passes_that_come_near(slowdown: float, plant: tuple[int, int] | None) -> None:
    assert plant_of(slowdown) == plant


def test_the_truth_of_a_plant_is_exact() -> None:
    assert true_log_ratio((1, 33)) == pytest.approx(math.log(34 / 33))
    assert true_log_ratio(None) == 0
