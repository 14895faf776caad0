"""Weights: public ones from the hub or its cache, a user's own safetensors file, or random ones.

Making the network is bench.measure.build's work; which tensor of a file is which of the network is matching's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from timm.data.config import resolve_data_config
from timm.models import get_pretrained_cfg
from torch import Tensor, nn

from bench.catalog.models import find_model
from bench.errors import CellFailedError, RequestError
from bench.measure.build import build_blank, build_model, own_classes, timm_name_of
from bench.measure.matching import fill, resized, unwrapped
from bench.measure.weight_files import (
    ID_DIGITS,
    StoredWeights,
    checked_digest,
    given_file,
    public_file,
    read_weights,
    shortened,
)
from bench.suite.model_source import is_user_model

_FILE_ID = re.compile(rf"sha256 [0-9a-f]{{{ID_DIGITS}}}")
# What timm and torch raise for tensors that do not fit.
_MISFITS = (CellFailedError, RuntimeError, KeyError, AttributeError, TypeError, ValueError)


@dataclass(frozen=True)
class LoadedModel:
    """A network with its weights, in evaluation state on the CPU, and what is known of them.

    sha256: first 16 hexadecimal digits of the SHA-256 of the weights' file; None for random weights.
    config: timm's data configuration (input_size, interpolation, mean, std, crop_pct, crop_mode) for the resolution.
    has_own_head: whether the classifier came with the weights; otherwise its last layer is zero, or random with
    random weights. class_names: of the head's outputs, where the file says them. notes: what must be said of how the
    file was read.
    """

    model: nn.Module
    sha256: str | None
    config: dict[str, Any]
    has_own_head: bool = True
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


def load_weights(
    model_name: str,
    weights: str,
    *,
    num_classes: int | None,
    resolution_px: int,
    file: Path | None = None,
    download: bool = False,
    seed: int = 0,
) -> LoadedModel:
    """The named network with the weights asked for.

    weights: `public`, those of the timm tag; `sha256 <16 digits>`, those of `file`; `random`, drawn from `seed`.
    num_classes: None keeps the head that comes with the weights; any other number than that head's gives one whose
    last layer is zero. download: whether absent public weights may be fetched from the hub.

    Raises UnsupportedError for weights that are not here or exist nowhere, CellFailedError for a file that is broken
    or does not fit the network, RequestError, UnknownNameError and ResolutionError.
    """
    if weights == "random":
        model = build_model(model_name, num_classes=num_classes, resolution_px=resolution_px, seed=seed)
        return LoadedModel(model.eval(), None, data_config(model_name, model, resolution_px), has_own_head=False)
    if weights == "public":
        path = public_file(model_name, download=download)
        digest = checked_digest(path)
    elif _FILE_ID.fullmatch(weights):
        path = given_file(weights, file)
        digest = weights.removeprefix("sha256 ")
    else:
        raise RequestError(f"Unknown weights {weights!r}. Write public, random or `sha256 <{ID_DIGITS} digits>`.")
    stored = read_weights(path)
    try:
        if is_user_model(model_name):
            model, has_own_head, notes = _user_model(model_name, stored, num_classes, resolution_px, seed)
        else:
            is_public = weights == "public"
            model, has_own_head, notes = _timm_model(
                model_name, stored, num_classes, resolution_px, seed, is_public=is_public
            )
    except _MISFITS as error:
        raise CellFailedError(_misfit(model_name, path, error)) from error
    config = data_config(model_name, model, resolution_px)
    names = stored.class_names if has_own_head else None
    return LoadedModel(model.eval(), digest, config, has_own_head, names, notes)


def data_config(model_name: str, model: nn.Module, resolution_px: int) -> dict[str, Any]:
    """How images are prepared for these weights, in timm's words, with `input_size` (3, resolution, resolution).

    Where timm knows a larger size for testing and it is this one, the crop that belongs to it is taken. The catalog's
    small models are trained here, on whole images in [-1, 1].
    """
    published: Mapping[str, Any] = getattr(model, "pretrained_cfg", None) or {}
    tested_px = (published.get("test_input_size") or (0,))[-1]
    is_own_size = (published.get("input_size") or (0,))[-1] == resolution_px
    asked: dict[str, Any] = {"input_size": (3, resolution_px, resolution_px)}
    row = find_model(model_name)
    if row is not None and row.arguments:
        asked |= {"mean": (0.5,) * 3, "std": (0.5,) * 3, "crop_pct": 1.0, "crop_mode": "center"}
    config: dict[str, Any] = resolve_data_config(  # type: ignore[no-untyped-call]
        asked, pretrained_cfg=published, use_test_size=tested_px == resolution_px and not is_own_size
    )
    return config


_Filled = tuple[nn.Module, bool, tuple[str, ...]]  # a filled network, whether its head is the file's, notes


def _timm_model(
    name: str, stored: StoredWeights, num_classes: int | None, resolution_px: int, seed: int, *, is_public: bool
) -> _Filled:
    heads = _timm_heads(name)
    tensors, notes = stored.tensors, []
    if not is_public:  # timm's own files hold what its translations expect
        outline = build_model(name, resolution_px=resolution_px, device="meta").state_dict()
        found = unwrapped(tensors, [one for one in outline if not one.startswith(heads)])
        tensors, notes = found.tensors, [*found.notes]
    classifier = tensors.get(f"{heads[0]}weight") if heads else None
    in_file = len(classifier) if classifier is not None else 0
    blank = build_blank(name, num_classes=in_file, resolution_px=resolution_px)
    translated = blank.translate(dict(tensors))
    if not is_public:
        notes += resized(tensors, translated)
    notes += fill(blank.model, translated, is_strict=blank.is_strict or not is_public)
    wanted = num_classes if num_classes is not None else in_file or own_classes(name)
    if wanted != in_file:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # a head may have layers before its last one, and those do not start at zero
            blank.model.reset_classifier(wanted)  # type: ignore[operator]
        zero_head(blank.model, wanted or 0)
    return blank.model, wanted == in_file, tuple(notes)


def _timm_heads(name: str) -> tuple[str, ...]:
    """How the names of the tensors of a timm model's classifier begin; several where heads stand side by side."""
    config = get_pretrained_cfg(timm_name_of(name))
    layers = config.classifier if config is not None else None
    return tuple(f"{layer}." for layer in ([layers] if isinstance(layers, str) else layers or ()))


