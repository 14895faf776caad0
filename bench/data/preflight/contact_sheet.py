"""A contact sheet: some images of every class of a data set side by side, for a person to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bench.data.decoding.decode import ToSquare
from bench.data.generated.corpora import Corpus, draw_block
from bench.data.generated.small_sets import BLOCK_IMAGES
from bench.data.sets.collection import LabelledImages

LEAST_TILE_PX = 64  # smaller images are shown enlarged by a whole factor
GAP, MARGIN, NAME_PX = 4, 8, 12  # pixels; the height of a name's letters
LONGEST_NAME = 28  # characters
WHITE, BLACK = 255, (34, 34, 34)


@dataclass(frozen=True)
class Sheet:
    """names: (C,). rows: for each class its images, (R, R, 3), uint8 each, all of one side."""

    names: tuple[str, ...]
    rows: tuple[tuple[NDArray[np.uint8], ...], ...]


def sheet_of_corpus(corpus: Corpus, classes: int, columns: int) -> Sheet:
    """The first training images of the first classes; of a corpus with so many or more."""
    rows: list[list[NDArray[np.uint8]]] = [[] for _ in range(min(classes, corpus.num_classes))]
    block = 0
    while any(len(row) < columns for row in rows):
        # blocks that hold none of the first classes are passed over, in a corpus of thousands of them
        first = block * BLOCK_IMAGES % corpus.num_classes
        if first < len(rows) or first + BLOCK_IMAGES > corpus.num_classes:
            pixels, labels = draw_block(corpus, "train", block)
            for image, label in zip(pixels, labels.tolist(), strict=True):
                if label < len(rows) and len(rows[label]) < columns:
                    rows[label].append(image)
        block += 1
    return Sheet(corpus.class_names[: len(rows)], tuple(tuple(row) for row in rows))


def sheet_of_images(
    part: LabelledImages, class_names: Sequence[str], classes: int, columns: int, side_px: int
) -> Sheet:
    """The first images of the first classes of a part, each made a square of side_px.

    Raises DataError and BadImageError for images that cannot be read.
    """
    to_square = ToSquare(side_px, "square")
    rows = []
    for label in range(min(classes, len(class_names))):
        chosen = np.flatnonzero(part.labels == label)[:columns]
        rows.append(tuple(to_square(part.reader.read(int(i)))[0] for i in chosen))
    return Sheet(tuple(class_names[: len(rows)]), tuple(rows))


def draw_sheet(sheet: Sheet) -> Image.Image:
    """One row for each class with its name at the left. Raises ValueError for a sheet without an image."""
    side = next(image.shape[0] for row in sheet.rows for image in row)
    tile = side * max(1, -(-LEAST_TILE_PX // side))
    font = ImageFont.load_default(size=NAME_PX)
    names = [name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 3]}..." for name in sheet.names]
    left = MARGIN + round(max(font.getlength(name) for name in names)) + MARGIN
    columns = max(len(row) for row in sheet.rows)
    size = (left + columns * (tile + GAP) + MARGIN, 2 * MARGIN + len(sheet.rows) * (tile + GAP))
    drawn = Image.new("RGB", size, (WHITE,) * 3)
    pen = ImageDraw.Draw(drawn)
    for index, (name, row) in enumerate(zip(names, sheet.rows, strict=True)):
        top = MARGIN + index * (tile + GAP)
        pen.text((left - MARGIN, top + tile / 2), name, fill=BLACK, font=font, anchor="rm")
        for column, image in enumerate(row):
            shown = Image.fromarray(image).resize((tile, tile), Image.Resampling.NEAREST)
            drawn.paste(shown, (left + column * (tile + GAP), top))
    return drawn
