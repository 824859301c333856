"""Listings on a narrow terminal and in a pipe: ids whole, no line too long, nothing lost."""

import asyncio
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from admission.node import Loaded, Node, settings_of
from admission.stories import PEOPLE, status, text
from ringback.cli import (
    actions,
    backtest,
    bulk_commands,
    config,
    consent_list,
    contacts,
    deliveries,
    doing_list,
    events,
    output,
    plugins,
    rules,
)
from ringback.cli.main import cli, run
from ringback.plugins.loader import load_plugins
from ringback.testing.assembly import ruleset_of
from ringback.worker.control import Control

RULES = """version: 1
rules:
  - name: a-rule-with-a-long-name
    on: [message.received, message.delivered, message.undelivered, call.no-answer]
    if: event.type == 'message.received'
    do:
      - reply: We are open from 9 to 5.
  - name: broken
    on: message.received
    do:
      - reply: "${{ string(int(event.body)) }}"
  - name: drafted
    on: message.received
    if: event.body == 'draft'
    state: draft
    do:
      - reply: Shall we say so?
"""
PLUGIN = '''"""Menu: sends the menu of the day, and of the evening, to whoever asks for it."""

from ringback import Event, reply, rule


@rule("message.received", if_="event.body.keyword('menu')")
def menu(event: Event):
    return reply(event, "Today: leek soup.")
'''
CHANNEL = """[channels.office]
kind = "email"
smtp = "smtp://mail.example.org"
from = "ringback@example.org"
to = ["office@example.org", "people.on.call.at.night@example.org"]
"""
LINK = "https://example.org/a-page-with-a-long-name?q=1"
BODIES = ("menu", f"Are you open tomorrow, as you say on {LINK}, or on Sunday? 🙂", "hello")
BOB = {"who": "bob.of.the.night.shift", "role": "operate", "via": "console"}
LISTINGS = {
    ("events", "list"): events.COLUMNS,
    ("actions", "list"): ("uid", "state", "kind"),
    ("runs", "list"): ("uid", "state", "rule"),
    ("consents", "list"): consent_list.COLUMNS,
    ("doings",): doing_list.COLUMNS,
    ("bulks", "list"): bulk_commands.COLUMNS,
    ("conversation", PEOPLE[0]): contacts.COLUMNS,
    ("deliveries", "--since", "9000d"): deliveries.COUNTS,
    ("spend", "--since", "9000d", "--by", "sender"): ("sender", "texts"),
    ("channels", "list"): ("name", "kind", "where"),
    ("rules", "list"): rules.COLUMNS,
    ("rules", "steps"): ("step", "about"),
    ("rules", "functions"): ("function", "gives", "of", "about"),
    ("plugins", "list"): plugins.COLUMNS,
    ("config", "show"): ("setting", "value", "source", "variable"),
    ("backtest",): backtest.COLUMNS,
}
ID = re.compile(r"\b(?:evt|act|run)_\w+")


async def lived(folder: Path) -> None:
    """Two people text a node of this folder, one of them at length; a delivery fails."""
    (folder / "ringback.toml").write_text(CHANNEL)
    for name, path, content in (("rules", "all.yaml", RULES), ("plugins", "menu.py", PLUGIN)):
        (folder / name).mkdir()
        (folder / name / path).write_text(content)
    found = load_plugins(folder / "plugins")
    ruleset, _ = ruleset_of(found, folder / "rules")
    node = Node(settings_of(folder, {}), Loaded(ruleset, found))
    await node.start({})
    for who in PEOPLE[:2]:
        for body in BODIES:
            await node.happen(text(body, who))
    await node.happen(text("STOP", PEOPLE[1]))
    await node.happen(status("undelivered", code=30003))
    await node.happen(text("draft", PEOPLE[0]))
    control = Control(node.engine, node.engine._runtime, _no_reload)
    drafts = {"op": "bulk", "bulk": "approve", "filter": {"rule": "drafted"}, "by": BOB}
    previewed = await control.handle(drafts)
    assert previewed is not None
    await control.handle({"op": "bulk_start", "uid": previewed["uid"], "by": BOB})
    await control.handle({"op": "pause", "reason": "A night without texts.", "by": BOB})
    await control.handle({"op": "resume", "by": BOB})
    await node.close()


async def _no_reload() -> list[str]:
    return []


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("listed")
    kept = dict(os.environ), Path.cwd()
    for name in list(os.environ):
        if name.startswith(("RINGBACK_", "TWILIO_", "MATON_")) or name == "PORT":
            del os.environ[name]
    os.chdir(folder)
    asyncio.run(lived(folder))
    yield folder
    os.environ.update(kept[0])
    os.chdir(kept[1])


QUICK = (("events", "list"), ("actions", "list"), ("runs", "list"), ("config", "show"))
"""Those that load no rules and plugins: a second each beside other work."""


def each() -> list[Any]:
    """The listings, but for the quick ones among the slow tests."""
    return [
        pytest.param(
            listing, id=" ".join(listing), marks=[] if listing in QUICK else [pytest.mark.slow]
        )
        for listing in LISTINGS
    ]


