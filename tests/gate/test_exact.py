"""Exact comparison: what the sentence says, what fails, and what a side that cannot be counted leads to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.gate.apart import Apart
from bench.gate.exact import Facts, collect_facts, compare_facts, count_exactly
from bench.gate.result import Comparison, CountChange, Side, Workload
from bench.gate.trees import SideCode

NETS = Path(__file__).with_name("nets.py")


def facts(absent: dict[str, str] | None = None, **counts: int) -> Facts:
    named = {what.replace("aten_", "aten.", 1).replace("graph_", "graph "): number for what, number in counts.items()}
    return Facts(counts=named, absent=absent or {})


PLAIN = {"params": 24, "macs": 1152, "activations": 384, "graph_breaks": 0}


def test_equal_counts_pass_and_are_named() -> None:
    same = facts(**PLAIN, aten_bmm=24, aten_add=3)
    found = compare_facts("m", same, same, gates=True)
    assert (found.verdict, found.reason) == (
        "PASS",
        "the same params, macs, activations, graph breaks and the calls of 2 operators",
    )
    assert found.counts == same.counts


def test_a_rise_of_an_operator_fails_and_names_it() -> None:
    found = compare_facts("m", facts(**PLAIN, aten_bmm=24), facts(**PLAIN, aten_bmm=36), gates=True)
    assert (found.verdict, found.reason) == ("FAIL", "more: aten.bmm: 24 -> 36")
    assert found.changes == (CountChange(what="aten.bmm", base=24, head=36, is_rise=True),)


def test_an_exchange_fails_and_names_both_sides_of_it() -> None:
    base = facts(**PLAIN, aten_scaled_dot_product_attention=12)
    head = facts(**PLAIN, aten_bmm=24, aten__softmax=12)
    found = compare_facts("m", base, head, gates=True)
    assert found.verdict == "FAIL"
    assert found.reason == (
        "more: aten._softmax: 0 -> 12, aten.bmm: 0 -> 24; less: aten.scaled_dot_product_attention: 12 -> 0"
    )


@pytest.mark.parametrize("what", ["params", "macs", "activations", "graph_breaks"])
def test_a_rise_of_any_total_fails(what: str) -> None:
    found = compare_facts("m", facts(**PLAIN), facts(**PLAIN | {what: PLAIN[what] + 1}), gates=True)
    assert found.verdict == "FAIL"
    assert found.reason == f"more: {what.replace('_', ' ')}: {PLAIN[what]:,} -> {PLAIN[what] + 1:,}"


def test_a_graph_break_is_told_with_its_reason() -> None:
    head = Facts(counts={"graph breaks": 1}, break_reasons=("Failed to trace builtin operator (net.py:7)",))
    found = compare_facts("m", facts(graph_breaks=0), head, gates=True)
    assert found.reason == "more: graph breaks: 0 -> 1 (Failed to trace builtin operator (net.py:7))"


def test_a_fall_passes_and_is_shown() -> None:
    found = compare_facts("m", facts(**PLAIN, aten_add=3), facts(**PLAIN, aten_add=1), gates=True)
    assert (found.verdict, found.reason) == ("PASS", "less: aten.add: 3 -> 1")
    assert found.changes == (CountChange(what="aten.add", base=3, head=1, is_rise=False),)


def test_nothing_gates_between_two_settings() -> None:
    found = compare_facts("m", facts(**PLAIN), facts(**PLAIN | {"params": 30}), gates=False)
    assert (found.verdict, found.reason) == ("PASS", "does not gate: more: params: 24 -> 30")
    assert len(found.changes) == 1


def test_many_changes_are_cut_in_the_sentence_alone() -> None:
    head = facts(**{f"aten_op{number:02}": 1 for number in range(10)})
    found = compare_facts("m", facts(), head, gates=True)
    assert found.reason.endswith("aten.op07: 0 -> 1 and 2 others")
    assert len(found.changes) == 10


def test_a_side_that_cannot_be_counted_is_inconclusive() -> None:
    found = compare_facts("m", Facts(error="RequestError: no file"), facts(**PLAIN), gates=True)
    assert (found.verdict, found.reason) == ("INCONCLUSIVE", "base cannot be counted: RequestError: no file")
    assert found.changes == ()


def test_a_count_that_one_side_lacks_is_inconclusive() -> None:
    head = facts({"macs": "CellFailedError: no"}, params=24)
    found = compare_facts("m", facts(params=24, macs=7), head, gates=True)
    assert (found.verdict, found.reason) == (
        "INCONCLUSIVE",
        "the same params and the calls of 0 operators; macs of head unknown: CellFailedError: no",
    )


def test_a_rise_fails_whatever_else_is_unknown() -> None:
    head = facts({"macs": "CellFailedError: no"}, params=25)
    assert compare_facts("m", facts(params=24, macs=7), head, gates=True).verdict == "FAIL"


def test_a_count_that_neither_side_has_is_said_and_holds_nothing_up() -> None:
    side = facts({"macs": "no", "activations": "no"}, params=24, aten_add=1)
    found = compare_facts("m", side, side, gates=True)
    assert (found.verdict, found.reason) == (
        "PASS",
        "the same params and the calls of 1 operator; macs not compared: no; activations not compared: no",
    )


def test_operators_counted_on_two_devices_are_not_compared() -> None:
    base = Facts(counts={"params": 24, "aten.clone": 12})
    head = Facts(counts={"params": 24}, device="cpu")
    found = compare_facts("m", base, head, gates=True)
    assert (found.verdict, found.changes) == ("INCONCLUSIVE", ())
    assert found.reason == (
        "the same params; operators not comparable: head branches on a number, so that its shapes alone do not run"
    )


def side(tree: Path, label: str = "head") -> SideCode:
    return SideCode(Side(label=label), Path(sys.executable), tree, tree)


def comparison(model: str, **changes: Any) -> Comparison:
    workload = Workload(model=model, resolution_px=8, **changes)
    return Comparison(name=model, base=workload, head=workload)


NET = """
from torch import nn

