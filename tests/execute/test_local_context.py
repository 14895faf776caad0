"""What a plan is told of earlier results and of a user's images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from data.odd_images import jpeg

from bench.data.generated.embedded import load_dataset
from bench.errors import RequestError, UnknownNameError
from bench.execute.local_context import LocalContext
from bench.execute.run_options import RunOptions
from bench.measure.devices import compile_reason
from bench.measure.weight_files import save_weights
from bench.store.record import Record
from bench.suite.cell import FinetuneCell, FinetuneRecipe, Settings, SpeedCell
from bench.suite.planning_context import TrialResult
from bench.suite.spec import Suite, parse_suite
from bench.suite.sweeps import FAILED, Result


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITBENCH_CACHE", str(tmp_path / "cache"))


TRIAL = FinetuneCell(
    model="resnet50", resolution_px=32, weights="public", dataset="digits", fingerprint="0", seed=0, device="cpu",
    recipe=FinetuneRecipe(learning_rate=0.1, steps=10, stored_px=32), scored_part="validation", settings=Settings(),
)  # fmt: skip


def trial(status: str, values: dict[str, Any]) -> Record:
    return Record(
        suite="mine",
        cell_id="0123456789abcdef",
        cell=TRIAL.model_dump(mode="json"),
        status=status,  # type: ignore[arg-type]
        values=values,
        conditions={},
        started_at="2026-11-23T00:00:00.000+00:00",
        wall_s=1.0,
    )


@pytest.mark.parametrize(
    ("status", "values", "known"),
    [
        ("ok", {"top1_pct": 80.0, "scored_images": 100}, {"0123456789abcdef": Result(80.0, 100)}),
        ("failed", {"is_final": True}, {"0123456789abcdef": FAILED}),
        ("oom", {}, {"0123456789abcdef": FAILED}),
        ("failed", {}, {}),  # killed, or its images were gone: nothing is known of its learning rate
        ("skipped", {}, {}),
    ],
)
def test_a_sweep_chooses_among_trials_that_say_something(
    tmp_path: Path, status: str, values: dict[str, Any], known: dict[str, Result]
) -> None:
    context = LocalContext("cpu", RunOptions(), tmp_path).planning_context([trial(status, values)])
    assert context.validation == known


def test_a_place_of_vtabs_files_is_no_set_of_the_users_own(tmp_path: Path) -> None:
    options = RunOptions(data={"caltech101": "here", "birds": "there"})
    context = LocalContext("cpu", options, tmp_path).planning_context([])
    assert context.extra_datasets == ("birds",)


def test_a_set_is_here_if_it_needs_no_files_or_has_them_or_will_be_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITBENCH_DATA", str(tmp_path / "data"))
    here = LocalContext("cpu", RunOptions(data={"birds": "pictures"}), tmp_path).planning_context([]).is_here
    assert [here(name) for name in ("digits", "birds", "kmnist")] == [True, True, False]
    assert LocalContext("cpu", RunOptions(download=True), tmp_path).is_here("kmnist")
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / "files").mkdir(exist_ok=True)
        (tmp_path / "files" / f"{name}-ubyte").touch()
    assert LocalContext("cpu", RunOptions(data={"kmnist": str(tmp_path / "files")}), tmp_path).is_here("kmnist")
    with pytest.raises(UnknownNameError, match="Did you mean 'kmnist'"):
        here("kmnits")


def test_a_corrupt_image_changes_what_the_preflight_is_of_and_not_what_is_trained_on(tmp_path: Path) -> None:
    random = load_dataset("shapes").train.images
    from PIL import Image

    for label in ("cat", "dog"):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for i in range(60):
            Image.fromarray(random[i + 100 * (label == "dog")]).save(tmp_path / "pictures" / label / f"{i}.png")
    options = RunOptions(data={"birds": str(tmp_path / "pictures")})
    before = LocalContext("cpu", options, tmp_path).planning_context([]).find_images("birds")

    (tmp_path / "pictures" / "cat" / "broken.png").write_bytes(jpeg()[:40])
    from bench.data.sets import open as opened

    opened._found.cache_clear()
    opened._users.cache_clear()
    after = LocalContext("cpu", options, tmp_path).planning_context([]).find_images("birds")
    assert after.stored_fingerprint != before.stored_fingerprint
    assert after.train_images == before.train_images


def test_a_look_at_images_that_were_given_groups_is_done_again(tmp_path: Path) -> None:
    import csv

    from PIL import Image

    from bench.data.sets.open import preflight_of, stored_fingerprint

    rows = []
    for i in range(40):  # each picture is there twice
        for copy in ("a", "b"):
            Image.new("RGB", (8, 8), (i, 6 * i, 0)).save(tmp_path / f"{i}{copy}.bmp")
            rows.append((f"{i}{copy}.bmp", "cat" if i % 2 else "dog", f"picture {i}"))
    found = []
    for columns in (("path", "label"), ("path", "label", "group")):
        with open(tmp_path / "list.csv", "w", newline="") as stream:
            csv.writer(stream).writerows([columns, *(row[: len(columns)] for row in rows)])
        _open_anew()
        look = preflight_of("twins", str(tmp_path / "list.csv"), download=False, processes=1)
        found.append(
            (
                look.exact_duplicates.across_parts,
                stored_fingerprint("twins", str(tmp_path / "list.csv"), download=False),
            )
        )
    (apart, first), (together, second) = found
    assert apart > 0
    assert together == 0  # groups are kept whole
    assert first != second  # so that the cell of the look runs again, too


def _open_anew() -> None:
    """As another process does."""
    from bench.data.sets import open as opened

    for cached in (opened._found, opened._users):
        cached.cache_clear()


@dataclass
class Planned:
    """All that `confirm` looks at in a cell."""

    fingerprint: str


def test_images_that_only_look_untouched_are_planned_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    from bench.data.sets import fingerprints
    from bench.data.sets import open as opened

    def write(level: int) -> None:
        for label in ("cat", "dog"):
            (tmp_path / "pictures" / label).mkdir(parents=True, exist_ok=True)
            for i in range(20):
                Image.new("RGB", (8, 8), (level, i, 0)).save(tmp_path / "pictures" / label / f"{i}.bmp")

    monkeypatch.setenv("VITBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fingerprints, "file_stamp", lambda status: str(status.st_size))  # a poor file system
    options = RunOptions(data={"levels": str(tmp_path / "pictures")})
    write(50)
    assert LocalContext("cpu", options, tmp_path).planning_context([]).find_images("levels").num_classes == 2
    write(200)
    fingerprints._read_here.clear()  # the run is another process than the plan before it
    for cached in (opened._found, opened._users):
        cached.cache_clear()
    here = LocalContext("cpu", options, tmp_path)
    trusted = here.planning_context([]).find_images("levels")
    assert not here.confirm([Planned(trusted.fingerprint), Planned(trusted.stored_fingerprint)])  # type: ignore[list-item]
    read = here.planning_context([]).find_images("levels")
    assert read.fingerprint != trusted.fingerprint
    assert read.stored_fingerprint != trusted.stored_fingerprint
    assert here.confirm([Planned(read.fingerprint), Planned(read.stored_fingerprint)])  # type: ignore[list-item]


def test_a_remembered_look_of_another_version_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    from bench.data.sets.open import preflight_of

    monkeypatch.setenv("VITBENCH_CACHE", str(tmp_path / "cache"))
    for label in ("cat", "dog"):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "pictures" / label / "0.bmp")
    assert preflight_of("two", str(tmp_path / "pictures"), download=False, processes=1).images == 2
    (file,) = (tmp_path / "cache" / "preflight").iterdir()
    file.write_text('{"images": 7}')
    assert preflight_of("two", str(tmp_path / "pictures"), download=False, processes=1).images == 2


def trial_record(status: str, **values: object) -> Record:
    cell = SpeedCell(
        metric_version=1, model="resnet_32px_s", resolution_px=32, batch_size=8, metrics=("throughput",), repeat=0,
        device="cpu", settings=Settings(fold=True), role="trial",
    )  # fmt: skip
    return Record(
        suite="mine", cell_id=cell.cell_id, cell=cell.model_dump(mode="json"), status=status, values=values,
        conditions={}, started_at="2026-01-01", wall_s=1.0,
    )  # type: ignore[arg-type]  # fmt: skip


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (trial_record("ok", throughput_img_per_s=5.0, folded_batch_norms=2), TrialResult(5.0, True)),
        (trial_record("ok", throughput_img_per_s=5.0, folded_batch_norms=0), TrialResult(5.0, False)),
        (trial_record("failed"), TrialResult(-math.inf)),
        (trial_record("oom"), TrialResult(-math.inf)),
    ],
)
def test_a_plan_is_told_what_trials_of_settings_gave(record: Record, expected: TrialResult, tmp_path: Path) -> None:
    assert LocalContext("cpu", RunOptions(), tmp_path).planning_context([record]).trials == {record.cell_id: expected}


def test_a_plan_can_ask_what_the_device_can_do(tmp_path: Path) -> None:
    abilities = LocalContext("cpu", RunOptions(), tmp_path).planning_context([]).abilities()
    assert "fp32" in abilities.precisions
    assert "tf32" not in abilities.precisions
    assert abilities.can_compile == (compile_reason("cpu") is None)


def suite_of(*blocks: tuple[str, str | None]) -> Suite:
    """Evaluations of one model with each file and what is said of it."""
    text = 'question = "?"\n'
    for file, words in blocks:
        said = f'pretraining = "{words}"\n' if words else ""
        text += f'[[evaluate]]\nmodels = ["test_vit"]\ndatasets = ["birds"]\nweights = ["file:{file}"]\n{said}'
    return parse_suite(text, Path("mine.toml"))


def test_what_a_suite_says_of_a_file_is_known_by_the_files_content(tmp_path: Path) -> None:
    for name, value in (("a", 1.0), ("b", 2.0)):
        save_weights(tmp_path / f"{name}.safetensors", {"w": torch.full((1,), value)}, {})
    context = LocalContext("cpu", RunOptions(), tmp_path)
    first, second = (context.file_weights("test_vit", f"{name}.safetensors") for name in ("a", "b"))
    assert context.pretraining(suite_of(("a.safetensors", "our shop"), ("b.safetensors", None))) == {first: "our shop"}
    assert second not in context.pretraining(suite_of(("b.safetensors", None)))
    with pytest.raises(RequestError, match=r"saw 'our shop' and 'ImageNet-1k'\. Say one of them"):
        context.pretraining(suite_of(("a.safetensors", "our shop"), ("a.safetensors", "ImageNet-1k")))
