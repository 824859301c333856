"""Facts: the past as conditions, texts, plugins and the gate ask for it, at once."""

import json
from collections import Counter
from copy import copy
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Protocol

from ringback.actions import Remember, SetMember
from ringback.error_codes import error_class as class_of
from ringback.events import CALL_OVER, person, spellings, telephone
from ringback.runtime import Runtime, from_iso, iso
from ringback.store.connection import OVERTAKING, Connection, first_since
from ringback.store.consents import SERVICE_OF
from ringback.store.data_place import DataPlace, open_journal
from ringback.store.deliveries.causes import Caused, Causes
from ringback.store.deliveries.delivery_facts import JournalDeliveries
from ringback.store.deliveries.retried_texts import RetriedTexts
from ringback.store.events import event
from ringback.store.log import LogReader
from ringback.store.meta import get_meta
from ringback.store.operations.cards import card_field, is_member
from ringback.store.operations.list_turns import DRAW_KEY, ListTurns, last_turn
from ringback.store.sqlite.sqlite_files import connect_reader
from ringback.store.upkeep.event_counts import counts_since, whole_spans_after

LAST_TEXTS = 50
"""A person reacts to what stands on the screen, or not far above."""
LONG = 2 * 3600
"""From so many seconds on a count adds up what was counted every ten minutes."""
_PATIENCE = timedelta(days=7)
_SENT = "('sending', 'unknown', 'accepted', 'settled', 'failed')"


