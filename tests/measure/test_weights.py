from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from hub_server import serve_hub
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from timm.models import get_pretrained_cfg
from torch import Tensor, nn

from bench.catalog.papers import read_table
from bench.errors import CellFailedError, RequestError, StoreError, UnsupportedError
from bench.measure.build import build_model
from bench.measure.weight_files import file_weights_id, save_weights
from bench.measure.weights import data_config, load_weights, zero_head

VIT = "test_vit.r160_in1k"  # 0.4 M parameters, 160 px, 1000 classes, fixed size
RESNET = "test_resnet.r160_in1k"


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


def saved(path: Path, name: str = VIT, seed: int = 7, **arguments: Any) -> tuple[Path, nn.Module]:
    """A file of weights of its own and the network they are from."""
    model = build_model(name, seed=seed, **arguments).eval()
    save_weights(path, model.state_dict(), {})
    return path, model


def load_given(path: Path, name: str = VIT, **changes: Any) -> Any:
    arguments = {"num_classes": None, "resolution_px": 160, "file": path, **changes}
    return load_weights(name, arguments.pop("weights", None) or file_weights_id(path), **arguments)


def logits(model: nn.Module, resolution_px: int) -> Tensor:
    with torch.inference_mode():
        result: Tensor = model(torch.linspace(-1, 1, 3 * resolution_px**2).view(1, 3, resolution_px, resolution_px))
        return result


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


@pytest.mark.parametrize("name", ["vit_32px_s", "resnet_32px_s", "hybrid_32px_s"])
def test_a_small_model_comes_back_from_its_file_with_its_own_head(name: str, tmp_path: Path) -> None:
    path, model = saved(tmp_path / "w.safetensors", name, num_classes=10)
    loaded = load_given(path, name, resolution_px=32)
    assert loaded.has_own_head
    assert torch.equal(logits(loaded.model, 32), logits(model, 32))
    assert loaded.config["mean"] == loaded.config["std"] == (0.5, 0.5, 0.5)
    assert loaded.config["crop_pct"] == 1.0
    assert loaded.config["input_size"] == (3, 32, 32)


def test_a_head_for_other_classes_starts_at_zero_and_the_rest_is_kept(tmp_path: Path) -> None:
    path, model = saved(tmp_path / "w.safetensors", RESNET)
    loaded = load_given(path, RESNET, num_classes=5)
    assert not loaded.has_own_head
    assert logits(loaded.model, 160).tolist() == [[0.0] * 5]
    images = torch.ones(1, 3, 160, 160)
    with torch.inference_mode():
        assert torch.equal(loaded.model.forward_features(images), model.forward_features(images))  # type: ignore[operator]


class MlpHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 3))

    def get_classifier(self) -> nn.Module:
        return self.head


def test_only_the_last_layer_of_a_head_is_set_to_zero() -> None:
    model = MlpHead()
    hidden = model.head[0].weight.detach().clone()
    assert zero_head(model, 3)
    assert torch.equal(model.head[0].weight, hidden)
    assert model.head[1].weight.tolist() == [1.0] * 8
    assert model.head(torch.randn(2, 6)).tolist() == [[0.0] * 3] * 2
    assert not zero_head(nn.Linear(6, 3), 3)  # does not say what its classifier is


