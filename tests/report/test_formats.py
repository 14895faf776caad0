from bench.analyse.intervals import Interval
from bench.analyse.speeds import Timed
from bench.report import formats


def test_training_compute_is_shown_in_the_largest_unit_that_shows_the_smallest():
    assert formats.flop_scale([250e9, 900e9]).unit == "TFLOP"
    assert formats.flop_scale([50e9, 900e9]).unit == "GFLOP"
    assert formats.flop_scale([55e18]).unit == "exaFLOP"
    assert formats.flop_scale([]).unit == "MFLOP"


def test_an_interval_that_excludes_zero_is_not_shown_as_touching_it():
    assert formats.bracketed(Interval(0.8, 0.03, 1.5, 3, "t")) == "[0.03, 1.50]"
    assert formats.bracketed(Interval(0.8, 0.1, 1.5, 3, "t")) == "[0.1, 1.5]"


def test_spans_collapse_when_equal():
    assert formats.span([3, 3]) == "3"
    assert formats.span([250, 450]) == "250–450"


def test_points_have_a_singular():
    assert (formats.points(1.0), formats.points(-2.14)) == ("1.0 point", "2.1 points")


def test_an_interval_clipped_at_the_end_of_the_scale_holds_its_other_end():
    assert formats.plus_minus(Interval(99.5, 98.0, 100.0, 3, "t"), 1) == "99.5 [98.0, 100.0]"
    assert formats.plus_minus(Interval(99.5, 98.9, 100.0, 3, "t"), 1) == "99.5 ± 0.6"


def test_an_interval_that_spans_a_factor_is_told_by_its_ends():
    assert formats.plus_minus(Interval(100.0, 25.0, 400.0, 2, "t"), 0) == "100 [25, 400]"


def test_fewer_than_five_processes_are_told_without_a_range():
    assert formats.timed_words(Timed.of((100.0, 104.0, 90.0))) == "100"
    assert formats.timed_words(Timed.of((100.0, 104.0, 90.0, 101.0, 150.0))) == "101 [90.0, 150]"
    assert formats.times_words(Timed.of((1.5, 1.7))) == "1.60 ×"
    assert formats.times_words(Timed.of((1.5, 1.7, 1.6, 1.4, 1.6))) == "1.60 × [1.40, 1.70]"
