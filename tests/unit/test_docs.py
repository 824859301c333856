"""The manual against the code: every name is in it, and its examples run."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pluggy
import pytest

from ringback.cli.actions import STATES as ACTION_STATES
from ringback.cli.main import COMMANDS, cli, run
from ringback.cli.runs import STATES as RUN_STATES
from ringback.config import SETTING_NAMES, VARIABLES, Settings
from ringback.events import EVENT_TYPES, TRUST
from ringback.gateway.web_credentials import WebCredentials
from ringback.plugins import hookspecs
from ringback.project import Project
from ringback.store.console.access import Access
from ringback.store.digests.digest import Digest
from ringback.store.journal import open_store
from ringback.store.log import Log
from ringback.store.sqlite.sqlite_files import connect_reader

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
LINKED = [
    *PAGES,
    *sorted(DOCS.glob("flows/*.md")),
    *(ROOT / f"{name}.md" for name in ("CHANGELOG", "CONTRIBUTING", "SECURITY")),
]
ELSEWHERE = {
    "backtest": "backtest.md",
    "gateway": "gateway.md",
    "connections": "gateway.md",
    "connect": "gateway.md",
    "doctor": "gateway.md",
    "simulator": "simulator.md",
}
"""Groups of commands that have a page of their own."""


def page(name: str) -> str:
    """One page of the manual."""
    return (DOCS / name).read_text("utf-8")


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one of its depth or higher."""
    depth = heading.index(" ")
    pattern = rf"^{re.escape(heading)}$\n(.*?)(?=^#{{1,{depth}}} |\Z)"
    found = re.search(pattern, text, re.M | re.S)
    assert found, f"no heading {heading!r}"
    return found.group(1)


