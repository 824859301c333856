"""Filled data folder: a log and a journal with many events, as a busy node has them after a while.

`python benchmarks/filled.py FOLDER --events 1000000` writes one. A third of the events are texts of
people, each answered by an action; the rest is what Twilio reports of those answers. There are as
many in an hour however old the journal is, and a million in a month; people write now and again, a
few failed, waited or left. So what asks about the last hour finds the same in a small journal and
in a large one.
"""

import argparse
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from sqlite3 import Connection
from urllib.parse import urlencode

from ringback.runtime import iso
from ringback.store.log import Entry, insert
from ringback.store.migrations import migrate_journal, migrate_log
from ringback.store.sqlite.sqlite_files import connect_writer
from ringback.store.upkeep.event_counts import recount

ACCOUNT = "AC" + "1" * 32
OURS = tuple(f"+1202555{number:04d}" for number in range(100, 105))
RULES = ("auto_reply.received", "after-hours", "booking", "auto_reply.opening_hours")
PACE = timedelta(days=30) / 1_000_000
BLOCK = 99_999
"""Events that are made one by one; larger journals are copies of them, each later than the one
before. A multiple of the three that belong together."""
STEP = 3_000
"""Events a commit."""
FORM = "application/x-www-form-urlencoded"


def person(number: int) -> str:
    """The phone number of one of the people."""
    return f"+1415{number:07d}"


