"""The formats that machines read, compared whole for small results."""

import csv
import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from synthetic_results import (
    BASE_COMMIT,
    HEAD_COMMIT,
    HOSTILE,
    failed,
    make_model,
    make_result,
    more_work,
    passed,
    same_work,
    undecided,
)

from bench.errors import StoreError
from bench.gate.formats import FORMATS
from bench.gate.formats.ci import render_annotations, render_junit, workflow_command
from bench.gate.formats.trackers import (
    HISTORY_HEADER,
    append_history,
    render_bencher,
    render_benchmark_action,
    render_history,
)
from bench.gate.result import read_result, render_json

EXPECTED_JUNIT = Path(__file__).parent / "expected_junit.xml"
EVERYTHING = make_result(
    passed(),
    failed(),
    undecided(),
    make_model(HOSTILE, "INCONCLUSIVE", reason=HOSTILE),
    exact=(more_work(), same_work()),
    problems=(HOSTILE,),
)


def test_the_table_of_formats_holds_what_the_command_promises():
    assert {name: one.ending for name, one in FORMATS.items()} == {
        "json": ".json",
        "markdown": ".md",
        "comment": ".md",
        "junit": ".xml",
        "annotations": ".txt",
        "bencher": ".json",
        "benchmark-action": ".json",
        "history": ".csv",
    }


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_can_say_every_kind_of_result(name):
    for result in (EVERYTHING, make_result(), make_result(undecided(), noise=None, cpus=None, conditions={})):
        text = FORMATS[name].render(result)
        assert text.endswith("\n")
        assert "\x1b" not in text


def test_the_result_is_read_back_from_its_json(tmp_path):
    path = tmp_path / "check.json"
    path.write_text(render_json(EVERYTHING), encoding="utf-8")
    assert read_result(path) == EVERYTHING


def test_the_json_is_one_line_with_derived_figures_in_front():
    text = render_json(make_result(failed()))
    assert text.count("\n") == 1
    derived = json.loads(text)["derived"]
    assert text.startswith('{"derived":{"verdict":"FAIL"')
    assert derived["models"][0].pop("pair_log_ratios") == pytest.approx([0.0778865] * 16)  # ln 1.081
    assert derived == {
        "verdict": "FAIL",
        "interval_level": 0.99,
        "models": [
            {
                "name": "resnet_s",
                "verdict": "FAIL",
                "slowdown_pct": 8.1,
                "low_pct": 6.9,
                "high_pct": 9.2,
                "base_ms": 10.0,
                "head_ms": 10.81,
                "against_itself": [],
            }
        ],
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"format_version":1', "is not JSON"),
        ("\xff", "is not JSON"),
        ("[]", "is not the result of a check"),
        ('{"format_version":99}', "has format version 99; this vitbench reads 1 and 2"),
        ('{"format_version":1}', "is not the result of a check: started_at: Field required"),
    ],
)
def test_what_is_no_result_is_refused_with_a_sentence(tmp_path, content, message):
    path = tmp_path / "check.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(StoreError, match=message):
        read_result(path)
    with pytest.raises(StoreError, match="cannot be read: No such file or directory"):
        read_result(tmp_path / "absent.json")


def test_junit_is_whole():
    result = make_result(failed(), undecided(), exact=(same_work(),))
    assert render_junit(result) == EXPECTED_JUNIT.read_text(encoding="utf-8")


# What Jenkins' junit-10.xsd allows, element by element.
ATTRIBUTES = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
    "properties": set(),
    "property": {"name", "value"},
    "testcase": {"name", "time", "classname"},
    "failure": {"type", "message"},
    "skipped": {"type", "message"},
    "system-out": set(),
}


def test_junit_has_only_what_jenkins_allows_and_its_sums_are_right():
    root = ET.fromstring(render_junit(EVERYTHING))
    for element in root.iter():
        assert set(element.attrib) <= ATTRIBUTES[element.tag]
    for suite in root.findall("testsuite"):
        assert int(suite.get("tests")) == len(suite.findall("testcase"))
        assert int(suite.get("failures")) == len(suite.findall("testcase/failure"))
        assert int(suite.get("skipped")) == len(suite.findall("testcase/skipped"))
        assert float(suite.get("time")) == pytest.approx(
            sum(float(case.get("time")) for case in suite.findall("testcase")), abs=0.002
        )


def test_junit_of_a_check_that_compared_nothing_is_not_green():
    root = ET.fromstring(render_junit(make_result(problems=("The base cannot be built.",))))
    assert root.find("testsuite/testcase/skipped").text == "The base cannot be built."


MORE = more_work().reason


