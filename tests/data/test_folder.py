"""A user's own image folder: layouts, splits, links, and what is refused."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from bench.data.formats.folder import open_folder
from bench.errors import DataError, RequestError


def touch(root: Path, *files: str) -> None:
    """Files that hold their own path; what an image holds is of no matter to a listing."""
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(file.encode())


def test_class_folders_are_one_part_of_files_in_order(tmp_path: Path) -> None:
    touch(tmp_path, "dog/b.png", "dog/a.JPEG", "cat/deep/er/c.webp", "cat/z.jpg")
    found = open_folder("mine", tmp_path)
    assert found.class_names == ("cat", "dog")
    assert list(found.parts) == ["train"]
    assert found.parts["train"].keys == ("cat/deep/er/c.webp", "cat/z.jpg", "dog/a.JPEG", "dog/b.png")
    assert found.parts["train"].labels.tolist() == [0, 0, 1, 1]
    assert found.parts["train"].reader.read(2) == b"dog/a.JPEG"
    assert found.notes == ()


def test_a_collection_can_be_sent_to_another_process(tmp_path: Path) -> None:
    touch(tmp_path, "dog/b.png", "cat/a.png")
    part = pickle.loads(pickle.dumps(open_folder("mine", tmp_path).parts["train"]))
    assert [part.reader.read(i) for i in range(2)] == [b"cat/a.png", b"dog/b.png"]


def test_classes_that_are_numbers_are_in_the_order_of_numbers(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{i}/x.png" for i in range(11)))
    found = open_folder("mine", tmp_path)
    assert found.class_names == tuple(str(i) for i in range(11))
    assert found.parts["train"].keys[1:3] == ("1/x.png", "10/x.png")
    assert found.parts["train"].labels[1:3].tolist() == [1, 10]


@pytest.mark.parametrize("validation", ["val", "validation", "Val"])
def test_split_folders_are_parts(tmp_path: Path, validation: str) -> None:
    touch(tmp_path, *(f"{split}/{label}/x.png" for split in ("train", validation, "test") for label in "ab"))
    found = open_folder("mine", tmp_path)
    assert list(found.parts) == ["train", "validation", "test"]
    assert found.part("validation").keys == (f"{validation}/a/x.png", f"{validation}/b/x.png")


def test_a_test_folder_alone_is_enough_to_be_evaluated_on(tmp_path: Path) -> None:
    touch(tmp_path, "test/a/x.png", "test/b/x.png")
    assert list(open_folder("mine", tmp_path).parts) == ["test"]


def test_what_is_passed_by_is_noted(tmp_path: Path) -> None:
    touch(
        tmp_path,
        *(f"train/{label}/{i}.png" for label in ("cat", "Cat", "dog") for i in range(2)),
        "train/cat/notes.txt",
        "train/dog/labels.json",
        "train/dog/more.txt",
        "train/dog/.hidden.png",
        "train/.cache/x.png",
        "train/loose.png",
        "docs/readme.png",
    )
    (tmp_path / "train" / "bird").mkdir()
    found = open_folder("mine", tmp_path)
    assert len(found.parts["train"]) == 6
    assert found.notes == (
        "2 folders and images that are hidden or a system's own were skipped ('.cache', '.hidden.png').",
        "3 files that are no images were ignored (.txt 2, .json 1).",
        "1 images that lie in no class folder were ignored.",
        "Class folders without images: 'train/bird'.",
        "Folders beside the split folders (train, validation or val, test) were ignored: 'docs'.",
        "Classes that differ only by case, spaces, '_', '-' or zeros are kept apart; is one mistyped? "
        "'Cat' (2 images), 'cat' (2 images)",
    )


def test_a_class_misspelled_in_the_test_folder_is_named_with_the_nearest(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/x.png", "train/dog/x.png", "test/Cat/x.png")
    with pytest.raises(DataError, match=r"'test/Cat/x\.png': class 'Cat' is in 'test' .* Did you mean 'cat'\?"):
        open_folder("mine", tmp_path)


@pytest.mark.parametrize("folders", [("training", "testing"), ("valid", "test")])
def test_folders_that_look_like_splits_are_not_taken_for_classes(tmp_path: Path, folders: tuple[str, str]) -> None:
    touch(tmp_path, *(f"{folder}/{label}/x.png" for folder in folders for label in "ab"))
    with pytest.raises(RequestError, match=r"looks? like (a )?split folder"):
        open_folder("mine", tmp_path)


def test_two_validation_folders_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{split}/{label}/x.png" for split in ("train", "val", "validation") for label in "ab"))
    with pytest.raises(RequestError, match="two 'validation' folders"):
        open_folder("mine", tmp_path)


def test_classes_may_be_called_train_and_test_if_they_hold_images(tmp_path: Path) -> None:
    touch(tmp_path, "train/x.png", "car/x.png", "test/x.png")
    assert open_folder("mine", tmp_path).class_names == ("car", "test", "train")


@pytest.mark.parametrize(("file", "hint"), [("0.tar", "give shards:PATH"), ("my.csv", r"give PATH/my\.csv")])
def test_a_folder_without_classes_is_refused_with_what_it_could_be(tmp_path: Path, file: str, hint: str) -> None:
    touch(tmp_path, file, "images/1.png")
    with pytest.raises(RequestError, match=f"1 class folders with images.*{hint}"):
        open_folder("mine", tmp_path)


def test_folders_nested_too_deep_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.png", "b/x.png", "a/" + "d/" * 110 + "x.png")
    with pytest.raises(DataError, match=r"^'a/d/d/.*' lies under 100 folders"):
        open_folder("mine", tmp_path)


def test_links_inside_the_folder_are_followed(tmp_path: Path) -> None:
    touch(tmp_path, ".pool/1.png", "dog/x.png")
    (tmp_path / "cat").symlink_to(".pool")
    (tmp_path / "dog" / "y.png").symlink_to("x.png")
    found = open_folder("mine", tmp_path).parts["train"]
    assert found.keys == ("cat/1.png", "dog/x.png", "dog/y.png")
    assert found.reader.read(0) == b".pool/1.png"


@pytest.mark.parametrize("link", ["cat/more", "bird", "cat/y.png"])
def test_links_that_leave_the_folder_are_refused(tmp_path: Path, link: str) -> None:
    touch(tmp_path, "data/cat/x.png", "data/dog/x.png", "outside/1.png")
    (tmp_path / "data" / link).symlink_to(tmp_path / "outside" / ("1.png" if link.endswith("png") else ""))
    with pytest.raises(DataError, match=rf"'{link}' is, or lies behind, a link to a place outside"):
        open_folder("mine", tmp_path / "data")


@pytest.mark.parametrize("target", [".", "..", "../../cat", "../.."])
def test_links_in_circles_are_refused(tmp_path: Path, target: str) -> None:
    touch(tmp_path, "cat/deep/x.png", "dog/x.png")
    (tmp_path / "cat" / "deep" / "again").symlink_to(target)
    with pytest.raises(DataError, match="is a link back to a folder that it lies in"):
        open_folder("mine", tmp_path)


def test_a_pipe_among_the_images_is_passed_by(tmp_path: Path) -> None:
    touch(tmp_path, "cat/x.png", "dog/x.png")
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    found = open_folder("mine", tmp_path)
    assert len(found.parts["train"]) == 2
    assert found.notes == ("1 files that are no images were ignored (pipes and devices 1).",)


def test_a_link_to_nothing_is_an_image_that_is_gone(tmp_path: Path) -> None:
    touch(tmp_path, "cat/x.png", "dog/x.png")
    (tmp_path / "cat" / "y.png").symlink_to("none.png")
    part = open_folder("mine", tmp_path).parts["train"]
    with pytest.raises(DataError, match=r"'cat/y\.png' does not exist"):
        part.reader.read(1)


def test_names_that_are_not_utf_8_can_be_read_and_printed(tmp_path: Path) -> None:
    touch(tmp_path, "dog/x.png")
    odd = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(odd)
    with open(odd + b"/\xff.png", "wb") as file:
        file.write(b"image")
    found = open_folder("mine", tmp_path)
    assert found.class_names == ("caf\\xe9", "dog")
    assert found.parts["train"].keys[0] == "caf\\xe9/\\xff.png"
    assert found.parts["train"].reader.read(0) == b"image"


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("training_set", "test_set"),
        ("Training", "Testing"),
        ("trainset", "valset"),
        ("train_images", "test_images"),
        ("images_train", "images_val"),
        ("TRAIN_DATA", "TEST_DATA"),
        ("TrainData", "DevData"),
        ("train2017", "val2017"),
        ("trn", "tst"),
        ("animals_train", "animals_holdout"),
        ("fold1", "fold2"),
    ],
)
def test_names_with_a_splits_word_are_never_classes(tmp_path: Path, train: str, test: str) -> None:
    touch(tmp_path, *(f"{split}/{label}/x.png" for split in (train, test) for label in ("cats", "dogs")))
    with pytest.raises(RequestError, match=r"look like split folders\. Split folders are called train, validation"):
        open_folder("mine", tmp_path)


def test_what_split_folders_are_to_be_called_is_said(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{split}/{label}/x.png" for split in ("training_set", "test_set") for label in "ab"))
    touch(tmp_path, "single_prediction/x.png")
    with pytest.raises(RequestError, match="rename 'test_set' to 'test', 'training_set' to 'train'"):
        open_folder("mine", tmp_path)


def test_split_folders_that_hold_themselves_are_named_with_what_to_move(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{split}/{split}/{label}/x.png" for split in ("seg_train", "seg_test") for label in "ab"))
    touch(tmp_path, "seg_pred/seg_pred/x.png")
    with pytest.raises(RequestError, match="move the folders of 'seg_test/seg_test' up into 'seg_test', 'seg_train/"):
        open_folder("mine", tmp_path)


def test_split_folders_without_class_folders_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat.1.png", "train/dog.1.png", "test1/1.png")
    with pytest.raises(RequestError, match="They hold no class folders, so nothing says what their images show"):
        open_folder("mine", tmp_path)


def test_a_split_folder_by_another_name_beside_real_ones_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{split}/{label}/x.png" for split in ("train", "test", "valid") for label in "ab"))
    with pytest.raises(
        RequestError, match=r"'valid' looks like a split folder beside .*rename 'valid' to 'validation'"
    ):
        open_folder("mine", tmp_path)


def test_folders_that_hold_the_same_folders_are_no_classes(tmp_path: Path) -> None:
    touch(
        tmp_path, *(f"{source}/{label}/x.png" for source in ("amazon", "dslr", "webcam") for label in ("mug", "bike"))
    )
    with pytest.raises(RequestError, match=r"'amazon', 'dslr', 'webcam' hold the same folders \('bike', 'mug'\)"):
        open_folder("mine", tmp_path)


def test_classes_that_hold_the_splits_are_refused_with_the_order_that_is_read(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{label}/{split}/x.png" for split in ("train", "test") for label in ("cable", "bottle")))
    with pytest.raises(RequestError, match=r"Turn it around: test/bottle/\*\.jpg"):
        open_folder("mine", tmp_path)


def test_images_beside_their_masks_are_no_two_classes(tmp_path: Path) -> None:
    touch(tmp_path, "images/1.png", "masks/1.png")
    with pytest.raises(RequestError, match="'images', 'masks' look like images and what belongs to them"):
        open_folder("mine", tmp_path)


@pytest.mark.parametrize(
    "files",
    [
        ["train/x.png", "bus/x.png"],  # vehicles
        ["terrier/dog1/x.png", "terrier/dog2/x.png", "poodle/dog3/x.png", "poodle/dog4/x.png"],
        ["n01443537/images/x.JPEG", "n01629819/images/x.JPEG"],  # Tiny ImageNet
        ["BACKGROUND_Google/x.jpg", "accordion/x.jpg"],  # Caltech-101
        ["blood_test/x.png", "blood_sample/x.png", "test/x.png"],
        ["toy_train/x.png", "real_train/x.png"],
        ["mask/x.png", "no_mask/x.png"],
        ["bullet_train/day/x.png", "bullet_train/night/x.png", "crash_test/x.png"],
    ],
)
def test_ordinary_classes_stay_classes(tmp_path: Path, files: list[str]) -> None:
    touch(tmp_path, *files)
    found = open_folder("mine", tmp_path)
    assert found.class_names == tuple(sorted({file.partition("/")[0] for file in files}))
    assert len(found.part("train")) == len(files)


def test_a_class_called_train_among_classes_of_folders_is_not_guessed(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{name}/x.png" for name in ("train/steam", "train/diesel", "bus/city", "bus/coach")))
    with pytest.raises(RequestError, match="'train' may be a split or a class, as 'bus' beside it holds folders of"):
        open_folder("mine", tmp_path)


def test_a_folder_around_the_data_set_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "archive/PetImages/Cat/x.png", "archive/PetImages/Dog/x.png", "archive/readme.txt")
    with pytest.raises(RequestError, match=r"at 'archive/PetImages' \('Cat', 'Dog'\)\? Then give PATH/archive/P"):
        open_folder("mine", tmp_path)


def test_a_validation_folder_that_is_not_sorted_into_classes_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "train/n1/images/x.JPEG", "train/n2/images/x.JPEG", "val/images/x.JPEG", "val/val_annotations.txt")
    with pytest.raises(DataError, match="'val' holds 'images', and none of the classes of 'train'"):
        open_folder("mine", tmp_path)


LITTER = (
    "@eaDir", "#recycle", "@Recycle", "$RECYCLE.BIN", "lost+found", "System Volume Information", "__MACOSX", ".git",
    ".ipynb_checkpoints", ".thumbnails", ".Trash-1000", ".AppleDouble", ".svn", ".fseventsd",
    "cat (Ann's conflicted copy)",
)  # fmt: skip


@pytest.mark.parametrize("litter", LITTER)
def test_what_systems_leave_is_no_class_and_no_image(tmp_path: Path, litter: str) -> None:
    touch(tmp_path, "cat/x.png", "dog/x.png", f"{litter}/x.png", f"{litter}/dog/x.png", f"cat/{litter}/x.png/y.jpg")
    found = open_folder("mine", tmp_path)
    assert found.class_names == ("cat", "dog")
    assert found.part("train").keys == ("cat/x.png", "dog/x.png")
    assert found.notes[0].startswith("2 folders and images that are hidden or a system's own were skipped")


def test_a_finders_hidden_files_are_no_news(tmp_path: Path) -> None:
    touch(tmp_path, "cat/x.png", "dog/x.png", ".DS_Store", "cat/.DS_Store")
    assert open_folder("mine", tmp_path).notes == ()


def test_images_that_are_in_icloud_alone_are_said_to_be_missing(tmp_path: Path) -> None:
    touch(tmp_path, "cat/x.png", "dog/x.png", "cat/.y.png.icloud")
    (note,) = open_folder("mine", tmp_path).notes
    assert note.startswith(
        "1 files are in iCloud and not on this machine, so they are missing here: 'cat/.y.png.icloud'"
    )


def test_a_class_written_in_two_unicode_forms_is_one_class(tmp_path: Path) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"  # Linux's and macOS's é
    touch(tmp_path, f"train/{composed}/1.png", "train/bar/1.png", f"test/{decomposed}/1.png", "test/bar/1.png")
    touch(tmp_path, f"train/{decomposed}/2.png")
    found = open_folder("mine", tmp_path)
    assert found.class_names == ("bar", composed)
    assert [found.part(part).labels.tolist() for part in ("train", "test")] == [[0, 1, 1], [0, 1]]
    assert f"taken as one class: '{composed}'" in found.notes[-1]


def test_classes_that_hold_the_same_numbered_folders_are_kept_and_noted(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{label}/person{i}/x.png" for label in ("walking", "running") for i in range(3)))
    found = open_folder("mine", tmp_path)
    assert found.class_names == ("running", "walking")
    assert found.notes[0].startswith("'running', 'walking' hold the same folders ('person0', 'person1', 'person2') and")


@pytest.mark.parametrize(
    ("below", "reason"),
    [
        (("images", "masks"), "'train/images', 'train/masks' look like images and what belongs to them"),
        (("fold1/a", "fold1/b", "fold2/a", "fold2/b"), "'train/fold1', 'train/fold2' look like split folders"),
        (
            ("indoors/a", "indoors/b", "outdoors/a", "outdoors/b"),
            r"'train/indoors', .* hold the same folders \('a', 'b'\)",
        ),
        (("train/a", "train/b", "test/a", "test/b"), "move them up to where the data set begins"),
    ],
)
def test_folders_inside_split_folders_are_classes_only_where_they_look_like_them(
    tmp_path: Path, below: tuple[str, ...], reason: str
) -> None:
    touch(tmp_path, *(f"{split}/{folder}/x.png" for split in ("train", "val") for folder in below))
    with pytest.raises(RequestError, match=reason):
        open_folder("mine", tmp_path)


def test_a_folder_of_splits_beside_another_is_no_class(tmp_path: Path) -> None:
    touch(
        tmp_path, *(f"data/{split}/{label}/x.png" for split in ("train", "test") for label in "ab"), "docs/figure.png"
    )
    with pytest.raises(
        RequestError, match=r"'data' holds 'test', 'train', which look like split folders.*give PATH/data"
    ):
        open_folder("mine", tmp_path)
