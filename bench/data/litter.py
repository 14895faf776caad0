"""What systems and tools leave among images: thumbnails, waste baskets, hidden files. Never an image, never a class."""

from __future__ import annotations

_NAMES = frozenset(
    (
        "@eadir", "@tmp", "@sharebin", "#recycle", "#snapshot",  # Synology
        "@recycle", "@recently-snapshot",  # QNAP
        "$recycle.bin", "recycler", "system volume information", "thumbs.db", "ehthumbs.db", "desktop.ini",  # Windows
        "__macosx", "icon\r", "network trash folder", "temporary items",  # macOS
        "lost+found", "__pycache__",
    )
)  # fmt: skip


def is_litter(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or made by a system or a tool (Dropbox's copies) for itself."""
    return name.startswith(".") or name.casefold() in _NAMES or "conflicted copy" in name


def is_not_fetched(name: str) -> bool:
    """Whether it stands for a file that is in iCloud alone: `.cat.jpg.icloud`."""
    return name.startswith(".") and name.endswith(".icloud")