def test_weights_without_a_head_get_one_of_zeros(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    state = build_model(VIT, seed=7).state_dict()
    save_weights(path, {name: tensor for name, tensor in state.items() if not name.startswith("head.")}, {})
    loaded = load_given(path, num_classes=3)
    assert not loaded.has_own_head
    assert logits(loaded.model, 160).tolist() == [[0.0] * 3]


def test_position_embeddings_are_interpolated_in_two_dimensions(tmp_path: Path) -> None:
    # A 4 x 4 grid whose every row has one value: as a list of 16 it could not be stretched to 8 x 8 and keep that.
    path = tmp_path / "w.safetensors"
    state = build_model("vit_32px_s", num_classes=10, seed=7).state_dict()
    rows = torch.arange(4.0).repeat_interleave(4)
    state["pos_embed"][0, 1:] = rows[:, None]
    save_weights(path, state, {})
    loaded = load_given(path, "vit_32px_s", resolution_px=64)
    grid = loaded.model.pos_embed[0, 1:, 0].detach().view(8, 8)
    torch.testing.assert_close(grid, grid[:, :1].expand(8, 8))
    assert grid[0, 0] < grid[3, 0] < grid[4, 0] < grid[7, 0]
    torch.testing.assert_close(loaded.model.pos_embed[0, 0], state["pos_embed"][0, 0])  # the class token's


class _Trap:
    """A pickle that writes a file when it is opened."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.marker,))


@pytest.mark.parametrize("name", ["w.pth", "w.bin", "w.safetensors"])
def test_a_pickle_is_refused_without_being_opened(name: str, tmp_path: Path) -> None:
    path, marker = tmp_path / name, tmp_path / "executed"
    path.write_bytes(pickle.dumps(_Trap(marker)))
    with pytest.raises(RequestError, match="pickle"):
        file_weights_id(path)
    with pytest.raises(CellFailedError, match="pickle"):
        load_given(path, weights="sha256 0123456789abcdef")
    torch.save({"weight": torch.ones(1)}, path)  # a zip archive around a pickle
    with pytest.raises(CellFailedError, match="pickle"):
        load_given(path, weights="sha256 0123456789abcdef")
    assert not marker.exists()


def test_a_pickle_of_the_oldest_kind_is_no_safetensors_file_either(tmp_path: Path) -> None:
    path, marker = tmp_path / "w.safetensors", tmp_path / "executed"
    path.write_bytes(pickle.dumps(_Trap(marker), protocol=0))  # begins like text
    with pytest.raises(CellFailedError, match="cannot be read as safetensors"):
        load_given(path)
    assert not marker.exists()


def test_a_header_that_begins_like_a_pickle_is_no_pickle(tmp_path: Path) -> None:
    for length in range(200):  # a safetensors file begins with the length of its header; one of these ends in 0x80
        path = tmp_path / f"{length}.safetensors"
        save_weights(path, {"a": torch.ones(1)}, {"note": "x" * length})
        if path.read_bytes()[:1] == b"\x80":
            assert file_weights_id(path).startswith("sha256 ")
            return
    pytest.fail("no header of 128 bytes was made")


def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path) -> None:
    path, _ = saved(tmp_path / "w.safetensors")
    content = path.read_bytes()
    for damaged in (content[:4], content[:1000], content[: len(content) // 2], content + b"more"):
        path.write_bytes(damaged)
        with pytest.raises(CellFailedError, match="cannot be read as safetensors") as caught:
            load_given(path)
        assert "\n" not in str(caught.value)


def test_a_file_that_is_gone_or_was_changed_is_refused(tmp_path: Path) -> None:
    path, _ = saved(tmp_path / "w.safetensors")
    planned = file_weights_id(path)
    saved(path, seed=8)
    with pytest.raises(CellFailedError, match=f"the plan says {planned}: the file changed"):
        load_given(path, weights=planned)
    path.unlink()
    with pytest.raises(CellFailedError, match="not there"):
        load_given(path, weights=planned)
    with pytest.raises(RequestError, match="not there"):
        file_weights_id(path)


@pytest.mark.parametrize("resolution_px", [160, 192])
def test_weights_of_another_model_are_refused_by_the_names_that_do_not_fit(resolution_px: int, tmp_path: Path) -> None:
    path, _ = saved(tmp_path / "w.safetensors", RESNET)
    with pytest.raises(CellFailedError, match=r"'test_vit.r160_in1k': they lack 78 .*cls_token"):
        load_given(path, VIT, resolution_px=resolution_px)


def test_tensors_of_another_shape_are_refused(tmp_path: Path) -> None:
    path, model = saved(tmp_path / "w.safetensors")
    state = {**model.state_dict(), "norm.weight": torch.ones(7)}
    save_weights(path, state, {})
    with pytest.raises(CellFailedError, match=r"norm\.weight.*\[7\]"):
        load_given(path)


def test_tensors_missing_beside_a_head_for_other_classes_are_noticed(tmp_path: Path) -> None:
    # timm itself checks no names any more once the head is replaced.
    path, model = saved(tmp_path / "w.safetensors")
    state = {name: tensor for name, tensor in model.state_dict().items() if name != "blocks.0.norm1.weight"}
    save_weights(path, state, {})
    with pytest.raises(CellFailedError, match=r"blocks\.0\.norm1\.weight"):
        load_given(path, num_classes=5)


def test_a_users_own_network_takes_its_file(tmp_path: Path) -> None:
    source = tmp_path / "own.py"
    source.write_text("from torch import nn\n\ndef make():\n    return nn.Sequential(nn.Flatten(), nn.Linear(12, 2))\n")
    name = f"{source}:make"
    path = tmp_path / "w.safetensors"
    save_weights(path, {"1.weight": torch.full((2, 12), 0.5), "1.bias": torch.tensor([0.0, 1.0])}, {})
    loaded = load_given(path, name, resolution_px=2)
    with torch.inference_mode():
        assert loaded.model(torch.ones(1, 3, 2, 2)).tolist() == [[6.0, 7.0]]
    save_weights(path, {"1.weight": torch.ones(2, 12)}, {})
    with pytest.raises(CellFailedError, match=r"1\.bias"):
        load_given(path, name, resolution_px=2)


def test_random_weights_depend_on_the_seed_alone() -> None:
    first, again, other = (
        load_weights("vit_32px_s", "random", num_classes=3, resolution_px=32, seed=seed) for seed in (1, 1, 2)
    )
    assert torch.equal(logits(first.model, 32), logits(again.model, 32))
    assert not torch.equal(logits(first.model, 32), logits(other.model, 32))
    assert first.sha256 is None
    assert not first.has_own_head


def test_an_unknown_kind_of_weights_names_the_known_ones() -> None:
    with pytest.raises(RequestError, match="public, random or"):
        load_weights(VIT, "sha256 abc", num_classes=None, resolution_px=160)


def test_class_names_come_back_with_the_head_they_belong_to(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    state = build_model("vit_32px_s", num_classes=3, seed=7).state_dict()
    save_weights(path, state, {"class_names": json.dumps(["a", "b", "c"])})
    assert load_given(path, "vit_32px_s", resolution_px=32).class_names == ("a", "b", "c")
    assert load_given(path, "vit_32px_s", resolution_px=32, num_classes=4).class_names is None


def test_saved_weights_name_what_is_no_number_and_keep_tied_tensors(tmp_path: Path) -> None:
    tied = torch.tensor([1.0, 2.0])
    path = tmp_path / "deep" / "w.safetensors"
    broken = save_weights(path, {"a": tied, "b": tied, "c": torch.tensor([float("nan")]), "n": torch.tensor(3)}, {})
    assert broken == ("c",)
    read = load_file(path)
    assert read["a"].tolist() == read["b"].tolist() == [1.0, 2.0]
    assert read["n"].item() == 3
    assert [file.name for file in path.parent.iterdir()] == ["w.safetensors"]


def test_a_save_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = saved(tmp_path / "w.safetensors")
    before = path.read_bytes()

    def full(*arguments: object, **options: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("bench.measure.weight_files.os.fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        save_weights(path, {"a": torch.ones(1)}, {})
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["w.safetensors"]


def test_preprocessing_is_what_the_published_figures_were_measured_with() -> None:
    class Stub(nn.Module):
        def __init__(self, name: str) -> None:
            super().__init__()
            config = get_pretrained_cfg(name)
            assert config is not None
            self.pretrained_cfg = config.to_dict()

    rows = [row for row in read_table("timm_published") if row["crop_pct"]]
    assert len(rows) > 80
    for row in rows:
        px = int(row["resolution_px"])
        config = data_config(row["name"], Stub(row["name"]), px)
        assert config["input_size"] == (3, px, px)
        assert (row["name"], px, f"{config['crop_pct']:.3f}", config["interpolation"]) == (
            row["name"],
            px,
            row["crop_pct"],
            row["interpolation"],
        )


def test_the_same_weights_are_the_same_file_in_every_process(tmp_path: Path) -> None:
    code = (
        "import sys, torch; from pathlib import Path\n"
        "from bench.measure.weight_files import file_weights_id, save_weights\n"
        "torch.manual_seed(0)\n"
        "names = {f'key{i}': 'é' * i for i in range(8)}\n"
        "path = Path(sys.argv[1]); save_weights(path, {'b': torch.rand(3), 'a': torch.rand(2, 2)}, names)\n"
        "print(file_weights_id(path))"
    )
    root = str(Path(__file__).resolve().parents[2])
    ids = {
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / f"{i}.safetensors")],
            env={**os.environ, "PYTHONPATH": root}, check=True, capture_output=True, text=True,
        ).stdout
        for i in range(3)
    }  # fmt: skip
    assert len(ids) == 1
    with safe_open(tmp_path / "0.safetensors", "pt") as file:
        assert file.metadata()["key2"] == "éé"
        assert file.get_tensor("a").shape == (2, 2)
