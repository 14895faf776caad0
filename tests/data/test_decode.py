"""Every way in which images are stored gives the same upright RGB picture, or a reason in one line."""

from __future__ import annotations

import contextlib
import io
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from odd_images import (
    BLUE,
    GREEN,
    GREY,
    HEIGHT,
    RED,
    WIDTH,
    animated,
    broken_chunk,
    clear_bitmap,
    deep_png,
    encoded,
    exif,
    harmless_kinds,
    jpeg,
    malformed_kinds,
    photo,
    png,
    quadrants,
    tiff,
    truncated_kinds,
    turned,
)
from PIL import Image, ImageFile

from bench.data.decoding import decode as decode_module
from bench.data.decoding.decode import CONVERSIONS, decode
from bench.errors import BadImageError


def corners(image: Image.Image) -> list[tuple[int, ...]]:
    """Colours 4 pixels inside each corner: top left, top right, bottom left, bottom right."""
    right, bottom = image.width - 5, image.height - 5
    pixels = np.asarray(image).astype(int)
    return [tuple(pixels[y, x].tolist()) for y, x in ((4, 4), (4, right), (bottom, 4), (bottom, right))]


def assert_shows_quadrants(image: Image.Image, within: int = 0) -> None:
    assert (image.mode, image.size) == ("RGB", (WIDTH, HEIGHT))
    difference = np.abs(np.array(corners(image)) - np.array([RED, GREEN, BLUE, GREY]))
    assert difference.max() <= within, corners(image)


def grey_rows(raw: bytes | NDArray[np.uint8]) -> list[list[int]]:
    """The pixels of an image whose three channels must be equal."""
    pixels = np.asarray(decode(raw).image)
    assert (pixels == pixels[..., :1]).all()
    rows: list[list[int]] = pixels[..., 0].tolist()
    return rows


@pytest.mark.parametrize("name", harmless_kinds())
def test_an_odd_file_that_holds_a_whole_picture_is_read(name: str) -> None:
    assert_shows_quadrants(decode(harmless_kinds()[name]).image, within=6)


