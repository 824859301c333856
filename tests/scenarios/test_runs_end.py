"""Runs that meet what cannot be written down: each comes to its end, with a reason, and the worker
goes on with the others. A real worker on real files; plugins are called in this process."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from urllib.parse import urlencode

import pytest

from ringback.config import Settings
from ringback.gateway.channels import Channels
from ringback.gateway.safe_http import Outbound
from ringback.project import Project
from ringback.runtime import REAL, iso
from ringback.store.journal import open_store
from ringback.store.log import Entry, insert
from ringback.store.migrations import migrate_log
from ringback.store.sqlite.sqlite_files import connect_writer
from ringback.worker.engine import Engine
from ringback.worker.send.notices import Notices
from simulation.calls import Here

ACCOUNT = "AC" + "0" * 32
PLUGIN = """
from ringback import HttpRequest, Remember, notify, reply, rule, send
class Mute(Exception):
    def __str__(self):
        raise ValueError('no words')
class Shout(Exception):
    pass
def ring():
    found = []
    found.append(found)
    return found
def deep():
    found = []
    for _ in range(100_000):
        found = [found]
    return found
{head}
def odd(event):
    {body}
@rule('message.received')
def good(event):
    return Remember(event.conversation, 'seen', 'yes')
"""
ODD = {
    "a lone surrogate in a reply": "return reply(event, 'a' + chr(0xD800))",
    "a lone surrogate in a name": "return Remember(event.conversation, chr(0xDC00), 'x')",
    "a lone surrogate in a key": "return notify('x', key=chr(0xDFFF))",
    "a lone surrogate in a recipient": "return send('+1415' + chr(0xD800), 'x')",
    "a lone surrogate in an error": "raise Shout('a' + chr(0xD800))",
    "a NUL in an error": "raise Shout('a' + chr(0))",
    "an error without words": "raise Mute()",
    "an object in JSON": "return HttpRequest('https://e.org', json={'a': object()})",
    "a set in JSON": "return HttpRequest('https://e.org', json={'a': {1}})",
    "JSON that holds itself": "return HttpRequest('https://e.org', json=ring())",
    "JSON that is deep": "return HttpRequest('https://e.org', json=deep())",
    "JSON with a huge number": "return HttpRequest('https://e.org', json=10 ** 5000)",
    "bytes for a text": "return reply(event, b'x')",
}

FUNCTION = """
from ringback import hookimpl
@hookimpl
def register_functions(register):
    register('made', lambda text: {key}, args=['string'], returns='string')
@rule('message.received')"""
WAITS = """rules:
  - {name: whole, on: message.received, do: [{wait_for: {timeout: 1h}}]}
  - {name: broken, on: message.received, do: [{wait_for: {timeout: 1h}}]}
  - {name: ended, on: message.received, cancel_on: message.received,
     do: [{wait_for: {timeout: 1h}}]}
"""


@asynccontextmanager
async def worker(folder: Path) -> AsyncIterator[Engine]:
    """A worker of the project in this folder."""
    settings = Settings(project=folder, data=folder, account_sid=ACCOUNT, auth_tokens=("t" * 32,))
    project, store, outbound = Project.load(settings), open_store(folder), Outbound()
    assert project.problems == []
    yield Engine(
        settings=settings, loaded=project, journal=store.journal, gateway=None, runtime=REAL,
        calls=Here(project, store.journal.facts(REAL), REAL),
        notices=Notices(outbound, Channels({}, outbound, environ={}), REAL),
    )  # fmt: skip
    store.close()


def text_waits(folder: Path, number: int = 1, **form: str) -> None:
    """A text that no worker has seen."""
    connection = connect_writer(folder / "log.db")
    migrate_log(connection)
    fields = {
        "AccountSid": ACCOUNT, "MessageSid": f"SM{number:032x}", "From": "+14155550123",
        "To": "+14155550100", "Body": "hi", **form,
    }  # fmt: skip
    kind, body = "application/x-www-form-urlencoded", urlencode(fields, errors="surrogatepass")
    entry = Entry(iso(REAL.now()), "message", "signed", "webhook", "", kind, body.encode())
    connection.execute("begin immediate")
    insert(connection, [entry])
    connection.execute("commit")
    connection.close()


async def work(engine: Engine, rows: int = 1, left: str = "runs where state = 'pending'") -> None:
    """Let it run until so many rows are matched, and nothing of what is `left` is there."""
    stop = asyncio.Event()
    living = asyncio.ensure_future(engine.run(stop))
    with closing(sqlite3.connect(engine.settings.data / "journal.db")) as reader:
        async with asyncio.timeout(20):
            while not living.done() and (
                engine.matcher.cursor < rows
                or len(engine.queue)
                or reader.execute(f"select 1 from {left}").fetchone()
            ):
                await asyncio.sleep(0.005)
    stop.set()
    await living


def runs(folder: Path) -> dict[str, tuple[str, str]]:
    """State and reason of each rule's first run."""
    with closing(sqlite3.connect(folder / "journal.db")) as reader:
        rows = reader.execute("select rule, state, reason from runs order by id desc").fetchall()
    return {rule: (state, reason) for rule, state, reason in rows}


def verdict(folder: Path, rule: str) -> str:
    """What is noted beside the event for this rule."""
    with closing(sqlite3.connect(folder / "journal.db")) as reader:
        (verdicts,) = reader.execute("select verdicts from events").fetchone()
    return str(json.loads(verdicts).get(rule, ""))


