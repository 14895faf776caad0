"""What the numbers of Parquet files mean: by the class names of each file."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from bench.data.formats.parquet import FileLabels, check_columns, file_labels, image_column, label_column, number_labels
from bench.errors import DataError, RequestError


def held(*values: Any, names: tuple[str, ...] = (), path: str = "file") -> list[FileLabels]:
    return [FileLabels(path, values, names)]


def numbered(**parts: list[FileLabels]) -> tuple[tuple[str, ...], dict[str, list[int]], tuple[str, ...]]:
    found = number_labels("mine", parts, None, None)  # type: ignore[arg-type]
    return found.names, {part: labels.tolist() for part, labels in found.labels.items()}, found.notes


def test_the_numbers_of_each_file_are_read_by_its_own_names() -> None:
    names, labels, (note,) = numbered(
        train=held(0, 1, 1, names=("cat", "dog"), path="a"), test=held(0, 1, names=("dog", "cat"), path="b")
    )
    assert (names, labels) == (("cat", "dog"), {"train": [0, 1, 1], "test": [1, 0]})
    assert note == "The numbers of classes in 'b' are others than in 'a'; each file was read by its own class names."


def test_files_of_one_part_may_differ_and_the_order_is_that_of_trains_first() -> None:
    names, labels, _ = numbered(
        test=held(2, names=("c", "b", "a")),
        train=[*held(0, 1, names=("b", "a")), *held(0, 1, 2, names=("c", "a", "b"))],
    )
    assert (names, labels) == (("b", "a", "c"), {"train": [0, 1, 2, 1, 0], "test": [1]})


def test_names_that_a_file_has_and_does_not_use_are_no_matter() -> None:
    names, labels, _ = numbered(train=held(0, 1, names=("a", "b")), test=held(1, 2, names=("spare", "a", "b")))
    assert (names, labels["test"]) == (("a", "b"), [0, 1])


def test_a_class_that_train_lacks_is_refused_by_its_name() -> None:
    with pytest.raises(DataError, match="class 'bird' of 'b' is in 'test' and not in 'train', which has 'cat', 'dog'"):
        numbered(train=held(0, 1, names=("cat", "dog")), test=held(1, names=("cat", "bird"), path="b"))


def test_a_file_without_names_is_read_by_those_of_the_others_and_noted() -> None:
    _, labels, (note,) = numbered(train=held(0, 1, names=("a", "b"), path="t"), test=held(1, 0, path="u"))
    assert labels["test"] == [1, 0]
    assert note == "'u' has no class names; its numbers were taken to mean those of 't'."


def test_texts_and_named_numbers_are_the_same_classes() -> None:
    names, labels, notes = numbered(train=held("dog", "cat", "bird"), test=held(0, 1, names=("cat", "dog")))
    assert (labels, notes) == ({"train": [names.index("dog"), names.index("cat"), names.index("bird")],
                                "test": [names.index("cat"), names.index("dog")]}, ())  # fmt: skip


def test_an_accent_may_be_a_character_of_its_own() -> None:
    _, labels, _ = numbered(train=held(0, 1, names=("caf\u00e9", "bar")), test=held(1, 0, names=("bar", "cafe\u0301")))
    assert labels["test"] == [0, 1]


@pytest.mark.parametrize("secret", [(-1, -1), (None, None), (-1, None)])
def test_a_part_without_labels_is_left_out_and_noted(secret: tuple[int | None, ...]) -> None:
    _, labels, notes = numbered(train=held(0, 1), test=held(*secret))
    assert (set(labels), notes) == ({"train"}, ("Part 'test' has no labels (-1 or none) and was left out.",))


@pytest.mark.parametrize("names", [(), ("a", "b")])
def test_an_unlabelled_image_among_others_is_no_class_of_its_own(names: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="row 2 of 'train' has the label -1, which says on the hub that there is none"):
        numbered(train=held(0, 1, -1, names=names))


def table(names: list[str], **columns: pa.Array) -> Any:
    features = {column: {"names": names, "_type": "ClassLabel"} for column in columns}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.table(columns).replace_schema_metadata(metadata).schema


@pytest.mark.parametrize("spellings", [["cat", "cat"], ["caf\u00e9", "cafe\u0301"]])
def test_two_classes_of_one_name_are_refused(spellings: list[str]) -> None:
    schema = table(spellings, label=pa.array([0]))
    with pytest.raises(DataError, match=r"'f\.parquet' has two classes called"):
        file_labels("mine", "f.parquet", [0], schema, "label")


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint8(), pa.float32(), pa.float64()])
def test_whole_numbers_of_any_type_are_labels(kind: Any) -> None:
    column = pa.array([1, 0], kind)
    assert file_labels("mine", "f", column.to_pylist(), table(["a", "b"], label=column), "label").values == [1, 0]


def test_a_fraction_is_no_label_and_nan_is_none() -> None:
    schema = table([], label=pa.array([0.5]))
    assert file_labels("mine", "f", [float("nan"), 1.0], schema, "label").values == [None, 1]
    with pytest.raises(DataError, match=r"label 0\.5 of 'f' is no whole number"):
        file_labels("mine", "f", [0.5], schema, "label")


PICTURE = pa.array([{"bytes": b"", "path": "a"}])


@pytest.mark.parametrize(
    ("columns", "expected", "others"),
    [
        ({"label": pa.array([0]), "id": pa.array([0])}, "label", ()),
        ({"label": pa.array([0]), "labels": pa.array([0])}, "label", ("labels",)),
        ({"fine_label": pa.array([0]), "coarse_label": pa.array([0])}, "fine_label", ("coarse_label",)),
        ({"label": pa.array(["a"]).dictionary_encode(), "score": pa.array([0.5])}, "label", ()),
        ({"label": pa.array([1.0]), "id": pa.array([7])}, "label", ()),
        ({"species": pa.array(["a"]), "score": pa.array([0.5])}, "species", ()),
    ],
)
def test_the_label_is_the_column_that_is_called_so(
    columns: dict[str, pa.Array], expected: str, others: tuple[str, ...]
) -> None:
    assert label_column("mine", table([], image=PICTURE, **columns), "image") == (expected, others)


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        ({"label": pa.array([[0, 1]]), "id": pa.array([7])}, "label.*list<"),
        ({"labels": pa.array([{"a": 1}]), "id": pa.array([7])}, "labels.*struct<"),
        ({"label": pa.array([b"a"]), "id": pa.array([7])}, "label.*binary"),
    ],
)
def test_a_label_that_is_not_one_value_is_refused_and_no_other_column_taken(
    columns: dict[str, pa.Array], kind: str
) -> None:
    with pytest.raises(RequestError, match=f"column '{kind}.* one whole number or text a row is expected"):
        label_column("mine", table([], image=PICTURE, **columns), "image")


@pytest.mark.parametrize(
    ("columns", "expected", "others"),
    [
        ({"image": PICTURE, "mask": PICTURE}, "image", ("mask",)),
        ({"img": pa.array([b""], pa.large_binary())}, "img", ()),
        ({"photo": pa.array([b""]).dictionary_encode(), "label": pa.array([0])}, "photo", ()),
    ],
)
def test_the_image_is_the_column_of_bytes_that_is_called_so(
    columns: dict[str, pa.Array], expected: str, others: tuple[str, ...]
) -> None:
    assert image_column("mine", table([], **columns)) == (expected, others)


def test_paths_of_images_that_are_not_in_the_file_are_refused() -> None:
    schema = table([], image=pa.array(["a.png"]), mask=PICTURE)
    with pytest.raises(RequestError, match="column 'image' is of type string, which is no column of images"):
        image_column("mine", schema)


def test_a_file_with_another_schema_is_named() -> None:
    check_columns("mine", "a", table([], image=PICTURE, label=pa.array([0])), "image", "label")
    with pytest.raises(DataError, match="'b' has no column 'label'; it has 'image', 'target'"):
        check_columns("mine", "b", table([], image=PICTURE, target=pa.array([0])), "image", "label")
    with pytest.raises(DataError, match=r"column 'label' of 'c' is of type list<.*, not one label a row"):
        check_columns("mine", "c", table([], image=PICTURE, label=pa.array([[0]])), "image", "label")
