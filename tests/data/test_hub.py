"""Parquet data sets of a hub on loopback: what is read, what is checked, what is never fetched."""

from __future__ import annotations

import pickle
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tiny_formats import grey, write_parquet

from bench.catalog.image_tasks import find_image_task
from bench.data.formats.hub import open_hub
from bench.data.formats.hub_splits import split_of_path
from bench.data.public.catalogued import is_here, open_catalogued
from bench.data.sets.collection import ImageCollection, content_fingerprint
from bench.data.sets.fingerprints import check_published, fingerprint_of_collection
from bench.errors import AbsentDataError, DataError, RequestError

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests have no packages; the hub is a level up
from hub_server import commit_of, hub_environment, serve_hub


@pytest.fixture(autouse=True)
def _own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)  # between tries


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """`owner/name` with 10 + 4 + 6 images of two named classes."""
    folder = tmp_path / "served" / "datasets" / "owner" / "name"
    for split, count in (("train", 10), ("validation", 4), ("test", 6)):
        write_parquet(
            folder / "data" / f"{split}-00000-of-00001.parquet", [i % 2 for i in range(count)], names=["cat", "dog"]
        )
    (folder / "README.md").write_text("a card\n")
    return folder


def fetched(
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    log: list[str] | None = None,
    config: str = "",
    **faults: object,
) -> ImageCollection:
    with serve_hub(repository.parents[2], log=log, **faults) as endpoint:
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        return open_hub("mine", "owner/name", revision=commit_of(repository), config=config, download=True)


