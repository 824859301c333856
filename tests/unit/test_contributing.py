"""The recipes of CONTRIBUTING.md, applied to a copy of this tree."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

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
        fenced = re.search(r"^(`{3,})diff\n(.*?)^\1$", text, re.M | re.S)
        assert fenced, f"{name}: no example"
        list_, diff = text[: fenced.start()], fenced.group(2)
        items = re.split(r"^- ", list_, flags=re.M)[1:]
        # The first path of each item, and of each further sentence, is one that changes.
        named = [
            m for item in items for m in re.findall(r"(?:^|here |\. )`([\w./]+/[\w.]+)`", item)
        ]
        assert name not in found, f"two recipes: {name}"
        found[name] = Recipe(frozenset(named), hunks(diff))
    return found


RECIPES = recipes()


def apply(recipe: Recipe, root: Path) -> None:
    """Carry the example out: each old text is there once and becomes the new one. `…` at the end of
    a line stands for the rest of it."""
    for name, places in recipe.example.items():
        path = root / name
        for old, new in places:
            if old is None:
                assert not path.exists(), f"{name} is there already"
                path.write_text(new, "utf-8")
                continue
            text = path.read_text("utf-8")
            found = re.findall(re.escape(old).replace("…\\\n", "(.*)\n"), text)
            assert len(found) == 1, f"{name} has {len(found)} times:\n{old}"
            if "…\n" in old:
                old, new = (each.replace("…\n", f"{found[0]}\n") for each in (old, new))
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
@pytest.mark.slow
def test_the_example_changes_the_files_that_are_listed(name: str, clone: Path) -> None:
    """Followed to the letter, a recipe changes its files and no other, and the linter is quiet."""
    apply(RECIPES[name], clone)
    git(clone, "add", "-A")
    changed = set(git(clone, "diff", "--cached", "--name-only").split())
    assert changed == RECIPES[name].listed
    code = [path for path in changed if path.endswith(".py")]
    for command in (["check", "-q"], ["format", "-q", "--check"]) if code else ():
        ruff = [sys.executable, "-m", "ruff", *command, *code]
        done = subprocess.run(ruff, cwd=clone, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    for path in re.findall(r"`((?:engine|docs|tests|plugins)/[\w./]+)`", PAGE):
        assert (clone / path).exists() or any(path in r.listed for r in RECIPES.values()), path


CLI, STEPS = "engine/ringback/cli", "engine/ringback/rules/steps"
ERRORS = ("engine/ringback/error_codes.json", "docs/errors.md")
MEMBERS: dict[str, tuple[str, set[str], set[str]]] = {
    "An action kind": (
        r"DequeueCall|dequeue_call|^### .dequeue.",
        {f"{STEPS}/calls.py"},  # the module of its sort
        {f"{STEPS}/messages.py"},
    ),
    "A verb": (
        r"\bDial\b|^### .dial",
        # What the simulator plays, the verb `dial` of conferences, texts of Twilio's errors, and
        # the call by which a person connects a caller.
        {
            "docs/simulator.md",
            f"{CLI}/gateway.py",
            *ERRORS,
            "engine/ringback/worker/operations/call_decisions.py",
        },
        set(),
    ),
    "A setting": (
        r"sender_rate|SENDER_RATE",
        {
            "engine/ringback/gateway/limits.py",
            "engine/ringback/worker/parts.py",  # it is read
            "engine/ringback/worker/send/stoppages.py",  # it is a remedy
            "engine/ringback/error_codes.py",  # and there
            "docs/errors.md",
        },
        {f"{CLI}/serve.py"},
    ),
    "An event type": (r"call\.machine", set(), set()),
    "A gateway mode": (
        r"maton_api_key|`MATON_API_KEY` is set",
        # The simulator has a key of its own.
        {"docs/simulator.md", f"{CLI}/simulator.py", "engine/ringback/testing/twilio_box.py"},
        set(),
    ),
    "A command": (r'"runs:runs"|^### `ringback runs|^def runs\(', {f"{CLI}/runs.py"}, set()),
    "A page": (r"^# Deployment$|^\| \[Deployment\]", {"docs/deployment.md"}, set()),
}
"""For each recipe how a member of the same sort is named, the files besides those of the list that
name it, and those of the list that do not."""


@pytest.mark.parametrize("name", RECIPES)
def test_no_file_is_missing_from_the_list(name: str) -> None:
    """The files that name a member of the same sort are those of the list."""
    pattern, besides, instead = MEMBERS[name]
    where = ("engine", "docs", ":!engine/ringback/simulator")
    found = set(git(ROOT, "grep", "-lE", pattern, "--", *where).split())
    listed = {path for path in RECIPES[name].listed if not path.startswith("tests/")}
    listed = {path for path in listed if (ROOT / path).exists()}
    assert found - listed == besides
    assert listed - found == instead


GUARDS = ("docs", "docs_rules", "plugins_docs", "gateway_docs", "shell", "rules_schema", "config")
"""The tests that hold the manual and the tables of the code, by the names of their files."""


@pytest.mark.slow
def test_a_copy_with_all_examples_passes(clone: Path) -> None:
    """With the examples in it, linters, types, structure, manual and the new tests pass."""
    new = {f"tests/unit/test_{name}.py" for name in GUARDS}
    new |= {"tests/unit/test_architecture.py"}
    for recipe in RECIPES.values():
        apply(recipe, clone)
        tests = {path for path in recipe.listed if Path(path).name.startswith("test_")}
        for path, places in recipe.example.items():
            added = "".join(text for _, text in places)
            known = "".join(old or "" for old, _ in places)
            names = re.findall(r"^def (test_\w+)", added, re.M)
            new |= {f"{path}::{name}" for name in names if f"def {name}(" not in known}
            tests -= {path} if names else set()
        new |= tests  # a row of a table is no test of its own
    environment = {**os.environ, "PYTHONPATH": str(clone / "engine")}
    for command in (
        ["ruff", "check", "-q", "."],
        ["ruff", "format", "-q", "--check", "engine", "tests"],
        ["mypy", "--cache-dir", str(clone / ".mypy"), "engine"],
        ["pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *sorted(new)],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=clone, env=environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize(
    ("named", "alone"),
    [
        (["tests/unit/test_docs.py"], True),
        (["tests/unit/test_docs.py::test_a", "tests/unit/test_docs.py::test_b"], True),
        (["tests/unit/test_docs.py", "tests/unit/test_shell.py"], False),
        (["tests"], False),
    ],
)
def test_a_single_file_runs_in_one_process(
    named: list[str], alone: bool, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three processes took 14 s of CPU for a file that takes 3 s in one."""
    monkeypatch.chdir(ROOT)
    given = SimpleNamespace(args=named)
    processes = pytestconfig.hook.pytest_xdist_auto_num_workers(config=given)
    assert (processes == 0) == alone