def test_annotations_are_whole():
    result = make_result(passed(), failed(), undecided(), exact=(more_work(),), problems=("50 % lost,\nsorry",))
    assert render_annotations(result) == (
        "::error title=Slower%3A resnet_s::slowdown +8.1 %25 [+6.9, +9.2] over 16 pairs of processes: "
        "slower in two blocks of pairs one after the other\n"
        "::error title=More work%3A vit_s::" + MORE + "\n"
        "::warning title=Not decided%3A hybrid_s::its worker died: out of memory\n"
        "::warning title=Problem::50 %25 lost,%0Asorry\n"
        "::notice title=vitbench check%3A FAIL::Head is slower than base on 1 of 3 models: resnet_s +8.1 %25 "
        "[+6.9, +9.2] (99 %25 interval). Exact counts of vit_s rose (" + MORE + "). "
        "Not decided on 1 of 3 models, which is not a pass: hybrid_s (its worker died: out of memory).\n"
    )


def test_a_title_cannot_begin_a_command_or_a_property():
    line = workflow_command("error", "a,b:c%d\n::error::x", "a,b:c%d\r\n::error::x")
    assert line == "::error title=a%2Cb%3Ac%25d%0A%3A%3Aerror%3A%3Ax::a,b:c%25d%0D%0A::error::x"


def test_no_more_annotations_than_a_step_shows_and_the_last_names_the_rest():
    models = [failed(f"model_{number}") for number in range(12)]
    errors = [line for line in render_annotations(make_result(*models)).splitlines() if line.startswith("::error")]
    assert len(errors) == 10
    assert errors[-1] == "::error title=3 more::Slower: model_9; Slower: model_10; Slower: model_11"


def test_bencher_is_whole():
    assert json.loads(render_bencher(make_result(failed(), undecided()))) == {
        "resnet_s": {
            "slowdown-pct": {"value": 8.1, "lower_value": 6.9, "upper_value": 9.2},
            "latency": {"value": 10.81e6, "lower_value": 10.81e6, "upper_value": 10.81e6},
        }
    }


def test_benchmark_action_holds_the_ratio():
    (entry,) = json.loads(render_benchmark_action(make_result(failed(), undecided())))
    assert entry.pop("value") == pytest.approx(1.081)
    assert entry == {
        "name": "resnet_s: head / base",
        "unit": "ratio",
        "range": "± 0.0120",
        "extra": "FAIL: slower in two blocks of pairs one after the other\n16 pairs of processes, rule 2\n"
        "base 10.0 ms, base (12345678)\nhead 10.8 ms, head (abcdef01 with uncommitted changes)",
    }


def test_a_history_is_whole():
    commits = f"{BASE_COMMIT},{HEAD_COMMIT},True"
    assert render_history(make_result(passed(), undecided())) == (
        "started_at,base_commit,head_commit,head_is_dirty,model,ratio,ratio_low,ratio_high,base_ms,head_ms,pairs,clock,verdict,"
        "rule_version,machine\n"
        f"2026-11-25T22:00:00+00:00,{commits},vit_s,1.003,0.996,1.01,10.0,10.03,8,cpu,PASS,2,0a1b2c3d\n"
        f"2026-11-25T22:00:00+00:00,{commits},hybrid_s,,,,,,0,,INCONCLUSIVE,2,0a1b2c3d\n"
    )


def test_a_history_grows_with_one_header():
    text = render_history(make_result(passed()))
    text += append_history(make_result(failed()), text)
    assert [row["model"] for row in csv.DictReader(io.StringIO(text))] == ["vit_s", "resnet_s"]


@pytest.mark.parametrize("torn", ["2026-11-25T22:00", '2026-11-25T22:00:00,1234,abcd,True,"a, b'])
def test_a_torn_line_of_a_history_swallows_no_row_after_it(torn):
    text = HISTORY_HEADER + torn
    text += append_history(make_result(passed(), failed()), text)
    assert [row["model"] for row in csv.DictReader(io.StringIO(text))][1:] == ["vit_s", "resnet_s"]


def test_a_torn_header_of_a_history_is_completed():
    text = HISTORY_HEADER[:20]
    assert text + append_history(make_result(passed()), text) == render_history(make_result(passed()))


def test_a_file_with_other_columns_is_no_history():
    with pytest.raises(StoreError, match="other columns"):
        append_history(make_result(passed()), "time,model\n1,2\n")


def test_a_row_of_a_history_is_one_line_whatever_the_name():
    text = render_history(make_result(make_model(HOSTILE)))
    assert text.count("\n") == 2
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["model"] == HOSTILE.replace("\n", " ").replace("\x1b", "")
