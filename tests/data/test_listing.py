"""Lists of images: CSV as people write it, Parquet, and one clear line for each that cannot be used."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from bench.data.formats.listing import open_listing
from bench.errors import DataError, RequestError

FILES = ("a/1.png", "a/2.png", "b/1.png", "b/2.png", "b/3, large.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with files that hold their own path."""
    for file in FILES:
        (tmp_path / "set" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / file).write_bytes(file.encode())
    (tmp_path / "outside.png").write_bytes(b"secret")
    return tmp_path / "set"


def listed(root: Path, content: str | bytes) -> Path:
    path = root / "list.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


PLAIN = "path,label\na/1.png,cat\nb/1.png,dog\na/2.png,cat\n"


def test_a_list_is_one_part_in_its_order(root: Path) -> None:
    found = open_listing("mine", listed(root, PLAIN))
    train = found.part("train")
    assert found.class_names == ("cat", "dog")
    assert (train.keys, train.labels.tolist()) == (("a/1.png", "b/1.png", "a/2.png"), [0, 1, 0])
    assert (train.groups, found.notes, train.reader.read(1)) == (None, (), b"b/1.png")


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + PLAIN.encode(),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\r").encode(),
        PLAIN.replace("\n", "\n\n").encode(),
        PLAIN.replace(",", " , ").encode(),
        PLAIN.replace("path,label", "Path,LABEL").encode(),
        b'"path","label"\n"a/1.png","cat"\n"./b//1.png","dog"\n"a/2.png","cat"',
    ],
    ids=["BOM", "CRLF", "CR", "blank lines", "spaces", "capitals", "quotes"],
)
def test_the_ways_in_which_people_save_a_list_give_the_same(root: Path, content: bytes) -> None:
    found = open_listing("mine", listed(root, content))
    assert found.part("train").keys == ("a/1.png", "b/1.png", "a/2.png")
    assert found.class_names == ("cat", "dog")


def test_splits_and_groups_are_read(root: Path) -> None:
    found = open_listing(
        "mine",
        listed(
            root,
            "path,label,split,group,age\na/1.png,0,train,p1,9\nb/1.png,10,Train,p1,9\na/2.png,0,val,p2,9\n"
            'b/2.png,10,test,,9\n"b/3, large.png",10,test,p2,9\n',
        ),
    )
    assert list(found.parts) == ["train", "validation", "test"]
    assert found.class_names == ("0", "10")
    assert found.part("train").groups == ("p1", "p1")
    assert found.part("test").groups == ("b/2.png", "p2")
    assert found.part("test").reader.read(1) == b"b/3, large.png"
    assert found.notes == (
        "Columns of the list that were ignored: 'age'.",
        "1 images of the list have no group; each is a group of its own.",
        "1 groups have images in more than one part of the list's split: 'p2'.",
    )


def test_integer_labels_are_in_the_order_of_integers(root: Path) -> None:
    found = open_listing("mine", listed(root, "path,label\na/1.png,10\na/2.png,9\nb/1.png,-1\n"))
    assert found.class_names == ("-1", "9", "10")


def test_labels_that_look_mistyped_are_noted(root: Path) -> None:
    content = "path,label\na/1.png,sea lion\na/2.png,Sea_Lion\nb/1.png,dog\n"
    assert open_listing("mine", listed(root, content)).notes == (
        "Classes that differ only by case, spaces, '_', '-' or zeros are kept apart; is one mistyped? "
        "'Sea_Lion' (1 images), 'sea lion' (1 images)",
    )


