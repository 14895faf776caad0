import json

import numpy as np
import pytest

from bench.errors import StoreError
from bench.store.inspections import (
    Facts,
    Inspection,
    Picture,
    Tokens,
    Weights,
    inspection_id,
    quantised,
    read_inspection,
    read_inspections,
    restored,
    write_inspection,
)


def make(model="vit_32px_s", family="vit", picture="china", number=1, **more):
    facts = Facts(
        inspection_id=f"{number:016x}",
        model=model,
        title=model,
        family=family,
        weights=Weights(kind="random", seed=0),
        picture=Picture(name=picture, sha256="0" * 16),
        resolution_px=4,
        tokens=Tokens(kind="patches", rows=3, columns=4, stride_px=1),
        layers=2,
        **more,
    )
    maps = np.linspace(0, 1, 2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
    return Inspection(facts, {"image": np.arange(48, dtype=np.uint8).reshape(4, 4, 3), "rollout": maps})


def test_what_is_written_is_read_again(tmp_path):
    made = make(absent={"filters": "none"}, attention_distance_px=((1.5, 2.0),), notes=("a note",))
    path = write_inspection(tmp_path, made)
    read = read_inspection(path)
    assert path == tmp_path / "inspections" / f"{1:016x}.json"
    assert read.facts == made.facts
    assert np.array_equal(read.arrays["image"], made.arrays["image"])
    # each map has a step of its largest value / 255, and rounding errs by half a step
    assert np.abs(read.arrays["rollout"] - made.arrays["rollout"]).max() <= 0.5 / 255 * 1.0001


def test_the_same_inspection_gives_the_same_bytes(tmp_path):
    paths = [write_inspection(tmp_path / name, make()) for name in ("a", "b")]
    for suffix in (".json", ".npz"):
        assert paths[0].with_suffix(suffix).read_bytes() == paths[1].with_suffix(suffix).read_bytes()


def test_nothing_but_the_two_files_is_left(tmp_path):
    write_inspection(tmp_path, make())
    assert sorted(path.suffix for path in (tmp_path / "inspections").iterdir()) == [".json", ".npz"]


def test_inspections_are_read_in_the_order_of_families_and_models(tmp_path):
    for number, (model, family) in enumerate([("resnet", "cnn"), ("b", "vit"), ("mix", "hybrid"), ("a", "vit")]):
        write_inspection(tmp_path, make(model, family, number=number))
    assert [one.facts.model for one in read_inspections(tmp_path).inspections] == ["a", "b", "mix", "resnet"]


def test_a_folder_without_inspections_has_none(tmp_path):
    assert read_inspections(tmp_path).inspections == []


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda json_path: json_path.write_text("{"), "is none"),
        (lambda json_path: json_path.write_text('{"format_version": 2}'), "format version 2"),
        (lambda json_path: json_path.with_suffix(".npz").write_bytes(b"PK torn"), "is none"),
        (lambda json_path: json_path.with_suffix(".npz").unlink(), "No such file"),
        (lambda json_path: json_path.write_text(json.dumps({"format_version": 1})), "inspection_id"),
    ],
)
def test_a_spoilt_inspection_is_passed_over_with_a_warning(tmp_path, spoil, words):
    path = write_inspection(tmp_path, make())
    write_inspection(tmp_path, make(number=2))
    spoil(path)
    read = read_inspections(tmp_path)
    assert [one.facts.inspection_id for one in read.inspections] == [f"{2:016x}"]
    assert len(read.warnings) == 1
    assert words in read.warnings[0]


def test_a_pickled_array_is_never_opened(tmp_path):
    path = write_inspection(tmp_path, make())
    np.savez(path.with_suffix(".npz"), image=np.array([{"run": "me"}], dtype=object))
    with pytest.raises(StoreError, match="allow_pickle"):
        read_inspection(path)


def test_arrays_of_another_shape_than_the_facts_say_are_refused(tmp_path):
    path = write_inspection(tmp_path, make())
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"resolution_px": 5}))
    with pytest.raises(StoreError, match="image"):
        read_inspection(path)


def test_a_folder_that_cannot_be_written_is_a_store_error(tmp_path):
    (tmp_path / "inspections").write_text("a file")
    with pytest.raises(StoreError, match="cannot be written"):
        write_inspection(tmp_path, make())


def test_signed_maps_keep_their_signs_and_largest_magnitude():
    values = np.array([[-2.0, 1.0], [0.0, 0.5]])
    codes, scale = quantised(values, 1)
    assert codes.dtype == np.int8
    assert scale.tolist() == [2.0, 0.5]
    assert codes.tolist() == [[-127, 64], [0, 127]]  # 1 / 2 x 127 = 63.5, rounded to even
    assert restored(codes, scale)[0, 0] == -2.0


def test_a_map_of_zeros_stays_zero():
    codes, scale = quantised(np.zeros((2, 3)), 1)
    assert restored(codes, scale).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_maps_that_are_no_numbers_are_not_stored():
    with pytest.raises(ValueError, match="NaN"):
        quantised(np.array([np.nan]), 1)


def test_the_id_depends_on_every_part_and_not_on_their_order():
    assert inspection_id({"a": 1, "b": 2}) == inspection_id({"b": 2, "a": 1})
    assert inspection_id({"a": 1, "b": 2}) != inspection_id({"a": 1, "b": 3})
    assert len(inspection_id({})) == 16
