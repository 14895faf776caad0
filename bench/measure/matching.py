"""Which tensors of a user's file are which of a network.

A network is filled whole or not at all: every tensor that it has comes from the file, at its own shape, and what the
file holds besides is named. What is refused is refused with the names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from timm.models import clean_state_dict
from torch import Tensor, nn

from bench.errors import CellFailedError
from bench.number_format import counted

NAMED = 3  # tensors in a message, and how many more there are
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_COUNTER = "num_batches_tracked"  # of a BatchNorm; no result depends on it, and old files do not have it
_POSITIONS = ("pos_", "rel_pos", "position", "rope")  # words in the names of what timm may stretch to another grid


@dataclass(frozen=True)
class Unwrapped:
    """The tensors of one copy of a network under its own names, and what must be said of where they were."""

    tensors: dict[str, Tensor]
    notes: tuple[str, ...]


def unwrapped(tensors: Mapping[str, Tensor], wanted: Collection[str]) -> Unwrapped:
    """The file's tensors without the prefix that a wrapper gave them: `module.`, `_orig_mod.`, `model.`, or any other.

    wanted: names of the network's tensors, those of its head left out. The prefix is the one under which most of them
    are found. Raises CellFailedError for a file that holds two copies of the network, such as a running mean beside it.
    """
    copies = _copies(tensors, wanted)
    if len(copies) > 1:
        raise CellFailedError(
            f"hold {len(copies)} copies of the model, under {_listed(_quoted(copies))}. Save the one that is meant in "
            "a file of its own."
        )
    if not copies:  # another's names for the same layers, perhaps, which timm may know
        return Unwrapped(clean_state_dict(dict(tensors)), ())
    prefix = copies[0]
    inside = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    beside = [name for name in tensors if not name.startswith(prefix)]
    notes = [f"Of the file's tensors those under '{prefix}' were taken."] if prefix else []
    if beside:
        notes.append(f"Not used of the file: {counted(len(beside), 'tensor')} ({_listed(beside)}).")
    return Unwrapped(inside, tuple(notes))


def _copies(names: Iterable[str], wanted: Collection[str]) -> list[str]:
    """Prefixes under which more than half of the wanted names are found, each name of the file counted for one."""
    left, copies = set(names), list[str]()
    while True:
        counts = Counter(
            name[: len(name) - len(end)] for name in left for end in _ends(name) if end in wanted
        )  # prefix -> how many names it explains
        if not counts:
            return copies
        prefix = min(counts, key=lambda one: (-counts[one], len(one), one))
        if counts[prefix] * 2 <= len(wanted):
            return copies
        copies.append(prefix)
        left -= {prefix + name for name in wanted}


def _ends(name: str) -> Iterable[str]:
    """The name, and what is left of it after each dot."""
    yield name
    while "." in name:
        name = name.partition(".")[2]
        yield name


def resized(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> list[str]:
    """What to say of a translation of a file's tensors that changed sizes or left tensors out.

    before, after: the same tensors under the file's names and the network's. Raises CellFailedError where another
    tensor than a position embedding was stretched: that is another network.
    """
    changed = [name for name, one in after.items() if name in before and before[name].numel() != one.numel()]
    other = [name for name in changed if not any(word in name for word in _POSITIONS)]
    if other:
        raise CellFailedError(f"have other sizes: {_listed(_sizes(other, before, after))}.")
    notes = []
    if changed:
        sizes = _listed(_sizes(changed, before, after))
        notes.append(f"Position embeddings were interpolated to the size of these images: {sizes}.")
    kept, known = _addresses(after.values()), _addresses(before.values())
    lost = [name for name, one in before.items() if name not in after and one.data_ptr() not in kept]
    made = [name for name, one in after.items() if name not in before and one.data_ptr() not in known]
    if sum(before[name].numel() for name in lost) != sum(after[name].numel() for name in made):
        notes.append(f"Not used of the file: {counted(len(lost), 'tensor')} ({_listed(lost)}).")
    return notes


def _sizes(names: Iterable[str], before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> list[str]:
    return [f"{name} {list(before[name].shape)} for {list(after[name].shape)}" for name in names]


def _addresses(tensors: Iterable[Tensor]) -> set[int]:
    return {tensor.data_ptr() for tensor in tensors}


def fill(model: nn.Module, tensors: Mapping[str, Tensor], *, is_strict: bool = True) -> list[str]:
    """Put the tensors into the model; what must be said of them.

    is_strict: refuse names that only one side has; otherwise they are said.

    Raises CellFailedError with the names for tensors that are missing or left over, hold numbers of another kind, are
    not finite, of another size, or differ where the model has one tensor.
    """
    own = model.state_dict()
    namesakes = _namesakes(own)
    for name in own:
        for twin in namesakes.get(name, ()):
            if name in tensors and twin in tensors and not torch.equal(tensors[name], tensors[twin]):
                raise CellFailedError(f"hold two tensors, {name} and {twin}, where the model has one.")
    _require_numbers({name: tensor for name, tensor in tensors.items() if name in own}, own)
    try:
        found = model.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        sizes = _sizes(
            [name for name in own if name in tensors and own[name].shape != tensors[name].shape], tensors, own
        )
        raise CellFailedError(f"have other sizes: {_listed(sizes)}.") from error
    missing = [
        name
        for name in found.missing_keys
        if not name.endswith(_COUNTER) and not any(twin in tensors for twin in namesakes.get(name, ()))
    ]
    problems = [
        f"{what} ({_listed(names)})"
        for what, names in (
            (f"lack {len(missing)} of the model's {len(own)} tensors", missing),
            (f"hold {counted(len(found.unexpected_keys), 'tensor')} that it has not", found.unexpected_keys),
        )
        if names
    ]
    if problems and is_strict:
        raise CellFailedError(f"{', and '.join(problems)}.")
    notes = [f"The weights {', and '.join(problems)}. timm loads them so."] if problems else []
    pairs = {(tensors[name].dtype, own[name].dtype) for name in own if name in tensors}
    kinds = [(stored, used) for stored, used in pairs if used.is_floating_point and stored != used]
    told = [f"The file's {_kind(stored)} numbers were converted to {_kind(used)}." for stored, used in kinds]
    return notes + sorted(told)


def _kind(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _namesakes(own: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """For each name of a tensor that has several, the others."""
    places: dict[tuple[object, ...], list[str]] = {}
    for name, tensor in own.items():
        if isinstance(tensor, Tensor) and not nn.parameter.is_lazy(tensor) and tensor.numel():
            places.setdefault((tensor.data_ptr(), tensor.shape, tensor.stride()), []).append(name)
    return {name: [other for other in names if other != name] for names in places.values() for name in names}


def _require_numbers(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Raises CellFailedError for tensors that the model cannot compute with as they are."""
    strange = [
        f"{name} ({_kind(tensor.dtype)})"
        for name, tensor in tensors.items()
        if not _is_number_for(tensor, own[name], name)
    ]
    if strange:
        raise CellFailedError(f"hold {counted(len(strange), 'tensor')} of another kind of number: {_listed(strange)}.")
    broken = [name for name, tensor in tensors.items() if _is_broken(tensor, own[name])]
    if broken:
        raise CellFailedError(f"hold NaN or infinity in {counted(len(broken), 'tensor')}: {_listed(broken)}.")


def _is_broken(tensor: Tensor, own: Tensor) -> bool:
    """Whether the tensor holds a NaN or an infinity where a new model has none (a mask, for one, has some)."""
    return tensor.shape == own.shape and not bool((tensor.isfinite() | ~own.isfinite()).all())


def _is_number_for(tensor: Tensor, own: Tensor, name: str) -> bool:
    if own.is_floating_point():
        return tensor.dtype in FLOATS
    if tensor.is_floating_point() and not name.endswith(_COUNTER):  # an index, say, of a network that was halved whole
        return tensor.shape == own.shape and torch.equal(tensor.to(own.dtype), own)
    return True


def _quoted(prefixes: Sequence[str]) -> list[str]:
    return [f"'{prefix}'" if prefix else "no prefix" for prefix in prefixes]


def _listed(names: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    shown = ", ".join(names[:NAMED])
    return f"{shown} and {len(names) - NAMED} more" if len(names) > NAMED else shown
