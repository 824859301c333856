"""Counts of events: how many of each type and error code came in which ten minutes.

What asks about a day adds up a few rows of it and does not read the events of a day. Whoever writes
events counts them in the same commit, a batch at once: a trigger for each would cost as much again
as to write the event. What seldom happens to an event, a proof, a late code, its end, is left to
triggers. `recount` makes all of it from the events.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from ringback.events import Event
from ringback.runtime import iso
from ringback.store.connection import Connection

MADE = """
create table event_counts (
    at text not null,
    type text not null,
    error_code integer not null,
    count integer not null,
    primary key (at, type, error_code)
) without rowid
"""
_MORE = (
    "insert into event_counts (at, type, error_code, count) values ({}) "
    "on conflict (at, type, error_code) do update set count = event_counts.count + excluded.count"
)
_THAT_COUNTS = "{0}.trust <> 'claimed' and {0}.source <> 'replay'"
_LESS = f"""
    update event_counts set count = count - 1 where {_THAT_COUNTS.format("old")}
    and at = substr(old.received_at, 1, 15) and type = old.type and error_code = old.error_code;
    delete from event_counts where at = substr(old.received_at, 1, 15) and type = old.type
    and error_code = old.error_code and count <= 0;
"""
CHANGED = f"""
create trigger events_changed after update of trust, error_code on events
when new.trust <> old.trust or new.error_code <> old.error_code
begin
    {_LESS}
    insert into event_counts (at, type, error_code, count)
    select substr(new.received_at, 1, 15), new.type, new.error_code, 1
    where {_THAT_COUNTS.format("new")}
    on conflict (at, type, error_code) do update set count = count + 1;
end
"""
ENDED = f"create trigger events_ended after delete on events begin {_LESS} end"
_SPAN = timedelta(minutes=10)


def add_counts(connection: Connection, events: Iterable[Event]) -> None:
    """Count events that have just been written. A mere claim and a replay count for nothing."""
    found = Counter(
        (iso(event.received_at)[:15], event.type, event.error_code)
        for event in events
        if event.trust != "claimed" and event.source != "replay"
    )
    connection.executemany(
        _MORE.format("?, ?, ?, ?"), [(*place, number) for place, number in found.items()]
    )


def recount(connection: Connection) -> None:
    """Count all events anew."""
    connection.execute("delete from event_counts")
    connection.execute(
        "insert into event_counts (at, type, error_code, count) "
        "select substr(received_at, 1, 15), type, error_code, count(*) from events e "
        f"where {_THAT_COUNTS.format('e')} group by 1, 2, 3"
    )


def whole_spans_after(moment: datetime) -> datetime:
    """The first moment after this one at which ten minutes begin."""
    begun = moment.replace(minute=moment.minute // 10 * 10, second=0, microsecond=0)
    return begun + _SPAN


def counts_since(connection: Connection, begin: datetime, first: str, end: str) -> Counter[int]:
    """How many events of the types from `first` to before `end` came since then, by error code. It
    is a moment at which ten minutes begin."""
    rows = connection.execute(
        "select error_code, sum(count) from event_counts where at >= ? and type >= ? and type < ? "
        "group by error_code",
        (iso(begin)[:15], first, end),
    )
    return Counter(dict(rows.fetchall()))
