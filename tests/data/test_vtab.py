"""VTAB's 800 + 200: which images, which bins, and tasks whose labels are worked out from original files."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from tiny_formats import (
    DSPRITES_FILE,
    call_a_subset,
    grey,
    write_clevr,
    write_dsprites,
    write_image,
    write_kitti,
    write_retinopathy,
    write_smallnorb,
)

from bench.catalog.image_tasks import find_image_task
from bench.data.public.catalogued import open_catalogued, vtab_parts
from bench.data.public.original_files import CLEVR_DISTANCE_EDGES, KITTI_DISTANCE_EDGES, LABEL_RULES, bin_of
from bench.data.sets.collection import ImageCollection, LabelledImages
from bench.errors import DataError


class Numbers:
    """A reader whose image i is one pixel of value i mod 256."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> np.ndarray:
        return np.full((1, 1), index % 256, dtype=np.uint8)


def numbered(prefix: str, count: int) -> LabelledImages:
    return LabelledImages(Numbers(count), np.arange(count) % 10, tuple(f"{prefix}/{i}" for i in range(count)))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITBENCH_CACHE", str(tmp_path / "cache"))


def opened(name: str, root: Path) -> ImageCollection:
    return open_catalogued(name, root=root, spec=None, download=False)


def sizes(collection: ImageCollection) -> list[int]:
    return [len(collection.part("train")), len(collection.part("validation")), len(collection.part("test"))]


def test_800_and_200_come_from_the_parts_that_the_source_has() -> None:
    source = ImageCollection(
        "vtab_dtd",
        tuple("0123456789"),
        {"train": numbered("a", 1880), "validation": numbered("b", 1880), "test": numbered("c", 30)},
    )
    found = vtab_parts(find_image_task("vtab_dtd"), source)
    assert sizes(found) == [800, 200, 30]
    assert {key[0] for key in found.part("train").keys} == {"a"}
    assert {key[0] for key in found.part("validation").keys} == {"b"}
    assert found.part("test").keys == source.part("test").keys


def test_without_other_parts_all_three_come_from_train_and_share_nothing() -> None:
    source = ImageCollection("vtab_eurosat", tuple("0123456789"), {"train": numbered("a", 5000)})
    found = vtab_parts(find_image_task("vtab_eurosat"), source)
    assert sizes(found) == [800, 200, 1000]
    keys = [key for part in found.parts.values() for key in part.keys]
    assert len(set(keys)) == 2000


def test_the_choice_depends_on_names_and_not_on_their_order() -> None:
    images = numbered("a", 3000)
    backwards = images.take(np.arange(2999, -1, -1))
    task = find_image_task("vtab_svhn")
    test = numbered("t", 10)
    first = vtab_parts(task, ImageCollection("x", tuple("0123456789"), {"train": images, "test": test}))
    second = vtab_parts(task, ImageCollection("x", tuple("0123456789"), {"train": backwards, "test": test}))
    assert first.part("train").keys == second.part("train").keys
    assert first.part("validation").keys == second.part("validation").keys


def test_a_value_on_an_edge_belongs_to_the_bin_below() -> None:
    assert [bin_of(v, CLEVR_DISTANCE_EDGES) for v in (7.9, 8.0, 8.1, 8.5, 9.2, 10.0, 10.1)] == [0, 0, 1, 1, 3, 4, 5]
    assert [bin_of(v, KITTI_DISTANCE_EDGES) for v in (3.0, 8.0, 8.1, 20.0, 80.0, 1000.0)] == [0, 0, 1, 1, 2, 3]


