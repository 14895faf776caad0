"""Whether a count of multiply-adds can be relied on: two counters and, for plain ViTs, a closed form must agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from timm.layers.attention import Attention
from timm.layers.mlp import Mlp
from timm.layers.patch_embed import PatchEmbed
from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn

from bench.measure.counting.counters import Counts, TracedCounts
from bench.units import GIGA

TOLERANCE = 0.001  # largest relative difference between the counters that is still called agreement

BY_NUMBERS = "counted with numbers on the CPU, as the model's code asks for them"


@dataclass(frozen=True)
class Found:
    """What the two counters found.

    problem: what kept one of them from it. with_numbers: whether numbers were needed. other_macs: of another image, if
    it costs more or less.
    """

    traced: TracedCounts | None
    by_torch: Counts | None
    problem: str
    with_numbers: bool = False
    other_macs: int | None = None

    @property
    def agree(self) -> bool:
        """Whether there are two counts, not further apart than TOLERANCE."""
        if self.traced is None or self.by_torch is None:
            return False
        ours, theirs = self.traced.macs, self.by_torch.macs
        return abs(ours - theirs) <= TOLERANCE * max(ours, theirs)

    @property
    def best(self) -> Counts | None:
        """fvcore's count if both agree, else the larger: what a counter does not see is missing from its count."""
        counts = [count for count in (self.traced, self.by_torch) if count is not None]
        return counts[0] if self.agree else max(counts, key=lambda count: count.macs, default=None)

    @property
    def uncounted(self) -> dict[str, int]:
        """Operators that nobody counted. What fvcore alone does not know held nothing, if both counts are the same."""
        ours, theirs = ({} if count is None else count.uncounted for count in (self.traced, self.by_torch))
        same = self.traced is not None and self.by_torch is not None and self.traced.macs == self.by_torch.macs
        return theirs if same else {**ours, **theirs}


def certify(found: Found, closed: int | None) -> tuple[Literal["ok", "differs", "failed"], str]:
    """Compare the counts that exist. With one counter alone nothing is certified, nor with a product left out."""
    traced, by_torch = found.traced, found.by_torch
    if by_torch is None:
        return "failed", f"{found.problem}; the count is fvcore's alone"
    notes = []
    if found.other_macs is not None:
        costs = f"{by_torch.macs / GIGA:.6g} and {found.other_macs / GIGA:.6g} G"
        notes.append(f"the count depends on the image: {costs} for two of them")
    if traced is None:
        notes.append(f"{found.problem}; the count is FlopCounterMode's alone")
    else:
        notes += [] if found.agree else _differences(traced.macs_by_operator, by_torch.macs_by_operator)
        if closed is not None and closed != traced.macs:
            notes.append(f"closed form of a plain ViT: {closed / GIGA:.6g} G, counted {traced.macs / GIGA:.6g} G")
    if by_torch.uncounted:
        notes.append(f"uncounted: {', '.join(by_torch.uncounted)}")
    elif found.uncounted:
        notes.append(f"fvcore sees no product in: {', '.join(found.uncounted)}")
    return ("differs", "; ".join(notes)) if notes else ("ok", BY_NUMBERS if found.with_numbers else "")


def _differences(fvcore: dict[str, int], by_torch: dict[str, int]) -> list[str]:
    """Which kind of operator the two counters disagree about."""
    notes = []
    for kind in ("convolution", "matrix product"):
        ours = sum(n for op, n in fvcore.items() if _kind(op) == kind)
        theirs = sum(n for op, n in by_torch.items() if _kind(op) == kind)
        if ours != theirs:
            operators = ", ".join(sorted({op for op in [*fvcore, *by_torch] if _kind(op) == kind}))
            notes.append(f"{kind}: fvcore {ours / GIGA:.6g} G, FlopCounterMode {theirs / GIGA:.6g} G ({operators})")
    return notes


def _kind(operator: str) -> str:
    return "convolution" if "conv" in operator else "matrix product"


def plain_vit_macs(
    *, patches: int, tokens: int, width: int, depth: int, mlp_width: int, patch_size: int, classes: int
) -> int:
    """Multiply-adds of one image through a ViT as Dosovitskiy et al. 2021 describe it, exactly.

    patches n = (R / P)^2; tokens N = n plus class and register tokens. Per block: qkv and output projections 4 N D^2,
    the MLP 2 N D M, attention's two products 2 N^2 D. Then patch embedding n D 3 P^2 and head D C.
    """
    embedding = patches * width * 3 * patch_size**2
    block = 4 * tokens * width**2 + 2 * tokens * width * mlp_width + 2 * tokens**2 * width
    return embedding + depth * block + width * classes


def closed_form_macs(model: nn.Module) -> int | None:
    """The closed form's count for a plain timm ViT at the size it was made for; None for every other model."""
    if type(model) is not VisionTransformer or type(model.patch_embed) is not PatchEmbed:
        return None
    vit: Any = model
    if vit.attn_pool is not None or not isinstance(vit.head, (nn.Linear, nn.Identity)):
        return None
    shapes = [*{_block_shape(block) for block in vit.blocks}]
    if len(shapes) != 1 or shapes[0] is None:
        return None
    width, mlp_width = shapes[0]
    patches = vit.patch_embed.num_patches
    return plain_vit_macs(
        patches=patches,
        tokens=patches + vit.num_prefix_tokens,
        width=width,
        depth=len(vit.blocks),
        mlp_width=mlp_width,
        patch_size=vit.patch_embed.patch_size[0],
        classes=vit.head.out_features if isinstance(vit.head, nn.Linear) else 0,
    )


def _block_shape(block: Any) -> tuple[int, int] | None:
    """(D, M) of a plain pre-norm block, or None if it is another kind of block."""
    if type(block) is not Block or type(block.attn) is not Attention or type(block.mlp) is not Mlp:
        return None
    qkv, mlp = block.attn.qkv, block.mlp.fc1
    if not isinstance(qkv, nn.Linear) or not isinstance(mlp, nn.Linear) or qkv.out_features != 3 * qkv.in_features:
        return None
    return qkv.in_features, mlp.out_features
