"""A Hugging Face hub on 127.0.0.1, made of folders, for tests of what is fetched from one.

    with serve_hub(tmp_path) as endpoint: ...

Files lie under `root/models/<owner>/<name>/` and `root/datasets/<owner>/<name>/`. The server knows the revisions `main`
and the commit, `commit_of(folder)`. Enough of the API for huggingface_hub 2.x and timm: `resolve` (HEAD, GET, ranges),
`api/{models,datasets}/<id>[/revision/<rev>]` and `api/.../tree/<rev>`.

How a client is pointed at it. huggingface_hub reads HF_ENDPOINT, HF_HUB_OFFLINE, HF_HUB_CACHE and HF_HOME once, when it
is first imported, and everything imports it (timm too), so setting them inside a running test has no effect. Either

- start the client in a process of its own, with `hub_environment(endpoint, home)` as its environment. This is the only
  way for timm (`pretrained=True`), which passes no endpoint; or
- pass `endpoint=` and `cache_dir=` to `hf_hub_download`, `HfApi(endpoint=...)` and their like.

HF_HUB_DOWNLOAD_TIMEOUT (whole seconds, of every read of a body) can be patched as
`huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT`; HF_HUB_ETAG_TIMEOUT (of the HEAD before it) is a default argument,
so it is given as `etag_timeout=` or through the environment.

A client that meets a cut or a stalled body tries five times more, a second apart, before it gives up: about 6 s for
`truncated`, 12 s for `drip_s`, 20 s and more for `slow_s`. Inside a test process, a patched
`huggingface_hub.file_download.time.sleep` shortens that. After a HEAD that fails or is too slow the client raises
LocalEntryNotFoundError if it has no copy, and silently uses the copy if it has one. It compares sizes and never
hashes: a body of the right length and the wrong content is noticed by nobody but ourselves.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

KINDS = ("models", "datasets")
LARGE_FILES = (".safetensors", ".parquet", ".bin", ".tar", ".zip", ".npz", ".h5", ".arrow")  # kept by git LFS
CHUNK_BYTES = 1024


@dataclass(frozen=True)
class Faults:
    """What goes wrong, for the files whose path in the repository matches `only`.

    truncated: the headers promise all bytes, the first half comes, then the connection closes; a resumed request
    gets nothing more. wrong_hash: the right number of bytes, the last one changed, the ETag of the original.
    missing: 404 for the files, though the repository is there. slow_s: seconds before each answer, to a HEAD too.
    drip_s: seconds before each KiB of a body; the HEAD comes at once.
    """

    only: str = "*"
    truncated: bool = False
    wrong_hash: bool = False
    missing: bool = False
    slow_s: float = 0.0
    drip_s: float = 0.0


@dataclass(frozen=True)
class _Hub:
    root: Path
    faults: Faults
    log: list[str]
    closing: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serve_hub(root: Path, *, log: list[str] | None = None, **faults: Any) -> Iterator[str]:
    """A running hub; yields its address, `http://127.0.0.1:<port>`. `faults`: the fields of Faults.

    log: receives `"GET /path"` for each request, in order of arrival.
    """
    hub = _Hub(root, Faults(**faults), [] if log is None else log)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, hub))
    server.daemon_threads = True
    server.block_on_close = False  # a handler that sleeps on purpose must not hold up the end of a test
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        hub.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def hub_environment(endpoint: str, home: Path, **extra: str) -> dict[str, str]:
    """The environment of a client process: this hub, an empty cache of its own, short timeouts, no progress bars."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_DISABLE_XET"):
        kept.pop(name, None)
    return kept | {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_ETAG_TIMEOUT": "1",
        "HF_HUB_DOWNLOAD_TIMEOUT": "1",
        **extra,
    }


def commit_of(repository: Path) -> str:
    """The 40 hexadecimal digits that the server calls this folder's commit: SHA-1 over file names and contents."""
    digest = hashlib.sha1(usedforsecurity=False)
    for name in _files_of(repository):
        digest.update(name.encode() + b"\0" + hashlib.sha256((repository / name).read_bytes()).digest())
    return digest.hexdigest()


def _files_of(repository: Path) -> list[str]:
    return sorted(file.relative_to(repository).as_posix() for file in repository.rglob("*") if file.is_file())


