"""What an optimiser remembers, as named tensors that a checkpoint can hold and another process can take up."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import Parameter

# The tensors that torch's optimisers make at their first step, with the shape of the parameter; `step` counts.
_SHAPED: dict[type[torch.optim.Optimizer], tuple[str, ...]] = {
    torch.optim.SGD: ("momentum_buffer",),
    torch.optim.AdamW: ("exp_avg", "exp_avg_sq"),
}
_COUNTED: dict[type[torch.optim.Optimizer], tuple[str, ...]] = {torch.optim.SGD: (), torch.optim.AdamW: ("step",)}


def zero_state(optimiser: torch.optim.Optimizer) -> None:
    """Make the optimiser's tensors now, all zero, so that memory does not grow at the first step."""
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            state = optimiser.state[parameter]
            for slot in _SHAPED[type(optimiser)]:
                state[slot] = torch.zeros_like(parameter)  # laid out as the parameter is
            for slot in _COUNTED[type(optimiser)]:
                is_on_device = bool(group.get("fused") or group.get("capturable"))
                device = parameter.device if is_on_device else torch.device("cpu")
                state[slot] = torch.zeros((), dtype=torch.float32, device=device)


def state_tensors(optimiser: torch.optim.Optimizer, parameters: Mapping[str, Parameter]) -> dict[str, Tensor]:
    """`slot name` -> tensor, for every parameter. The tensors are the optimiser's own, not copies."""
    slots = (*_SHAPED[type(optimiser)], *_COUNTED[type(optimiser)])
    return {f"{slot} {name}": optimiser.state[p][slot] for slot in slots for name, p in parameters.items()}


def restore_state(
    optimiser: torch.optim.Optimizer, parameters: Mapping[str, Parameter], saved: Mapping[str, Tensor]
) -> None:
    """Copy saved tensors into those of `zero_state`. Raises KeyError for one that is missing."""
    for name, tensor in state_tensors(optimiser, parameters).items():
        tensor.copy_(saved[name])
