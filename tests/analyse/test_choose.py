import numpy as np
import pytest

from bench.analyse.candidates import Candidate, Cost
from bench.analyse.choose import at_one_budget, by_condition, choose
from bench.analyse.front import fronts
from bench.analyse.identity import ModelIdentity
from bench.analyse.intervals import Interval, SeedGroup, Spread, process_interval
from bench.analyse.scores import RunKey

SURE, UNSURE = 1e-6, 4.0  # variance of one seed, in squared points


def candidate(name, mean, latency=None, variance=SURE, macs=1.0, main=True, latencies=None):
    timed = process_interval(latencies) if latencies else None
    value = timed.estimate if timed else latency
    costs = {"macs": Cost(macs, None, "", ("c",))}
    if value is not None:
        costs["latency_p50_ms"] = Cost(value, timed, "machine batch 1", ("t",))
    return Candidate(
        key=RunKey(name, 32),
        identity=ModelIdentity(name, name, "vit", "s"),
        label=name,
        dataset="textures",
        protocol="trained from scratch",
        group=SeedGroup((mean,) * 4, Spread(variance, 10**6, name), 10**9),
        interval=Interval(mean, mean, mean, 4, ""),
        costs=costs,
        cell_ids=(f"id-{name}",),
        train_images=1000.0,
        is_main=main,
    )


def test_the_most_accurate_within_the_budget_comes_first():
    found = choose([candidate("a", 80, 5), candidate("b", 90, 9), candidate("c", 95, 30)], {"latency_p50_ms": 10})
    assert [choice.candidate.label for choice in found.choices] == ["b", "a"]
    assert [choice.chance_of_best for choice in found.choices] == [1.0, 0.0]
    assert [one.label for one in found.too_costly] == ["c"]
    assert found.chance_of_others == 0.0


def test_two_equals_have_even_chances_and_the_chances_add_up():
    sides = [candidate(name, 80, 5, UNSURE) for name in "ab"]
    found = choose(sides, {"latency_p50_ms": 10})
    assert [c.chance_of_best for c in found.choices] == pytest.approx([0.5, 0.5], abs=0.05)
    assert sum(choice.chance_of_best for choice in found.choices) == pytest.approx(1.0)


def test_the_chance_is_that_of_the_normal_difference():
    # difference 1, standard error sqrt(2 x 4 / 4) = 1.41: the worse one is really better with chance 0.24
    found = choose([candidate("a", 81, 5, UNSURE), candidate("b", 80, 5, UNSURE)], {}, draws=20_000)
    assert found.choices[1].chance_of_best == pytest.approx(0.2398, abs=0.01)


def test_ties_at_the_ceiling_are_shared():
    found = choose([candidate(name, 100, 5) for name in "abcd"], {})
    assert [choice.chance_of_best for choice in found.choices] == pytest.approx([0.25] * 4, abs=0.02)


def test_a_latency_near_the_limit_is_within_it_by_chance():
    near = candidate("near", 90, latencies=[9.0, 9.5, 10.0, 10.5, 11.0])
    found = choose([near, candidate("a", 80, 5)], {"latency_p50_ms": near.costs["latency_p50_ms"].value})
    by_name = {choice.candidate.label: choice for choice in found.choices}
    assert by_name["near"].chance_within == pytest.approx(0.5, abs=0.05)
    assert by_name["near"].chance_of_best == by_name["near"].chance_within
    assert by_name["a"].chance_of_best == pytest.approx(1 - by_name["near"].chance_of_best)


def test_one_just_outside_the_budget_may_still_be_the_best():
    near = candidate("near", 90, latencies=[9.0, 9.5, 10.0, 10.5, 11.0])
    found = choose([near, candidate("a", 80, 5)], {"latency_p50_ms": 9.9})
    assert [one.label for one in found.too_costly] == ["near"]
    assert 0.2 < found.chance_of_others < 0.5


def test_a_model_that_was_never_timed_is_neither_in_nor_out():
    found = choose([candidate("a", 80), candidate("b", 70, 5)], {"latency_p50_ms": 10})
    assert [(one.label, missing) for one, missing in found.unknown] == [("a", ("latency_p50_ms",))]
    assert [choice.candidate.label for choice in found.choices] == ["b"]


def test_nobody_within_the_budget_is_an_empty_list():
    found = choose([candidate("a", 80, 5)], {"latency_p50_ms": 1})
    assert found.choices == ()
    assert found.chance_of_others == 0.0


