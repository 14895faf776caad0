"""From a stored image to upright RGB pixels: the one way, so that every part of the program sees the same picture.

Only formats on the list are opened. Nothing is guessed: an image is decoded whole or refused with a reason.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import (  # each plug-in registers its format
    BmpImagePlugin,  # noqa: F401
    GifImagePlugin,  # noqa: F401
    Image,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    PpmImagePlugin,  # noqa: F401
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)

from bench.data.decoding.picture_bytes import MOST_PIXELS, READER_ERRORS, picture_alone, unread_kind
from bench.data.sets.collection import RawImage
from bench.errors import BadImageError as BadImageError

# What caches hold is of this decoder. Raise the number when `decode` gives other pixels or refuses other files.
DECODER = f"2-pillow{PIL.__version__}"
MOST_ELONGATED = 500  # long side by short one: a strip whose short side is made 448 px then takes 400 MB
CONVERSIONS = ("grey", "16-bit", "CMYK", "palette", "alpha", "alpha of zeros", "EXIF rotation", "first frame")
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")

Resize = Literal["square", "shorter side, centre crop"]

_ORIENTATION_TAG = 0x0112  # EXIF 2.3, section 4.6.4
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BITS_TAG, _PHOTOMETRIC_TAG, _WHITE_IS_ZERO = 258, 262, 0  # TIFF 6.0, section 8
_TILE_TAGS = (322, 323)  # width and height, section 15
_BAND_PIXELS = 8_000_000  # converted at once: several copies of them are held meanwhile
_PPM_HEADER = re.compile(rb"P[2356](?:(?:\s|#[^\r\n]*[\r\n])+(\d+)){3}")
_ALPHA_MODES = {"RGBA", "LA", "PA", "RGBa", "La"}


@dataclass(frozen=True)
class Decoded:
    """An upright RGB image and what was done to get it.

    conversions: out of CONVERSIONS. content_format: out of FORMATS, by content and not by name; None for pixel arrays.
    stored_size: (width, height) of the upright image at full scale, whatever scale it was decoded at.
    """

    image: Image.Image
    conversions: frozenset[str]
    content_format: str | None
    stored_size: tuple[int, int]


class _UnreadableError(BadImageError):
    """What Pillow stumbled over may be beside the picture."""


def decode(raw: RawImage, *, draft_px: int | None = None) -> Decoded:
    """The stored image as upright RGB.

    raw: an encoded file, or uint8 pixels of shape (H, W) or (H, W, 3). Alpha is composited on white, or left out where
    it is zero everywhere; more than 8 bits are scaled by the full range of their depth; CMYK is converted without its
    profile, JPEGs read as Adobe writes them (inverted); of an animation or a document the first frame is taken. Colour
    profiles are not applied. What cannot be read with its metadata is read without.
    draft_px: a JPEG may come back at 1/2, 1/4 or 1/8 scale, both sides still at least this long.

    Raises BadImageError for bytes that are no image of a known format, are corrupt or truncated, hold more than
    MOST_PIXELS or are a strip, and for pixels without an agreed range (32-bit integers, floats, signed).
    """
    if isinstance(raw, np.ndarray):
        return _from_pixels(raw)
    content_format = format_of(raw)
    if content_format is None:
        raise BadImageError(_what_else(raw))
    try:
        return _from_file(raw, content_format, draft_px)
    except _UnreadableError:
        if (picture := picture_alone(raw, content_format)) is None:
            raise
        with contextlib.suppress(BadImageError):  # the first reason is that of the file as it is
            return _from_file(picture, content_format, draft_px)
        raise


@dataclass(frozen=True)
class ToSquare:
    """Makes a stored image a square: the one way, so that cache and decoding on demand give the same pixels."""

    side_px: int
    resize: Resize

    def __call__(self, raw: RawImage) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """(side, side, 3), uint8, and the original (width, height). Raises BadImageError.

        JPEGs are decoded at a reduced scale as long as twice the side is left, then resized (bicubic, antialiased).
        """
        side = self.side_px
        decoded = decode(raw, draft_px=2 * side)
        image = decoded.image
        if self.resize == "square":
            if image.size != (side, side):
                image = image.resize((side, side), Image.Resampling.BICUBIC)
        else:
            scale = side / min(image.size)
            width, height = (max(side, round(length * scale)) for length in image.size)
            left, top = (width - side) // 2, (height - side) // 2
            image = image.resize((width, height), Image.Resampling.BICUBIC)
            image = image.crop((left, top, left + side, top + side))
        return np.asarray(image, dtype=np.uint8), decoded.stored_size


def format_of(raw: bytes) -> str | None:
    """The name in FORMATS that the first bytes stand for, None if they stand for none."""
    if raw.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if raw.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if raw.startswith(b"RIFF") and raw[8:12] == b"WEBP":
        return "WEBP"
    if raw.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if raw.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "TIFF"
    if raw.startswith(b"BM"):
        return "BMP"
    if re.match(rb"P[1-6][\s#]", raw):
        return "PPM"
    return None


def _from_file(raw: bytes, content_format: str, draft_px: int | None) -> Decoded:
    try:
        # Pillow warns of large images and of broken metadata; neither keeps a picture from being right.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="PIL")
            return _opened(raw, content_format, draft_px)
    except BadImageError:
        raise
    except Image.DecompressionBombError:
        raise BadImageError(_too_large(content_format)) from None
    except MemoryError:
        raise BadImageError(f"corrupt {content_format}: it asks for more memory than there is") from None
    except READER_ERRORS as error:
        if content_format == "JPEG" and (kind := unread_kind(raw)):
            raise BadImageError(f"a {kind} JPEG, which is not read; store it with 8 bits, Huffman-coded") from None
        if isinstance(error, UnidentifiedImageError):
            raise _UnreadableError(f"corrupt {content_format}: its header cannot be read") from None
        text = " ".join(str(error).split())[:200] or type(error).__name__
        raise _UnreadableError(f"corrupt or truncated {content_format} ({len(raw)} bytes): {text}") from None


def _opened(raw: bytes, content_format: str, draft_px: int | None) -> Decoded:
    opened = Image.open(io.BytesIO(raw), formats=(content_format,))
    size = opened.size
    _check_size(content_format, size)  # before anything is decoded
    if isinstance(opened, TiffImagePlugin.TiffImageFile):
        _check_size("TIFF tile", tuple(int(opened.tag_v2.get(tag, 1)) for tag in _TILE_TAGS), is_picture=False)
    bits, inverted = _depth(opened, raw, content_format)
    # Pillow turns a TIFF itself while it loads it, and its size before that: ask first, and do not turn it again.
    orientation = _orientation(opened) if content_format == "TIFF" else 1
    if draft_px is not None:
        opened.draft(None, (draft_px, draft_px))
    opened.load()
    image, conversions = _rgb(opened, bits, inverted)
    if content_format != "TIFF":
        orientation = _orientation(opened)
        if orientation in _TURNS:
            image = image.transpose(_TURNS[orientation])
            size = size if orientation < 5 else (size[1], size[0])
    if orientation in _TURNS:
        conversions.add("EXIF rotation")
    if content_format != "JPEG" and _has_more_frames(opened):  # a phone's JPEG may carry previews: not an animation
        conversions.add("first frame")
    return Decoded(image, frozenset(conversions), content_format, size)


def _from_pixels(pixels: NDArray[np.uint8]) -> Decoded:
    shape = pixels.shape
    if pixels.dtype != np.uint8 or not (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)) or 0 in shape:
        raise BadImageError(f"pixels of shape {shape} and type {pixels.dtype}, expected uint8 (H, W) or (H, W, 3)")
    height, width = shape[:2]
    _check_size("array", (width, height))
    image = Image.fromarray(np.ascontiguousarray(pixels))
    conversions = frozenset({"grey"}) if len(shape) == 2 else frozenset[str]()
    return Decoded(image.convert("RGB") if conversions else image, conversions, None, (width, height))


def _depth(opened: Image.Image, raw: bytes, content_format: str) -> tuple[int, bool]:
    """Bits a channel as stored, and whether zero means white in a way that Pillow leaves to its caller."""
    if content_format == "PNG":
        return raw[24], False  # IHDR is first; its ninth byte is the depth
    if content_format == "PPM":
        header = _PPM_HEADER.match(raw)
        return (16 if header and int(header[1]) > 255 else 8), False
    if isinstance(opened, TiffImagePlugin.TiffImageFile):
        stored = opened.tag_v2.get(_BITS_TAG, (8,))
        bits = max(stored) if isinstance(stored, tuple) else int(stored)
        return bits, opened.mode.startswith("I;16") and opened.tag_v2.get(_PHOTOMETRIC_TAG) == _WHITE_IS_ZERO
    return 8, False


def _rgb(image: Image.Image, bits: int, inverted: bool) -> tuple[Image.Image, set[str]]:
    """The loaded image as RGB, and the conversions that took."""
    mode = image.mode
    conversions = {"16-bit"} if bits > 8 else set()
    transparent = mode in _ALPHA_MODES or "transparency" in image.info
    if mode == "RGB" and not transparent:
        return image, conversions
    if mode.startswith("I;16") or (mode == "I" and image.format in ("PNG", "PPM")):
        return _by_bands(image, lambda band: _eight_bits(band, bits, inverted)), conversions | {"grey"}
    if mode in ("I", "F"):
        raise BadImageError(
            f"its pixels are {bits}-bit numbers, signed or without an agreed range; store 8 or 16 unsigned bits"
        )
    if mode in ("1", "L", "LA", "La"):
        conversions.add("grey")
    elif mode in ("P", "PA"):
        conversions.add("palette")
    elif mode == "CMYK":
        conversions.add("CMYK")
    if not transparent:
        return image.convert("RGB"), conversions
    # 32-bit bitmaps leave alpha at zero where they mean opaque.
    if any(_rgba(band).getchannel("A").getextrema() != (0, 0) for _, band in _bands(image)):
        return _by_bands(image, _on_white), conversions | {"alpha"}
    return _by_bands(image, _rgba), conversions | {"alpha of zeros"}


def _by_bands(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """As RGB after `convert`, some rows at a time, so that a large image takes no more copies of itself."""
    canvas = Image.new("RGB", image.size)
    for top, band in _bands(image):
        canvas.paste(convert(band).convert("RGB"), (0, top))
    return canvas


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """(first row, rows) from the top to the bottom."""
    rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(image.height, top + rows)))


def _rgba(image: Image.Image) -> Image.Image:
    return (image.convert("LA") if image.mode == "La" else image).convert("RGBA")


def _on_white(image: Image.Image) -> Image.Image:
    with_alpha = _rgba(image)
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(with_alpha, mask=with_alpha.getchannel("A"))
    return canvas


def _eight_bits(image: Image.Image, bits: int, inverted: bool) -> Image.Image:
    """Deep grey as 8-bit grey: the whole range of its depth onto 0..255, rounded."""
    full = 2**bits - 1  # Pillow scales what a PPM calls white to 65535
    pixels = np.asarray(image).astype(np.uint32)
    scaled = np.minimum((pixels * 255 + full // 2) // full, 255).astype(np.uint8)
    return Image.fromarray(255 - scaled if inverted else scaled)


def _orientation(image: Image.Image) -> int:
    """The EXIF (or XMP) orientation, 1 where there is none or it cannot be read: broken metadata spoils no picture."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except READER_ERRORS:
        return 1
    return value if isinstance(value, int) else 1


