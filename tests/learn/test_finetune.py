"""Fine-tuning: what a step is, what is scored, and that stopping, killing and dividing it change nothing."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import random
import signal
import socket
import threading
import time
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_finetuning import (
    CLASSES,
    MACS,
    augmented_cell,
    catalogue_model,
    make_cell,
    make_collection,
    perform,
    run_alone_or_in_group,
)
from torch import Tensor, nn
from torch.nn import functional as F

from bench.data.decoding.square_cache import stored_images
from bench.data.sets.collection import ImageCollection, LabelledImages
from bench.errors import CellFailedError, DataError, RequestError, StoppedError, UnsupportedError
from bench.execute.environment import set_determinism
from bench.learn import checkpoint
from bench.learn.augment import mixing_share, neighbours, swapped
from bench.learn.micro_batch import MicroBatch, find_micro_batch
from bench.learn.pipeline import TrainingBatches
from bench.learn.trainer import learning_rate_at
from bench.measure.devices import available_precisions
from bench.measure.outcome import Outcome
from bench.measure.timing.steps import make_images
from bench.measure.weights import LoadedModel
from bench.process_group import ProcessGroup
from bench.suite.cell import Settings

HALF = (0.5, 0.5, 0.5)


@pytest.fixture(autouse=True)
def _own_cache_and_short_probes(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.learn.micro_batch.PROBE_SECONDS", 0.01)
    monkeypatch.setenv("VITBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "finetune-cache"))


class Tiny(nn.Module):
    """One hidden layer on pooled pixels, with dropout if wanted."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.hidden, self.drop, self.head = nn.Linear(3 * 8 * 8, 16), nn.Dropout(dropout), nn.Linear(16, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.drop(self.hidden(F.avg_pool2d(images, 4).flatten(1)).relu()))
        return logits

    def get_classifier(self) -> nn.Module:
        return self.head


def tiny(dropout: float = 0.0) -> LoadedModel:
    torch.manual_seed(0)
    return LoadedModel(Tiny(dropout), "0" * 16, {"mean": HALF, "std": HALF})


class StopAfter(threading.Event):
    """An event that is set from the n-th time on that anybody asks."""

    def __init__(self, questions: int) -> None:
        super().__init__()
        self.left = questions

    def is_set(self) -> bool:
        self.left -= 1
        return self.left <= 0


def same(first: Outcome, second: Outcome) -> bool:
    """Whether two trainings are the same to the last bit."""
    return (
        first.values["weights_sha256"] == second.values["weights_sha256"]
        and first.samples == second.samples
        and np.array_equal(first.predictions.label_probability, second.predictions.label_probability)
    )


def test_a_model_learns_and_its_numbers_fit_together(tmp_path: Path) -> None:
    done = perform(make_cell(steps=60), tiny(), tmp_path)
    values = done.values
    assert values["top1_pct"] == 100.0
    assert values["top5_pct"] is None  # four classes
    assert (values["steps"], values["images_seen"], values["train_flop"]) == (60, 960, 6 * MACS * 960)
    assert (values["train_images"], values["scored_images"], values["num_classes"]) == (160 + 40, 50, CLASSES)
    assert (values["micro_batch_size"], values["processes"], values["resumed"], values["notes"]) == (16, 1, 0, [])
    assert values["params"] == (192 * 16 + 16) + (16 * 4 + 4)
    assert values["initial_weights_sha256"] == "0" * 16
    assert len(values["weights_sha256"]) == 16
    assert 0 <= values["wait_share"] <= 1
    assert all(values[f"{part}_img_per_s"] > 0 for part in ("train", "pipeline", "model"))
    assert len(done.samples["loss"]) == 60
    assert done.samples["loss"][-1] == values["final_loss"]
    assert done.predictions.keys == tuple(f"test/{i}" for i in range(50))


def test_a_head_of_zeros_begins_with_the_loss_of_guessing(tmp_path: Path) -> None:
    assert perform(make_cell(), tiny(), tmp_path).samples["loss"][0] == pytest.approx(math.log(CLASSES))