def project(folder: Path, body: str, head: str = "@rule('message.received')") -> None:
    """A project with one plugin, whose `odd` does that."""
    (folder / "plugins").mkdir()
    source = PLUGIN.format(head=head, body=body)
    (folder / "plugins" / "own.py").write_text(source)


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
async def test_a_run_fails_with_a_reason_and_the_others_go_on(tmp_path: Path, body: str) -> None:
    project(tmp_path, body)
    text_waits(tmp_path)
    async with worker(tmp_path) as engine:
        await work(engine)
    found = {rule.rpartition(".")[2]: run for rule, run in runs(tmp_path).items()}
    assert found["good"][0] == "done"
    state, reason = found["odd"]
    assert state == "failed"
    assert reason


@pytest.mark.parametrize("body", ["a\0b", "\U0001f600" * 1000], ids=["NUL", "long"])
async def test_a_text_of_odd_letters_is_a_key_like_others(tmp_path: Path, body: str) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "r.yaml").write_text(
        "rules: [{name: odd, on: message.received, key: '${{ event.body }}', mode: queued, "
        "do: [{remember: {last: '${{ event.body }}'}}]}]"
    )
    text_waits(tmp_path, 1, Body=body)
    text_waits(tmp_path, 2, Body=body)
    async with worker(tmp_path) as engine:
        await work(engine, 2)
    assert runs(tmp_path)["odd"] == ("done", "")


async def test_a_row_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    project(tmp_path, "pass")
    text_waits(tmp_path, 1, Body="a\ud800b")
    text_waits(tmp_path, 2)
    async with worker(tmp_path) as engine:
        await work(engine, 2)
    assert runs(tmp_path)["own.good"][0] == "done"


@pytest.mark.parametrize("key", ["'a' + chr(0xD800)", "chr(0)", "'x' * 100_000", "10 ** 5000"])
async def test_a_key_that_a_plugin_makes_cannot_end_the_worker(tmp_path: Path, key: str) -> None:
    project(tmp_path, "pass", FUNCTION.format(key=key))
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "r.yaml").write_text(
        "rules: [{name: keyed, on: message.received, key: '${{ made(event.body) }}', "
        "do: [{remember: {last: x}}]}]"
    )
    text_waits(tmp_path)
    async with worker(tmp_path) as engine:
        await work(engine)
    found = runs(tmp_path)
    assert found.get("keyed", ("failed", ""))[0] in ("done", "failed")
    assert found["own.good"][0] == "done"
    assert verdict(tmp_path, "keyed")


@pytest.mark.parametrize(
    "memory", ["{", "[]", "null", '{"wait": {"x": 1}}', '{"wait": 7, "phase": "x"}']
)
async def test_a_wait_that_cannot_be_read_ends_at_the_restart(tmp_path: Path, memory: str) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "r.yaml").write_text(WAITS)
    text_waits(tmp_path)
    async with worker(tmp_path) as engine:
        await work(engine)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as journal, journal:
        journal.execute("update runs set memory = ? where rule = 'broken'", (memory,))
    text_waits(tmp_path, 2)
    async with worker(tmp_path) as engine:
        await work(engine, 2)
    found = runs(tmp_path)
    assert found["whole"][0] == "done"
    assert found["broken"][0] == "failed"
    assert "cannot be read" in found["broken"][1]


async def test_what_lies_ready_for_a_run_goes_with_it(tmp_path: Path) -> None:
    """The event that ends a run would have woken it, too."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "r.yaml").write_text(WAITS)
    for number in (1, 2):
        text_waits(tmp_path, number)
        async with worker(tmp_path) as engine:
            await work(engine, number)
    assert runs(tmp_path)["ended"][0] == "cancelled"
    with closing(sqlite3.connect(tmp_path / "journal.db")) as reader:
        assert reader.execute("select * from wakes").fetchall() == []


@pytest.mark.parametrize("params", ["{", "[]", '{"nonsense": 1}', '{"to": 7, "body": null}'])
async def test_an_action_that_cannot_be_read_fails(tmp_path: Path, params: str) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "r.yaml").write_text(
        "rules: [{name: r, on: message.received, do: [{notify: one}, {notify: two}]}]"
    )
    text_waits(tmp_path)
    async with worker(tmp_path) as engine:
        engine.sender.stopping = True
        await work(engine)
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path)) as journal, journal:
        journal.execute("update actions set params = ? where ordinal = 0", (params,))
    async with worker(tmp_path) as engine:
        await work(engine, left="actions where state not in ('failed', 'settled')")
    with closing(sqlite3.connect(path)) as reader:
        first, second = reader.execute("select state, reason from actions order by id").fetchall()
    assert first[0] == "failed"
    assert first[1]
    assert second[0] == "settled"


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one after the other"])
async def test_another_account_hides_nothing_under_the_same_sid(
    tmp_path: Path, together: bool
) -> None:
    """Two accounts that are let in, and a SID that both name: each text has its run, and each of
    them once, however often it comes."""
    project(tmp_path, "pass")
    other = "AC" + "1" * 32
    for number, account in enumerate((other, ACCOUNT, other, ACCOUNT, "")):
        text_waits(tmp_path, 1, AccountSid=account)
        if not together:
            async with worker(tmp_path) as engine:
                await work(engine, number + 1)
    async with worker(tmp_path) as engine:
        await work(engine, 5)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as reader:
        rows = reader.execute("select account_sid, count(*) from events group by 1").fetchall()
        (count,) = reader.execute("select count(*) from runs where rule = 'own.good'").fetchone()
    assert sorted(rows) == sorted([(ACCOUNT, 1), (other, 1)])
    assert count == 2
