"""Consents and contacts: who may be texted by whom, and what is remembered of them."""

import json
from dataclasses import dataclass

from ringback.events import Event, conversation_of, person
from ringback.runtime import iso
from ringback.store.connection import Connection
from ringback.store.meta import get_meta
from ringback.twilio.consent import (
    BLOCKED,
    OPTED_OUT,
    changes,
    ends_block,
    is_refusal,
    refusal,
)

SERVICE_OF = "service of "
"""In `meta`, in front of a number of ours: the messaging service that it is in."""


def learn(connection: Connection, event: Event, *, late: bool = False) -> None:
    """Take from an event of a message what it says about consent, and about the messaging service
    that our number is in. `late`: it was told afterwards."""
    service = event.fields.get("MessagingServiceSid", "")
    if service and event.recipient and event.type == "message.received":
        connection.execute(
            "insert into meta (key, value) values (?, ?) on conflict (key) do update "
            "set value = excluded.value where meta.value <> excluded.value",
            (SERVICE_OF + person(event.recipient), service),
        )
    if is_refusal(event):
        _learn_refusal(connection, event)
        return
    if ends_block(event):
        _end_block(connection, event)
    for each in changes(event):
        note(
            connection, each.sender, each.recipient, each.state, each.source, iso(event.at),
            event.uid, late=late or event.trust == "confirmed",
        )  # fmt: skip


def heard_from(connection: Connection, event: Event) -> None:
    """Count a text of theirs, and note when it was sent."""
    moment = iso(event.at)
    connection.execute(
        "insert into contacts (conversation, first_at, last_inbound_at, inbound) "
        "values (?, ?, ?, 1) on conflict (conversation) do update set "
        "last_inbound_at = max(coalesce(contacts.last_inbound_at, ''), "
        "excluded.last_inbound_at), inbound = contacts.inbound + 1",
        (event.conversation, moment, moment),
    )


def _learn_refusal(connection: Connection, event: Event) -> None:
    """A text was refused for an opt-out. Whom it went to stands in the report, or with the action
    that it is about: that may have named the service, and the report the number that it chose."""
    pairs = {(each.sender, each.recipient) for each in changes(event)}
    at, now = iso(event.at), iso(event.received_at)
    row = connection.execute(
        "select a.conversation, (select max(started_at) from attempts t where t.action_uid = a.uid)"
        " from actions a where a.uid = (select action_uid from attempts where tag = ? and tag <> ''"
        " union all select uid from actions where remote_sid = ? and remote_sid <> '' limit 1)",
        (event.tag, event.subject_sid),
    ).fetchone()
    if row is not None:
        sender, _, recipient = row[0].partition("/")
        pairs.add((sender, recipient))
        at = row[1] or at
    for sender, recipient in sorted(pairs):
        refused(connection, sender, recipient, refusal(event.error_code), at, now, event.uid)


def _end_block(connection: Connection, event: Event) -> None:
    """They write to us where they had blocked us: to this number, or one of its service."""
    ours = person(event.recipient)
    connection.execute(
        "update consents set state = 'in', source = 'wrote again', at = ?, event_uid = ? "
        "where recipient = ? and state = 'out' and source = ? and at <= ? "
        "and sender in (?, ?, (select value from meta where key = ?))",
        (iso(event.at), event.uid, person(event.sender), refusal(BLOCKED), iso(event.at), ours,
         event.fields.get("MessagingServiceSid", ""), SERVICE_OF + ours),
    )  # fmt: skip


def refused(
    connection: Connection,
    sender: str,
    recipient: str,
    source: str,
    at: str,
    now: str,
    event_uid: str,
) -> None:
    """Twilio refused a text of this moment for an opt-out. Reports may come late: whoever has come
    back since, by a text, is not sent away again. That somebody has blocked us, which any text of
    theirs ends, says nothing more of one who has left by a word."""
    blocked = source == refusal(BLOCKED)
    row = connection.execute(
        "select 1 from consents where sender = ? and recipient = ? "
        "and (state = 'in' and at > ? and at <= ? or state = 'out' and ? = 1)",
        (person(sender), person(recipient), at, now, blocked),
    ).fetchone()
    if row is None and blocked:
        row = connection.execute(
            "select 1 from events where conversation = ? and at > ? and at <= ? "
            "and +type = 'message.received' and trust <> 'claimed' limit 1",
            (conversation_of(sender, recipient), at, now),
        ).fetchone()
    if row is None and sender and recipient:
        note(connection, sender, recipient, "out", source, now, event_uid)
    service = get_meta(connection, SERVICE_OF + person(sender))
    if service and not blocked:  # one opt-out for all numbers of it, whichever was asked
        refused(connection, service, recipient, source, at, now, event_uid)


def note(
    connection: Connection,
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

    What comes `late`, fetched back or proven afterwards, counts when it is the last by its time.
    Twilio dates what is fetched back to the second: a refusal counts that may have been the last.
    Everything else comes in the order in which it was said, whatever a clock that was set says.
    """
    connection.execute(
        "insert into consents (sender, recipient, state, source, at, event_uid) "
        "values (?,?,?,?,?,?) on conflict (sender, recipient) do update set "
        "state = excluded.state, source = excluded.source, at = excluded.at, "
        "event_uid = excluded.event_uid where ? = 0 or excluded.at >= consents.at "
        "or (excluded.state = 'out' and excluded.at >= substr(consents.at, 1, 19) || '.000Z')",
        (person(sender), person(recipient), state, source, at, event_uid, late),
    )


@dataclass(frozen=True, slots=True)
class OptOuts:
    """How people left: by a text that came here, some of them with Twilio's own word for it
    (Advanced Opt-Out); and the pairs of sender and number of whom only a refused send showed it."""

    heard: int
    advanced: int
    unheard: tuple[tuple[str, int], ...]


def opt_outs(connection: Connection, since: str) -> OptOuts:
    """Who has left whom. `unheard` counts by sender those of whom we learned since then."""
    heard, advanced = connection.execute(
        "select count(*), count(case when e.fields like '%OptOutType%' then 1 end) from consents c "
        "left join events e on e.uid = c.event_uid where c.state = 'out' and c.source like 'text %'"
    ).fetchone()
    unheard = connection.execute(
        "select sender, count(*) from consents c where state = 'out' and source = ? and at >= ? "
        "and not exists (select 1 from consents o where o.recipient = c.recipient "
        "and o.source like 'text %') group by sender order by sender",
        (refusal(OPTED_OUT), since),
    )
    return OptOuts(heard, advanced, tuple((row[0], row[1]) for row in unheard))


def remember(
    connection: Connection, conversation: str, name: str, value: str | None, now: str
) -> None:
    """Keep a value about a contact, or forget it when it is None. A draft that was written before
    there was one spelling for each person names the conversation in another."""
    ours, _, theirs = conversation.partition("/")
    conversation = conversation_of(ours, theirs) if theirs else conversation
    row = connection.execute(
        "select memory from contacts where conversation = ?", (conversation,)
    ).fetchone()
    memory = json.loads(row[0]) if row else {}
    if value is None:
        memory.pop(name, None)
    else:
        memory[name] = value
    connection.execute(
        "insert into contacts (conversation, first_at, memory) values (?, ?, ?) "
        "on conflict (conversation) do update set memory = excluded.memory",
        (conversation, now, json.dumps(memory, ensure_ascii=False)),
    )
