"""Which tensors of a file end up in which of a network, and what is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_model
from torch import Tensor, nn
from weights_at_hand import VIT, load_given, logits, saved

from bench.errors import CellFailedError
from bench.measure.build import build_model
from bench.measure.matching import fill, resized, unwrapped
from bench.measure.weight_files import read_weights, save_weights


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))


def state(seed: int = 1) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return {name: torch.rand_like(one.float()).to(one.dtype) for name, one in network().state_dict().items()}


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    "prefix",
    [
        "module.",
        "_orig_mod.",
        "model.",
        "module._orig_mod.",
        "state_dict.model.",
        "ema.",
        "backbone.",
        "any.thing.else.",
    ],
)
def test_a_wrappers_prefix_is_taken_off_and_said(prefix: str) -> None:
    found = unwrapped(prefixed(prefix, state()), state())
    assert found.tensors.keys() == state().keys()
    assert found.notes == (f"Of the file's tensors those under '{prefix}' were taken.",)


def test_names_without_a_prefix_stay_as_they_are_and_nothing_is_said() -> None:
    tensors = state()
    assert unwrapped(tensors, tensors).tensors == tensors
    assert unwrapped(tensors, tensors).notes == ()


@pytest.mark.parametrize("others", ["ema.", "model_ema.module.", "teacher.backbone."])
def test_two_copies_of_a_network_are_refused_by_both_their_names(others: str) -> None:
    first, second = sorted(("model.", others), key=len)  # the shorter prefix comes first
    with pytest.raises(CellFailedError, match=f"2 copies of the model, under '{first}', '{second}'"):
        unwrapped(prefixed("model.", state()) | prefixed(others, state(2)), state())
    with pytest.raises(CellFailedError, match=f"under no prefix, '{others}'"):
        unwrapped(state() | prefixed(others, state(2)), state())


def test_a_network_that_holds_itself_in_its_names_is_one_copy() -> None:
    names = ["w", "sub.w", "sub.sub.w", "sub.sub.sub.w"]
    tensors = {name: torch.ones(1) for name in names}
    assert unwrapped(tensors, names).tensors.keys() == set(names)


def test_what_lies_beside_the_network_is_named() -> None:
    tensors = prefixed("model.", state()) | {f"optimizer.{index}.exp_avg": torch.ones(1) for index in range(5)}
    note = unwrapped(tensors, state()).notes[1]
    assert note == (
        "Not used of the file: 5 tensors (optimizer.0.exp_avg, optimizer.1.exp_avg, optimizer.2.exp_avg and 2 more)."
    )


def test_every_missing_and_every_left_over_tensor_is_counted_and_the_first_are_named() -> None:
    tensors = {name: tensor for name, tensor in state().items() if not name.startswith("2.")}
    with pytest.raises(CellFailedError, match=r"lack 2 of the model's 9 tensors \(2\.weight, 2\.bias\)\."):
        fill(network(), tensors)
    with pytest.raises(CellFailedError, match=r"hold 1 tensor that it has not \(head_dist\.weight\)\."):
        fill(network(), state() | {"head_dist.weight": torch.ones(1)})


def test_a_batch_norm_without_its_counter_is_whole() -> None:
    model = network()
    assert fill(model, {name: one for name, one in state().items() if "num_batches" not in name}) == []
    assert torch.equal(model[0].weight, state()["0.weight"])


@pytest.mark.parametrize(("dtype", "word"), [(torch.float16, "float16"), (torch.bfloat16, "bfloat16")])
def test_half_precision_becomes_single_with_a_note(dtype: torch.dtype, word: str) -> None:
    model = network()
    halved = {name: one.to(dtype) for name, one in state().items()}  # counters too, as `.half()` on every tensor does
    assert fill(model, halved) == [f"The file's {word} numbers were converted to float32."]
    assert torch.equal(model[0].weight, state()["0.weight"].to(dtype).float())


def test_quantised_tensors_and_numbers_that_are_none_are_refused_by_name() -> None:
    with pytest.raises(CellFailedError, match=r"1 tensor of another kind of number: 0\.weight \(int8\)"):
        fill(network(), state() | {"0.weight": torch.ones(2, 3, dtype=torch.int8)})
    with pytest.raises(CellFailedError, match=r"NaN or infinity in 1 tensor: 2\.bias"):
        fill(network(), state() | {"2.bias": torch.tensor([1.0, float("nan")])})
    with pytest.raises(CellFailedError, match=r"NaN or infinity in 1 tensor: 1\.running_var"):
        fill(network(), state() | {"1.running_var": torch.tensor([1.0, float("inf")])})


def test_an_infinite_mask_that_the_network_makes_itself_is_no_broken_tensor() -> None:
    model = network()
    model.register_buffer("mask", torch.tensor([0.0, float("-inf")]))
    assert fill(model, state() | {"mask": torch.tensor([0.0, float("-inf")])}) == []


def test_tensors_of_another_size_are_refused_with_both_sizes() -> None:
    with pytest.raises(CellFailedError, match=r"have other sizes: 0\.weight \[2, 1\] for \[2, 3\]"):
        fill(network(), state() | {"0.weight": torch.ones(2, 1)})


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)
        self.second.weight = self.first.weight


def test_tied_tensors_come_back_from_a_file_that_holds_one_of_them(tmp_path: Path) -> None:
    original, path = Tied(), tmp_path / "w.safetensors"
    save_model(original, str(path))  # drops one of the two names
    for tensors in (
        read_weights(path).tensors,
        {k: v for k, v in original.state_dict().items() if k != "first.weight"},
    ):
        model = Tied()
        assert fill(model, tensors) == []
        assert torch.equal(model.first.weight, original.first.weight)
        assert torch.equal(model.second.weight, original.first.weight)


def test_two_tensors_for_one_that_the_model_ties_are_refused() -> None:
    tensors = {**Tied().state_dict(), "second.weight": torch.zeros(2, 2)}
    with pytest.raises(CellFailedError, match=r"two tensors, first\.weight and second\.weight, where"):
        fill(Tied(), tensors)


def test_only_position_embeddings_may_be_stretched_and_it_is_said() -> None:
    before, after = {"pos_embed": torch.ones(1, 145, 4)}, {"pos_embed": torch.ones(1, 101, 4)}
    assert resized(before, after) == [
        "Position embeddings were interpolated to the size of these images: pos_embed [1, 145, 4] for [1, 101, 4]."
    ]
    patches = "patch_embed.proj.weight"
    with pytest.raises(CellFailedError, match=r"patch_embed.proj.weight \[4, 3, 32, 32\] for \[4, 3, 16, 16\]"):
        resized({patches: torch.ones(4, 3, 32, 32)}, {patches: torch.ones(4, 3, 16, 16)})


def test_tensors_that_a_translation_leaves_out_are_named_and_those_it_joins_are_not() -> None:
    q, k = torch.ones(2, 2), torch.ones(2, 2)
    assert resized({"q": q, "k": k}, {"qk": torch.cat([q, k])}) == []
    assert resized({"q": q, "text.proj": k}, {"renamed": q}) == ["Not used of the file: 1 tensor (text.proj)."]


@pytest.mark.parametrize("prefix", ["module.", "model."])
def test_a_prefixed_and_halved_checkpoint_scores_as_the_plain_one(prefix: str, tmp_path: Path) -> None:
    path, model = saved(tmp_path / "w.safetensors")
    save_weights(path, prefixed(prefix, model.state_dict()), {})
    loaded = load_given(path)
    assert loaded.has_own_head
    assert torch.equal(logits(loaded.model, 160), logits(model, 160))
    assert loaded.notes == (f"Of the file's tensors those under '{prefix}' were taken.",)


def test_a_file_of_another_grid_says_that_its_positions_were_interpolated(tmp_path: Path) -> None:
    path, _ = saved(tmp_path / "w.safetensors", resolution_px=192)
    (note,) = load_given(path).notes
    assert note.endswith("pos_embed [1, 145, 64] for [1, 101, 64].")
    assert load_given(path, resolution_px=192).notes == ()


def test_a_users_own_network_takes_files_with_another_head_or_none_if_it_names_its_classifier(tmp_path: Path) -> None:
    source = tmp_path / "own.py"
    source.write_text(
        "from torch import nn\n\n\nclass Net(nn.Module):\n"
        "    def __init__(self, num_classes=4):\n"
        "        super().__init__()\n"
        "        self.body, self.head = nn.Linear(12, 5), nn.Linear(5, num_classes)\n\n"
        "    def get_classifier(self):\n        return self.head\n\n"
        "    def forward(self, x):\n        return self.head(self.body(x.flatten(1)))\n"
    )
    name, path = f"{source}:Net", tmp_path / "w.safetensors"
    tensors = build_model(name, num_classes=7, seed=3).state_dict()
    for stored in (tensors, {key: one for key, one in tensors.items() if not key.startswith("head.")}):
        save_weights(path, prefixed("module.", stored), {})
        loaded = load_given(path, name, num_classes=2, resolution_px=2)
        assert not loaded.has_own_head
        assert torch.equal(loaded.model.body.weight, tensors["body.weight"])
        assert logits(loaded.model, 2).tolist() == [[0.0, 0.0]]
    save_weights(path, tensors, {})
    assert load_given(path, name, num_classes=7, resolution_px=2).has_own_head


def test_a_model_that_timm_loads_by_other_names_is_refused_by_those_it_lacks(tmp_path: Path) -> None:
    path, model = saved(tmp_path / "w.safetensors")
    parts = {}
    for name, tensor in model.state_dict().items():
        chunks = tensor.chunk(3) if ".attn.qkv." in name else ()
        parts |= {name.replace(".qkv.", f".{one}."): part for one, part in zip("qkv", chunks)} or {name: tensor}  # noqa: B905
    save_weights(path, parts, {})
    with pytest.raises(CellFailedError, match=rf"'{VIT}': they lack .*attn\.qkv\.weight.*that it has not .*attn\.k\."):
        load_given(path)
