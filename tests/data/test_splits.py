"""Parts split off train: stratified, whole groups, saved, and the same whatever the order of the images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bench.data.sets.collection import PART_NAMES, ImageCollection, LabelledImages, PartName
from bench.data.sets.splits import SHARES, split_parts, was_split_here, with_all_parts
from bench.errors import DataError


@dataclass(frozen=True)
class Names:
    """A reader whose images are their own keys."""

    keys: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, index: int) -> bytes:
        return self.keys[index].encode()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VITBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "splits"


def part_of(labels: str, prefix: str = "", groups: Sequence[str] | None = None) -> LabelledImages:
    """labels: a letter per image."""
    keys = tuple(f"{prefix}{label}/{i:03d}.png" for i, label in enumerate(labels))
    return LabelledImages(
        reader=Names(keys),
        labels=np.array(["abc".index(label) for label in labels], np.int64),
        keys=keys,
        groups=None if groups is None else tuple(groups),
    )


def collection_of(train: LabelledImages, **others: LabelledImages) -> ImageCollection:
    parts: dict[PartName, LabelledImages] = {"train": train}
    parts |= {name: others[name] for name in PART_NAMES if name in others}
    return ImageCollection("mine", ("a", "b", "c"), parts)


def counts(collection: ImageCollection) -> dict[str, list[int]]:
    return {name: np.bincount(part.labels, minlength=3).tolist() for name, part in collection.parts.items()}


def test_a_fifth_is_test_and_a_tenth_of_the_rest_is_validation_in_each_class() -> None:
    split = with_all_parts(collection_of(part_of("a" * 100 + "b" * 50 + "c" * 3)))
    assert counts(split) == {"train": [72, 36, 1], "validation": [8, 4, 1], "test": [20, 10, 1]}
    keys = [key for part in split.parts.values() for key in part.keys]
    assert len(keys) == len(set(keys)) == 153


def test_images_keep_their_labels_and_bytes() -> None:
    split = with_all_parts(collection_of(part_of("ab" * 20 + "c" * 5)))
    for part in split.parts.values():
        for i, key in enumerate(part.keys):
            assert part.reader.read(i) == key.encode()
            assert split.class_names[part.labels[i]] == key[0]


def test_the_split_does_not_depend_on_the_order_of_the_images() -> None:
    images = part_of("ab" * 30)
    backwards = images.take(range(59, -1, -1))
    first, second = split_parts(collection_of(images)), split_parts(collection_of(backwards))
    for name in PART_NAMES:
        assert set(first.parts[name].keys) == set(second.parts[name].keys)
    by_name = sorted(key for key in images.keys if key.startswith("a"))
    assert {key for key in first.parts["test"].keys if key.startswith("a")} != set(by_name[:6])  # nor is it by name


def test_the_split_does_not_depend_on_the_unicode_form_of_the_keys() -> None:
    chosen = []
    for form in ("caf\u00e9 ", "cafe\u0301 "):  # of Linux, of macOS
        split = split_parts(collection_of(part_of("a" * 40 + "b" * 40, prefix=form)))
        chosen.append([key.removeprefix(form) for key in split.part("test").keys])
    assert chosen[0] == chosen[1]


def test_only_the_missing_part_is_made() -> None:
    test = part_of("abc", prefix="test/")
    split = with_all_parts(collection_of(part_of("a" * 20 + "b" * 20 + "c" * 2), test=test))
    assert counts(split) == {"train": [18, 18, 1], "validation": [2, 2, 1], "test": [1, 1, 1]}
    assert split.parts["test"] is test


def test_a_set_with_all_parts_is_left_alone(cache: Path) -> None:
    images = part_of("abc")
    whole = collection_of(images, validation=part_of("abc", "v/"), test=part_of("abc", "t/"))
    assert with_all_parts(whole) is whole
    assert not cache.exists()


def test_groups_are_kept_whole() -> None:
    groups = [f"patient {i // 4}" for i in range(120)]  # 30 groups of four images, two of each class
    split = with_all_parts(collection_of(part_of("aabb" * 30, groups=groups)))
    held = {name: set(part.groups or ()) for name, part in split.parts.items()}
    assert sum(len(names) for names in held.values()) == len(set().union(*held.values())) == 30
    # A fifth of 60 is 12, a tenth of the remaining 48 is 4.8: two groups or three are equally near.
    assert counts(split) == {"train": [44, 44, 0], "validation": [4, 4, 0], "test": [12, 12, 0]}
    assert "groups kept whole" in split.notes[-1]


def test_groups_larger_than_a_part_still_reach_every_part() -> None:
    groups = ["large"] * 20 + ["middle"] * 6 + ["small"] * 4
    split = split_parts(collection_of(part_of("a" * 30 + "b" * 30, groups=[*groups, *(f"b{i}" for i in range(30))])))
    assert all(min(counted[:2]) > 0 for counted in counts(split).values())
    assert Counter(len({g for g in part.groups or () if g[0] != "b"}) for part in split.parts.values()) == {1: 3}


def test_a_class_with_too_few_images_is_named() -> None:
    with pytest.raises(DataError, match=r"class 'c' has too few images to split \(2; each of 3 parts needs one\)"):
        with_all_parts(collection_of(part_of("a" * 10 + "b" * 10 + "cc")))


def test_a_train_part_without_images_cannot_be_split() -> None:
    with pytest.raises(DataError, match="Data set 'mine' has no 'train' images that could be split"):
        with_all_parts(collection_of(part_of("")))


def test_a_class_with_too_few_groups_is_named() -> None:
    groups = [*(f"g{i}" for i in range(10)), *["x"] * 5, *["y"] * 5]
    with pytest.raises(DataError, match=r"class 'b' has too few groups of images to split \(2;"):
        with_all_parts(collection_of(part_of("a" * 10 + "b" * 10, groups=groups)))


def test_a_class_that_train_lacks_is_named() -> None:
    with pytest.raises(DataError, match="class 'c' is in 'test' and not in 'train'"):
        with_all_parts(collection_of(part_of("ab" * 10), test=part_of("abc")))


def test_a_set_without_train_is_refused() -> None:
    with pytest.raises(DataError, match="has no 'train' part"):
        with_all_parts(ImageCollection("mine", ("a", "b", "c"), {"test": part_of("abc")}))


def test_a_saved_split_is_used_even_if_the_rule_would_now_give_another(cache: Path) -> None:
    images = collection_of(part_of("ab" * 10))
    with_all_parts(images)
    (file,) = cache.iterdir()
    lines = file.read_text().splitlines()
    by_part = {line.split(",")[1]: i for i, line in enumerate(lines[1:], start=1) if line.startswith("a/")}
    for one, other in (("train", "test"), ("test", "train")):
        lines[by_part[one]] = lines[by_part[one]].split(",")[0] + f",{other}"
    file.write_text("\n".join(lines))
    moved = lines[by_part["train"]].split(",")[0]
    assert moved in with_all_parts(images).parts["test"].keys


def test_other_images_other_labels_and_other_shares_have_files_of_their_own(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = part_of("ab" * 10)
    with_all_parts(collection_of(images))
    with_all_parts(collection_of(images.take(range(19))))
    with_all_parts(collection_of(LabelledImages(images.reader, images.labels[::-1].copy(), images.keys)))
    with_all_parts(collection_of(images.take(range(19, -1, -1))))  # the first again
    monkeypatch.setitem(SHARES, "validation", 0.2)
    with_all_parts(collection_of(images))
    assert len(list(cache.iterdir())) == 4


def test_the_note_says_what_was_done_and_where_it_is_kept(cache: Path) -> None:
    split = with_all_parts(collection_of(part_of("ab" * 50)))
    (file,) = cache.iterdir()
    assert was_split_here(split)
    assert split.notes == (
        "Split made here: 'test' (20 images) and 'validation' (8 images) taken out of 'train' (72 images left), "
        "stratified by class in the order of the keys' SHA-256, 20 % of each class for test, 10 % of the rest for "
        f"validation; saved as splits/{file.name} in the cache.",
    )


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda text: text.replace("key,part", "a,b"), "line 1 is not 'key,part'"),
        (lambda text: text.replace(",test", ",exam", 1), "is not a new key and one of"),
        (lambda text: text[: text.index("b/")], "it has 10 keys, and not those of the 20 images"),
        (lambda text: text.replace("a/", '"a/', 1), "is damaged"),
        (lambda text: "", "line 1 is not"),
        (lambda text: text + "a/000.png,train\r\n", "is not a new key"),
    ],
)
def test_a_damaged_saved_split_is_not_used(cache: Path, damage, problem: str) -> None:  # type: ignore[no-untyped-def]
    images = collection_of(part_of("ab" * 10))
    with_all_parts(images)
    (file,) = cache.iterdir()
    file.write_text(damage(file.read_text()))
    with pytest.raises(DataError, match=problem):
        with_all_parts(images)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setenv("VITBENCH_CACHE", str(tmp_path / "taken"))
    with pytest.raises(DataError, match="Set VITBENCH_CACHE to a folder that can be written"):
        with_all_parts(collection_of(part_of("ab" * 10)))


def test_keys_with_commas_quotes_and_newlines_survive_being_saved() -> None:
    images = part_of("ab" * 10)
    odd = tuple(f'{key}, "x"\r\n' for key in images.keys)
    collection = collection_of(LabelledImages(Names(odd), images.labels, odd))
    assert with_all_parts(collection).parts["test"].keys == with_all_parts(collection).parts["test"].keys