@pytest.mark.parametrize("name", malformed_kinds(""))
def test_a_malformed_file_gives_a_reason_in_one_line_and_runs_nothing(name: str, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    raw, reason = malformed_kinds(str(touched))[name]
    started = time.monotonic()

    with pytest.raises(BadImageError) as caught:
        decode(raw)

    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - started < 5
    assert not touched.exists()


@pytest.mark.parametrize("name", truncated_kinds())
def test_a_truncated_file_is_refused(name: str) -> None:
    with pytest.raises(BadImageError, match="corrupt"):
        decode(truncated_kinds()[name])


def test_decoding_leaves_pillow_strict_about_truncated_files() -> None:
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright(orientation: int, kind: str) -> None:
    decoded = decode(turned(orientation, kind))
    assert_shows_quadrants(decoded.image, within=6)
    assert decoded.stored_size == (WIDTH, HEIGHT)
    assert decoded.conversions == (set() if orientation == 1 else {"EXIF rotation"})


def test_an_orientation_in_xmp_counts_too() -> None:
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="3"/></x:xmpmeta>'
    raw = encoded(quadrants().rotate(180), "WEBP", lossless=True, xmp=xmp)
    assert_shows_quadrants(decode(raw).image)


@pytest.mark.parametrize(
    ("mode", "kind", "conversions"),
    [
        ("L", "JPEG", {"grey"}),
        ("L", "PNG", {"grey"}),
        ("1", "PNG", {"grey"}),
        ("1", "TIFF", {"grey"}),
        ("LA", "PNG", {"grey", "alpha"}),
        ("P", "PNG", {"palette"}),
        ("P", "BMP", {"palette"}),
        ("P", "GIF", {"palette"}),
        ("RGBA", "PNG", {"alpha"}),
        ("RGBA", "WEBP", {"alpha"}),
        ("RGBA", "TIFF", {"alpha"}),
        ("CMYK", "JPEG", {"CMYK"}),
        ("CMYK", "TIFF", {"CMYK"}),
        ("YCbCr", "TIFF", set()),
        ("RGB", "PPM", set()),
    ],
)
def test_conversions_are_named(mode: str, kind: str, conversions: set[str]) -> None:
    image = quadrants().convert(mode)
    if "A" in mode:
        image.putalpha(200)  # WebP stores no alpha where all is opaque
    decoded = decode(encoded(image, kind))
    assert decoded.conversions == conversions
    assert decoded.conversions <= set(CONVERSIONS)
    assert (decoded.image.mode, decoded.image.size, decoded.content_format) == ("RGB", (WIDTH, HEIGHT), kind)


def test_sixteen_bit_grey_is_scaled_and_not_clipped() -> None:
    values = np.array([[0, 257, 32_896], [300, 65_535, 65_278]], dtype=np.uint16)
    expected = [[0, 1, 128], [1, 255, 254]]  # value x 255 / 65535, rounded
    little = tiff(bits=16, photometric=1, data=values.astype("<u2").tobytes(), width=3, height=2)
    pgm = b"P5 3 2 65535\n" + values.astype(">u2").tobytes()
    for raw in (deep_png(values), little, pgm):
        assert grey_rows(raw) == expected
        assert decode(raw).conversions == {"grey", "16-bit"}


def test_big_endian_deep_tiff_is_read_alike() -> None:
    values = np.array([[0, 32_896, 65_535]], dtype=np.uint16)
    raw = encoded(Image.frombytes("I;16B", (3, 1), values.astype(">u2").tobytes()), "TIFF")
    assert raw.startswith(b"MM")
    assert grey_rows(raw) == [[0, 128, 255]]


def test_deep_tiff_in_which_zero_is_white_is_inverted() -> None:
    values = np.array([[0, 65_535]], dtype="<u2")
    assert grey_rows(tiff(bits=16, photometric=0, data=values.tobytes(), width=2, height=1)) == [[255, 0]]


def test_twelve_bit_tiff_uses_the_range_of_twelve_bits() -> None:
    # Two pixels in three bytes: 0xFFF and 0x800.
    assert grey_rows(tiff(bits=12, photometric=1, data=b"\xff\xf8\x00", width=2, height=1)) == [[255, 128]]


def test_sixteen_bit_colour_is_scaled() -> None:
    values = np.array([[[65_535, 0, 32_896]]], dtype=np.uint16)
    decoded = decode(deep_png(values))
    assert decoded.image.getpixel((0, 0)) == (255, 0, 128)
    assert decoded.conversions == {"16-bit"}


def test_alpha_is_composited_on_white() -> None:
    rows = bytes([0, 200, 0, 100, 0, 200, 0, 100, 255, 200, 0, 100, 51])  # RGBA: clear, opaque, a fifth
    decoded = decode(png(3, 1, 8, 6, rows))
    assert np.asarray(decoded.image)[0].tolist() == [[255, 255, 255], [200, 0, 100], [244, 204, 224]]


def test_a_transparent_palette_colour_becomes_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([200, 0, 0, 0, 0, 200])
    image.putpixel((1, 0), 1)
    decoded = decode(encoded(image, "PNG", transparency=0))
    assert np.asarray(decoded.image)[0].tolist() == [[255, 255, 255], [0, 0, 200]]
    assert decoded.conversions == {"palette", "alpha"}


def test_a_transparent_colour_of_an_rgb_image_becomes_white() -> None:
    raw = encoded(quadrants(), "PNG", transparency=RED)
    assert corners(decode(raw).image) == [(255, 255, 255), GREEN, BLUE, GREY]


def test_cmyk_jpeg_has_the_right_colours_as_adobe_stores_them() -> None:
    raw = encoded(quadrants().convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in raw[:200]
    assert_shows_quadrants(decode(raw).image, within=8)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_taken_and_that_is_said(kind: str) -> None:
    decoded = decode(animated(kind))
    assert_shows_quadrants(decoded.image, within=6)
    assert "first frame" in decoded.conversions


def test_a_broken_second_frame_does_not_spoil_the_first() -> None:
    raw = animated("GIF")
    second = raw.index(b"\x21\xf9", raw.index(b"\x21\xf9") + 1)
    decoded = decode(raw[: second + 12])
    assert_shows_quadrants(decoded.image, within=6)


def test_draft_halves_a_jpeg_while_both_sides_stay_long_enough() -> None:
    raw = encoded(photo(400, 304), "JPEG")
    sizes = {px: decode(raw, draft_px=px).image.size for px in (400, 300, 152, 151, 76, 38, 1)}
    assert sizes == {
        400: (400, 304),
        300: (400, 304),
        152: (200, 152),
        151: (200, 152),
        76: (100, 76),
        38: (50, 38),
        1: (50, 38),
    }
    assert decode(raw, draft_px=38).stored_size == (400, 304)


def test_draft_changes_no_other_format() -> None:
    assert decode(encoded(photo(400, 304), "PNG"), draft_px=10).image.size == (400, 304)


def test_draft_and_rotation_go_together() -> None:
    raw = encoded(photo(400, 304), "JPEG", exif=exif(6))
    decoded = decode(raw, draft_px=100)
    assert (decoded.image.size, decoded.stored_size) == ((152, 200), (304, 400))


def test_pixel_arrays_are_images() -> None:
    grey = np.array([[0, 255]], dtype=np.uint8)
    assert grey_rows(grey) == [[0, 255]]
    assert decode(grey).conversions == {"grey"}
    colour = np.asarray(quadrants())
    decoded = decode(colour)
    assert_shows_quadrants(decoded.image)
    assert (decoded.conversions, decoded.content_format) == (frozenset(), None)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros((4,), np.uint8),
        np.zeros((4, 4), np.uint16),
        np.array([None, "x"], dtype=object),
    ],
)
def test_other_arrays_are_refused_with_their_shape(pixels: NDArray[np.uint8]) -> None:
    with pytest.raises(BadImageError, match=r"expected uint8 \(H, W\) or \(H, W, 3\)"):
        decode(pixels)


