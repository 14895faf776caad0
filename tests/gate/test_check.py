"""The course of a check on simulated machines, quiet, noisy and sabotaged."""

from __future__ import annotations

import pytest
from gate.simulated import Machine, Quiet, dies, same, starts

from bench.errors import RequestError
from bench.gate.arms import WorkerLostError
from bench.gate.check import Measured, Plan, measure
from bench.gate.result import Comparison, ModelResult, Workload


def run(machine: Machine, *comparisons: Comparison, **plan: object) -> Measured:
    return measure(comparisons or [same()], Plan(**plan), starts(machine), Quiet())  # type: ignore[arg-type]


def only(measured: Measured) -> ModelResult:
    (one,) = measured.models
    return one


def verdicts(machine_of: object, count: int = 20) -> list[str]:
    """Verdicts of as many checks, each on a machine of another seed."""
    return [only(run(machine_of(seed))).verdict for seed in range(count)]  # type: ignore[operator]


def test_identical_code_passes_after_one_block_of_pairs() -> None:
    one = only(run(Machine()))
    assert one.verdict == "PASS"
    assert len(one.pairs) == 8
    assert abs(one.slowdown_pct or 99) < 2.5


def test_a_real_slowdown_fails_after_a_second_block() -> None:
    one = only(run(Machine(slowdown={"head": 0.06})))
    assert one.verdict == "FAIL"
    assert len(one.pairs) == 16
    assert one.low_pct is not None
    assert 0 < one.low_pct < 6 < (one.high_pct or 0) + 3


def test_a_planted_slowdown_comes_out_as_planted() -> None:
    head = Workload(model="net", plant=(1, 10))
    one = only(run(Machine(process_spread=0.0, turn_spread=0.001), same(head=head)))
    assert one.slowdown_pct == pytest.approx(10.0, abs=0.2)


def test_workers_are_fresh_for_each_pair_and_change_their_order_of_start() -> None:
    machine = Machine()
    run(machine, has_again_arm=False)
    assert machine.started == [["base", "head"], ["head", "base"]] * 4
    assert machine.closed == 16


def test_the_a_a_arm_rotates_over_the_models() -> None:
    listener = Quiet()
    measure([same("one"), same("two")], Plan(), starts(Machine(process_spread=0.003)), listener)
    with_again = [next(name for name, turns in pair.turns.items() if turns.again_ns) for pair in listener.pairs]
    assert with_again == ["one", "two"] * 4


def test_the_a_a_arm_runs_each_side_in_every_two_pairs() -> None:
    machine = Machine()
    sides = [pair.again_of for pair in only(run(machine)).pairs]
    assert [set(sides[pair : pair + 2]) for pair in range(0, 8, 2)] == [{"base", "head"}] * 4
    assert [f"again {side}" in names for side, names in zip(sides, machine.started, strict=True)] == [True] * 8


@pytest.mark.parametrize("side", ["base", "head"])
def test_a_worker_that_is_slower_for_being_that_side_decides_nothing(side: str) -> None:
    """Its code is the same: a second worker that runs it is not slower."""
    one = only(run(Machine(process_spread=0.003, bias={side: 0.06})))
    assert one.verdict == "INCONCLUSIVE"
    assert one.reason.startswith(f"too noisy: {side} against itself came out -5.")


def test_decided_models_take_no_further_part() -> None:
    slow = same("slow", head=Workload(model="slow", plant=(1, 10)))
    measured = run(Machine(process_spread=0.003), same("even"), slow)
    assert [(one.name, one.verdict, len(one.pairs)) for one in measured.models] == [
        ("even", "PASS", 8),
        ("slow", "FAIL", 16),
    ]


def test_noise_floors_are_each_side_against_itself() -> None:
    base, head = run(Machine(process_spread=0.0, turn_spread=0.0, bias={"again head": 0.01})).noise
    assert (base.side, base.pairs, head.side, head.pairs) == ("base", 4, "head", 4)
    assert (base.median_pct, base.lowest_pct, base.highest_pct) == pytest.approx((0, 0, 0))
    assert (head.median_pct, head.lowest_pct, head.highest_pct) == pytest.approx((1, 1, 1), abs=1e-4)


def test_a_steady_drift_moves_no_verdict() -> None:
    assert set(verdicts(lambda seed: Machine(drift_per_s=0.2, seed=seed))) == {"PASS"}