def _etag(name: str, content: bytes) -> str:
    """SHA-256 of a large file, the hash of git's blob of a small one, as the hub does."""
    if name.endswith(LARGE_FILES):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, hub: _Hub, *arguments: Any) -> None:
        self.hub = hub
        super().__init__(*arguments)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: the tests' own output is what is read."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.log.append(f"{self.command} {path}")
        words = [word for word in path.split("/") if word]
        try:
            if ".." in words:
                self._refuse(404, "EntryNotFound", "no such file")
            elif words[:1] == ["api"] and len(words) >= 4 and words[1] in KINDS:
                self._answer_api(words[1], "/".join(words[2:4]), words[4:])
            elif "resolve" in words[2:4]:
                kind, words = ("datasets", words[1:]) if words[0] == "datasets" else ("models", words)
                self._answer_file(kind, "/".join(words[:2]), words[3], "/".join(words[4:]))
            else:
                self._refuse(404, "RepoNotFound", f"nothing at {path}")
        except (BrokenPipeError, ConnectionResetError):  # the client gave up, as some tests want it to
            self.close_connection = True

    def _repository(self, kind: str, name: str, revision: str) -> Path | None:
        repository = self.hub.root / kind / name
        if not repository.is_dir():
            self._refuse(404 if kind == "models" else 401, "RepoNotFound", "Repository Not Found")
            return None
        if revision not in ("main", commit_of(repository)):
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return repository

    def _answer_api(self, kind: str, name: str, rest: list[str]) -> None:
        revision = rest[1] if len(rest) > 1 else "main"
        repository = self._repository(kind, name, revision)
        if repository is None:
            return
        self._wait(self.hub.faults.slow_s)
        if rest[:1] == ["tree"]:
            under = "/".join(rest[2:])
            found = [one for one in _files_of(repository) if not under or one.startswith(under + "/")]
            self._send_json([_tree_row(repository, one) for one in found])
            return
        self._send_json(
            {
                "id": name,
                "modelId": name,
                "sha": commit_of(repository),
                "private": False,
                "gated": False,
                "disabled": False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": [{"rfilename": one} for one in _files_of(repository)],
            }
        )

    def _answer_file(self, kind: str, name: str, revision: str, file: str) -> None:
        repository = self._repository(kind, name, revision)
        if repository is None:
            return
        faults = self.hub.faults if fnmatch(file, self.hub.faults.only) else Faults()
        if faults.missing or not (repository / file).is_file():
            self._refuse(404, "EntryNotFound", "Entry not found", commit=commit_of(repository))
            return
        self._wait(faults.slow_s)
        content = (repository / file).read_bytes()
        etag = _etag(file, content)
        if faults.wrong_hash:
            content = content[:-1] + bytes([content[-1] ^ 1])
        start, end = self._range(len(content))
        self.send_response(206 if "Range" in self.headers else 200)
        if "Range" in self.headers:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        self.send_header("Content-Length", str(end - start))
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", commit_of(repository))
        if file.endswith(LARGE_FILES):
            self.send_header("X-Linked-ETag", f'"{etag}"')
            self.send_header("X-Linked-Size", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if faults.truncated:
            end = min(end, len(content) // 2)
            self.close_connection = True
        for at in range(start, end, CHUNK_BYTES):
            self._wait(faults.drip_s)
            if self.hub.closing.is_set():
                self.close_connection = True
                return
            self.wfile.write(content[at : min(at + CHUNK_BYTES, end)])

    def _range(self, size: int) -> tuple[int, int]:
        """First byte and the one after the last that the request asks for."""
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        return int(first), min(int(last) + 1, size) if last else size

    def _wait(self, seconds: float) -> None:
        if seconds:
            self.hub.closing.wait(seconds)

    def _send_json(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _refuse(self, status: int, code: str, message: str, commit: str | None = None) -> None:
        body = json.dumps({"error": message}).encode()
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", message)
        if commit:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def _tree_row(repository: Path, name: str) -> dict[str, object]:
    content = (repository / name).read_bytes()
    row: dict[str, object] = {"type": "file", "path": name, "size": len(content), "oid": _etag(name, content)}
    if name.endswith(LARGE_FILES):
        row["lfs"] = {"oid": _etag(name, content), "size": len(content), "pointerSize": 134}
    return row
