from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from hub_server import serve_hub
from safetensors.torch import save_file
from torch import nn
from weights_at_hand import VIT, logits

from bench.errors import CellFailedError, UnsupportedError
from bench.measure.build import build_model
from bench.measure.weights import load_weights


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache, and a client that gives up after a second without sleeping between its tries."""
    cache = tmp_path / "hub cache"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_ETAG_TIMEOUT", 1)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return cache


def hub_with(root: Path, name: str = VIT, seed: int = 7) -> nn.Module:
    """A hub's folder that holds the model's weights; returns the model."""
    model = build_model(name, seed=seed)
    folder = root / "models" / "timm" / name
    folder.mkdir(parents=True)
    save_file(model.state_dict(), folder / "model.safetensors")
    return model.eval()


def load_public(endpoint: str, monkeypatch: pytest.MonkeyPatch, *, download: bool = True, **changes: Any) -> Any:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    return load_weights(VIT, "public", **{"num_classes": None, "resolution_px": 160, "download": download, **changes})


def test_public_weights_are_fetched_once_and_found_again_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = hub_with(tmp_path)
    file = tmp_path / "models" / "timm" / VIT / "model.safetensors"
    with serve_hub(tmp_path) as endpoint:
        fetched = load_public(endpoint, monkeypatch)
    again = load_public(endpoint, monkeypatch, download=False)  # the hub is gone
    assert fetched.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()[:16] == again.sha256
    assert fetched.has_own_head
    assert torch.equal(logits(fetched.model, 160), logits(original, 160))
    assert torch.equal(logits(again.model, 160), logits(original, 160))
    assert not fetched.model.training


def test_absent_weights_name_the_command_and_nothing_is_asked_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub_with(tmp_path)
    log: list[str] = []
    with serve_hub(tmp_path, log=log) as endpoint, pytest.raises(UnsupportedError, match=r"vitbench run .* --download"):
        load_public(endpoint, monkeypatch, download=False)
    assert log == []


def test_a_truncated_download_fails_and_the_next_try_completes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = hub_with(tmp_path)
    with (
        serve_hub(tmp_path, truncated=True) as endpoint,
        pytest.raises(CellFailedError, match="did not arrive whole") as caught,
    ):
        load_public(endpoint, monkeypatch)
    assert "\n" not in str(caught.value)
    with serve_hub(tmp_path) as endpoint:
        assert torch.equal(logits(load_public(endpoint, monkeypatch).model, 160), logits(original, 160))


def test_a_download_with_the_wrong_hash_is_refused_and_fetched_again_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = hub_with(tmp_path)
    with (
        serve_hub(tmp_path, wrong_hash=True) as endpoint,
        pytest.raises(CellFailedError, match=r"not what the hub announced.*run again"),
    ):
        load_public(endpoint, monkeypatch)
    with serve_hub(tmp_path) as endpoint:
        assert torch.equal(logits(load_public(endpoint, monkeypatch).model, 160), logits(original, 160))


def test_a_cached_file_that_was_damaged_later_is_refused_by_name(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub_with(tmp_path)
    with serve_hub(tmp_path) as endpoint:
        load_public(endpoint, monkeypatch)
    (blob,) = own_cache.glob("*/blobs/*")
    content = blob.read_bytes()
    blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CellFailedError, match=f"Remove '{blob}'"):
        load_public(endpoint, monkeypatch, download=False)


def test_a_hub_without_the_file_or_the_repository_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub_with(tmp_path)
    with (
        serve_hub(tmp_path, missing=True) as endpoint,
        pytest.raises(UnsupportedError, match=r"has no model\.safetensors"),
    ):
        load_public(endpoint, monkeypatch)
    empty = tmp_path / "empty"
    empty.mkdir()
    with (
        serve_hub(empty) as endpoint,
        pytest.raises(UnsupportedError, match=f"no repository 'timm/{VIT}'") as caught,
    ):
        load_public(endpoint, monkeypatch)
    assert "\n" not in str(caught.value)


def test_a_hub_that_does_not_answer_in_time_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub_with(tmp_path)
    with (
        serve_hub(tmp_path, slow_s=30) as endpoint,
        pytest.raises(UnsupportedError, match=r"does not answer .*tim"),
    ):
        load_public(endpoint, monkeypatch)


def test_a_transfer_that_stalls_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub_with(tmp_path)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.1)
    with (
        serve_hub(tmp_path, drip_s=30) as endpoint,
        pytest.raises(CellFailedError, match=r"did not arrive whole .*tim"),
    ):
        load_public(endpoint, monkeypatch)


def test_a_hub_out_of_reach_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnsupportedError, match=r"http://127\.0\.0\.1:9 does not answer"):
        load_public("http://127.0.0.1:9", monkeypatch)  # the discard port: nothing listens


def test_weights_that_exist_only_as_a_pickle_or_not_at_all_are_not_looked_for() -> None:
    with pytest.raises(UnsupportedError, match="only as a pickle"):
        load_weights("legacy_xception.tf_in1k", "public", num_classes=None, resolution_px=299, download=True)
    with pytest.raises(UnsupportedError, match="no public weights"):
        load_weights("vit_32px_s", "public", num_classes=None, resolution_px=32, download=True)
