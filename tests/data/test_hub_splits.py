"""Which files of a hub's data set become which part."""

from __future__ import annotations

import pytest

from bench.data.formats.hub_splits import choose_splits
from bench.errors import DataError, RequestError


def splits_of(*names: str, wanted: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """Part -> names of the splits taken, for a set with one file of each of these splits."""
    found = choose_splits("mine", [f"data/{name}.parquet" for name in names], wanted)
    return {
        part: [path.removeprefix("data/").removesuffix(".parquet") for path in paths]
        for part, paths in found.paths.items()
    }


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("train", "validation", "test"), {"train": ["train"], "validation": ["validation"], "test": ["test"]}),
        (("training", "dev", "eval"), {"train": ["training"], "validation": ["dev"], "test": ["eval"]}),
        # VTAB's dumps: the two joined hold the images of both
        (
            ("train800", "val200", "train800val200", "test"),
            {"train": ["train800"], "validation": ["val200"], "test": ["test"]},
        ),
        (("train", "trainval", "val", "test"), {"train": ["train"], "validation": ["val"], "test": ["test"]}),
        (("train", "train_full", "test"), {"train": ["train"], "test": ["test"]}),
        (("train", "train_clean", "test", "test2"), {"train": ["train"], "test": ["test"]}),
        (("trainval", "test"), {"train": ["trainval"], "test": ["test"]}),  # Pets, as its authors have it
        (("train+val", "val", "test"), {"validation": ["val"], "test": ["test"]}),
        (("train", "test", "eval"), {"train": ["train"], "test": ["test"]}),
        (("train[:90%]", "train[90%:]test"), {"train": ["train[:90%]"]}),
        (("mnist_train", "mnist_test"), {"train": ["mnist_train"], "test": ["mnist_test"]}),
        (("train-set", "test_images"), {"train": ["train-set"], "test": ["test_images"]}),
        (("train", "unsupervised", "retrieval"), {"train": ["train"]}),
        (("everything",), {"train": ["everything"]}),
    ],
)
def test_each_part_is_one_split(names: tuple[str, ...], expected: dict[str, list[str]]) -> None:
    assert splits_of(*names) == expected


@pytest.mark.parametrize(
    ("names", "named"),
    [
        (("train", "test1", "test2"), "'test1', 'test2' could each be its test part"),
        (
            ("train", "validation_matched", "validation_mismatched"),
            "'validation_matched', 'validation_mismatched' could",
        ),
        (("train_clean", "train_other", "test"), "'train_clean', 'train_other' could each be its train part"),
        (("train", "dev", "val"), "'dev', 'val' could each be its validation part"),
    ],
)
def test_splits_among_which_nothing_decides_are_named(names: tuple[str, ...], named: str) -> None:
    with pytest.raises(DataError, match=f"{named}.* Choose: hf:owner/name@REVISION#"):
        splits_of(*names)


def test_the_user_can_choose_splits_also_several_for_a_part() -> None:
    found = splits_of("train", "test1", "test2", "extra_val", wanted=("test1", "train", "test2"))
    assert found == {"train": ["train"], "test": ["test1", "test2"]}
    with pytest.raises(
        RequestError, match="has no split 'test3'; its splits are 'extra_val', 'test1', 'test2', 'train'"
    ):
        splits_of("train", "test1", "test2", "extra_val", wanted=("test3",))


def test_what_is_left_out_and_what_stands_for_a_part_is_noted() -> None:
    notes = choose_splits("mine", ["train800.parquet", "train800val200.parquet", "test.parquet", "x.parquet"]).notes
    assert notes == (
        "Split 'train800' was taken as train: no split is called so alone.",
        "Splits beside those taken as train, test were left out, as they may hold the same: 'train800val200'.",
        "Files that are of no part were left out: 'x.parquet'.",
    )
    assert choose_splits("mine", ["train.parquet", "val.parquet", "test.parquet"]).notes == ()


def shards(split: str, *numbers: int, of: int, upload: str = "") -> list[str]:
    return [f"data/{split}-{number:05d}-of-{of:05d}{upload}.parquet" for number in numbers]


@pytest.mark.parametrize(
    ("paths", "problem"),
    [
        (shards("train", 0, 2, of=3), "comes in 3 shards, and shard 1 is not there"),
        (shards("train", 0, of=2), "comes in 2 shards, and shard 1 is not there"),
        (shards("train", 0, 1, of=2) + shards("train", 0, of=1), "in 1 and in 2 shards"),
        (shards("train", 0, of=1, upload="-" + "a" * 16) + shards("train", 0, of=1, upload="-" + "b" * 16), "twice"),
        (["data/train.parquet", *shards("train", 0, of=1)], "in shards and without"),
    ],
)
def test_a_split_whose_shards_are_not_all_there_once_is_refused(paths: list[str], problem: str) -> None:
    with pytest.raises(DataError, match=f"split 'train' .*{problem}"):
        choose_splits("mine", [*paths, *shards("test", 0, of=1)])


def test_shards_count_from_naught_or_from_one() -> None:
    for first in (0, 1):
        paths = shards("train", first, first + 1, of=2)
        assert choose_splits("mine", paths).paths == {"train": paths}


def test_shards_of_a_split_that_is_left_out_do_not_matter() -> None:
    paths = [*shards("train", 0, of=1), *shards("train_full", 0, of=7)]
    assert choose_splits("mine", paths).paths == {"train": shards("train", 0, of=1)}


def test_a_split_may_be_a_folder() -> None:
    paths = ["default/test/0000.parquet", "default/train/0000.parquet", "default/train/0001.parquet"]
    assert choose_splits("mine", paths).paths == {"train": paths[1:], "test": paths[:1]}
