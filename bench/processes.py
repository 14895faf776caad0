"""Worker processes, for all who need some: start one, feed it, wait for it, time it out, say how it ended, end it.

A process runs in a session of its own, so that Ctrl-C in the terminal is its parent's business. It reads what to do
from standard input, answers on standard output, and complains into a file whose last line says what went wrong. It
ends when its input does, so it never outlives its parent. Standard library alone: it takes no time to import.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import IO, Any, TypeVar

PATIENCE_SECONDS = 60.0  # for writing a checkpoint of a large model to a slow disk
LINE_CHARACTERS = 300  # of the last line that a process wrote, in a message
_READ_BYTES = 65_536  # what a pipe holds


@dataclass(frozen=True)
class Ending:
    """How a process ended. code: its exit code, below 0 the signal that ended it. last_line: of what it complained."""

    code: int
    last_line: str

    @property
    def was_killed(self) -> bool:
        """By SIGKILL, which is how the system ends a process when memory runs out."""
        return self.code == -signal.SIGKILL

    @property
    def words(self) -> str:
        """What became of the process, after its name."""
        if self.was_killed:
            return "was killed (SIGKILL), most often by the system when memory runs out"
        return f"ended with exit code {self.code}" if self.code >= 0 else f"died of {signal.Signals(-self.code).name}"

    @property
    def code_words(self) -> str:
        return f"exit code {self.code}" if self.code >= 0 else f"signal {-self.code}"


class Process:
    """A process with its input, its output (unless that is a file of the caller's) and its complaints."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        stdin: Any = subprocess.PIPE,
        stdout: Any = subprocess.PIPE,
    ) -> None:
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._popen = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=self._complaints,
            env=environment,
            cwd=folder,
            start_new_session=True,
        )

    def ending(self, seconds: float | None = None) -> Ending:
        """How the process ended, waiting for it. Raises TimeoutError if it has not after so many seconds."""
        try:
            code = self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"A process is still running after {seconds:.0f} s.") from None
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").strip().splitlines()
        return Ending(code, lines[-1].strip()[:LINE_CHARACTERS] if lines else "")

    def close_input(self) -> None:
        """Ask the process to leave: at once, or after saving what it has."""
        if self._popen.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._popen.stdin.close()

    def kill(self) -> None:
        """End the process by force, whatever it does, with all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)

    def stop(self, patience_s: float = 0.0) -> None:
        """End the process: it leaves when its input ends, or by force if it has not after so many seconds."""
        self.close_input()
        try:
            self._popen.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill()
            self._popen.wait()
        if self._popen.stdout is not None:
            self._popen.stdout.close()
        self._complaints.close()


class JsonProcess(Process):
    """A process that is asked and answers in lines of JSON, one object each."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        answers: IO[bytes] | None = None,
    ) -> None:
        """answers: a file that takes them; without one they are read by `receive`."""
        super().__init__(command, environment=environment, folder=folder, stdout=answers or subprocess.PIPE)
        self._unread = b""

    def fileno(self) -> int:
        """What can be read once the process has something to say, or has ended."""
        assert self._popen.stdout is not None
        return self._popen.stdout.fileno()

    def send(self, request: Mapping[str, Any]) -> None:
        """Hand over one request. A process that is already dead shows it at the next `receive`."""
        assert self._popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._popen.stdin.write(json.dumps(request).encode() + b"\n")
            self._popen.stdin.flush()

    def receive(self, seconds: float | None = None) -> dict[str, Any] | None:
        """The reply, waiting for it; None when the process ended instead of answering. Raises TimeoutError."""
        deadline = None if seconds is None else time.monotonic() + seconds
        parts = [self._unread]
        while b"\n" not in parts[-1]:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not wait([self.fileno()], left):
                self._unread = b"".join(parts)
                raise TimeoutError(f"No answer within {seconds:.0f} s.")
            parts.append(os.read(self.fileno(), _READ_BYTES))
            if not parts[-1]:
                return None
        line, _, self._unread = b"".join(parts).partition(b"\n")
        reply: dict[str, Any] = json.loads(line)
        return reply


AnyProcess = TypeVar("AnyProcess", bound=JsonProcess)


def wait_for_any(processes: Sequence[AnyProcess]) -> list[AnyProcess]:
    """Those that have answered or ended, sleeping until there is one; each was asked one thing at a time."""
    ready = wait([process.fileno() for process in processes])
    return [process for process in processes if process.fileno() in ready]


class PickleProcess(Process):
    """A process of this program's own code that is asked and answers in pickled objects. `answers` can be waited for.

    serve: a function of a module, without arguments, which takes what `claimed_connections` gives.
    """

    def __init__(self, serve: Callable[[], None]) -> None:
        code = (
            f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
            f"from {serve.__module__} import {serve.__qualname__} as serve; serve()"
        )
        far_input, self._requests = Pipe(duplex=False)
        self.answers, far_output = Pipe(duplex=False)
        super().__init__(
            [sys.executable, "-c", code, json.dumps(sys.path)],
            stdin=far_input,
            stdout=far_output,
        )
        far_input.close()  # so that the pipes end when the process does
        far_output.close()

    def send(self, request: object) -> None:
        """Hand over one request. A process that is already dead shows it at the next `receive`."""
        with contextlib.suppress(BrokenPipeError):
            self._requests.send(request)

    def receive(self) -> Any:
        """The next answer, waiting for it. Raises EOFError when the process ended instead of answering."""
        return self.answers.recv()

    def close_input(self) -> None:
        self._requests.close()

    def stop(self, patience_s: float = 0.0) -> None:
        super().stop(patience_s)
        self.answers.close()


# The other side: what runs in the process.

STOP = threading.Event()  # set once the parent wants no more answers
_idle = threading.Event()
_idle.set()


@contextlib.contextmanager
def saves_itself() -> Iterator[threading.Event]:
    """Within it the process is not ended at once: the work looks at the event, writes a checkpoint and returns."""
    _idle.clear()
    try:
        yield STOP
    finally:
        _idle.set()


def request_stop() -> None:
    """Set the event and wait until nothing that saves itself is under way, but not for ever."""
    STOP.set()
    _idle.wait(PATIENCE_SECONDS)


def serve_json(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer requests, one line of JSON each, until standard input ends."""
    input_, output = _claimed_streams()
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read_requests, args=(input_, requests), daemon=True).start()
    with os.fdopen(output, "w", encoding="utf-8") as replies:
        while True:
            reply = answer(json.loads(requests.get()))
            if STOP.is_set():
                os._exit(0)  # nobody reads any more; what was to be kept is in a checkpoint
            json.dump(reply, replies, allow_nan=False, separators=(",", ":"))
            replies.write("\n")
            replies.flush()


def _read_requests(input_: int, requests: queue.SimpleQueue[str]) -> None:
    with os.fdopen(input_, encoding="utf-8") as lines:
        for line in lines:
            requests.put(line)
    request_stop()  # a fine-tuning writes a checkpoint first
    os._exit(0)  # the parent is gone or done; nothing else of a half-done cell is worth keeping


def claimed_connections() -> tuple[Connection, Connection]:
    """Where a `PickleProcess` reads its requests and writes its answers."""
    input_, output = _claimed_streams()
    return Connection(input_, writable=False), Connection(output, readable=False)


def _claimed_streams() -> tuple[int, int]:
    """Private copies of standard input and output: code that asks for input must not be given the next request.

    Whatever a library prints goes to standard error instead.
    """
    input_, output = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return input_, output


def usable_cores() -> int:
    """The CPU cores that this process may run on, at least one; the machine may have more."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