@pytest.mark.parametrize("before", ["norm", "hidden layer"])
def test_a_head_with_layers_before_its_last_one_learns(before: str, tmp_path: Path) -> None:
    # LeViT, RepViT and CAFormer have such heads. With all their layers at zero only the last bias would ever move.
    loaded = tiny()
    first = nn.BatchNorm1d(16) if before == "norm" else nn.Sequential(nn.Linear(16, 8), nn.ReLU())
    loaded.model.head = nn.Sequential(first, nn.Linear(16 if before == "norm" else 8, CLASSES))  # type: ignore[assignment]
    done = perform(make_cell(steps=60), loaded, tmp_path)
    assert done.samples["loss"][0] == pytest.approx(math.log(CLASSES))
    assert done.values["top1_pct"] > 90


def test_a_step_is_sgd_with_momentum_on_the_mean_loss_with_clipped_gradients(tmp_path: Path) -> None:
    cell = make_cell(recipe={"grad_clip_norm": 0.05, "weight_decay": 0.01})
    model = tiny().model
    for parameter in model.get_classifier().parameters():  # type: ignore[operator]
        nn.init.zeros_(parameter)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9, weight_decay=0.01)
    collection, losses = make_collection(), []
    labels = np.concatenate([collection.part("train").labels, collection.part("validation").labels])
    images = stored_images(collection, ("train", "validation"), 32)
    options: dict[str, Any] = {"crop": "none", "flip": False, "device": "cpu"}
    for batch in TrainingBatches(images, labels, batch_size=16, steps=12, seed=0, resolution_px=32, **options):
        optimizer.param_groups[0]["lr"] = learning_rate_at(cell.recipe, batch.step, 12)
        loss = F.cross_entropy(model((batch.images - 0.5) / 0.5), batch.labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.05)
        optimizer.step()
        losses.append(loss.item())

    loaded = tiny()
    assert perform(cell, loaded, tmp_path).samples["loss"] == pytest.approx(losses)
    for there, here in zip(loaded.model.parameters(), model.parameters(), strict=True):
        assert torch.allclose(there, here, atol=1e-6)


@pytest.mark.parametrize("mixup_alpha", [0.0, 0.5])
def test_how_a_batch_is_divided_changes_only_the_rounding(mixup_alpha: float, tmp_path: Path) -> None:
    cell = make_cell(recipe={"mixup_alpha": mixup_alpha})
    whole, divided = (perform(cell, tiny(), tmp_path, micro_batch_size=size) for size in (16, 6))
    assert (whole.values["micro_batch_size"], divided.values["micro_batch_size"]) == (16, 6)
    assert divided.samples["loss"] == pytest.approx(whole.samples["loss"], rel=1e-4)


def test_finding_the_micro_batch_and_the_rates_changes_no_number(tmp_path: Path) -> None:
    cell = augmented_cell("resnet_32px_s", 4)  # BatchNorm: a pass too many would move its statistics
    given, found = (
        perform(cell, catalogue_model("resnet_32px_s"), tmp_path, micro_batch_size=size) for size in (16, None)
    )
    assert same(given, found)


class _Part:
    """A reader that must not be used."""

    def __len__(self) -> int:
        return 50

    def read(self, index: int) -> bytes:
        raise AssertionError("the test part was read")


def test_a_trial_trains_on_train_is_scored_on_validation_and_never_reads_the_test_part(tmp_path: Path) -> None:
    whole = make_collection()
    forbidden = LabelledImages(_Part(), whole.part("test").labels, whole.part("test").keys)
    collection = replace(whole, parts={**whole.parts, "test": forbidden})
    done = perform(make_cell(scored_part="validation"), tiny(), tmp_path, collection=collection)
    assert (done.values["train_images"], done.values["scored_images"]) == (160, 40)
    assert done.predictions.keys[0] == "validation/0"


def test_a_data_set_without_a_part_that_is_needed_is_refused(tmp_path: Path) -> None:
    whole = make_collection()
    collection = ImageCollection(whole.name, whole.class_names, {"train": whole.part("train")})
    with pytest.raises(DataError, match="has no 'validation' part"):
        perform(make_cell(), tiny(), tmp_path, collection=collection)


@pytest.mark.parametrize("model", ["vit_32px_s", "resnet_32px_s"])
def test_a_training_stopped_at_random_steps_ends_with_the_same_weights(model: str, tmp_path: Path) -> None:
    set_determinism()
    cell, steps = augmented_cell(model, 12), random.Random(model)
    calm = perform(cell, catalogue_model(model), tmp_path / "calm", micro_batch_size=8)
    stopped, done = 0, None
    while done is None:
        stop = StopAfter(steps.randint(1, 5))
        try:
            done = perform(cell, catalogue_model(model), tmp_path / "stopped", micro_batch_size=8, stop=stop)
        except StoppedError:
            stopped += 1
    assert stopped >= 2
    assert done.values["resumed"] == stopped
    assert same(calm, done)


