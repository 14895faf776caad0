from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from timm.models import get_pretrained_cfg
from torch import nn
from weights_at_hand import RESNET, VIT, load_given, logits, saved

from bench.catalog.tables import read_csv
from bench.errors import CellFailedError, RequestError
from bench.measure.build import build_model
from bench.measure.weight_files import save_weights
from bench.measure.weights import data_config, load_weights, zero_head


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


def test_preprocessing_is_what_the_published_figures_were_measured_with() -> None:
    class Stub(nn.Module):
        def __init__(self, name: str) -> None:
            super().__init__()
            config = get_pretrained_cfg(name)
            assert config is not None
            self.pretrained_cfg = config.to_dict()

    rows = [row for row in read_csv("timm_published") if row["crop_pct"]]
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
