import itertools
import math

import numpy as np
import pytest
import timm
import torch
from torch import nn

from bench.inspect.attention import (
    head_queries,
    mean_distances_px,
    query_weights,
    read_attention,
    roll_out,
    uniform_distance_px,
)
from bench.inspect.embedding import grid_distances
from bench.measure.build import build_model


def image(side=32, seed=0):
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(seed))


def vit(name="vit_32px_s"):
    return build_model(name, seed=3).eval().requires_grad_(False)


def all_layers(model, images, length=None):
    read = read_attention(model, images, length, lambda weights: weights)
    assert read.absent is None
    return torch.stack([torch.from_numpy(weights) for weights in read.layers])


def test_attention_has_layers_heads_and_tokens_and_rows_sum_to_one():
    attention = all_layers(vit(), image(), 17)
    assert attention.shape == (3, 3, 17, 17)  # 3 layers, 3 heads, a class token and 4 x 4 patches
    assert torch.allclose(attention.sum(dim=-1), torch.ones(3, 3, 17), atol=1e-6)


def test_attention_equals_softmax_of_queries_and_keys_by_hand():
    model, images = vit(), image()
    inputs = []
    handles = [block.attn.register_forward_pre_hook(lambda _, given: inputs.append(given[0])) for block in model.blocks]
    attention = all_layers(model, images)
    for handle in handles:
        handle.remove()
    for layer, (block, tokens) in enumerate(zip(model.blocks, inputs, strict=True)):
        weight, bias = block.attn.qkv.weight.double(), block.attn.qkv.bias.double()
        width = tokens.shape[-1]
        queries = tokens[0].double() @ weight[:width].T + bias[:width]
        keys = tokens[0].double() @ weight[width : 2 * width].T + bias[width : 2 * width]
        for head in range(3):
            own = slice(head * 16, (head + 1) * 16)
            expected = (queries[:, own] @ keys[:, own].T / 4.0).softmax(dim=-1)  # 4 = square root of 16
            assert torch.allclose(attention[layer, head].double(), expected, atol=1e-6)


def test_looking_changes_neither_the_answer_nor_the_model():
    model, images = vit(), image()
    fused = [block.attn.fused_attn for block in model.blocks]
    before = model(images)
    seen = []
    handle = model.register_forward_hook(lambda _, __, output: seen.append(output))
    read_attention(model, images, None, lambda weights: None)
    handle.remove()
    assert torch.allclose(seen[0], before, atol=1e-5)  # fused and plain attention round differently
    assert torch.equal(model(images), before)
    assert [block.attn.fused_attn for block in model.blocks] == fused
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())


def test_hooks_are_gone_when_the_model_fails():
    model = vit()
    with pytest.raises(AssertionError):
        read_attention(model, image(40), None, lambda weights: None)
    assert all(block.attn.fused_attn for block in model.blocks)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())


def test_a_distillation_token_is_one_more():
    model = timm.create_model("deit_tiny_distilled_patch16_224", img_size=32, depth=2).eval()
    assert all_layers(model, image(), 6).shape == (2, 3, 6, 6)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (torch.full((4, 2, 4, 4), 0.25), "4 windows of 4 tokens"),
        (torch.full((1, 2, 16, 4), 0.25), "16 x 4 weights, 16 tokens"),
        (torch.full((1, 2, 4, 4), 0.25), "4 x 4 weights, 16 tokens"),  # attention between channels
        (torch.full((1, 2, 16, 16), 0.5), "do not sum to one"),
        (torch.full((1, 16), 0.5), "no matrix of weights"),
    ],
)
def test_attention_that_is_not_over_all_tokens_is_absent_with_the_reason(weights, words):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.attn_drop = nn.Dropout(0.0)

        def forward(self, images):
            return self.attn_drop(weights)

    read = read_attention(Odd().eval(), image(), 16, lambda seen: seen)
    assert read.layers == []
    assert words in read.absent


def test_a_real_swin_is_not_global():
    model = timm.create_model("swin_tiny_patch4_window7_224", depths=(1, 1, 1, 1), embed_dim=12, num_heads=(1, 1, 1, 1))
    read = read_attention(model.eval(), image(224), 56 * 56, lambda seen: seen)
    assert "64 windows of 49 tokens" in read.absent


def test_attention_between_channels_is_told_by_the_length_of_its_input():
    model = timm.create_model("xcit_nano_12_p16_224", depth=1, embed_dim=64, num_heads=4, img_size=96).eval()
    read = read_attention(model, image(96), None, lambda seen: seen)
    assert "16 x 16 weights, 36 tokens" in read.absent  # 64 channels in 4 heads, 6 x 6 patches


def test_a_model_without_attention_says_so():
    assert "No attention" in read_attention(nn.Conv2d(3, 4, 3), image(), None, lambda seen: seen).absent


def test_torch_multihead_attention_is_read_too():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.cut = nn.Conv2d(3, 8, 8, 8)
            self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

        def forward(self, images):
            return self.layers(self.cut(images).flatten(2).transpose(1, 2)).mean(dim=1)

    model = Small().eval().requires_grad_(False)
    before = model(image())
    assert all_layers(model, image()).shape == (2, 2, 16, 16)
    assert torch.allclose(model(image()), before, atol=1e-6)


def test_a_pooling_head_with_one_query_is_left_out_and_counted():
    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.MultiheadAttention(8, 2, batch_first=True)
            self.pool = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, images):
            tokens = images.reshape(1, -1, 8)[:, :16]
            tokens = self.layer(tokens, tokens, tokens, need_weights=False)[0]
            return self.pool(tokens[:, :1], tokens, tokens)[0]

    read = read_attention(Pooled().eval(), image(), None, lambda weights: weights.shape)
    assert (read.layers, read.left_out, read.absent) == ([(2, 16, 16)], 1, None)


