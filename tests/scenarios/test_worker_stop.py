"""The end of a worker while it is at work: real files, a disk that is held up meanwhile."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

from ringback.config import Settings
from ringback.errors import Problem
from ringback.gateway.channels import Channels
from ringback.gateway.safe_http import Outbound
from ringback.plugins.loader import PluginSet
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import load_rules
from ringback.runtime import REAL, iso
from ringback.store.journal import open_store
from ringback.store.log import Entry, Log
from ringback.worker.engine import Engine
from ringback.worker.send.notices import Notices
from simulation.calls import Here

RULE = "rules: [{name: hello, on: call.received, do: [{say: Hello there}]}]"
CALL = {
    "AccountSid": "AC" + "0" * 32, "From": "+14155550123",
    "To": "+14155550100", "CallStatus": "ringing", "Direction": "inbound",
}  # fmt: skip


@dataclass
class Loaded:
    """Rules alone."""

    ruleset: RuleSet
    plugins: PluginSet = field(default_factory=PluginSet)
    problems: list[Problem] = field(default_factory=list)


async def until(holds: Callable[[], bool]) -> None:
    """Let the loop turn until something holds."""
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0)


async def test_a_call_is_answered_while_its_worker_stops(tmp_path: Path) -> None:
    """The call is in a batch that waits for the disk when the worker is told to end. It has the
    answer of its rule: the batch is handled, and the call is not recorded a second time."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "r.yaml").write_text(RULE)
    settings = Settings(
        project=tmp_path, data=tmp_path, account_sid="AC" + "0" * 32, auth_tokens=("t" * 32,)
    )
    log = Log.open(tmp_path / "log.db")
    store = open_store(tmp_path)
    outbound = Outbound()
    loaded = Loaded(RuleSet(load_rules(tmp_path / "rules").rules))
    engine = Engine(
        settings=settings, loaded=loaded,
        journal=store.journal, gateway=None, runtime=REAL,
        calls=Here(loaded, store.journal.facts(REAL), REAL),
        notices=Notices(outbound, Channels({}, outbound, environ={}), REAL),
    )  # fmt: skip
    stop = asyncio.Event()
    living = asyncio.ensure_future(engine.run(stop))

    async def record(sid: str) -> int:
        body = urlencode(CALL | {"CallSid": sid}).encode()
        now, kind = iso(datetime.now(UTC)), "application/x-www-form-urlencoded"
        row = await log.append(Entry(now, "call", "signed", "webhook", "", kind, body))
        engine.wake()
        return row

    first = await record("CA" + "1" * 32)
    await until(lambda: engine.matcher.cursor == first and not len(engine.queue))
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        row = await record("CA" + "2" * 32)
        await until(lambda: engine._matching.locked())
        stop.set()
        await until(lambda: engine.sender.stopping)
        answering = asyncio.ensure_future(engine.calls.answer(row))
        for _ in range(10):
            await asyncio.sleep(0)
        other.execute("rollback")
        assert "Hello there" in await answering
        await living
        assert other.execute("select state from runs").fetchall() == [("done",), ("done",)]
    store.close()
    log.close()