MALFORMED: list[tuple[str, str | bytes, str]] = [
    ("empty file", "", r"^List 'list\.csv' is empty\. Expected the header"),
    ("only a BOM", b"\xef\xbb\xbf\r\n", r"is empty"),
    ("header only", "path,label\n", r"has a header and no images"),
    ("no header", "a/1.png,cat\nb/1.png,dog\n", r"has no column 'path' but 'a/1\.png', 'cat'\."),
    ("column missing", "path,split\na/1.png,train\n", r"has no column 'label' but 'path', 'split'"),
    ("other names", "filename,class\na/1.png,cat\n", r"has no column 'path' .* Is it 'filename'\? Rename it"),
    ("column twice", "path,label,label\na/1.png,cat,cat\n", r"has the column 'label' twice"),
    ("semicolons", "path;label\na/1.png;cat\n", r"separated by ';'; separate them by commas"),
    ("tabs", "path\tlabel\na/1.png\tcat\n", r"separated by tabs; separate them by commas"),
    ("empty label", "path,label\na/1.png,cat\nb/1.png,\n", r"line 3: image 'b/1\.png' has no label"),
    ("NaN", "path,label\na/1.png,cat\nb/1.png,NaN\n", r"line 3: .*'NaN', which is a missing number"),
    ("empty path", "path,label\n,cat\n", r"line 2: '' is not a path"),
    ("path twice", PLAIN + "./a/1.png,dog\n", r"line 5: path '\./a/1\.png' is listed already, in line 2"),
    ("unknown split", "path,label,split\na/1.png,cat,trian\n", r"line 2: split 'trian' is unknown\. Use one of train"),
    ("empty split", "path,label,split\na/1.png,cat,train\nb/1.png,dog,\n", r"line 3: the split is empty, while"),
    ("too many cells", "path,label\na/1.png,cat\nb/3, large.png,dog\n", r"line 3: 3 cells, .* 2\. Put double quotes"),
    ("too few cells", "path,label,split\na/1.png,cat\n", r"line 2: 2 cells, and the header has 3"),
    ("open quote", 'path,label\na/1.png,cat\n"b/1.png,dog\na/2.png,cat\n', r"line 3: .*Is a double quote not closed"),
    ("Latin-1", "path,label\na/1.png,cat\nb/1.png,béar\n".encode("latin-1"), r"line 3: byte 0xe9 is not UTF-8"),
    ("UTF-16", PLAIN.encode("utf-16"), r"the file is UTF-16\. Save it as UTF-8"),
    ("zero byte", "path,label\na/1.png,c\0at\n", r"line 2: a zero byte"),
    ("Excel file", b"PK\x03\x04rest", r"is an Excel or zip file, not CSV"),
    ("missing file", "path,label\na/1.png,cat\nc/9.png,dog\n", r"line 3: file 'c/9\.png' does not exist"),
    ("missing files", "path,label\nx.png,cat\ny.png,dog\nz.png,a\n", r"line 2: file 'x\.png' and 2 other files"),
    ("backslashes", "path,label\na\\1.png,cat\n", r"line 2: .*Write folders with '/'"),
    ("folder", "path,label\na,cat\n", r"line 2: 'a' is a folder"),
    ("up and out", "path,label\n../outside.png,cat\n", r"line 2: Path '\.\./outside\.png' has '\.\.' in it"),
    ("absolute", "path,label\n/etc/passwd,cat\n", r"line 2: Path '/etc/passwd' is absolute"),
    ("address", "path,label\nhttps://example.org/1.png,cat\n", r"line 2: .*is an address"),
    ("link", "path,label\nlink.png,cat\n", r"line 2: 'link\.png' is, or lies behind, a link to a place outside"),
    ("linked folder", "path,label\nway/outside.png,cat\n", r"line 2: 'way' is, or lies behind, a link"),
    ("pipe", "path,label\npipe.png,cat\n", r"line 2: 'pipe\.png' is a pipe"),
    (
        "label that only test has",
        "path,label,split\na/1.png,cat,train\nb/1.png,dog,train\nb/2.png,DOG ,test\n",
        r"list 'list\.csv', line 4: class 'DOG' is in 'test' and not in 'train'\. Did you mean 'dog'\?",
    ),
]


