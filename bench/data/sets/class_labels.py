"""Names of classes and splits as people write them: label texts to class indices, a split's words to its part."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from bench.data.sets.collection import PART_NAMES, PartName
from bench.errors import DataError, RequestError

SPLIT_NAMES: Mapping[str, PartName] = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "test": "test",
}
SPLITS_CALLED = "Split folders are called train, validation (or val) and test"

# Words in the names of splits, by the part that they mean: everywhere, in names of folders alone, on the hub alone.
# None: a split's word that does not say which.
_SPLIT_WORDS: Mapping[PartName | None, tuple[str, str, str]] = {
    "train": ("train training", "trn", ""),
    "validation": ("val valid validation dev", "", "validate development devel"),
    "test": ("test testing", "tst", "eval evaluation"),
    None: ("", "eval evaluation holdout heldout fold", ""),
}
FOLDER_SPLIT_WORDS: Mapping[str, PartName | None] = {
    word: part for part, (both, folders, _) in _SPLIT_WORDS.items() for word in f"{both} {folders}".split()
}
HUB_SPLIT_WORDS: Mapping[str, PartName] = {
    word: part for part, (both, _, hub) in _SPLIT_WORDS.items() if part for word in f"{both} {hub}".split()
}
_ADDED = "sets?|data|datasets?|images?|imgs?|pictures?|photos?|splits?|parts?|folders?|files?|samples?"
_ADDED_WORD = re.compile(_ADDED)
_GLUED = re.compile(f"({'|'.join(sorted(FOLDER_SPLIT_WORDS, key=len, reverse=True))})(?:{_ADDED})?")
_BETWEEN_WORDS = re.compile(r"[\W\d_]+|(?<=[a-z])(?=[A-Z])")

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")  # as an integer is printed; `007` is a text
_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")  # not U+200C and U+200D, which Persian, Hindi and emoji need
_ZEROS = re.compile(r"(?<![\d.])0+(?=\d)|(?<=\d)\.0+(?!\d)")  # that say nothing in `007` and `7.0`
Locate = Callable[[PartName, int], str]


@dataclass(frozen=True)
class Classes:
    """Class names in their order, the labels of each part as indices (N,) into them, and what to note."""

    names: tuple[str, ...]
    labels: Mapping[PartName, NDArray[np.int64]]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class SplitName:
    """A name with a split's word in it. part: None where the word does not say which. rest: its other words."""

    part: PartName | None
    rest: tuple[str, ...]


def number_classes(name: str, texts: Mapping[PartName, Sequence[str]], locate: Locate) -> Classes:
    """The classes of a data set: those of `train`, or of all parts where there is no `train`.

    Names that are all integers are ordered as integers, others as texts. Labels that are one as `spelled` are one
    class, which is noted; those that differ by case, spaces, `_`, `-` or leading zeros are noted and kept apart.
    locate: says where the i-th label of a part stands (`line 7`), for messages.
    Raises DataError for a label that `train` lacks, RequestError for fewer than two classes.
    """
    written = {text: spelled(text) for part in texts.values() for text in part}
    texts = {part: [written[text] for text in part_texts] for part, part_texts in texts.items()}
    known = set(texts.get("train", ())) or set(written.values())
    for part in PART_NAMES:
        unknown = next((i for i, text in enumerate(texts.get(part, ())) if text not in known), None)
        if unknown is not None:
            text = texts[part][unknown]
            raise DataError(
                f"Data set {name!r}, {locate(part, unknown)}: class {text!r} is in '{part}' and not in 'train'."
                f"{_did_you_mean(text, known)}"
            )
    if len(known) < 2:
        found = f" ({next(iter(known))!r})" if known else ""
        raise RequestError(f"Data set {name!r} has {len(known)} class{'' if known else 'es'}{found}; two are needed.")
    names = in_order(known)
    index = {text: i for i, text in enumerate(names)}
    labels = {part: np.array([index[text] for text in part_texts], np.int64) for part, part_texts in texts.items()}
    return Classes(names, labels, (*_spelling_notes(written), *_typo_notes(names, labels)))


def spelled(text: str) -> str:
    """A class name in one spelling: Unicode's composed form (NFC), without invisible characters and outer spaces.

    macOS stores `é` as two characters where Linux has one; spreadsheets add spaces and byte order marks.
    """
    if text.isascii():
        return text.strip()
    return unicodedata.normalize("NFC", _INVISIBLE.sub("", text).replace("\u00a0", " ")).strip()


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Class names sorted: as integers if all are, else as texts."""
    names = tuple(names)
    return tuple(sorted(names, key=int) if all(_INTEGER.fullmatch(name) for name in names) else sorted(names))


def name_split(text: str) -> PartName | None:
    """The part that a split's name means, in any case; None for a name that means none."""
    return SPLIT_NAMES.get(spelled(text).casefold())


def read_split_name(name: str) -> SplitName | None:
    """`Training`, `trainset`, `train_images_2`, `seg_train` (rest: seg); None without such a word, or with two."""
    words = [word.casefold() for word in _BETWEEN_WORDS.split(name) if word]
    found = [match[1] for word in words if (match := _GLUED.fullmatch(word))]
    if len(found) != 1:
        return None
    rest = tuple(word for word in words if not _GLUED.fullmatch(word) and not _ADDED_WORD.fullmatch(word))
    return SplitName(FOLDER_SPLIT_WORDS[found[0]], rest)


def few(texts: Sequence[str], shown: int = 5) -> str:
    """The first of some names, quoted, and how many more there are."""
    more = len(texts) - shown
    return ", ".join(repr(text) for text in islice(texts, shown)) + (f" and {more:,} more" if more > 0 else "")


def _plain(text: str) -> str:
    text = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return re.sub(r"[\s_-]+", "", _ZEROS.sub("", text.casefold()))


def _did_you_mean(text: str, known: set[str]) -> str:
    alike = sorted(other for other in known if _plain(other) == _plain(text))
    alike = alike or difflib.get_close_matches(text, sorted(known), n=1, cutoff=0.6)
    return f" Did you mean {alike[0]!r}?" if alike else ""


def _spelling_notes(written: Mapping[str, str]) -> tuple[str, ...]:
    """written: label as it stands -> its spelling."""
    forms = Counter(written.values())
    merged = sorted(name for name, count in forms.items() if count > 1)
    if not merged:
        return ()
    return (
        "Labels that differ only by their Unicode form, invisible characters or outer spaces were taken as one class: "
        f"{few(merged)}.",
    )


def _typo_notes(names: Sequence[str], labels: Mapping[PartName, NDArray[np.int64]]) -> tuple[str, ...]:
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(_plain(name), []).append(name)
    images = sum(np.bincount(part, minlength=len(names)) for part in labels.values())
    count = dict(zip(names, np.asarray(images).tolist(), strict=True))
    return tuple(
        "Classes that differ only by case, spaces, '_', '-' or zeros are kept apart; is one mistyped? "
        + ", ".join(f"{name!r} ({count[name]:,} images)" for name in group)
        for key, group in alike.items()
        if len(group) > 1 and not all(_INTEGER.fullmatch(name) for name in group)  # -1 is not 1
    )
