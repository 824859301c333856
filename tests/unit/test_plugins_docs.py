"""The manual for plugin authors: its examples run, and it leaves nothing out."""

import inspect
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import ringback
import ringback.testing
from ringback import verbs
from ringback.plugins import decorator, registry
from ringback.plugins.context import HANDLER_NAMES, Contact, Context, SettledAction
from ringback.plugins.conversation import Conversation
from ringback.plugins.loader import load_plugins
from ringback.plugins.settings import RESERVED
from ringback.plugins.template import files_for

ROOT = Path(__file__).resolve().parents[2]
MANUAL = (ROOT / "docs" / "plugins.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", MANUAL, re.MULTILINE | re.DOTALL)
PYTHON = [text for language, text in BLOCKS if language == "python"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project made of every Python example of the manual, each under the path that it names."""
    root = tmp_path_factory.mktemp("manual")
    for text in PYTHON:
        place = re.match(r"# ((?:plugins|tests)/\w+\.py)\n", text)
        assert place, f"an example does not begin with its path: {text[:60]}"
        file = root / place[1]
        assert not file.exists(), f"two examples are called {place[1]}"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return root


def test_every_plugin_of_the_manual_loads(project: Path) -> None:
    """All of them together, without a problem."""
    found = load_plugins(project / "plugins")
    assert found.problems == []
    assert len(found.plugins) == len(list((project / "plugins").glob("*.py")))
    found.close()


def run_pytest(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the tests of a project in a fresh interpreter."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=environ
    )


@pytest.mark.slow
def test_every_test_of_the_manual_passes(project: Path) -> None:
    """In a process of its own, from the project's folder, as an author would run them."""
    done = run_pytest(project)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["parking", pytest.param("order_status", marks=pytest.mark.slow)])
def test_a_new_plugin_passes_its_own_test(tmp_path: Path, name: str) -> None:
    """What `ringback plugins new` writes works as it stands, in the folder and by the fixture."""
    for path, text in files_for(name).items():
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    (tmp_path / "tests" / "test_fixture.py").write_text(
        f"def test_it(bench):\n    assert '{name}.{name}' in bench.ruleset.by_name\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = run_pytest(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


@pytest.mark.parametrize("name", ["two words", "", "class", "_private", "1st", "a-b"])
def test_a_plugin_needs_a_name_that_python_can_import(name: str) -> None:
    """The message says what a good name is."""
    with pytest.raises(ringback.RingbackError, match="small letters"):
        files_for(name)


def test_every_toml_example_is_toml() -> None:
    """So that it can be copied."""
    for language, text in BLOCKS:
        if language == "toml":
            assert tomllib.loads(text)


def written(word: str) -> bool:
    """Whether the manual has this word as code."""
    return re.search(rf"`[^`\n]*(?<!\w){re.escape(word)}(?!\w)[^`\n]*`", MANUAL) is not None


def public(thing: type) -> list[str]:
    """The public attributes of a class, fields and properties and methods."""
    names = [*getattr(thing, "__annotations__", {}), *vars(thing)]
    return [name for name in dict.fromkeys(names) if not name.startswith("_")]


WORDS = {
    "handler parameters": HANDLER_NAMES,
    "words of @rule": [
        name
        for name in inspect.signature(decorator.rule).parameters
        if name not in ("name", "unknown")
    ],
    "action makers": ["reply", "send", "call", "answer", "say", "enqueue", "end_call", "notify"],
    "voice verbs": [verb.__name__ for verb in verbs.VERBS.values()],
    "actions without a maker": ["DequeueCall", "HttpRequest", "Stop"],
    "contact": [name for name in public(Contact) if name not in ("facts", "clock")],
    "context": [name for name in public(Context) if name != "plugin"],
    "settled action": [name for name in public(SettledAction) if name != "uid"],
    "conversation": [
        name for name in public(Conversation) if name not in ("event", "clock", "kept", "planned")
    ],
    "ends of conversations": ["ConversationEnd", "NoAnswer", "Undelivered", "Left"],
    "types of functions": [*dict.fromkeys(registry.TYPE_WORDS.values())],
    "reserved settings": RESERVED,
    "kit": [
        name
        for name in ringback.testing.__all__
        if name not in ("NOON", "OURS", "THEIRS", "Reaction", "webhook")
    ],
    "reaction": [name for name in public(ringback.testing.Reaction) if name != "event"],
    "box": [
        name
        for name in public(ringback.testing.TwilioBox)
        if not name.endswith(("_url", "_sid", "_token", "_key", "_id")) and name != "numbers"
    ],
}


@pytest.mark.parametrize("what", WORDS)
def test_the_manual_leaves_nothing_out(what: str) -> None:
    """Every public word of this kind stands in the manual."""
    missing = [word for word in WORDS[what] if not written(word)]
    assert missing == []


def test_every_setting_of_a_bundled_plugin_is_in_the_manual() -> None:
    """In the row of its plugin, and no setting that does not exist."""
    found = load_plugins(ROOT / "plugins")
    for plugin in found.plugins:
        row = re.search(rf"^\| `{plugin.name}` \|.*\| (.*) \|$", MANUAL, re.MULTILINE)
        assert row, plugin.name
        fields = list(getattr(plugin.module, "Config").model_fields)  # noqa: B009
        assert re.findall(r"`(\w+)`", row[1]) == fields
    found.close()
