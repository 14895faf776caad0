from __future__ import annotations

import torch

from bench.learn.augment import shift


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
