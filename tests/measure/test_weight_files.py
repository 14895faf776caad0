from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from weights_at_hand import load_given, saved

from bench.errors import CellFailedError, RequestError, StoreError
from bench.measure.weight_files import file_weights_id, path_for_model, save_weights


class _Trap:
    """A pickle that writes a file when it is opened."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.marker,))


@pytest.mark.parametrize("name", ["w.pth", "w.bin", "w.safetensors"])
def test_a_pickle_is_refused_without_being_opened(name: str, tmp_path: Path) -> None:
    path, marker = tmp_path / name, tmp_path / "executed"
    path.write_bytes(pickle.dumps(_Trap(marker)))
    with pytest.raises(RequestError, match="pickle"):
        file_weights_id(path)
    with pytest.raises(CellFailedError, match="pickle"):
        load_given(path, weights="sha256 0123456789abcdef")
    torch.save({"weight": torch.ones(1)}, path)  # a zip archive around a pickle
    with pytest.raises(CellFailedError, match="pickle"):
        load_given(path, weights="sha256 0123456789abcdef")
    assert not marker.exists()


def test_a_pickle_of_the_oldest_kind_is_no_safetensors_file_either(tmp_path: Path) -> None:
    path, marker = tmp_path / "w.safetensors", tmp_path / "executed"
    path.write_bytes(pickle.dumps(_Trap(marker), protocol=0))  # begins like text
    with pytest.raises(CellFailedError, match="cannot be read as safetensors"):
        load_given(path)
    assert not marker.exists()


def test_a_header_that_begins_like_a_pickle_is_no_pickle(tmp_path: Path) -> None:
    for length in range(200):  # a safetensors file begins with the length of its header; one of these ends in 0x80
        path = tmp_path / f"{length}.safetensors"
        save_weights(path, {"a": torch.ones(1)}, {"note": "x" * length})
        if path.read_bytes()[:1] == b"\x80":
            assert file_weights_id(path).startswith("sha256 ")
            return
    pytest.fail("no header of 128 bytes was made")


def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path) -> None:
    path, _ = saved(tmp_path / "w.safetensors")
    content = path.read_bytes()
    for damaged in (content[:4], content[:1000], content[: len(content) // 2], content + b"more"):
        path.write_bytes(damaged)
        with pytest.raises(CellFailedError, match="cannot be read as safetensors") as caught:
            load_given(path)
        assert "\n" not in str(caught.value)


def test_a_file_that_is_gone_or_was_changed_is_refused(tmp_path: Path) -> None:
    path, _ = saved(tmp_path / "w.safetensors")
    planned = file_weights_id(path)
    saved(path, seed=8)
    with pytest.raises(CellFailedError, match=f"the plan says {planned}: the file changed"):
        load_given(path, weights=planned)
    path.unlink()
    with pytest.raises(CellFailedError, match="not there"):
        load_given(path, weights=planned)
    with pytest.raises(RequestError, match="not there"):
        file_weights_id(path)


def test_saved_weights_name_what_is_no_number_and_keep_tied_tensors(tmp_path: Path) -> None:
    tied = torch.tensor([1.0, 2.0])
    path = tmp_path / "deep" / "w.safetensors"
    broken = save_weights(path, {"a": tied, "b": tied, "c": torch.tensor([float("nan")]), "n": torch.tensor(3)}, {})
    assert broken == ("c",)
    read = load_file(path)
    assert read["a"].tolist() == read["b"].tolist() == [1.0, 2.0]
    assert read["n"].item() == 3
    assert [file.name for file in path.parent.iterdir()] == ["w.safetensors"]


def test_a_save_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = saved(tmp_path / "w.safetensors")
    before = path.read_bytes()

    def full(*arguments: object, **options: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("bench.whole_files.os.fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        save_weights(path, {"a": torch.ones(1)}, {})
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["w.safetensors"]


def test_the_same_weights_are_the_same_file_in_every_process(tmp_path: Path) -> None:
    code = (
        "import sys, torch; from pathlib import Path\n"
        "from bench.measure.weight_files import file_weights_id, save_weights\n"
        "torch.manual_seed(0)\n"
        "names = {f'key{i}': 'é' * i for i in range(8)}\n"
        "path = Path(sys.argv[1]); save_weights(path, {'b': torch.rand(3), 'a': torch.rand(2, 2)}, names)\n"
        "print(file_weights_id(path))"
    )
    root = str(Path(__file__).resolve().parents[2])
    ids = {
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / f"{i}.safetensors")],
            env={**os.environ, "PYTHONPATH": root}, check=True, capture_output=True, text=True,
        ).stdout
        for i in range(3)
    }  # fmt: skip
    assert len(ids) == 1
    with safe_open(tmp_path / "0.safetensors", "pt") as file:
        assert file.metadata()["key2"] == "éé"
        assert file.get_tensor("a").shape == (2, 2)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("model-00001-of-00002.safetensors", b"{}", "one of several files of one model"),
        ("model.safetensors.index.json", b"{}", "one of several files of one model"),
        ("w.safetensors", b"", "an empty file"),
        ("w.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "pointer of Git LFS"),
        ("w.npz", b"numbers of another format", r"do not end in \.safetensors"),
    ],
)
def test_a_file_that_holds_no_weights_is_refused_with_what_to_do(
    name: str, content: bytes, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(RequestError, match=reason):
        file_weights_id(path)


def test_a_folder_or_a_link_to_nothing_is_refused_and_a_link_to_a_file_is_that_file(tmp_path: Path) -> None:
    folder, link, nothing = tmp_path / "f.safetensors", tmp_path / "l.safetensors", tmp_path / "n.safetensors"
    folder.mkdir()
    path, _ = saved(tmp_path / "w.safetensors")
    link.symlink_to(path)
    nothing.symlink_to(tmp_path / "gone")
    with pytest.raises(RequestError, match="are a folder"):
        file_weights_id(folder)
    with pytest.raises(RequestError, match="not there"):
        file_weights_id(nothing)
    assert file_weights_id(link) == file_weights_id(path)


def test_a_model_in_one_part_is_whole_by_that_name(tmp_path: Path) -> None:
    path, _ = saved(tmp_path / "model-00001-of-00001.safetensors")
    assert file_weights_id(path).startswith("sha256 ")


def test_the_name_of_a_model_in_a_path_has_no_folder_and_is_the_same_at_every_resolution() -> None:
    assert path_for_model("w/{model}.safetensors", "vit_tiny_patch16_224.augreg_in21k") == (
        "w/vit_tiny_patch16_224.augreg_in21k.safetensors"
    )
    assert path_for_model("w/{model}.safetensors", "path/to/net.py:small") == "w/net.py:small.safetensors"
