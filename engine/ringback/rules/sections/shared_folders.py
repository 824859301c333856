"""Shared folders: where the files lie that rule files of one project, or of several, include."""

from pathlib import Path

FOLDER = "shared"


def folders(root: Path) -> tuple[Path, Path]:
    """The folders of what a project includes: its own, and the one beside it."""
    return root / FOLDER, root.parent / FOLDER
