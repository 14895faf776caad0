"""Paths of a data set: what stays below its root, what is refused, and that nothing hangs."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from bench.data.formats.safe_paths import FileReader, inside, printable, read_inside, real_root
from bench.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "cats").mkdir(parents=True)
    (folder / "cats" / "1.jpg").write_bytes(b"meow")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.jpg").write_bytes(b"secret")
    return folder


def test_a_path_is_brought_into_its_plain_form() -> None:
    assert inside("./a//b/./c.jpg") == "a/b/c.jpg"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("../outside/secret.jpg", r"has '\.\.' in it"),
        ("cats/../../outside/secret.jpg", r"has '\.\.' in it"),
        ("..\\outside\\secret.jpg", r"has '\.\.' in it"),
        ("/etc/passwd", "is absolute"),
        ("C:\\images\\1.jpg", "is absolute"),
        ("\\\\server\\1.jpg", "is absolute"),
        ("https://example.org/1.jpg", "is an address"),
        ("a\0.jpg", "is not a path"),
        ("", "is not a path"),
        ("./", "is not a path of a file"),
    ],
)
def test_a_path_that_could_leave_the_root_is_refused(text: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        inside(text)


def test_a_file_below_the_root_is_read(root: Path) -> None:
    assert read_inside(real_root(root), "cats/1.jpg") == b"meow"


def test_links_that_stay_inside_are_followed(root: Path) -> None:
    (root / "felines").symlink_to("cats")
    (root / "first.jpg").symlink_to("felines/1.jpg")
    assert read_inside(real_root(root), "felines/1.jpg") == b"meow"
    assert read_inside(real_root(root), "first.jpg") == b"meow"


def test_the_root_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(root)
    assert read_inside(real_root(tmp_path / "alias"), "cats/1.jpg") == b"meow"


@pytest.mark.parametrize("target", ["../outside/secret.jpg", "/etc/passwd"])
def test_a_link_to_a_file_outside_is_refused(root: Path, target: str) -> None:
    (root / "2.jpg").symlink_to(target)
    with pytest.raises(DataError, match=r"'2\.jpg' is, or lies behind, a link to a place outside"):
        read_inside(real_root(root), "2.jpg")


def test_a_link_to_a_folder_outside_is_refused_in_the_middle_of_a_path(root: Path) -> None:
    (root / "deep").mkdir()
    (root / "deep" / "way").symlink_to("../../outside")
    with pytest.raises(DataError, match="'deep/way' is, or lies behind, a link to a place outside"):
        read_inside(real_root(root), "deep/way/secret.jpg")


def test_a_neighbour_whose_name_begins_like_the_root_is_outside(root: Path, tmp_path: Path) -> None:
    (tmp_path / "data2").mkdir()
    (tmp_path / "data2" / "1.jpg").write_bytes(b"other")
    (root / "way").symlink_to("../data2")
    with pytest.raises(DataError, match="outside the data folder"):
        read_inside(real_root(root), "way/1.jpg")


def test_pipes_devices_and_loops_are_refused_without_waiting(root: Path) -> None:
    os.mkfifo(root / "pipe.jpg")
    (root / "loop.jpg").symlink_to("loop.jpg")
    for name, problem in (("pipe.jpg", "is a pipe"), ("cats", "is a folder"), ("loop.jpg", "leads back to itself")):
        with pytest.raises(DataError, match=problem):
            read_inside(real_root(root), name)


def test_a_file_that_is_gone_is_named(root: Path) -> None:
    with pytest.raises(DataError, match=r"File 'cats/2\.jpg' does not exist"):
        read_inside(real_root(root), "cats/2.jpg")


def test_a_file_too_large_for_an_image_is_refused(root: Path) -> None:
    with (root / "huge.tif").open("wb") as file:
        file.truncate((1 << 30) + 1)  # without a block on disk
    with pytest.raises(DataError, match="at most 1 GiB"):
        read_inside(real_root(root), "huge.tif")


def test_a_reader_reads_after_a_journey_to_another_process(root: Path) -> None:
    reader = pickle.loads(pickle.dumps(FileReader(real_root(root), ("cats/1.jpg",))))
    assert (len(reader), reader.read(0)) == (1, b"meow")


def test_reading_leaves_no_file_open(root: Path) -> None:
    reader = FileReader(real_root(root), ("cats/1.jpg", "cats/none.jpg"))
    before = len(os.listdir("/proc/self/fd"))
    reader.read(0)
    with pytest.raises(DataError):
        reader.read(1)
    assert len(os.listdir("/proc/self/fd")) == before


def test_names_that_are_not_utf_8_become_printable() -> None:
    assert printable(os.fsdecode(b"caf\xe9.jpg")) == "caf\\xe9.jpg"
    assert printable("café.jpg") == "café.jpg"


def test_names_that_would_act_on_a_terminal_are_shown_and_not_obeyed() -> None:
    assert printable("\x1b[2Ja\n.jpg") == "\\x1b[2Ja\\x0a.jpg"
    assert printable("é\x9b2J.jpg") == "é\\x9b2J.jpg"
