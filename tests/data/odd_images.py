"""Makers of odd and malformed images, as bytes. The right ones show a picture whose corners can be recognised."""

from __future__ import annotations

import io
import pickle
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

WIDTH, HEIGHT = 48, 32
RED, GREEN, BLUE, GREY = (220, 30, 30), (30, 200, 40), (30, 40, 210), (128, 128, 128)


def quadrants() -> Image.Image:
    """48 x 32: red, green / blue, grey."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    pixels[:16, :24], pixels[:16, 24:], pixels[16:, :24], pixels[16:, 24:] = RED, GREEN, BLUE, GREY
    return Image.fromarray(pixels)


def photo(width: int = 200, height: int = 150, seed: int = 0) -> Image.Image:
    """A picture with structure at three scales, different for every seed."""
    generator = np.random.default_rng(seed)
    layers = [
        Image.fromarray(generator.integers(0, 256, (rows, columns, 3), dtype=np.uint8)).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        for rows, columns in ((6, 8), (60, 80))
    ]
    return Image.blend(layers[0], layers[1], 0.3)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg(**options: Any) -> bytes:
    return encoded(quadrants(), "JPEG", quality=95, subsampling=0, **options)


def exif(orientation: int, filling: int = 0) -> bytes:
    """EXIF with an orientation and this many bytes of text."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    if filling:
        tags[0x010E] = "x" * filling
    return tags.tobytes()


# How a camera that was turned stores the upright picture: the inverse of what a viewer does, EXIF 2.3, table 6.
STORED_BY = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def turned(orientation: int, kind: str) -> bytes:
    """`quadrants` as a camera stores it that was held in this way."""
    stored = quadrants().transpose(STORED_BY[orientation]) if orientation in STORED_BY else quadrants()
    if kind == "TIFF":
        return encoded(stored, "TIFF", tiffinfo={0x0112: orientation})
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    return encoded(stored, kind, exif=exif(orientation), **options)


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def broken_chunk(name: bytes, data: bytes) -> bytes:
    """A PNG chunk whose checksum is wrong."""
    return png_chunk(name, data)[:-1] + bytes([png_chunk(name, data)[-1] ^ 1])


def jpeg_segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def long_text() -> PngImagePlugin.PngInfo:
    """More text than Pillow reads, in 1.5 kB."""
    info = PngImagePlugin.PngInfo()
    info.add_text("prompt", "x" * 1_500_000, zip=True)
    return info


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG by hand. rows: each with its filter byte. colour: 0 grey, 2 RGB, 4 grey and alpha, 6 RGB and alpha."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def clear_bitmap(image: Image.Image) -> bytes:
    """A BMP of 32 bits, as Windows writes it: a mask for alpha, and an alpha that nobody filled in."""
    width, height = image.size
    pixels = np.asarray(image.convert("RGBA"))[::-1, :, [2, 1, 0, 3]].copy()
    pixels[..., 3] = 0
    header = struct.pack("<IiiHHIIiiII", 124, width, height, 1, 32, 3, pixels.nbytes, 2835, 2835, 0, 0)
    header += struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + bytes(64)
    start = struct.pack("<IHHI", 14 + len(header) + pixels.nbytes, 0, 0, 14 + len(header))
    return b"BM" + start + header + pixels.tobytes()


def deep_png(values: NDArray[np.uint16]) -> bytes:
    """16-bit PNG of (H, W) grey or (H, W, 3) colour values."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png(width, height, 16, 0 if values.ndim == 2 else 2, rows)


def bomb_png() -> bytes:
    """60,000 x 60,000 black pixels in some kilobytes, were it not cut off."""
    return png(60_000, 60_000, 8, 0, bytes(60_001) * 20)


def tiff(
    *, bits: int, photometric: int, data: bytes, width: int, height: int, sample_format: int = 1, tile_px: int = 0
) -> bytes:
    """A little-endian grey TIFF of one strip, or of one square tile of this side, by hand."""
    entries = [(256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, 1), (262, 3, photometric)]
    strip = [(273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, len(data))]
    tile = [(277, 3, 1), (322, 4, tile_px), (323, 4, tile_px), (324, 4, 8), (325, 4, len(data))]
    entries += [*(tile if tile_px else strip), (339, 3, sample_format)]
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory + bytes(4)


class Harmful:
    """Writes a file when unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, str]]:
        return open, (self.path, "w")


