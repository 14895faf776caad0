import pytest
import timm
import torch
from torch import nn

from bench.inspect.attention import read_attention
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