def test_dropout_needs_no_saved_random_state(tmp_path: Path) -> None:
    cell = make_cell()
    calm = perform(cell, tiny(dropout=0.5), tmp_path / "calm")
    with pytest.raises(StoppedError, match=r"stopped after step 7 of 12\. The same command goes on from there"):
        perform(cell, tiny(dropout=0.5), tmp_path / "stopped", stop=StopAfter(7))
    assert same(calm, perform(cell, tiny(dropout=0.5), tmp_path / "stopped"))
    assert not same(calm, perform(make_cell(seed=1), tiny(dropout=0.5), tmp_path / "other"))


def test_a_stop_that_comes_with_the_last_step_comes_too_late(tmp_path: Path) -> None:
    assert perform(make_cell(), tiny(), tmp_path, stop=StopAfter(12)).values["steps"] == 12
    assert not (tmp_path / checkpoint.LATEST).exists()


def test_a_stop_that_comes_while_images_are_decoded_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("bench.learn.finetune.STOP_LOOK_SECONDS", 0.0)
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError, match=r"stopped while the images of 'quarters' were decoded, at \d+ of 160"):
        perform(make_cell(), tiny(), tmp_path / "checkpoints", stop=stop)
    assert not [path for path in (tmp_path / "cache" / "decoded").iterdir() if path.is_dir()]  # nothing half done


def test_checkpoints_are_written_as_often_as_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    monkeypatch.setattr("bench.learn.resumable.write", lambda _, made: written.append(made.progress.step))
    perform(make_cell(), tiny(), tmp_path, every_s=0.0)
    assert written == list(range(1, 12))  # after the last step the record is next
    written.clear()
    perform(make_cell(), tiny(), tmp_path, every_s=1000.0)
    assert written == []