def _user_model(name: str, stored: StoredWeights, num_classes: int | None, resolution_px: int, seed: int) -> _Filled:
    """A head that the file does not hold, or holds for other classes, stays new if the model says which layer it is."""
    model = build_model(name, num_classes=num_classes, resolution_px=resolution_px, seed=seed)
    own = model.state_dict()
    heads = _own_heads(model)
    found = unwrapped(stored.tensors, [one for one in own if not one.startswith(heads)])
    in_file = {one: tensor for one, tensor in found.tensors.items() if one.startswith(heads)}
    in_model = {one: tensor for one, tensor in own.items() if one.startswith(heads)}
    has_own_head = _shapes(in_file) == _shapes(in_model)
    tensors = found.tensors
    if not has_own_head:
        tensors = {one: tensor for one, tensor in tensors.items() if one not in in_file} | in_model
        zero_head(model, num_classes or 0)
    return model, has_own_head, (*found.notes, *fill(model, tensors))


def _own_heads(model: nn.Module) -> tuple[str, ...]:
    """How the names of the classifier's tensors begin, as far as the model says what its classifier is."""
    parts = _classifier(model)
    return tuple(f"{name}." for name, module in model.named_modules() if name and any(module is one for one in parts))


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def _classifier(model: nn.Module) -> Sequence[nn.Module]:
    get = getattr(model, "get_classifier", None)
    head = get() if callable(get) else ()
    return head if isinstance(head, list | tuple) else (head,)


def zero_head(model: nn.Module, num_classes: int) -> bool:
    """Set weights and biases of the classifier's last layer to zero; whether the model says which layer this is.

    That is every linear or convolutional layer of the classifier that gives one score a class: several where heads
    stand side by side. What comes before it in the classifier (a norm, a hidden layer) is left as it is: with zeros
    there as well, no gradient but that of the last bias would ever be other than zero.
    """
    layers = [layer for part in _classifier(model) for layer in part.modules()]
    last = [layer for layer in layers if _outputs(layer) == num_classes]
    for layer in last:
        for parameter in layer.parameters(recurse=False):
            nn.init.zeros_(parameter)
    return bool(last)


def _outputs(layer: nn.Module) -> int | None:
    if isinstance(layer, nn.Linear):
        return layer.out_features
    return layer.out_channels if isinstance(layer, nn.Conv2d) else None


def _misfit(name: str, path: Path, error: Exception) -> str:
    """One line: what bench.measure.matching says of the file, or the first two entries of torch's list."""
    if isinstance(error, CellFailedError):
        return f"Weights '{path}' do not fit model '{name}': they {error}"
    entries = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(entries) > 1 and entries[0].startswith("Error(s) in loading"):
        entries = entries[1:]
    shown = " ".join(shortened(entry) for entry in entries[:2]) or type(error).__name__
    rest = f" And {len(entries) - 2} more." if len(entries) > 2 else ""
    return f"Weights '{path}' do not fit model '{name}': {shown}{rest} They may be another model's."
