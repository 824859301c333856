"""The project's own files: what is declared, what is pinned, and what CI runs agree."""

import re
import tomllib
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def plain(requirement: str) -> str:
    """A requirement's name, in the one spelling that all names are compared in."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement)[0]).lower()


def test_every_declared_dependency_has_a_constraint() -> None:
    """`nox -s constraints` was run since one was added: a fresh install gets known versions."""
    optional = PROJECT["optional-dependencies"].values()
    declared = {plain(item) for item in chain(PROJECT["dependencies"], *optional)}
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {plain(line) for line in lines if "==" in line and not line.startswith("#")}
    assert declared - pinned == set()


def test_the_readme_installs_with_the_constraints() -> None:
    """And on the one line that CI takes its test command from."""
    lines = (ROOT / "README.md").read_text().splitlines()
    (line,) = [line for line in lines if "&& pytest" in line]
    assert "-c constraints.txt" in line
    assert line.endswith("&& pytest")