def test_parts_labels_and_images_come_from_the_files(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = fetched(repository, monkeypatch)
    assert {part: len(images) for part, images in found.parts.items()} == {"train": 10, "validation": 4, "test": 6}
    assert found.class_names == ("cat", "dog")
    assert found.part("test").labels.tolist() == [0, 1, 0, 1, 0, 1]
    # row groups of four: the last image lies in the second group
    assert [grey(found.part("test").reader.read(i)) for i in (5, 0, 3, 4)] == [50, 0, 30, 40]


def test_a_second_opening_asks_the_hub_nothing(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fetched(repository, monkeypatch)
    log: list[str] = []
    second = fetched(repository, monkeypatch, log=log)
    assert log == []
    assert content_fingerprint(first, ["train", "test"]) == content_fingerprint(second, ["train", "test"])


def test_nothing_is_fetched_unless_it_is_asked_for(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    with serve_hub(repository.parents[2], log=log) as endpoint:
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        for revision in (commit_of(repository), None):
            with pytest.raises(AbsentDataError, match="Add --download"):
                open_hub("mine", "owner/name", revision=revision, download=False)
    assert log == []


def test_a_missing_revision_is_resolved_and_noted(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_hub(repository.parents[2]) as endpoint:
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        found = open_hub("mine", "owner/name", revision=None, download=True)
    assert any(commit_of(repository) in note for note in found.notes)
    again = open_hub("mine", "owner/name", revision=None, download=False)
    assert again.part("train").keys == found.part("train").keys


@pytest.mark.parametrize("revision", ["main", "v1.0", "abc123", "A" * 40])
def test_a_revision_that_can_move_is_refused(revision: str) -> None:
    with pytest.raises(RequestError, match="not a commit of 40 hexadecimal digits"):
        open_hub("mine", "owner/name", revision=revision, download=True)


@pytest.mark.parametrize("repo_id", ["name", "a/b/c", "../x", "owner/", "/name"])
def test_a_name_that_is_no_repository_is_refused(repo_id: str) -> None:
    with pytest.raises(RequestError, match="is not hf:owner/name"):
        open_hub("mine", repo_id, revision=None, download=True)


def test_a_changed_file_is_refused_removed_and_fetched_anew(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"'data/test-00000-of-00001\.parquet' .* came with the hash .* removed"):
        fetched(repository, monkeypatch, wrong_hash=True, only="data/test-*")
    assert not list((tmp_path / "cache").rglob("*.json"))
    assert len(fetched(repository, monkeypatch).part("test")) == 6


def test_a_download_that_breaks_off_is_an_error_of_one_line(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="cannot be fetched: RemoteProtocolError: peer closed") as caught:
        fetched(repository, monkeypatch, truncated=True)
    assert "\n" not in str(caught.value)
    assert len(fetched(repository, monkeypatch).part("train")) == 10


def test_a_hub_that_stalls_is_given_up(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    with pytest.raises(DataError, match="cannot be fetched: ReadTimeout"):
        fetched(repository, monkeypatch, drip_s=30.0, only="data/train-*")


def test_a_file_that_the_hub_has_lost_is_an_error(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"cannot be fetched: .*404"):
        fetched(repository, monkeypatch, missing=True, only="data/train-*")


def test_unknown_data_sets_and_revisions_are_told_apart(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_hub(repository.parents[2]) as endpoint:
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        with pytest.raises(DataError, match="no such data set"):
            open_hub("mine", "owner/other", revision=None, download=True)
        with pytest.raises(DataError, match="no such revision"):
            open_hub("mine", "owner/name", revision="0" * 40, download=True)


def test_a_hub_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # bound and never listening: nobody else can answer on its port
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(DataError, match="cannot be fetched: ConnectError"):
            open_hub("mine", "owner/name", revision="0" * 40, download=True)


def test_offline_mode_is_named(repository: Path, tmp_path: Path) -> None:
    code = (
        "from bench.data.formats.hub import open_hub\n"
        "from bench.errors import DataError\n"
        "try:\n    open_hub('mine', 'owner/name', revision='0' * 40, download=True)\n"
        "except DataError as error:\n    print(error)\n"
    )
    environment = hub_environment("http://127.0.0.1:9", tmp_path / "home", HF_HUB_OFFLINE="1")
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "HF_HUB_OFFLINE is set" in done.stdout


def test_a_file_gone_from_the_cache_is_missed(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fetched(repository, monkeypatch)
    next((tmp_path / "hf").rglob("test-00000-of-00001.parquet")).unlink()
    with pytest.raises(AbsentDataError, match=r"'data/test-00000-of-00001\.parquet' .* is gone from the cache"):
        open_hub("mine", "owner/name", revision=commit_of(repository), download=False)
    assert len(fetched(repository, monkeypatch).part("test")) == 6


def test_labels_without_names_are_numbered_and_texts_are_sorted(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in (repository / "data").iterdir():
        file.unlink()
    write_parquet(repository / "data" / "train-0.parquet", ["rose", "lily", "rose"])
    found = fetched(repository, monkeypatch)
    assert (found.class_names, found.part("train").labels.tolist()) == (("lily", "rose"), [1, 0, 1])


def test_a_test_part_without_labels_is_left_out_and_noted(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(repository / "data" / "test-00000-of-00001.parquet", [-1, -1], names=["cat", "dog"])
    found = fetched(repository, monkeypatch)
    assert sorted(found.parts) == ["train", "validation"]
    assert any("'test' has no labels" in note for note in found.notes)


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, 1, 2], "labels of 'test' are 0 to 2, expected 0 to 1"), ([0, None, 1], "row 1 of 'test' has no label")],
)
def test_labels_that_are_none_of_the_classes_are_refused(
    repository: Path, monkeypatch: pytest.MonkeyPatch, labels: list[object], message: str
) -> None:
    write_parquet(repository / "data" / "test-00000-of-00001.parquet", labels, names=["cat", "dog"])
    with pytest.raises(DataError, match=message):
        fetched(repository, monkeypatch)


def test_a_repository_without_parquet_files_says_what_to_do(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in (repository / "data").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"has no parquet files.*--data mine=PATH"):
        fetched(repository, monkeypatch)


def test_parquet_files_without_rows_are_refused(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in (repository / "data").iterdir():
        pq.write_table(pq.read_table(file).slice(0, 0), file)
    with pytest.raises(DataError, match="Data set 'mine': its parquet files hold no rows"):
        fetched(repository, monkeypatch)


def test_a_file_that_is_no_parquet_is_refused(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repository / "data" / "train-00000-of-00001.parquet").write_bytes(b"")
    with pytest.raises(DataError, match="parquet files cannot be read"):
        fetched(repository, monkeypatch)


def test_one_of_several_configurations_is_taken_by_its_folder(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parquet(repository / "augmented" / "train-00000-of-00001.parquet", [0, 1])
    assert set(fetched(repository, monkeypatch, config="augmented").parts) == {"train"}
    with pytest.raises(RequestError, match="has no configuration 'other'; its files lie in 'augmented', 'data'"):
        fetched(repository, monkeypatch, config="other")


def test_several_configurations_are_not_mixed(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(repository / "augmented" / "train-00000-of-00001.parquet", [0, 1])
    with pytest.raises(DataError, match="several configurations: 'augmented', 'data'"):
        fetched(repository, monkeypatch)


@pytest.mark.parametrize(
    ("path", "name", "parts", "configuration"),
    [
        ("data/train-00000-of-00002-ba54590c34eb8af1.parquet", "train", {"train"}, "data"),
        ("data/valid-00000-of-00002.parquet", "valid", {"validation"}, "data"),
        ("default/test/0000.parquet", "test", {"test"}, "default"),
        ("default/partial-train/0000.parquet", "partial-train", {"train"}, "default"),
        ("data/train/part-00000-dev1e57.snappy.parquet", "train", {"train"}, "data"),
        ("val.parquet", "val", {"validation"}, ""),
        ("train-0001.parquet", "train", {"train"}, ""),
        ("train800val200.parquet", "train800val200", {"train", "validation"}, ""),
        ("trainval.parquet", "trainval", {"train", "validation"}, ""),
        ("train[:90%].parquet", "train[:90%]", {"train"}, ""),
        ("eval.parquet", "eval", {"test"}, ""),
    ],
)
def test_a_path_names_its_split(path: str, name: str, parts: set[str], configuration: str) -> None:
    found = split_of_path(path)
    assert found is not None
    assert (found.name, found.parts, found.configuration) == (name, parts, configuration)


@pytest.mark.parametrize(
    "path", ["testament/0000.parquet", "data/extra.parquet", "latest.parquet", "retrieval/0.parquet"]
)
def test_a_path_without_a_word_for_a_split_names_none(path: str) -> None:
    assert split_of_path(path) is None


def test_names_of_images_become_keys_where_each_has_one(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(repository / "data" / "test-00000-of-00001.parquet", [0, 1], names=["cat", "dog"], with_paths=True)
    found = fetched(repository, monkeypatch)
    assert found.part("test").keys[1] == "test/test-00000-of-00001_1.png"
    assert found.part("train").keys[1] == "train/0000001"


def test_a_vtab_task_comes_from_its_pinned_revision_with_its_labels_worked_out(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for file in (repository / "data").iterdir():
        file.unlink()
    for split, count in (("train", 1200), ("test", 400)):
        degrees = [2 * (i % 18) for i in range(count)]
        write_parquet(repository / "data" / f"{split}-0.parquet", degrees, label_column="azimuth", row_group=500)
    task = replace(
        find_image_task("vtab_snorb_azimuth"),
        hub_repo="owner/name",
        hub_revision=commit_of(repository),
        hub_image="image",
        test_images=200,
    )
    monkeypatch.setattr("bench.data.public.catalogued.find_image_task", lambda _: task)
    root = tmp_path / "data"
    with serve_hub(repository.parents[2]) as endpoint:
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        assert not is_here(task.name, root=root)
        with pytest.raises(AbsentDataError, match="--download fetches the parquet files"):
            open_catalogued(task.name, root=root, spec=None, download=False)
        found = open_catalogued(task.name, root=root, spec=None, download=True)
    assert is_here(task.name, root=root)
    assert [len(found.part(part)) for part in ("train", "validation", "test")] == [800, 200, 200]
    test = found.part("test")
    assert test.labels.tolist() == [int(key.partition("/")[2]) % 18 for key in test.keys]


def test_a_user_can_name_a_hub_copy_of_a_catalogued_set(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with serve_hub(repository.parents[2]) as endpoint:
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        spec = f"hf:owner/name@{commit_of(repository)}"
        with pytest.raises(DataError, match="has 2 classes here, expected 6"):
            open_catalogued("vtab_dmlab", root=tmp_path, spec=spec, download=True)


def test_labels_of_true_and_false_are_classes_one_and_zero(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in (repository / "data").iterdir():
        file.unlink()
    write_parquet(repository / "data" / "valid-0.parquet", [True, False, False])
    with serve_hub(repository.parents[2]) as endpoint:
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        found = open_hub("pcam", "owner/name", revision=commit_of(repository), download=True, num_classes=2)
    assert found.part("validation").labels.tolist() == [1, 0, 0]


def test_readers_can_be_pickled_and_read_the_same(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = fetched(repository, monkeypatch).part("train").reader
    assert grey(pickle.loads(pickle.dumps(reader)).read(9)) == 90


def test_files_that_number_their_classes_otherwise_are_read_by_name(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parquet(repository / "data" / "test-00000-of-00001.parquet", [0, 0, 1], names=["dog", "cat"])
    found = fetched(repository, monkeypatch)
    assert [found.class_names[label] for label in found.part("test").labels] == ["dog", "dog", "cat"]
    assert any("each file was read by its own class names" in note for note in found.notes)


def test_a_test_part_published_without_a_column_of_labels_is_left_out(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = repository / "data" / "test-00000-of-00001.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["label"]), file)
    found = fetched(repository, monkeypatch)
    assert sorted(found.parts) == ["train", "validation"]
    assert "Part 'test' has no labels (-1 or none) and was left out." in found.notes


def test_a_file_of_the_cache_that_was_overwritten_is_not_what_the_hub_says(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reader = fetched(repository, monkeypatch).part("test").reader
    check_published(reader)
    (blob,) = [link.resolve() for link in (tmp_path / "hf").rglob("test-00000-of-00001.parquet")]
    content = blob.read_bytes()
    blob.write_bytes(content[:-30] + bytes([content[-30] ^ 1]) + content[-29:])
    with pytest.raises(DataError, match=r"is not the file 'data/test-00000-of-00001\.parquet' that the hub has"):
        check_published(reader)


def test_a_parquet_file_replaced_under_an_open_reader_is_opened_anew(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = fetched(repository, monkeypatch)
    first = fingerprint_of_collection(found, ("test",))
    assert grey(found.part("test").reader.read(1)) == 10
    (blob,) = [link.resolve() for link in (tmp_path / "hf").rglob("test-00000-of-00001.parquet")]
    turned = pq.read_table(blob).take([5, 4, 3, 2, 1, 0])
    pq.write_table(turned, tmp_path / "turned.parquet", row_group_size=4)
    (tmp_path / "turned.parquet").replace(blob)
    assert grey(found.part("test").reader.read(1)) == 40
    assert fingerprint_of_collection(found, ("test",)) == content_fingerprint(found, ["test"]) != first


def test_a_test_part_with_labels_of_another_name_is_refused(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(repository / "data" / "test-00000-of-00001.parquet", [0, 1], label_column="target")
    with pytest.raises(DataError, match=r"'data/test-00000-of-00001\.parquet' has no column 'label'"):
        fetched(repository, monkeypatch)
