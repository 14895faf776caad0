"""Which family a timm model without a catalog row belongs to, by the timm module that defines it.

The rule: `vit` computes with attention (or another token mixer of the same block) after a patch embedding, windows
and pooled hierarchies included; `cnn` has convolutions alone, squeeze-and-excite gates included; `hybrid` runs
convolution blocks and attention blocks one after the other. Models that fit none (MLP-Mixer, state space, focal
modulation) and modules that hold several kinds are `other`, unless the row of the catalog says better.
"""

from __future__ import annotations

from typing import Literal

ModelFamily = Literal["vit", "cnn", "hybrid", "other"]

_MODULES: dict[ModelFamily, str] = {
    "vit": """beit cait crossvit davit deepseek_vit deit eva gemma4_vit hiera hieradet_sam2 mvitv2 naflexvit nest pit
        pvt_v2 qwen3_vit swin_transformer swin_transformer_v2 swin_transformer_v2_cr tnt twins vision_transformer
        vision_transformer_relpos vision_transformer_sam volo xcit""",
    "cnn": """byobnet convmixer convnext cspnet cspnext densenet dla dpn efficientnet fasternet ghostnet hardcorenas
        hgnet hrnet inception_next inception_resnet_v2 inception_v3 inception_v4 lcnetv2 mobilenetv3 nasnet nfnet
        pnasnet rdnet regnet repghost repvit res2net resnest resnet resnetv2 rexnet selecsls senet sknet starnet
        tresnet vgg vovnet xception xception_aligned""",
    "hybrid": """byoanet coat convit cpubone edgenext efficientformer efficientformer_v2 efficientvit_mit
        efficientvit_msra fastvit gcvit iformer levit lowformer maxxvit mobilevit nextvit shvit swiftformer tiny_vit
        vision_transformer_hybrid visformer vitamin""",
}
FAMILY_OF_MODULE: dict[str, ModelFamily] = {
    module: family for family, modules in _MODULES.items() for module in modules.split()
}


def family_of_module(module: str) -> ModelFamily:
    """The family of the models that `timm.models.<module>` defines; `other` when the table does not say."""
    return FAMILY_OF_MODULE.get(module.rpartition(".")[2], "other")
