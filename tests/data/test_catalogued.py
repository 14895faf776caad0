"""Where a catalogued set is looked for, and when it is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_formats import (
    DSPRITES_FILE,
    call_a_subset,
    write_cifar,
    write_class_folders,
    write_image,
    write_pets,
)

from bench.catalog.image_tasks import find_image_task, image_tasks
from bench.data.public.catalogued import is_here, open_catalogued
from bench.data.sets.collection import content_fingerprint
from bench.data.sets.splits import hash_order, held_out
from bench.errors import AbsentDataError, DataError, RequestError, UnknownNameError


def test_held_out_images_come_from_each_class_in_proportion() -> None:
    labels = np.repeat(np.arange(3), [100, 50, 10])
    keys = [f"image {i}" for i in range(160)]
    chosen = held_out(keys, labels, 16)
    assert np.bincount(labels[chosen]).tolist() == [10, 5, 1]


def test_held_out_is_exact_where_classes_do_not_divide() -> None:
    labels = np.arange(1020) % 102  # Flowers: 10 of each class
    chosen = held_out([str(i) for i in range(1020)], labels, 102)
    assert np.bincount(labels[chosen], minlength=102).tolist() == [1] * 102
    labels = np.arange(101) % 7
    assert held_out([str(i) for i in range(101)], labels, 13).sum() == 13


def test_held_out_images_do_not_depend_on_the_order_of_images() -> None:
    labels = np.arange(60) % 3
    keys = [f"{i}.jpg" for i in range(60)]
    chosen = {keys[i] for i in np.flatnonzero(held_out(keys, labels, 9))}
    backwards = list(reversed(keys))
    again = {backwards[i] for i in np.flatnonzero(held_out(backwards, labels[::-1], 9))}
    assert chosen == again


def test_hash_order_is_that_of_sha256() -> None:
    # SHA-256 begins with ca97... for "a", 3e23... for "b", 2e7d... for "c"
    assert hash_order(["a", "b", "c"]).tolist() == [2, 1, 0]


@pytest.mark.parametrize("name", sorted(image_tasks()))
def test_an_empty_folder_is_answered_with_what_to_put_there(name: str, tmp_path: Path) -> None:
    if any(Path(folder).is_absolute() and Path(folder).is_dir() for folder in find_image_task(name).also_at):
        pytest.skip("a package of this system has brought the set")
    assert not is_here(name, root=tmp_path)
    with pytest.raises(AbsentDataError) as caught:
        open_catalogued(name, root=tmp_path, spec=None, download=False)
    task = image_tasks()[name]
    message = str(caught.value)
    assert f"'{tmp_path / task.folder}'" in message
    assert task.files[0] in message
    assert task.how_to_get in message
    assert f"--data {name}=PATH" in message
    assert not list(tmp_path.iterdir())


def test_a_folder_given_by_the_user_may_be_the_inner_one(tmp_path: Path) -> None:
    write_pets(tmp_path / "mine")
    call_a_subset(tmp_path / "mine")
    for folder in ("mine", "mine/oxford-iiit-pet"):
        found = open_catalogued("pets", root=tmp_path / "none", spec=str(tmp_path / folder), download=False)
        assert len(found.part("test")) == 30
        assert is_here("pets", root=tmp_path / "none", spec=str(tmp_path / folder))


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"--data pets: '.*nowhere' does not exist"):
        open_catalogued("pets", root=tmp_path, spec=str(tmp_path / "nowhere"), download=False)


def test_an_unknown_name_has_its_nearest_suggested(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'vtab_eurosat'"):
        open_catalogued("vtab_eurosta", root=tmp_path, spec=None, download=False)


def test_a_set_that_is_not_whole_is_refused_unless_it_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar(tmp_path / "cifar10", monkeypatch, classes=10)
    with pytest.raises(DataError, match=r"has 98 train images, expected 49,000, .*20 test images, expected 10,000"):
        open_catalogued("cifar10", root=tmp_path, spec=None, download=False)
    call_a_subset(tmp_path / "cifar10", "a look at\nthe first images")
    found = open_catalogued("cifar10", root=tmp_path, spec=None, download=False)
    assert "Not the whole set, so not comparable with published numbers: a look at the first images" in found.notes


def test_missing_classes_are_refused(tmp_path: Path) -> None:
    write_pets(tmp_path / "pets")
    with pytest.raises(DataError, match="has 3 classes here, expected 37"):
        open_catalogued("pets", root=tmp_path, spec=None, download=False)


def test_another_size_is_noted_where_the_published_one_is_not_certain(tmp_path: Path) -> None:
    names = [f"class {i:03d}" for i in range(102)]
    write_class_folders(tmp_path / "caltech101" / "caltech101" / "101_ObjectCategories", names, 31)
    found = open_catalogued("vtab_caltech101", root=tmp_path, spec=None, download=False)
    assert [len(found.part(part)) for part in ("train", "validation", "test")] == [800, 200, 102]
    assert "This copy has 102 test images, expected 6,084." in found.notes


def test_the_caution_of_a_task_is_among_its_notes(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "eurosat" / "eurosat" / "2750", ("Forest", "River"), 20)
    call_a_subset(tmp_path / "eurosat")
    found = open_catalogued("vtab_eurosat", root=tmp_path, spec=None, download=False)
    assert image_tasks()["vtab_eurosat"].caution in found.notes
    assert "differ from the official ones" in found.notes[-1]


def test_the_same_files_give_the_same_fingerprint_wherever_they_lie(tmp_path: Path) -> None:
    prints = []
    for place in ("one", "two"):
        write_pets(tmp_path / place)
        call_a_subset(tmp_path / place)
        found = open_catalogued("pets", root=tmp_path, spec=str(tmp_path / place), download=False)
        prints.append(content_fingerprint(found, ["train", "validation", "test"]))
    assert prints[0] == prints[1]


def test_a_list_made_by_the_user_serves_a_set_that_has_no_other_form(tmp_path: Path) -> None:
    lines = ["path,label,split"]
    for split, count in (("train", 12), ("validation", 6), ("test", 6)):
        for i in range(count):
            write_image(tmp_path / "dmlab" / f"{split}/{i}.png", 40 * (i % 6))
            lines.append(f"{split}/{i}.png,{i % 6},{split}")
    (tmp_path / "dmlab" / "labels.csv").write_text("\n".join(lines) + "\n")
    call_a_subset(tmp_path / "dmlab")
    for spec in (None, str(tmp_path / "dmlab" / "labels.csv")):
        found = open_catalogued("vtab_dmlab", root=tmp_path, spec=spec, download=False)
        assert found.class_names == ("0", "1", "2", "3", "4", "5")
        assert [len(found.part(part)) for part in ("train", "validation", "test")] == [12, 6, 6]


def test_presence_is_told_by_files_and_not_by_folders(tmp_path: Path) -> None:
    (tmp_path / "dsprites").mkdir()
    assert not is_here("vtab_dsprites_location", root=tmp_path)
    (tmp_path / "dsprites" / DSPRITES_FILE).write_bytes(b"")
    assert is_here("vtab_dsprites_location", root=tmp_path)


def test_opening_the_catalog_does_not_import_torch() -> None:
    code = "import sys, bench.data.public.catalogued; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