def test_40_angles_make_16_bins_and_32_positions_make_16() -> None:
    angles = LABEL_RULES["fortieths"](np.arange(40))
    # floor(value / 2.5), as task_adaptation divides
    assert angles.tolist() == [int(value / 2.5) for value in range(40)]
    assert np.bincount(angles).tolist() == [3, 2] * 8
    assert LABEL_RULES["halves"](np.arange(32)).tolist() == [i // 2 for i in range(32)]


def test_clevr_distance_is_that_of_the_nearest_object(tmp_path: Path) -> None:
    train = [[12.0, 7.0 + 0.5 * (i % 8), 11.0] for i in range(20)]
    write_clevr(tmp_path / "clevr", {"train": train, "val": [[9.0, 8.25, 14.0], [10.5, 10.25, 12.0]]})
    call_a_subset(tmp_path / "clevr")
    found = opened("vtab_clevr_distance", tmp_path)
    assert [found.class_names[label] for label in found.part("test").labels] == ["8 to 8.5", "over 10"]
    assert sizes(found) == [16, 4, 2]


def test_a_clevr_image_without_a_scene_is_named(tmp_path: Path) -> None:
    write_clevr(tmp_path / "clevr", {"train": [[9.0] * 3] * 5, "val": [[9.0] * 3]})
    write_image(tmp_path / "clevr" / "clevr" / "CLEVR_v1.0" / "images" / "val" / "CLEVR_val_000009.png", 1)
    call_a_subset(tmp_path / "clevr")
    with pytest.raises(DataError, match=r"has no scene for image 'CLEVR_val_000009\.png'"):
        opened("vtab_clevr_distance", tmp_path)


def test_a_broken_scene_file_is_an_error_of_one_line(tmp_path: Path) -> None:
    write_clevr(tmp_path / "clevr", {"train": [[9.0] * 3] * 5, "val": [[9.0] * 3]})
    (tmp_path / "clevr" / "clevr" / "CLEVR_v1.0" / "scenes" / "CLEVR_val_scenes.json").write_text('{"scenes": [')
    with pytest.raises(DataError, match="is no list of scenes"):
        opened("vtab_clevr_distance", tmp_path)


def test_kitti_takes_the_nearest_vehicle_and_keeps_videos_whole(tmp_path: Path) -> None:
    objects = [
        [("Car", 30.0), ("Pedestrian", 2.0), ("Van", 15.0)],  # 8 to 20 m: a pedestrian is no vehicle
        [("Truck", 7.5)],
        [("Cyclist", 5.0)],
        [("Car", 20.5), ("Tram", 3.0)],
    ] * 15
    videos = [f"drive_{i // 3:04d}_sync" for i in range(60)]
    write_kitti(tmp_path / "kitti", objects, videos)
    call_a_subset(tmp_path / "kitti")
    found = opened("vtab_kitti_distance", tmp_path)
    # a tenth of 20 videos is 2, of 3 images each, for validation and for test
    assert sizes(found) == [48, 6, 6]
    expected = {0: "8 to 20 m", 1: "up to 8 m", 2: "no vehicle", 3: "over 20 m"}
    for part in found.parts.values():
        for key, label in zip(part.keys, part.labels, strict=True):
            assert found.class_names[label] == expected[int(key[-10:-4]) % 4]
    groups = [set(part.groups or ()) for part in found.parts.values()]
    assert not groups[0] & groups[1]
    assert not groups[1] & groups[2]
    assert groups[0] | groups[1] | groups[2] == set(videos)


def test_kitti_draws_the_videos_that_tfds_draws(tmp_path: Path) -> None:
    videos = sorted(f"drive_{i:04d}_sync" for i in range(20))
    write_kitti(tmp_path / "kitti", [[("Car", 5.0)]] * 20, videos)
    call_a_subset(tmp_path / "kitti")
    test = opened("vtab_kitti_distance", tmp_path).part("test")
    state = np.random.RandomState(123)  # TFDS seeds numpy's global generator so, then draws a tenth of the sorted names
    assert set(test.groups or ()) == {str(name) for name in state.choice(videos, 2, replace=False)}


def test_a_short_kitti_label_line_is_refused(tmp_path: Path) -> None:
    write_kitti(tmp_path / "kitti", [[("Car", 5.0)]] * 12, [f"v{i}" for i in range(12)])
    (tmp_path / "kitti" / "training" / "label_2" / "000004.txt").write_text("Car 0.00 0\n")
    with pytest.raises(DataError, match=r"000004\.txt' cannot be read: 3 fields, expected 15"):
        opened("vtab_kitti_distance", tmp_path)


def test_retinopathy_uses_kaggles_public_and_private_parts_and_keeps_patients_together(tmp_path: Path) -> None:
    write_retinopathy(tmp_path / "retinopathy")
    call_a_subset(tmp_path / "retinopathy")
    found = opened("vtab_retinopathy", tmp_path)
    assert sizes(found) == [10, 5, 6]
    test = found.part("test")
    assert test.keys[0] == "test/102_right.jpeg"
    assert (test.groups or ())[0] == "test/102"
    assert any("Ben Graham" in note for note in found.notes)


def test_a_retinopathy_list_without_its_column_is_refused(tmp_path: Path) -> None:
    write_retinopathy(tmp_path / "retinopathy")
    (tmp_path / "retinopathy" / "trainLabels.csv").write_text("name,level\n0_left,1\n")
    with pytest.raises(DataError, match=r"trainLabels\.csv' has no column 'image'"):
        opened("vtab_retinopathy", tmp_path)


def test_dsprites_bins_come_from_the_latents_and_the_pickle_inside_is_not_opened(tmp_path: Path) -> None:
    pixels = write_dsprites(tmp_path / "dsprites", images=200)
    call_a_subset(tmp_path / "dsprites")
    orientation = opened("vtab_dsprites_orientation", tmp_path)
    location = opened("vtab_dsprites_location", tmp_path)
    assert sizes(orientation) == [144, 36, 20]
    assert orientation.part("test").keys == location.part("test").keys
    for found, expected in ((orientation, lambda i: int(i % 40 / 2.5)), (location, lambda i: (i % 32) // 2)):
        for part in found.parts.values():
            assert part.labels.tolist() == [expected(int(key)) for key in part.keys]
    part = orientation.part("test")
    image = part.reader.read(3)
    assert isinstance(image, np.ndarray)
    assert np.array_equal(image, pixels[int(part.keys[3])] * 255)


def test_a_truncated_dsprites_archive_is_refused_and_leaves_nothing_in_the_cache(tmp_path: Path) -> None:
    write_dsprites(tmp_path / "dsprites", images=200)
    file = tmp_path / "dsprites" / DSPRITES_FILE
    file.write_bytes(file.read_bytes()[:-300])
    with pytest.raises(DataError, match=r"\.npz' cannot be read"):
        opened("vtab_dsprites_location", tmp_path)
    assert not list((tmp_path / "cache").rglob("*.npy"))


def test_smallnorb_reads_the_first_camera_and_halves_the_official_test_part(tmp_path: Path) -> None:
    write_smallnorb(tmp_path / "smallnorb", pairs=36)
    call_a_subset(tmp_path / "smallnorb")
    azimuth = opened("vtab_snorb_azimuth", tmp_path)
    elevation = opened("vtab_snorb_elevation", tmp_path)
    assert sizes(azimuth) == [36, 18, 18]
    test = azimuth.part("test")
    numbers = [int(key.partition("/")[2]) for key in test.keys]
    assert [grey(test.reader.read(i)) for i in range(18)] == numbers
    assert test.labels.tolist() == [number % 18 for number in numbers]
    assert elevation.part("test").labels.tolist() == [number % 9 for number in numbers]


def test_a_packed_or_short_smallnorb_file_is_refused(tmp_path: Path) -> None:
    write_smallnorb(tmp_path / "smallnorb", pairs=4)
    file = tmp_path / "smallnorb" / "smallnorb-5x46789x9x18x6x2x96x96-training-dat.mat"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=r"has 73,751 bytes, its header says 73,752"):
        opened("vtab_snorb_azimuth", tmp_path)
    file.write_bytes(gzip.compress(whole))
    with pytest.raises(DataError, match="unpack it with gunzip"):
        opened("vtab_snorb_azimuth", tmp_path)


def write_dump(place: Path, test_label: str = "1") -> None:
    lists = {"train800.txt": 4, "val200.txt": 2, "test.txt": 3}
    for at, (name, count) in enumerate(lists.items()):
        lines = []
        for i in range(count):
            path = f"images/{name[:-4]}/{i:06d}.png"
            write_image(place / path, 50 * at + i)
            lines.append(f"{path} {test_label if name == 'test.txt' else i % 2}")
        (place / name).write_text("\n".join(lines) + "\n")


def test_a_dump_of_the_official_images_is_read_in_its_own_order(tmp_path: Path) -> None:
    write_dump(tmp_path / "dmlab")
    call_a_subset(tmp_path / "dmlab")
    found = opened("vtab_dmlab", tmp_path)
    assert sizes(found) == [4, 2, 3]
    assert [grey(found.part("train").reader.read(i)) for i in range(4)] == [0, 1, 2, 3]
    assert any("dump of VTAB-1k" in note for note in found.notes)
    assert not any("chosen here" in note for note in found.notes)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("images/test/000000.png 6", "is not `path label` with a label below 6"),
        ("images/test/000000.png", "is not `path label`"),
        ("../../etc/passwd 1", r"has '\.\.' in it"),
        ("/etc/passwd 1", "is absolute"),
        ("images/test/000099.png 1", "1 of 1 images are missing"),
    ],
)
def test_a_bad_line_of_a_dump_is_refused(tmp_path: Path, line: str, message: str) -> None:
    write_dump(tmp_path / "dmlab")
    (tmp_path / "dmlab" / "test.txt").write_text(line + "\n")
    with pytest.raises(DataError, match=message):
        opened("vtab_dmlab", tmp_path)


def test_a_dump_of_too_few_images_is_refused_unless_it_says_that_it_is_a_subset(tmp_path: Path) -> None:
    write_dump(tmp_path / "dmlab")
    with pytest.raises(DataError, match=r"has 4 train images, expected 800, .* 3 test images, expected 22,735"):
        opened("vtab_dmlab", tmp_path)
