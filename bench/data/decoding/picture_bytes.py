"""Files that Pillow refuses although their pixels are whole, without what it stumbles over.

Viewers show them: a PNG with a broken comment, a JPEG whose end marker was lost.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator

from PIL import Image

MOST_PIXELS = 100_000_000  # 400 MB as Pillow holds RGB, for each decoding process

# What Pillow's readers raise on bytes that are not what they claim to be; some come only from its readers of metadata.
READER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    ArithmeticError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

_PNG_SHOWN = frozenset((b"tRNS", b"eXIf"))  # what the picture depends on, beside its pixels
_CLEAR_BYTES = {b"\0": 2, b"\2": 6}  # of tRNS, by the colour type in IHDR: grey and RGB
_END = b"\xff\xd9"
_LARGEST_UNIT = 4096  # bytes: 10 blocks of 64 coefficients of at most 26 bits, and some
_RESTARTS = (b"", *(bytes((0xFF, 0xD0 + i)) for i in range(8)))  # one of these is due where the data are cut at one
_FILLINGS = tuple(start + bits * _LARGEST_UNIT for start in _RESTARTS for bits in (b"\x00", b"\xaa", b"\x55", b"\xfe"))
_SCAN, _ADOBE, _COMMENT = 0xDA, 0xEE, 0xFE
_METADATA = frozenset(range(0xE2, 0xF0)) - {_ADOBE} | {_COMMENT}  # JFIF, EXIF and Adobe's colours are kept
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}  # ITU T.81, table B.1; T.87
_FRAME_KINDS = {0xC3: "lossless", 0xF7: "JPEG-LS"} | dict.fromkeys(range(0xC9, 0xD0), "arithmetic-coded")


def picture_alone(raw: bytes, content_format: str) -> bytes | None:
    """The file without metadata or with its end, if that is what may have been wrong with it; else None."""
    if content_format == "PNG":
        bare = _bare_png(raw)
    elif content_format == "JPEG":
        bare = _with_end(_bare_jpeg(raw))
    else:
        return None
    return bare if bare != raw else None


def unread_kind(raw: bytes) -> str | None:
    """What kind of JPEG it is if it is one that is not read, such as `12-bit`; None for all others."""
    for marker, start, stop in _jpeg_segments(raw):
        if marker in _FRAMES and stop - start > 4:
            bits = raw[start + 4]
            return _FRAME_KINDS.get(marker) or (f"{bits}-bit" if bits != 8 else None)
    return None


def _bare_png(raw: bytes) -> bytes:
    """Only the chunks that show; of those that a reader may do without, the ones that are sound."""
    kept, at = [raw[:8]], 8
    while at + 12 <= len(raw):
        (length,) = struct.unpack_from(">I", raw, at)
        name, end = raw[at + 4 : at + 8], at + 12 + length
        is_sound = raw[end - 4 : end] == struct.pack(">I", zlib.crc32(raw[at + 4 : end - 4])) and (
            name != b"tRNS" or length == _CLEAR_BYTES.get(raw[25:26], length)
        )
        # PNG 1.2, section 3.3: a small first letter means that a reader can do without.
        if not name[:1].islower() or (name in _PNG_SHOWN and is_sound):
            kept.append(raw[at:end])
        at = end
    return b"".join(kept)


def _jpeg_segments(raw: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, stop) of the whole segments before the first scan."""
    at = 2
    while at + 4 <= len(raw) and raw[at] == 0xFF and raw[at + 1] != _SCAN:
        if raw[at + 1] == 0xFF:  # markers may be preceded by any number of these
            at += 1
            continue
        stop = at + 2 + int.from_bytes(raw[at + 2 : at + 4], "big")
        if stop > len(raw):
            return
        yield raw[at + 1], at, stop
        at = stop


def _bare_jpeg(raw: bytes) -> bytes:
    kept, at = [raw[:2]], 2
    for marker, start, stop in _jpeg_segments(raw):
        if marker not in _METADATA:
            kept.append(raw[start:stop])
        at = stop
    return b"".join((*kept, raw[at:]))


def _with_end(raw: bytes) -> bytes:
    """With an end marker if nothing but that is missing.

    A decoder looks at no bit behind the last pixel. So if the picture is the same whatever follows, its last scan is
    whole.
    """
    body = raw.removesuffix(_END[:1])
    if not _has_all_scans(body):
        return raw
    shown = (_pixels(body + filling + _END) for filling in _FILLINGS)
    first = next(shown)
    return body + _END if first is not None and all(other == first for other in shown) else raw


def _has_all_scans(raw: bytes) -> bool:
    """Whether some scan has begun to give the last bit of each coefficient of each component (ITU T.81, B.2.3)."""
    frame = next((start for marker, start, _ in _jpeg_segments(raw) if marker in _FRAMES), None)
    if frame is None or len(raw) < frame + 10:
        return False
    given: dict[int, set[int]] = {
        identifier: set() for identifier in raw[frame + 10 : frame + 10 + 3 * raw[frame + 9] : 3]
    }
    for scan in re.finditer(rb"\xff\xda..(.)", raw[frame:], re.DOTALL):
        start = frame + scan.end()
        after = start + 2 * scan[1][0]
        first, last, precision, *_ = (*raw[after : after + 3], 0, 0, 0)
        for identifier in raw[start:after:2]:
            if precision & 15 == 0:
                given.get(identifier, set()).update(range(first, last + 1))
    return all(len(coefficients) == 64 for coefficients in given.values())


def _pixels(raw: bytes) -> int | None:
    """A checksum of the pixels; None if they cannot be had."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="PIL")
            image = Image.open(io.BytesIO(raw), formats=("JPEG",))
            return zlib.crc32(image.tobytes()) if image.width * image.height <= MOST_PIXELS else None
    except READER_ERRORS:
        return None
