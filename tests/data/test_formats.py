"""What `--data NAME=PLACE` may say, and which reader it leads to."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from PIL import Image

from bench.data.formats import formats
from bench.data.formats.formats import FORMATS, Format, open_user, parse_data_option
from bench.data.sets.collection import ImageCollection
from bench.data.sets.splits import with_all_parts
from bench.errors import RequestError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Real images: ten of each of two classes, and a list and a shard of the same."""
    rows, root = ["path,label"], tmp_path / "set"
    with tarfile.open(tmp_path / "set.tar", "w") as tar:
        for label, brightness in (("dark", 10), ("bright", 200)):
            (root / label).mkdir(parents=True)
            for i in range(10):
                file = root / label / f"{i}.png"
                Image.new("L", (8, 8), brightness + i).save(file)
                rows.append(f"{label}/{i}.png,{label}")
                tar.add(file, f"{label}{i}.png")
                info = tarfile.TarInfo(f"{label}{i}.cls")
                info.size = len(label)
                tar.addfile(info, io.BytesIO(label.encode()))
    (root / "list.csv").write_text("\n".join(rows))
    return root


@pytest.mark.parametrize("spec", ["{}", "{}/list.csv", "{}.tar", "shards:{}.tar"])
def test_one_set_is_the_same_however_it_is_stored(
    folder: Path, spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITBENCH_CACHE", str(tmp_path / "cache"))
    found = with_all_parts(open_user("mine", spec.format(folder), download=False))
    assert (found.name, found.class_names) == ("mine", ("bright", "dark"))
    assert {name: len(part) for name, part in found.parts.items()} == {"train": 14, "validation": 2, "test": 4}
    for part in found.parts.values():
        for i, label in enumerate(part.labels):
            raw = part.reader.read(i)
            assert isinstance(raw, bytes)
            with Image.open(io.BytesIO(raw)) as image:
                assert image.getpixel((0, 0)) in (range(200, 210), range(10, 20))[label]


def test_a_folder_that_is_called_like_a_shard_is_a_folder(folder: Path) -> None:
    os.rename(folder, folder.with_name("odd.tar"))
    (folder.with_name("set.tar")).unlink()
    assert open_user("mine", f"{folder.parent}/odd.tar", download=False).part("train").keys[0] == "bright/0.png"


def test_a_place_may_begin_at_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    for spec in ("~/set", "~/set/list.csv", "~/set.tar", "shards:~/set.tar"):
        assert len(open_user("mine", spec, download=False).part("train")) == 20


@pytest.mark.parametrize(
    ("spec", "repo", "revision", "config", "splits"),
    [
        ("hf:owner/name", "owner/name", None, "", ()),
        ("hf:o.w-n_er/na.me@0123abc", "o.w-n_er/na.me", "0123abc", "", ()),
        ("hf:owner/name@0123abc:small", "owner/name", "0123abc", "small", ()),
        ("hf:owner/name@0123abc#train800+val200", "owner/name", "0123abc", "", ("train800", "val200")),
    ],
)
def test_a_data_set_of_the_hub_goes_to_its_reader(
    monkeypatch: pytest.MonkeyPatch, spec: str, repo: str, revision: str | None, config: str, splits: tuple[str, ...]
) -> None:
    asked: list[tuple[object, ...]] = []

    def open_hub(name: str, repo_id: str, *, splits: Iterable[str], **given: object) -> ImageCollection:
        asked.append((name, repo_id, given, tuple(splits)))
        return ImageCollection(name, ("a", "b"), {})

    monkeypatch.setattr("bench.data.formats.hub.open_hub", open_hub)
    open_user("mine", spec, download=True)
    assert asked == [("mine", repo, {"revision": revision, "config": config, "download": True}, splits)]


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("nowhere", r"'nowhere' does not exist\. Expected a folder, a list"),
        ("nowhere.csv", r"'nowhere\.csv' does not exist"),
        ("nowhere.tar", r"shard 'nowhere\.tar' does not exist"),
        ("shards:", "names no place"),
        ("images.tar.gz", "is compressed, so single images cannot be reached"),
        ("shards:images.tgz", "is compressed"),
        ("hf:name", r"is not hf:owner/name\[@revision\]\[:config\]"),
        ("hf:owner/name/more", "is not hf:owner/name"),
        ("hf:../../etc", "is not hf:owner/name"),
        ("hf:../name", "is not hf:owner/name"),
        ("hf:owner/name@", "is not hf:owner/name"),
    ],
)
def test_a_place_that_is_none_is_refused(spec: str, problem: str) -> None:
    with pytest.raises(RequestError, match=problem):
        open_user("mine", spec, download=False)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images.zip").write_bytes(b"PK")
    with pytest.raises(RequestError, match=r"images\.zip' is no kind of data set that can be read"):
        open_user("mine", str(tmp_path / "images.zip"), download=False)


def test_an_option_is_a_name_and_what_follows_the_first_equals_sign() -> None:
    assert parse_data_option("mine=hf:owner/name@a=b") == ("mine", "hf:owner/name@a=b")


@pytest.mark.parametrize("option", ["mine", "=x", "my data=x", "mine=", "1st=x", "my-data=x", "mine= "])
def test_an_option_without_name_or_place_is_refused(option: str) -> None:
    with pytest.raises(RequestError, match="is not NAME=PLACE, with letters, digits and '_' in the name"):
        parse_data_option(option)


def test_a_new_format_is_one_row(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = open_user("mine", str(folder), download=False)
    row = Format("a page", lambda spec: spec.startswith("page:"), lambda name, spec, download: known)
    monkeypatch.setattr(formats, "FORMATS", (*FORMATS, row))
    assert open_user("mine", "page:1", download=False) is known
    assert open_user("mine", str(folder), download=False).parts["train"].keys == known.parts["train"].keys