@pytest.mark.parametrize(("content", "problem"), [case[1:] for case in MALFORMED], ids=[case[0] for case in MALFORMED])
def test_a_malformed_list_gives_one_clear_line(root: Path, content: str | bytes, problem: str) -> None:
    (root / "link.png").symlink_to("../outside.png")
    (root / "way").symlink_to("..")
    os.mkfifo(root / "pipe.png")
    with pytest.raises(DataError, match=problem) as caught:
        open_listing("mine", listed(root, content))
    assert "\n" not in str(caught.value)


def test_one_class_is_too_few(root: Path) -> None:
    with pytest.raises(RequestError, match=r"has 1 class \('cat'\); two are needed"):
        open_listing("mine", listed(root, "path,label\na/1.png,cat\n"))


def test_a_list_that_is_a_pipe_does_not_hang(root: Path) -> None:
    os.mkfifo(root / "list.csv")
    with pytest.raises(DataError, match="is a pipe"):
        open_listing("mine", root / "list.csv")


# --- Parquet ---


def parquet(root: Path, **columns: list[object]) -> Path:
    pd.DataFrame(columns).to_parquet(root / "list.parquet")
    return root / "list.parquet"


@pytest.mark.parametrize("labels", [[0, 1, 0], [0.0, 1.0, 0.0], ["0", "1", "0"]], ids=["int", "float", "text"])
def test_a_parquet_list_is_read(root: Path, labels: list[object]) -> None:
    path = parquet(root, path=["a/1.png", "b/1.png", "a/2.png"], label=labels, split=["train", "train", "val"])
    found = open_listing("mine", path)
    assert found.class_names == ("0", "1")
    assert found.part("validation").keys == ("a/2.png",)
    assert found.part("train").reader.read(1) == b"b/1.png"


def test_a_parquet_list_of_categories_is_read(root: Path) -> None:
    frame = pd.DataFrame({"path": ["a/1.png", "b/1.png"], "label": pd.Categorical(["cat", "dog"])})
    frame.to_parquet(root / "list.parquet")
    assert open_listing("mine", root / "list.parquet").class_names == ("cat", "dog")


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"path": ["a/1.png", "b/1.png"], "label": ["cat", None]}, r"row 2: image 'b/1\.png' has no label"),
        ({"path": ["a/1.png", "b/1.png"], "label": [1.0, float("nan")]}, r"row 2: image 'b/1\.png' has no label"),
        ({"path": ["a/1.png"], "label": [1.5]}, r"row 1: label 1\.5 is a float, not a text or an integer"),
        ({"path": [b"a/1.png"], "label": [1]}, r"row 1: path b'a/1\.png' is a bytes, not a text"),
        ({"path": ["a/1.png"], "label": [[1, 2]]}, r"row 1: label \[1, 2\] is a list"),
        ({"path": ["a/1.png"], "label": [True]}, r"row 1: label True is a bool"),
        ({"image": ["a/1.png"], "label": [1]}, r"has no column 'path' .* Is it 'image'\?"),
        ({"path": [], "label": []}, r"has a header and no images"),
        ({"path": ["../outside.png"], "label": [1]}, r"row 1: Path '\.\./outside\.png' has"),
    ],
)
def test_a_malformed_parquet_list_gives_one_clear_line(
    root: Path, columns: dict[str, list[object]], problem: str
) -> None:
    with pytest.raises(DataError, match=problem):
        open_listing("mine", parquet(root, **columns))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"path,label\na/1.png,cat\n", b"PAR1" + bytes(100) + b"PAR1"])
