"""Multiply-adds of a plain ViT from its dimensions alone: the third opinion beside the two counters."""

from __future__ import annotations

from typing import Any

from timm.layers.attention import Attention
from timm.layers.mlp import Mlp
from timm.layers.patch_embed import PatchEmbed
from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn


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
    shapes = {_block_shape(block) for block in vit.blocks}
    if len(shapes) != 1:
        return None
    shape = shapes.pop()
    if shape is None:
        return None
    width, mlp_width = shape
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
