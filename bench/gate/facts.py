"""What one forward pass of a model holds, counted with the code of the side's own tree.

worker.py loads this file by its path, with any revision: beside torch it imports what a tree has had for long, and
nothing of bench.gate.

`params`, `macs` and `activations` are of one image; `graph breaks` of torch.compile; and for each operator that does
work, `aten.bmm` for example, there are its calls in one forward pass of the batch, counted on the meta device unless
the model's code asks for numbers.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

Found = TypeVar("Found")

OPERATORS = "operators"  # the name under which all calls are absent together
GRAPH_BREAKS = "graph breaks"
META_ERRORS = (RuntimeError, NotImplementedError)  # what torch raises where shapes are not enough; the text says "meta"
# Kept whole: on the meta device torch would take them apart, as it does not on a device that computes.
_WHOLE = frozenset({"aten.scaled_dot_product_attention", "aten.lstm", "aten.gru"})
# They hand memory on under another shape or name, or ask for some. For most views the schema says so; these are others.
_NO_WORK = frozenset({"aten._unsafe_view", "aten.lift_fresh", "aten.empty", "aten.empty_like", "aten.empty_strided",
                      "aten.new_empty", "aten.new_empty_strided", "prim.device"})  # fmt: skip


class OperatorCalls(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count calls of operators that do work, composite ones taken apart into those that they consist of."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = str(func.overloadpacket)
        if name not in _WHOLE:
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        if not func.is_view and torch.Tag.inplace_view not in func.tags and name not in _NO_WORK:
            self.calls[name] += 1
        return func(*args, **kwargs)


def count_workload(workload: dict[str, Any], *, graph_breaks: bool) -> dict[str, Any]:
    """What one workload holds; whatever goes wrong is a line in it.

    workload: as bench.gate.result.Workload. Returns {"error": "one line"}, or {"counts": {...}, "absent": {count that
    could not be had: why}, "break_reasons": [...], "device": where calls were counted, "meta" or "cpu"}.
    """
    try:
        network = _Network(workload)
    except Exception as error:  # the tree's code, of any age, and the user's
        return {"error": one_line(error)}
    counts: dict[str, int] = {"params": sum(weights.numel() for weights in network.shapes.parameters())}
    absent: dict[str, str] = {}
    reasons: list[str] = []

    def attempt(names: tuple[str, ...], count: Callable[[], None]) -> None:
        try:
            count()
        except Exception as error:  # a model, or a torch, that this count cannot follow
            absent.update(dict.fromkeys(names, one_line(error)))

    def add_breaks() -> None:
        counts[GRAPH_BREAKS], found = network.on_meta_or_cpu(_graph_breaks)
        reasons.extend(found)

    attempt(("macs", "activations"), lambda: counts.update(network.complexity(absent)))
    attempt((OPERATORS,), lambda: counts.update(network.on_meta_or_cpu(_operator_calls)))
    device = network.device
    if graph_breaks:
        attempt((GRAPH_BREAKS,), add_breaks)
    return {"counts": counts, "absent": absent, "break_reasons": reasons, "device": device}


def one_line(error: BaseException) -> str:
    """`RuntimeError: the first line of its message`."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300] if lines else 'no message'}"