class JournalFacts(JournalDeliveries):
    """The past as the journal has it. Every answer is one indexed look-up.

    Conversations are written `ours/theirs`, times are UTC.
    """

    def __init__(
        self, connection: Connection, runtime: Runtime, turns: ListTurns | None = None
    ) -> None:
        super().__init__(connection, runtime)
        self._shadow, self._turns = "", turns or ListTurns()

    def of_shadow(self, rule: str) -> "JournalFacts":
        """The past as this rule sees it, which is in shadow."""
        found = copy(self)
        found._shadow, found._turns = rule, ListTurns()
        return found

    def draw_key(self) -> str:
        """The secret from which choices by chance are made."""
        return get_meta(self._connection, DRAW_KEY)

    def turn(self, name: str, place: str, before: int) -> int:
        """The next turn of a list, behind `before`, at this place of a run."""
        return self._turns.take(name, place, max(before, last_turn(self._connection, name)))

    def message_count(self, conversation: str) -> int:
        """How many messages came in on this conversation so far."""
        row = self._connection.execute(
            "select inbound from contacts where conversation = ?", (conversation,)
        ).fetchone()
        return int(row[0]) if row else 0

    def last_inbound(self, conversation: str, before: datetime) -> datetime | None:
        """When the last message before this moment came in, None when none did."""
        moment = iso(before)
        newest = self._connection.execute(
            "select last_inbound_at from contacts where conversation = ?", (conversation,)
        ).fetchone()
        if newest is None or newest[0] is None or newest[0] < moment:
            return from_iso(newest[0]) if newest and newest[0] else None
        # The last ones of this conversation, and never the index of types, with everybody's texts.
        row = self._connection.execute(
            "select max(at) from (select at from events where conversation = ? "
            "and +type = 'message.received' and trust <> 'claimed' and at < ? "
            "order by id desc limit ?) e",
            (conversation, moment, LAST_TEXTS),
        ).fetchone()
        return from_iso(row[0]) if row[0] else None

    def last_outbound(self, conversation: str, before: datetime) -> datetime | None:
        """When we last sent a message on this conversation, None when we never did."""
        row = self._connection.execute(
            "select max(planned_at) from actions where conversation = ? and effect = 'message' "
            "and state in ('sending', 'unknown', 'accepted', 'settled') and planned_at < ?",
            (conversation, iso(before)),
        ).fetchone()
        return from_iso(row[0]) if row and row[0] else None

    def count(
        self, type_pattern: str, seconds: float, conversation: str = "", error_class: str = ""
    ) -> int:
        """How many events of a type came in the last `seconds`; empty words mean any."""
        # Of a conversation or of many types its rows are read, else those of one type, and in all
        # cases only as many as are that young.
        where, values = [f"{'+' if conversation else ''}type = ?"], list[str | int]([type_pattern])
        if type_pattern.endswith(".*"):
            where, values = ["+type >= ?", "+type < ?"], [*_types(type_pattern)]
        begin = self._runtime.now() - timedelta(seconds=seconds)
        since = iso(begin)
        where.append("trust <> 'claimed' and source <> 'replay' and id >= ? and received_at >= ?")
        values += [first_since(self._connection, "events", "received_at", since), since]
        if conversation:
            where.append("conversation = ?")
            values.append(conversation)
        found = Counter[int]()
        if not conversation and seconds >= LONG:  # only what came before the first ten minutes
            whole = whole_spans_after(begin)
            where.append("id <= ? and received_at < ?")
            until = first_since(self._connection, "events", "received_at", iso(whole))
            values += [until + 2 * OVERTAKING, iso(whole)]
            found = counts_since(self._connection, whole, *_types(type_pattern))
        rows = self._connection.execute(
            f"select error_code, count(*) from events where {' and '.join(where)} "
            "group by error_code",
            values,
        )
        found.update(dict(rows.fetchall()))
        return sum(
            number
            for code, number in found.items()
            if not error_class or class_of(code) == error_class
        )

    def remembered(self, conversation: str, name: str) -> str:
        """What was remembered about this contact under a name, empty when nothing was."""
        if self._shadow:
            place = {"conversation": conversation, "name": name, "rule": self._shadow}
            last = self._connection.execute(_OWN, place).fetchone()
            if last is not None and last[0] == "captured":
                return last[1] or ""
        row = self._connection.execute(
            "select memory from contacts where conversation = ?", (conversation,)
        ).fetchone()
        memory = json.loads(row[0]) if row else {}
        if name in memory:
            return str(memory[name])
        return card_field(self._connection, telephone(conversation.partition("/")[2]), name)

    def is_member(self, group: str, number: str) -> bool:
        """Whether somebody is in a group."""
        if self._shadow:
            places = {"group": group, "rule": self._shadow}
            for address in spellings(number):
                for place in (address, f"whatsapp:{address}"):
                    last = self._connection.execute(_OWN_MEMBER, places | {"who": place}).fetchone()
                    if last is not None and last[0] == "captured":
                        return bool(last[1])
        return is_member(self._connection, group, number)

    def written(self, conversation: str) -> list[tuple[str, bool]]:
        """Our last texts in this conversation, the newest first, and whether each had pictures."""
        rows = self._connection.execute(
            "select coalesce(json_extract(params, '$.body'), ''), "
            "coalesce(json_array_length(params, '$.media'), 0) > 0 from actions "
            f"where conversation = ? and effect = 'message' and state in {_SENT} "
            "order by planned_at desc, id desc limit ?",
            (conversation, LAST_TEXTS),
        )
        return [(str(body), bool(media)) for body, media in rows]

    def call_over(self, call_sid: str) -> bool:
        """Whether a call is known to have ended, by an event that is proven."""
        marks = ",".join("?" * len(CALL_OVER))
        return bool(
            self._connection.execute(
                "select 1 from events where subject_sid = ? and trust <> 'claimed' "
                f"and type in ({marks}) limit 1",
                (call_sid, *CALL_OVER),
            ).fetchone()
        )


def _types(pattern: str) -> tuple[str, str]:
    """The types that a pattern means: from this one to before that one."""
    if pattern.endswith(".*"):
        return pattern[:-1], f"{pattern[:-2]}/"
    return pattern, f"{pattern}\1"


def open_facts(where: Path | DataPlace, runtime: Runtime) -> JournalFacts:
    """What may be asked of the past, over a connection of its own that only reads.

    Raises StorageError when there is no journal yet, DataError for a file that is not usable.
    """
    place = DataPlace.of(where)
    connection = open_journal(place) if place.url else connect_reader(place.journal)
    return JournalFacts(connection, runtime)


