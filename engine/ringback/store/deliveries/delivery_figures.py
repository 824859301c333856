"""Delivery figures: what the watch over deliveries asks of the journal, and what it lets go."""

from collections.abc import Mapping
from dataclasses import dataclass

from ringback.error_codes import error_class
from ringback.events import person
from ringback.rules.delivery_rates import NO_CODE, Ended, Failure, Key
from ringback.rules.number_blocks import country_of
from ringback.store.connection import Connection, first_since, one_of
from ringback.store.database import Database
from ringback.store.meta import WITHOUT_SUCCESS

MOST = 3000
"""So many failures of the last minutes are looked at, the newest."""


@dataclass(frozen=True, slots=True)
class Lately:
    """The last minutes: ended texts by set, failures, texts that have waited for an end for some
    minutes by set, and how many people have left."""

    ended: Mapping[Key, Ended]
    failures: tuple[Failure, ...]
    pending: Mapping[Key, int]
    left: int


@dataclass(frozen=True, slots=True)
class Usually:
    """The day before: ended texts by set, texts without an end by set, how many people left."""

    ended: Mapping[Key, Ended]
    pending: Mapping[Key, int]
    left: int


class Deliveries:
    """What became of texts of ours, in figures."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lately(
        self, since: str, until: str, pending: tuple[str, str], left_since: str
    ) -> Lately:
        """Between two moments (ISO). `pending` is the span in which texts began of which it is
        asked whether they have ended. What is later was written before a clock was set back."""
        return await self._database.read(_lately, since, until, pending, left_since)

    async def usually(self, since: str, until: str) -> Usually:
        """Between two moments (ISO)."""
        return await self._database.read(_usually, since, until)

    async def forget(self, before: str, limit: int = 1000) -> int:
        """Let go of texts whose end will not come any more; how many."""
        return await self._database.write(_forget, before, limit)


def _lately(
    connection: Connection, since: str, until: str, pending: tuple[str, str], left_since: str
) -> Lately:
    failed = [*_reported(connection, since, until), *_refused(connection, since, until)]
    return Lately(
        _ended(connection, since, until), tuple(failed), _pending(connection, *pending),
        _left(connection, left_since, until),
    )  # fmt: skip


def _usually(connection: Connection, since: str, until: str) -> Usually:
    return Usually(
        _ended(connection, since, until), _pending(connection, since, until),
        _left(connection, since, until),
    )  # fmt: skip


def _ended(connection: Connection, since: str, until: str) -> dict[Key, Ended]:
    rows = connection.execute(
        "select dimension, value, sum(delivered), sum(failed) from text_counts "
        "where minute >= ? and minute < ? group by dimension, value",
        (since[:16], until[:16]),
    )
    return {Key(by, of): Ended(delivered, failed) for by, of, delivered, failed in rows}


def _reported(connection: Connection, since: str, until: str) -> list[Failure]:
    first = first_since(connection, "events", "received_at", since)
    rows = [
        row
        for kind in ("message.failed", "message.undelivered")
        for row in connection.execute(
            "select e.subject_sid, e.sender, coalesce(a.rule, ''), e.recipient, e.error_code, "
            "coalesce(json_extract(a.params, '$.messaging_service_sid'), '') from events e "
            "left join actions a on a.remote_sid = e.subject_sid and a.remote_sid <> '' "
            "and a.effect <> '' where e.type = ? and e.id >= ? and e.received_at >= ? "
            "and e.received_at < ? "
            "and e.trust <> 'claimed' and e.source not in ('replay', 'internal') "
            "order by e.id desc limit ?",
            (kind, first, since, until, MOST),
        )
    ]
    return [_failed(*row) for row in {row[0]: row for row in rows}.values()]


def _refused(connection: Connection, since: str, until: str) -> list[Failure]:
    first = first_since(connection, "actions", "planned_at", since)
    rows = connection.execute(
        "select uid, substr(conversation, 1, instr(conversation, '/') - 1), rule, "
        "substr(conversation, instr(conversation, '/') + 1), error_code, "
        "coalesce(json_extract(params, '$.messaging_service_sid'), '') from actions "
        f"where {one_of(WITHOUT_SUCCESS)} and state = 'failed' and id >= ? and planned_at >= ? "
        "and planned_at < ? and remote_sid = '' and effect = 'message' and error_code > 0 "
        "order by id desc limit ?",
        (first, since, until, MOST),
    )
    return [_failed(*row) for row in rows]


def _failed(sid: str, ours: str, rule: str, theirs: str, code: int, service: str) -> Failure:
    named = error_class(code) or NO_CODE
    return Failure(sid, person(ours), service, rule, country_of(theirs), named, code)


def _pending(connection: Connection, since: str, until: str) -> dict[Key, int]:
    found: dict[Key, int] = {}
    for column, by in (("''", "all"), ("sender", "sender"), ("country", "country")):
        rows = connection.execute(
            f"select {column}, count(*) from pending_texts where began_at > ? and began_at <= ? "
            "group by 1",
            (since, until),
        )
        found |= {Key(by, of): count for of, count in rows if of or by == "all"}
    return found


def _left(connection: Connection, since: str, until: str) -> int:
    row = connection.execute(
        "select count(distinct recipient) from consents where state = 'out' and at >= ? and at < ?",
        (since, until),
    ).fetchone()
    return int(row[0])


def _forget(connection: Connection, before: str, limit: int) -> int:
    return connection.execute(
        "delete from pending_texts where sid in "
        "(select sid from pending_texts where began_at < ? order by began_at, sid limit ?)",
        (before, limit),
    ).rowcount