def _has_more_frames(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except READER_ERRORS:  # the next frame is broken; the first one is not
        return True


def _check_size(what: str, size: tuple[int, ...], *, is_picture: bool = True) -> None:
    """Raises BadImageError for a (width, height) that takes more memory than a picture may."""
    if size[0] * size[1] > MOST_PIXELS:
        raise BadImageError(f"{_too_large(what)}: {size[0]} x {size[1]}")
    if is_picture and max(size) > MOST_ELONGATED * min(size) > 0:
        raise BadImageError(
            f"{what} of {size[0]} x {size[1]} pixels, a strip: one side is over {MOST_ELONGATED} times the other, and "
            "resized it would not fit into memory"
        )


def _too_large(what: str) -> str:
    return f"{what} of more than {MOST_PIXELS // 10**6} million pixels, the limit that guards against bombs"


def _what_else(raw: bytes) -> str:
    """Why bytes that are no image are none: what they look like instead."""
    if not raw:
        return "empty, 0 bytes"
    start = raw[:512]
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not any(start):
        return f"{len(raw)} bytes that begin with zeros: a file that was never written?"
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page, not an image: a failed download?"
    if text.startswith((b"<?xml", b"<svg", b"<!doctype")) or (text.startswith(b"<") and b">" in text):
        return "an XML or SVG text, not an image"
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "a Python pickle, not an image; it was not opened"
    if start[4:8] == b"ftyp":
        brand = start[8:12].decode("ascii", errors="replace").strip("\0 ")
        return f"a {brand.upper()} file; convert it to JPEG or PNG, formats read are {', '.join(FORMATS)}"
    for magic, name in _STRANGERS.items():
        if start.startswith(magic):
            return f"{name}; formats read are {', '.join(FORMATS)}"
    return f"no known image format (begins with {start[:8].hex(' ')}); formats read are {', '.join(FORMATS)}"


_STRANGERS = {
    b"version https://git-lfs": "a Git LFS pointer, not the image: run `git lfs pull`",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip file",
    b"%PDF": "a PDF",
    b"%!PS": "a PostScript program, which is not run",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy array file",
    b"PAR1": "a Parquet file",
    b"8BPS": "a Photoshop file",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 image",
    b"\xff\x4f\xff\x51": "a JPEG 2000 image",
    b"\xff\x0a": "a JPEG XL image",
    b"\0\0\0\x0cJXL ": "a JPEG XL image",
    b"\0\0\x01\0": "a Windows icon",
}
