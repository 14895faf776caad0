"""ImageNet as a folder: the order of classes, flat layouts, wholeness, and what is listed when."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tiny_formats import IMAGENET_SYNSETS, call_a_subset, grey, write_image, write_imagenet

from bench.data.public.catalogued import open_catalogued
from bench.data.public.imagenet import KAGGLE_LIST, SYNSET_LIST, class_names, synsets
from bench.data.sets.collection import ImageCollection
from bench.errors import AbsentDataError, DataError


def opened(root: Path, spec: str | None = None) -> ImageCollection:
    return open_catalogued("imagenet", root=root, spec=spec, download=False)


def flatten(place: Path) -> list[tuple[str, str]]:
    """Moves val/<synset>/* to val/*. Returns each file and its synset, in the order of the files."""
    moved = []
    for file in sorted((place / "val").rglob("*.JPEG")):
        moved.append((file.name, file.parent.name))
        shutil.move(file, place / "val" / file.name)
    for synset in IMAGENET_SYNSETS:
        (place / "val" / synset).rmdir()
    return sorted(moved)


def test_classes_are_in_the_order_of_the_public_weights() -> None:
    assert (len(synsets()), len(class_names())) == (1000, 1000)
    assert synsets()[:3] == IMAGENET_SYNSETS
    assert synsets()[207] == "n02099601"  # golden retriever
    assert "golden retriever" in class_names()[207]


def test_a_validation_folder_is_the_test_part_with_keys_that_end_in_the_file_name(tmp_path: Path) -> None:
    write_imagenet(tmp_path / "imagenet", {"val": 4})
    call_a_subset(tmp_path / "imagenet", "three classes")
    found = opened(tmp_path)
    assert list(found.parts) == ["test"]
    test = found.part("test")
    assert test.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert test.keys[4] == "val/n01443537/ILSVRC2012_val_00000002.JPEG"
    assert abs(grey(test.reader.read(4)) - 2) <= 1
    assert any("three classes" in note for note in found.notes)


def test_a_folder_elsewhere_is_named_by_the_user(tmp_path: Path) -> None:
    write_imagenet(tmp_path / "elsewhere", {"val": 2})
    call_a_subset(tmp_path / "elsewhere")
    assert len(opened(tmp_path / "nothing", str(tmp_path / "elsewhere")).part("test")) == 6


def test_one_percent_of_train_is_held_out(tmp_path: Path) -> None:
    write_imagenet(tmp_path / "imagenet", {"val": 1, "train": 100})
    call_a_subset(tmp_path / "imagenet")
    found = opened(tmp_path)
    train, validation = found.part("train"), found.part("validation")
    assert (len(train), len(validation)) == (297, 3)
    assert sorted(validation.labels.tolist()) == [0, 1, 2]
    assert not set(train.keys) & set(validation.keys)


def test_train_is_listed_only_when_it_is_asked_for(tmp_path: Path) -> None:
    write_imagenet(tmp_path / "imagenet", {"val": 1})
    call_a_subset(tmp_path / "imagenet")
    (tmp_path / "imagenet" / "train" / "not a synset").mkdir(parents=True)
    found = opened(tmp_path)
    assert "train" in found.parts
    assert len(found.part("test")) == 3
    with pytest.raises(DataError, match=r"'.*not a synset' is no class of ImageNet-1k"):
        found.part("train")


def test_fewer_than_50000_images_are_refused_unless_the_folder_says_why(tmp_path: Path) -> None:
    for synset in synsets():
        (tmp_path / "imagenet" / "val" / synset).mkdir(parents=True)
    write_imagenet(tmp_path / "imagenet", {"val": 2})
    with pytest.raises(DataError, match=r"has 6 images, expected 50,000, so top-1 would not be comparable.*subset"):
        opened(tmp_path).part("test")


def test_a_missing_class_folder_is_named(tmp_path: Path) -> None:
    write_imagenet(tmp_path / "imagenet", {"val": 2})
    with pytest.raises(DataError, match="has 3 class folders, expected 1,000; 'n01491361' is missing"):
        opened(tmp_path).part("test")


def test_a_flat_folder_takes_its_classes_from_the_synset_list(tmp_path: Path) -> None:
    write_imagenet(tmp_path / "imagenet", {"val": 2})
    moved = flatten(tmp_path / "imagenet")
    (tmp_path / "imagenet" / SYNSET_LIST).write_text("\n".join(synset for _, synset in moved) + "\n")
    call_a_subset(tmp_path / "imagenet")
    test = opened(tmp_path).part("test")
    assert test.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert test.keys[0] == "val/ILSVRC2012_val_00000001.JPEG"


def test_a_flat_folder_takes_its_classes_from_kaggles_list(tmp_path: Path) -> None:
    write_imagenet(tmp_path / "imagenet", {"val": 1})
    moved = flatten(tmp_path / "imagenet")
    lines = ["ImageId,PredictionString", *(f"{name[:-5]},{synset} 10 20 30 40 " for name, synset in reversed(moved))]
    (tmp_path / "imagenet" / KAGGLE_LIST).write_text("\n".join(lines) + "\n")
    call_a_subset(tmp_path / "imagenet")
    assert opened(tmp_path).part("test").labels.tolist() == [0, 1, 2]


def test_a_flat_folder_without_a_list_says_which_files_would_do(tmp_path: Path) -> None:
    write_imagenet(tmp_path / "imagenet", {"val": 1})
    flatten(tmp_path / "imagenet")
    with pytest.raises(DataError, match=rf"is flat .*{SYNSET_LIST}.*{KAGGLE_LIST}"):
        opened(tmp_path).part("test")


def test_a_synset_list_of_another_length_is_refused(tmp_path: Path) -> None:
    write_imagenet(tmp_path / "imagenet", {"val": 1})
    flatten(tmp_path / "imagenet")
    (tmp_path / "imagenet" / SYNSET_LIST).write_text("n01440764\n")
    with pytest.raises(DataError, match="has 1 lines for 3 images"):
        opened(tmp_path).part("test")


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    write_imagenet(tmp_path / "imagenet", {"val": 1})
    call_a_subset(tmp_path / "imagenet")
    write_image(tmp_path / "outside.jpg", 7)
    inside = tmp_path / "imagenet" / "val" / IMAGENET_SYNSETS[0] / "ILSVRC2012_val_00000001.JPEG"
    inside.unlink()
    inside.symlink_to(tmp_path / "outside.jpg")
    test = opened(tmp_path).part("test")
    with pytest.raises(DataError, match="outside the data folder"):
        test.reader.read(0)


def test_without_the_folder_it_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(AbsentDataError, match=r"lacks 'val'\. Register at image-net\.org .* --data imagenet=PATH"):
        opened(tmp_path)


def test_imagenet21k_is_its_synset_folders_with_one_in_a_hundred_held_out(tmp_path: Path) -> None:
    for synset, images in (("n00004475", 150), ("n00005787", 50)):
        for i in range(images):
            write_image(tmp_path / "imagenet21k" / "train" / synset / f"{synset}_{i}.JPEG", i)
    found = open_catalogued("imagenet21k", root=tmp_path, spec=None, download=False)
    assert found.class_names == ("n00004475", "n00005787")
    assert sorted(found.parts) == ["train", "validation"], "nothing to be tested on"
    train, held = found.part("train"), found.part("validation")
    assert (len(train), len(held)) == (198, 2)
    assert not set(train.keys) & set(held.keys)
    assert set(train.labels.tolist()) == {0, 1}
    assert any("2 classes, the release of autumn 2011 has 21,841" in note for note in found.notes)


def test_imagenet21k_needs_classes(tmp_path: Path) -> None:
    write_image(tmp_path / "imagenet21k" / "train" / "n00004475" / "a.JPEG", 1)
    with pytest.raises(DataError, match="has 1 class folders, expected one for each synset"):
        open_catalogued("imagenet21k", root=tmp_path, spec=None, download=False)


def test_what_a_mac_or_a_nas_left_in_the_folder_is_no_image(tmp_path: Path) -> None:
    place = tmp_path / "imagenet"
    write_imagenet(place, {"val": 2})
    call_a_subset(place)
    write_image(place / "val" / "@eaDir" / "x.jpg", 1)
    write_image(place / "val" / IMAGENET_SYNSETS[0] / "._ILSVRC2012_val_00000001.JPEG", 1)
    assert len(opened(tmp_path).part("test")) == 6
