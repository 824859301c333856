"""Listing of the commands of plugins from the text of their files."""

import sys
from pathlib import Path

import pytest

from ringback.cli.main import run
from ringback.cli.plugin_commands import listed_commands

HEAD = "import click\nfrom ringback import hookimpl\n\n@hookimpl\ndef register_commands(cli):\n"
USUAL = f"""{HEAD}    '''What there is.'''
    @cli.command("greet")
    @click.argument("name")
    def greeting(name):
        '''Greet NAME. And more.'''

    @cli.command()
    def say_good_bye():
        '''Say it.'''

    @cli.group(name="people", help="All of them.")
    def group():
        pass
"""
OTHERWISE = {
    "a loop": f"{HEAD}    for name in 'ab':\n        cli.command(name)(lambda: None)\n",
    "a name that is computed": f"{HEAD}    @cli.command('a' * 3)\n    def one():\n        pass\n",
    "a function from elsewhere": "from ._shared import register_commands\n",
    "everything from elsewhere": "from click import *\n",
    "another name for it": f"{HEAD}    pass\nregister_commands = hookimpl(print)\n",
    "a command that is added": f"{HEAD}    cli.add_command(object())\n",
    "two of the name": f"{HEAD}    '''.'''\n{HEAD}    '''.'''\n",
    "a file that is no Python": f"{HEAD}    (\n",
}


def project(folder: Path, text: str, toml: str = "") -> Path:
    (folder / "plugins").mkdir()
    (folder / "plugins" / "greeter.py").write_text(text)
    (folder / "ringback.toml").write_text(toml)
    return folder


def test_help_lists_commands_of_plugins_without_importing_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project(tmp_path, f"raise SystemExit('imported')\n{USUAL}"))
    assert run(["--help"]) == 0
    printed = capsys.readouterr().out
    assert "\n  greet         Greet NAME.\n" in printed
    assert "\n  say-good-bye  Say it.\n" in printed
    assert "\n  people        All of them.\n" in printed
    assert "ringback_project.plugins.greeter" not in sys.modules


def test_it_is_what_the_import_finds(tmp_path: Path) -> None:
    from ringback.cli.plugins import registered_commands

    project(tmp_path, USUAL)
    listed, registered = listed_commands(tmp_path), registered_commands(tmp_path)
    assert listed is not None
    assert {name: each.get_short_help_str() for name, each in listed.items()} == {
        name: each.get_short_help_str() for name, each in registered.items()
    }


@pytest.mark.parametrize("kind", OTHERWISE)
def test_what_is_written_otherwise_is_left_to_the_import(tmp_path: Path, kind: str) -> None:
    assert listed_commands(project(tmp_path, OTHERWISE[kind])) is None


def test_plugins_of_packages_and_those_that_are_off_are_left_to_the_import(tmp_path: Path) -> None:
    off = "[plugins.greeter]\nenabled = false\n"
    for number, toml in enumerate((off, "entry_points = ['acme']\n")):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert listed_commands(project(folder, USUAL, toml)) is None


def test_a_project_without_such_plugins_has_no_commands(tmp_path: Path) -> None:
    assert listed_commands(tmp_path) == {}
    assert listed_commands(project(tmp_path, "import click\n")) == {}
