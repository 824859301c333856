"""The recipes of CONTRIBUTING.md, applied to a copy of this tree."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


@dataclass(frozen=True)
class Recipe:
    """What a recipe says: the files that change, and its example as hunks (old, new) by file; the
    old text of a new file is None."""

    listed: frozenset[str]
    example: Mapping[str, tuple[tuple[str | None, str], ...]]


def hunks(diff: str) -> dict[str, tuple[tuple[str | None, str], ...]]:
    """Read an example: `---` begins a file that is there, `+++` a new one, `@@` another place."""
    found = {}
    for part in re.split(r"^(?=(?:---|\+\+\+) \S)", diff, flags=re.M)[1:]:
        head, _, body = part.partition("\n")
        old_texts = []
        for place in re.split(r"^@@\n", body, flags=re.M):
            lines = place.splitlines(keepends=True)
            old = "".join(line[1:] for line in lines if line[0] in " -")
            new = "".join(line[1:] for line in lines if line[0] in " +")
            old_texts.append((None if head.startswith("+") else old, new))
        found[head[4:]] = tuple(old_texts)
    return found


def recipes() -> dict[str, Recipe]:
    """The recipes by their headings."""
    found = {}
    section = PAGE[PAGE.index("\n## Recipes") :]
    for part in re.split(r"^### ", section, flags=re.M)[1:]:
        name, _, text = part.partition("\n")
        list_, fence, rest = text.partition("```diff\n")
        assert fence, f"{name}: no example"
        items = re.split(r"^- ", list_, flags=re.M)[1:]
        # The first path of each item, and of each further sentence, is one that changes.
        named = [
            m for item in items for m in re.findall(r"(?:^|here |\. )`([\w./]+/[\w.]+)`", item)
        ]
        found[name] = Recipe(frozenset(named), hunks(rest.partition("```")[0]))
    return found


RECIPES = recipes()


def apply(recipe: Recipe, root: Path) -> None:
    """Carry the example out: each old text is there once and becomes the new one."""
    for name, places in recipe.example.items():
        path = root / name
        for old, new in places:
            if old is None:
                assert not path.exists(), f"{name} is there already"
                path.write_text(new, "utf-8")
                continue
            text = path.read_text("utf-8")
            assert text.count(old) == 1, f"{name} has {text.count(old)} times:\n{old}"
            path.write_text(text.replace(old, new), "utf-8")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the tracked files, as a repository with one commit."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    root = tmp_path / "clone"
    for name in git(ROOT, "ls-files", "-z").split("\0"):
        if name and (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    git(root, "init", "-q")
    git(root, "add", "-A")
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    git(root, *who, "commit", "-q", "-m", "A copy")
    return root


def git(root: Path, *words: str) -> str:
    """What git says."""
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("name", RECIPES)
def test_the_example_changes_the_files_that_are_listed(name: str, clone: Path) -> None:
    """Followed to the letter, a recipe changes its files and no other."""
    apply(RECIPES[name], clone)
    git(clone, "add", "-A")
    changed = set(git(clone, "diff", "--cached", "--name-only").split())
    assert changed == RECIPES[name].listed
    for path in re.findall(r"`((?:engine|docs|tests|plugins)/[\w./]+)`", PAGE):
        assert (clone / path).exists() or any(path in r.listed for r in RECIPES.values()), path


MEMBERS = {
    "A setting": ("sender_rate", r"sender_rate|SENDER_RATE"),
    "A command": ("runs", r'"runs:runs"|^### `ringback runs|^def runs\(|"runs", "list"'),
    "An event type": ("call.machine", r"call\.machine"),
    "A page": ("deployment.md", r"^# Deployment$|^\| \[Deployment\]"),
}
"""For each recipe a member that is there, and how its place in a file is known."""


@pytest.mark.parametrize("name", MEMBERS)
def test_no_file_is_missing_from_the_list(name: str) -> None:
    """Where a member of the same sort is named, the list has that file, or one in its place."""
    member, pattern = MEMBERS[name]
    done = git(ROOT, "grep", "-lE", pattern, "--", "engine", "docs", "tests/unit")
    where = set(done.split()) - {"tests/unit/test_contributing.py"}
    listed = RECIPES[name].listed
    fixed = {path for path in listed if (ROOT / path).exists()}
    read_it = {path for path in where if name == "A setting" and path not in fixed}
    own = {path for path in where if Path(path).stem in (member, member.partition(".")[0])}
    used = {path for path in where if path.startswith("tests/")}
    assert where - fixed - own - read_it - used == set()
    missing = {path for path in fixed if path not in where and not path.startswith("tests/")}
    assert missing <= ({"engine/ringback/cli/serve.py"} if read_it else set())


@pytest.mark.slow
def test_a_copy_with_all_examples_passes(clone: Path) -> None:
    """With the examples in it, linters, types, structure, manual and the new tests pass."""
    new = []
    for recipe in RECIPES.values():
        apply(recipe, clone)
        for path, places in recipe.example.items():
            found = re.findall(r"^def (test_\w+)", "".join(text for _, text in places), re.M)
            olds = "".join(old or "" for old, _ in places)
            new += [f"{path}::{each}" for each in found if f"def {each}(" not in olds]
    assert len(new) >= len(RECIPES) - 1  # a page has no test of its own
    guards = [f"tests/unit/test_{name}.py" for name in ("docs", "shell", "rules_schema")]
    environment = {**os.environ, "PYTHONPATH": str(clone / "engine")}
    for command in (
        ["ruff", "check", "-q", "."],
        ["ruff", "format", "-q", "--check", "engine", "tests"],
        ["mypy", "--cache-dir", str(clone / ".mypy"), "engine"],
        ["pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *guards, *new],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=clone, env=environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
