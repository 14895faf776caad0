"""Tar shards: what is read without unpacking, and one clear line for each that cannot be used."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.data.formats.shards import open_shards
from bench.errors import BenchError, DataError, RequestError

Members = list[tuple[str, bytes]]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("VITBENCH_CACHE", str(folder))
    return folder / "shards"


def tar_of(members: Members, *odd: tarfile.TarInfo, format: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info in odd:
            tar.addfile(info)
    return stream.getvalue()


def samples(first: int, count: int) -> Members:
    """Images that hold their own key, labelled cat and dog in turn."""
    return [
        member
        for i in range(first, first + count)
        for member in ((f"{i:04d}.jpg", f"image {i}".encode()), (f"{i:04d}.cls", b"dog\n" if i % 2 else b"cat\n"))
    ]


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_one_shard_is_one_part(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.tar", tar_of(samples(0, 3)))
    found = open_shards("mine", str(path))
    train = found.part("train")
    assert found.class_names == ("cat", "dog")
    assert train.keys == ("mine.tar/0000", "mine.tar/0001", "mine.tar/0002")
    assert train.labels.tolist() == [0, 1, 0]
    assert [train.reader.read(i) for i in (2, 0)] == [b"image 2", b"image 0"]


def test_a_range_of_shards_is_read_in_its_order(tmp_path: Path) -> None:
    for shard in range(8, 12):
        write(tmp_path / f"{shard:04d}.tar", tar_of(samples(shard, 1)))
    found = open_shards("mine", f"{tmp_path}/{{0008..0011}}.tar").part("train")
    assert found.keys == ("0008.tar/0008", "0009.tar/0009", "0010.tar/0010", "0011.tar/0011")
    assert found.reader.read(3) == b"image 11"


@pytest.mark.parametrize("pattern", ["{train,val,test}-{0..1}.tar", "{train,val,test}/{0..1}.tar"])
def test_braces_combine_and_names_or_folders_say_the_part(tmp_path: Path, pattern: str) -> None:
    for split, first in (("train", 0), ("val", 10), ("test", 20)):
        for shard in range(2):
            file = pattern.replace("{train,val,test}", split).replace("{0..1}", str(shard))
            write(tmp_path / file, tar_of(samples(first + 2 * shard, 2)))
    for place in (f"{tmp_path}/{pattern}", str(tmp_path)):
        found = open_shards("mine", place)
        assert {name: len(part) for name, part in found.parts.items()} == {"train": 4, "validation": 4, "test": 4}
        assert found.part("validation").reader.read(3) == b"image 13"


def test_a_split_in_the_middle_of_a_name_counts_beside_train(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        write(tmp_path / f"pets-{split}-000.tar", tar_of(samples(0, 2)))
    assert list(open_shards("mine", str(tmp_path)).parts) == ["train", "validation"]


def test_a_set_that_is_called_crash_test_is_no_test_part(tmp_path: Path) -> None:
    write(tmp_path / "crash-test-000.tar", tar_of(samples(0, 2)))
    assert list(open_shards("mine", str(tmp_path)).parts) == ["train"]


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_folders_are_part_of_the_key(tmp_path: Path, format: int) -> None:
    folder = "/".join(["deep"] * 15)
    members = [(f"{folder}/{i}.{field}", field.encode()) for i in range(2) for field in ("png", "cls")]
    members[3] = (members[3][0], b"other")
    path = write(tmp_path / "x.tar", tar_of(members, format=format))
    found = open_shards("mine", str(path)).part("train")
    assert found.keys == (f"x.tar/{folder}/0", f"x.tar/{folder}/1")
    assert found.reader.read(1) == b"png"


def test_labels_come_from_json_too_and_integers_are_ordered(tmp_path: Path) -> None:
    members = [(f"{i}.png", b"image") for i in range(3)]
    members += [("0.json", b'{"label": 10}'), ("1.json", b'{"label": 9, "x": [1]}'), ("2.cls", b"10")]
    found = open_shards("mine", str(write(tmp_path / "x.tar", tar_of(members))))
    assert found.class_names == ("9", "10")
    assert found.part("train").labels.tolist() == [1, 0, 1]


def test_other_files_of_a_sample_are_noted_and_hidden_ones_are_not(tmp_path: Path) -> None:
    members = [*samples(0, 2), ("0000.txt", b"a cat"), ("0001.seg.png", b"mask"), ("._0000.jpg", b"of macOS")]
    folder = tarfile.TarInfo("folder/")
    folder.type = tarfile.DIRTYPE
    found = open_shards("mine", str(write(tmp_path / "x.tar", tar_of(members, folder))))
    assert len(found.part("train")) == 2
    assert found.notes == ("Files in the shards that are neither image nor label were ignored (.txt 1, .seg.png 1).",)


def test_a_reader_holds_no_file_and_can_be_sent_to_another_process(tmp_path: Path) -> None:
    reader = open_shards("mine", str(write(tmp_path / "x.tar", tar_of(samples(0, 2))))).part("train").reader
    before = len(os.listdir("/proc/self/fd"))
    reader.read(0)
    assert len(os.listdir("/proc/self/fd")) == before
    assert pickle.loads(pickle.dumps(reader)).read(1) == b"image 1"


def test_nothing_is_unpacked(tmp_path: Path) -> None:
    write(tmp_path / "x.tar", tar_of(samples(0, 2)))
    open_shards("mine", str(tmp_path)).part("train").reader.read(0)
    assert [file.name for file in tmp_path.iterdir()] == ["x.tar"]


def test_a_shard_that_changes_after_it_was_listed_is_not_read(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tar", tar_of(samples(0, 2)))
    reader = open_shards("mine", str(path)).part("train").reader
    path.write_bytes(tar_of(samples(0, 20)))
    with pytest.raises(DataError, match=r"Shard 'x\.tar' has changed"):
        reader.read(0)


def test_the_second_opening_does_not_go_through_the_shard(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "x.tar", tar_of([*samples(0, 3), ("0000.txt", b"a cat")]))
    first = open_shards("mine", str(path))
    monkeypatch.delattr("tarfile.open")
    second = open_shards("mine", str(path))
    assert (second.class_names, second.notes) == (first.class_names, first.notes)
    assert second.part("train").keys == first.part("train").keys
    assert second.part("train").reader.read(2) == b"image 2"


def test_a_shard_that_was_replaced_is_gone_through_again(tmp_path: Path, cache: Path) -> None:
    path = write(tmp_path / "x.tar", tar_of(samples(0, 2)))
    open_shards("mine", str(path))
    path.write_bytes(tar_of(samples(2, 2)))  # of the same size
    os.utime(path, ns=(1, 1))
    assert open_shards("mine", str(path)).part("train").keys == ("x.tar/0002", "x.tar/0003")


def test_a_shard_with_other_labels_that_looks_untouched_is_noticed_when_it_is_checked(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "bench.data.sets.fingerprints.file_stamp", lambda status: str(status.st_size)
    )  # a poor file system
    members = samples(0, 3)
    path = write(tmp_path / "x.tar", tar_of(members))
    open_shards("mine", str(path))
    path.write_bytes(tar_of([*members[:1], ("0000.cls", b"dog\n"), *members[2:]]))  # it was a cat
    train = open_shards("mine", str(path)).part("train")
    assert train.labels.tolist() == [0, 1, 0]  # as remembered
    with pytest.raises(DataError, match=r"Shard 'x\.tar': it was replaced by one of the same size and times"):
        train.reader.check()  # type: ignore[attr-defined]
    again = open_shards("mine", str(path)).part("train")
    assert again.labels.tolist() == [1, 1, 0]
    again.reader.check()  # type: ignore[attr-defined]


def test_folders_of_splits_inside_a_shard_are_not_made_one_part(tmp_path: Path) -> None:
    members = [(f"{split}/{file}", content) for split in ("train", "val") for file, content in samples(0, 2)]
    path = write(tmp_path / "all.tar", tar_of(members))
    with pytest.raises(DataError, match="hold the folders 'train', 'val', which look like splits"):
        open_shards("mine", str(path))
    folder = tmp_path / "apart"
    write(folder / "train-0.tar", tar_of(members[:4]))
    write(folder / "val-0.tar", tar_of(members[4:]))
    assert list(open_shards("mine", str(folder)).parts) == ["train", "validation"]


@pytest.mark.parametrize("damage", ["", "[1, 2]", "{}", '[[["key"]], {}]', "\x00"])
def test_a_damaged_remembered_index_is_made_anew(tmp_path: Path, cache: Path, damage: str) -> None:
    path = write(tmp_path / "x.tar", tar_of(samples(0, 2)))
    open_shards("mine", str(path))
    (remembered,) = cache.iterdir()
    remembered.write_text(damage)
    assert open_shards("mine", str(path)).part("train").reader.read(1) == b"image 1"


def odd_member(name: str, type: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = type, target
    return info


GOOD = tar_of(samples(0, 4))


MALFORMED: list[tuple[str, bytes, str]] = [
    ("zero bytes", b"", r"it is empty \(0 bytes\)"),
    ("no members", bytes(10240), r"it holds no samples"),
    ("gzip", gzip.compress(GOOD), r"it is compressed, .* Unpack it with gunzip"),
    ("not a tar", b"some text " * 100, r"it is not a tar file"),
    ("pickle", pickle.dumps(list(range(1000))), r"it is not a tar file"),
    (
        "cut in an image",
        tar_of([*samples(0, 2), ("9.jpg", bytes(9999))])[: 512 * 12],
        r"cut short or damaged after byte",
    ),
    ("cut in a header", GOOD[: 512 * 4 + 100], r"cut short or damaged at byte 2,048"),
    ("cut between files", GOOD[: 512 * 4], r"cut short or damaged at byte 2,048"),
    ("damaged header", GOOD[:2048] + b"x" * 512 + GOOD[2560:], r"cut short or damaged at byte 2,048"),
    ("two archives in one", GOOD + tar_of(samples(9, 2)), r"more data follows its end .*`tar --concatenate`"),
    ("up and out", tar_of([("../0.jpg", b"x")]), r"a member's path '\.\./0\.jpg' has '\.\.' in it"),
    ("up in the middle", tar_of([("a/../../0.jpg", b"x")]), r"has '\.\.' in it"),
    ("absolute", tar_of([("/etc/0.jpg", b"x")]), r"a member's path '/etc/0\.jpg' is absolute"),
    ("symbolic link", tar_of([], odd_member("0.jpg", tarfile.SYMTYPE, "/etc/passwd")), r"member '0\.jpg' is a link"),
    ("hard link", tar_of(samples(0, 1), odd_member("1.jpg", tarfile.LNKTYPE, "0000.jpg")), r"'1\.jpg' is a link"),
    ("device", tar_of([], odd_member("0.jpg", tarfile.CHRTYPE)), r"'0\.jpg' is a link, a device"),
    ("pipe", tar_of([], odd_member("0.jpg", tarfile.FIFOTYPE)), r"'0\.jpg' is a link, a device"),
    ("key twice", tar_of(samples(0, 2) + samples(1, 1)), r"sample '0001' has two files '\.jpg'"),
    ("two images", tar_of([*samples(0, 1), ("0000.png", b"x")]), r"sample '0000' has 2 images \('jpg', 'png'\)"),
    ("no image", tar_of([("7.cls", b"cat")]), r"sample '7' has no image, but 'cls'"),
    ("no label", tar_of([("7.jpg", b"x")]), r"sample '7' has no label\. Expected 7\.cls, or 7\.json"),
    ("class folders", tar_of([("cat/7.jpg", b"x")]), r"archives of class folders have to be unpacked"),
    ("empty label", tar_of([("7.jpg", b"x"), ("7.cls", b" \n")]), r"the label in '7\.cls' is empty"),
    ("two lines", tar_of([("7.jpg", b"x"), ("7.cls", b"cat\ndog")]), r"'7\.cls' is more than one line"),
    ("label of bytes", tar_of([("7.jpg", b"x"), ("7.cls", b"\xff\xfe\x00")]), r"'7\.cls' cannot be read"),
    ("huge label", tar_of([("7.jpg", b"x"), ("7.cls", bytes(2 << 20))]), r"2,097,152 bytes, too many for a label"),
    ("broken JSON", tar_of([("7.jpg", b"x"), ("7.json", b"{")]), r"'7\.json' cannot be read"),
    ("deep JSON", tar_of([("7.jpg", b"x"), ("7.json", b"[" * 100_000)]), r"'7\.json' cannot be read"),
    ("JSON without label", tar_of([("7.jpg", b"x"), ("7.json", b'{"class": 1}')]), r"no text or integer under the key"),
    ("JSON list", tar_of([("7.jpg", b"x"), ("7.json", b"[1]")]), r"no text or integer under the key 'label'"),
    ("label true", tar_of([("7.jpg", b"x"), ("7.json", json.dumps({"label": True}).encode())]), r"no text or integer"),
]


@pytest.mark.parametrize(("content", "problem"), [case[1:] for case in MALFORMED], ids=[case[0] for case in MALFORMED])
def test_a_malformed_shard_gives_one_clear_line(tmp_path: Path, content: bytes, problem: str) -> None:
    write(tmp_path / "0.tar", tar_of(samples(0, 4)))
    write(tmp_path / "1.tar", content)
    with pytest.raises(DataError, match=rf"^Shard '1\.tar': .*{problem}") as caught:
        open_shards("mine", str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_member_with_a_negative_size_does_not_send_the_reader_in_circles(tmp_path: Path) -> None:
    header = bytearray(tar_of([("0.jpg", b"x")])[:512])
    header[124:136] = (-1536).to_bytes(12, "big", signed=True)  # base 256, as GNU tar writes large sizes
    header[148:156] = b"        "
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    path = write(tmp_path / "x.tar", tar_of(samples(0, 2))[:2048] + bytes(header) + bytes(10240))
    with pytest.raises(DataError, match=r"damaged after byte .* \(a member with a negative size\)"):
        open_shards("mine", str(path))


@pytest.mark.parametrize(
    ("damage", "count"),
    [
        (lambda content, rng: content[: rng.randrange(len(content))], 150),
        (lambda content, rng: _with_noise(content, rng), 300),
    ],
    ids=["cut anywhere", "bytes changed"],
)
def test_whatever_is_wrong_with_a_shard_the_error_is_ours(
    tmp_path: Path, damage: Callable[[bytes, random.Random], bytes], count: int
) -> None:
    long = [("deep/" * 30 + f"{i}.{field}", b"cat") for i in range(2) for field in ("png", "cls")]
    rng = random.Random(0)
    refused = 0
    for i in range(count):
        whole = tar_of(long + samples(0, 2), format=(tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)[i % 2])
        path = write(tmp_path / "x.tar", damage(whole, rng))
        try:
            reader = open_shards("mine", str(path)).part("train").reader
            for image in range(len(reader)):
                reader.read(image)
        except BenchError:
            refused += 1
    assert refused > count // 3


def _with_noise(content: bytes, rng: random.Random) -> bytes:
    noisy = bytearray(content)
    for _ in range(3):
        noisy[rng.randrange(len(noisy) // 2)] = rng.randrange(256)
    return bytes(noisy)


@pytest.mark.parametrize(
    ("files", "place", "problem"),
    [
        ((), "", "no \\*\\.tar in"),
        (("a.tar.gz",), "", r"'a\.tar\.gz' is compressed, .* Unpack it"),
        ((), "none.tar", r"none\.tar' does not exist"),
        (("0.tar",), "{0..2}.tar", r"1\.tar' does not exist"),
        ((), "{3..2}.tar", r"the range \{3\.\.2\} is empty"),
        ((), "{0..99999999999}.tar", "over 100,000 long"),
        ((), "{0..9999}{0..9999}.tar", "names more than 100,000 shards"),
    ],
)
def test_a_place_without_shards_is_refused(tmp_path: Path, files: tuple[str, ...], place: str, problem: str) -> None:
    for file in files:
        write(tmp_path / file, GOOD)
    with pytest.raises(RequestError, match=problem):
        open_shards("mine", f"{tmp_path}/{place}")


def test_shards_of_which_some_name_a_split_are_refused(tmp_path: Path) -> None:
    for name in ("train-0.tar", "more.tar"):
        write(tmp_path / name, GOOD)
    with pytest.raises(DataError, match=r"shard 'more\.tar' names no split and others do"):
        open_shards("mine", str(tmp_path))


def test_a_shard_that_is_a_link_to_the_outside_or_a_pipe_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "outside.tar", GOOD)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.tar").symlink_to("../outside.tar")
    with pytest.raises(DataError, match=r"'a\.tar' is, or lies behind, a link to a place outside"):
        open_shards("mine", str(tmp_path / "set"))
    (tmp_path / "set" / "a.tar").unlink()
    os.mkfifo(tmp_path / "set" / "a.tar")
    with pytest.raises(DataError, match=r"'a\.tar' is a pipe"):
        open_shards("mine", str(tmp_path / "set"))


def test_a_class_that_only_the_test_shards_have_is_named_with_its_sample(tmp_path: Path) -> None:
    write(tmp_path / "train-0.tar", tar_of(samples(0, 2)))
    write(tmp_path / "test-0.tar", tar_of([("5.jpg", b"x"), ("5.cls", b"Dog")]))
    with pytest.raises(DataError, match=r"shard 'test-0\.tar', sample '5': class 'Dog' .* Did you mean 'dog'\?"):
        open_shards("mine", str(tmp_path))


def test_a_key_with_dots_is_named_with_where_keys_end(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", tar_of([("n01.0001.jpg", b"image"), ("n01.0001.cls", b"1")]))
    with pytest.raises(DataError, match=r"sample 'n01' has no image.* A key ends at the first dot of a name"):
        open_shards("mine", str(path))


def test_masks_of_a_key_a_dotted_folder_and_another_order_of_members_are_read(tmp_path: Path) -> None:
    members = [("./a.b/2.cls", b"dog\n"), ("a.b/1.JPG", b"one"), ("a.b/1.seg.png", b"mask"), ("a.b/2.jpeg", b"two")]
    path = write(tmp_path / "a.tar", tar_of([*members, ("a.b/1.cls", b"cat")], format=tarfile.GNU_FORMAT))
    found = open_shards("mine", str(path))
    train = found.part("train")
    assert (train.keys, train.labels.tolist()) == (("a.tar/a.b/2", "a.tar/a.b/1"), [1, 0])
    assert [train.reader.read(i) for i in range(2)] == [b"two", b"one"]
    assert found.notes == ("Files in the shards that are neither image nor label were ignored (.seg.png 1).",)


@pytest.mark.parametrize("folder", ["__MACOSX", ".ipynb_checkpoints", "@eaDir/0001.jpg"])
def test_what_a_system_left_in_a_shard_is_no_sample(tmp_path: Path, folder: str) -> None:
    path = write(tmp_path / "a.tar", tar_of([*samples(0, 2), (f"{folder}/0001.jpg", b"thumbnail")]))
    assert open_shards("mine", str(path)).part("train").keys == ("a.tar/0000", "a.tar/0001")


@pytest.mark.parametrize("names", [("training-0", "valid-0"), ("x-trainset-0", "x-testset-0")])
def test_shards_that_look_like_splits_are_not_taken_together(tmp_path: Path, names: tuple[str, str]) -> None:
    for i, name in enumerate(names):
        write(tmp_path / f"{name}.tar", tar_of(samples(i * 4, 4)))
    with pytest.raises(DataError, match="look like several splits"):
        open_shards("mine", str(tmp_path))


def test_a_split_folder_of_shards_by_another_name_is_not_left_out(tmp_path: Path) -> None:
    write(tmp_path / "train" / "0.tar", tar_of(samples(0, 4)))
    write(tmp_path / "valid" / "0.tar", tar_of(samples(4, 4)))
    with pytest.raises(RequestError, match=r"'valid' in '.*' looks like a split folder"):
        open_shards("mine", str(tmp_path))
