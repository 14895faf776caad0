"""Which family a timm model belongs to, by its name. Never imports timm, so that reports can ask.

The rule: `vit` computes with attention (or another token mixer of the same block) after a patch embedding, windows
and pooled hierarchies included; `cnn` has convolutions alone, squeeze-and-excite and other gates and an attention pool
at the end included; `hybrid` runs convolution blocks and attention blocks one after the other. `other` is what fits
none: MLP-Mixer, state space, focal modulation, LSTM, plain pooling.
"""

from __future__ import annotations

import re
from typing import Literal

ModelFamily = Literal["vit", "cnn", "hybrid", "other"]

# How names begin, once `tf_`, `test_` and `legacy_` are gone; the first line that has a beginning of the name decides.
_BEGINNINGS: tuple[tuple[ModelFamily, str], ...] = (
    ("hybrid", r"vit_\w+_r(\d|_|esnet) vit_base_mci mobilenetv4_hybrid"),
    ("other", "efficientvim focalnet gmixer gmlp mixer_ poolformer resmlp sequencer"),
    (
        "hybrid",
        """botnet caformer coat_ coatnet coatnext convit cpubone csatv2 eca_botnext eca_halonext edgenext
        efficientformer efficientvit fastvit gcvit halo iformer lambda_ lamhalo levit lowformer maxvit
        maxxvit mobilenetv5 mobilevit nextvit sebotnet sehalonet shvit swiftformer tiny_vit visformer
        vitamin""",
    ),
    (
        "vit",
        """aimv2 beit cait crossvit davit deepseek deit eva flexivit gemma hiera mvitv2 naflexvit nest pit_ pvt qwen
        sam2 samvit swin tnt twins vit volo xcit""",
    ),
    (
        "cnn",
        """bat_resnext byobnet convformer convmixer convnext cs3 csp darknet densenet dla dm_nfnet dpn eca_nfnet
        eca_resne eca_vovnet ecaresne efficientnet ese_vovnet fasternet fbnet gc_efficientnet gcresne gernet
        ghostnet hardcorenas hgnet hrnet inception lcnet mambaout mixnet mnasnet mobilenet mobileone nasnet
        nf_ nfnet pnasnet rdnet regnet repghost repvgg repvit res2ne resne rexnet sedarknet selecsls
        semnasnet senet seresne sk spnasnet starnet tinynet tresnet vgg vovnet wide_resnet xception""",
    ),
)
_PATTERNS = tuple((family, re.compile("|".join(text.split()))) for family, text in _BEGINNINGS)
_MARKS = re.compile(r"(tf_|test_|legacy_)*")


def known_family(model: str) -> ModelFamily | None:
    """The family of a timm model, by its name with or without tag; None for a user's own and for unknown names."""
    if ".py:" in model:  # a user's own, whatever its file is called
        return None
    name = _MARKS.sub("", model.partition(".")[0], count=1)
    return next((family for family, pattern in _PATTERNS if pattern.match(name)), None)
