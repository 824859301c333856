"""Spend counts: what texts and calls of ours take of what Twilio charges for, by five minutes.

A text counts with its segments, a call with its minutes, when its end is learned and under the
moment at which it was planned: a backlog that leaves in one go is no spending of that moment. What
failed before it left is not charged, and not counted.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from ringback.events import Event
from ringback.rules.number_blocks import country_of
from ringback.store.connection import Connection
from ringback.store.database import Database
from ringback.twilio import segments

SEGMENTS, MINUTES = "segments", "minutes"
SPAN_MINUTES = 5
_LOOKED_AT = 2000
_EXAMPLES = 3
_CHUNK = 500


class SpendKey(NamedTuple):
    """What is counted (`segments`, `minutes`), by what (`all`, `sender`, `rule`, `country`), and
    the value of that."""

    measure: str
    by: str
    of: str


class Asked(NamedTuple):
    """What an action of ours asked for: its rule, the segments that it took, about until Twilio has
    told of them, when it was planned, and its conversation."""

    rule: str
    segments: int
    planned_at: str
    conversation: str


@dataclass(frozen=True, slots=True)
class Sample:
    """Some of the newest actions of a set: their SIDs, and what a segment or minute of it cost as
    far as that is known, with the currency."""

    sids: tuple[str, ...]
    price: Decimal | None
    unit: str


class Spending:
    """What texts and calls take, in figures."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def between(self, first: str, last: str) -> dict[SpendKey, dict[str, int]]:
        """What was taken from the first span to the last, by set and span."""
        return await self._database.read(_between, first, last)

    async def peaks(self, since: str, least: str, until: str) -> dict[SpendKey, int]:
        """The most that was taken in one span between two of them, by set; nothing when counting
        began after `least`. Spans in which an incident of spending was open are left out, for a
        day at most: what was not usual then is not so afterwards, unless it stays."""
        return await self._database.read(_peaks, since, least, until)

    async def sample(self, key: SpendKey, since: str) -> Sample:
        """Some of the newest actions of a set, and their price."""
        return await self._database.read(_sample, key, since)

    async def forget(self, before: str) -> None:
        """Let go of spans that are older than anything that is asked."""
        await self._database.write(_forget, before)


def span_of(moment: str) -> str:
    """The five minutes that a stored moment is in: 2026-03-04T17:05."""
    return f"{moment[:14]}{int(moment[14:16]) // SPAN_MINUTES * SPAN_MINUTES:02d}"


def asked_for(connection: Connection, sids: Iterable[str]) -> dict[str, Asked]:
    """What was asked for by the actions of ours that made these texts or calls."""
    found: dict[str, Asked] = {}
    given = sorted(sids)
    for start in range(0, len(given), _CHUNK):
        chunk = given[start : start + _CHUNK]
        rows = connection.execute(
            "select remote_sid, rule, segments, planned_at, conversation, "
            "case when segments is null then json_extract(params, '$.body') end from actions "
            "where remote_sid <> '' and effect <> '' "
            f"and remote_sid in ({','.join('?' * len(chunk))})",
            chunk,
        )
        for sid, rule, told, planned_at, conversation, body in rows:
            taken = told or _estimated(conversation, body)
            found[sid] = Asked(rule, taken, planned_at, conversation)
    return found


def _estimated(conversation: str, body: str | None) -> int:
    """The segments of a text whose end is told before Twilio has said how many it took. What goes
    by another channel than SMS is one message."""
    return 1 if ":" in conversation else max(1, segments.count(body or ""))


def count_calls(connection: Connection, events: Iterable[Event]) -> None:
    """Count what calls of ours took that have just ended."""
    over = {event.subject_sid: event for event in events if event.type == "call.completed"}
    over = {sid: event for sid, event in over.items() if _is_believed(event)}
    if over:
        asked = asked_for(connection, over)
        add_spent(connection, ((MINUTES, _minutes(over[sid]), each) for sid, each in asked.items()))


