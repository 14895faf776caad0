import pytest

from bench.holm import holm


def test_holm_multiplies_by_the_hypotheses_left_and_never_falls() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0}


def test_one_test_alone_keeps_its_p() -> None:
    assert holm({("x", 1): 0.04}) == {("x", 1): 0.04}
