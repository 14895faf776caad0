"""Text that others wrote, made harmless: for a terminal, an XML file or a log, and as Markdown that shows it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# C0 and C1 controls but tab and line ends, halves of surrogate pairs, marks that turn the direction of writing, and
# the two code points that XML does not allow.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
_SPECIAL = re.compile(r"([\\`*_#|~$])")
_WHITE = re.compile(r"[^\S\u202f]+")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_ORDINARY = re.compile(r"[\w./:=,+()-]+(?: [\w./:=,+()-]+)*")  # inside backticks these need no care
_UNSAFE = re.compile(r"[^\w ./=,+()-]|_|:(?=//)|(?<=www)\.")  # the last two begin a link
_MENTION = re.compile(r"((?<!\w)@|\\#)(?=\w)")
_WORD_UNDERSCORE = re.compile(r"(?<=\w)\\_(?=\w)")  # inside a word it is plain text already


def printable(text: str) -> str:
    """The text without characters that control a terminal, break XML or cannot be encoded as UTF-8."""
    return _CONTROLS.sub("", text)


def one_line(text: str) -> str:
    """The text with every run of white space as one blank; narrow no-break spaces inside numbers stay, controls go."""
    return _WHITE.sub(" ", printable(text)).strip()


def escape(text: str) -> str:
    """The text as Markdown that shows exactly it, on one line: no markup, no HTML, no link, no mathematics."""
    flat = one_line(text)
    entities = "".join(_ENTITIES.get(character, character) for character in flat)
    escaped = _WORD_UNDERSCORE.sub("_", _SPECIAL.sub(r"\\\1", entities))
    escaped = re.sub(r"^(\d+)([.)])(?= |$)", r"\1\\\2", escaped)  # a numbered list, at the start of a line
    escaped = re.sub(r"^([-=])", r"\\\1", escaped)
    if "](" in escaped:
        escaped = escaped.replace("[", r"\[").replace("]", r"\]")
    for opener in ("://", "www."):  # bare addresses become links by themselves
        escaped = escaped.replace(opener, opener[0] + "&#8203;" + opener[1:])
    return escaped


def code(text: str) -> str:
    """The text in code type, showing exactly it on one line, inside tables too.

    A name of ordinary characters becomes a span in backticks. Anything else becomes an element with each special
    character written as a number: backticks and backslashes have no escape inside a span, and a bar would end a cell.
    """
    flat = one_line(text)
    if _ORDINARY.fullmatch(flat):
        return f"`{flat}`"
    return f"<code>{_UNSAFE.sub(lambda found: f'&#{ord(found.group())};', flat)}</code>"


def escape_mentions(text: str) -> str:
    """Like `escape`, and nobody is called to a page on which `@name` or `#12` would call."""
    return _MENTION.sub("\\1&#8203;", escape(text))


def bullets(items: Iterable[str]) -> str:
    """A list, one line each; items are Markdown."""
    return "\n".join(f"- {item}" for item in items)


def fenced(text: str) -> str:
    """A block of code that shows the text as it is."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def joined(blocks: Sequence[str]) -> str:
    """Blocks of Markdown as one document: an empty line between, one newline at the end, empty blocks left out."""
    return "\n\n".join(block.strip("\n") for block in blocks if block.strip()) + "\n"
