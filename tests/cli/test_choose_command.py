import json
import shutil

import pytest
from analyse.records import trained
from typer.testing import CliRunner

from bench.cli import app
from bench.errors import RequestError, UnknownNameError
from bench.store.files import open_run

runner = CliRunner()


def choose(*arguments):
    result = runner.invoke(app, ["choose", "--shipped", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_models_within_a_latency_come_best_first_and_the_others_are_named():
    (found,) = json.loads(choose("--dataset", "shapes", "--suite", "desk", "--max-latency-ms", "0.8", "--json"))
    tops = [one["top1_pct"] for one in found["choices"]]
    assert tops == sorted(tops, reverse=True)
    assert all(one["costs"]["latency_p50_ms"]["value"] <= 0.8 for one in found["choices"])
    assert all(one["costs"]["latency_p50_ms"]["value"] > 0.8 for one in found["too_costly"])
    assert len(found["choices"]) + len(found["too_costly"]) == 12
    chances = sum(one["chance_of_best"] for one in found["choices"]) + found["chance_of_others"]
    assert chances == pytest.approx(1.0)


def test_every_number_names_its_records():
    (found,) = json.loads(choose("--dataset", "shapes", "--suite", "desk", "--json"))
    for one in found["choices"]:
        assert len(one["record_ids"]) == 3
        assert all(cost["record_ids"] for cost in one["costs"].values())


def test_several_limits_hold_together():
    (found,) = json.loads(
        choose("--dataset", "shapes", "--suite", "desk", "--max-macs-g", "0.004", "--min-throughput", "11000", "--json")
    )
    for one in found["choices"]:
        assert one["costs"]["macs"]["value"] <= 4e6
        assert one["costs"]["throughput_img_per_s"]["value"] >= 11_000
    assert {one["model"] for one in found["choices"]} == {
        *(f"{series}_32px_s" for series in ("vit", "hybrid", "resnet", "mbconv")),
        "vit_32px_m",
        "resnet_32px_m",
    }


def test_the_table_says_where_it_was_timed_and_who_is_outside():
    output = choose("--dataset", "Contours", "--suite", "desk", "--max-latency-ms", "0.6")
    assert "Budget on shapes: latency at most 0.6 ms." in output
    assert "Measured on machine 5787a6e0, cpu, 2 threads, torch 2.15.0" in output
    assert "Outside the budget:" in output


def test_suites_and_protocols_are_told_apart():
    found = json.loads(choose("--dataset", "digits", "--json"))
    assert {(one["suite"], one["protocol"]) for one in found} >= {
        ("desk", "trained from scratch"),
        ("pocket", "trained from scratch"),
        ("transfer-desk", "fine-tuned"),
    }


def test_models_that_were_never_timed_are_listed_apart():
    (found,) = json.loads(choose("--dataset", "counts", "--max-latency-ms", "3", "--json"))[:1]
    assert found["choices"] == []
    assert all(one["missing"] == ["latency_p50_ms"] for one in found["not_measured"])


def test_an_unknown_set_is_a_request_error_with_the_nearest_name():
    with pytest.raises(UnknownNameError, match="Did you mean 'shapes'"):
        choose("--dataset", "shaps")


def test_a_limit_without_end_is_refused():
    with pytest.raises(RequestError, match="must be a number"):
        choose("--dataset", "shapes", "--max-latency-ms", "inf")


@pytest.mark.parametrize("limit", ["nan", "-1", "much"])
def test_a_limit_that_is_no_number_is_refused(limit):
    result = runner.invoke(app, ["choose", "--shipped", "--dataset", "shapes", "--max-latency-ms", limit])
    assert result.exit_code == 2


def test_one_run_each_has_no_chance_of_being_best():
    output = choose("--dataset", "shapes", "--suite", "transfer-desk")
    assert "nothing says how far runs differ" in output
    (found,) = json.loads(choose("--dataset", "shapes", "--suite", "transfer-desk", "--json"))
    assert [one["chance_of_best"] for one in found["choices"]] == [None, None]


def test_nothing_stored_says_what_to_run(tmp_path):
    with pytest.raises(RequestError, match="vitbench run pocket"):
        choose("--dataset", "shapes", "--results", str(tmp_path))


def test_a_suite_without_accuracies_cannot_be_chosen_from(tmp_path):
    shutil.copytree("results/speed-desk", tmp_path / "speed-desk")
    with pytest.raises(RequestError, match="No stored suite has accuracies"):
        choose("--dataset", "shapes", "--results", str(tmp_path))


def test_what_a_pretraining_study_holds_is_named_and_not_left_out_in_silence():
    result = runner.invoke(app, ["choose", "--shipped", "--dataset", "digits", "--suite", "pretrain-desk"])
    assert isinstance(result.exception, RequestError)
    assert "Not ranked: what the pretrainings of 'pretrain-desk' gave on 'digits'" in str(result.exception)


def test_a_count_without_a_certificate_is_told_of_the_model_that_it_lets_in(tmp_path):
    doubt = {"certificate": "differs", "certificate_note": "uncounted: aten::_fft_r2c"}
    records = [trained("spectral", 0, 90.0), trained("vit_32px_s", 0, 80.0)]
    records[0] = records[0].model_copy(update={"values": records[0].values | doubt})
    with open_run(tmp_path, "own", "m1", local=True) as run:
        for record in records:
            run.append(record)
    asked = ("choose", "--dataset", "textures", "--max-macs-g", "1", "--results", str(tmp_path))
    told = "Not certified: the MACs of spectral, and the compute that rests on them (uncounted: aten::_fft_r2c)."
    output = runner.invoke(app, asked, catch_exceptions=False).output
    assert told in output
    assert output.count("Not certified") == 1