_LAST = """
(state = 'settled' or state = 'captured' and rule = :rule and planned_at > coalesce((
    select max(at) from revisions where rule = :rule
    and case when json_valid(text) then coalesce(json_extract(text, '$.state'), 'live') end
        in ('live', 'draft')
), ''))
order by id desc limit 1
"""
_OWN = f"""
select state, json_extract(params, '$.value') from actions
where conversation = :conversation and kind = '{Remember.kind}'
and json_extract(params, '$.name') = :name and {_LAST}
"""
"""The last that was remembered, or would have been by a rule in shadow since it was live last."""
_OWN_MEMBER = f"""
select state, cast(json_extract(params, '$.member') as text) = '1'
from actions where kind = '{SetMember.kind}'
and json_extract(params, '$.group') = :group and json_extract(params, '$.who') = :who and {_LAST}
"""


class Heard(NamedTuple):
    """A text of theirs: when it was sent, as Twilio says in whole seconds, when it was on record
    here, and the words."""

    at: datetime
    received_at: datetime
    body: str


class Left(NamedTuple):
    """Requests of a rule that left: the kind of their actions, the words of all of them, and how
    many there were."""

    rule: str
    kind: str
    body: str
    number: int


class Answering(Protocol):
    """An action as the gate's past asks about it."""

    @property
    def event_uid(self) -> str:
        """The event that it answers."""


