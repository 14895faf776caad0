"""Contact sheets: the images of each class in its row, and names beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from commands import Done, vitbench
from PIL import Image

from bench.data.generated.corpora import draw_block, find_corpus
from bench.data.preflight.contact_sheet import (
    GAP,
    LEAST_TILE_PX,
    MARGIN,
    Sheet,
    draw_sheet,
    sheet_of_corpus,
    sheet_of_images,
)
from bench.data.sets.collection import LabelledImages
from bench.data.sets.open import ArrayReader

ROOT = Path(__file__).resolve().parents[2]


def test_a_corpus_shows_its_first_images_of_each_class() -> None:
    corpus = find_corpus("mix-64", 32)
    sheet = sheet_of_corpus(corpus, classes=3, columns=4)
    assert sheet.names == ("fractal 0", "ring 0", "fractal 1")
    first, second = draw_block(corpus, "train", 0)[0], draw_block(corpus, "train", 1)[0]
    for label, row in enumerate(sheet.rows):
        expected = [first[label], first[64 + label], second[label], second[64 + label]]
        assert all(np.array_equal(a, b) for a, b in zip(row, expected, strict=True))


def test_blocks_without_the_first_classes_are_passed_over() -> None:
    sheet = sheet_of_corpus(find_corpus("rings-1000", 32), classes=2, columns=3)
    assert [len(row) for row in sheet.rows] == [3, 3]


def test_images_of_a_set_stand_in_the_row_of_their_class() -> None:
    images = np.zeros((6, 20, 20, 3), dtype=np.uint8)
    images[:, :, :, 0] = np.arange(6)[:, None, None] * 40
    part = LabelledImages(ArrayReader(images), np.array([1, 0, 1, 0, 1, 1]), tuple("abcdef"))
    sheet = sheet_of_images(part, ("zero", "one", "none"), classes=3, columns=3, side_px=20)
    assert [[int(image[0, 0, 0]) // 40 for image in row] for row in sheet.rows] == [[1, 3], [0, 2, 4], []]


def test_small_images_are_enlarged_without_being_blurred() -> None:
    image = np.zeros((32, 32, 3), dtype=np.uint8)
    image[::2] = 255
    drawn = draw_sheet(Sheet(("one",), ((image,),)))
    tile = np.asarray(drawn)[MARGIN : MARGIN + LEAST_TILE_PX, -MARGIN - GAP - LEAST_TILE_PX : -MARGIN - GAP]
    assert np.array_equal(np.unique(tile), [0, 255])
    assert np.array_equal(tile[::2][:, 0, 0], tile[1::2][:, 0, 0])


def show(*arguments: str, cwd: Path) -> Done:
    return vitbench("data", "show", *arguments, cwd=cwd, HOME=str(cwd))


def test_the_command_writes_where_it_says(tmp_path: Path) -> None:
    done = show("tilts", "--classes", "2", "--columns", "3", "--out", "sheet.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "sheet.png: 6 images of 2 classes of tilts" in done.stdout
    with Image.open(tmp_path / "sheet.png") as drawn:
        assert drawn.height == 2 * MARGIN + 2 * (LEAST_TILE_PX + GAP)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["fractels-100"], "Did you mean 'fractals-1000'?"),
        (["fractals-5"], "it can have 64 to 10,000"),
        (["mix-64", "--resolution", "500"], "32 to 224 px"),
        (["tilts", "--out", "nowhere/x.png"], "cannot be written"),
    ],
)
def test_what_cannot_be_shown_is_said_in_a_line(arguments: list[str], reason: str, tmp_path: Path) -> None:
    done = show(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