def test_a_drift_hides_no_slowdown() -> None:
    assert set(verdicts(lambda seed: Machine(drift_per_s=0.2, slowdown={"head": 0.1}, seed=seed))) == {"FAIL"}


def test_bursts_in_a_third_of_the_turns_move_no_verdict() -> None:
    found = verdicts(lambda seed: Machine(burst_share=0.3, seed=seed))
    assert "FAIL" not in found
    assert found.count("PASS") >= 19


def test_bursts_hide_no_slowdown() -> None:
    found = verdicts(lambda seed: Machine(burst_share=0.3, slowdown={"head": 0.1}, seed=seed))
    assert "PASS" not in found
    assert found.count("FAIL") >= 19


@pytest.mark.parametrize("cold", ["base", "head"])
def test_a_side_that_is_cold_after_each_switch_is_neither_slower_nor_faster(cold: str) -> None:
    assert set(verdicts(lambda seed: Machine(cold_passes={cold: 3}, seed=seed))) == {"PASS"}


def test_a_cold_base_hides_no_slowdown_of_head() -> None:
    found = verdicts(lambda seed: Machine(cold_passes={"base": 3}, slowdown={"head": 0.1}, seed=seed))
    assert set(found) == {"FAIL"}


def test_a_hopelessly_noisy_machine_is_inconclusive_and_neither_passes_nor_fails() -> None:
    found = verdicts(lambda seed: Machine(process_spread=0.15, seed=seed))
    assert found.count("INCONCLUSIVE") >= 18
    assert "FAIL" not in found


def test_a_worker_that_dies_costs_its_pair_and_nothing_else() -> None:
    listener = Quiet()
    machine = Machine(accident=dies("head", at_turn=7))
    measured = measure([same()], Plan(), starts(machine), listener)
    assert only(measured).verdict == "PASS"
    assert len(listener.lost) == 1
    assert measured.problems == ("A pair was thrown away: The head worker ended while a turn (signal 9).",)
    assert machine.closed == 3 * 9  # the pair that was lost had its workers ended too


def test_workers_that_keep_dying_end_inconclusive_with_the_reason() -> None:
    one = only(run(Machine(accident=dies("base", at_turn=3, times=99))))
    assert (one.verdict, one.reason) == ("INCONCLUSIVE", "The base worker ended while a turn (signal 9).")
    assert one.slowdown_pct is None


def test_a_worker_that_keeps_hanging_ends_inconclusive() -> None:
    def hangs(name: str, turn: int) -> None:
        if name == "head":
            raise WorkerLostError("The head worker hung while a turn: no answer within 20 s.")

    assert "hung" in only(run(Machine(accident=hangs))).reason


def test_a_base_that_cannot_be_built_is_inconclusive_and_says_which_side() -> None:
    one = only(run(Machine(unbuildable={"base": "ImportError: no module named 'net'"})))
    assert one.verdict == "INCONCLUSIVE"
    assert one.reason.startswith("base cannot run it: ImportError: no module named 'net'")


def test_what_neither_side_can_run_is_a_wrong_request() -> None:
    reason = "UnknownNameError: Unknown model 'nett'."
    with pytest.raises(RequestError, match="net: neither side can run it: UnknownNameError: Unknown model 'nett'"):
        run(Machine(unbuildable={"base": reason, "head": reason}))


def test_time_that_runs_out_is_inconclusive() -> None:
    one = only(run(Machine(slowdown={"head": 0.1}), max_seconds=0.0))
    assert one.verdict == "INCONCLUSIVE"
    assert "out of time" in one.reason


def test_with_eight_pairs_at_most_a_slowdown_is_inconclusive() -> None:
    assert only(run(Machine(slowdown={"head": 0.1}), max_pairs=8)).verdict == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"turns": 7}, "give an even number"),
        ({"max_pairs": 7}, "give one of 8, 16, 24, 32"),
        ({"threshold_pct": 0.0}, "makes no gate"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        Plan(**wrong)  # type: ignore[arg-type]


def test_every_turn_is_kept() -> None:
    pair = only(run(Machine(), turns=6)).pairs[0]
    assert (len(pair.orders), len(pair.base_ns), len(pair.head_ns), len(pair.again_ns)) == (6, 6, 6, 6)