def test_a_checkpoint_of_another_micro_batch_is_set_aside_with_a_note(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        perform(make_cell(), tiny(), tmp_path, stop=StopAfter(3))
    done = perform(make_cell(), tiny(), tmp_path, micro_batch_size=4)
    assert done.values["resumed"] == 0
    assert "step 3 was set aside" in done.values["notes"][0]
    assert "micro_batch_size was 16, is 4" in done.values["notes"][0]


def test_a_micro_batch_that_is_to_be_found_is_that_of_the_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        perform(make_cell(), tiny(), tmp_path, stop=StopAfter(3), micro_batch_size=4)
    done = perform(make_cell(), tiny(), tmp_path, micro_batch_size=None)
    assert (done.values["resumed"], done.values["micro_batch_size"]) == (1, 4)


def test_a_damaged_checkpoint_means_a_new_beginning_and_a_note(tmp_path: Path) -> None:
    calm = perform(make_cell(), tiny(), tmp_path / "calm")
    with pytest.raises(StoppedError):
        perform(make_cell(), tiny(), tmp_path, stop=StopAfter(3))
    path = tmp_path / checkpoint.LATEST
    path.write_bytes(path.read_bytes()[:-100])
    done = perform(make_cell(), tiny(), tmp_path)
    assert same(calm, done)
    assert "cannot be read" in done.values["notes"][0]


def test_a_training_goes_on_where_checkpoints_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    done = perform(make_cell(), tiny(), tmp_path / "file", every_s=0.0)
    assert done.values["notes"][0] == "A checkpoint could not be written; the training went on without it."
    assert len(done.values["notes"]) == 1
    with pytest.raises(StoppedError, match=r"stopped after step 2 of 12\. Checkpoint .* cannot be written"):
        perform(make_cell(), tiny(), tmp_path / "file", stop=StopAfter(2))


def test_a_loss_that_is_no_number_stops_the_cell_and_names_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.learn.trainer.learning_rate_at", lambda _, step, __: math.inf if step == 13 else 0.1)
    with pytest.raises(CellFailedError, match=r"loss is nan at step 15 of 40, at a peak learning rate of 0\.1\. Try"):
        perform(make_cell(steps=40), tiny(), tmp_path)


def test_a_diverging_loss_stops_the_cell(tmp_path: Path) -> None:
    cell = make_cell(recipe={"learning_rate": 1e30, "grad_clip_norm": None, "warmup_steps": 0})
    with pytest.raises(CellFailedError, match=r"loss is (nan|inf) at step \d of 12"):
        perform(cell, tiny(), tmp_path)


def test_weights_that_the_last_step_blew_up_fail_the_cell(tmp_path: Path) -> None:
    cell = make_cell(steps=2, recipe={"learning_rate": 1e30, "grad_clip_norm": None, "warmup_steps": 0})
    with pytest.raises(CellFailedError, match=r"after 2 of 2 steps .* gives scores that are no numbers"):
        perform(cell, tiny(), tmp_path)


class Narrow(Tiny):
    """A model that has no room for more than `room` images."""

    room = 5

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > self.room:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return super().forward(images)


def test_the_micro_batch_is_halved_until_it_fits_and_a_note_says_so(tmp_path: Path) -> None:
    done = perform(make_cell(), replace(tiny(), model=Narrow()), tmp_path, micro_batch_size=None)
    assert done.values["micro_batch_size"] == 4
    assert done.values["notes"] == [
        "Memory was short for 8 images at once: batches of 16 were made of 4 at a time.",
    ]


def test_the_rate_of_the_model_alone_is_not_that_of_drawing_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.learn.micro_batch.PROBE_SECONDS", 0.2)
    made = []

    def counted(batch_size: int, *arguments: Any, **options: Any) -> Tensor:
        made.append(batch_size)
        return make_images(batch_size, *arguments, **options)

    monkeypatch.setattr("bench.learn.resumable.make_images", counted)
    perform(make_cell(), tiny(), tmp_path, micro_batch_size=16)
    assert made == [16]


def test_the_micro_batch_is_found_with_the_momentum_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, elements = tiny(), []

    def look(model: nn.Module, run: Any, *others: Any) -> MicroBatch:
        state = run.__self__._optimiser.state
        elements.append(sum(state[parameter]["momentum_buffer"].numel() for parameter in model.parameters()))
        return find_micro_batch(model, run, *others)

    monkeypatch.setattr("bench.learn.resumable.find_micro_batch", look)
    done = perform(make_cell(), loaded, tmp_path, micro_batch_size=None)
    assert elements == [done.values["params"]]


def test_batch_norm_and_dropout_in_divided_batches_are_noted(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AvgPool2d(30), nn.Flatten(), nn.Dropout(0.1))
    model.append(nn.Linear(4, CLASSES))
    notes = perform(make_cell(), replace(tiny(), model=model), tmp_path, micro_batch_size=8).values["notes"]
    assert notes == [
        "The head starts as it was loaded: the model does not say which layer is its classifier.",
        "BatchNorm took its statistics from 8 images at a time, not from the whole batch of 16.",
        "Dropout was drawn for 8 images at a time.",
    ]


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"settings": Settings(precision="tf32")}, UnsupportedError, "tf32 on cpu"),
        ({"settings": Settings(precision="fp16")}, UnsupportedError, "fp16"),
        ({"settings": Settings(compile=True)}, UnsupportedError, "compile"),
        ({"num_classes": 7}, RequestError, "with 7 classes was asked for; data set 'quarters' has 4"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_the_reason(
    changes: dict[str, Any], error: type[Exception], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=reason):
        perform(make_cell(**changes), tiny(), tmp_path)


def test_bf16_trains_too_and_leaves_the_next_cell_its_own_precision(tmp_path: Path) -> None:
    reason = available_precisions("cpu")["bf16"]
    if reason is not None:
        pytest.skip(reason)
    fp32 = perform(make_cell(), tiny(), tmp_path)
    bf16 = perform(make_cell(settings=Settings(precision="bf16")), tiny(), tmp_path)
    assert bf16.samples["loss"] != fp32.samples["loss"]
    assert bf16.samples["loss"] == pytest.approx(fp32.samples["loss"], rel=0.1)
    assert same(fp32, perform(make_cell(), tiny(), tmp_path))


def test_more_processes_than_images_in_a_batch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="16 images cannot be divided among 17 processes"):
        perform(make_cell(), tiny(), tmp_path, group=ProcessGroup(0, 17, "cpu"))


def test_a_micro_batch_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="micro-batch of 0 images"):
        perform(make_cell(), tiny(), tmp_path, micro_batch_size=0)


