"""Which models a budget leaves, which of them cannot be told from the best, and which stand on its edge."""

from dataclasses import replace

from bench.analyse.accuracies.accuracy import Accuracy
from bench.analyse.accuracies.subjects import FROM_SCRATCH, RunKey, Subject
from bench.analyse.compare.choose import Candidate, Cost, at_one_budget, by_condition, choose
from bench.analyse.speed.speeds import Timed
from bench.analyse.stats.intervals import SeedGroup
from bench.catalog.identity import ModelIdentity

ALIKE, APART = (-0.1, 0.0, 0.1), (-2.0, 0.0, 2.0)  # seeds around their mean, in points
IMAGES = 10**9  # so many that test images add nothing


def candidate(name, mean, latency=None, seeds=ALIKE, macs=1.0, latencies=()):
    timed = Timed.of(latencies)
    costs = {"macs": Cost(macs, None, "", ("c",))}
    if timed is not None:
        costs["latency_p50_ms"] = Cost(timed.median, timed.interval, "machine batch 1", ("t",))
    elif latency is not None:
        costs["latency_p50_ms"] = Cost(latency, None, "machine batch 1", ("t",))
    accuracy = Accuracy(
        protocol="trained",
        subject=Subject(RunKey(name, 32), FROM_SCRATCH),
        identity=ModelIdentity(name, name, "vit", "s"),
        dataset="textures",
        group=SeedGroup(tuple(mean + seed for seed in seeds), IMAGES),
        seeds=tuple(range(len(seeds))),
        cell_ids=(f"id-{name}",),
        train_images=1000.0,
    )
    return Candidate(name, accuracy, costs)


def with_runs(one, *values_pct, images=IMAGES, protocol="trained"):
    accuracy = replace(one.accuracy, group=SeedGroup(values_pct, images), protocol=protocol)
    return replace(one, accuracy=accuracy)


def labels(candidates):
    return [one.label for one in candidates]


def test_the_most_accurate_within_the_budget_comes_first():
    found = choose([candidate("a", 80, 5), candidate("b", 90, 9), candidate("c", 95, 30)], {"latency_p50_ms": 10})
    assert labels(found.choices) == ["b", "a"]
    assert labels(found.best) == ["b"]
    assert labels(found.too_costly) == ["c"]


def test_those_that_the_best_is_not_ahead_of_are_best_with_it():
    # variance 4 of a seed, three seeds each: 2 points have a standard error of 1.63, far from Welch's 95 %
    sides = [candidate("a", 82, 5, APART), candidate("b", 80, 5, APART), candidate("c", 60, 5, APART)]
    found = choose(sides, {})
    assert labels(found.choices) == ["a", "b", "c"]
    assert labels(found.best) == ["a", "b"]


def test_who_is_outside_the_budget_does_not_count_against_those_within():
    dear = candidate("dear", 95, 30)
    found = choose([candidate("a", 80, 5), dear], {"latency_p50_ms": 10})
    assert labels(found.best) == ["a"]
    assert labels(choose([candidate("a", 80, 5), dear], {}).best) == ["dear"]


def test_the_cheapest_of_the_best_is_found_on_an_axis_in_its_own_direction():
    sides = [candidate("a", 82, 5, APART, macs=9.0), candidate("b", 81, 7, APART, macs=3.0), candidate("c", 60, 1)]
    found = choose(sides, {})
    assert found.cheapest("macs").label == "b"
    assert found.cheapest("latency_p50_ms").label == "a"
    assert found.cheapest("peak_mib") is None
    rates = {"a": 100.0, "b": 90.0, "c": 900.0}
    timed = [with_costs(one, throughput_img_per_s=Cost(rates[one.label], None, "m", ("r",))) for one in sides]
    assert choose(timed, {}).cheapest("throughput_img_per_s").label == "a"


