import numpy as np
import pytest
import torch

from bench.inspect.attention import head_queries, query_weights, read_attention, roll_out
from bench.measure.build import build_model


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
