"""What the preflight finds, what it leaves out, and what it does when a decoding process dies."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from odd_images import bomb_png, encoded, malformed_kinds, photo, quadrants, turned
from PIL import Image
from typer.testing import CliRunner

from bench.cli.data import data_app
from bench.data.preflight.duplicates import exact_twins, near_twins, perceptual_hashes, thumbnail
from bench.data.preflight.preflight import check_images, without_bad
from bench.data.sets.collection import ImageCollection, LabelledImages, PartName, RawImage
from bench.data.sets.splits import split_parts
from bench.errors import DataError, RequestError
from bench.store.preflights import Preflight


@dataclass(frozen=True)
class Held:
    """A reader of images in memory."""

    images: tuple[RawImage, ...]

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int) -> RawImage:
        return self.images[index]


@dataclass(frozen=True)
class Dying:
    """Pictures, but reading one of them ends the process in some way."""

    count: int
    at: int
    how: str

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> RawImage:
        if index == self.at:
            if self.how == "SIGKILL":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "SIGSEGV":
                os.kill(os.getpid(), signal.SIGSEGV)
            if self.how == "ZeroDivisionError":
                raise ZeroDivisionError("a fault of the reader")
            if self.how == "DataError":
                raise DataError("file is gone")
            time.sleep(60)
        return np.full((8, 8), index % 256, dtype=np.uint8)


def part(images: Mapping[str, RawImage], labels: Sequence[int] | None = None) -> LabelledImages:
    return LabelledImages(
        reader=Held(tuple(images.values())),
        labels=np.array([0] * len(images) if labels is None else labels, dtype=np.int64),
        keys=tuple(images),
    )


def collection(*classes: str, **parts: LabelledImages) -> ImageCollection:
    named: dict[PartName, LabelledImages] = {name: parts[name] for name in parts}  # type: ignore[misc]
    return ImageCollection("mine", classes or ("a",), named)


def photos(count: int, start: int = 0) -> dict[str, RawImage]:
    """JPEGs that are all different."""
    return {f"{i:03d}.jpg": encoded(photo(60, 44, seed=i), "JPEG") for i in range(start, start + count)}


def smaller(image: Image.Image) -> bytes:
    """The picture at two thirds of its size, as another file."""
    return encoded(image.resize((image.width * 2 // 3, image.height * 2 // 3), Image.Resampling.BICUBIC), "PNG")


def check(found: ImageCollection, processes: int = 1) -> Preflight:
    return check_images(found, processes=processes)


def test_a_sound_set_has_no_findings_but_its_numbers() -> None:
    found = check(collection(train=part(photos(12)), validation=part(photos(6, 12)), test=part(photos(6, 18))))

    assert (found.images, found.parts) == (24, {"train": 12, "validation": 6, "test": 6})
    assert (found.bad, found.converted, found.wrong_extension.count) == ((), {}, 0)
    assert (found.tiny_classes, found.classes_missing) == ((), {})
    assert (found.exact_duplicates.count, found.near_duplicates.count) == (0, 0)
    assert (found.missing_parts, found.split_made_here) == ((), False)
    assert found.formats == {"JPEG": 24}
    assert found.width_px == {"min": 60, "p05": 60, "p50": 60, "p95": 60, "max": 60}
    assert found.is_usable
    assert found.img_per_s > 0


def test_every_bad_image_is_named_with_its_part_and_reason(tmp_path: Path) -> None:
    kinds = malformed_kinds(str(tmp_path / "touched"))
    images: dict[str, RawImage] = {f"{name}.jpg": raw for name, (raw, _) in kinds.items()}

    found = check(collection(train=part(photos(10) | images), test=part({"t.png": bomb_png()})), processes=2)

    assert [bad.key for bad in found.bad] == [*images, "t.png"]
    assert [bad.part for bad in found.bad] == ["train"] * len(images) + ["test"]
    for bad, (_, reason) in zip(found.bad, kinds.values(), strict=False):
        assert reason in bad.reason
        assert "\n" not in bad.reason
    assert found.bad_share == (len(images) + 1) / (len(images) + 11)
    assert not found.is_usable
    assert not (tmp_path / "touched").exists()


def test_odd_images_are_converted_and_counted() -> None:
    images: dict[str, RawImage] = {
        "grey.png": encoded(quadrants().convert("L"), "PNG"),
        "grey_alpha.png": encoded(quadrants().convert("LA"), "PNG"),
        "cmyk.jpg": encoded(quadrants().convert("CMYK"), "JPEG"),
        "turned.jpg": turned(6, "JPEG"),
        "array": np.zeros((8, 8), dtype=np.uint8),
    }
    found = check(collection(train=part(images)))
    assert found.converted == {"grey": 3, "alpha": 1, "CMYK": 1, "EXIF rotation": 1}
    assert found.formats == {"PNG": 2, "JPEG": 2}


def test_an_extension_that_lies_is_named_with_what_the_file_is() -> None:
    images: dict[str, RawImage] = {
        "a.jpg": encoded(photo(seed=1), "PNG"),
        "b.JPEG": encoded(photo(seed=2), "JPEG"),
        "c": encoded(photo(seed=3), "PNG"),
        "d.png": encoded(photo(seed=4), "WEBP"),
    }
    found = check(collection(train=part(images)))
    assert (found.wrong_extension.count, found.wrong_extension.keys) == (2, ("a.jpg (PNG)", "d.png (WEBP)"))


def test_tiny_and_missing_classes_are_counted_without_bad_images() -> None:
    images = photos(6) | {"bad.jpg": b""}
    train = part(images, [0, 0, 0, 0, 0, 1, 2])
    test = part(photos(5, 10), [1, 1, 1, 1, 1])

    found = check(collection("cat", "dog", "fox", train=train, test=test))

    assert found.classes_missing == {"train": ["fox"], "test": ["cat", "fox"]}
    assert found.tiny_classes == ({"class_name": "dog", "part": "train", "images": 1},)


def test_missing_parts_are_named_and_will_be_split_off() -> None:
    found = check(collection(train=part(photos(3)), test=part(photos(3, 3))))
    assert (found.missing_parts, found.split_made_here) == (("validation",), True)


def test_without_a_train_part_nothing_is_split_off() -> None:
    found = check(collection(test=part(photos(3))))
    assert (found.missing_parts, found.split_made_here) == (("train", "validation"), False)


def test_exact_duplicates_are_groups_with_parts_and_labels_compared() -> None:
    images = photos(4)
    first, second, third, fourth = images.values()
    train = part({"a": first, "b": first, "c": second, "d": third}, [0, 1, 0, 0])
    test = part({"e": second, "f": second, "g": fourth})

    found = check(collection("x", "y", train=train, test=test)).exact_duplicates

    assert (found.count, found.images, found.across_parts, found.labels_differ) == (2, 5, 1, 1)
    assert found.twins_in_other_parts == {"train": 1, "test": 2}
    assert found.groups == (
        {"keys": ["c", "e", "f"], "across_parts": True, "labels_differ": False},
        {"keys": ["a", "b"], "across_parts": False, "labels_differ": True},
    )


@pytest.mark.parametrize(("pictures", "copies", "noted"), [(6, 6, True), (20, 3, True), (20, 1, False)])
def test_a_part_that_counts_many_images_twice_is_noted(pictures: int, copies: int, noted: bool) -> None:
    images = photos(pictures)
    again = {f"again/{key}": held for key, held in list(images.items())[:copies]}
    found = check(collection("a", train=part({**images, **again}), test=part(photos(5, start=50))))
    count = f"{copies} of the {pictures + copies} images of 'train' are there already, the same file in the same part."
    assert [note.startswith(count) for note in found.notes] == ([True] if noted else [])


def test_duplicates_that_the_split_made_here_pulls_apart_are_across_parts() -> None:
    images = photos(40)
    copies = {f"{i:03d} copy.jpg": images[f"{i:03d}.jpg"] for i in range(40)}
    small = {f"{i:03d} small.png": smaller(photo(60, 44, seed=i)) for i in range(40)}
    held = collection("x", "y", train=part(images | copies | small, [0, 1] * 60))
    part_of = {key: name for name, made in split_parts(held).parts.items() for key in made.keys}
    copies_apart = sum(part_of[f"{i:03d}.jpg"] != part_of[f"{i:03d} copy.jpg"] for i in range(40))
    small_apart = sum(part_of[f"{i:03d}.jpg"] != part_of[f"{i:03d} small.png"] for i in range(40))

    found = check(held)

    assert 0 < copies_apart < 40
    assert (found.exact_duplicates.count, found.exact_duplicates.across_parts) == (40, copies_apart)
    assert sum(found.exact_duplicates.twins_in_other_parts.values()) == 2 * copies_apart
    assert 0 < small_apart < 40
    assert (found.near_duplicates.count, found.near_duplicates.across_parts) == (40, small_apart)
    assert found.parts == {"train": 120}  # as the source has them


def test_duplicates_of_a_set_too_small_to_be_split_are_still_counted() -> None:
    first = next(iter(photos(1).values()))
    found = check(collection(train=part({"a.jpg": first, "b.jpg": first}))).exact_duplicates
    assert (found.count, found.across_parts, found.twins_in_other_parts) == (1, 0, {"train": 0})


def test_recompressed_and_resized_copies_in_another_part_are_near_duplicates() -> None:
    originals = [photo(200, 150, seed=i) for i in range(6)]
    train = part({f"train{i}": encoded(image, "JPEG", quality=90) for i, image in enumerate(originals)})
    test = part(
        {
            "recompressed": encoded(originals[0], "JPEG", quality=40),
            "smaller": encoded(originals[1].resize((100, 75), Image.Resampling.BICUBIC), "JPEG"),
            "as PNG": encoded(originals[2], "PNG"),
            "brighter": encoded(originals[3].point(lambda value: min(255, int(value * 1.1))), "JPEG"),
            "another": encoded(photo(200, 150, seed=77), "JPEG"),
        }
    )

    found = check(collection(train=train, validation=part(photos(1, 500)), test=test))

    assert [group["keys"] for group in found.near_duplicates.groups] == [
        ["train0", "recompressed"],
        ["train1", "smaller"],
        ["train2", "as PNG"],
        ["train3", "brighter"],
    ]
    assert found.near_duplicates.twins_in_other_parts == {"train": 4, "validation": 0, "test": 4}
    assert found.exact_duplicates.count == 0


def test_near_duplicates_inside_a_part_are_left_alone_unless_it_will_be_split() -> None:
    def twins(start: int) -> dict[str, RawImage]:
        image = photo(seed=start)
        return {f"{start}a": encoded(image, "JPEG", quality=90), f"{start}b": encoded(image, "JPEG", quality=50)}

    apart = collection(train=part(twins(0)), validation=part(photos(1, 500)), test=part(twins(1)))
    assert check(apart).near_duplicates.count == 0
    alone = check(collection(train=part(twins(0)))).near_duplicates
    assert (alone.count, alone.across_parts) == (1, 0)  # two images are too few for three parts
    halved = check(collection(train=part(twins(0)), test=part(photos(1, 500)))).near_duplicates
    assert (halved.count, halved.across_parts) == (1, 1)  # one of the two becomes the validation part


def test_the_same_pixels_under_other_metadata_are_near_duplicates() -> None:
    raw = encoded(photo(seed=1), "JPEG")
    train = part({f"train{i}": raw + bytes([i]) for i in range(5)})
    test = part({f"test{i}": raw + bytes([100 + i]) for i in range(3)})
    found = check(collection(train=train, test=test)).near_duplicates
    assert (found.count, found.images, found.across_parts) == (1, 8, 1)


def test_flat_pictures_are_not_called_alike() -> None:
    def flat(start: int) -> dict[str, RawImage]:
        return {f"{i}": np.full((20, 20, 3), i, dtype=np.uint8) for i in range(start, start + 20)}

    found = check(collection(train=part(flat(0)), test=part(flat(100))))
    assert (found.near_duplicates.count, found.exact_duplicates.count) == (0, 0)


def digests_of(count: int) -> NDArray[np.void]:
    return np.arange(2 * count, dtype=np.uint64).view("V16")


def test_hashes_of_mostly_black_pictures_still_differ() -> None:
    thumbnails = np.zeros((50, 16, 18), dtype=np.uint8)
    for i, at in enumerate(np.random.default_rng(0).integers(2, 13, (50, 2))):
        thumbnails[i, at[0] : at[0] + 3, at[1] : at[1] + 3] = 255
    hashes = perceptual_hashes(thumbnails)
    assert len(set(hashes.tolist())) == len(np.unique(thumbnails, axis=0))


def test_near_twins_are_found_among_many_in_seconds() -> None:
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (20_000, 4, 6, 3), dtype=np.uint8)
    thumbnails = np.stack([thumbnail(Image.fromarray(pixels).resize((36, 32), 3)) for pixels in coarse])
    thumbnails = np.minimum(thumbnails, 250)
    thumbnails[-100:] = thumbnails[:100] + 3  # brighter
    parts = np.repeat(np.array([0, 2], dtype=np.int8), 10_000)
    started = time.monotonic()

    found = near_twins(digests_of(20_000), thumbnails, parts)

    assert time.monotonic() - started < 20
    assert [group.tolist() for group in found.groups] == [[i, 19_900 + i] for i in range(100)]
    assert found.complete


def test_look_alikes_without_end_stop_the_search_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.data.preflight.duplicates._MOST_COMPARED", 1000)
    gradients = np.arange(18, dtype=np.uint8) * 10 + np.arange(60, dtype=np.uint8)[:, None, None]
    alike = np.broadcast_to(gradients, (60, 16, 18))
    found = near_twins(digests_of(60), alike, (np.arange(60) % 2).astype(np.int8))
    assert not found.complete


def test_no_image_has_no_twin() -> None:
    none = near_twins(digests_of(0), np.zeros((0, 16, 18), np.uint8), np.zeros(0, np.int8))
    assert (none.groups, exact_twins(digests_of(0)).groups) == ((), ())


def test_values_survive_json() -> None:
    train = part(photos(4) | {"bad\nname\0.jpg": b"", "again.png": next(iter(photos(1).values()))})
    found = check(collection("a", "b", train=train, test=part(photos(2))).noted("a note"))
    assert found.exact_duplicates.count == 2
    assert Preflight.from_values(json.loads(json.dumps(found.as_values(), allow_nan=False))).as_values() == (
        found.as_values()
    )


def test_values_of_something_else_are_refused() -> None:
    with pytest.raises(DataError, match="cannot be read: 'images'"):
        Preflight.from_values({})


def test_up_to_one_percent_of_bad_images_is_left_out_with_a_note() -> None:
    pixels: dict[str, RawImage] = {f"{i}": np.full((4, 4), i, dtype=np.uint8) for i in range(199)}
    train = part(pixels | {"bad.jpg": b"<html>"}, [i % 2 for i in range(200)])
    found = collection("a", "b", train=train, test=part(photos(1)))

    cleaned = without_bad(found, check(found))

    assert cleaned.part("train").keys == tuple(pixels)
    assert cleaned.part("train").labels.tolist() == [i % 2 for i in range(199)]
    assert cleaned.part("test") is found.part("test")
    assert cleaned.notes == (
        "1 of 201 images (0.5 %) cannot be decoded and were left out: "
        "'bad.jpg' (an HTML page, not an image: a failed download?).",
    )


def test_more_than_one_percent_of_bad_images_is_an_error_with_the_first_names() -> None:
    pixels: dict[str, RawImage] = {f"{i}": np.full((4, 4), i, dtype=np.uint8) for i in range(93)}
    found = collection(train=part(pixels | {f"bad{i}": b"" for i in range(7)}))
    expected = r"7 of 100 images \(7 %\) cannot be decoded, more than 1 %: 'bad0' \(empty.*'bad4'.* and 2 more\."
    with pytest.raises(DataError, match=expected) as caught:
        without_bad(found, check(found))
    assert "bad5" not in str(caught.value)


def test_a_set_of_nothing_but_bad_images_says_100_percent() -> None:
    found = collection(train=part({"bad": b""}))
    with pytest.raises(DataError, match=r"1 of 1 images \(100 %\) cannot be decoded"):
        without_bad(found, check(found))


def test_a_sound_set_is_returned_as_it_is() -> None:
    found = collection(train=part(photos(3)))
    assert without_bad(found, check(found)) is found


def test_an_image_that_is_gone_is_bad_and_not_fatal() -> None:
    held = LabelledImages(Dying(40, 7, "DataError"), np.zeros(40, np.int64), tuple(map(str, range(40))))
    found = check(collection(train=held))
    assert [(bad.key, bad.reason) for bad in found.bad] == [("7", "file is gone")]


def test_a_set_without_images_is_refused() -> None:
    with pytest.raises(DataError, match="'mine' has no images"):
        check(collection(train=part({})))


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("SIGKILL", r"was killed \(SIGKILL\), most often by the system when memory runs out"),
        ("SIGSEGV", "died of SIGSEGV"),
        ("ZeroDivisionError", "ended with exit code 1.*ZeroDivisionError: a fault of the reader"),
    ],
)
def test_a_process_that_dies_is_an_error_that_names_the_image(how: str, said: str, processes: int) -> None:
    keys = tuple(f"{i}.jpg" for i in range(300))
    dying = collection(train=LabelledImages(Dying(300, 201, how), np.zeros(300, np.int64), keys))
    with pytest.raises(DataError, match=said) as caught:
        check(dying, processes)
    assert "at image '201.jpg' of 'train'" in str(caught.value)
    assert _decoders_left() == []


def test_an_interrupt_ends_the_processes_too() -> None:
    keys = tuple(map(str, range(40)))
    waiting = collection(train=LabelledImages(Dying(40, 30, "sleep"), np.zeros(40, np.int64), keys))
    threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        check(waiting)
    assert time.monotonic() - started < 20
    assert _decoders_left() == []


def _decoders_left() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


def test_progress_counts_up_to_all_images() -> None:
    seen: list[tuple[int, int]] = []
    found = collection(train=part(photos(40)))
    check_images(found, processes=2, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (40, 40)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_findings_do_not_depend_on_the_number_of_processes() -> None:
    images = photos(40) | {"bad.jpg": b"", "copy.jpg": photos(1)["000.jpg"]}
    found = collection(train=part(images), test=part(photos(10, 35)))

    def findings(processes: int) -> dict[str, object]:
        values = check(found, processes).as_values()
        return {key: value for key, value in values.items() if key not in ("processes", "seconds", "img_per_s")}

    assert findings(1) == findings(2) == findings(3)


# The command line. `data_app` stands alone here, as it is before it is mounted.


def write_folder(root: Path, good: int, bad: int) -> Path:
    for label in ("cat", "dog"):
        (root / label).mkdir(parents=True)
        for i in range(good):
            (root / label / f"{i}.jpg").write_bytes(encoded(photo(60, 44, seed=2 * i + (label == "cat")), "JPEG"))
    for i in range(bad):
        (root / "cat" / f"bad\x1b[2J{i}.jpg").write_bytes(b"<html>")
    return root


def test_the_command_says_what_it_found_and_ends_with_zero(tmp_path: Path) -> None:
    result = CliRunner().invoke(data_app, ["check", str(write_folder(tmp_path / "pets_of_mine", 8, 0))])
    assert result.exit_code == 0, result.output
    assert "pets_of_mine: 16 images (train 16), 2 classes" in result.output
    assert "Missing parts: validation, test." in result.output
    assert result.output.endswith("Usable: every image can be decoded.\n")


def test_the_command_ends_with_one_when_too_many_are_bad(tmp_path: Path) -> None:
    result = CliRunner().invoke(data_app, ["check", f"mine={write_folder(tmp_path / 'x', 8, 1)}"])
    assert result.exit_code == 1
    assert "1 images (5.9 %) cannot be decoded:" in result.output
    assert "an HTML page" in result.output
    assert "NOT USABLE" in result.output
    assert "\x1b" not in result.output, "a file name must not reach the terminal as a command"


def test_the_command_writes_json(tmp_path: Path) -> None:
    result = CliRunner().invoke(data_app, ["check", str(write_folder(tmp_path / "x", 8, 1)), "--json"])
    values = json.loads(result.stdout)
    assert (values["dataset"], values["images"], len(values["bad"])) == ("x", 17, 1)


def test_a_place_that_is_not_there_is_a_wrong_request(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="does not exist"):
        CliRunner().invoke(data_app, ["check", str(tmp_path / "nowhere")], catch_exceptions=False)