def blocks(path: Path, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text("utf-8"), re.M | re.S)


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command that does something by itself, with its whole name."""

    def walk(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield name, command
        if not isinstance(command, click.Group):
            return
        context = click.Context(command)
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            assert found is not None
            yield from walk(found, f"{name} {inner}")

    context = click.Context(cli)
    for name in COMMANDS:
        found = cli.get_command(context, name)
        assert found is not None
        yield from walk(found, f"ringback {name}")


def test_every_command_and_option_is_explained() -> None:
    """commands.md has each command as a heading with its arguments, and each option under it."""
    text = page("commands.md")
    seen = set()
    for name, command in commands():
        top = name.split()[1]
        if top in ELSEWHERE:
            assert f"ringback {top}" in page(ELSEWHERE[top]), name
            continue
        context = click.Context(command, info_name=name)
        arguments = [
            parameter.make_metavar(context)
            for parameter in command.params
            if isinstance(parameter, click.Argument)
        ]
        heading = f"### `{' '.join([name, *arguments])}`"
        seen.add(heading)
        under = section(text, heading)
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                row = rf"^\| `[^`]*{parameter.opts[0]}\b[^`]*` \|"
                assert re.search(row, under, re.M), f"{name} {parameter.opts[0]}"
    assert set(re.findall(r"^### `.*`$", text, re.M)) == seen


def test_every_setting_and_variable_is_explained() -> None:
    """configuration.md has a row for each setting with its variables and its default."""
    text = page("configuration.md")
    defaults = Settings(project=Path())
    for name in SETTING_NAMES:
        (row,) = re.findall(rf"^\| .*`{name}`.*$", text, re.M)
        for variable, setting in VARIABLES.items():
            if setting == name:
                assert f"`{variable}`" in row
        value = getattr(defaults, name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            assert f"`{value}`" in row, name


def test_every_event_type_is_explained() -> None:
    """events.md has a row for each type and each kind of trust."""
    text = page("events.md")
    rows = re.findall(r"^\| `([a-z]+\.[a-z_-]+)` \|", text, re.M)
    assert sorted(rows) == sorted(EVENT_TYPES)
    for trust in TRUST:
        assert f"| `{trust}` |" in text


async def test_every_table_and_column_is_explained(tmp_path: Path) -> None:
    """tables.md has a heading for each table of a fresh node, and a row for each column."""
    Log.open(tmp_path / "log.db").close()
    open_store(tmp_path, threaded=False).close()
    Access(tmp_path).close()
    Digest(tmp_path, "").close()
    text = page("tables.md")
    for file in ("log.db", "journal.db", "access.db", "digest.db"):
        connection = connect_reader(tmp_path / file)
        tables = connection.execute("select name from sqlite_master where type = 'table'")
        names = [row[0] for row in tables if not row[0].startswith(("_", "sqlite_"))]
        whole = section(text, f"## {file}")
        assert sorted(re.findall(r"^### (\w+)$", whole, re.M)) == sorted(names)
        for name in names:
            columns = [row[1] for row in connection.execute(f"pragma table_info({name})")]
            under = section(whole, f"### {name}")
            assert re.findall(r"^\| `(\w+)` \|", under, re.M) == columns, name
        connection.close()


def test_every_state_is_explained() -> None:
    """The closed lists of states stand in tables.md as they are in the program."""
    text = page("tables.md")
    assert f"`{' '.join(RUN_STATES)}`" in text
    assert f"`{' '.join(ACTION_STATES)}`" in text
    meanings = text[text.index("What the states mean") :]
    for state in ACTION_STATES:
        assert f"*{state}*" in meanings


def test_every_hook_is_explained() -> None:
    """plugins.md has each hook with its exact arguments."""
    text = page("plugins.md")
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    for name in hookspecs.HOOKS:
        arguments = getattr(manager.hook, name).spec.argnames
        assert f"{name}({', '.join(arguments)})" in text


def test_every_step_function_and_field_of_the_rule_language_is_explained() -> None:
    """rules.md names each step, each function that conditions may call, and each word of a rule."""
    from ringback.rules.files.schema import RuleModel
    from ringback.rules.functions.builtins import BUILTINS
    from ringback.rules.steps.kinds import STEPS

    text = page("rules.md")
    words = [field.alias or name for name, field in RuleModel.model_fields.items()]
    functions = [each.name for each in BUILTINS]
    missing = [w for w in [*STEPS, *words, *functions] if not re.search(rf"`[^`\n]*\b{w}\b", text)]
    assert missing == []


def test_links_inside_the_manual_lead_somewhere() -> None:
    """Each relative link names a file that exists, and its heading when it names one."""
    for path in LINKED:
        prose = re.sub(r"^(`{3,}).*?^\1", "", path.read_text("utf-8"), flags=re.M | re.S)
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            if target.startswith(("http://", "https://", "mailto:")):
                continue
            file, _, anchor = target.partition("#")
            there = (path.parent / file) if file else path
            inside = not file or there.resolve().is_relative_to(DOCS)
            assert inside or DOCS not in path.parents, f"{path.name}: {target} is in no wheel"
            assert there.exists(), f"{path.name}: {target}"
            if anchor:
                headings = re.findall(r"^#+ (.*)$", there.read_text("utf-8"), re.M)
                slugs = [re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings]
                assert anchor in slugs, f"{path.name}: {target}"


def test_index_names_every_page() -> None:
    """The index leads to each page of the manual."""
    names = {path.name for path in DOCS.glob("*.md")} - {"index.md"}
    rows = re.findall(r"^\| \[[^]]+\]\(([^)]+)\) \|", page("index.md"), re.M)
    assert sorted(rows) == sorted(names), "each page has one row"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_in_the_examples_exist(path: Path) -> None:
    """Every `ringback …` line of a shell example names a command with options that it has."""
    known = dict(commands())
    for block in blocks(path, "sh"):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            for part in re.split(r"&&|\||;|>", line.partition(" # ")[0]):
                words = shlex.split(part.strip(), comments=True)
                if words[:1] != ["ringback"] or len(words) == 1 or words[1].startswith("-"):
                    continue
                name = max((n for n in known if part.strip().startswith(n)), key=len, default="")
                assert name, f"{path.name}: {part}"
                options = {o for p in known[name].params for o in (*p.opts, *p.secondary_opts)}
                given = [word.partition("=")[0] for word in words if word.startswith("--")]
                assert set(given) <= options | {"--help"}, f"{path.name}: {part}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_examples_load(path: Path, tmp_path: Path) -> None:
    """Rule files and plugins in the manual are good, in a project of their own."""
    for name in ("rules", "plugins"):
        (tmp_path / name).mkdir()
    whole = [block for block in blocks(path, "yaml") if re.match(r"(#.*\n)*version:", block)]
    code = [b for b in blocks(path, "python") if "@rule" in b or "@hookimpl" in b]
    for number, (rules, plugin) in enumerate(_pairs(whole, code)):
        folder = tmp_path / f"project{number}"
        (folder / "rules").mkdir(parents=True)
        (folder / "plugins").mkdir()
        if rules:
            (folder / "rules" / "example.yaml").write_text(rules, "utf-8")
        channels = set(re.findall(r"via: (\w+)", rules)) - {"log", "webhook"}
        tables = (f'[channels.{n}]\nkind = "webhook"\nurl = "https://e.org"\n' for n in channels)
        (folder / "ringback.toml").write_text("".join(tables))
        if plugin:
            (folder / "plugins" / "example.py").write_text(plugin, "utf-8")
        problems = Project.load(Settings.load(folder)).problems
        assert [str(problem) for problem in problems] == [], f"{path.name}:\n{rules or plugin}"


def _pairs(rules: list[str], plugins: list[str]) -> Iterator[tuple[str, str]]:
    yield from ((text, "") for text in rules)
    yield from (("", text) for text in plugins)


def test_the_tutorial_s_plugin_passes_its_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plugin of the tutorial, and the test beside it, as they stand there."""
    plugin, test = blocks(DOCS / "tutorial.md", "python")
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "menu.py").write_text(plugin, "utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(test, "tutorial.md", "exec"), names)
    names["test_menu"]()


def test_settings_examples_load(tmp_path: Path) -> None:
    """The TOML of configuration.md is read without a problem."""
    examples = blocks(DOCS / "configuration.md", "toml")
    (tmp_path / "ringback.toml").write_text("\n".join(examples), "utf-8")
    settings = Settings.load(tmp_path)
    environ = dict.fromkeys(("SHOP_TOKEN", "CRM_PASSWORD", "HOME_KEY"), "a secret")
    assert WebCredentials(settings.credentials, environ).problems == []
    assert settings.sender == "+15550001111"
    assert settings.plugin_config["auto_reply"]["hours"].startswith("We are open")


def test_the_project_of_this_repository_is_good(capsys: pytest.CaptureFixture[str]) -> None:
    """`ringback check` finds nothing wrong with our own rules, plugins and settings."""
    assert run(["-C", str(ROOT), "check"]) == 0
    assert "all good" in capsys.readouterr().out
