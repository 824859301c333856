"""The plugin loader: what it finds, what it refuses and why, and that one fault stays alone."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from ringback.plugins.invoke import bind
from ringback.plugins.loader import PluginSet, hook_callers, load_plugins

Load = Callable[..., PluginSet]

GOOD = """
from ringback import reply, rule

@rule("message.received")
def hello(event):
    return reply(event, "hello")
"""


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Write files into a plugin folder and load it."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    sets: list[PluginSet] = []

    def write_and_load(files: dict[str, str], **more: object) -> PluginSet:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text))
        sets.append(load_plugins(folder, **more))  # type: ignore[arg-type]
        return sets[-1]

    yield write_and_load
    for each in sets:
        each.close()


def test_a_file_and_a_package_are_plugins_and_helpers_are_not(load: Load) -> None:
    """`*.py` and `*/__init__.py` load in the order of names; what begins with `_` does not."""
    found = load({"b.py": GOOD, "a/__init__.py": GOOD, "_helper.py": "1/0", "c/data.txt": ""})
    assert [plugin.name for plugin in found.plugins] == ["a", "b"]
    assert [spec.name for spec in found.specs] == ["a.hello", "b.hello"]
    assert {spec.plugin for spec in found.specs} == {"a", "b"}
    assert found.problems == []


def test_neighbours_are_reached_by_relative_import_and_sys_path_is_untouched(load: Load) -> None:
    """`from ._phrases import X` works, in files and in packages; the path stays as it was."""
    before = list(sys.path)
    text = "from ringback import rule, reply\nfrom ._phrases import HELLO\n"
    text += "@rule('message.received')\ndef hello(event):\n    return reply(event, HELLO)\n"
    inner = text.replace("._phrases", ".words")
    found = load(
        {
            "_phrases.py": "HELLO = 'hi'",
            "greet.py": text,
            "big/__init__.py": "from .main import hello",
            "big/main.py": inner,
            "big/words.py": "HELLO = 'ho'",
        }
    )
    assert found.problems == []
    assert [plugin.name for plugin in found.plugins] == ["big", "greet"]
    assert sys.path == before


def test_a_plugin_named_like_a_library_hides_nothing(load: Load) -> None:
    """`json.py` is a plugin, and `import json` inside it is still the library."""
    found = load({"json.py": "import json\nLOADS = json.loads\n" + GOOD})
    assert found.problems == []
    assert found.plugins[0].module.LOADS is json.loads
    assert sys.modules["json"] is json


def test_dataclasses_and_string_annotations_work_in_plugins(load: Load) -> None:
    """Both look their module up in `sys.modules`, where it has to be."""
    found = load(
        {
            "typed.py": """
            from __future__ import annotations
            from dataclasses import dataclass
            from ringback import Event, reply, rule

            @dataclass
            class Greeting:
                text: str = "hello"

            @rule("message.received")
            def hello(event: Event):
                return reply(event, Greeting().text)
            """
        }
    )
    assert found.problems == []


def test_two_projects_in_one_process_do_not_see_each_other(load: Load, tmp_path: Path) -> None:
    """The same file name in two folders gives two modules, each with its own contents."""
    other = tmp_path / "other" / "plugins"
    other.mkdir(parents=True)
    (other / "greet.py").write_text(GOOD + "\nWHO = 2\n")
    first = load({"greet.py": GOOD + "\nWHO = 1\n"})
    second = load_plugins(other)
    assert first.plugins[0].module.WHO == 1
    assert second.plugins[0].module.WHO == 2
    second.close()


def test_what_runs_is_what_stands_in_the_file(load: Load, tmp_path: Path) -> None:
    """A change within the same second and of the same length is seen: no bytecode is kept."""
    first = load({"greet.py": GOOD + "\nWHO = 1\n"})
    second = load({"greet.py": GOOD + "\nWHO = 2\n"})
    assert (first.plugins[0].module.WHO, second.plugins[0].module.WHO) == (1, 2)
    assert not (tmp_path / "plugins" / "__pycache__").exists()


def test_close_forgets_the_modules(load: Load) -> None:
    """After a reload the old folder's modules are unloaded, and held functions still work."""
    found = load({"greet.py": GOOD})
    name = found.plugins[0].module.__name__
    handler = found.specs[0].handler
    assert name in sys.modules
    found.close()
    assert name not in sys.modules
    assert handler.__name__ == "hello"


def test_a_folder_that_is_not_there_has_no_plugins(tmp_path: Path) -> None:
    """A project without plugins is a good project."""
    found = load_plugins(tmp_path / "none")
    assert (found.plugins, found.problems) == ((), [])


