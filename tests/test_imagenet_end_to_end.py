"""A public checkpoint from a hub, on ImageNet's layout, through the commands: fetched, scored, and offline again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from hub_server import hub_environment, serve_hub
from PIL import Image
from safetensors.torch import save_file
from timm.data import ImageNetInfo, create_transform, resolve_data_config

from bench.store.files import read_records, suite_folder
from bench.store.record import Record

ROOT = Path(__file__).resolve().parents[1]
MODEL = "test_resnet.r160_in1k"
SUITE = f"""
question = "Is the public checkpoint what it is said to be?"
[[evaluate]]
models = ["{MODEL}"]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with random weights under the checkpoint's name, and a subset of ImageNet with one picture a class."""
    folder = tmp_path_factory.mktemp("imagenet")
    repository = folder / "hub" / "models" / "timm" / MODEL
    repository.mkdir(parents=True)
    torch.manual_seed(0)
    save_file(timm.create_model(MODEL, pretrained=False).state_dict(), repository / "model.safetensors")
    random = np.random.default_rng(0)
    for index, synset in enumerate(ImageNetInfo("imagenet-1k").label_names()):
        picture = folder / "data" / "val" / synset / f"ILSVRC2012_val_{index + 1:08d}.JPEG"
        picture.parent.mkdir(parents=True)
        Image.fromarray(random.integers(0, 256, (24, 30, 3), dtype=np.uint8)).save(picture)
    (folder / "data" / "vitbench-subset.txt").write_text("Noise, one picture a class.")
    (folder / "mine.toml").write_text(SUITE)
    return folder


def vitbench(place: Path, endpoint: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | hub_environment(endpoint, place / "home")
    return subprocess.run(
        [sys.executable, "-m", "bench", "run", "mine.toml", "--device", "cpu", "--data", "imagenet=data", *arguments],
        cwd=place,
        env=environment | {"PYTHONPATH": str(ROOT), "VITBENCH_CACHE": str(place / "cache")},
        capture_output=True,
        text=True,
        timeout=300,
    )


def last_record(place: Path) -> Record:
    return read_records(suite_folder(place / "results", "mine", local=True)).records[-1]


def hits_by_hand(place: Path) -> tuple[int, int, int]:
    """Top-1 hits, ReaL hits and images with ReaL labels, one image at a time."""
    torch.manual_seed(0)
    model = timm.create_model(MODEL, pretrained=False).eval()
    transform = create_transform(**resolve_data_config(model=model))
    info = Path(timm.__file__).parent / "data" / "_info" / "imagenet_real_labels.json"
    real = json.loads(info.read_text())
    hits = real_hits = real_images = 0
    for index, synset in enumerate(ImageNetInfo("imagenet-1k").label_names()):
        name = f"ILSVRC2012_val_{index + 1:08d}.JPEG"
        with Image.open(place / "data" / "val" / synset / name) as picture, torch.inference_mode():
            predicted = int(model(transform(picture.convert("RGB"))[None]).argmax())
        hits += predicted == index
        real_images += bool(real[index])
        real_hits += predicted in real[index]
    return hits, real_hits, real_images


def test_a_checkpoint_is_absent_then_fetched_then_scored_as_by_hand(place: Path) -> None:
    with serve_hub(place / "hub") as endpoint:
        offline = vitbench(place, endpoint)
        assert offline.returncode == 0, offline.stderr
        absent = last_record(place)
        assert absent.status == "skipped"
        assert "--download" in str(absent.reason)

        fetched = vitbench(place, endpoint, "--download")
        assert fetched.returncode == 0, fetched.stderr
    values = last_record(place).values
    hits, real_hits, real_images = hits_by_hand(place)
    assert values["images"] == 1000
    assert values["correct_top1"] == hits
    assert values["real_images"] == real_images
    assert values["real_top1_pct"] == pytest.approx(100 * real_hits / real_images)
    assert any("Noise, one picture a class." in note for note in values["notes"])

    again = vitbench(place, "http://127.0.0.1:9", "--rerun")  # nothing listens there: the cache is enough
    assert again.returncode == 0, again.stderr
    assert last_record(place).values["correct_top1"] == hits