def test_front_chances_follow_both_axes():
    cheap, worse, dear = candidate("cheap", 80, 5), candidate("worse", 79.5, 6, UNSURE), candidate("dear", 90, 30)
    (front,) = [f for f in fronts([cheap, worse, dear], draws=20_000) if f.axis.name == "latency_p50_ms"]
    points = {point.candidate.label: point for point in front.points}
    assert [point.is_on_front for point in front.points] == [True, False, True]
    assert points["cheap"].chance == points["dear"].chance == 1.0
    # half a point behind with a standard error of 1: ahead with chance 0.31
    assert points["worse"].chance == pytest.approx(0.3085, abs=0.01)


def test_a_cost_that_scatters_moves_its_point_on_and_off_the_front():
    steady = candidate("steady", 90, latencies=[10.0, 10.0001, 9.9999, 10.0, 10.0])
    shaky = candidate("shaky", 80, latencies=[8.0, 9.0, 10.0, 11.0, 12.5])
    (front,) = [f for f in fronts([steady, shaky]) if f.axis.name == "latency_p50_ms"]
    chances = {point.candidate.label: point.chance for point in front.points}
    assert chances["steady"] == 1.0
    assert 0.4 < chances["shaky"] < 0.7  # faster than 10 ms in about half of the draws


def test_smaller_budgets_stand_on_the_axis_of_training_compute_alone():
    early = candidate("a", 70, 5, main=False)
    found = {
        front.axis.name: len(front.points) for front in fronts([candidate("a", 80, 5), candidate("b", 85, 6), early])
    }
    assert found == {"macs": 2, "latency_p50_ms": 2}


def test_timings_of_another_machine_stand_on_no_front_with_ours():
    other = candidate("c", 99, 1)
    other = Candidate(**{**vars(other), "costs": {"latency_p50_ms": Cost(1.0, None, "elsewhere", ("x",))}})
    found = [f for f in fronts([candidate("a", 80, 5), candidate("b", 85, 6), other]) if f.axis.of_device]
    assert [[point.candidate.label for point in front.points] for front in found] == [["a", "b"]]


def test_chances_are_the_same_every_time():
    sides = [candidate(name, 80 + i / 10, 5, UNSURE) for i, name in enumerate("abc")]
    first, again = (np.array([c.chance_of_best for c in choose(sides, {}).choices]) for _ in range(2))
    assert (first == again).all()


def with_costs(one, **costs):
    return Candidate(**{**vars(one), "costs": {**one.costs, **costs}})


def test_one_run_each_gives_no_chance_but_a_released_checkpoint_does():
    alone = SeedGroup((90.0,), None, 1000)
    sides = [Candidate(**{**vars(candidate(name, 90, 5)), "group": alone}) for name in "ab"]
    assert [one.chance_of_best for one in choose(sides, {}).choices] == [None, None]
    assert {point.chance for front in fronts(sides) for point in front.points} == {None}
    released = [Candidate(**{**vars(one), "protocol": "evaluated"}) for one in sides]
    assert [one.chance_of_best for one in choose(released, {}).choices] == pytest.approx([0.5, 0.5], abs=0.05)


def test_a_rough_cost_puts_no_chance_on_its_front():
    sides = [
        with_costs(candidate(name, 80 + i, 5), peak_mib=Cost(10.0 + i, None, "m", ("p",), is_rough=True))
        for i, name in enumerate("ab")
    ]
    chances = {front.axis.name: {point.chance for point in front.points} for front in fronts(sides)}
    assert chances["peak_mib"] == {None}
    assert chances["latency_p50_ms"] == {0.0, 1.0}


def test_a_model_stands_once_at_its_largest_budget_within_the_limit():
    def at(budget, mean):
        return with_costs(candidate("a", mean, 5, main=budget == 4), train_flop=Cost(budget, None, "", ("b",)))

    own = [at(1, 70), at(2, 75), at(4, 80)]
    assert [one.group.mean_pct for one in at_one_budget(own, {"train_flop": 3.0})] == [75]
    assert [one.group.mean_pct for one in at_one_budget(own, {})] == [80]
    assert [one.group.mean_pct for one in at_one_budget(own, {"train_flop": 0.5})] == [70]


def test_costs_taken_under_other_conditions_are_ranked_apart():
    here = [candidate("a", 80, 5), candidate("b", 85, 6)]
    there = with_costs(candidate("c", 99), latency_p50_ms=Cost(1.0, None, "elsewhere", ("x",)))
    never = candidate("d", 99)
    groups = by_condition([*here, there, never], {"latency_p50_ms": 10.0})
    assert {key: [one.label for one in own] for key, own in groups.items()} == {
        ("machine batch 1",): ["a", "b", "d"],
        ("elsewhere",): ["c"],
    }