@pytest.mark.parametrize("width", [pytest.param(60, marks=pytest.mark.slow), 80])
@pytest.mark.parametrize("listing", each())
def test_a_listing_fits_into_a_narrow_terminal(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    listing: tuple[str, ...],
    width: int,
) -> None:
    """Columns give way, and which ones is said; an id and a short word stay whole."""
    for module in (output, events, config, actions, contacts):
        monkeypatch.setattr(module, "fancy", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    run([*listing, "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    run([*listing])
    shown = capsys.readouterr()
    lines = click.unstyle(shown.out).splitlines()
    assert [line for line in lines if len(line) > width and "  " in line] == []  # no sentence
    columns = set(LISTINGS[listing])
    header = max(lines, key=lambda line: len(columns.intersection(line.split())))
    left = re.search(r"no room for (.*); --wide", shown.err)
    for column in LISTINGS[listing] if left is None else ():
        assert column in header or not any(row.get(column) for row in rows)
    for uid in {row["uid"] for row in rows if "uid" in row}:
        assert uid in shown.out or listing == ("doings",)  # where what they are about stands first
    assert all(len(uid) == 30 for uid in ID.findall(shown.out))


@pytest.mark.parametrize("how", ["pipe", "wide"])
@pytest.mark.parametrize("listing", each())
def test_a_row_is_one_whole_line_in_a_pipe_and_with_wide(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    listing: tuple[str, ...],
    how: str,
) -> None:
    """So that `grep`, `cut` and `wc -l` can be used on it: all columns, no text cut short."""
    monkeypatch.setenv("COLUMNS", "60")
    for module in (output, events, config, actions, contacts):
        monkeypatch.setattr(module, "fancy", lambda: how == "wide")
    run([*listing, "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    run([*listing, *(["--wide"] if how == "wide" else [])])
    shown = capsys.readouterr()
    assert "no room" not in shown.err
    lines = click.unstyle(shown.out).splitlines()
    if listing != ("backtest",):  # which has sums around its table
        assert len(lines) == 1 + len(rows)
        assert all(column in lines[0] for column in LISTINGS[listing])
    if listing == ("events", "list"):
        assert shown.out.count(LINK) == 2


def test_every_listing_can_be_wide() -> None:
    """Whatever prints a table with columns that give way has the option that shows them all."""

    def commands(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
        context = click.Context(group)
        for name in group.list_commands(context):
            found = group.get_command(context, name)
            if isinstance(found, click.Group):
                yield from commands(found, *path, name)
            elif found is not None:
                yield (*path, name), found

    found = dict(commands(cli))
    named = {tuple(word for word in path if path in found) or path[:1] for path in LISTINGS}
    listing = {path for path in found if path[-1] == "list"} | named
    narrow = {path for path in listing if "wide" in {each.name for each in found[path].params}}
    assert listing - narrow == set()


@pytest.mark.parametrize("width", range(20, 130, 7))
def test_room_is_used_for_the_next_column_that_fits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    """A long column that finds no place does not take the short one behind it along."""
    monkeypatch.setattr(output, "fancy", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    row = {"uid": "a" * 10, "long": "b" * 60, "short": "c" * 6, "empty": "", "words": "d e f " * 9}
    output.print_rows(
        [row], list(row), as_json=False, empty="", by_weight=["uid", "long", "short", "words"]
    )
    shown = click.unstyle(capsys.readouterr().out)
    assert max(map(len, shown.splitlines())) <= width
    assert ("b" * 60 in shown) == (width >= 72)
    assert ("c" * 6 in shown) == (20 <= width < 72 or width >= 80)


@pytest.mark.parametrize(
    "width",
    [60, pytest.param(40, marks=pytest.mark.slow), pytest.param(80, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("command", ["trace", pytest.param("replay", marks=pytest.mark.slow)])
def test_a_tree_is_folded_behind_its_branches(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    width: int,
) -> None:
    """No word of it is lost, no id is broken, and a line goes on where its branch stands."""
    run(["events", "list", "--type", "message.received", "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    uid = next(row["uid"] for row in rows if LINK in row["fields"]["Body"])
    run([command, uid])
    whole = capsys.readouterr().out
    monkeypatch.setattr(output, "fancy", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    run([command, uid])
    folded = click.unstyle(capsys.readouterr().out)
    words = [re.sub("[│├└─]", "", text).split() for text in (whole, folded)]
    assert words[0] == words[1]
    for line in folded.splitlines():
        assert output._size(line) <= width or len(line.split()[-1]) > width - 16
    tree = [line for line in folded.splitlines() if "broken" in line or "does not" in line]
    assert tree
    first = next(n for n, line in enumerate(folded.splitlines()) if line[:1] in "├└")
    assert all(line[:1] in "├│└ " for line in folded.splitlines()[first:])


def test_a_folded_line_keeps_its_colours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They take no room."""
    monkeypatch.setattr(output, "fancy", lambda: True)
    monkeypatch.setenv("COLUMNS", "20")
    mark = click.style("✓", fg="green")
    output.echo_tree(f"├─ {mark} " + " ".join([click.style("word", fg="cyan")] * 4))
    lines = click.unstyle(capsys.readouterr().out).splitlines()
    assert lines == ["├─ ✓ word word word", "│      word"]
