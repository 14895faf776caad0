"""`choose --dataset imagenet` from request to answer: what is timed, kept and reused, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from commands import Done, vitbench

from bench.analyse.public.choose import CALIBRATION
from bench.catalog.public_counts import public_counts
from bench.execute.environment import describe_conditions
from bench.execute.runner import default_workers
from bench.measure.timing.timing import allocator_of_timings
from bench.store.files import open_run, read_records
from bench.store.record import Record
from bench.suite.cell import Settings, SpeedCell

TINY = ("--max-params-m", "0.5")  # timm's models for tests, which are published too
HERE = {
    **describe_conditions("cpu", default_workers("cpu"), 1),
    "allocator": allocator_of_timings(),
}


def choose(folder: Path, *arguments: object) -> Done:
    return vitbench("choose", "--dataset", "imagenet", "--device", "cpu", *arguments, cwd=folder)


def stored(folder: Path) -> list[Record]:
    return read_records(folder / "results" / "local" / "public").records


def timed(model: str, size: int, latency_ms: float, **more: object) -> Record:
    cell = SpeedCell(
        model=model,
        num_classes=1000,
        resolution_px=size,
        batch_size=1,
        metrics=("latency",),
        repeat=0,
        device="cpu",
        settings=Settings(),
        limit_s=8,
    )
    return Record(
        suite="public",
        cell_id=cell.cell_id,
        cell=cell.model_dump(mode="json"),
        conditions=HERE,
        started_at="2026-01-01T00:00:00Z",
        wall_s=1.0,
        **{"status": "ok", "values": {"latency_p50_ms": latency_ms, "latency_samples": 100}, **more},  # type: ignore[arg-type]
    )


def keep(folder: Path, *records: Record) -> None:
    with open_run(folder / "results", "public", HERE["machine"], local=True) as run:
        for record in records:
            run.append(record)


@pytest.fixture
def calibrated(tmp_path: Path) -> Path:
    """A folder whose store holds made-up timings of the models that estimates begin with."""
    counts = public_counts()
    keep(
        tmp_path,
        *(timed(*place, 6 * ((counts[place].macs or 0) / 1e9) ** 0.7) for place in CALIBRATION),
    )
    return tmp_path


def test_the_best_within_a_limit_is_timed_before_it_is_named_and_kept(calibrated: Path) -> None:
    limits = (*TINY, "--max-latency-ms", 1000, "--measure", 1)
    first = choose(calibrated, *limits)
    assert first.returncode == 0, first.stderr
    last = first.stdout.splitlines()[-1]
    assert last.startswith("Take test_convnext2.r160_in1k @160 (in1k, top-1 53.5 %, ")
    assert " ms measured)" in last
    (new,) = [record for record in stored(calibrated) if record.cell["model"] == "test_convnext2"]
    assert new.status == "ok"
    assert new.cell["metrics"] == ["latency"]
    assert "1 cells to run" in first.stderr

    again = choose(calibrated, *limits)
    assert again.stdout == first.stdout
    assert "cells to run" not in again.stderr
    assert len(stored(calibrated)) == len(CALIBRATION) + 1


def test_json_says_all_of_it_and_alone_on_standard_output(calibrated: Path) -> None:
    keep(calibrated, timed("test_convnext2", 160, 5.0), timed("test_convnext3", 160, 2.0))
    found = json.loads(choose(calibrated, *TINY, "--max-latency-ms", 10, "--measure", 2, "--json").stdout)
    assert found["best"]["model"] == "test_convnext2.r160_in1k"
    assert found["best"]["times"]["latency"]["is"] == "measured"
    assert found["alternative"]["model"] == "test_convnext3.r160_in1k"
    assert found["alternative"]["times_cheaper"] == pytest.approx(2.5)
    assert "2.5 times as fast" in found["answer"]
    assert "50\u202f000 test images, one training each" in found["answer"]
    assert found["left_by"][-1]["rows"] >= 6
    assert found["timed"]["latency"] == len(CALIBRATION) + 2
    assert found["timed_now"] == []


def test_without_timings_the_answer_is_called_an_estimate(calibrated: Path) -> None:
    done = choose(calibrated, *TINY, "--max-latency-ms", 10, "--measure", 0)
    last = done.stdout.splitlines()[-1]
    assert "estimated" in last
    assert "times as fast" not in last
    assert len(stored(calibrated)) == len(CALIBRATION)


def test_counts_need_no_timing(tmp_path: Path) -> None:
    done = choose(tmp_path, "--max-macs-g", 5, "--stratum", "in1k")
    assert done.stdout.splitlines()[-1].startswith("Take ")
    assert "in21k" not in done.stdout
    assert not (tmp_path / "results").exists()


def test_another_test_set_ranks_and_is_named(tmp_path: Path) -> None:
    done = choose(tmp_path, "--robust", "r", "--max-macs-g", 5, "--min-top1", 50)
    assert "top-1 on ImageNet-R" in done.stdout.splitlines()[-1]
    assert "30\u202f000 test images" in done.stdout.splitlines()[-1]


def test_where_all_finalists_miss_it_says_so_and_how_to_go_on(calibrated: Path) -> None:
    keep(calibrated, timed("test_convnext2", 160, 1.2), timed("test_convnext3", 160, 1.2))
    done = choose(calibrated, *TINY, "--max-latency-ms", 1.0, "--measure", 2)
    last = done.stdout.splitlines()[-1]
    assert last.startswith("Take none yet: nothing that was timed has at most 1 ms at batch 1; the nearest is ")
    assert "`--measure 4` goes on." in last


def test_a_model_that_cannot_be_timed_is_named_with_its_reason(calibrated: Path) -> None:
    keep(
        calibrated,
        timed("test_convnext2", 160, math.nan, status="failed", reason="The worker was killed.", values={}),
        timed("test_convnext3", 160, 2.0),
    )
    done = choose(calibrated, *TINY, "--max-latency-ms", 10, "--measure", 1)
    assert "Could not be timed: test_convnext2 at 160 px: failed: The worker was killed." in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Take test_convnext3.r160_in1k @160")


def test_rows_that_this_timm_lacks_are_left_out_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.measure import build

    exists = build.model_exists
    monkeypatch.setattr(build, "model_exists", lambda name: name != "test_convnext2" and exists(name))
    done = choose(tmp_path, *TINY)
    assert "Left out, as the timm here does not have them: 1 row (test_convnext2)." in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Take test_convnext3")


def test_accuracies_of_the_users_own_go_on_to_be_chosen_from_by_suite(tmp_path: Path) -> None:
    cell = {"task": "evaluate", "model": "resnet50.a1_in1k", "resolution_px": 224, "dataset": "imagenet"}
    own = Record(
        suite="mine", cell_id="1", cell=cell, status="ok", conditions=HERE, started_at="2026-01-01", wall_s=1.0
    )
    with open_run(tmp_path / "results", "mine", HERE["machine"], local=True) as run:
        run.append(own)
    done = choose(tmp_path, "--max-macs-g", 1)
    assert "`--suite mine` chooses by these." in done.stderr
    assert done.stdout.splitlines()[-1].startswith("Take ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--stratum", "jft"), "Unknown stratum 'jft'. Known: in1k, in21k, larger, unknown."),
        (("--robust", "c"), "Unknown robustness test 'c'. Known: real, v2, sketch, r, a."),
        (("--family", "cnns"), "Unknown family 'cnns'. Did you mean 'cnn'?"),
        (
            ("--max-macs-g", "0.2", "--min-top1", "85"),
            "Nothing qualifies: of 1\u202f556 published rows 1\u202f556 with a published top-1 on ImageNet, ",
        ),
        (("--max-macs-g", "inf"), "A limit must be a number."),
        (("--max-memory-mib", "100"), "--max-memory-mib is unknown of published checkpoints"),
        (("--max-latency-ms", "30", "--measure", "0"), "Too little was timed on this machine to estimate a latency."),
        (("--results", "a", "--results", "b"), "give --results once."),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    done = choose(tmp_path, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("limit", ["nan", "-1", "much"])
def test_a_limit_that_is_no_number_is_refused(tmp_path: Path, limit: str) -> None:
    assert choose(tmp_path, "--max-params-m", limit).returncode == 2
    assert choose(tmp_path, "--min-top1", limit).returncode == 2


def test_options_of_published_checkpoints_are_refused_elsewhere(tmp_path: Path) -> None:
    done = vitbench("choose", "--dataset", "shapes", "--shipped", "--stratum", "in1k", cwd=tmp_path)
    assert done.returncode == 2
    assert "--stratum is for published checkpoints" in done.stderr


def test_rerun_takes_nothing_from_the_store(calibrated: Path) -> None:
    done = choose(calibrated, *TINY, "--max-latency-ms", 10, "--measure", 0, "--rerun")
    assert done.returncode == 2
    assert "Too little was timed on this machine" in done.stderr


def test_timings_that_contradict_each_other_choose_nothing(tmp_path: Path) -> None:
    disturbed_ms = (1824, 2082, 1312, 341, 98, 125, 90, 136, 1163)  # as they came out beside other programs
    keep(tmp_path, *(timed(*place, ms) for place, ms in zip(CALIBRATION, disturbed_ms, strict=True)))
    done = choose(tmp_path, *TINY, "--max-latency-ms", 10)
    assert done.returncode == 2
    assert "Close other programs" in done.stderr
    assert len(stored(tmp_path)) == len(CALIBRATION)