def test_a_latency_whose_range_goes_beyond_the_limit_is_on_it():
    near = candidate("near", 90, latencies=[9.0, 9.5, 10.0, 10.5, 11.0])
    sure = candidate("sure", 80, latencies=[5.0, 5.1, 5.2, 5.3, 5.4])
    found = choose([near, sure], {"latency_p50_ms": 10.2})
    assert labels(found.choices) == ["near", "sure"]
    assert labels(found.on_the_limit) == ["near"]
    assert labels(choose([near, sure], {"latency_p50_ms": 9.9}).too_costly) == ["near"]


def test_a_least_throughput_is_a_limit_from_below():
    def rated(name, *rates):
        timed = Timed.of(rates)
        return with_costs(candidate(name, 80), throughput_img_per_s=Cost(timed.median, timed.interval, "m", ("r",)))

    fast, slow = rated("fast", 98, 99, 110, 111, 112), rated("slow", 80, 81, 82, 83, 84)
    found = choose([fast, slow], {"throughput_img_per_s": 100.0})
    assert labels(found.choices) == labels(found.on_the_limit) == ["fast"]
    assert labels(found.too_costly) == ["slow"]


def test_a_model_that_was_never_timed_is_neither_in_nor_out():
    found = choose([candidate("a", 80), candidate("b", 70, 5)], {"latency_p50_ms": 10})
    assert [(one.label, missing) for one, missing in found.unknown] == [("a", ("latency_p50_ms",))]
    assert labels(found.choices) == ["b"]


def test_nobody_within_the_budget_is_an_empty_list():
    found = choose([candidate("a", 80, 5)], {"latency_p50_ms": 1})
    assert (found.choices, found.best, found.cheapest("macs")) == ((), (), None)


def test_unstable_seeds_stand_in_the_list_and_in_no_rank():
    # 74, 92 and 92: t 4.30 times 6.0 is 25.8 points to both sides
    shaky = with_runs(candidate("shaky", 86), 74.0, 92.0, 92.0)
    found = choose([shaky, candidate("a", 80)], {})
    assert labels(found.choices) == ["shaky", "a"]
    assert labels(found.unranked) == ["shaky"]
    assert labels(found.best) == ["a"]


def test_one_run_each_is_not_ranked_but_a_released_checkpoint_is():
    def alone(name, top1, protocol="trained"):
        return with_runs(candidate(name, top1), top1, images=1000, protocol=protocol)

    found = choose([alone("a", 90.0), alone("b", 80.0)], {})
    assert (labels(found.best), labels(found.unranked)) == ([], ["a", "b"])
    # 900 and 800 of 1 000 images differ by far more than chance; 900 and 895 do not
    released = [alone(name, top1, "evaluated") for name, top1 in (("a", 90.0), ("b", 80.0), ("c", 89.5))]
    found = choose(released, {})
    assert (labels(found.best), labels(found.unranked)) == (["a", "c"], [])


def with_costs(one, **costs):
    return replace(one, costs={**one.costs, **costs})


def test_a_model_stands_once_at_its_largest_budget_within_the_limit():
    def at(budget, mean):
        return with_costs(candidate("a", mean, 5), train_flop=Cost(budget, None, "", ("b",)))

    own = [at(1, 70), at(2, 75), at(4, 80)]
    assert [one.accuracy.group.mean_pct for one in at_one_budget(own, {"train_flop": 3.0})] == [75]
    assert [one.accuracy.group.mean_pct for one in at_one_budget(own, {})] == [80]
    assert [one.accuracy.group.mean_pct for one in at_one_budget(own, {"train_flop": 0.5})] == [70]


def test_costs_taken_under_other_conditions_are_ranked_apart():
    here = [candidate("a", 80, 5), candidate("b", 85, 6)]
    there = with_costs(candidate("c", 99), latency_p50_ms=Cost(1.0, None, "elsewhere", ("x",)))
    never = candidate("d", 99)
    groups = by_condition([*here, there, never], {"latency_p50_ms": 10.0})
    assert {key: [one.label for one in own] for key, own in groups.items()} == {
        ("machine batch 1",): ["a", "b", "d"],
        ("elsewhere",): ["c"],
    }
