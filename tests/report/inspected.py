"""Inspections made of formulas, for the tests of pages."""

import numpy as np

from bench.store.inspections import Facts, Inspection, Picture, PositionStructure, Tokens, Weights

ROWS = COLUMNS = 3
SIDE, LAYERS, HEADS = 24, 2, 2


def vit(number=1, *, title="ViT S", picture="china", weights=None, model="vit_32px_s", first_px=4.0, **changes):
    """A ViT of 2 layers and 2 heads on 3 x 3 patches of 8 px; a head looks first_px, 1 px farther by head and layer."""
    places = np.arange(ROWS * COLUMNS, dtype=np.float32).reshape(ROWS, COLUMNS)
    heads = np.stack([np.stack([places + layer + head for head in range(HEADS)]) for layer in range(LAYERS)])
    facts = {
        "inspection_id": f"{number:016x}",
        "model": model,
        "title": title,
        "family": "vit",
        "weights": weights or Weights(kind="random", seed=0),
        "picture": Picture(name=picture, sha256="0" * 16),
        "resolution_px": SIDE,
        "tokens": Tokens(kind="patches", rows=ROWS, columns=COLUMNS, stride_px=8, prefix=("class",)),
        "layers": LAYERS,
        "heads": HEADS,
        "query": "class token",
        "attention_distance_px": tuple(
            tuple(first_px + layer + head for head in range(HEADS)) for layer in range(LAYERS)
        ),
        "uniform_distance_px": 6.0,
        "positions": PositionStructure(
            rank_correlation=0.5,
            rank_correlation_1d=0.25,
            same_row=0.3,
            same_column=0.2,
            elsewhere=0.1,
            is_learned=False,
        ),
        "filters": "principal components",
        "filters_share": (0.75, 0.25),
        "target": 1,
        "absent": {"grad_cam": "Grad-CAM reads the last feature map of a CNN, and this is none."},
        "conditions": {"torch": "2.15.0", "device": "cpu"},
    }
    arrays = {
        "image": np.arange(SIDE * SIDE * 3, dtype=np.uint32).reshape(SIDE, SIDE, 3).astype(np.uint8),
        "filters": np.linspace(-1, 1, 2 * 8 * 8 * 3, dtype=np.float32).reshape(2, 8, 8, 3),
        "position_similarity": np.eye(9, dtype=np.float32).reshape(3, 3, 3, 3),
        "rollout": heads.mean(axis=1),
        "rollout_heads": heads,
        "gradient": np.linspace(0, 1, SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE),
    }
    return Inspection(Facts(**(facts | changes)), arrays)


def cnn(number=2, *, title="ResNet S", picture="china", weights=None, model="resnet_32px_s"):
    """A CNN on the same image."""
    first = vit(number, title=title, picture=picture, weights=weights, model=model)
    dropped = {"tokens", "layers", "heads", "query", "attention_distance_px", "uniform_distance_px", "positions"}
    facts = {name: value for name, value in dict(first.facts).items() if name not in dropped}
    facts |= {
        "family": "cnn",
        "filters": "first convolution",
        "filters_share": None,
        "grad_cam_layer": "layer2",
        "absent": {
            "patches": "A CNN does not turn its image into a sequence of patches.",
            "attention": "A CNN has no attention.",
            "positions": "A CNN has no position embedding.",
        },
    }
    arrays = {name: first.arrays[name] for name in ("image", "filters", "gradient")}
    return Inspection(Facts(**facts), arrays | {"grad_cam": np.ones((4, 4), dtype=np.float32)})