def test_distances_between_places_are_those_of_a_ruler():
    distances = grid_distances(2, 3)
    assert distances.shape == (6, 6)
    assert distances[0].tolist() == pytest.approx([0, 1, 2, 1, math.sqrt(2), math.sqrt(5)])


def test_a_head_that_looks_at_itself_looks_no_distance():
    distances = grid_distances(4, 4) * 8
    assert mean_distances_px(np.eye(16, dtype=np.float32)[None], distances).tolist() == [0.0]


def test_a_head_that_looks_one_to_the_right_looks_one_stride():
    """Three of the four places of each row have a right neighbour; the last looks at itself."""
    attention = np.zeros((1, 16, 16), dtype=np.float32)
    for place in range(16):
        attention[0, place, place if place % 4 == 3 else place + 1] = 1.0
    assert mean_distances_px(attention, grid_distances(4, 4) * 8).tolist() == [pytest.approx(8 * 3 / 4)]


def test_attention_spread_evenly_gives_the_mean_of_all_pairs():
    places = list(itertools.product(range(3), range(3)))
    expected = 16 * sum(math.dist(a, b) for a in places for b in places) / 81
    distances = grid_distances(3, 3) * 16
    assert uniform_distance_px(distances) == pytest.approx(expected)
    uniform = np.full((2, 9, 9), 1 / 9, dtype=np.float32)
    assert mean_distances_px(uniform, distances) == pytest.approx([expected, expected])


def test_two_patches_have_a_closed_form():
    """16 px apart: a quarter of the weight each on 0, 16, 16 and 0 px."""
    assert uniform_distance_px(grid_distances(1, 2) * 16) == 8.0


def test_prefix_tokens_are_left_out_and_the_rest_scaled_to_one():
    """Half of each row goes to the class token; what is left is spread evenly over two patches."""
    attention = np.full((1, 3, 3), 0.25, dtype=np.float32)
    attention[..., 0] = 0.5
    assert mean_distances_px(attention, grid_distances(1, 2) * 16).tolist() == [pytest.approx(8.0)]


def random_attention(layers=3, heads=2, n=5, seed=0):
    raw = np.random.default_rng(seed).random((layers, heads, n, n)) ** 4
    return (raw / raw.sum(axis=-1, keepdims=True)).astype(np.float32)


def rolled(attention, query):
    return roll_out([head_queries(layer, query) for layer in attention], query)


def independent(attention, last_heads=None):
    """Abnar and Zuidema's attention rollout with plain loops: the whole matrix after the last layer.

    last_heads: of the last layer; all by default.
    """
    layers, heads, n, _ = attention.shape
    result = np.eye(n)
    for layer in range(layers):
        used = range(heads) if last_heads is None or layer < layers - 1 else last_heads
        mixed = np.zeros((n, n))
        for i in range(n):
            for j in range(n):
                mean = sum(float(attention[layer, h, i, j]) for h in used) / len(used)
                mixed[i, j] = 0.5 * mean + (0.5 if i == j else 0.0)
        for i in range(n):
            mixed[i] /= sum(mixed[i])
        result = np.array([[sum(mixed[i, k] * result[k, j] for k in range(n)) for j in range(n)] for i in range(n)])
    return result


def test_rollout_equals_an_independent_computation_at_every_layer_and_head():
    attention = random_attention()
    found = rolled(attention, query_weights(5, 1, True))
    for layer in range(3):
        assert np.allclose(found.by_layer[layer], independent(attention[: layer + 1])[0], atol=1e-6)
        for head in range(2):
            expected = independent(attention[: layer + 1], last_heads=[head])[0]
            assert np.allclose(found.by_head[layer, head], expected, atol=1e-6)


def test_rollout_of_a_real_vit_equals_the_independent_computation():
    model = build_model("vit_32px_s", seed=1).eval()
    images = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    attention = np.array(read_attention(model, images, 17, lambda weights: weights).layers)
    found = rolled(attention, query_weights(17, 1, True))
    assert np.allclose(found.by_layer[-1], independent(attention)[0], atol=1e-6)


def test_without_a_class_token_the_query_is_the_mean_of_the_patches():
    attention = random_attention()
    found = rolled(attention, query_weights(5, 0, False))
    assert np.allclose(found.by_layer[-1], independent(attention).mean(axis=0), atol=1e-6)


def test_registers_are_not_asked():
    assert query_weights(6, 2, False).tolist() == pytest.approx([0, 0, 0.25, 0.25, 0.25, 0.25])
    assert query_weights(6, 2, True).tolist() == [1, 0, 0, 0, 0, 0]


def test_the_mean_over_heads_is_the_layer():
    found = rolled(random_attention(heads=4), query_weights(5, 1, True))
    assert np.allclose(found.by_head.mean(axis=1), found.by_layer, atol=1e-6)
    assert np.allclose(found.by_layer.sum(axis=-1), 1.0)


def test_a_head_that_looks_at_one_token_takes_half_from_it():
    """One layer, all attention on token 3: 0.5 x 1 there, the shortcut's 0.5 on the class token itself."""
    attention = np.zeros((1, 1, 5, 5), dtype=np.float32)
    attention[..., 3] = 1.0
    assert rolled(attention, query_weights(5, 1, True)).by_layer[0].tolist() == [0.5, 0, 0, 0.5, 0]
