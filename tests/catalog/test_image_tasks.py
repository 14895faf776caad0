"""The public image tasks: what their rows claim, against the papers' tables and the code that reads them."""

from __future__ import annotations

import csv
import re
from importlib import resources

import pytest

from bench.catalog.image_tasks import find_image_task, image_task_groups, image_task_names, image_tasks
from bench.data.public.catalogued import READERS
from bench.data.public.original_files import LABEL_RULES
from bench.errors import UnknownNameError

# task names of the paper's table -> names here
VTAB_NAMES = {
    "Caltech101": "caltech101",
    "CIFAR-100": "cifar100",
    "DTD": "dtd",
    "Flowers102": "flowers102",
    "Pets": "pets",
    "Sun397": "sun397",
    "SVHN": "svhn",
    "Camelyon": "camelyon",
    "EuroSAT": "eurosat",
    "Resisc45": "resisc45",
    "Retinopathy": "retinopathy",
    "Clevr-Count": "clevr_count",
    "Clevr-Dist": "clevr_distance",
    "DMLab": "dmlab",
    "dSpr-Loc": "dsprites_location",
    "dSpr-Ori": "dsprites_orientation",
    "KITTI-Dist": "kitti_distance",
    "sNORB-Azim": "snorb_azimuth",
    "sNORB-Elev": "snorb_elevation",
}


def test_the_paper_group_is_the_five_sets_of_its_average() -> None:
    assert image_task_groups()["@paper"] == ("imagenet", "cifar10", "cifar100", "pets", "flowers102")


def test_vtab_tasks_agree_with_the_published_table() -> None:
    text = resources.files("bench.catalog").joinpath("vtab_tasks.csv").read_text(encoding="utf-8")
    published = {
        (
            f"vtab_{VTAB_NAMES[row['task']]}",
            row["group"],
            int(row["num_classes"]),
            int(row["test_size"]),
            "flip" in row["bit_train_augmentation"],
            "crop" in row["bit_train_augmentation"],
        )
        for row in csv.DictReader(text.splitlines())
    }
    rows = [image_tasks()[name] for name in image_task_groups()["@vtab"]]
    ours = {(task.name, task.group, task.num_classes, task.test_images, task.flip, task.crop) for task in rows}
    # the file says "neither" for dSprites location, which holds neither word
    assert ours == published
    assert {(task.train_images, task.validation_images) for task in rows} == {(800, 200)}


@pytest.mark.parametrize(
    ("name", "official", "percent"),
    [
        ("imagenet", 1281167, 1),
        ("cifar10", 50000, 2),
        ("cifar100", 50000, 2),
        ("pets", 3680, 10),
        ("flowers102", 1020, 10),
    ],
)
def test_the_held_out_part_is_the_papers_share_of_train(name: str, official: int, percent: int) -> None:
    task = find_image_task(name)
    assert task.train_images + task.validation_images == official
    assert task.validation_images == round(official * percent / 100)


def test_every_row_can_be_read_and_says_how_sure_it_is() -> None:
    for task in image_tasks().values():
        assert task.reader in READERS
        assert task.hub_label_rule in LABEL_RULES
        assert task.status
        assert task.how_to_get
        assert task.files


def test_a_hub_revision_is_a_whole_commit_or_not_given() -> None:
    for task in image_tasks().values():
        assert bool(task.hub_repo) == bool(task.hub_revision)
        assert re.fullmatch(r"([0-9a-f]{40})?", task.hub_revision)
        if "hf:" in task.how_to_get and not task.hub_repo:
            assert "not verified" in task.status


def test_the_flowers_row_states_the_split_and_the_open_point() -> None:
    caution = find_image_task("flowers102").caution
    assert "1,020 images" in caution
    assert "open point" in caution


def test_a_group_stands_for_its_names_and_a_name_for_itself() -> None:
    assert len(image_task_names("@vtab")) == 19
    assert image_task_names("my_own") == ("my_own",)
    with pytest.raises(UnknownNameError, match="Did you mean '@vtab'"):
        image_task_names("@vtb")
