"""One model looks at one image: every part that it has, and for the others the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.inspect import attention, embedding, gradients
from bench.inspect.attention import HeadQueries
from bench.inspect.subjects import Opened, Subject, framed
from bench.measure.scoring.evaluate import preprocessing_values
from bench.store.inspections import IMAGE, Facts, Inspection, Tokens, inspection_id
from bench.suite.model_source import is_user_model

METHOD_VERSION = 1  # raised when a change to the code moves what is seen: old inspections then keep their own ids


@dataclass
class _Parts:
    """What has been found so far."""

    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class _Layer(NamedTuple):
    """What is kept of one layer's attention. distances_px: (H,)."""

    queries: HeadQueries
    distances_px: NDArray[np.float64]


def look(subject: Subject, opened: Opened, conditions: Mapping[str, Any]) -> Inspection:
    """What the model makes of the image. conditions: under which it was looked at, as records have them."""
    pixels = framed(opened.image, subject.loaded.config)
    images = _normalised(pixels, subject.loaded.config)
    parts = _Parts(arrays={IMAGE: pixels})
    _see_filters(subject, parts)
    tokens = _see_attention(subject, images, parts)
    _see_positions(subject, tokens, parts)
    _see_gradients(subject, images, parts)
    facts = Facts(
        inspection_id=inspection_id(_identity(subject, opened)),
        model=subject.model,
        title=subject.title,
        definition=subject.definition,
        family=subject.family,
        weights=subject.weights,
        picture=opened.picture,
        resolution_px=subject.resolution_px,
        tokens=tokens,
        preprocessing=preprocessing_values(subject.loaded.config),
        absent=parts.absent,
        notes=(*subject.loaded.notes, *parts.notes),
        conditions=dict(conditions),
        **parts.facts,
    )
    return Inspection(facts, parts.arrays)


def _identity(subject: Subject, opened: Opened) -> dict[str, Any]:
    """What determines an inspection; library versions are conditions, as they are for cells."""
    return {
        "method_version": METHOD_VERSION,
        "model": subject.model,
        "definition": subject.definition,
        "weights": subject.weights.sha256 or f"random {subject.weights.seed}",
        "picture": opened.picture.sha256,
        "resolution_px": subject.resolution_px,
        "noise": [gradients.NOISY_COPIES, gradients.NOISE_SHARE],
    }


def _normalised(pixels: NDArray[np.uint8], config: Mapping[str, Any]) -> Tensor:
    """(R, R, 3) uint8 to (1, 3, R, R) float32, scaled by the weights' mean and deviation."""
    mean, std = (torch.tensor(config[name], dtype=torch.float32).view(3, 1, 1) for name in ("mean", "std"))
    return ((torch.from_numpy(pixels).permute(2, 0, 1).float() / 255 - mean) / std)[None]


def _see_filters(subject: Subject, parts: _Parts) -> None:
    found = embedding.first_filters(subject.network)
    if isinstance(found, str):
        parts.absent["filters"] = found
        return
    parts.arrays["filters"] = found.images
    parts.facts |= {"filters": found.kind, "filters_share": found.share}