def test_the_limit_is_on_pixels_and_comes_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_module, "MOST_PIXELS", WIDTH * HEIGHT)
    assert_shows_quadrants(decode(encoded(quadrants(), "PNG")).image)
    monkeypatch.setattr(decode_module, "MOST_PIXELS", WIDTH * HEIGHT - 1)
    header_alone = encoded(quadrants(), "PNG")[:60]
    with pytest.raises(BadImageError, match="million pixels"):
        decode(header_alone)


def test_a_large_image_below_the_limit_is_read_without_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", WIDTH * HEIGHT - 1)
    raw = encoded(quadrants(), "PNG")
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        Image.open(io.BytesIO(raw))
    assert raised, "Pillow itself warns"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_shows_quadrants(decode(raw).image)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP"])
def test_a_picture_whose_alpha_is_zero_everywhere_is_shown_without_it(kind: str) -> None:
    image = quadrants().convert("RGBA")
    image.putalpha(0)
    raw = encoded(image, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {}))
    decoded = decode(clear_bitmap(quadrants()) if kind == "BMP" else raw)
    assert_shows_quadrants(decoded.image)
    assert decoded.conversions == {"alpha of zeros"}


def test_one_pixel_that_shows_is_enough_for_alpha_to_be_meant() -> None:
    image = quadrants().convert("RGBA")
    image.putalpha(0)
    image.putpixel((43, 27), (*GREY, 255))
    decoded = decode(encoded(image, "PNG"))
    assert corners(decoded.image) == [(255, 255, 255)] * 3 + [GREY]
    assert decoded.conversions == {"alpha"}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "I;16", "I;16B"])