def test_neighbours_are_mixed_in_pairs() -> None:
    assert neighbours(4).tolist() == [1, 0, 3, 2]
    assert neighbours(3).tolist() == [1, 0, 2]


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_swapping_is_taking_the_neighbours(count: int) -> None:
    images = torch.rand(count, 3, 4, 4)
    assert torch.equal(swapped(images), images[neighbours(count)])
    labels = torch.arange(count)
    assert torch.equal(swapped(labels), neighbours(count))


def test_the_share_of_a_mix_follows_its_beta_distribution() -> None:
    shares = np.array([mixing_share(0.1, seed=0, step=step) for step in range(2000)])
    assert shares.mean() == pytest.approx(0.5, abs=0.03)
    assert shares.var() == pytest.approx(0.25 / 1.2, abs=0.01)  # of Beta(a, a): 1 / (4 (2 a + 1))
    assert mixing_share(0.0, seed=0, step=0) == 1.0
    assert mixing_share(0.1, seed=0, step=5) == shares[5]


# Real processes that can really be killed. Each starts with torch imported already, which takes longer than the rest.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["bench.learn.finetune", "bench.execute.environment"])


def start(model: str, folder: Path, result: Path, steps: int, **variables: str) -> BaseProcess:
    environment = {"VITBENCH_CACHE": os.environ["VITBENCH_CACHE"], **variables}
    process = PROCESSES.Process(target=run_alone_or_in_group, args=(model, folder, result, steps, environment))
    process.start()
    return process


def finish(*processes: BaseProcess) -> None:
    for process in processes:
        process.join(timeout=120)
        assert process.exitcode == 0


def kill(*processes: BaseProcess) -> None:
    for process in processes:
        assert process.is_alive(), "it was over before it could be killed"
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL


def stamp(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def steps_done(folder: Path) -> int:
    found = checkpoint.find(folder, {}).checkpoint
    return 0 if found is None else found.progress.step


@pytest.mark.slow
@pytest.mark.parametrize("model", ["vit_32px_s", "resnet_32px_s"])
def test_five_real_kills_end_with_the_weights_of_a_training_left_alone(model: str, tmp_path: Path) -> None:
    finish(start(model, tmp_path / "calm", tmp_path / "calm.json", 100))
    moments, before, latest = random.Random(model), 0, tmp_path / "killed" / checkpoint.LATEST
    for _ in range(5):
        process = start(model, tmp_path / "killed", tmp_path / "killed.json", 100)
        found = stamp(latest)
        while process.is_alive() and stamp(latest) == found:  # until this life has added a step
            time.sleep(0.002)
        time.sleep(moments.uniform(0.0, 0.1))
        kill(process)
        done = steps_done(tmp_path / "killed")
        assert done > before
        before = done
    finish(start(model, tmp_path / "killed", tmp_path / "killed.json", 100))
    calm, killed = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("calm", "killed"))
    assert killed["values"]["resumed"] == 5
    assert killed["values"]["weights_sha256"] == calm["values"]["weights_sha256"]
    assert (killed["loss"], killed["probability"]) == (calm["loss"], calm["probability"])


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3])
def test_several_processes_make_the_steps_of_one_and_go_on_bit_for_bit(size: int, tmp_path: Path) -> None:
    def group(folder: str, result: str, port: int) -> list[BaseProcess]:
        common = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        return [
            start(
                "vit_32px_s",
                tmp_path / folder,
                tmp_path / result,
                40,
                **common,
                RANK=str(rank),
                LOCAL_RANK=str(rank),
                LOCAL_WORLD_SIZE=str(size),
            )
            for rank in range(size)
        ]

    finish(start("vit_32px_s", tmp_path / "one", tmp_path / "one.json", 40))
    finish(*group("calm", "calm.json", free_port()))
    processes, latest = group("killed", "killed.json", free_port()), tmp_path / "killed" / checkpoint.LATEST
    while not latest.exists() and all(process.is_alive() for process in processes):
        time.sleep(0.002)
    kill(*processes)
    finish(*group("killed", "killed.json", free_port()))
    one, calm, killed = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "calm", "killed"))
    assert calm["values"]["processes"] == size
    assert killed["values"]["resumed"] == 1
    assert killed["values"]["weights_sha256"] == calm["values"]["weights_sha256"]
    assert len(calm["probability"]) == 50
    if size == 2:  # with three, the neighbours that mixup pairs are others
        assert calm["loss"] == pytest.approx(one["loss"], rel=1e-3)
        assert calm["probability"] == pytest.approx(one["probability"], rel=1e-2)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
