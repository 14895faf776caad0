"""What a result is of: model, resolution and setting, the weights that it started from, and a label of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.catalog.identity import ModelIdentity, identify_dataset, identify_model
from bench.catalog.models import find_model
from bench.catalog.public_checkpoints import find_public_pretraining
from bench.catalog.tags import known_pretraining, pretraining_of_tag

PUBLIC, FROM_SCRATCH = "public", "random"
NO_PRETRAINING = "none (from scratch)"
UNKNOWN_PRETRAINING = ""  # public weights that nothing is known of are compared with none
NOT_STATED = "not stated"  # a user's own weights of which the suite says nothing are compared with one another
OWNERS_WORDS = "as its owner says: "


@dataclass(frozen=True, order=True)
class RunKey:
    """What accuracy and speed must agree on to be one row: model, resolution and settings on one kind of device."""

    model: str
    resolution_px: int
    device: str = ""
    precision: str = ""
    memory_format: str = ""
    compile: bool = False
    fold: bool = False


def run_key(row: Mapping[str, Any]) -> RunKey:
    """The key of a row of a training, speed or memory frame."""
    model, device, precision, layout = (str(row[name]) for name in ("model", "device", "precision", "memory_format"))
    return RunKey(model, int(row["resolution_px"]), device, precision, layout, bool(row["compile"]), bool(row["fold"]))


def cell_row(cell: Mapping[str, Any]) -> dict[str, Any]:
    """A cell's fields with those of its settings, as a row of a table has them."""
    settings = {"precision": "fp32", "memory_format": "contiguous", "compile": False, "fold": False}
    return {**settings, **(cell.get("settings") or {}), **cell}


def distinguishing(key: RunKey, siblings: Iterable[RunKey]) -> list[str]:
    """In words, what of the resolution and the settings is not the same for all of these keys."""
    words = {
        "resolution_px": f"@{key.resolution_px}",
        "device": key.device,
        "precision": key.precision,
        "memory_format": key.memory_format,
        "compile": "compiled" if key.compile else "eager",
        "fold": "folded" if key.fold else "unfolded",
    }
    siblings = list(siblings)
    return [word for name, word in words.items() if word and len({getattr(one, name) for one in siblings}) > 1]


@dataclass(frozen=True, order=True)
class Subject:
    """One row of a table of weights: a model at one resolution and setting, and the weights it started from."""

    key: RunKey
    weights: str  # `public`, `sha256 <16 digits>` of a file, or `random`
    trained_on: str = ""  # the data set of this suite's own training that ended with the file; empty for another file
    # What the record says of pre-training: the owner's words on a file, or what timm's tag says. No part of the name
    # that keys random draws.
    stated: str = field(default="", repr=False)

    @property
    def is_from_scratch(self) -> bool:
        """Whether the weights were random, so that nothing was pre-trained."""
        return self.weights == FROM_SCRATCH

    @property
    def weights_words(self) -> str:
        """The timm tag, what was trained on here, the file's hash, or that there were none. Plain text."""
        if self.weights == PUBLIC:
            return self.key.model
        if self.is_from_scratch:
            return "from scratch"
        return f"trained here, {self.weights}" if self.trained_on else f"file {self.weights}"


def subject_of(row: Mapping[str, Any]) -> Subject:
    """The subject of a row of an evaluate, few-shot or fine-tune frame."""
    trained_on, stated = (str(row.get(column) or "") for column in ("trained_on", "pretraining"))
    return Subject(run_key(row), str(row["weights"]), trained_on, stated)


def identify_weights(model: str, counted_family: str | None = None) -> ModelIdentity:
    """Title without resolution, family and size of the model, also for public checkpoints outside the catalog."""
    row, known = find_model(model), find_public_pretraining(model)
    if row is None and known is not None:
        return ModelIdentity(model, known.title, known.family, "")
    identity = identify_model(model, counted_family)
    title = identity.title if row is None else identity.title.removesuffix(f" @{row.resolution_px}")
    return ModelIdentity(model, title, identity.family, identity.size_class)


def pretraining_of(subject: Subject) -> str:
    """The data that the weights saw before, as the catalog, timm's tag or the file's owner says.

    UNKNOWN_PRETRAINING for public weights of which nothing says it, NOT_STATED for a file of which nobody does.
    """
    if subject.is_from_scratch:
        return NO_PRETRAINING
    if subject.weights != PUBLIC:
        if subject.trained_on:
            return f"{identify_dataset(subject.trained_on).title} (trained here)"
        return known_pretraining(subject.stated) or f"{OWNERS_WORDS}{subject.stated}" if subject.stated else NOT_STATED
    row = find_model(subject.key.model)
    if row is not None:
        return row.pretraining
    known = find_public_pretraining(subject.key.model)
    if known is not None:
        return known.pretraining
    return subject.stated or pretraining_of_tag(subject.key.model.partition(".")[2]) or UNKNOWN_PRETRAINING


def weights_labels(subjects: Iterable[Subject], identities: Mapping[str, ModelIdentity]) -> dict[Subject, str]:
    """A label for each: the title, with as much of tag, resolution, setting and weights as tells the rows apart."""
    found = sorted(set(subjects))
    titles = {subject: identities[subject.key.model].title for subject in found}
    labels = {}
    for subject in found:
        siblings = [other for other in found if titles[other] == titles[subject]]
        words = [titles[subject]]
        tag = subject.key.model.partition(".")[2] or subject.key.model
        if len({other.key.model for other in siblings}) > 1 and tag != titles[subject]:
            words.append(tag)
        words += distinguishing(subject.key, (other.key for other in siblings))
        if subject.is_from_scratch:
            words.append("from scratch")
        elif subject.trained_on:
            words.append(f"after {identify_dataset(subject.trained_on).title}")
        elif subject.weights != PUBLIC:
            words.append(f"file {subject.weights.removeprefix('sha256 ')[:8]}")
        labels[subject] = " ".join(words)
    return _all_distinct(labels)


def _all_distinct(labels: Mapping[Subject, str]) -> dict[Subject, str]:
    """The same labels; where two are still alike, with the model's name and, of files, the hash."""
    counts = Counter(labels.values())
    return {s: label if counts[label] == 1 else f"{label} ({_own_words(s)})" for s, label in labels.items()}


def _own_words(subject: Subject) -> str:
    return subject.weights.removeprefix("sha256 ")[:8] if subject.trained_on else subject.key.model