def test_a_file_that_is_no_parquet_is_named(root: Path, content: bytes) -> None:
    (root / "list.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"^List 'list\.parquet' cannot be read as Parquet: ") as caught:
        open_listing("mine", root / "list.parquet")
    assert "\n" not in str(caught.value)


def test_a_parquet_list_with_a_text_that_is_not_utf_8_is_named(root: Path) -> None:
    frame = pd.DataFrame({"path": ["a/1.png", "b/1.png"], "label": ["cat", "dog"]})
    frame.to_parquet(root / "list.parquet", compression=None)
    (root / "list.parquet").write_bytes((root / "list.parquet").read_bytes().replace(b"dog", b"d\xffg"))
    with pytest.raises(DataError, match=r"^List 'list\.parquet' cannot be read as Parquet: .*0xff"):
        open_listing("mine", root / "list.parquet")


def test_integers_that_a_gap_made_floats_are_integers_in_every_row(root: Path) -> None:
    content = "path,label\na/1.png,1.0\na/2.png,1\nb/1.png,10.0\nb/2.png,2.0\n"
    assert open_listing("mine", listed(root, content)).class_names == ("1", "2", "10")


def test_numbers_that_are_no_integers_stay_texts(root: Path) -> None:
    content = "path,label\na/1.png,1.0\nb/1.png,1.5\n"
    assert open_listing("mine", listed(root, content)).class_names == ("1.0", "1.5")


@pytest.mark.parametrize(("first", "second"), [("01", "1"), ("True", "true"), ("v1.0", "v1"), ("Ａ1", "a1")])
def test_labels_that_may_be_one_number_or_word_are_kept_apart_and_noted(root: Path, first: str, second: str) -> None:
    content = f"path,label\na/1.png,{first}\na/2.png,{second}\nb/1.png,dog\n"
    (note,) = open_listing("mine", listed(root, content)).notes
    assert "is one mistyped?" in note
    assert repr(first) in note
    assert repr(second) in note


@pytest.mark.parametrize(
    "odd", ["caf\u00e9\u200b", "\ufeffcaf\u00e9", "cafe\u0301", "caf\u00e9\u00a0\u200b", "caf\u00ad\u00e9"]
)
def test_labels_that_look_the_same_are_one_class(root: Path, odd: str) -> None:
    content = f"path,label,split\na/1.png,caf\u00e9,train\nb/1.png,bar,train\na/2.png,{odd},test\nb/2.png,bar,test\n"
    found = open_listing("mine", listed(root, content))
    assert found.class_names == ("bar", "caf\u00e9")
    assert found.part("test").labels.tolist() == [1, 0]
    assert found.notes[0].startswith("Labels that differ only by their Unicode form, invisible characters")


def test_joiners_that_scripts_and_emoji_need_are_kept(root: Path) -> None:
    persian = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
    found = open_listing("mine", listed(root, f"path,label\na/1.png,{persian}\nb/1.png,dog\n"))
    assert persian in found.class_names


def test_a_label_that_looks_like_none_is_noted(root: Path) -> None:
    (note,) = open_listing("mine", listed(root, "path,label\na/1.png,NA\nb/1.png,dog\n")).notes
    assert note.startswith("The labels 'NA' are taken as classes. Do they stand for a missing label?")


@pytest.mark.parametrize(("on_disk", "in_list"), [("e\u0301", "\u00e9"), ("\u00e9", "e\u0301")])
def test_a_file_is_found_whose_name_is_in_the_other_unicode_form(root: Path, on_disk: str, in_list: str) -> None:
    (root / on_disk).mkdir()
    (root / on_disk / f"{on_disk}.png").write_bytes(b"image")
    found = open_listing("mine", listed(root, f"path,label\n{in_list}/{in_list}.png,cat\nb/1.png,dog\n"))
    assert found.part("train").reader.read(0) == b"image"
    assert found.part("train").keys[0] == f"{on_disk}/{on_disk}.png"


def test_a_name_with_codes_for_its_spaces_is_named(root: Path) -> None:
    with pytest.raises(DataError, match=r"file 'b/3%2C%20large\.png' does not exist.* without %-codes"):
        open_listing("mine", listed(root, "path,label\nb/3%2C%20large.png,cat\nb/1.png,dog\n"))
