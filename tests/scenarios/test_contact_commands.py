"""The commands `contacts` and `groups`, with the real worker behind its socket."""

import asyncio
import json
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from admission.node import Loaded, Node, Twilio, settings_of
from admission.stories import PEOPLE, text
from ringback.cli.main import run
from ringback.ipc import serve, socket_path
from ringback.plugins.loader import PluginSet
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import load_rules
from ringback.runtime import REAL
from ringback.store.queries.questions import Questions
from ringback.store.sqlite.sqlite_files import connect_writer
from ringback.worker.control import Control

ANN, BOB, EVE = PEOPLE
RULES = """
groups: {news: {}, staff: {from: contacts/staff.csv}}
rules:
  - name: kept
    on: message.received
    do: [{remember: {name: "${{ event.body }}", mood: good}}, {join: news}]
"""
FILE = f'number,name,city,groups\n{ANN},"Ann, of Bath",Bath,news\n{BOB},,Bonn,\n'
Shell = Callable[..., Awaitable[str]]


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    (tmp_path / "rules").mkdir()
    (tmp_path / "contacts").mkdir()
    (tmp_path / "rules" / "all.yaml").write_text(RULES)
    (tmp_path / "contacts" / "staff.csv").write_text(f"number\n{EVE}\n")
    monkeypatch.chdir(tmp_path)
    rules = load_rules(tmp_path / "rules")
    assert rules.problems == []
    settings = settings_of(tmp_path, {})
    (tmp_path / "ringback.toml").write_text(f'sender = "{settings.sender}"\n')
    found = Node(settings, Loaded(RuleSet(rules.rules, rules.language), PluginSet()), Twilio())
    found.time = REAL.now().timestamp()
    await found.start({})

    async def reload() -> list[str]:
        return []

    control = Control(found.engine, found.engine._runtime, reload)
    server = await serve(socket_path(settings.data), control.handle)
    yield found
    await server.close()
    await found.close()


@pytest.fixture
def shell(node: Node, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Run a command beside the node; what it prints, and with which code."""

    async def ask(*words: object, code: int = 0) -> str:
        capsys.readouterr()
        found = await asyncio.to_thread(run, [str(word) for word in words])
        said = capsys.readouterr()
        assert found == code, said
        return said.out if not code else said.err

    return ask


async def test_a_file_goes_in_and_comes_out_the_same(
    node: Node, shell: Shell, tmp_path: Path
) -> None:
    """Twice is the same as once, what was remembered gives way, and an empty cell says nothing."""
    await node.happen(text("Annie", ANN))
    (tmp_path / "in.csv").write_text(FILE)
    assert await shell("contacts", "import", "in.csv") == (
        "2 contacts imported, 2 of them new or changed\n"
    )
    out = await shell("contacts", "export")
    assert out == (
        f'number,city,mood,name,groups\n{ANN},Bath,good,"Ann, of Bath",news\n{BOB},Bonn,,,\n'
    )
    (tmp_path / "out.csv").write_text(out)
    again = json.loads(await shell("contacts", "import", "out.csv", "--json"))
    assert (again["lines"], again["wrong"]) == (2, 0)
    assert await shell("contacts", "import", "out.csv") == (
        "2 contacts imported, 0 of them new or changed\n"
    )
    assert await shell("contacts", "export") == out
    await shell("contacts", "export", tmp_path / "new.csv")
    assert (tmp_path / "new.csv").read_text() == out
    assert "is there already" in await shell("contacts", "export", "new.csv", code=2)


async def test_a_wrong_line_is_named_and_nothing_is_imported(
    shell: Shell, node: Node, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text(FILE + "0171,X,,\n" + f"{EVE},,,nobody\n")
    said = await shell("contacts", "import", "in.csv", code=2)
    assert "in.csv:4:1: contacts: '0171' is no number; write it with its country" in said
    assert "1 line of in.csv cannot be taken over, and nothing was imported" in said
    said = await shell("contacts", "import", "in.csv", "--skip-wrong", code=2)
    assert "no group is named 'nobody'" in said
    assert node.reader.execute("select count(*) from cards").fetchone()[0] == 0
    (tmp_path / "in.csv").write_text(FILE + "0171,X,,\n")
    told = json.loads(await shell("contacts", "import", "in.csv", "--skip-wrong", "--json"))
    assert told == {"lines": 2, "changed": 2, "wrong": 1}


async def test_groups_are_counted_filled_and_emptied(shell: Shell, tmp_path: Path) -> None:
    assert await shell("groups", "add", "news", ANN, BOB) == "2 people more in news\n"
    assert await shell("groups", "add", "news", ANN) == "0 people more in news\n"
    (tmp_path / "in.csv").write_text(f"phone;name\n{EVE};Eve\n")
    await shell("groups", "import", "news", "in.csv")
    rows = [json.loads(line) for line in (await shell("groups", "list", "--json")).splitlines()]
    assert [(row["group"], row["members"]) for row in rows] == [("news", 3), ("staff", 1)]
    await shell("groups", "remove", "news", BOB)
    shown = (await shell("groups", "show", "news", "--json")).splitlines()
    assert [json.loads(line)["number"] for line in shown] == [ANN, EVE]
    assert await shell("groups", "export", "news") == (
        f"number,name,groups\n{ANN},,news\n{EVE},Eve,news\n"
    )
    assert "are those of contacts/staff.csv" in await shell("groups", "add", "staff", BOB, code=2)


async def test_what_is_known_of_somebody_is_set_shown_and_forgotten(shell: Shell) -> None:
    """Also of one who never wrote."""
    await shell("contacts", "set", BOB, "name=Bob", "zone=Europe/Berlin")
    await shell("groups", "add", "news", BOB)
    out = await shell("contacts", "show", BOB)
    assert "field    name = “Bob”" in out
    assert "groups   news" in out
    assert "Bob" in await shell("contacts", "list", "--group", "news")
    assert await shell("contacts", "set", BOB, "name=") == "kept\n"
    assert json.loads(await shell("contacts", "list", "--json"))["fields"] == {
        "zone": "Europe/Berlin"
    }
    assert "is no field" in await shell("contacts", "set", BOB, "na me", code=2)


@pytest.mark.slow
async def test_many_people_are_read_in_bounded_memory(node: Node) -> None:
    """Exported and asked about, with no more than a page of them in memory."""
    people = (
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 200000) "
        "insert into group_members (name, number, address, at) "
        "select 'news', '+1' || (2000000000 + i), '+1' || (2000000000 + i), 'now' from n"
    )
    with closing(connect_writer(node.settings.data / "journal.db")) as connection:
        connection.execute(people)
    tracemalloc.start()
    with Questions(node.settings.data) as asked:
        count = sum(1 for _ in asked.contact_cards())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 200_000
    facts = node.engine.journal.facts(REAL)
    begin = time.perf_counter()
    found = [facts.is_member("news", f"+1{2_000_000_000 + 197 * n}") for n in range(1, 1000)]
    assert (all(found), time.perf_counter() - begin < 1.0) == (True, True)
    assert peak < 10_000_000
