from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.data.generated.randomness import Words, uniform_of_words
from bench.learn.augment import WORDS_PER_IMAGE, crop_boxes, flips, image_words, shift, show, show_whole


def test_a_shift_of_nothing_is_the_image_itself() -> None:
    images = torch.arange(2 * 3 * 4 * 4).float().reshape(2, 3, 4, 4)
    words = torch.full((2, 2), 1)  # reach 1: word % 3 = 1 is the middle
    assert torch.equal(shift(images, 1, words), images)


def test_words_decide_the_direction_and_edges_are_repeated() -> None:
    image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]).expand(1, 3, 2, 2)
    down_right = shift(image, 1, torch.tensor([[0, 0]]))  # the window moves up and left
    assert down_right[0, 0].tolist() == [[1.0, 1.0], [1.0, 1.0]]
    up_left = shift(image, 1, torch.tensor([[2, 2]]))
    assert up_left[0, 2].tolist() == [[4.0, 4.0], [4.0, 4.0]]


def test_each_image_of_a_batch_moves_on_its_own() -> None:
    image = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).expand(2, 3, 2, 2)
    moved = shift(image, 1, torch.tensor([[1, 1], [1, 2]]))
    assert moved.shape == (2, 3, 2, 2)
    assert moved[0, 0].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert moved[1, 0].tolist() == [[2.0, 2.0], [4.0, 4.0]]


def words_of(index: list[int], epochs: list[int], seed: int = 0, images: int = 1000) -> Words:
    return image_words(seed, np.array(epochs), np.array(index), images)


def test_words_belong_to_seed_epoch_and_image_and_to_nothing_else() -> None:
    three = words_of([5, 900, 5], [0, 0, 1])
    assert three.shape == (3, WORDS_PER_IMAGE)
    assert np.array_equal(three[[2, 0]], words_of([5, 5], [1, 0], images=6))  # another order, number and pool
    assert len(np.unique(np.concatenate([three, words_of([5], [0], seed=1)]))) == 4 * WORDS_PER_IMAGE


def test_words_are_what_they_were() -> None:
    assert words_of([3], [2], seed=1)[0, :2].tolist() == [6185445839542228415, 2039690007907163380]


def test_words_are_uniform_and_flip_every_other_image() -> None:
    words = words_of(list(range(1000)), [0] * 1000)
    assert abs(uniform_of_words(words).mean() - 0.5) < 0.01  # its spread is 0.29 / sqrt(23,000) = 0.002
    assert abs(flips(words).mean() - 0.5) < 0.06  # 4 x 0.5 / sqrt(1,000)


@pytest.mark.parametrize("size", [(100, 100), (200, 100), (60, 300)])
def test_inception_crops_have_the_area_and_the_aspect_of_the_original(size: tuple[int, int]) -> None:
    words = words_of(list(range(1000)), [0] * 1000)
    sizes = np.tile(np.array(size, dtype=np.int32), (1000, 1))
    boxes = crop_boxes("inception", words, sizes, stored_px=80, resolution_px=64)
    area = boxes[:, 2] * boxes[:, 3]
    aspect = boxes[:, 2] * size[0] / (boxes[:, 3] * size[1])  # in the original's pixels
    assert boxes.dtype == np.float32
    assert (boxes >= 0).all()
    assert (boxes[:, :2] + boxes[:, 2:] <= 1 + 1e-6).all()
    assert area.min() >= 0.05 - 1e-6
    assert (aspect >= 3 / 4 - 1e-5).all()
    assert (aspect <= 4 / 3 + 1e-5).all()
    assert area.min() < 0.08  # the whole range is used
    assert area.max() > 0.9 * min(1, 4 / 3 * size[1] / size[0], 4 / 3 * size[0] / size[1])


def test_an_image_that_no_attempt_fits_shows_all_of_its_short_side() -> None:
    words = words_of(list(range(1000)), [0] * 1000)
    sizes = np.tile(np.array([10_000, 100], dtype=np.int32), (1000, 1))
    boxes = crop_boxes("inception", words, sizes, stored_px=80, resolution_px=64)
    assert np.allclose(boxes[:, 2:], [4 / 3 * 100 / 10_000, 1])
    assert boxes[:, 0].std() > 0.2  # anywhere along the long side


def test_random_crops_are_whole_pixels_of_every_place() -> None:
    words = words_of(list(range(1000)), [0] * 1000)
    boxes = crop_boxes("random", words, np.full((1000, 2), 9, dtype=np.int32), stored_px=10, resolution_px=8)
    corners = np.round(boxes[:, :2] * 10).astype(int)
    assert np.allclose(boxes[:, :2] * 10, corners, atol=1e-5)
    assert {tuple(corner) for corner in corners.tolist()} == {(x, y) for x in range(3) for y in range(3)}
    assert np.allclose(boxes[:, 2:], 0.8)


def test_a_box_of_whole_pixels_shows_these_pixels() -> None:
    pixels = torch.arange(2 * 5 * 5 * 3, dtype=torch.uint8).reshape(2, 5, 5, 3)
    boxes = torch.tensor([[0.2, 0.4, 0.6, 0.6], [0.0, 0.0, 0.6, 0.6]])
    shown = show(pixels, boxes, 3)
    assert shown.shape == (2, 3, 3, 3)
    assert shown.is_contiguous()
    assert torch.allclose(shown[0] * 255, pixels[0, 2:5, 1:4].permute(2, 0, 1).float(), atol=1e-3)
    assert torch.allclose(shown[1] * 255, pixels[1, 0:3, 0:3].permute(2, 0, 1).float(), atol=1e-3)


def test_a_negative_width_mirrors() -> None:
    pixels = torch.randint(0, 256, (1, 6, 6, 3), dtype=torch.uint8)
    straight = show(pixels, torch.tensor([[0.1, 0.2, 0.7, 0.5]]), 4)
    mirrored = show(pixels, torch.tensor([[0.8, 0.2, -0.7, 0.5]]), 4)
    assert torch.allclose(mirrored, straight.flip(3), atol=1e-5)


def test_between_pixels_values_are_interpolated() -> None:
    ramp = torch.arange(0, 80, 10, dtype=torch.uint8).reshape(1, 1, 8, 1).expand(1, 8, 8, 3)
    shown = show(ramp, torch.tensor([[0.25, 0.25, 0.5, 0.5]]), 8)  # twice as large: pixels 2 to 6
    # The centre of output j lies at 2 + (j + 0.5) / 2 from the left edge, and a pixel's value at its centre.
    expected = [10 * (2 + (j + 0.5) / 2 - 0.5) for j in range(8)]
    assert (shown[0, 0, 0] * 255).tolist() == pytest.approx(expected, abs=1e-3)


def test_whole_images_of_the_resolution_are_not_changed_but_mirrored() -> None:
    pixels = torch.randint(0, 256, (2, 4, 4, 3), dtype=torch.uint8)
    shown = show_whole(pixels, torch.tensor([False, True]), 4)
    assert torch.equal(shown[0], pixels[0].permute(2, 0, 1) / 255)
    assert torch.equal(shown[1], pixels[1].flip(1).permute(2, 0, 1) / 255)


def test_whole_images_shrink_by_averaging() -> None:
    checks = ((torch.arange(8)[:, None] + torch.arange(8)) % 2 * 255).to(torch.uint8)
    shown = show_whole(checks[None, :, :, None].expand(1, 8, 8, 3), None, 2)
    assert (shown - 0.5).abs().max() < 0.05  # sampling single pixels would give 0 or 1