def build():
    {body}
"""


def test_a_change_between_two_commits_is_found(tmp_path: Path) -> None:
    repository, base = tmp_path / "repository", tmp_path / "base"
    repository.mkdir()

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=repository, check=True, capture_output=True)

    net = repository / "net.py"
    git("init", "--quiet")
    net.write_text(NET.format(body="return nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())"))
    git("add", "net.py")
    git("commit", "--quiet", "-m", "one")
    net.write_text(NET.format(body="return nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1))"))
    git("commit", "--quiet", "-a", "-m", "two")
    git("worktree", "add", "--detach", str(base), "HEAD~1")

    asked = [comparison("net.py:build"), comparison("net.py:gone")]
    found, broken = count_exactly(asked, side(base, "base"), side(repository), gates=True)

    assert found.verdict == "FAIL"
    assert found.reason == (
        f"more: params: 16 -> 36, macs: {3 * 4 * 64} -> {3 * 4 * 64 + 4 * 4 * 64:,}, activations: 256 -> 512, "
        "aten.convolution: 1 -> 2"
    )
    assert broken.verdict == "INCONCLUSIVE"
    assert broken.reason == (
        "base cannot be counted: UnknownNameError: Unknown function 'gone' in net.py. Known: build.; "
        "head cannot be counted: UnknownNameError: Unknown function 'gone' in net.py. Known: build."
    )


def test_a_side_that_hangs_or_dies_is_ended_and_what_it_said_before_counts(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET.format(body="return nn.Conv2d(3, 4, 1)"))
    (tmp_path / "slow.py").write_text("import time\n" + NET.format(body="time.sleep(600)"))
    (tmp_path / "dead.py").write_text(
        "import os, sys\n" + NET.format(body="print('bad luck', file=sys.stderr); os._exit(3)")
    )
    fine, hangs, dies = (Workload(model=f"{name}.py:build", resolution_px=8) for name in ("net", "slow", "dead"))

    found = collect_facts([(side(tmp_path), [fine, hangs]), (side(tmp_path), [fine, dies])], seconds=(10.0, 5.0))

    assert [one[0].counts["params"] for one in found] == [16, 16]
    assert found[0][1].error == "the process that counts hung and was ended"
    assert found[1][1].error == "the process that counts ended with exit code 3; its last line: bad luck"


def test_a_tree_without_what_is_needed_says_so(tmp_path: Path) -> None:
    package = tmp_path / "bench"
    package.mkdir()
    (package / "__init__.py").touch()
    [[found]] = collect_facts([(side(tmp_path), [Workload(model="resnet18")])])
    assert found.error == "cannot be imported: ModuleNotFoundError: No module named 'bench.measure'"


def test_a_side_that_imports_from_the_other_one_is_not_counted(tmp_path: Path) -> None:
    head, base = tmp_path / "head", tmp_path / "base"
    for tree in (head, base):
        tree.mkdir()
        (tree / "net.py").write_text(
            f"import sys\nsys.path.append({str(head)!r})\nimport layers\n{NET.format(body='return layers.build()')}"
        )
    (head / "layers.py").write_text(NET.format(body="return nn.Conv2d(3, 4, 1)"))
    code = SideCode(Side(label="base"), Path(sys.executable), base, base, apart=Apart(base, head, True))
    [[found]] = collect_facts([(code, [Workload(model="net.py:build", resolution_px=8)])])
    assert (found.error or "").startswith(f"base imported 'layers' from {head}/layers.py, in head's tree: ")
