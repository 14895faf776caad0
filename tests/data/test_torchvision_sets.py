"""Sets in torchvision's layouts, tiny and in their real formats, opened as a user opens them."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from tiny_formats import (
    call_a_subset,
    grey,
    md5_of,
    write_cifar,
    write_class_folders,
    write_clevr,
    write_dtd,
    write_flowers,
    write_pcam,
    write_pets,
    write_sun397,
    write_svhn,
)

from bench.data.public.catalogued import open_catalogued
from bench.data.sets.collection import ImageCollection
from bench.errors import AbsentDataError, DataError, UnsupportedError


def opened(name: str, root: Path) -> ImageCollection:
    return open_catalogued(name, root=root, spec=None, download=False)


def sizes(collection: ImageCollection) -> list[int]:
    return [len(collection.part("train")), len(collection.part("validation")), len(collection.part("test"))]


def all_keys(collection: ImageCollection) -> list[str]:
    return [key for part in collection.parts.values() for key in part.keys]


def test_cifar_10_pickles_become_stratified_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar(tmp_path / "cifar10", monkeypatch, classes=10, per_batch=100)
    call_a_subset(tmp_path / "cifar10")
    found = opened("cifar10", tmp_path)
    assert sizes(found) == [490, 10, 100]
    assert np.bincount(found.part("validation").labels).tolist() == [1] * 10
    test = found.part("test")
    assert test.reader.read(7).shape == (32, 32, 3)  # type: ignore[union-attr]
    assert (grey(test.reader.read(7)), test.labels[17], found.class_names[3]) == (7, 7, "class 3")


def test_readers_of_arrays_are_small_when_pickled_and_read_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cifar(tmp_path / "cifar10", monkeypatch, classes=10, per_batch=100)
    call_a_subset(tmp_path / "cifar10")
    reader = opened("cifar10", tmp_path).part("test").reader
    packed = pickle.dumps(reader)
    assert len(packed) < 1000
    assert grey(pickle.loads(packed).read(42)) == 42


def test_vtab_and_paper_share_one_copy_of_cifar_100(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar(tmp_path / "cifar100", monkeypatch, classes=100, per_batch=200)
    call_a_subset(tmp_path / "cifar100")
    assert sizes(opened("cifar100", tmp_path)) == [196, 4, 200]
    assert sizes(opened("vtab_cifar100", tmp_path)) == [160, 40, 200]


def test_a_cifar_file_with_another_checksum_is_not_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar(tmp_path / "cifar10", monkeypatch, classes=10)
    file = tmp_path / "cifar10" / "cifar-10-batches-py" / "data_batch_3"
    file.write_bytes(b"cbuiltins\nexec\n(V1/0\ntR.")
    with pytest.raises(DataError, match="data_batch_3' has a wrong MD5 checksum"):
        opened("cifar10", tmp_path)


def test_a_cifar_file_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar(tmp_path / "cifar10", monkeypatch, classes=10)
    (tmp_path / "cifar10" / "cifar-10-batches-py" / "data_batch_4").unlink()
    with pytest.raises(DataError, match="data_batch_4' is missing"):
        opened("cifar10", tmp_path)


def test_pets_keep_their_jpegs_and_hold_out_some_of_every_breed(tmp_path: Path) -> None:
    write_pets(tmp_path / "pets", per_breed=10)
    call_a_subset(tmp_path / "pets")
    found = opened("pets", tmp_path)
    assert found.class_names == ("Abyssinian", "American Bulldog", "Bengal")
    assert sizes(found) == [27, 3, 30]
    assert sorted(found.part("validation").labels.tolist()) == [0, 1, 2]
    raw = found.part("test").reader.read(0)
    assert raw == (tmp_path / "pets" / "oxford-iiit-pet" / "images" / "Abyssinian_101.jpg").read_bytes()
    assert len(set(all_keys(found))) == 60


def test_a_half_unpacked_pets_archive_is_refused(tmp_path: Path) -> None:
    write_pets(tmp_path / "pets")
    call_a_subset(tmp_path / "pets")
    (tmp_path / "pets" / "oxford-iiit-pet" / "images" / "Bengal_3.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 30 images are missing .*Bengal_3\.jpg"):
        opened("pets", tmp_path)


def test_a_damaged_annotation_line_of_pets_is_an_error_of_one_line(tmp_path: Path) -> None:
    write_pets(tmp_path / "pets")
    (tmp_path / "pets" / "oxford-iiit-pet" / "annotations" / "test.txt").write_text("Abyssinian_1 one\n")
    with pytest.raises(DataError, match=r"Data set 'pets': reading .* failed: not enough values") as caught:
        opened("pets", tmp_path)
    assert "\n" not in str(caught.value)


def test_flowers_train_on_the_official_train_part_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_flowers(tmp_path / "flowers102", monkeypatch)
    call_a_subset(tmp_path / "flowers102")
    found = opened("flowers102", tmp_path)
    assert sizes(found) == [92, 10, 102]
    assert "jpg/image_00001.jpg" in all_keys(found)
    assert "jpg/image_00103.jpg" not in all_keys(found)  # of the official validation part
    assert found.part("test").keys[0] == "jpg/image_00205.jpg"
    assert found.part("test").labels[0] == 0
    assert any("validation part (1,020) is not used" in note for note in found.notes)


def test_vtab_flowers_take_their_200_from_the_official_validation_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_flowers(tmp_path / "flowers102", monkeypatch)
    call_a_subset(tmp_path / "flowers102")
    found = opened("vtab_flowers102", tmp_path)
    assert {int(key[10:15]) for key in found.part("validation").keys} == set(range(103, 205))


def test_dtd_has_three_official_parts(tmp_path: Path) -> None:
    write_dtd(tmp_path / "dtd")
    call_a_subset(tmp_path / "dtd")
    found = opened("vtab_dtd", tmp_path)
    assert (found.class_names, sizes(found)) == (("banded", "dotted"), [8, 8, 8])
    assert grey(found.part("test").reader.read(0)) == 20


def test_svhn_calls_the_digit_zero_class_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_svhn(tmp_path / "svhn", monkeypatch)
    call_a_subset(tmp_path / "svhn")
    found = opened("vtab_svhn", tmp_path)
    assert sizes(found) == [24, 6, 30]
    assert found.part("test").labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert grey(found.part("test").reader.read(23)) == 23


def test_sun397_tests_on_a_fifth_and_is_independent_of_the_disks_order(tmp_path: Path) -> None:
    write_sun397(tmp_path / "sun397")
    call_a_subset(tmp_path / "sun397")
    found = opened("vtab_sun397", tmp_path)
    assert found.class_names == ("abbey", "bow_window/indoor", "bow_window/outdoor")
    assert sizes(found) == [20, 4, 6]
    assert len(set(all_keys(found))) == 30
    label = found.part("test").labels[0]
    assert grey(found.part("test").reader.read(0)) == 50 * label


def test_eurosat_tests_on_a_fifth(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "eurosat" / "eurosat" / "2750", ("AnnualCrop", "Forest"), 25)
    call_a_subset(tmp_path / "eurosat")
    assert sizes(opened("vtab_eurosat", tmp_path)) == [32, 8, 10]


def test_caltech_keeps_its_background_class_and_trains_on_30_of_each(tmp_path: Path) -> None:
    write_class_folders(
        tmp_path / "caltech101" / "caltech101" / "101_ObjectCategories", ("BACKGROUND_Google", "accordion"), 34
    )
    call_a_subset(tmp_path / "caltech101")
    found = opened("vtab_caltech101", tmp_path)
    assert found.class_names == ("BACKGROUND_Google", "accordion")
    assert sizes(found) == [48, 12, 8]
    assert np.bincount(found.part("test").labels).tolist() == [4, 4]


def test_clevr_counts_objects_from_three_up(tmp_path: Path) -> None:
    write_clevr(tmp_path / "clevr", {"train": [[9.0] * (3 + i % 8) for i in range(20)], "val": [[9.0] * 10, [9.0] * 3]})
    call_a_subset(tmp_path / "clevr")
    found = opened("vtab_clevr_count", tmp_path)
    assert found.class_names == ("3", "4", "5", "6", "7", "8", "9", "10")
    assert found.part("test").labels.tolist() == [7, 0]
    assert sizes(found) == [16, 4, 2]


def test_a_clevr_scene_of_two_objects_is_refused(tmp_path: Path) -> None:
    write_clevr(tmp_path / "clevr", {"train": [[9.0] * 3] * 10, "val": [[9.0] * 2]})
    call_a_subset(tmp_path / "clevr")
    with pytest.raises(DataError, match="'test' has labels -1 to"):
        opened("vtab_clevr_count", tmp_path)


def test_patch_camelyon_is_read_from_its_h5_files(tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason="h5py is not installed")
    write_pcam(tmp_path / "pcam", {"train": 20, "valid": 6, "test": 8})
    call_a_subset(tmp_path / "pcam")
    found = opened("vtab_camelyon", tmp_path)
    assert sizes(found) == [20, 6, 8]
    assert grey(found.part("test").reader.read(5)) == 5
    assert found.part("test").labels.tolist() == [0, 1] * 4


def test_h5_files_without_h5py_say_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    for split in ("train", "valid", "test"):
        for part in "xy":
            file = tmp_path / "pcam" / "pcam" / f"camelyonpatch_level_2_split_{split}_{part}.h5"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"")
    with pytest.raises(UnsupportedError, match="pip install h5py"):
        opened("vtab_camelyon", tmp_path)


@pytest.mark.parametrize("name", ["cifar10", "pets", "flowers102", "vtab_sun397", "vtab_svhn", "vtab_clevr_count"])
def test_a_set_that_is_not_here_says_what_lacks_and_fetches_nothing(name: str, tmp_path: Path) -> None:
    with pytest.raises(AbsentDataError, match=r"is not on this machine: folder .* lacks .*--download") as caught:
        opened(name, tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_download_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    def refuse(*_: object, **__: object) -> None:
        raise OSError("<urlopen error [Errno -2] Name or service not known>")

    monkeypatch.setattr(datasets.OxfordIIITPet, "_download", refuse)
    with pytest.raises(DataError, match=r"Data set 'pets': downloading .* failed: .*Name or service not known"):
        open_catalogued("pets", root=tmp_path, spec=None, download=True)


def test_a_download_is_asked_of_torchvision_only_where_files_lack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision import datasets

    def fetch(self: datasets.OxfordIIITPet) -> None:
        if not (Path(self.root) / "oxford-iiit-pet").exists():
            write_pets(Path(self.root))

    monkeypatch.setattr(datasets.OxfordIIITPet, "_download", fetch)
    call_a_subset(tmp_path / "pets")
    assert sizes(open_catalogued("pets", root=tmp_path, spec=None, download=True)) == [27, 3, 30]
    monkeypatch.setattr(datasets.OxfordIIITPet, "_download", lambda _: pytest.fail("fetched again"))
    assert sizes(open_catalogued("pets", root=tmp_path, spec=None, download=True)) == [27, 3, 30]


def test_a_damaged_matlab_file_of_flowers_is_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_flowers(tmp_path / "flowers102", monkeypatch)
    file = tmp_path / "flowers102" / "flowers-102" / "imagelabels.mat"
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(DataError, match=r"reading .* failed: Dataset not found or corrupted"):
        opened("flowers102", tmp_path)


def test_a_matlab_file_with_the_right_checksum_and_no_content_is_an_error_of_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision import datasets

    write_svhn(tmp_path / "svhn", monkeypatch)
    file = tmp_path / "svhn" / "train_32x32.mat"
    file.write_bytes(file.read_bytes()[:3000])
    lists = dict(datasets.SVHN.split_list)
    lists["train"] = [*lists["train"][:2], md5_of(file)]
    monkeypatch.setattr(datasets.SVHN, "split_list", lists)
    with pytest.raises(DataError, match="Data set 'vtab_svhn': reading") as caught:
        opened("vtab_svhn", tmp_path)
    assert "\n" not in str(caught.value)
