"""What a forward pass holds: counts by hand for small models, and what becomes of models that cannot be counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.gate.facts import count_workload
from bench.gate.result import Workload

NETS = Path(__file__).with_name("nets.py")
pytestmark = pytest.mark.filterwarnings("ignore")  # as the script does: torch.jit and dynamo warn of themselves


def counted(function: str, *, graph_breaks: bool = False, resolution_px: int = 8, **workload: Any) -> dict[str, Any]:
    asked = Workload(model=f"{NETS}:{function}", resolution_px=resolution_px, **workload)
    return count_workload(asked.model_dump(mode="json"), graph_breaks=graph_breaks)


def test_totals_and_calls_of_two_convolutions_are_those_of_the_closed_form() -> None:
    assert counted("plain") == {
        "counts": {
            "params": 2 * (3 * 3 + 3),
            "macs": 2 * 3 * 3 * 8 * 8,
            "activations": 2 * 3 * 8 * 8,
            "aten.convolution": 2,
        },
        "absent": {},
        "break_reasons": [],
        "device": "meta",
    }


def test_fused_attention_is_one_call() -> None:
    assert operators(counted("fused")) == {"aten.scaled_dot_product_attention": 1}


def test_attention_taken_apart_is_two_products_and_a_softmax() -> None:
    assert operators(counted("taken_apart")) == {"aten.bmm": 2, "aten._softmax": 1}


def test_an_lstm_is_one_call() -> None:
    found = operators(counted("lstm"))
    assert found["aten.lstm"] == 1
    assert "aten.mm" not in found


def test_views_and_empty_tensors_are_no_work() -> None:
    assert operators(counted("normed")) == {"aten.convolution": 1, "aten._native_batch_norm_legit_no_training": 1}


def test_half_precision_shows_in_what_shapes_can_show() -> None:
    assert counted("plain", settings={"precision": "bf16", "memory_format": "channels_last"}) == counted("plain")


def test_a_folded_model_is_counted_without_its_norms() -> None:
    found = counted("normed", settings={"fold": True})
    assert operators(found) == {"aten.convolution": 1}
    assert found["counts"]["params"] == 8 * 3 * 3 * 3 + 8


def test_a_model_that_compiles_whole_has_no_graph_break() -> None:
    assert counted("plain", graph_breaks=True)["counts"]["graph breaks"] == 0


def test_a_print_is_a_graph_break_with_its_place() -> None:
    found = counted("prints", graph_breaks=True)
    line = next(n for n, text in enumerate(NETS.read_text().splitlines(), 1) if "half-way" in text)
    assert found["counts"]["graph breaks"] == 1
    assert found["break_reasons"] == [f"Failed to trace builtin operator (nets.py:{line})"]


def test_a_function_that_dynamo_gives_up_whole_counts_as_a_break() -> None:
    found = counted("loops", graph_breaks=True)
    assert found["counts"]["graph breaks"] == 1
    assert found["break_reasons"] == ["Failed to trace builtin operator"]


def test_a_branch_on_a_number_is_counted_where_there_are_numbers() -> None:
    found = counted("branches", graph_breaks=True, batch_size=4)
    assert found["device"] == "cpu"
    assert found["counts"]["aten.convolution"] == 2
    assert found["counts"]["graph breaks"] == 1
    assert found["counts"]["macs"] == 2 * 3 * 3 * 8 * 8


def test_a_model_whose_constructor_asks_for_a_number_is_counted_by_its_shapes_all_the_same() -> None:
    found = counted("asks_while_made")
    assert (found["device"], operators(found)) == ("meta", {"aten.convolution": 1})
    assert found["counts"]["macs"] == 3 * 3 * 8 * 8


def test_a_forward_pass_that_raises_leaves_the_parameters_and_reasons() -> None:
    found = counted("breaks", graph_breaks=True)
    assert found["counts"] == {"params": 24}
    assert found["absent"]["operators"] == "KeyError: 'no such layer'"
    assert set(found["absent"]) == {"macs", "activations", "operators", "graph breaks"}


def test_dynamo_failing_is_a_count_that_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no compiler today\nand more")

    monkeypatch.setattr("torch.compile", fail)
    found = counted("plain", graph_breaks=True)
    assert found["absent"] == {"graph breaks": "RuntimeError: no compiler today"}
    assert found["counts"]["aten.convolution"] == 2


def test_an_unknown_function_is_an_error_of_one_line() -> None:
    found = counted("no_such_thing")
    assert list(found) == ["error"]
    assert found["error"].startswith("UnknownNameError: Unknown function 'no_such_thing'")
    assert "\n" not in found["error"]


def test_a_setting_that_the_tree_does_not_know_is_an_error() -> None:
    assert counted("plain", settings={"sparsity": 2})["error"].startswith("ValidationError:")


def test_a_count_that_the_tree_lacks_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("bench.measure.complexity.measure_complexity")
    found = counted("plain")
    assert found["absent"]["macs"].startswith("ImportError: cannot import name 'measure_complexity'")
    assert found["counts"] == {"params": 24, "aten.convolution": 2}


def operators(found: dict[str, Any]) -> dict[str, int]:
    return {what: calls for what, calls in found["counts"].items() if what.startswith("aten.")}
