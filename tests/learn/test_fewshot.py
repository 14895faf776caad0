"""Few-shot evaluation: which images are drawn, and top-1 against a solution worked out here from the same features."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.data.generated.randomness import random_order
from bench.data.sets.collection import ImageCollection, LabelledImages, PartName
from bench.errors import CellFailedError, DataError, UnsupportedError
from bench.learn.fewshot import draw_turns, fewshot
from bench.learn.ridge import L2_GRID
from bench.measure.build import build_model
from bench.measure.complexity import count_macs
from bench.measure.weights import LoadedModel
from bench.suite.cell import FewshotCell, Settings

CLASSES = 3


@dataclass(frozen=True)
class Pixels:
    """Images held in memory; remembers which were read."""

    images: NDArray[np.uint8]
    was_read: set[int]

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int) -> NDArray[np.uint8]:
        self.was_read.add(index)
        return np.asarray(self.images[index])


@dataclass(frozen=True)
class Pure:
    """Images of one colour, red, green or blue by label."""

    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, index: int) -> NDArray[np.uint8]:
        image = np.zeros((8, 8, 3), dtype=np.uint8)
        image[:, :, self.labels[index]] = 255
        return image


def coloured(name: str, labels: list[int], seed: int) -> LabelledImages:
    """8 x 8 pictures whose mean colour leans to red, green or blue, by class."""
    random = np.random.default_rng(seed)
    tint = np.eye(3)[labels] * 25 + random.normal(110, 25, (len(labels), 3))
    images = np.clip(tint[:, None, None] + random.normal(0, 20, (len(labels), 8, 8, 3)), 0, 255).astype(np.uint8)
    return LabelledImages(
        Pixels(images, set()), np.array(labels, dtype=np.int64), tuple(f"{name}/{i}" for i in range(len(labels)))
    )


def collection(train: list[int] | None = None) -> ImageCollection:
    parts: dict[PartName, LabelledImages] = {
        "train": coloured("train", train if train is not None else [0, 1, 2] * 20, 1),
        "validation": coloured("validation", [0, 1, 2] * 10, 2),
        "test": coloured("test", [0, 1, 2] * 30, 3),
    }
    return ImageCollection("colours", ("red", "green", "blue"), parts)


class Corners(nn.Module):
    """12 features: the mean colour of each quarter of the image."""

    def forward_features(self, images: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(images, 2)

    def forward_head(self, features: Tensor, pre_logits: bool) -> Tensor:
        return features.flatten(1)


def loaded(model: nn.Module | None = None) -> LoadedModel:
    config = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
    return LoadedModel(model or Corners(), "0123456789abcdef", config)


def make_cell(**changes: object) -> FewshotCell:
    fields: dict[str, object] = {
        "model": "vit_32px_s",  # counted by name; the tests hand over a network of their own
        "num_classes": CLASSES,
        "resolution_px": 8,
        "weights": "random",
        "dataset": "colours",
        "fingerprint": "f" * 16,
        "shots": (1, 5),
        "draws": 2,
        "l2": 2.0**10,
        "resized_px": 8,
        "device": "cpu",
        "settings": Settings(),
    }
    return FewshotCell(**(fields | changes))  # type: ignore[arg-type]


def pixels_of(part: LabelledImages) -> NDArray[np.float64]:
    return np.stack([np.asarray(part.reader.read(i)) for i in range(len(part))]) / 255.0


def features_by_hand(part: LabelledImages) -> NDArray[np.float64]:
    """What Corners gives for the images normalised with mean 0.5 and standard deviation 0.25."""
    quarters = pixels_of(part).reshape(len(part), 2, 4, 2, 4, 3).mean(axis=(2, 4))  # (N, 2, 2, 3)
    return np.asarray(((quarters - 0.5) / 0.25).transpose(0, 3, 1, 2).reshape(len(part), 12))


def test_top1_is_that_of_the_normal_equations_on_the_drawn_images() -> None:
    found, images = fewshot(make_cell(), loaded(), collection()), collection()
    train, validation, test = (images.part(name) for name in ("train", "validation", "test"))
    support = np.concatenate([features_by_hand(train), features_by_hand(validation)])
    labels = np.concatenate([train.labels, validation.labels])
    rows = [row for row in found.values["results"] if row["rule"] == "fixed"]
    assert [(row["shots"], row["draw"]) for row in rows] == [(1, 0), (1, 1), (5, 0), (5, 1)]
    for row in rows:
        drawn = draw_turns(labels, "colours", row["draw"]) < row["shots"]
        mean, std = support[drawn].mean(axis=0), support[drawn].std(axis=0) + 1e-5
        X = np.hstack([(support[drawn] - mean) / std, np.full((drawn.sum(), 1), 100.0)])
        T = np.hstack([(features_by_hand(test) - mean) / std, np.full((len(test), 1), 100.0)])
        Y = np.where(labels[drawn, None] == np.arange(CLASSES), 1.0, -1.0)
        scores = T @ np.linalg.solve(X.T @ X + 2.0**10 * np.eye(13), X.T @ Y)
        assert row["top1_pct"] == pytest.approx((scores.argmax(axis=1) == test.labels).mean() * 100, abs=1e-9)
        assert row["train_images"] == row["shots"] * CLASSES
    assert 40 < rows[-1]["top1_pct"] < 100  # neither chance nor trivial


def test_leave_one_out_is_a_second_row_from_two_images_a_class_on() -> None:
    values = fewshot(make_cell(), loaded(), collection()).values
    chosen = [row for row in values["results"] if row["rule"] == "loo"]
    assert [(row["shots"], row["draw"]) for row in chosen] == [(5, 0), (5, 1)]
    assert all(row["l2"] in L2_GRID for row in chosen)
    assert any("No l2 by leave-one-out with one image a class" in note for note in values["notes"])


def test_an_l2_at_the_end_of_the_grid_is_noted() -> None:
    images = collection()
    pure = {name: replace(part, reader=Pure(part.labels)) for name, part in images.parts.items()}
    values = fewshot(make_cell(shots=(5,), draws=1), loaded(), replace(images, parts=pure)).values
    _, chosen = values["results"]  # targets are linear in the features: the less penalty the better
    assert (chosen["rule"], chosen["l2"], chosen["edge"]) == ("loo", L2_GRID[0], "lowest")
    assert chosen["top1_pct"] == 100.0
    assert any(note.endswith("for: 5-shot draw 0 (lowest).") for note in values["notes"])


def test_the_record_says_what_the_features_and_the_weights_are() -> None:
    model = build_model("vit_32px_s", num_classes=CLASSES, seed=0)
    cell = make_cell(resolution_px=32, resized_px=36)
    values = fewshot(cell, loaded(model), collection()).values
    assert values["layer"] == "class token after final norm"
    assert values["feature_width"] == 48
    assert values["test_images"] == 90
    assert values["weights_sha256"] == "0123456789abcdef"
    assert values["params"] == sum(p.numel() for p in model.parameters())
    assert values["macs"] == count_macs("vit_32px_s", 32, CLASSES)
    assert (values["overlap"], values["overlap_note"]) == (False, "")
    assert values["preprocessing"]["resized_px"] == 36
    assert values["preprocessing"]["crop_px"] == 32


def test_only_drawn_images_and_the_test_part_are_read() -> None:
    images = collection()
    fewshot(make_cell(shots=(1, 2), draws=2), loaded(), images)
    read = {name: part.reader.was_read for name, part in images.parts.items()}  # type: ignore[attr-defined]
    assert len(read["test"]) == 90
    labels = np.array([0, 1, 2] * 30)  # train, then validation
    drawn = {int(i) for draw in (0, 1) for i in np.flatnonzero(draw_turns(labels, "colours", draw) < 2)}
    assert read["train"] == {i for i in drawn if i < 60}
    assert read["validation"] == {i - 60 for i in drawn if i >= 60}
    assert 6 < len(drawn) <= 12


def test_the_same_cell_gives_the_same_results_twice() -> None:
    first, second = (fewshot(make_cell(), loaded(), collection()).values["results"] for _ in range(2))
    assert first == second


def test_a_source_without_a_validation_part_draws_from_train() -> None:
    images = collection()
    without = replace(images, parts={name: part for name, part in images.parts.items() if name != "validation"})
    rows = fewshot(make_cell(shots=(25,)), loaded(), without).values["results"]
    assert rows[0]["train_images"] == 3 * 20


def test_a_class_with_too_few_images_gives_what_it_has_and_is_named() -> None:
    images = collection(train=[0] * 20 + [1] * 20)  # blue is in validation alone, 10 times
    values = fewshot(make_cell(shots=(10, 25)), loaded(), images).values
    assert [row["train_images"] for row in values["results"] if row["draw"] == 0] == [30, 30, 60, 60]
    assert "25-shot: 1 of 3 classes have fewer images, all used: blue (10)." in values["notes"]
    assert not any(note.startswith("10-shot") for note in values["notes"])


def test_images_are_taken_in_a_draw_as_the_class_counts_allow() -> None:
    labels = np.array([0, 0, 0, 1, 2, 2])
    turns = draw_turns(labels, "any", 0)
    assert [sorted(turns[labels == label]) for label in range(3)] == [[0, 1, 2], [0], [0, 1]]


def test_a_class_is_drawn_in_the_random_order_of_all_images() -> None:
    labels = np.array([4, 0, 4, 1, 0, 4, 1, 4])
    order, turns = random_order(8, "any", "few-shot", 2), draw_turns(labels, "any", 2)
    for label in (0, 1, 4):
        assert turns[[i for i in order if labels[i] == label]].tolist() == list(range((labels == label).sum()))


def test_draws_are_balanced_nested_repeatable_and_different() -> None:
    labels = np.repeat(np.arange(7), 40)
    draws = [draw_turns(labels, "any", draw) for draw in range(3)]
    for turns in draws:
        for shots in (1, 5, 10, 25):
            assert np.bincount(labels[turns < shots]).tolist() == [shots] * 7
    supports = [set(np.flatnonzero(turns < 5)) for turns in draws]
    assert set(np.flatnonzero(draws[0] < 1)) < supports[0]
    assert np.array_equal(draws[0], draw_turns(labels, "any", 0))
    assert len(supports[0] | supports[1] | supports[2]) > 70  # of 105 places; equal draws would hold 35
    assert set(np.flatnonzero(draw_turns(labels, "another", 0) < 5)) != supports[0]


@pytest.mark.parametrize("model", ["resnet50.tv_in1k", "resnet50"], ids=["with its tag", "with timm's default tag"])
def test_imagenet_labels_are_not_tested_with_weights_that_learned_them(model: str) -> None:
    with pytest.raises(UnsupportedError, match="would test what it was taught: Trained on ImageNet-1k labels"):
        fewshot(make_cell(model=model, weights="public", dataset="imagenet"), loaded(), collection())


def test_weights_that_saw_imagenet_among_21k_classes_are_marked() -> None:
    cell = make_cell(model="vit_tiny_patch16_224.augreg_in21k", weights="public", dataset="imagenet", resolution_px=224)
    values = fewshot(cell.model_copy(update={"resized_px": 224}), loaded(), collection()).values
    assert values["overlap"] is True
    assert "ImageNet-21k" in values["overlap_note"]


def test_features_that_are_no_numbers_fail_the_cell() -> None:
    class Broken(Corners):
        def forward_features(self, images: Tensor) -> Tensor:
            return super().forward_features(images) * torch.nan

    with pytest.raises(CellFailedError, match="not finite"):
        fewshot(make_cell(), loaded(Broken()), collection())


def test_features_that_tell_no_image_from_another_are_told() -> None:
    class Dead(Corners):
        def forward_head(self, features: Tensor, pre_logits: bool) -> Tensor:
            return super().forward_head(features, pre_logits) * 0

    values = fewshot(make_cell(shots=(5,), draws=1), loaded(Dead()), collection()).values
    assert [row["top1_pct"] for row in values["results"]] == pytest.approx([100 / 3, 100 / 3])
    assert values["tied_scores"].startswith("In 2 of 2 fits several classes share an image's best score")
    assert "tied_scores" not in fewshot(make_cell(), loaded(), collection()).values


def test_nothing_to_test_on_is_said() -> None:
    images = collection()
    empty = replace(images, parts={**images.parts, "test": images.part("test").take([])})
    with pytest.raises(DataError, match="no test images"):
        fewshot(make_cell(), loaded(), empty)


def test_a_row_of_more_shots_than_some_class_has_images_says_how_many_classes_and_how_few() -> None:
    # red has 12 images in train and validation together, the others 30 each
    few = collection([0, 0, *[1, 2] * 20])
    rows = fewshot(make_cell(shots=(12, 13, 25), draws=1), loaded(), few).values["results"]
    found = {row["shots"]: (row.get("short_classes"), row.get("fewest_images")) for row in rows}
    assert found == {12: (None, None), 13: (1, 12), 25: (1, 12)}
