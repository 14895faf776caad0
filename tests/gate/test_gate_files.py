import errno
import os
import threading
from pathlib import Path

import pytest
from synthetic_results import failed, make_result, passed

from bench.errors import RequestError, StoreError, UnknownNameError
from bench.gate.formats import FORMATS
from bench.gate.formats.files import Target, parse_target, write_format
from bench.gate.formats.pages import render_page
from bench.gate.formats.trackers import render_history
from bench.gate.result import render_json

RESULT = make_result(passed())


def test_a_target_is_a_format_and_a_path(tmp_path):
    assert parse_target("junit=a/b=c.xml") == Target("junit", "a/b=c.xml")
    assert parse_target("annotations=-") == Target("annotations", "-")


@pytest.mark.parametrize("text", ["junit", "junit=", "", "out.xml"])
def test_what_is_no_target_is_refused_before_anything_runs(text):
    with pytest.raises(RequestError, match=r"--write takes FORMAT=PATH.* json, markdown"):
        parse_target(text)


def test_an_unknown_format_gets_suggestions():
    with pytest.raises(UnknownNameError, match=r"Unknown format 'junti' in --write\. Did you mean 'junit'\?"):
        parse_target("junti=a.xml")


def test_a_folder_is_no_target(tmp_path):
    with pytest.raises(RequestError, match=r"names a folder\. Name a file, such as .*/check\.xml\."):
        parse_target(f"junit={tmp_path}/")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_written_into_folders_that_are_made(tmp_path, name):
    path = tmp_path / "a" / "b" / "file"
    write_format(RESULT, name, str(path))
    assert path.read_text(encoding="utf-8") == FORMATS[name].render(RESULT)
    assert [one.name for one in path.parent.iterdir()] == ["file"]


def test_a_dash_is_standard_output(capsys):
    write_format(RESULT, "history", "-")
    assert capsys.readouterr().out == render_history(RESULT)


def test_a_file_is_replaced_and_a_link_to_it_stays(tmp_path):
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("old")
    link.symlink_to(file)
    write_format(RESULT, "json", str(link))
    assert link.is_symlink()
    assert file.read_text(encoding="utf-8") == render_json(RESULT)


def test_a_history_is_appended_to(tmp_path):
    path = tmp_path / "history.csv"
    write_format(RESULT, "history", str(path))
    write_format(make_result(failed()), "history", str(path))
    rows = path.read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[4] for row in rows] == ["model", "vit_s", "resnet_s"]


def test_the_step_summary_of_a_job_is_appended_to_and_no_other_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("summary.md", "other.md"):
        (tmp_path / name).write_text("before\n")
        write_format(RESULT, "markdown", name, {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")})
    page = render_page(RESULT)
    assert (tmp_path / "summary.md").read_text(encoding="utf-8") == "before\n" + page
    assert (tmp_path / "other.md").read_text(encoding="utf-8") == page


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read = []
    reader = threading.Thread(target=lambda: read.append(path.read_text(encoding="utf-8")))
    reader.start()
    write_format(RESULT, "markdown", str(path))
    reader.join(timeout=10)
    assert read == [render_page(RESULT)]


@pytest.mark.parametrize("name", ["json", "history"])
def test_a_full_disk_is_one_sentence_and_leaves_what_was_there(tmp_path, monkeypatch, name):
    path = tmp_path / "file"
    write_format(RESULT, name, str(path))
    before = path.read_bytes()
    monkeypatch.setattr(os, "write", _write_some_then_fail(os.write))  # which appends
    monkeypatch.setattr(Path, "write_bytes", _write_no_more)  # of a file to be renamed
    with pytest.raises(StoreError, match=f"No space left to write {name} to .*file"):
        write_format(make_result(failed()), name, str(path))
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def _write_some_then_fail(write):
    calls = []

    def fail(descriptor, data):
        calls.append(data)
        if len(calls) == 1:
            return write(descriptor, data[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return fail


def _write_no_more(path, data):
    with open(path, "wb") as stream:
        stream.write(data[:10])
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot be written as junit: .*\. Give --write another place\."):
        write_format(RESULT, "junit", str(tmp_path / "file" / "x.xml"))
