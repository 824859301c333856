"""Consents: who may be texted by whom, and what was sent lately, as the gate asks for it."""

import sqlite3
from dataclasses import dataclass
from datetime import timedelta

from ringback.events import Event
from ringback.runtime import from_iso, iso
from ringback.twilio.consent import OPTED_OUT, changes

_SERVICE_OF = "service of "
"""In `meta`, in front of a number of ours: the messaging service that it is in."""
_GONE_OUT = "('sending', 'unknown', 'accepted', 'settled', 'failed')"


def learn(connection: sqlite3.Connection, event: Event) -> None:
    """Take from an event of a message what it says about consent, and about the messaging service
    that our number is in."""
    service = event.fields.get("MessagingServiceSid", "")
    if service and event.recipient and event.type == "message.received":
        connection.execute(
            "insert into meta (key, value) values (?, ?) on conflict (key) do update "
            "set value = excluded.value where value <> excluded.value",
            (_SERVICE_OF + event.recipient, service),
        )
    at, late = iso(event.at), event.trust == "confirmed"
    for each in changes(event):
        note(
            connection, each.sender, each.recipient, each.state, each.source, at, event.uid,
            late=late,
        )  # fmt: skip


def note(
    connection: sqlite3.Connection,
    sender: str,
    recipient: str,
    state: str,
    source: str,
    at: str,
    event_uid: str = "",
    *,
    late: bool = False,
) -> None:
    """Write what is known about a recipient's consent: the last word counts.

    What is told `late`, fetched back or proven afterwards, counts when it is the last by its time.
    Everything else comes in the order in which it was said, whatever a clock that was set says.
    """
    connection.execute(
        "insert into consents (sender, recipient, state, source, at, event_uid) "
        "values (?,?,?,?,?,?) on conflict (sender, recipient) do update set "
        "state = excluded.state, source = excluded.source, at = excluded.at, "
        "event_uid = excluded.event_uid where not ? or excluded.at >= consents.at",
        (sender, recipient, state, source, at, event_uid, late),
    )


def opted_out(connection: sqlite3.Connection, sender: str, recipient: str) -> str:
    """When and how this recipient opted out of this sender; empty when they did not.

    The last word counts that they said to this sender, or to the messaging service that it is in.
    """
    row = connection.execute(
        "select source, at, state from consents where recipient = ? and sender in "
        "(?, (select value from meta where key = ?)) order by at desc limit 1",
        (recipient, sender, _SERVICE_OF + sender),
    ).fetchone()
    return f"{row[0]}, {row[1]}" if row and row[2] == "out" else ""


@dataclass(frozen=True, slots=True)
class OptOuts:
    """How people left: by a text that came here, some of them with Twilio's own word for it
    (Advanced Opt-Out); and the pairs of sender and number of whom only a refused send told us."""

    heard: int
    advanced: int
    unheard: tuple[tuple[str, int], ...]


def opt_outs(connection: sqlite3.Connection, since: str) -> OptOuts:
    """Who has left whom. `unheard` counts by sender those of whom we learned since then."""
    heard, advanced = connection.execute(
        "select count(*), coalesce(sum(e.fields like '%OptOutType%'), 0) from consents c "
        "left join events e on e.uid = c.event_uid where c.state = 'out' and c.source like 'text %'"
    ).fetchone()
    unheard = connection.execute(
        "select sender, count(*) from consents c where state = 'out' and source = ? and at >= ? "
        "and not exists (select 1 from consents o where o.recipient = c.recipient "
        "and o.source like 'text %') group by sender order by sender",
        (f"error {OPTED_OUT}", since),
    )
    return OptOuts(heard, advanced, tuple((row[0], row[1]) for row in unheard))


def sent_since(connection: sqlite3.Connection, conversation: str, since: str) -> list[str]:
    """When messages and calls to this conversation that went out were planned, since then, oldest
    first."""
    rows = connection.execute(
        "select planned_at from actions where conversation = ? and planned_at >= ? "
        f"and effect <> '' and state in {_GONE_OUT} order by planned_at",
        (conversation, since),
    )
    return [row[0] for row in rows]


def late_since(connection: sqlite3.Connection, conversation: str, since: str) -> int:
    """How many of those to this conversation that were planned before then have been tried since:
    after quiet hours, a pause or an outage. Whatever waited for longer than a week is left out."""
    early = iso(from_iso(since) - timedelta(days=7))
    row = connection.execute(
        "select count(*) from actions a where conversation = ? and planned_at >= ? "
        "and planned_at < ? and effect <> '' "
        f"and state in {_GONE_OUT} and exists (select 1 from attempts t "
        "where t.action_uid = a.uid and coalesce(t.ended_at, t.started_at) >= ?)",
        (conversation, early, since, since),
    ).fetchone()
    return int(row[0])


def heard_since(connection: sqlite3.Connection, conversation: str, since: str) -> list[str]:
    """When messages from this conversation were sent to us since then, in the order of arrival.

    Not when we heard of them: those that are fetched back after a downtime all arrive at once.
    """
    # The plus keeps SQLite from the index of types, with the texts of everybody in it.
    rows = connection.execute(
        "select at from events where conversation = ? and at >= ? "
        "and +type = 'message.received' order by id",
        (conversation, since),
    )
    return [row[0] for row in rows]


def conversation_with(connection: sqlite3.Connection, event_uid: str, recipient: str) -> str:
    """The conversation of this event when it came from this recipient, else an empty text."""
    row = connection.execute(
        "select conversation from events where uid = ? and sender = ?", (event_uid, recipient)
    ).fetchone()
    return str(row[0]) if row else ""


def heard_last(
    connection: sqlite3.Connection, conversation: str, since: str, limit: int
) -> list[tuple[str, str]]:
    """The last texts from this conversation since then, the newest first: uid and when."""
    rows = connection.execute(
        "select uid, at from events where conversation = ? and at >= ? "
        "and +type = 'message.received' order by id desc limit ?",
        (conversation, since, limit),
    )
    return [(row[0], row[1]) for row in rows]


def written_since(
    connection: sqlite3.Connection, conversation: str, since: str
) -> list[tuple[str, str]]:
    """What we wrote to this conversation since then, oldest first: when, and the parameters."""
    rows = connection.execute(
        "select planned_at, params from actions where conversation = ? and planned_at >= ? "
        f"and effect = 'message' and state in {_GONE_OUT} order by planned_at",
        (conversation, since),
    )
    return [(row[0], row[1]) for row in rows]


def our_numbers(connection: sqlite3.Connection) -> set[str]:
    """The numbers that people have written to: they are ours."""
    rows = connection.execute(
        "select distinct substr(conversation, 1, instr(conversation, '/') - 1) from contacts "
        "where inbound > 0"
    )
    return {row[0] for row in rows if row[0]}
