"""Counts of events in ten minutes: what a question about a day adds up is what is on record."""

import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from sqlite3 import Connection

import pytest

from ringback.error_codes import error_class
from ringback.events import Event
from ringback.runtime import REAL, iso
from ringback.store.evidence import LOOKED_AT
from ringback.store.facts import JournalFacts
from ringback.store.journal import open_store
from ringback.store.log import Log, LogReader
from ringback.store.matching import Matched, record
from ringback.store.migrations import migrate_journal
from ringback.store.sqlite.sqlite_files import connect_writer
from ringback.store.upkeep.event_counts import recount
from ringback.testing.events import message_status, sms

NOW = datetime(2026, 3, 2, 10, 7, 30, tzinfo=UTC)
RUNTIME = replace(REAL, time=lambda: NOW.timestamp())


def events(rng: random.Random, number: int) -> Iterator[Event]:
    """What came in three days, nearly in order: claims and replays among it."""
    for index in range(number):
        at = NOW - timedelta(days=3) * (1 - index / number) - timedelta(seconds=rng.random() * 90)
        code = rng.choice((30003, 30005, 30007))
        one = rng.choice((
            sms(at=at), message_status("delivered", at=at),
            message_status("undelivered", error_code=code, at=at),
        ))  # fmt: skip
        proofs = [("signed", "webhook")] * 6 + [("claimed", "webhook"), ("signed", "replay")]
        trust, source = rng.choice(proofs)
        yield replace(one, trust=trust, source=source)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Connection]:
    """A journal with 300 events."""
    Log.open(tmp_path / "log.db").close()
    found = list(events(random.Random(5), 300))
    with (
        closing(connect_writer(tmp_path / "journal.db")) as connection,
        closing(LogReader(tmp_path / "log.db")) as log,
    ):
        migrate_journal(connection)
        connection.execute("begin")  # nothing of it has to be on the disk
        for start in range(0, len(found), 7):
            batch = [Matched(each, start + 1, "{}") for each in found[start : start + 7]]
            record(connection, batch, None, (), log)
        yield connection


def assert_counted(journal: Connection) -> None:
    """A count over each span is the number of rows that are so young, and no count is stale."""
    facts = JournalFacts(journal, RUNTIME)
    rows = journal.execute(
        "select type, error_code, received_at from events where trust <> 'claimed' "
        "and source <> 'replay'"
    ).fetchall()
    for hours in (0.5, 2, 3.1, 24, 24.01, 71, 100):
        since = iso(NOW - timedelta(hours=hours))
        young = [(kind, code) for kind, code, at in rows if at >= since]
        for pattern in ("message.*", "message.received", "message.undelivered", "message.deliver"):
            wanted = [code for kind, code in young if kind == pattern or pattern == "message.*"]
            assert facts.count(pattern, hours * 3600) == len(wanted), (pattern, hours)
            hidden = sum(error_class(code) == "carrier_filtered" for code in wanted)
            assert facts.count(pattern, hours * 3600, "", "carrier_filtered") == hidden
    before = journal.execute("select * from event_counts").fetchall()
    recount(journal)
    assert journal.execute("select * from event_counts").fetchall() == before


def test_a_count_over_a_long_span_is_that_of_the_events(journal: Connection) -> None:
    assert_counted(journal)


@pytest.mark.parametrize(
    "change",
    [
        "update events set trust = 'confirmed' where trust = 'claimed' and id % 2",
        "update events set error_code = 30004 where type = 'message.undelivered' and id % 3 = 0",
        "update events set error_code = 30004, trust = 'confirmed' where trust = 'claimed'",
        "delete from events where id % 5 < 2",
        "delete from events where received_at < '2026-02-28T12'",
    ],
)
def test_what_happens_to_an_event_later_is_counted(journal: Connection, change: str) -> None:
    assert journal.execute(change).rowcount > 10
    assert_counted(journal)


def test_a_count_over_a_day_does_not_read_its_events(journal: Connection) -> None:
    """Only those before the first ten minutes, and what may have overtaken others."""
    names = [row[1] for row in journal.execute("pragma table_info(events)")][1:]
    same = ", ".join(name for name in names if name not in ("uid", "dedupe_key", "type"))
    journal.execute(
        f"insert into events (uid, dedupe_key, type, {same}) with recursive n(i) as (select 1 "
        f"union all select i + 1 from n where i < 9000) select i, i, 'message.sent', {same} "
        "from n, (select * from events where trust = 'signed' and source = 'webhook' limit 1)"
    )
    journal.execute("update events set received_at = ? where type = 'message.sent'",
                    (iso(NOW - timedelta(hours=9)),))  # fmt: skip
    recount(journal)
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    journal.set_progress_handler(step, 100)
    assert JournalFacts(journal, RUNTIME).count("message.sent", 86_400) == 9_000
    journal.set_progress_handler(None, 0)
    assert steps < 600  # 1,100 when all are read


async def test_texts_beside_a_doubtful_one_are_the_last_of_the_conversation(tmp_path: Path) -> None:
    """However many texts somebody got, only so many are looked at."""
    Log.open(tmp_path / "log.db").close()
    store = open_store(tmp_path, threaded=False)
    with closing(connect_writer(tmp_path / "journal.db")) as connection:
        connection.executemany(
            "insert into actions (uid, run_uid, event_uid, rule, ordinal, kind, params, policy, "
            "state, planned_at, conversation, effect) values (?, 'r', ?, 'r', 0, 'send_message', "
            """'{"to": "+1", "body": "' || ? || '"}', 'natural', 'settled', ?, 'a/b', 'message')""",
            [
                (f"act_{n}", f"evt_{n}", n, f"2026-01-01T00:{n // 60:02}:{n % 60:02}Z")
                for n in range(LOOKED_AT + 20)
            ],
        )
        connection.executemany(
            "insert into attempts (uid, action_uid, n, tag, started_at) values (?, ?, 1, ?, '')",
            [(f"att_{n}", f"act_{n}", f"t{n}") for n in (3, 19, 20, 700, LOOKED_AT + 19)],
        )
    doubtful = await store.journal.actions.get(f"act_{LOOKED_AT + 19}")
    assert doubtful is not None
    assert sorted(await store.journal.evidence.texts_beside(doubtful)) == ["20", "700"]
    store.close()
