"""What a user may hand over by mistake or malice, through the commands that they would use: a message, and no more."""

from __future__ import annotations

import io
import pickle
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from data.odd_images import jpeg, malformed_kinds

from bench.cli import main
from bench.store.files import read_records, suite_folder

LONGEST_SECONDS = 60.0  # on a machine that does other things; each takes well under one on an idle one


class Payload:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, touched: str) -> None:
        self.touched = touched

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (self.touched, "w")


@pytest.fixture(autouse=True)
def _places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VITBENCH_CACHE", str(tmp_path / "cache"))


def vitbench(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code; the command must come back in time and leave no traceback."""
    monkeypatch.setattr(sys, "argv", ["vitbench", *arguments])
    started = time.monotonic()
    with pytest.raises(SystemExit) as ended:
        main()
    assert time.monotonic() - started < LONGEST_SECONDS
    code = ended.value.code
    assert isinstance(code, int)
    return code


def folder_of(place: Path, name: str, content: bytes) -> None:
    """A folder with one strange image among two good ones."""
    for label in ("cat", "dog"):
        (place / label).mkdir(parents=True)
        (place / label / "good.jpg").write_bytes(jpeg())
    (place / "cat" / name).write_bytes(content)


IMAGES = sorted(malformed_kinds("unused"))


@pytest.mark.parametrize("kind", IMAGES)
def test_a_malformed_image_is_named_with_its_reason(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    touched = tmp_path / "touched"
    content, reason = malformed_kinds(str(touched))[kind]
    folder_of(tmp_path / "pictures", "strange.png", content)
    assert vitbench("data", "check", "pictures", "--processes", "1", monkeypatch=monkeypatch) == 1
    written = capsys.readouterr()
    (line,) = (line for line in written.out.splitlines() if "strange.png" in line and "extension" not in line)
    assert reason.lower() in line.lower()
    assert "NOT USABLE" in written.out
    assert "Traceback" not in written.out + written.err
    assert not touched.exists()


LISTS = {
    "nothing at all": (b"", "is empty"),
    "a header alone": (b"path,label\n", "no"),
    "no label column": (b"path,class\na.jpg,cat\n", "label"),
    "another delimiter": (b"path;label\na.jpg;cat\n", "label"),
    "an empty label": (b"path,label\na.jpg,cat\nb.jpg,\n", "line 3"),
    "the same image twice": (b"path,label\na.jpg,cat\nb.jpg,dog\na.jpg,cat\n", "a.jpg"),
    "an unknown part": (b"path,label,split\na.jpg,cat,train\nb.jpg,dog,tset\n", "tset"),
    "a label typo": (
        b"path,label,split\na.jpg,cat,train\nb.jpg,dog,train\nc.jpg,dgo,test\n",
        "dgo",
    ),
    "a path out of its folder": (b"path,label\n../../etc/passwd,cat\nb.jpg,dog\n", "passwd"),
    "an absolute path": (b"path,label\n/etc/passwd,cat\nb.jpg,dog\n", "/etc/passwd"),
    "a missing file": (b"path,label\na.jpg,cat\nnowhere.jpg,dog\n", "nowhere.jpg"),
    "no text": (b"\x93\xff\xfe\x00path,label\n\x80\x81\n", "list.csv"),
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_malformed_list_is_one_line(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content, named = LISTS[kind]
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(jpeg())
    (tmp_path / "list.csv").write_bytes(content)
    assert vitbench("data", "check", "list.csv", monkeypatch=monkeypatch) == 2
    assert_one_line(capsys, named)


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def member(name: str, **fields: object) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(found, field, value)
    return found


WHOLE = tar_of(
    (member("0.jpg"), jpeg()), (member("0.cls"), b"cat"), (member("1.jpg"), jpeg()), (member("1.cls"), b"dog")
)
SHARDS = {
    "no bytes": (b"", "part.tar"),
    "no archive": (b"not an archive" * 100, "part.tar"),
    "half an archive": (WHOLE[: len(WHOLE) // 3], "part.tar"),
    "a member above its folder": (tar_of((member("../0.jpg"), jpeg()), (member("../0.cls"), b"1")), ".."),
    "an absolute member": (tar_of((member("/tmp/0.jpg"), jpeg()), (member("/tmp/0.cls"), b"1")), "/tmp/0"),
    "a link": (
        tar_of((member("0.jpg", type=tarfile.SYMTYPE, linkname="/etc/passwd"), b""), (member("0.cls"), b"1")),
        "0.jpg",
    ),
    "an image without a label": (tar_of((member("0.jpg"), jpeg())), "'0'"),
    "a label without an image": (tar_of((member("0.cls"), b"cat")), "'0'"),
}


@pytest.mark.parametrize("kind", SHARDS)
def test_a_malformed_shard_is_one_line(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content, named = SHARDS[kind]
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "part.tar").write_bytes(content)
    assert vitbench("data", "check", "shards:shards", monkeypatch=monkeypatch) == 2
    assert_one_line(capsys, named)


def assert_one_line(capsys: pytest.CaptureFixture[str], named: str) -> None:
    written = capsys.readouterr()
    assert written.out == ""
    (line,) = written.err.splitlines()
    assert line.startswith("Error: ")
    assert named in line


WEIGHTS: dict[str, Callable[[str], bytes]] = {
    "half a header": lambda touched: (1000).to_bytes(8, "little") + b'{"a":',
    "an endless header": lambda touched: (2**62).to_bytes(8, "little"),
    "text": lambda touched: b"<!DOCTYPE html><title>404</title>",
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_a_malformed_checkpoint_fails_its_cell_and_no_other(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched = tmp_path / "touched"
    (tmp_path / "given.safetensors").write_bytes(WEIGHTS[kind](str(touched)))
    (tmp_path / "mine.toml").write_text(
        """
question = "Does a bad file stop the rest?"
[[complexity]]
models = ["resnet_32px_s"]
[[evaluate]]
models = ["resnet_32px_s"]
datasets = ["digits"]
weights = ["file:given.safetensors"]
resolution_px = [32]
"""
    )
    assert vitbench("run", "mine.toml", "--device", "cpu", "--workers", "1", monkeypatch=monkeypatch) in (1, 2)
    assert not touched.exists()
    records = {r.cell["task"]: r for r in read_records(suite_folder(tmp_path / "results", "mine", local=True)).records}
    assert records["complexity"].status == "ok"
    assert records["evaluate"].status == "failed"
    assert "given.safetensors" in str(records["evaluate"].reason)


@pytest.mark.parametrize("kind", ["a pickle", "an empty file"])
def test_what_cannot_be_a_checkpoint_is_refused_unread(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    touched = tmp_path / "touched"
    content = pickle.dumps(Payload(str(touched))) if kind == "a pickle" else b""
    (tmp_path / "given.safetensors").write_bytes(content)
    (tmp_path / "mine.toml").write_text(
        "question = 'Is it opened?'\n[[evaluate]]\nmodels = ['resnet_32px_s']\ndatasets = ['digits']\n"
        "weights = ['file:given.safetensors']\nresolution_px = [32]\n"
    )
    assert vitbench("run", "mine.toml", "--device", "cpu", monkeypatch=monkeypatch) == 2
    assert_one_line(capsys, kind)
    assert not touched.exists()
    assert not (tmp_path / "results").exists()


def test_there_are_at_least_forty_kinds() -> None:
    assert len(IMAGES) + len(LISTS) + len(SHARDS) + len(WEIGHTS) + 2 >= 40


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('WIDTH = {"small": 16}["large"]\n', "net.py:2: KeyError: 'large'"),
        (
            "class build(nn.Module):\n    def forward(self, images):\n        return images.gone\n",
            "net.py:4: AttributeError",
        ),
        (
            "class build(nn.Module):\n    def forward(self, images):\n        raise SystemExit(0)\n",
            "net.py:4: SystemExit",
        ),
    ],
)
@pytest.mark.parametrize("command", [("complexity",), ("inspect",)])
def test_a_model_file_that_fails_is_told_with_its_line(
    command: tuple[str, ...],
    text: str,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "net.py").write_text("from torch import nn\n" + text)
    assert vitbench(*command, "net.py:build", "--resolution", "32", monkeypatch=monkeypatch) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    [line] = [line for line in printed.err.splitlines() if line.strip()]
    assert line.startswith(f"Error: {told}")