def _see_attention(subject: Subject, images: Tensor, parts: _Parts) -> Tokens | None:
    """Rollout and distances; returns how the image becomes a sequence, None where it does not."""
    if subject.family == "cnn":
        parts.absent |= {"patches": "A CNN does not turn its image into a sequence of patches.",
                         "attention": "A CNN has no attention."}  # fmt: skip
        return None
    known = embedding.tokens_of(subject.network, subject.resolution_px)
    tokens = known
    distances: NDArray[np.float64] | None = None
    query: NDArray[np.float64] | None = None

    def keep(weights: NDArray[np.float32]) -> _Layer | None:
        nonlocal tokens, distances, query
        if query is None:  # the first layer says how long the sequence is
            tokens = tokens or embedding.inferred_tokens(weights.shape[-1], subject.resolution_px)
            if tokens is None:
                return None
            distances = embedding.grid_distances(tokens.rows, tokens.columns) * tokens.stride_px
            query = attention.query_weights(embedding.length_of(tokens), len(tokens.prefix), "class" in tokens.prefix)
        if distances is None:
            return None
        return _Layer(attention.head_queries(weights, query), attention.mean_distances_px(weights, distances))

    read = attention.read_attention(
        subject.network, images, None if known is None else embedding.length_of(known), keep
    )
    layers = [layer for layer in read.layers if layer is not None]
    if read.absent is not None:  # what was inferred from some of the layers need not hold
        tokens = known
    if tokens is None:
        parts.absent["patches"] = "The model does not say how it cuts its image, and no attention shows it."
    if read.absent is not None or tokens is None or query is None or distances is None or not layers:
        parts.absent["attention"] = read.absent or "The tokens form no square grid, so that nothing can be drawn."
        return tokens
    _roll(layers, tokens, query, parts)
    parts.facts["uniform_distance_px"] = attention.uniform_distance_px(distances)
    if known is None:
        parts.notes.append(
            f"The layout of the {embedding.length_of(tokens)} tokens was inferred from their number: "
            f"{'one class token, then ' if tokens.prefix else ''}{tokens.rows} x {tokens.columns} patches row by row."
        )
    if read.left_out:
        parts.notes.append("The attention of the pooling head, which has one query, is not shown.")
    return tokens


def _roll(layers: list[_Layer], tokens: Tokens, query: NDArray[np.float64], parts: _Parts) -> None:
    rolled = attention.roll_out([layer.queries for layer in layers], query)
    n, grid = tokens.rows * tokens.columns, (tokens.rows, tokens.columns)
    heads = {len(layer.distances_px) for layer in layers}
    if len(heads) > 1:
        parts.absent["attention"] = "Its layers have different numbers of heads, which no grid of heads can show."
        return
    parts.arrays["rollout"] = rolled.by_layer[:, -n:].reshape(len(layers), *grid)
    parts.arrays["rollout_heads"] = rolled.by_head[:, :, -n:].reshape(len(layers), *heads, *grid)
    has_class_token = "class" in tokens.prefix
    parts.facts |= {
        "layers": len(layers),
        "heads": heads.pop(),
        "query": "class token" if has_class_token else "mean of all patch tokens",
        "attention_distance_px": tuple(tuple(map(float, layer.distances_px)) for layer in layers),
    }
    if not has_class_token:
        parts.notes.append("The model has no class token: the rollout is that of the mean of all patch tokens.")


def _see_positions(subject: Subject, tokens: Tokens | None, parts: _Parts) -> None:
    if tokens is None:
        parts.absent["positions"] = (
            "A CNN has no position embedding." if subject.family == "cnn" else "The grid of its tokens is not known."
        )
        return
    found = embedding.position_embedding(subject.network, tokens)
    if isinstance(found, str):
        parts.absent["positions"] = found
        return
    similarity = embedding.cosine_similarity(found)
    structure = embedding.position_structure(
        similarity, tokens.rows, tokens.columns, is_learned=subject.has_learned_positions
    )
    parts.arrays["position_similarity"] = similarity.reshape((tokens.rows, tokens.columns) * 2)
    if structure is not None:
        parts.facts["positions"] = structure


def _see_gradients(subject: Subject, images: Tensor, parts: _Parts) -> None:
    answer = gradients.first_class(subject.network, images)
    if not isinstance(answer, gradients.Answer):
        parts.absent |= {"gradient": answer, "grad_cam": answer}
        return
    parts.facts |= {
        "target": answer.target,
        "target_name": subject.class_name(answer.target),
        "target_probability": answer.probability,
    }
    parts.arrays["gradient"] = gradients.smooth_gradient(subject.network, images, answer.target)
    is_own_cnn = is_user_model(subject.model) and "rollout" not in parts.arrays
    if subject.family != "cnn" and not is_own_cnn:
        parts.absent["grad_cam"] = "Grad-CAM reads the last feature map of a CNN, and this is none."
        return
    cam = gradients.grad_cam(subject.network, images, answer.target)
    if isinstance(cam, str):
        parts.absent["grad_cam"] = cam
        return
    parts.arrays["grad_cam"] = cam.weights
    parts.facts["grad_cam_layer"] = cam.layer
