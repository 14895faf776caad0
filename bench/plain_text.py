"""Text that others wrote, made harmless for a terminal, an XML file or a log: no control characters."""

from __future__ import annotations

import re

# C0 and C1 controls but tab and line ends, halves of surrogate pairs, marks that turn the direction of writing, and
# the two code points that XML does not allow.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


def printable(text: str) -> str:
    """The text without characters that control a terminal, break XML or cannot be encoded as UTF-8."""
    return _CONTROLS.sub("", text)
