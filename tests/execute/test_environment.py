from __future__ import annotations

import getpass
import json
import os
import re
import socket
import subprocess
from pathlib import Path

import pytest
import torch

from bench.execute import environment
from bench.execute.environment import (
    describe_conditions,
    limit_threads,
    machine_fingerprint,
    set_backends,
    set_determinism,
)

KEYS = {
    "device",
    "cpu_model",
    "isa",
    "gpu_model",
    "cores",
    "memory_gib",
    "threads",
    "side_by_side",
    "os",
    "python",
    "torch",
    "timm",
    "torchvision",
    "fvcore",
    "numpy",
    "driver",
    "git_commit",
    "git_dirty",
    "backend_flags",
    "machine",
    "package",
    "allocator",
}


@pytest.fixture
def flags_restored():
    yield
    set_backends("complexity")


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init")
    (tmp_path / "code.py").write_text("one = 1\n")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "-m", "One")
    return tmp_path


def test_conditions_have_exactly_the_keys_of_the_record():
    found = describe_conditions("cpu", 1, 2)
    assert set(found) == KEYS
    assert (found["device"], found["threads"], found["side_by_side"]) == ("cpu", 1, 2)
    assert found["gpu_model"] is None
    assert found["driver"] is None
    json.dumps(found, allow_nan=False)


def test_conditions_name_no_person_host_or_place():
    text = json.dumps(describe_conditions("cpu", 1, 1))
    words = set(re.findall(r"[\w.-]+", text))
    assert not words & {socket.gethostname(), getpass.getuser()}
    assert str(Path.home()) not in text
    assert os.getcwd() not in text


def test_package_versions_are_known():
    found = describe_conditions("cpu", 1, 1)
    assert torch.__version__.startswith(found["torch"])
    assert all(found[package] for package in environment.PACKAGES)


def test_the_fingerprint_is_eight_hexadecimal_digits_and_stands_still():
    assert re.fullmatch(r"[0-9a-f]{8}", machine_fingerprint())
    assert machine_fingerprint() == machine_fingerprint() == describe_conditions("cpu", 1, 1)["machine"]


def test_the_fingerprint_does_not_move_with_a_few_mib_of_memory(monkeypatch: pytest.MonkeyPatch):
    def fingerprint(memory: int) -> str:
        monkeypatch.setattr(environment, "_memory_bytes", lambda: memory)
        return machine_fingerprint()

    assert fingerprint(16 * environment.GIB + 5) == fingerprint(16 * environment.GIB + 10**8)
    assert fingerprint(16 * environment.GIB) != fingerprint(32 * environment.GIB)


def test_the_commit_is_that_of_the_checkout(checkout: Path):
    head = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    found = describe_conditions("cpu", 1, 1, checkout)
    assert (found["git_commit"], found["git_dirty"]) == (head, False)


@pytest.mark.parametrize("file", ["code.py", "new.py"])
def test_a_changed_or_a_new_file_makes_a_checkout_dirty(checkout: Path, file: str):
    (checkout / file).write_text("two = 2\n")
    assert describe_conditions("cpu", 1, 1, checkout)["git_dirty"] is True


def test_a_folder_that_is_no_checkout_has_no_commit(tmp_path: Path):
    found = describe_conditions("cpu", 1, 1, tmp_path)
    assert (found["git_commit"], found["git_dirty"]) == (None, None)


def test_a_copy_installed_inside_somebody_s_checkout_has_no_commit(checkout: Path):
    installed = checkout / ".venv" / "bench"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert describe_conditions("cpu", 1, 1, installed)["git_commit"] is None


def test_gpus_are_read_from_nvidia_smi(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(environment, "output_of", lambda command: "NVIDIA A100, 80GB, 550.1\nNVIDIA A100, 80GB, 550.1")
    environment._nvidia_gpus.cache_clear()
    try:
        assert environment.gpu_model("cuda") == "NVIDIA A100, 80GB"
        assert environment._driver("cuda") == "550.1"
    finally:
        environment._nvidia_gpus.cache_clear()


def test_threads_are_limited_here_and_in_children(monkeypatch: pytest.MonkeyPatch):
    for variable in environment.THREAD_VARIABLES:
        monkeypatch.setenv(variable, "7")
    before = torch.get_num_threads()
    try:
        limit_threads(1)
        assert torch.get_num_threads() == 1
        assert os.environ["OMP_NUM_THREADS"] == "1"
    finally:
        torch.set_num_threads(before)


@pytest.mark.usefixtures("flags_restored")
def test_determinism_is_switched_on_and_recorded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    set_determinism()
    flags = describe_conditions("cpu", 1, 1)["backend_flags"]
    assert flags["deterministic_algorithms"]
    assert flags["mkldnn_deterministic"]
    assert not flags["cudnn_benchmark"]


@pytest.mark.usefixtures("flags_restored")
@pytest.mark.parametrize(("task", "repeatable", "fastest"), [("train", True, False), ("speed", False, True)])
def test_each_task_has_its_switches(monkeypatch: pytest.MonkeyPatch, task: str, repeatable: bool, fastest: bool):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    set_backends(task)
    flags = describe_conditions("cpu", 1, 1)["backend_flags"]
    assert flags["deterministic_algorithms"] == repeatable
    assert flags["cudnn_benchmark"] == fastest


@pytest.mark.usefixtures("flags_restored")
def test_training_twice_gives_the_same_numbers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    set_determinism()

    def train() -> torch.Tensor:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten(), torch.nn.Linear(8 * 36, 4))
        optimizer = torch.optim.AdamW(model.parameters())
        for _ in range(5):
            loss = model(torch.randn(16, 3, 8, 8)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    assert torch.equal(train(), train())
