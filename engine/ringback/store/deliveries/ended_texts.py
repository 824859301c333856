"""Ended texts: each text of ours counted once by its final state, where that is learned.

What is counted stands in `text_counts` by minute; texts that have yet to end are in
`pending_texts`. Both are written for a whole batch at once.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import takewhile

from ringback.events import Event, person
from ringback.outcomes import normal_status
from ringback.rules.delivery_rates import (
    Change,
    Ended,
    TextEnd,
    changes,
    end_of,
    held,
    is_news,
    is_over,
    likeness,
    text_end,
)
from ringback.rules.number_blocks import country_of
from ringback.runtime import from_iso, iso
from ringback.store.actions import StoredAction
from ringback.store.connection import Connection
from ringback.store.deliveries.spend_counts import (
    SEGMENTS,
    Asked,
    add_spent,
    asked_for,
    count_calls,
)

FINAL = "('message.delivered', 'message.read', 'message.undelivered', 'message.failed')"
OVER = f"({FINAL[1:-1]}, 'message.canceled')"
_BELIEVED = "trust <> 'claimed' and source not in ('replay', 'internal')"
_CHUNK = 500


def count_texts(connection: Connection, events: Sequence[Event], *, anew: bool = False) -> None:
    """Count what events that are on record tell of the ends of texts of ours, and what texts and
    calls took: those of a batch, or `anew` one that was recorded long ago and is believed from now
    on."""
    news = [event for event in events if is_news(event)]
    count_calls(connection, events)
    if not news:
        return
    over = {event.subject_sid for event in news if is_over(event)}
    _begin(connection, [event for event in news if event.subject_sid not in over])
    if not over:
        return
    connection.executemany("delete from pending_texts where sid = ?", [(sid,) for sid in over])
    known, asked = _known(connection, over), asked_for(connection, over)
    found: list[Change] = []
    spent: list[tuple[str, int, Asked]] = []
    alike: dict[tuple[object, ...], list[tuple[Event, str]]] = {}
    for event in news:
        ours = asked.get(event.subject_sid)
        rule = ours.rule if ours else ""
        same = likeness(event, rule)
        if same is None:
            continue
        told = known.get(event.subject_sid)
        if told:
            end = end_of(event, rule)
            if end is not None:
                found += changes(end, _before(told, event, end, anew=anew))
            continue
        if ours is not None and normal_status(event.status) != "failed":
            spent.append((SEGMENTS, ours.segments, ours))
        alike.setdefault(same, []).append((event, rule))
    for events_alike in alike.values():
        end, many = end_of(*events_alike[0]), len(events_alike)
        found += [
            each._replace(ended=Ended(each.ended.delivered * many, each.ended.failed * many))
            for each in (changes(end) if end is not None else ())
        ]
    _write(connection, found)
    add_spent(connection, spent)


def counted_end(connection: Connection, sid: str) -> TextEnd | None:
    """The end that is counted for a text, as far as the events on record tell of one."""
    return held(each for _, each in _told(connection, sid))


def begin_text(connection: Connection, action: StoredAction, sid: str, now: str) -> None:
    """Twilio took a text of ours: it is pending until its end is known."""
    if not sid or action.effect != "message" or getattr(action.action, "extra", {}).get("SendAt"):
        return
    connection.execute(_PENDING, _pending(sid, *_between(action), now))


def count_refused(connection: Connection, action: StoredAction, code: int, now: str) -> None:
    """Twilio did not take a text of ours: it has failed, and no callback will say so."""
    if code and action.effect == "message":
        ours, service, theirs = _between(action)
        end = text_end(
            action.uid, from_iso(now), "failed", code, (ours, theirs), service=service,
            rule=action.rule,
        )  # fmt: skip
        _write(connection, changes(end))


def _between(action: StoredAction) -> tuple[str, str, str]:
    """Our address, the messaging service, and theirs."""
    ours, _, theirs = action.conversation.partition("/")
    return ours, str(getattr(action.action, "messaging_service_sid", "")), theirs


_Told = tuple[str, TextEnd]
"""An event (uid), and the end that it tells of."""


def _known(connection: Connection, sids: set[str]) -> dict[str, list[_Told]]:
    """The ends of those texts that have several on record, in the order in which they came."""
    found: dict[str, list[_Told]] = {}
    given = sorted(sids)
    for start in range(0, len(given), _CHUNK):
        chunk = given[start : start + _CHUNK]
        marks = ",".join("?" * len(chunk))
        several = connection.execute(
            f"select subject_sid from events where subject_sid in ({marks}) "
            f"and +type in {FINAL} and {_BELIEVED} group by subject_sid having count(*) > 1",
            chunk,
        ).fetchall()
        for (sid,) in several:
            found[sid] = _told(connection, sid)
    return found


def _told(connection: Connection, sid: str) -> list[_Told]:
    """The ends that events on record tell of a text."""
    rows = connection.execute(
        "select uid, received_at, status, error_code, sender, recipient from events "
        f"where subject_sid = ? and +type in {FINAL} and {_BELIEVED} order by id",
        (sid,),
    )
    return [
        (uid, text_end(sid, from_iso(at), status, code, (ours, theirs)))
        for uid, at, status, code, ours, theirs in rows.fetchall()
    ]


def _before(told: Sequence[_Told], event: Event, end: TextEnd, *, anew: bool) -> TextEnd | None:
    """The end that was counted for a text before an event told of another. It was counted under
    what this event says of service and rule."""
    if anew:
        earlier = [each for uid, each in told if uid != event.uid]
    else:
        earlier = [each for _, each in takewhile(lambda each: each[0] != event.uid, told)]
    found = held(earlier)
    return replace(found, service=end.service, rule=end.rule) if found is not None else None


_PENDING = (
    "insert into pending_texts (sid, sender, service, country, began_at) "
    "select ?, ?, ?, ?, ? where not exists "
    f"(select 1 from events where subject_sid = ? and +type in {OVER} and trust <> 'claimed') "
    "on conflict do nothing"
)


def _pending(sid: str, ours: str, service: str, theirs: str, began_at: str) -> tuple[str, ...]:
    if ours.startswith("MG"):
        ours, service = "", ours
    return sid, person(ours), service, country_of(theirs), began_at, sid


def _begin(connection: Connection, events: Sequence[Event]) -> None:
    rows = [
        _pending(
            event.subject_sid, event.sender, event.fields.get("MessagingServiceSid", ""),
            event.recipient, iso(event.received_at),
        )
        for event in events
        if event.status != "scheduled"
    ]  # fmt: skip
    if rows:
        connection.executemany(_PENDING, rows)


def _write(connection: Connection, found: Iterable[Change]) -> None:
    totals: dict[tuple[str, str, str], Ended] = defaultdict(Ended)
    for change in found:
        place = (*change.key, change.minute)
        totals[place] += change.ended
    connection.executemany(
        "insert into text_counts (dimension, value, minute, delivered, failed) "
        "values (?, ?, ?, ?, ?) on conflict (dimension, value, minute) do update set "
        "delivered = text_counts.delivered + excluded.delivered, "
        "failed = text_counts.failed + excluded.failed",
        [(*place, count.delivered, count.failed) for place, count in totals.items()],
    )
