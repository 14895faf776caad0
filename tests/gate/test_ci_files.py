"""The workflows in docs/ci/: each command that they hold is run here, vitbench's for real."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from bench.gate.formats.pages import MARKER
from bench.gate.result import read_result

ROOT = Path(__file__).parents[2]
CI = ROOT / "docs" / "ci"
GITHUB, COMMENT, GITLAB = "github-actions.yml", "github-actions-comment.yml", "gitlab-ci.yml"
BASH = shutil.which("bash")
KNOWN_PROGRAMS = ("cat", "head", "tail")  # that scripts find where they are run here, beside those made for a test
# What the scripts may call beside vitbench: the first words of a command.
KNOWN_COMMANDS = {"python -m pip install", "python -c", "gh api", "curl", "cat", "head -n", "head -c", "tail -n"}
SHELL_WORDS = {"if", "then", "else", "fi", "echo", "exit", "[", "case", "esac", "for", "do", "done"}


def load(file):
    return yaml.safe_load((CI / file).read_text(encoding="utf-8"))


def scripts_of(file):
    """Each script of a workflow, as its shell gets it: the lines of a GitLab job are one."""
    jobs = load(file)
    if "jobs" in jobs:
        return [step["run"] for job in jobs["jobs"].values() for step in job["steps"] if "run" in step]
    return ["\n".join(job["script"]) for job in jobs.values() if "script" in job]


def script_with(file, text):
    (script,) = [one for one in scripts_of(file) if text in one]
    return script


def commands_of(script):
    """The words of each simple command, substitutions opened; enough of a shell's grammar for these files."""
    flat = script.replace("\\\n", " ").replace("$(", "\n").replace('")', '"\n')
    flat = re.sub(r"^\s*#.*$", "", flat, flags=re.MULTILINE)
    lexer = shlex.shlex(flat.replace("\n", " ; "), posix=True, punctuation_chars=";|&")
    lexer.whitespace_split = True
    command = []
    for word in [*lexer, ";"]:
        if set(word) <= set(";|&"):
            while command and (command[0] in SHELL_WORDS - {"echo", "exit", "["} or re.match(r"\w+=", command[0])):
                command = command[1:]
            if command and command[0] not in SHELL_WORDS and command[0] != ")":
                yield command
            command = []
        else:
            command.append(word)


@pytest.mark.parametrize("file", [GITHUB, COMMENT, GITLAB])
def test_every_command_is_vitbench_or_one_that_this_test_knows(file):
    for script in scripts_of(file):
        assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
        for command in commands_of(script):
            starts = {" ".join(command[:length]) for length in (1, 2, 4)}
            assert command[:2] == ["vitbench", "check"] or starts & KNOWN_COMMANDS, command


def test_both_workflows_ask_vitbench_the_same_and_fetch_its_base():
    github, gitlab = (
        next(command for command in commands_of(script_with(file, "vitbench")) if command[0] == "vitbench")
        for file in (GITHUB, GITLAB)
    )
    assert set(gitlab) <= set(github)
    assert load(GITHUB)["jobs"]["check"]["steps"][0]["with"]["fetch-depth"] == 0
    assert load(GITLAB)["speed"]["variables"]["GIT_DEPTH"] == "0"


def test_nothing_with_a_right_to_write_checks_out_or_runs_a_pull_request():
    for file in (GITHUB, COMMENT):
        workflow = load(file)
        assert "pull_request_target" not in workflow[True]  # YAML reads the key `on` as true
        writes = "write" in workflow["permissions"].values()
        uses = [step.get("uses", "") for job in workflow["jobs"].values() for step in job["steps"]]
        assert not (writes and any("checkout" in action for action in uses))
        for script in scripts_of(file):
            assert "${{" not in script  # what an event holds reaches a shell through variables only
    assert load(GITLAB)["speed-note"]["variables"]["GIT_STRATEGY"] == "none"