class JournalGateFacts(Causes, RetriedTexts):
    """The past as the gate asks for it, from the journal and the log. Each answer is one indexed
    look-up. What was sent is messages and calls that left, or may have."""

    def __init__(self, connection: Connection, log: LogReader) -> None:
        self._connection = connection
        self._log = log

    def opted_out(self, sender: str, recipient: str) -> str:
        """When and how this recipient opted out of this sender; empty when they did not. The last
        word counts that they said to this sender, or to the messaging service that it is in."""
        ours = person(sender)
        row = self._connection.execute(
            "select source, at, state from consents where recipient = ? and sender in (?, "
            "(select value from meta where key = ?)) order by at desc, sender limit 1",
            (person(recipient), ours, SERVICE_OF + ours),
        ).fetchone()
        return f"{row[0]}, {row[1]}" if row and row[2] == "out" else ""

    def our_numbers(self) -> set[str]:
        """The numbers that people have written to: they are ours."""
        found: set[str] = set()
        last = ""
        while True:  # one step through the index for each of our numbers
            row = self._connection.execute(
                "select min(conversation) from contacts where conversation >= ?", (last,)
            ).fetchone()
            if row[0] is None:
                return found
            ours = row[0].partition("/")[0]
            last = f"{ours}0"  # the sign after the slash
            heard = self._connection.execute(
                "select 1 from contacts where conversation >= ? and conversation < ? "
                "and inbound > 0 limit 1",
                (row[0], last),
            ).fetchone()
            if ours and heard:
                found.add(ours)

    def sent_since(self, conversation: str, since: datetime) -> tuple[list[datetime], int]:
        """When what was sent in a conversation was planned, since then, oldest first; and how much
        that was planned before then has been tried since: after quiet hours, a pause or an outage.
        Of the latter, whatever waited for longer than a week is left out."""
        moment = iso(since)
        rows = self._connection.execute(
            "select planned_at, planned_at < :moment and exists (select 1 from attempts t "
            "where t.action_uid = a.uid and coalesce(t.ended_at, t.started_at) >= :moment) "
            "from actions a where conversation = :conversation and planned_at >= :oldest "
            f"and effect <> '' and state in {_SENT} order by planned_at, id",
            {"moment": moment, "conversation": conversation, "oldest": iso(since - _PATIENCE)},
        ).fetchall()
        sent = [from_iso(planned) for planned, _ in rows if planned >= moment]
        return sent, sum(late for _, late in rows)

    def heard_since(self, conversation: str, since: datetime) -> list[datetime]:
        """When their texts of a conversation were sent to us since then, in the order of arrival;
        not when we heard of them: what is fetched back after a downtime arrives all at once."""
        # The plus keeps SQLite from the index of types, with the texts of everybody in it.
        rows = self._connection.execute(
            "select at from events where conversation = ? and id >= ? and at >= ? "
            "and +type = 'message.received' and trust <> 'claimed' order by id",
            (conversation, self._first_event(since), iso(since)),
        )
        return [from_iso(row[0]) for row in rows]

    def _first_event(self, since: datetime) -> int:
        """The row from which on events may have happened since then: they came later, but for the
        clock of who says when."""
        early = iso(since - timedelta(minutes=5))
        return first_since(self._connection, "events", "received_at", early)

    def heard_last(self, conversation: str, since: datetime, limit: int) -> list[Heard]:
        """Their last texts since then, the newest first."""
        rows = self._connection.execute(
            "select uid, at, received_at from events where conversation = ? and id >= ? "
            "and at >= ? and +type = 'message.received' and trust <> 'claimed' "
            "order by id desc limit ?",
            (conversation, self._first_event(since), iso(since), limit),
        ).fetchall()
        found = []
        for uid, at, received_at in rows:
            said = event(self._connection, self._log, uid)
            found.append(Heard(from_iso(at), from_iso(received_at), said.body if said else ""))
        return found

    def written_since(self, conversation: str, since: datetime) -> list[tuple[datetime, str]]:
        """Our texts since then, oldest first: when they left, and the words."""
        rows = self._connection.execute(
            "select coalesce((select max(started_at) from attempts where action_uid = a.uid), "
            "planned_at) as at, params from actions a where conversation = ? and planned_at >= ? "
            f"and effect = 'message' and state in {_SENT} order by at, id",
            (conversation, iso(since)),
        )
        return [(from_iso(moment), json.loads(params).get("body", "")) for moment, params in rows]

    def conversation_with(self, action: Answering, recipient: str) -> str:
        """The conversation of the event that an action answers, when the recipient caused it."""
        row = self._connection.execute(
            "select conversation, sender from events where uid = ?", (action.event_uid,)
        ).fetchone()
        return str(row[0]) if row and person(row[1]) == person(recipient) else ""

    def ever_tried(self) -> bool:
        """Whether anything was tried before."""
        return self._connection.execute("select max(id) from attempts").fetchone()[0] is not None

    def tries_since(self, since: datetime) -> list[tuple[datetime, str]]:
        """When anything was tried since then, and the kind of action."""
        rows = self._connection.execute(
            "select t.started_at, a.kind from attempts t join actions a on a.uid = t.action_uid "
            "where t.id >= ? and t.started_at >= ? order by t.id",
            (first_since(self._connection, "attempts", "started_at", iso(since)), iso(since)),
        )
        return [(from_iso(row[0]), row[1]) for row in rows]

    def left_since(self, since: datetime, before: datetime) -> list[Left]:
        """What left in this span, or may have, once for each request that was taken, or of which
        nobody knows: those of a rule that say the same together."""
        first = first_since(self._connection, "attempts", "started_at", iso(since))
        rows = self._connection.execute(
            "select a.rule, a.kind, coalesce(json_extract(a.params, '$.body'), ''), count(*) "
            "from attempts t join actions a on a.uid = t.action_uid "
            "where t.id >= ? and t.started_at >= ? and t.started_at < ? "
            "and t.result in ('', 'accepted', 'unknown') group by 1, 2, 3",
            (first, iso(since), iso(before)),
        )
        return [Left(rule, kind, str(body), number) for rule, kind, body, number in rows]


class AheadGateFacts(JournalGateFacts):
    """The past of an action whose event is about to be recorded: what was sent, and who has left.
    Whoever asks what was heard is told by a LookupError that it is not on record yet."""

    def heard_since(self, conversation: str, since: datetime) -> list[datetime]:
        """Not known yet."""
        raise LookupError(NOT_YET)

    def heard_last(self, conversation: str, since: datetime, limit: int) -> list[Heard]:
        """Not known yet."""
        raise LookupError(NOT_YET)

    def conversation_with(self, action: Answering, recipient: str) -> str:
        """Not known yet."""
        raise LookupError(NOT_YET)

    def caused_itself(self, action: Caused) -> bool:
        """Not known yet."""
        raise LookupError(NOT_YET)

    def tries_before(self, event_uid: str) -> int:
        """Not known yet."""
        raise LookupError(NOT_YET)


NOT_YET = "the event is not on record yet"