def add_spent(connection: Connection, spent: Iterable[tuple[str, int, Asked]]) -> None:
    """Count what actions took: the measure, how much of it, and what asked for it."""
    found = Counter[tuple[str, ...]]()
    for measure, number, asked in spent:
        ours, _, theirs = asked.conversation.partition("/")
        span = span_of(asked.planned_at)
        country = country_of(theirs)
        named = (("sender", ours), ("rule", asked.rule), ("country", country))
        found[(measure, "all", "", span)] += number
        for by, of in named:
            if of:
                found[(measure, by, of, span)] += number
    connection.executemany(
        "insert into spend_counts (measure, dimension, value, span, number) values (?, ?, ?, ?, ?) "
        "on conflict (span, measure, dimension, value) do update set "
        "number = spend_counts.number + excluded.number",
        [(*place, number) for place, number in found.items()],
    )


def _is_believed(event: Event) -> bool:
    return event.trust != "claimed" and event.source not in ("internal", "replay")


def _minutes(event: Event) -> int:
    """The minutes that are charged: those that have begun."""
    seconds = event.fields.get("CallDuration", "")
    return -(-int(seconds) // 60) if seconds.isdecimal() and len(seconds) < 7 else 1


def _between(connection: Connection, first: str, last: str) -> dict[SpendKey, dict[str, int]]:
    found: dict[SpendKey, dict[str, int]] = defaultdict(dict)
    for measure, by, of, at, number in connection.execute(
        "select measure, dimension, value, span, number from spend_counts "
        "where span >= ? and span <= ?",
        (first, last),
    ):
        found[SpendKey(measure, by, of)][at] = number
    return found


_UNUSUAL = """
select 1 from incidents i where i.key >= 'delivery:spend:' and i.key < 'delivery:spend;'
and s.span >= strftime('%Y-%m-%dT%H:%M', i.opened_at, '-10 minutes')
and s.span <= min(coalesce(i.resolved_at, '9'), strftime('%Y-%m-%dT%H:%M', i.opened_at, '+1 day'))
"""


def _peaks(connection: Connection, since: str, least: str, until: str) -> dict[SpendKey, int]:
    first = connection.execute("select min(span) from spend_counts").fetchone()[0]
    if first is None or first > least:
        return {}
    rows = connection.execute(
        "select measure, dimension, value, max(number) from spend_counts s "
        "where span >= ? and span < ? "
        f"and not exists ({_UNUSUAL}) group by measure, dimension, value",
        (since, until),
    )
    return {SpendKey(measure, by, of): number for measure, by, of, number in rows}


def _sample(connection: Connection, key: SpendKey, since: str) -> Sample:
    effect = "message" if key.measure == SEGMENTS else "call"
    rows = connection.execute(
        "select remote_sid, rule, conversation, planned_at, segments, price, price_unit "
        "from actions where id > (select max(id) from actions) - ? and effect = ? "
        "and remote_sid <> '' order by id desc",
        (_LOOKED_AT, effect),
    ).fetchall()
    sids: list[str] = []
    prices: dict[bool, list[tuple[Decimal, str]]] = {True: [], False: []}
    for sid, rule, pair, planned_at, taken, price, unit in rows:
        ours, _, theirs = pair.partition("/")
        own = {"all": "", "sender": ours, "rule": rule, "country": country_of(theirs)}
        is_own = own[key.by] == key.of
        if is_own and planned_at >= since and len(sids) < _EXAMPLES:
            sids.append(sid)
        if price is not None and unit and key.measure == SEGMENTS:
            prices[is_own].append((Decimal(price) / (taken or 1), unit))
    told = prices[True] or prices[False]
    if not told:
        return Sample(tuple(sids), None, "")
    mean = sum((price for price, _ in told), Decimal()) / len(told)
    return Sample(tuple(sids), mean, told[0][1])


def _forget(connection: Connection, before: str) -> None:
    connection.execute("delete from spend_counts where span < ?", (before,))