def animated(kind: str) -> bytes:
    """Three frames, the first of them `quadrants`."""
    frames = [quadrants(), quadrants().rotate(180), Image.new("RGB", (WIDTH, HEIGHT))]
    options = {"lossless": True} if kind == "WEBP" else {}
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, **options)


def webp_bomb() -> bytes:
    """A WebP whose header says 16,384 x 16,384."""
    raw = bytearray(encoded(quadrants(), "WEBP", lossless=True, exif=exif(1)))
    at = raw.index(b"VP8X") + 12
    raw[at : at + 6] = struct.pack("<I", 16_383)[:3] * 2
    return bytes(raw)


def noise(size: int) -> bytes:
    return np.random.default_rng(5).integers(0, 256, size, dtype=np.uint8).tobytes()


def truncated_kinds() -> dict[str, bytes]:
    """Files of every format, cut where pixels are lost."""
    whole = {
        "JPEG": encoded(photo(), "JPEG"),
        "progressive JPEG": encoded(photo(), "JPEG", progressive=True),
        "PNG": encoded(photo(), "PNG"),
        "WEBP": encoded(photo(), "WEBP"),
        "GIF": encoded(photo(), "GIF"),
        "BMP": encoded(photo(), "BMP"),
        "TIFF": encoded(photo(), "TIFF"),
        "LZW TIFF": encoded(photo(), "TIFF", compression="tiff_lzw"),
        "PPM": encoded(photo(), "PPM"),
    }
    return {
        f"{name} cut at {share:.0%}": raw[: int(len(raw) * share)]
        for name, raw in whole.items()
        for share in (0.05, 0.5, 0.95)
    } | {f"{name} cut after 20 bytes": raw[:20] for name, raw in whole.items()}


def malformed_kinds(touched: str) -> dict[str, tuple[bytes, str]]:
    """Name -> (bytes, what the reason must say). touched: a file that a pickle would make."""
    png_bytes, gif, bmp, tif = (encoded(photo(), kind) for kind in ("PNG", "GIF", "BMP", "TIFF"))
    broken_gif = bytearray(gif)
    broken_gif[-len(gif) // 2 :] = b"\xff" * (len(gif) // 2)
    broken_idat = bytearray(png_bytes)
    broken_idat[len(png_bytes) // 2] ^= 0xFF
    wide_bmp = bytearray(bmp)
    struct.pack_into("<ii", wide_bmp, 18, 2000, 2000)
    bomb_bmp = bytearray(bmp)
    struct.pack_into("<ii", bomb_bmp, 18, 50_000, 50_000)
    return {
        "empty": (b"", "empty, 0 bytes"),
        "zeros": (bytes(5000), "begin with zeros"),
        "random bytes": (b"\x7f" + noise(5000), "no known image format"),
        "HTML": (b"\n<!DOCTYPE html><html><body>404</body></html>", "an HTML page, not an image"),
        "XML": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "an XML or SVG text"),
        "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an XML or SVG text"),
        "pickle": (pickle.dumps(Harmful(touched)), "a Python pickle, not an image; it was not opened"),
        "Git LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        "ZIP": (b"PK\x03\x04" + noise(100), "a ZIP archive"),
        "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n(x) run\n", "PostScript program, which is not run"),
        "AVIF": (b"\0\0\0\x20ftypavif" + noise(100), "a AVIF file; convert it"),
        "JPEG 2000": (b"\0\0\0\x0cjP  \r\n\x87\n" + noise(100), "a JPEG 2000 image"),
        "JPEG header alone": (b"\xff\xd8\xff\xe0", "corrupt"),
        "JPEG start and noise": (b"\xff\xd8\xff\xe0" + noise(3000), "corrupt"),
        "PNG bomb": (bomb_png(), "million pixels, the limit that guards against bombs"),
        "BMP bomb": (bytes(bomb_bmp), "million pixels"),
        "WebP bomb": (webp_bomb(), "million pixels"),
        "PPM bomb": (b"P6 40000 40000 255\n" + bytes(100), "million pixels"),
        "PNG of no width": (png(0, 10, 8, 0, bytes(10)), "corrupt"),
        "PNG with a wrong checksum": (bytes(broken_idat), "corrupt or truncated PNG"),
        "PNG without pixels": (png_bytes[:33] + png_chunk(b"IEND", b""), "corrupt or truncated PNG"),
        "GIF with a broken frame": (bytes(broken_gif), "corrupt or truncated GIF"),
        "BMP of the wrong size": (bytes(wide_bmp), "truncated"),
        "TIFF with a wild directory offset": (tif[:4] + struct.pack("<I", 0xFFFFFF00) + tif[8:], "corrupt TIFF"),
        "TIFF with wild strip offsets": (
            tiff(bits=8, photometric=1, data=bytes(64), width=8, height=8).replace(
                struct.pack("<HHII", 273, 4, 1, 8), struct.pack("<HHII", 273, 4, 1, 0x7FFFFFF0)
            ),
            "truncated",
        ),
        "TIFF of 32-bit integers": (
            tiff(bits=32, photometric=1, data=bytes(256), width=8, height=8),
            "32-bit numbers, signed or without an agreed range",
        ),
        "TIFF of floats": (
            tiff(bits=32, photometric=1, data=bytes(256), width=8, height=8, sample_format=3),
            "32-bit numbers, signed or without an agreed range",
        ),
        "TIFF of signed numbers": (
            tiff(bits=16, photometric=1, data=bytes(128), width=8, height=8, sample_format=2),
            "16-bit numbers, signed or without an agreed range",
        ),
        "text that begins like a BMP": (b"BMW drivers and other stories", "corrupt"),
    }