def test_an_image_converted_in_bands_of_rows_is_the_same(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if mode.startswith("I"):
        values = np.arange(48 * 32, dtype=">u2" if mode == "I;16B" else "<u2") * 42
        raw = encoded(Image.frombytes(mode, (48, 32), values.tobytes()), "TIFF")
    else:
        image = quadrants().convert(mode)
        if mode != "P":
            image.putalpha(77)
        raw = encoded(image, "PNG", **({"transparency": 1} if mode == "P" else {}))
    whole = decode(raw)
    monkeypatch.setattr(decode_module, "_BAND_PIXELS", 5 * 48)  # 32 rows as 6 bands of 5 and one of 2
    assert decode(raw).image.tobytes() == whole.image.tobytes()
    assert decode(raw).conversions == whole.conversions


def test_orientation_is_read_of_a_png_whose_comment_is_broken() -> None:
    raw = turned(6, "PNG")
    decoded = decode(raw[:33] + broken_chunk(b"tEXt", b"note\0hello") + raw[33:])
    assert_shows_quadrants(decoded.image)
    assert decoded.conversions == {"EXIF rotation"}


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"restart_marker_rows": 1}, {"progressive": True}])
def test_a_jpeg_without_its_end_is_read_only_if_no_pixel_is_missing(options: dict[str, Any]) -> None:
    whole = encoded(photo(64, 48), "JPEG", **options)
    expected = decode(whole).image.tobytes()
    assert decode(whole[:-2]).image.tobytes() == expected
    for missing in (3, 4, 6, 15, 100, 223, 400):
        with pytest.raises(BadImageError, match="truncated"):
            decode(whole[:-missing])


def test_a_progressive_jpeg_cut_between_two_scans_is_truncated() -> None:
    whole = encoded(photo(64, 48), "JPEG", progressive=True)
    with pytest.raises(BadImageError, match="truncated"):
        decode(whole[: whole.rindex(b"\xff\xda")])


@pytest.mark.parametrize(("frame", "bits", "kind"), [(0xC0, 12, "12-bit"), (0xC3, 8, "lossless"), (0xF7, 8, "JPEG-LS")])
def test_a_jpeg_of_a_kind_that_is_not_read_is_called_so_and_not_corrupt(frame: int, bits: int, kind: str) -> None:
    raw = jpeg()
    at = raw.index(b"\xff\xc0")
    with pytest.raises(BadImageError, match=f"^a {kind} JPEG, which is not read"):
        decode(raw[: at + 1] + bytes([frame]) + raw[at + 2 : at + 4] + bytes([bits]) + raw[at + 5 :])


@pytest.mark.parametrize("size", [(1, 60_000), (100_000, 3), (99_000_000, 1)])
def test_a_strip_that_no_memory_could_resize_is_refused_unread(size: tuple[int, int]) -> None:
    with pytest.raises(BadImageError, match=f"PNG of {size[0]} x {size[1]} pixels, a strip: .* over 500 times"):
        decode(png(*size, 8, 0, b""))


def test_a_long_picture_is_none() -> None:
    assert decode(encoded(Image.new("RGB", (1000, 2)), "PNG")).image.size == (1000, 2)


def test_a_tile_larger_than_its_picture_may_be_is_refused_unread() -> None:
    whole = tiff(bits=8, photometric=1, data=bytes([9]) * 256, width=16, height=16, tile_px=16)
    assert grey_rows(whole)[0] == [9] * 16
    with pytest.raises(BadImageError, match="TIFF tile of more than 100 million pixels"):
        decode(tiff(bits=8, photometric=1, data=bytes(256), width=16, height=16, tile_px=60_000))


def test_whatever_is_wrong_with_a_file_the_error_is_ours() -> None:
    draw = np.random.default_rng(3)
    wholes = [
        encoded(photo(24, 16), "PNG"),
        encoded(photo(24, 16), "JPEG"),
        encoded(photo(24, 16), "JPEG", progressive=True),
        turned(6, "PNG"),
        turned(6, "JPEG"),
    ]
    for number in range(600):
        raw = bytearray(wholes[number % len(wholes)])
        for at in draw.integers(0, len(raw), 4):
            raw[at] = draw.choice([0, 0xFF, 0xDA, 0xD9, 0xC0, int(draw.integers(256))])
        cut = int(draw.integers(8, len(raw))) if number % 3 else len(raw)
        with contextlib.suppress(BadImageError):
            decode(bytes(raw[:cut]))