@pytest.fixture
def place(tmp_path):
    """A folder to run scripts in, `work`, and one with all the programs that they find, `bin`."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "work").mkdir()
    for name in KNOWN_PROGRAMS:
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    return tmp_path


def add_command(place, name, body):
    path = place / "bin" / name
    path.write_text(f"#!{BASH}\nPATH={shlex.quote(os.environ['PATH'])}\n{body}\n")
    path.chmod(0o755)


def run_script(place, script, **variables):
    """A script as a runner runs it, in place/work; a program that is not in place/bin does not exist."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "CI_"))},
        "PATH": str(place / "bin"),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'gate'}",
        "VITBENCH_CACHE": str(place / "cache"),
        **variables,
    }
    return subprocess.run(
        [BASH, "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=place / "work",
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def replace_measurement(place, verdict):
    script = Path(__file__).with_name("replaced_check.py")
    add_command(place, "vitbench", f'exec {sys.executable} {script} {verdict} "$@"')


@pytest.mark.parametrize(
    ("verdict", "choice", "code"),
    [("PASS", "warn", 0), ("FAIL", "warn", 1), ("INCONCLUSIVE", "warn", 0), ("INCONCLUSIVE", "fail", 3)],
)
def test_the_job_on_github_is_as_bad_as_its_verdict(place, verdict, choice, code):
    replace_measurement(place, verdict)
    summary = place / "summary.md"
    summary.write_text("of another step\n")
    ended = run_script(
        place,
        script_with(GITHUB, "vitbench check"),
        BASE="HEAD^1",
        INCONCLUSIVE=choice,
        GITHUB_STEP_SUMMARY=str(summary),
    )
    assert ended.returncode == code, ended.stderr
    assert summary.read_text(encoding="utf-8").startswith(f"of another step\n## vitbench check: {verdict}\n")
    assert f"::notice title=vitbench check%3A {verdict}::" in ended.stdout
    written = place / "work" / "speed"
    assert sorted(path.name for path in written.iterdir()) == [
        "annotations.txt",
        "check.json",
        "comment.md",
        "junit.xml",
    ]
    assert read_result(written / "check.json").problems == ("base was HEAD^1",)


def test_a_check_that_cannot_start_fails_the_job_on_github(place):
    add_command(place, "vitbench", "echo 'Error: no such revision' >&2; exit 2")
    ended = run_script(
        place, script_with(GITHUB, "vitbench check"), BASE="HEAD^1", INCONCLUSIVE="warn", GITHUB_STEP_SUMMARY="s.md"
    )
    assert ended.returncode == 2


@pytest.mark.parametrize(("verdict", "code"), [("PASS", 0), ("FAIL", 1), ("INCONCLUSIVE", 3)])
@pytest.mark.parametrize("merged", ["", "abcd"])
def test_the_job_on_gitlab_installs_and_checks(place, verdict, code, merged):
    replace_measurement(place, verdict)
    add_command(place, "python", f'echo "$@" >> {place}/python.txt')
    ended = run_script(
        place,
        script_with(GITLAB, "vitbench check"),
        VITBENCH=".",
        CI_MERGE_REQUEST_TARGET_BRANCH_SHA=merged,
        CI_MERGE_REQUEST_DIFF_BASE_SHA="1234",
    )
    assert ended.returncode == code, ended.stderr
    assert (place / "python.txt").read_text() == "-m pip install .\n"
    assert read_result(place / "work" / "speed" / "check.json").problems == (f"base was {merged or '1234'}",)
    assert 3 in load(GITLAB)["speed"]["allow_failure"]["exit_codes"]


def test_the_install_step_on_github_installs_what_is_asked_for(place):
    add_command(place, "python", f'echo "$@" >> {place}/python.txt')
    run_script(place, script_with(GITHUB, "pip install"), VITBENCH="a b")
    assert (place / "python.txt").read_text() == "-m pip install a b\n"


GH = """
echo "$@" >> {log}
if [[ "$*" == *'--method PATCH'* || "$*" == *'--method POST'* ]]; then exit 0; fi
answer={comments}
if [[ "$*" == *'/pulls'* ]]; then answer={pulls}; fi
while [ "$1" != --jq ]; do shift; done
jq -r "$2" "$answer"
"""


@pytest.mark.skipif(shutil.which("jq") is None, reason="stands in for gh's --jq, and jq is not installed")
@pytest.mark.parametrize("known", [True, False])
def test_the_comment_goes_to_the_pull_request_of_that_commit_and_is_updated(place, known):
    bot = {"id": 99, "user": {"login": "github-actions[bot]"}, "body": f"{MARKER}\n\nold"}
    posed = {"id": 98, "user": {"login": "someone"}, "body": f"{MARKER}\n\nnot ours"}
    (place / "comments.json").write_text(json.dumps([posed, bot] if known else [posed]))
    (place / "pulls.json").write_text(
        json.dumps([{"number": 5, "head": {"sha": "other"}}, {"number": 7, "head": {"sha": "abcd"}}])
    )
    log = place / "gh.txt"
    add_command(place, "gh", GH.format(log=log, comments=place / "comments.json", pulls=place / "pulls.json"))
    ended = run_script(place, write_comment(place), **COMMENT_VARIABLES)
    assert ended.returncode == 0, ended.stderr
    where = "--method PATCH repos/o/r/issues/comments/99" if known else "--method POST repos/o/r/issues/7/comments"
    assert log.read_text().splitlines()[-1] == f"api {where} -F body=@comment.md --silent"
    assert (place / "work" / "comment.md").read_text().startswith(MARKER)


COMMENT_VARIABLES = {
    "REPOSITORY": "o/r",
    "HEAD_OWNER": "someone",
    "HEAD_BRANCH": "$(touch hacked)",
    "HEAD_SHA": "abcd",
    "MARKER": MARKER,
}


def write_comment(place, text=MARKER + "\n\nnew\n"):
    (place / "work" / "speed").mkdir()
    (place / "work" / "speed" / "comment.md").write_text(text)
    return script_with(COMMENT, "gh api")


def test_the_marker_of_the_workflows_is_the_one_that_comments_have():
    steps = load(COMMENT)["jobs"]["comment"]["steps"]
    assert [step["env"]["MARKER"] for step in steps if "env" in step] == [MARKER]
    assert load(GITLAB)["speed-note"]["variables"]["MARKER"] == MARKER


def test_text_without_the_marker_is_not_posted(place):
    add_command(place, "gh", "exit 9")
    assert run_script(place, write_comment(place, "buy this\n"), **COMMENT_VARIABLES).returncode == 1


@pytest.mark.parametrize("known", [True, False])
def test_the_note_on_gitlab_is_updated(place, known):
    notes = [{"id": 3, "body": "a person's"}, *([{"id": 4, "body": f"{MARKER}\n\nold"}] if known else [])]
    (place / "notes.json").write_text(json.dumps(notes))
    (place / "work" / "speed").mkdir()
    (place / "work" / "speed" / "comment.md").write_text(MARKER)
    add_command(place, "python", f'exec {sys.executable} "$@"')
    copy = f'if [[ "$*" == *per_page* ]]; then cp {place}/notes.json notes.json; fi'
    add_command(place, "curl", f'echo "$@" >> {place}/curl.txt; {copy}')
    ended = run_script(place, script_with(GITLAB, "curl"), VITBENCH_TOKEN="t", NOTES="https://x/notes", MARKER=MARKER)
    assert ended.returncode == 0, ended.stderr
    last = (place / "curl.txt").read_text().splitlines()[-1]
    assert ("--request PUT" in last and "https://x/notes/4" in last) if known else "--request POST" in last
    assert "body@speed/comment.md" in last


def git(folder, *words):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


def test_the_script_on_github_checks_a_real_repository(place):
    """Two commits that differ in a text; sixteen processes of the small models, two turns each."""
    work = place / "work"
    git(work, "init", "--quiet")
    for text in ("one", "two"):
        (work / "read.me").write_text(text)
        git(work, "add", ".")
        git(work, "commit", "--quiet", "-m", text)
    fewer = "--turns 2 --pairs-max 8 --no-aa --exact off --seed 1"
    add_command(place, "vitbench", f'exec {sys.executable} -m bench "$@" {fewer}')
    ended = run_script(
        place,
        script_with(GITHUB, "vitbench check"),
        BASE="HEAD^1",
        INCONCLUSIVE="warn",
        GITHUB_STEP_SUMMARY=str(place / "summary.md"),
    )
    assert ended.returncode == 0, ended.stderr  # with eight pairs nothing can FAIL
    result = read_result(work / "speed" / "check.json")
    assert [model.name for model in result.models] == ["vit_32px_s", "resnet_32px_s"]
    assert {model.verdict for model in result.models} <= {"PASS", "INCONCLUSIVE"}
    assert [len(pair.base_ns) for model in result.models for pair in model.pairs] == [2] * 16
    assert (result.base.commit, result.head.commit) != (None, None)
    suite = ET.parse(work / "speed" / "junit.xml").find("testsuite")
    assert [case.get("name") for case in suite.findall("testcase")] == ["vit_32px_s", "resnet_32px_s"]
    assert (place / "summary.md").read_text(encoding="utf-8").startswith(f"## vitbench check: {result.verdict}\n")
