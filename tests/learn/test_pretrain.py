"""Pretraining: what a budget pays for, what a step is, which weights are kept, and that stopping changes nothing."""

from __future__ import annotations

import itertools
import json
import math
import multiprocessing
import random
import signal
import threading
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch
from small_finetuning import CLASSES
from small_pretraining import (
    MACS,
    everything_at_random,
    make_cell,
    make_squares,
    perform,
    run_alone_or_in_group,
)
from torch import Tensor, nn

from bench.errors import CellFailedError, RequestError, StoppedError, UnsupportedError
from bench.execute.environment import set_determinism
from bench.learn import checkpoint
from bench.learn.augment import crop_boxes, image_words, show
from bench.learn.pipeline import keyed_batches
from bench.learn.pretrain import RECIPES, set_dropout
from bench.learn.trainer import learning_rate_at
from bench.measure.build import build_model
from bench.measure.weights import data_config
from bench.suite.cell import PretrainRecipe, Settings
from bench.units import training_flops

MODELS = ["vit_32px_s", "resnet_32px_s", "mbconv_32px_s", "hybrid_32px_s"]


class After(threading.Event):
    """Set once it has been asked so often."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self._looks = looks

    def is_set(self) -> bool:
        self._looks -= 1
        return self._looks <= 0


@pytest.fixture(autouse=True)
def _repeatable() -> None:
    torch.set_num_threads(1)
    set_determinism()


def test_a_budget_of_images_or_compute_fixes_the_steps(tmp_path: Path) -> None:
    by_images, _ = perform(make_cell(images_seen=100), tmp_path)
    assert by_images.values["steps"] == 6  # 100 / 16, rounded
    assert by_images.values["images_seen"] == 96
    assert by_images.values["train_flop"] == training_flops(MACS, 96)
    gflop = training_flops(MACS, 96) / 1e9
    by_compute, _ = perform(make_cell(images_seen=gflop, unit="gflop"), tmp_path)
    assert by_compute.values["steps"] == 6
    least, _ = perform(make_cell(images_seen=1), tmp_path)
    assert least.values["steps"] == 1


def test_a_budget_in_seconds_takes_about_so_long_and_a_resumed_one_has_the_same_steps(tmp_path: Path) -> None:
    cell = make_cell(images_seen=1.5, unit="device_s", recipe={"looks": 1})
    with pytest.raises(StoppedError):
        perform(cell, tmp_path, stop=After(4))
    found = checkpoint.find(tmp_path, {}).checkpoint
    assert found is not None
    assert found.progress.steps > found.progress.step > 0
    done, _ = perform(cell, tmp_path)
    assert done.values["steps"] == found.progress.steps
    assert 0.3 < done.values["train_seconds"] < 6.0  # of 1.5: the machine is shared


def test_measuring_the_pace_leaves_the_training_as_it_was(tmp_path: Path) -> None:
    timed, weights = perform(make_cell("resnet_32px_s", images_seen=0.3, unit="device_s"), tmp_path / "timed")
    cell = make_cell("resnet_32px_s", images_seen=timed.values["images_seen"])
    assert perform(cell, tmp_path / "counted")[1] == weights


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_the_rate_rises_to_its_peak_and_falls_to_nothing_after_the_last_step(schedule: str) -> None:
    recipe = PretrainRecipe(learning_rate=0.1, warmup_fraction=0.1, schedule=schedule)  # type: ignore[arg-type]
    rates = [learning_rate_at(recipe, step, 100) for step in range(100)]
    assert rates[:10] == pytest.approx([0.01 * (i + 1) for i in range(10)])
    assert max(rates) == rates[9] == rates[10] == pytest.approx(0.1)
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))
    assert 0 < rates[-1] < 0.1 / 50
    halfway = 0.1 * 0.5
    assert rates[55] == pytest.approx(halfway, rel=0.02), "both are at half height half-way"


def test_without_a_warmup_the_first_step_has_the_peak() -> None:
    assert learning_rate_at(PretrainRecipe(learning_rate=0.1, warmup_fraction=0), 0, 7) == 0.1


@pytest.mark.parametrize("model", MODELS)
def test_the_same_seed_gives_the_same_weights_and_another_one_others(model: str, tmp_path: Path) -> None:
    cell = everything_at_random(model, 6)
    first, again = (perform(cell, tmp_path / name, micro_batch_size=8) for name in ("first", "again"))
    assert first[1] == again[1]
    assert first[0].samples == again[0].samples
    other = perform(cell.model_copy(update={"seed": 1}), tmp_path / "other", micro_batch_size=8)
    assert other[1] != first[1]


@pytest.mark.parametrize("model", MODELS)
def test_stopped_five_times_it_ends_with_the_weights_of_one_left_alone(model: str, tmp_path: Path) -> None:
    cell = everything_at_random(model, 14)
    calm = perform(cell, tmp_path / "calm", micro_batch_size=8)
    for looks in (3, 1, 4, 2, 1):
        with pytest.raises(StoppedError, match="The same command goes on from there"):
            perform(cell, tmp_path / "stopped", stop=After(looks), micro_batch_size=8)
    stopped = perform(cell, tmp_path / "stopped", micro_batch_size=8)
    assert stopped[0].values["resumed"] == 5
    assert stopped[1] == calm[1]
    assert stopped[0].samples == calm[0].samples


def test_sgd_is_resumed_as_exactly(tmp_path: Path) -> None:
    cell = make_cell(images_seen=160, recipe={"optimizer": "sgd", "learning_rate": 0.05})
    calm = perform(cell, tmp_path / "calm")
    with pytest.raises(StoppedError):
        perform(cell, tmp_path / "stopped", stop=After(4))
    assert perform(cell, tmp_path / "stopped")[1] == calm[1]


def test_the_weights_of_the_best_look_are_kept_and_of_equals_the_later_ones(tmp_path: Path) -> None:
    model = build_model("resnet_32px_s", num_classes=CLASSES, resolution_px=32, seed=0)
    cell = make_cell("resnet_32px_s", images_seen=20 * 16, recipe={"looks": 5, "learning_rate": 0.01})
    done, _ = perform(cell, tmp_path, model=model)
    looks = dict(zip(done.samples["validation_step"], done.samples["validation_top1_pct"], strict=True))
    assert list(looks) == [4, 8, 12, 16, 20]
    best = done.values["validation_top1_pct"]
    assert best == max(looks.values())
    assert done.values["best_validation_step"] == max(step for step, top1 in looks.items() if top1 == best)
    _, images = make_squares()
    config = data_config(cell.model, model, 32)  # as transfers will normalise
    mean, std = (torch.tensor(config[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    pixels = torch.from_numpy(np.array(images.squares.maps[0])).permute(0, 3, 1, 2) / 255  # type: ignore[union-attr]
    with torch.inference_mode():
        predicted = model.eval()((pixels - mean) / std).argmax(1).numpy()
    assert 100 * float((predicted == images.labels).mean()) == pytest.approx(best)


def test_a_model_learns_what_it_is_shown(tmp_path: Path) -> None:
    cell = make_cell("resnet_32px_s", images_seen=40 * 16, recipe={"learning_rate": 0.01})
    assert perform(cell, tmp_path)[0].values["validation_top1_pct"] > 80


def test_two_steps_are_those_of_torchs_own_optimiser(tmp_path: Path) -> None:
    """Gradient, clipping, decoupled decay and the rate of each step, written out by hand."""

    def net() -> nn.Sequential:
        torch.manual_seed(3)
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, CLASSES))

    recipe = {"warmup_fraction": 0.0, "weight_decay": 0.1, "grad_clip_norm": 0.5, "looks": 1, "learning_rate": 0.01}
    ours = net()
    cell = make_cell("vit_32px_s", images_seen=32, recipe=recipe)
    perform(cell, tmp_path, model=ours)
    theirs = net()
    plain, decayed = [theirs[1].bias], [theirs[1].weight]
    optimiser = torch.optim.AdamW(
        [{"params": plain, "weight_decay": 0.0}, {"params": decayed, "weight_decay": 0.1}], lr=0.01, betas=(0.9, 0.999)
    )
    images, _ = make_squares()
    for step, (index, _) in enumerate(keyed_batches(np.arange(160), 16, 2, seed=0)):
        pixels = torch.from_numpy(images.squares.maps[0][index]).permute(0, 3, 1, 2) / 255  # type: ignore[union-attr]
        loss = nn.functional.cross_entropy(theirs((pixels - 0.5) / 0.5), torch.from_numpy(images.labels[index]))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        for group in optimiser.param_groups:
            group["lr"] = 0.01 * (1 - step / 2)
        optimiser.step()
    assert torch.allclose(ours[1].weight, theirs[1].weight, atol=1e-6)
    assert torch.allclose(ours[1].bias, theirs[1].bias, atol=1e-6)


def test_light_images_move_by_whole_pixels_and_strong_ones_are_cropped() -> None:
    words = image_words(0, np.zeros(200, dtype=np.int64), np.arange(200), 200)
    sizes = np.full((200, 2), 32, dtype=np.int32)
    boxes = crop_boxes(RECIPES["light"].crop, words, sizes, stored_px=32, resolution_px=32)
    moved = boxes[:, :2] * 32
    assert np.array_equal(moved, np.round(moved))
    assert set(moved[:, 0]) == set(range(-4, 5))
    assert np.array_equal(boxes[:, 2:], np.ones((200, 2)))
    pixels = torch.randint(0, 256, (1, 32, 32, 3), dtype=torch.uint8)
    shown = show(pixels, torch.tensor([[4 / 32, 0.0, 1.0, 1.0]]), 32)
    assert torch.allclose(shown[0, :, :, :28], pixels[0, :, 4:].permute(2, 0, 1) / 255, atol=1e-5)
    assert torch.allclose(shown[0, :, :, 28:], (pixels[0, :, 31:].permute(2, 0, 1) / 255).expand(3, 32, 4), atol=1e-5)
    strong = crop_boxes(RECIPES["strong"].crop, words, sizes, stored_px=32, resolution_px=32)
    assert (strong[:, 2] * strong[:, 3]).min() < 0.5


def dropouts(model: nn.Module) -> dict[str, float]:
    return {name: module.p for name, module in model.named_modules() if isinstance(module, nn.Dropout)}


def test_dropout_is_after_dense_layers_and_embeddings_but_not_in_attention() -> None:
    model = build_model("vit_32px_s", num_classes=CLASSES, resolution_px=32, seed=0)
    set_dropout(model, 0.1)
    found = dropouts(model)
    assert found["pos_drop"] == 0.1
    assert {p for name, p in found.items() if name.endswith(("proj_drop", "drop1", "drop2"))} == {0.1}
    assert {p for name, p in found.items() if name.endswith(("attn_drop", "head_drop"))} == {0.0}
    cnn = build_model("resnet_32px_s", num_classes=CLASSES, resolution_px=32, seed=0)
    set_dropout(cnn, 0.2)
    assert cnn.drop_rate == 0.2
    with pytest.raises(UnsupportedError, match="no place for dropout"):
        set_dropout(nn.Sequential(nn.Linear(3, 3)), 0.1)
    set_dropout(nn.Sequential(nn.Linear(3, 3)), 0.0)


def test_a_loss_that_is_no_number_ends_with_the_step(tmp_path: Path) -> None:
    class Breaking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3, CLASSES)
            self.calls = 0

        def forward(self, images: Tensor) -> Tensor:
            self.calls += 1
            logits: Tensor = self.head(images.mean(dim=(2, 3)))
            return logits * (math.nan if self.training and self.calls > 12 else 1.0)

    with pytest.raises(CellFailedError, match=r"The pretraining loss is nan at step \d+ of 12"):
        perform(make_cell(), tmp_path, model=Breaking())


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"settings": Settings(precision="fp16")}, UnsupportedError, "fp16"),
        ({"settings": Settings(compile=True)}, UnsupportedError, "compile"),
        ({"num_classes": 3}, RequestError, "with 3 classes was asked for; data set 'quarters' has 4"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    changes: dict[str, object], error: type[Exception], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=reason):
        perform(make_cell().model_copy(update=changes), tmp_path)


def test_records_hold_how_compute_was_counted(tmp_path: Path) -> None:
    values = perform(make_cell(), tmp_path)[0].values
    assert values["train_flop_ratio"] == pytest.approx(1.0, abs=0.01)
    assert 0.9 < values["step_flop_ratio"] < 1.0


# Real processes that can really be killed; see test_finetune.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["bench.learn.pretrain", "bench.execute.environment"])


def start(model: str, folder: Path, result: Path, steps: int, **variables: str) -> BaseProcess:
    process = PROCESSES.Process(target=run_alone_or_in_group, args=(model, folder, result, steps, variables))
    process.start()
    return process


@pytest.mark.slow
@pytest.mark.parametrize("model", ["vit_32px_s", "resnet_32px_s"])
def test_five_real_kills_end_with_the_weights_of_a_pretraining_left_alone(model: str, tmp_path: Path) -> None:
    calm_process = start(model, tmp_path / "calm", tmp_path / "calm.json", 100)
    calm_process.join(timeout=120)
    moments, latest = random.Random(model), tmp_path / "killed" / checkpoint.LATEST
    for _ in range(5):
        process = start(model, tmp_path / "killed", tmp_path / "killed.json", 100)
        found = latest.stat().st_mtime_ns if latest.exists() else 0
        while process.is_alive() and (latest.stat().st_mtime_ns if latest.exists() else 0) == found:
            time.sleep(0.002)
        time.sleep(moments.uniform(0.0, 0.1))
        assert process.is_alive(), "it was over before it could be killed"
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    last = start(model, tmp_path / "killed", tmp_path / "killed.json", 100)
    last.join(timeout=120)
    calm, killed = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("calm", "killed"))
    assert killed["values"]["resumed"] == 5
    assert killed["weights"] == calm["weights"]
    assert killed["samples"] == calm["samples"]


@pytest.mark.slow
def test_two_processes_make_the_steps_of_one(tmp_path: Path) -> None:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    members = [
        start("vit_32px_s", tmp_path / "two", tmp_path / "two.json", 10, RANK=str(r), LOCAL_RANK=str(r), **common)
        for r in range(2)
    ]
    alone = start("vit_32px_s", tmp_path / "one", tmp_path / "one.json", 10)
    for process in (*members, alone):
        process.join(timeout=180)
        assert process.exitcode == 0
    one, two = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    assert two["values"]["processes"] == 2
    # dropout is drawn in each process for its own images: alike, not equal
    assert two["samples"]["loss"] == pytest.approx(one["samples"]["loss"], rel=0.1)
