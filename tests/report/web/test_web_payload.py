import base64
import gzip
import json
import math
import re

import pytest
from synthetic_store import make_record, train_cell

from bench.report.web.payload import RecordIndex, packed, plot_payload
from bench.report.web.plot_data import Plot, PlotPoint, Value, accuracy_axis, plot_of


def test_packed_data_hold_no_character_of_html_and_read_back_the_same():
    data = {"a": "</script><script>alert(1)</script>", "b": "<!-- & \u2028\u2029 \U0001f600", "c": ['"', "\\"]}
    text = packed(data)
    assert re.fullmatch(r"[A-Za-z0-9+/=]+", text)
    assert json.loads(gzip.decompress(base64.b64decode(text))) == data


def test_packed_data_are_the_same_text_each_time():
    assert packed({"a": 1}) == packed({"a": 1})


def test_what_is_no_number_is_refused():
    with pytest.raises(ValueError, match="JSON compliant"):
        packed({"x": math.nan})


def test_references_join_runs_of_three_and_keep_the_order_of_first_use():
    index = RecordIndex()
    assert index.reference(["c", "a", "b"]) == "0-2"
    assert index.reference(["d", "a", "e"]) == "1 3 4"
    assert index.reference([]) == ""
    assert index.described([]) == {"ids": "c a b d e", "kinds": []}


def test_records_tell_task_day_commit_and_machine_and_machines_may_share_an_id():
    first = make_record(train_cell("vit_32px_s"), machine="one")
    second = make_record(train_cell("vit_32px_s"), machine="two", git_dirty=True)
    unused = make_record(train_cell("vit_32px_s", seed=1), machine="three")
    index = RecordIndex()
    index.reference([first.cell_id])
    told = index.described([first, second, unused])
    assert told["kinds"] == [
        ["train", "2026-01-02", "0123456789ab", "one", "0"],
        ["train", "2026-01-02", "0123456789ab with uncommitted changes", "two", "0"],
    ]


def test_a_point_keeps_its_bar_conditions_and_records():
    value = Value(85.23333333333333, (82.7, 87.7), "3 seeds", ("x", "y"), "batch 64")
    point = PlotPoint("ViT S", "vit", "measured", {"top1": value})
    plot = Plot((accuracy_axis("top1", "Top-1"),), (point,), "macs", "top1")
    drawn = plot_payload(plot, RecordIndex())
    assert drawn["points"] == {
        "label": ["ViT S"],
        "family": ["vit"],
        "layer": ["measured"],
        "isMain": [True],
        "facts": [()],
        "along": [{}],
        "stratum": [""],
        "marks": [()],
    }
    assert drawn["values"] == {
        "top1": {
            "place": [0],
            "value": [85.23333],
            "bar": [[82.7, 87.7]],
            "conditions": ["3 seeds"],
            "rankedWith": ["batch 64"],
            "records": ["0 1"],
            "kind": [""],
        }
    }


def test_values_that_are_no_numbers_lie_on_no_axis():
    values = {
        "top1": Value(80.0),
        "macs": Value(1e6),
        "params": Value(math.nan),
        "latency_p50": Value(float("inf")),
    }
    plot = plot_of([accuracy_axis("top1", "Top-1")], [PlotPoint("a", "vit", "measured", values)])
    assert plot is not None
    assert [axis.key for axis in plot.axes] == ["top1", "macs"]
    assert plot.points[0].values.keys() == {"top1", "macs"}