def fill(data: Path, events: int, now: datetime | None = None) -> None:
    """Write `log.db` and `journal.db` with about so many events; the same for one `now`."""
    data.mkdir(parents=True, exist_ok=True)
    now = now or datetime.now(UTC)
    blocks = max(1, events // BLOCK)
    block = min(BLOCK, events // 3 * 3)
    begin = now - block * blocks * PACE
    log, journal = _opened(data)
    indexes = [
        sql
        for name, sql in journal.execute(
            "select name, sql from sqlite_master where type = 'index' and sql is not null"
        ).fetchall()
        if not journal.execute(f"drop index {name}").fetchall()
    ]
    rng = random.Random(11)
    for start in range(0, block, STEP):
        groups = range(start, min(start + STEP, block), 3)
        _write(log, journal, [row for at in groups for row in _group(at, begin + at * PACE, rng)])
    for number in range(1, blocks):
        _copy(log, "log", block, number)
        for table in ("events", "runs", "actions", "attempts"):
            _copy(journal, table, block, number)
    _people(journal)
    journal.execute("insert or replace into meta values ('cursor', ?)", (str(block * blocks),))
    recount(journal)
    for sql in indexes:
        journal.execute(sql)
    for connection in (log, journal):
        connection.execute("pragma journal_mode=wal")
        connection.close()


def _opened(data: Path) -> tuple[Connection, Connection]:
    """Both files, written without safety: nobody needs these rows after a power cut."""
    log, journal = connect_writer(data / "log.db"), connect_writer(data / "journal.db")
    migrate_log(log)
    migrate_journal(journal)
    for connection in (log, journal):
        connection.execute("pragma synchronous=off")
        connection.execute("pragma journal_mode=off")
        connection.execute("pragma cache_size=-200000")
    return log, journal


def _later(column: str) -> str:
    """An id of ours, with the number of the event that it counts as so much later."""
    return f"substr({column}, 1, 4) || printf('%026d', cast(substr({column}, 5) as integer) + :by)"


_FIRST = "log_id + :by - 1 - (log_id - 1) % 3"
"""The number of the event that a group of three begins with."""
_SUBJECT = (
    f"case when type = 'message.received' then printf('SM%032x', {_FIRST}) "
    f"else printf('SM%031xf', {_FIRST}) end"
)
_OF_LOG = _FIRST.replace("log_id", "id")
_LATER = {
    "uid": _later("uid"),
    "run_uid": _later("run_uid"),
    "event_uid": _later("event_uid"),
    "action_uid": _later("action_uid"),
    "log_id": "log_id + :by",
    "subject_sid": _SUBJECT,
    "remote_sid": "printf('SM%031xf', cast(substr(uid, 5) as integer) + :by)",
    "dedupe_key": f"'st:' || {_SUBJECT} || ':' || status || ':'",
    "attempts.tag": "printf('tag%x', cast(substr(uid, 5) as integer) + :by)",
    "body": "cast(replace(cast(body as text), substr(body, instr(body, 'MessageSid=') + 11, 34), "
    f"case route when 'message' then printf('SM%032x', {_OF_LOG}) "
    f"else printf('SM%031xf', {_OF_LOG}) end) as blob)",
}
"""What is another in a copy that is so many events later, beside the times. In SQL alone: a call of
Python for each value makes ten million events take three times as long."""


def _copy(connection: Connection, table: str, block: int, number: int) -> None:
    """Write the first block of a table once more, as what came so many blocks later."""
    names = [row[1] for row in connection.execute(f"pragma table_info({table})")][1:]
    later = "strftime('%Y-%m-%dT%H:%M:%fZ', {}, :span)"
    wanted = [
        later.format(name)
        if name.split("_")[-1] == "at"
        else _LATER.get(f"{table}.{name}", _LATER.get(name, name))
        for name in names
    ]
    by = block * number
    connection.execute("begin")
    connection.execute(
        f"insert into {table} ({', '.join(names)}) select {', '.join(wanted)} from {table} "
        "where id <= :last order by id",
        {"by": by, "span": f"+{(by * PACE).total_seconds():.3f} seconds",
         "last": block if table in ("log", "events") else block // 3},
    )  # fmt: skip
    connection.execute("commit")


def _people(journal: Connection) -> None:
    """Those who wrote, and that some of them have left."""
    journal.execute(
        "insert into contacts (conversation, first_at, last_inbound_at, last_outbound_at, inbound, "
        "outbound) select conversation, min(at), max(case when type = 'message.received' then at "
        "end), max(at), sum(type = 'message.received'), sum(type = 'message.sent') from events "
        "group by conversation"
    )
    journal.execute(
        "insert into consents select substr(conversation, 1, instr(conversation, '/') - 1), "
        "substr(conversation, instr(conversation, '/') + 1), 'out', 'STOP', first_at, '' "
        "from contacts where abs(random()) % 50 = 0"
    )


Rows = tuple[Entry, tuple[object, ...], list[tuple[str, tuple[object, ...]]]]


def _group(first: int, at: datetime, rng: random.Random) -> Iterator[Rows]:
    """A text, its answer, and the two reports of it."""
    ours, theirs = rng.choice(OURS), person(int(rng.paretovariate(0.8) * 300) % 200_000)
    rule, failed = rng.choice(RULES), rng.random() < 0.02
    text, sent = f"SM{first:032x}", f"SM{first:031x}f"
    conversation, code = f"{ours}/{theirs}", rng.choice((30003, 30005, 30007)) if failed else 0
    uid, run, action = f"evt_{first:026d}", f"run_{first:026d}", f"act_{first:026d}"
    last = "undelivered" if failed else "delivered"
    moments = [iso(at + timedelta(seconds=wait)) for wait in (0, 0.2, 1, 3)]
    state = "waiting" if rng.random() < 0.001 else "failed" if rng.random() < 0.001 else "done"
    due = iso(at + timedelta(days=400)) if state == "waiting" else None
    more: list[tuple[str, tuple[object, ...]]] = [
        (
            "insert into runs (uid, event_uid, rule, rule_rev, key, state, due_at, started_at, "
            "ended_at, verdicts) values (?,?,?,'r1',?,?,?,?,?,'')",
            (run, uid, rule, conversation, state, due, moments[0], moments[0]),
        ),
        (
            "insert into actions (uid, run_uid, event_uid, rule, ordinal, kind, params, policy, "
            "state, reason, remote_sid, outcome, error_code, planned_at, settled_at, conversation, "
            "effect) values (?,?,?,?,0,'send_message',?,'checked',?,'',?,?,?,?,?,?,'message')",
            (
                action, run, uid, rule, f'{{"to": "{theirs}", "body": "We open at nine."}}',
                "failed" if failed else "settled", sent, last, code, moments[0], moments[3],
                conversation,
            ),
        ),
        (
            "insert into attempts (uid, action_uid, n, tag, started_at, ended_at, result, "
            "http_status) values (?,?,1,?,?,?,'accepted',201)",
            (f"att_{first:026d}", action, f"tag{first:x}", moments[0], moments[1]),
        ),
    ]  # fmt: skip
    yield (
        _entry("message", text, moments[0], From=theirs, To=ours, Body=f"Hello number {first}"),
        _event(first, "message.received", text, moments[0], theirs, ours, conversation, 0, rule),
        more,
    )
    for step, (status, when) in enumerate((("sent", 2), (last, 3)), start=1):
        error = code if status == "undelivered" else 0
        words = {"MessageStatus": status} | ({"ErrorCode": str(error)} if error else {})
        yield (
            _entry("message/status", sent, moments[when], From=ours, To=theirs, **words),
            _event(
                first + step, f"message.{status}", sent, moments[when], ours, theirs, conversation,
                error, "",
            ),
            [],
        )  # fmt: skip


def _entry(route: str, sid: str, at: str, **words: str) -> Entry:
    body = urlencode({"AccountSid": ACCOUNT, "MessageSid": sid, **words}).encode()
    return Entry(at, route, "signed", "webhook", "", FORM, body)


def _event(
    number: int, kind: str, sid: str, at: str, sender: str, to: str, pair: str, code: int, rule: str
) -> tuple[object, ...]:
    status = kind.partition(".")[2]
    verdicts = f'{{"{rule}": "fired"}}' if rule else '{"delivery-failure-notice": "if:1"}'
    return (
        f"evt_{number:026d}", kind, at, at, "signed", "webhook", ACCOUNT, sid, sender, to, pair,
        status, code, "", verdicts, f"st:{sid}:{status}:",
    )  # fmt: skip


def _write(log: Connection, journal: Connection, rows: list[Rows]) -> None:
    log.execute("begin immediate")
    ids = insert(log, [entry for entry, _, _ in rows])
    log.execute("commit")
    journal.execute("begin immediate")
    journal.executemany(
        "insert into events (log_id, uid, type, at, received_at, trust, source, account_sid, "
        "subject_sid, sender, recipient, conversation, status, error_code, tag, verdicts, "
        f"dedupe_key) values ({', '.join('?' * 17)})",
        [(number, *event) for number, (_, event, _) in zip(ids, rows, strict=True)],
    )
    statements: dict[str, list[tuple[object, ...]]] = {}
    for _, _, more in rows:
        for sql, values in more:
            statements.setdefault(sql, []).append(values)
    for sql, many in statements.items():
        journal.executemany(sql, many)
    journal.execute("commit")


def main() -> None:
    """Fill a folder, and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--events", type=int, default=1_000_000)
    options = parser.parse_args()
    began = time.perf_counter()
    fill(options.folder, options.events)
    print(f"{options.events:,} events in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