def harmless_kinds() -> dict[str, bytes]:
    """Files that are odd and yet show `quadrants` (within JPEG's loss)."""
    plain = jpeg()
    png_bytes = encoded(quadrants(), "PNG")
    return {
        "JPEG with garbage after its end": plain + noise(500),
        "JPEG with 60 kB of EXIF": jpeg(exif=exif(1, filling=60_000)),
        "JPEG with broken EXIF": jpeg(exif=b"Exif\0\0" + noise(300)),
        "JPEG with an impossible orientation": jpeg(exif=exif(77)),
        "JPEG with a broken profile": jpeg(icc_profile=noise(400)),
        "JPEG with a comment of markup": jpeg(comment=b"<script>alert(1)</script>"),
        "progressive JPEG": jpeg(progressive=True),
        "JPEG without its end": plain[:-2],
        "JPEG without its last byte": plain[:-1],
        "progressive JPEG without its end": jpeg(progressive=True)[:-2],
        "JPEG with a broken list of previews": plain[:2] + jpeg_segment(0xE2, b"MPF\0II*\0" + noise(60)) + plain[2:],
        "PNG with 1.5 MB of text": encoded(quadrants(), "PNG", pnginfo=long_text()),
        "PNG with a broken comment": png_bytes[:33] + broken_chunk(b"tEXt", b"note\0hello") + png_bytes[33:],
        "PNG with a broken EXIF": png_bytes[:33] + broken_chunk(b"eXIf", noise(60)) + png_bytes[33:],
        "PNG with 16 MB of profile": png_bytes[:33]
        + png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(1 << 24)))
        + png_bytes[33:],
        "PNG with a broken profile": png_bytes[:33] + png_chunk(b"iCCP", b"x\0\0" + noise(90)) + png_bytes[33:],
        "PNG without its last chunk": png_bytes[:-12],
        "PNG with an unknown chunk": png_bytes[:33] + png_chunk(b"vpAg", bytes(9)) + png_bytes[33:],
        "BMP": encoded(quadrants(), "BMP"),
        "PPM": encoded(quadrants(), "PPM"),
        "TIFF": encoded(quadrants(), "TIFF"),
        "TIFF compressed by LZW": encoded(quadrants(), "TIFF", compression="tiff_lzw"),
        "WebP": encoded(quadrants(), "WEBP", lossless=True),
    }
