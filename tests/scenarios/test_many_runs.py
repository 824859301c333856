"""Many runs at once: a real worker on a log that has waited, and on a journal that a crash left."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import pytest

from ringback.config import Settings
from ringback.errors import Problem
from ringback.gateway.channels import Channels
from ringback.gateway.safe_http import Outbound
from ringback.plugins.loader import PluginSet
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import load_rules
from ringback.runtime import REAL, iso
from ringback.store.journal import open_store
from ringback.store.log import Entry, insert
from ringback.store.migrations import migrate_log
from ringback.store.sqlite.sqlite_files import connect_writer
from ringback.worker.engine import RUNS_LIMIT, Engine
from ringback.worker.match.look import BATCH_RUNS
from ringback.worker.send.notices import Notices
from simulation.calls import Here

ACCOUNT = "AC" + "0" * 32
RULES, TEXTS, PEOPLE = 25, 180, 170
"""4,500 runs, each of which is a write; ten people have written twice."""
PENDING = "select 1 from runs where state = 'pending' limit 1"


@dataclass
class Loaded:
    """Rules alone."""

    ruleset: RuleSet
    plugins: PluginSet = field(default_factory=PluginSet)
    problems: list[Problem] = field(default_factory=list)


def texts_wait(folder: Path) -> None:
    """A log with texts that no worker has seen."""
    connection = connect_writer(folder / "log.db")
    migrate_log(connection)
    form = "application/x-www-form-urlencoded"
    connection.execute("begin immediate")
    insert(
        connection,
        [
            Entry(
                iso(REAL.now()), "message", "signed", "webhook", "", form,
                urlencode({
                    "AccountSid": ACCOUNT, "MessageSid": f"SM{number:032x}", "To": "+14155550100",
                    "From": f"+1415{number % PEOPLE:07d}", "Body": str(number),
                }).encode(),
            )
            for number in range(TEXTS)
        ],
    )  # fmt: skip
    connection.execute("commit")
    connection.close()


@asynccontextmanager
async def worker(folder: Path) -> AsyncIterator[Engine]:
    """A worker with 25 rules that fire on each text, and that do nothing at Twilio."""
    each = "{name: r%d, on: message.received, state: shadow, do: [{reply: '${{event.body}}'}]}"
    (folder / "rules.yaml").write_text(
        f"rules: [{', '.join(each % number for number in range(RULES))}]"
    )
    store, outbound = open_store(folder), Outbound()
    loaded = load_rules([folder / "rules.yaml"])
    assert loaded.problems == []
    settings = Settings(project=folder, data=folder, account_sid=ACCOUNT, auth_tokens=("t" * 32,))
    rules = Loaded(RuleSet(loaded.rules, loaded.language))
    yield Engine(
        settings=settings, loaded=rules, journal=store.journal, gateway=None, runtime=REAL,
        calls=Here(rules, store.journal.facts(REAL), REAL),
        notices=Notices(outbound, Channels({}, outbound, environ={}), REAL),
    )  # fmt: skip
    store.close()


async def most_at_once(engine: Engine, folder: Path) -> int:
    """Let it work until all is done. How many runs it had in memory at most."""
    stop, most = asyncio.Event(), 0
    living = asyncio.ensure_future(engine.run(stop))
    with closing(sqlite3.connect(folder / "journal.db")) as reader:
        async with asyncio.timeout(60):
            while not living.done() and (
                engine.matcher.cursor < TEXTS or reader.execute(PENDING).fetchone()
            ):
                most = max(most, len(engine.queue))
                await asyncio.sleep(0.001)
    stop.set()
    await living
    return most


def told(folder: Path) -> list[list[int]]:
    """The texts of each person in the order in which each rule came to them."""
    with closing(sqlite3.connect(folder / "journal.db")) as reader:
        assert reader.execute("select state, count(*) from runs group by state").fetchall() == [
            ("done", RULES * TEXTS)
        ]
        rows = reader.execute(
            "select group_concat(json_extract(params, '$.body')) from "
            "(select * from actions order by id) group by rule, conversation"
        ).fetchall()
    return [[int(number) for number in row[0].split(",")] for row in rows]


@pytest.mark.slow
async def test_a_log_that_has_waited_is_admitted_by_runs(tmp_path: Path) -> None:
    """So many writes at once were refused, and the worker ended itself."""
    texts_wait(tmp_path)
    async with worker(tmp_path) as engine:
        most = await most_at_once(engine, tmp_path)
    assert most <= RUNS_LIMIT + BATCH_RUNS + RULES
    for person in told(tmp_path):
        assert person == sorted(person)


@pytest.mark.slow
async def test_a_restart_starts_what_is_left_in_portions(tmp_path: Path) -> None:
    """All is matched and nothing has begun when the worker dies. The next one starts a bounded
    number at once, and what has come meanwhile after it."""
    texts_wait(tmp_path)
    async with worker(tmp_path) as engine:
        while engine.matcher.cursor < TEXTS - 20:
            await engine.matcher.step()
    async with worker(tmp_path) as engine:
        most = await most_at_once(engine, tmp_path)
    assert most <= RUNS_LIMIT + BATCH_RUNS + RULES
    for person in told(tmp_path):
        assert person == sorted(person)
