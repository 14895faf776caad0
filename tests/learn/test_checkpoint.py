"""Checkpoints: what goes in comes out, and nothing that is torn, changed or foreign is ever used."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from bench.errors import StoreError
from bench.learn.checkpoint import LATEST, SET_ASIDE, Checkpoint, Progress, discard, find, tensors_sha256, write

CONDITIONS = {"cell": "0123456789abcdef", "micro_batch_size": 8, "torch": "2.15.0"}


def make_checkpoint(step: int = 7) -> Checkpoint:
    generator = torch.Generator().manual_seed(step)
    weight = torch.randn(4, 3, generator=generator)
    return Checkpoint(
        description=CONDITIONS,
        progress=Progress(step=step, losses=[2.5, 1.25], train_seconds=3.5, waited_s=0.5, resumed=2, rates={"a": 1.5}),
        model={"weight": weight, "alias": weight, "seen": torch.tensor(9), "half": torch.ones(2, dtype=torch.bfloat16)},
        optimiser={"weight": torch.randn(4, 3, generator=generator)},
    )


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    written = make_checkpoint()
    write(tmp_path / "cell", written)
    found = find(tmp_path / "cell", CONDITIONS)
    assert found.notes == ()
    assert found.checkpoint is not None
    assert found.checkpoint.progress == written.progress
    assert found.checkpoint.description == CONDITIONS
    for there, here in ((found.checkpoint.model, written.model), (found.checkpoint.optimiser, written.optimiser)):
        assert there.keys() == here.keys()
        assert all(torch.equal(there[name], here[name]) and there[name].dtype == here[name].dtype for name in here)


def test_a_new_one_replaces_the_old_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write(tmp_path, make_checkpoint(1))
    write(tmp_path, make_checkpoint(2))
    found = find(tmp_path, CONDITIONS).checkpoint
    assert found is not None
    assert found.progress.step == 2
    assert os.listdir(tmp_path) == [LATEST]


def test_an_absent_folder_holds_no_checkpoint_and_needs_no_note(tmp_path: Path) -> None:
    found = find(tmp_path / "nowhere", CONDITIONS)
    assert (found.checkpoint, found.notes) == (None, ())


def test_one_of_other_conditions_is_set_aside_and_the_note_names_them(tmp_path: Path) -> None:
    write(tmp_path, make_checkpoint())
    found = find(tmp_path, CONDITIONS | {"torch": "2.16.0", "threads": 4})
    assert found.checkpoint is None
    assert "torch was '2.15.0', is '2.16.0'; threads was None, is 4" in found.notes[0]
    assert os.listdir(tmp_path) == [SET_ASIDE]


def test_conditions_that_are_not_asked_for_may_be_anything(tmp_path: Path) -> None:
    write(tmp_path, make_checkpoint())
    found = find(tmp_path, {"cell": "0123456789abcdef"}).checkpoint
    assert found is not None
    assert found.description["micro_batch_size"] == 8


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _change_a_weight(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)


def _change_the_step(to: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(path.read_bytes().replace(b'step\\":7', b'step\\":' + to))


class _Malicious:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("exit 1",)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_cut, "not fully covered"),
        (_change_a_weight, "its content is not what was written"),
        (_change_the_step(b"8"), "its content is not what was written"),
        (_change_the_step(b"x"), "its description is not one"),
        (lambda path: path.write_bytes(b""), "header too small"),
        (lambda path: path.write_bytes(bytes(1000)), "header"),
        (lambda path: path.write_bytes(b"\xff" * 1000), "header too large"),
        (lambda path: path.write_bytes(pickle.dumps(_Malicious())), "header too large"),
        (lambda path: save_file({"weight": torch.zeros(1)}, path), "none of this program's checkpoints"),
    ],
    ids=["cut", "weight", "step", "no step", "empty", "zeros", "ones", "pickle", "foreign"],
)
def test_a_damaged_one_is_ignored_with_the_reason_and_replaced_by_the_next(
    damage: Callable[[Path], object], reason: str, tmp_path: Path
) -> None:
    write(tmp_path, make_checkpoint())
    damage(tmp_path / LATEST)
    found = find(tmp_path, CONDITIONS)
    assert found.checkpoint is None
    assert len(found.notes) == 1
    assert reason in found.notes[0]
    assert "\n" not in found.notes[0]
    write(tmp_path, make_checkpoint(8))
    again = find(tmp_path, CONDITIONS).checkpoint
    assert again is not None
    assert again.progress.step == 8


def test_a_folder_in_its_place_is_ignored_and_writing_says_so(tmp_path: Path) -> None:
    (tmp_path / LATEST).mkdir()
    assert "cannot be read" in find(tmp_path, CONDITIONS).notes[0]
    with pytest.raises(StoreError, match="cannot be written"):
        write(tmp_path, make_checkpoint())
    assert os.listdir(tmp_path) == [LATEST]


def test_a_place_that_cannot_be_written_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match="cannot be written"):
        write(tmp_path / "file", make_checkpoint())


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    write(tmp_path, make_checkpoint())
    for name in (f".{LATEST}.99.tmp", ".tmpA1b2C3"):
        (tmp_path / name).write_bytes(b"half")
    assert find(tmp_path, CONDITIONS).checkpoint is not None
    assert os.listdir(tmp_path) == [LATEST]


def test_discarding_removes_all_of_it_and_may_be_done_twice(tmp_path: Path) -> None:
    folder = tmp_path / "cell"
    write(folder, make_checkpoint())
    find(folder, {"cell": "another"})
    write(folder, make_checkpoint())
    discard(folder)
    assert not folder.exists()
    discard(folder)


def test_the_hash_depends_on_names_types_shapes_and_values_not_on_order_or_layout() -> None:
    a, b = torch.arange(4.0), torch.ones(2, 3)
    hashed = tensors_sha256({"a": a, "b": b})
    assert tensors_sha256({"b": b.t().contiguous().t(), "a": a}) == hashed
    changed = [{"c": a, "b": b}, {"a": a.double(), "b": b}, {"a": a.reshape(2, 2), "b": b}, {"a": -a, "b": b}]
    assert hashed not in [tensors_sha256(tensors) for tensors in changed]
