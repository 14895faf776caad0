"""Scales between stored units and shown ones. Stored numbers are never rounded; this is where they are."""

from __future__ import annotations

FLOPS_PER_MAC = 2  # one multiply and one add
BACKWARD_FACTOR = 3  # forward + backward, the backward pass being two products for each of the forward's
EXA = 1e18
TERA = 1e12
GIGA = 1e9
MEGA = 1e6
MIB = 1024**2


def training_flops(macs: float, images_seen: float) -> float:
    """Floating-point operations of training: 3 x FLOPs x images seen.

    macs: multiply-adds of one forward pass of one image. images_seen: images in all optimiser steps.
    Source: reproduces Table 6 of arXiv 2010.11929v2 for its ViT rows within 2.5 %.
    """
    return BACKWARD_FACTOR * FLOPS_PER_MAC * macs * images_seen