class _Network:
    """A workload's model: as shapes alone, or with numbers where its code asks for one.

    device: where the last look was had, `meta` or `cpu`.
    """

    def __init__(self, workload: dict[str, Any]) -> None:
        from bench.suite.cell import Settings

        self._workload = workload
        self._folds = getattr(Settings(**workload["settings"]), "fold", False)  # an older tree refuses unknown settings
        self.device = "meta"
        self.shapes = self._build("meta")
        self.resolution_px = self._resolution()

    def _resolution(self) -> int:
        from bench.measure.build import native_resolution

        return self._workload["resolution_px"] or native_resolution(self._workload["model"])

    def _build(self, device: str) -> nn.Module:
        """The model on `meta` or `cpu`, in evaluation mode, folded if it is to be."""
        from bench.measure.build import build_model

        name, shape = self._workload["model"], {key: self._workload[key] for key in ("num_classes", "resolution_px")}
        if self._folds:
            from bench.measure.folding import fold

            model = build_model(name, device="cpu", seed=0, **shape).eval()
            fold(model, self._resolution())
            return model.to(device).requires_grad_(False)
        try:
            seed = 0 if device == "cpu" else None
            return build_model(name, device=device, seed=seed, **shape).eval().requires_grad_(False)
        except META_ERRORS as error:
            if device != "meta" or "meta" not in str(error):
                raise
        return self._build("cpu").to("meta")  # its constructor asks for a number, such as a rate out of linspace

    def complexity(self, absent: dict[str, str]) -> dict[str, int]:
        """`macs`, and `activations` unless they are in `absent` then."""
        from bench.errors import CellFailedError
        from bench.measure.complexity import measure_complexity

        try:
            found = measure_complexity(self.shapes, self.resolution_px)
        except CellFailedError as error:
            if "meta" not in str(error):
                raise
            found = measure_complexity(self._build("cpu"), self.resolution_px)  # its code asks for numbers
        if found.activations is None:
            absent["activations"] = found.certificate_note
            return {"macs": found.macs}
        return {"macs": found.macs, "activations": found.activations}

    def on_meta_or_cpu(self, look: Callable[[nn.Module, Tensor], Found]) -> Found:
        """What `look` finds in the model under its settings and a batch of images that fits it."""
        self.device = "meta"
        try:
            return look(*self._under_settings(self.shapes, self._workload["batch_size"]))
        except META_ERRORS as error:
            if "meta" not in str(error):
                raise
        # "Tensor.item() cannot be called on meta tensors": the code branches on a number. One image, for its time.
        self.device = "cpu"
        return look(*self._under_settings(self._build("cpu"), 1))

    def _under_settings(self, model: nn.Module, batch_size: int) -> tuple[nn.Module, Tensor]:
        settings = self._workload["settings"]
        dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(settings.get("precision", "fp32"), torch.float32)
        is_last = settings.get("memory_format") == "channels_last"
        layout = torch.channels_last if is_last else torch.contiguous_format
        channels = getattr(model, "in_chans", 3)
        size = (batch_size, channels if isinstance(channels, int) else 3, self.resolution_px, self.resolution_px)
        seeded = torch.Generator().manual_seed(0) if self.device == "cpu" else None  # both sides take the same branches
        images = torch.rand(size, dtype=dtype, device=self.device, generator=seeded).contiguous(memory_format=layout)
        return model.to(dtype=dtype).to(memory_format=layout), images


def _operator_calls(model: nn.Module, images: Tensor) -> Counter[str]:
    # Inference mode shows composite operators as they were called; elsewhere torch takes them apart on its own.
    counter = OperatorCalls()
    with torch.inference_mode(), counter:
        model(images)
    return counter.calls


def _graph_breaks(model: nn.Module, images: Tensor) -> tuple[int, list[str]]:
    """How often torch.compile leaves a graph, and why: breaks, and functions that it gives up whole.

    A break inside a loop or a `with` is of the second kind: no graph ends there, because none was made.
    """
    import torch._dynamo
    from torch._dynamo.utils import counters

    reasons: list[str] = []

    def take(graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable[..., Any]:
        why = graph.compile_subgraph_reason
        if why is not None and why.graph_break:  # type: ignore[union-attr]
            stack: Any = why.user_stack  # type: ignore[union-attr]
            place = f" ({os.path.basename(stack[-1].filename)}:{stack[-1].lineno})" if stack else ""
            reasons.append(_first_line(str(why.reason)) + place)  # type: ignore[union-attr]
        return graph.forward

    torch._dynamo.reset()
    counters.clear()
    with torch.inference_mode():
        torch.compile(model, backend=take, dynamic=False)(images)
    frames = counters["frames"]
    if not frames["total"]:
        raise RuntimeError("torch.compile looked at no function of the model")
    given_up = frames["total"] - frames["ok"]
    breaks = max(len(reasons), sum(counters["graph_break"].values()))  # each misses some that the other has
    if given_up or len(reasons) < breaks:
        reasons += [_first_line(str(key)) for name in ("graph_break", "unimplemented") for key in counters[name]]
    return breaks + given_up, list(dict.fromkeys(reasons))


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "no reason given"
