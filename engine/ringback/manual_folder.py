"""Folder of the manual: `ringback/manual` in a wheel, `docs` at the root of a checkout."""

from pathlib import Path


def manual() -> Path:
    """Where the pages of the manual are."""
    packaged = Path(__file__).parent / "manual"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "docs"