BROKEN = {
    "syntax error": ("def x(:\n    pass\n", 1, 7, "syntax", "invalid syntax"),
    "import error": ("\nimport nowhere_at_all\n", 2, 1, "import", "No module named"),
    "raises": ("X = 1\nY = {}\nZ = Y['missing']\n", 3, 5, "import", "KeyError: 'missing'"),
    "exits": ("import sys\nsys.exit(3)\n", 2, 1, "import", "SystemExit: 3"),
    "unknown word": (
        "from ringback import rule\n@rule('x', onec_within='1h')\ndef f(): pass\n",
        2, 2, "import", "@rule has no word 'onec_within'; did you mean 'once_within'?",
    ),
    "unknown hook": (
        "from ringback import hookimpl\n@hookimpl\ndef on_evnt(event): pass\n",
        3, 5, "hook", "unknown hook 'on_evnt'; did you mean 'on_event'?",
    ),
    "unknown hook argument": (
        "from ringback import hookimpl\n\n@hookimpl\ndef on_event(event,\n     contxt): pass\n",
        5, 6, "hook", "hook 'on_event': unknown parameter 'contxt'",
    ),
    "unmarked hook": (
        "import ringback\ndef startup(ctx): pass\n",
        2, 5, "hook", "'startup' is the name of a hook, but it is not marked; write @hookimpl",
    ),
    "wrapper": (
        "from ringback import hookimpl\n@hookimpl(wrapper=True)\ndef startup(ctx):\n    yield\n",
        3, 5, "hook", "cannot be a wrapper",
    ),
    "unknown handler parameter": (
        "from ringback import rule\n@rule('message.received')\ndef f(evnt): pass\n",
        3, 7, "rule", "unknown parameter 'evnt'; did you mean 'event'?",
    ),
    "star arguments": (
        "from ringback import rule\n@rule('message.received')\ndef f(event, **rest): pass\n",
        3, 16, "rule", "'**rest' cannot be filled by name",
    ),
    "same name twice": (
        "from ringback import rule\n@rule('a')\ndef f(): pass\n@rule('b')\ndef f(): pass\n",
        5, 1, "rule", "'f' is defined again; the one in line 3 is lost",
    ),
    "two rules of one name": (
        "from ringback import rule\n@rule('a', name='x')\ndef f(): pass\n"
        "@rule('b', name='x')\ndef g(): pass\n",
        5, 5, "rule", "two rules are called 'bad.x'",
    ),
    "nothing in it": ("X = 1\n", 0, 0, "plugin", "has neither a rule nor a hook"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN, ids=list(BROKEN))
def test_a_broken_plugin_is_a_problem_with_its_place_and_the_others_load(
    load: Load, tmp_path: Path, case: str
) -> None:
    """Every way to be broken names file, line and column, and leaves the neighbour alone."""
    text, line, column, kind, message = BROKEN[case]
    found = load({"bad.py": text, "good.py": GOOD})
    assert [plugin.name for plugin in found.plugins] == ["good"]
    (problem,) = found.problems
    assert problem.file == str(tmp_path / "plugins" / "bad.py")
    assert (problem.line, problem.column, problem.kind) == (line, column, kind)
    assert message in str(problem)
    if line:
        assert problem.source == text.splitlines()[line - 1]


def test_every_problem_of_every_plugin_is_reported_in_one_run(load: Load) -> None:
    """Not only the first fault of the first file."""
    found = load(
        {
            "one.py": "from ringback import rule\n@rule('a')\ndef f(x, y): pass\n",
            "two.py": "def x(:\n",
            "three.py": "1/0",
        }
    )
    assert len(found.problems) == 4
    assert {Path(problem.file).stem for problem in found.problems} == {"one", "two", "three"}


def test_a_file_and_a_package_of_one_name_clash(load: Load) -> None:
    """Neither loads, because nobody can say which was meant; both are named."""
    found = load({"x.py": GOOD, "x/__init__.py": GOOD, "y.py": GOOD})
    assert [plugin.name for plugin in found.plugins] == ["y"]
    assert len(found.problems) == 2
    assert "two plugins are called 'x'" in found.problems[0].message


@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_everybody_may_write_does_not_run(load: Load, tmp_path: Path, what: str) -> None:
    """A world-writable folder or file would let any user of the machine act as us."""
    folder = tmp_path / "plugins"
    (folder / "bad.py").write_text("raise SystemExit('this must not run')")
    target = folder if what == "folder" else folder / "bad.py"
    target.chmod(target.stat().st_mode | 0o002)
    found = load({"good.py": GOOD})
    folder.chmod(0o755)
    assert [plugin.name for plugin in found.plugins] == ([] if what == "folder" else ["good"])
    (problem,) = found.problems
    assert problem.file == str(target)
    assert "everybody may write" in problem.message
    assert problem.hint == f"chmod o-w {target}"


def test_a_helper_that_everybody_may_write_does_not_run(load: Load, tmp_path: Path) -> None:
    """The files that plugins import from beside them are code as well."""
    helper = tmp_path / "plugins" / "_words.py"
    helper.write_text("raise SystemExit('this must not run')")
    helper.chmod(0o666)
    found = load({"greet.py": "X = 1\nfrom ._words import HELLO\n", "good.py": GOOD})
    assert [plugin.name for plugin in found.plugins] == ["good"]
    assert found.problems[0].line == 2
    assert "everybody may write here" in found.problems[0].message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_does_not_run(load: Load, tmp_path: Path) -> None:
    """A file that belongs neither to us nor to root nor to the project's owner is refused."""
    (tmp_path / "plugins" / "bad.py").write_text("1/0")
    os.chown(tmp_path / "plugins" / "bad.py", 54321, -1)
    found = load({"good.py": GOOD})
    assert [plugin.name for plugin in found.plugins] == ["good"]
    assert "belongs to another user (uid 54321)" in found.problems[0].message


def test_a_pinned_plugin_loads_only_as_it_was(load: Load) -> None:
    """`sha256` in the plugin's table holds its code fast."""
    pin = hashlib.sha256(GOOD.encode()).hexdigest()
    good = load({"greet.py": GOOD}, config={"greet": {"sha256": pin}})
    assert good.problems == []
    bad = load({"greet.py": GOOD + "#"}, config={"greet": {"sha256": pin}})
    assert bad.plugins == ()
    assert "not the pinned one" in bad.problems[0].message


def test_the_pin_of_a_package_covers_every_file(load: Load) -> None:
    """A changed inner file changes the pin that the message tells."""
    files = {"big/__init__.py": "from .main import hello\n", "big/main.py": GOOD}
    first = load(files, config={"big": {"sha256": "0" * 64}}).problems[0].message
    second = (
        load(files | {"big/main.py": GOOD + "#"}, config={"big": {"sha256": "0" * 64}})
        .problems[0]
        .message
    )
    assert first != second


def test_a_plugin_can_be_switched_off(load: Load) -> None:
    """`enabled = false` keeps it from being imported at all."""
    found = load({"bad.py": "1/0", "good.py": GOOD}, config={"bad": {"enabled": False}})
    assert [plugin.name for plugin in found.plugins] == ["good"]
    assert found.disabled == ("bad",)
    assert found.problems == []


def test_a_table_for_no_plugin_is_a_typo(load: Load) -> None:
    """`[plugins.gret]` is reported, with the name that was probably meant."""
    found = load({"greet.py": GOOD}, config={"gret": {"x": 1}})
    assert "[plugins.gret]" in found.problems[0].message
    assert found.problems[0].hint == "did you mean 'greet'?"


def test_config_is_a_read_only_mapping(load: Load) -> None:
    """A plugin without a model gets its table, in which nothing can be changed, at any depth."""
    found = load({"greet.py": GOOD}, config={"greet": {"a": {"b": [1, {"c": 2}]}, "enabled": True}})
    config = found.plugins[0].config
    assert config["a"]["b"][1]["c"] == 2
    assert "enabled" not in config
    with pytest.raises(TypeError):
        config["a"]["x"] = 1
    assert isinstance(config["a"]["b"], tuple)


MODEL = """
from pydantic import BaseModel

class Config(BaseModel):
    limit: int
    url: str = "x"
"""


def test_config_is_validated_by_the_plugins_own_model(load: Load) -> None:
    """Text becomes what the model says; what does not fit is reported by key."""
    good = load({"greet.py": MODEL + GOOD}, config={"greet": {"limit": "5"}})
    assert good.plugins[0].config.limit == 5
    bad = load({"greet.py": MODEL + GOOD}, config={"greet": {"limit": "many", "url": 3}})
    assert bad.plugins == ()
    assert [problem.kind for problem in bad.problems] == ["config", "config"]
    assert "[plugins.greet] limit: " in bad.problems[0].message
    missing = load({"greet.py": MODEL + GOOD})
    assert "[plugins.greet] limit: is missing" in missing.problems[0].message


def test_config_takes_secrets_from_the_environment(load: Load) -> None:
    """`{"$env" = "NAME"}` is replaced at load, and a name that is not set is a problem."""
    table = {"greet": {"limit": 1, "url": {"$env": "HOOK_URL"}}}
    good = load({"greet.py": MODEL + GOOD}, config=table, environ={"HOOK_URL": "https://x"})
    assert good.plugins[0].config.url == "https://x"
    bad = load({"greet.py": MODEL + GOOD}, config=table, environ={})
    assert bad.problems[0].message == "[plugins.greet] url: the environment has no HOOK_URL"


def test_two_plugins_cannot_add_the_same_function(load: Load) -> None:
    """The second is left out and names the first."""
    text = "from ringback import hookimpl\n@hookimpl\ndef register_functions(register):\n"
    text += "    def f(x: str) -> bool:\n        return True\n    register('is_x', f)\n"
    found = load({"a.py": text, "b.py": text})
    assert [plugin.name for plugin in found.plugins] == ["a"]
    assert found.problems[0].message == "function 'is_x' exists already, in plugin a"


def test_a_plugin_has_its_version_hooks_rules_and_first_line(load: Load) -> None:
    """What `plugins list` shows."""
    head = '"""Greets.\n\nMore."""\n__version__ = "1.2"\nfrom ringback import hookimpl\n'
    found = load({"greet.py": head + GOOD + "\n@hookimpl\ndef startup(ctx): pass\n"})
    plugin = found.plugins[0]
    assert (plugin.doc, plugin.version, plugin.origin) == ("Greets.", "1.2", "folder")
    assert (plugin.hooks, plugin.rules) == (("startup",), ("greet.hello",))


def test_hook_callers_gives_one_callable_per_plugin_with_only_what_it_named(load: Load) -> None:
    """Hooks are called one plugin at a time; each gets the arguments that it asked for."""
    head = "from ringback import hookimpl\n@hookimpl\n"
    found = load(
        {
            "a.py": head + "def on_event(event): return ('a', event)\n",
            "b.py": head + "def on_event(ctx, event=None, extra=5): return (ctx, event, extra)\n",
            "c.py": head + "def on_event(): raise RuntimeError('c')\n",
        }
    )
    callers = hook_callers(found, "on_event")
    assert [plugin.name for plugin, _ in callers] == ["a", "b", "c"]
    assert callers[0][1](event="E", ctx="C") == ("a", "E")
    assert callers[1][1](event="E", ctx="C") == ("C", "E", 5)
    with pytest.raises(RuntimeError, match="c"):
        callers[2][1](event="E", ctx="C")


def test_what_hook_callers_gives_can_be_bound_as_any_handler(load: Load) -> None:
    """The worker binds it to what there is, sync or async, as it does with rules."""
    text = "from ringback import hookimpl\n@hookimpl\ndef startup(ctx): return ctx\n"
    ((_, function),) = hook_callers(load({"a.py": text}), "startup")
    assert bind(function, {"ctx": "C", "event": "E"})() == "C"


PACKAGED = {
    "acme_texts.py": GOOD,
    "acme_texts-2.1.dist-info/METADATA": "Metadata-Version: 2.1\nName: acme-texts\nVersion: 2.1\n",
    "acme_texts-2.1.dist-info/entry_points.txt": "[ringback]\nacme = acme_texts\n"
    "broken = acme_nowhere\nthing = acme_texts:hello\n",
}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path that looks like an installed distribution with entry points."""
    site = tmp_path / "site"
    for name, text in PACKAGED.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(site))
    yield site
    sys.modules.pop("acme_texts", None)


@pytest.mark.usefixtures("installed")
def test_a_packaged_plugin_loads_only_when_it_is_listed(load: Load) -> None:
    """Being installed is not enough: somebody has to say so."""
    assert load({"good.py": GOOD}).get("acme") is None
    found = load({"good.py": GOOD}, entry_points=("acme",))
    plugin = found.get("acme")
    assert plugin is not None
    assert (plugin.origin, plugin.version) == ("acme-texts", "2.1")
    assert "acme.hello" in plugin.rules


@pytest.mark.usefixtures("installed")
def test_packaged_plugins_that_cannot_be_used_are_reported(load: Load) -> None:
    """Listed but not there, not importable, not a module, or named like a file."""
    missing = load({}, entry_points=("acmee",)).problems[0]
    assert (missing.message, missing.hint) == (
        "no installed package offers the plugin 'acmee'",
        "did you mean 'acme'?",
    )
    broken = load({}, entry_points=("broken",)).problems[0]
    assert "acme_nowhere" in broken.message
    thing = load({}, entry_points=("thing",)).problems[0]
    assert thing.message == "entry point 'thing' is not a module"
    clash = load({"acme.py": GOOD}, entry_points=("acme",))
    assert clash.get("acme") is None
    assert len(clash.problems) == 2
