"""Folders that rule files read from: of what several of them include, and of contacts."""

from pathlib import Path

FOLDER = "shared"
CONTACTS = "contacts"
"""In the project, for the files of groups."""


def folders(root: Path) -> tuple[Path, Path]:
    """The folders of what a project includes: its own, and the one beside it."""
    return root / FOLDER, root.parent / FOLDER
