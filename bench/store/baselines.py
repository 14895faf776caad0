"""Stored baselines: how long a model took on one machine on one day, with the machine's own kernels beside it.

results/baseline/<name>.json          shipped with the project
results/local/baseline/<name>.json    a user's own, ignored by git

Format history
1: first version.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bench.errors import StoreError
from bench.store.files import suite_folder

FORMAT_VERSION: Literal[1] = 1
FOLDER = "baseline"


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProcessTurns(_Stored):
    """All turns of one workload in one process: nanoseconds of `forwards` timed forward passes each.

    clock: `cpu` is the CPU time of the worker's one thread, `wall` where that does not hold all the work; the same in
    all processes of a workload.
    """

    forwards: int = Field(gt=0)
    clock: Literal["cpu", "wall"]
    ns: tuple[Annotated[int, Field(gt=0)], ...] = Field(min_length=1)

    @property
    def forward_ms(self) -> float:
        """Median over turns: milliseconds of one forward pass."""
        return median(self.ns) / self.forwards / 1e6


class Baseline(_Stored):
    """One workload on one machine. processes, kernels: fresh processes in their order, the same ones for both.

    workload: as bench.gate.result.Workload. kernels: name -> turns; comparable only within one calibration_version.
    conditions: as in stored records.
    """

    format_version: Literal[1] = FORMAT_VERSION
    saved_at: str  # UTC, ISO 8601
    workload: dict[str, Any]
    device: str
    threads: int
    processes: tuple[ProcessTurns, ...] = Field(min_length=1)
    calibration_version: int
    kernels: dict[str, tuple[ProcessTurns, ...]]
    conditions: dict[str, Any]

    @model_validator(mode="after")
    def _has_names(self) -> Baseline:
        if not isinstance(self.workload.get("model"), str):
            raise ValueError("its workload names no model")
        if not isinstance(self.conditions.get("machine"), str):
            raise ValueError("its conditions name no machine")
        if not self.kernels or not all(self.kernels.values()):
            raise ValueError("it has no times of the machine's own kernels")
        return self

    @property
    def name(self) -> str:
        """The file's name: the model's, and a hash of everything that makes it another baseline."""
        identity = {
            "workload": self.workload,
            "device": self.device,
            "threads": self.threads,
            "machine": self.machine,
        }
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
        slug = re.sub(r"[^A-Za-z0-9_.-]+", "-", str(self.workload["model"])).strip("-.")[-60:]
        return f"{slug}-{digest}"

    @property
    def machine(self) -> str:
        """The fingerprint of the machine that it was measured on."""
        return str(self.conditions["machine"])

    @property
    def forward_ms(self) -> float:
        """Milliseconds of one forward pass: median over processes of the median over turns."""
        return typical_ms(self.processes)


def typical_ms(processes: Sequence[ProcessTurns]) -> float:
    """Milliseconds of one forward pass: median over processes of the median over turns."""
    return median(process.forward_ms for process in processes)


@dataclass(frozen=True)
class ReadBaselines:
    """Baselines in the order of their files' names, and what could not be read, as sentences."""

    baselines: list[Baseline] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def baseline_folder(results: Path, *, local: bool) -> Path:
    """Where baselines lie under a results folder."""
    return suite_folder(results, FOLDER, local=local)


def save_baseline(results: Path, baseline: Baseline, *, local: bool) -> Path:
    """Write a baseline, whole or not at all, over an older one of the same name. Raises StoreError."""
    folder = baseline_folder(results, local=local)
    path = folder / f"{baseline.name}.json"
    temporary = folder / f".{path.name}.{os.getpid()}.tmp"
    text = json.dumps(baseline.model_dump(mode="json"), allow_nan=False, separators=(",", ":")) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(temporary, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise _disk_error(path, error) from None
    return path


def read_baselines(results: Path, *, local: bool) -> ReadBaselines:
    """Every baseline of a results folder. A file that is none is passed over with a warning that names it."""
    found = ReadBaselines()
    for path in sorted(baseline_folder(results, local=local).glob("*.json")):
        try:
            found.baselines.append(Baseline.model_validate(_parse(path.read_bytes())))
        except OSError as error:
            found.warnings.append(f"Baseline '{path}' cannot be read: {error.strerror}.")
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            found.warnings.append(f"Baseline '{path}' is none: {key}: {first['msg']}. It is passed over.")
        except ValueError as error:
            found.warnings.append(f"Baseline '{path}' is none: {error}. It is passed over.")
    return found


def _parse(text: bytes) -> dict[str, Any]:
    """The file's object. Raises ValueError with what is wrong."""
    try:
        data = json.loads(text)
    except ValueError:
        raise ValueError("it is not JSON") from None
    if not isinstance(data, dict):
        raise ValueError("it is not a JSON object")
    version = data.get("format_version")
    if version != FORMAT_VERSION:
        raise ValueError(f"it has format version {version!r}, and this vitbench reads {FORMAT_VERSION}")
    return data


def _disk_error(path: Path, error: OSError) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(f"No space left for baseline '{path}'. Nothing was replaced; free some space and save again.")
    return StoreError(f"Baseline '{path}' cannot be written: {error.strerror or error}. Give --results another folder.")
