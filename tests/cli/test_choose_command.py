import json
import shutil

import pytest
from analyse.records import trained
from report.synthetic_store import desk_like
from typer.testing import CliRunner

from bench.cli import app
from bench.errors import RequestError, UnknownNameError
from bench.store.files import open_run

runner = CliRunner()


def choose(*arguments):
    result = runner.invoke(app, ["choose", "--shipped", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def stored(folder, records):
    with open_run(folder, "own", "m1", local=True) as run:
        for record in records:
            run.append(record)
    return "--results", str(folder)


@pytest.fixture(scope="module")
def twelve(tmp_path_factory):
    """Options that name a store of twelve models on `shapes`, with timings."""
    return "--dataset", "shapes", *stored(tmp_path_factory.mktemp("twelve"), desk_like())


def chosen(*arguments):
    (found,) = json.loads(runner.invoke(app, ["choose", *arguments, "--json"], catch_exceptions=False).output)
    return found


def test_models_within_a_latency_come_best_first_and_the_others_are_named(twelve):
    found = chosen(*twelve, "--max-latency-ms", "0.6")
    tops = [one["top1_pct"] for one in found["choices"]]
    assert tops == sorted(tops, reverse=True)
    assert all(one["costs"]["latency_p50_ms"]["value"] <= 0.6 for one in found["choices"])
    assert all(one["costs"]["latency_p50_ms"]["value"] > 0.6 for one in found["too_costly"])
    assert len(found["choices"]) + len(found["too_costly"]) == 12
    assert found["choices"]
    assert found["too_costly"]
    standing = [one["is"] for one in found["choices"]]
    ranked = [words for words in standing if words != "unstable"]
    assert ranked[0] == "best"
    assert ranked.count("best") == 1
    assert set(standing) <= {"best", "not separable from it", "behind the best", "unstable"}


def test_every_number_names_its_records(twelve):
    for one in chosen(*twelve)["choices"]:
        assert len(one["record_ids"]) == 3
        assert all(cost["record_ids"] for cost in one["costs"].values())


def test_several_limits_hold_together(twelve):
    rate = 5_000
    found = chosen(*twelve, "--max-macs-g", "0.002", "--min-throughput", str(rate))
    assert {one["model"] for one in found["choices"]} <= {f"{s}_32px_s" for s in ("vit", "hybrid", "resnet", "mbconv")}
    for one in found["choices"]:
        assert one["costs"]["macs"]["value"] <= 2e6
        assert one["costs"]["throughput_img_per_s"]["value"] >= rate
    for one in found["too_costly"]:
        costs = one["costs"]
        assert costs["macs"]["value"] > 2e6 or costs["throughput_img_per_s"]["value"] < rate


def test_the_table_says_where_it_was_timed_and_who_is_outside(twelve):
    output = runner.invoke(app, ["choose", *twelve, "--max-latency-ms", "0.6"], catch_exceptions=False).output
    assert "Budget on shapes: latency at most 0.6 ms." in output
    assert "Measured on machine 0badcafe, cpu, " in output
    assert "Outside the budget:" in output


def test_suites_and_protocols_are_told_apart():
    found = json.loads(choose("--dataset", "digits", "--json"))
    assert {(one["suite"], one["protocol"]) for one in found} >= {
        ("pretrain-desk", "after pretraining"),
        ("transfer-desk", "few-shot"),
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


def test_one_run_each_is_not_ranked():
    (found,) = json.loads(choose("--dataset", "shapes", "--suite", "transfer-desk", "--json"))
    assert [one["is"] for one in found["choices"]] == ["not ranked: one run"] * 2


def test_the_cheapest_of_those_that_cannot_be_told_apart_is_named(tmp_path):
    # ViT S costs less; 1 point at seeds that scatter by 2 decides nothing, 30 points do
    means = {"vit_32px_s": (80.0, 1e6), "vit_32px_m": (81.0, 2e6), "resnet_32px_s": (50.0, 1e5)}
    records = [trained(m, s, top1 + 2 * s - 2) for m, (top1, _) in means.items() for s in (0, 1, 2)]
    records = [r.model_copy(update={"values": {**r.values, "macs": means[r.cell["model"]][1]}}) for r in records]
    asked = ("choose", "--dataset", "textures", *stored(tmp_path, records))
    output = runner.invoke(app, asked, catch_exceptions=False).output
    assert "2 models cannot be told apart at the top (95 %, Holm over all that qualify)." in output
    assert "The cheapest of them in MACs: ViT S." in output
    (found,) = json.loads(runner.invoke(app, (*asked, "--json"), catch_exceptions=False).output)
    assert {one["label"]: one["is"] for one in found["choices"]} == {
        "ViT M": "best",
        "ViT S": "not separable from it",
        "ResNet S": "behind the best",
    }


def test_seeds_that_collapse_are_listed_one_by_one_without_a_rank(tmp_path):
    records = [trained("vit_32px_m", s, v) for s, v in enumerate((74.4, 92.0, 91.8))]
    records += [trained("resnet_32px_s", s, 70.0 + s) for s in (0, 1, 2)]
    asked = ("choose", "--dataset", "textures", *stored(tmp_path, records))
    lines = runner.invoke(app, asked, catch_exceptions=False).output.splitlines()
    (vit,) = [line for line in lines if line.startswith("ViT M")]
    (resnet,) = [line for line in lines if line.startswith("ResNet S")]
    assert "unstable" in vit
    assert "86.1" not in vit  # their mean
    assert "best" in resnet


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
    asked = ("choose", "--dataset", "textures", "--max-macs-g", "1", *stored(tmp_path, records))
    told = "Not certified: the MACs of spectral, and the compute that rests on them (uncounted: aten::_fft_r2c)."
    output = runner.invoke(app, asked, catch_exceptions=False).output
    assert told in output
    assert output.count("Not certified") == 1
