"""A rule that is slow and fires often gets behind by itself: the others go on, and nothing that it
might stop goes before it. A real worker on real files, with a tenth of the places in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from ringback.plugins.requests import Request
from ringback.project import Project
from ringback.runtime import REAL, iso
from ringback.store.log import Entry, insert
from ringback.store.migrations import migrate_log
from ringback.store.sqlite.sqlite_files import connect_writer
from ringback.worker import engine
from ringback.worker.engine import Engine
from ringback.worker.run import backlog
from scenarios.test_many_actions import ask, crash
from scenarios.test_runs_end import ACCOUNT, worker
from simulation.calls import Here

PLUGIN = """
from ringback import Stop, Remember, rule

@rule("message.received", if_="event.body != 'ping'", priority=5)
def slow(event):
    if event.body == "stop":
        return Stop("enough")

@rule("message.received", if_="event.body != 'ping'")
def below(event):
    return Remember(event.conversation, "below", event.body)

@rule("message.received", if_="event.body == 'ping'")
def quick(event):
    return Remember(event.conversation, "seen", "yes")
"""


class Held(Here):
    """Calls of the slow rule wait until they may go on."""

    gate: asyncio.Event

    async def call(self, request: Request, *, limit: float) -> Any:
        if request.owner == "own.slow":
            await self.gate.wait()
        return await super().call(request, limit=limit)


def texts(folder: Path, first: int, bodies: dict[int, str], people: int) -> None:
    """Texts that no worker has seen, from so many people in turn: the number and what it says."""
    connection = connect_writer(folder / "log.db")
    migrate_log(connection)
    connection.execute("begin immediate")
    form = "application/x-www-form-urlencoded"
    insert(connection, [
        Entry(
            iso(REAL.now()), "message", "signed", "webhook", "", form,
            urlencode({
                "AccountSid": ACCOUNT, "MessageSid": f"SM{first + number:032x}", "Body": body,
                "To": "+14155550100", "From": f"+1415555{number % people:04d}",
            }).encode(),
        )
        for number, body in bodies.items()
    ])  # fmt: skip
    connection.execute("commit")
    connection.close()


@asynccontextmanager
async def living(folder: Path) -> AsyncIterator[tuple[Engine, "asyncio.Task[None]"]]:
    """A worker whose slow rule waits for `Held.gate`."""
    Held.gate = asyncio.Event()
    async with worker(folder) as node:
        project = Project.load(node.settings)
        node.questions.calls = Held(project, node.journal.facts(REAL), REAL)
        stop = asyncio.Event()
        life = asyncio.ensure_future(node.run(stop))
        yield node, life
        if not life.done():
            stop.set()
            await life


async def until(question: str, answer: list[tuple[Any, ...]], folder: Path) -> None:
    """Wait until the journal says this."""
    async with asyncio.timeout(20):
        while ask(folder, question) != answer:
            await asyncio.sleep(0.02)


DONE = "select count(*) from runs where rule = '{}' and state = '{}'"
ROOM, FLOOD = 50, 230


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(engine, "RUNS_LIMIT", 200)
    monkeypatch.setattr(backlog, "RULE_RUNS", ROOM)
    monkeypatch.setattr(backlog, "CROWD", 150)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "own.py").write_text(PLUGIN)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("people", [FLOOD, 20], ids=["a text each", "many texts each"])
async def test_a_slow_rule_does_not_hold_the_matching(project: Path, people: int) -> None:
    """230 texts to a rule that does not come to an end: the text to another rule behind them is
    answered, also by a worker that finds them all when it starts; and then each comes to its end,
    for each person in order."""
    texts(project, 0, dict.fromkeys(range(FLOOD), "bad"), people)
    texts(project, FLOOD, {9000: "ping"}, 9999)
    async with living(project) as (node, life):
        await until(DONE.format("own.quick", "done"), [(1,)], project)
        assert node.queue.by_rule["own.slow"] <= ROOM
        assert ask(project, DONE.format("own.slow", "done")) == [(0,)]
        assert ask(project, DONE.format("own.below", "done")) == [(0,)]
        await crash(node, life)
    texts(project, 2 * FLOOD, {9001: "ping"}, 9999)
    async with living(project) as (node, _):
        await until(DONE.format("own.quick", "done"), [(2,)], project)
        assert node.queue.by_rule["own.slow"] <= ROOM
        Held.gate.set()
        await until(DONE.format("own.slow", "done"), [(FLOOD,)], project)
        await until(DONE.format("own.below", "done"), [(FLOOD,)], project)
        assert node.backlog.held == 0
    (order,) = ask(
        project,
        "select count(*) from actions a join actions b on a.conversation = b.conversation "
        "and a.rule = b.rule and a.id < b.id join events e on e.uid = a.event_uid "
        "join events f on f.uid = b.event_uid where e.id > f.id",
    )
    assert order == (0,)


async def test_what_a_held_rule_might_stop_waits_for_it(project: Path) -> None:
    """The rule is behind when the text comes that it stops the others for: they do not run."""
    texts(project, 0, dict.fromkeys(range(ROOM + 100), "bad"), ROOM + 100)
    texts(project, 5000, {9000: "stop", 9001: "bad"}, 9999)
    async with living(project) as (node, _):
        rows = ROOM + 102
        while node.matcher.cursor < rows:
            await asyncio.sleep(0.01)
        await until(DONE.format("own.below", "pending"), [(rows,)], project)
        assert node.backlog.held > 100
        Held.gate.set()
        await until(DONE.format("own.slow", "done"), [(rows,)], project)
        await until(DONE.format("own.below", "done"), [(rows - 1,)], project)
    ended = "select reason from runs where rule = 'own.below' and state = 'cancelled'"
    assert ask(project, ended) == [("enough",)]
