"""People: who may be texted, what is known of a number, and what was said with it."""

from datetime import datetime

from ringback.events import person
from ringback.runtime import iso
from ringback.store.connection import first_since
from ringback.store.meta import IS_OPEN
from ringback.store.queries.action_search import READ
from ringback.store.queries.delivered_texts import DeliveredTexts
from ringback.store.queries.files import Row, loads
from ringback.store.queries.run_lists import with_params

ALL = 2**62
LOOKED_AT = 1000
"""So many events of a conversation are looked at for runs that still wait."""


class People(DeliveredTexts):
    """What the journal knows of single people."""

    def consents(
        self,
        *,
        state: str = "",
        number: str = "",
        sender: str = "",
        since: str = "",
        limit: int = 50,
    ) -> list[Row]:
        """Who may be texted by whom (`in`) and who may not (`out`), the last word first. `number`
        is a recipient, `since` a stored time. At most the newest `READ` are looked at."""
        # One index finds them, that of recipients or that of times: the newest of them are asked.
        first = "recipient = ? and " if number else ""
        rest = {"state = ?": state, "sender = ?": person(sender)}
        asked = " and ".join(clause for clause, value in rest.items() if value)
        return self._all(
            f"select * from (select * from consents where {first}at >= ? order by at desc limit ?) "
            f"as newest {f'where {asked}' if asked else ''} limit ?",
            [
                *([person(number)] if number else []), since, READ,
                *(value for value in rest.values() if value), limit,
            ],
        )  # fmt: skip

    def contacts(self, number: str) -> list[Row]:
        """What is known of a person in each conversation with one of our numbers, the latest first:
        the row of `contacts`, its `memory` read, or only `conversation` for a caller who never
        texted; the `consents`; and the runs that still wait (`waits`)."""
        who = person(number)
        found = []
        for conversation in self.conversations(number):
            row = self._one("select * from contacts where conversation = ?", (conversation,))
            found.append(self.completed(row or {"conversation": conversation}))
        consents = self.consents(number=who, limit=LOOKED_AT)
        for contact in found:
            ours, _, theirs = contact["conversation"].partition("/")
            contact["sender"], contact["recipient"] = ours, theirs
            contact["consents"] = [each for each in consents if each["recipient"] == theirs]
        return found

    def completed(self, contact: Row) -> Row:
        """A contact with its `memory` read, and what `waits` for it."""
        return contact | {
            "memory": loads(contact.get("memory"), {}),
            "waits": self._waits(contact["conversation"]),
        }

    def _waits(self, conversation: str) -> list[Row]:
        return self._all(
            "select r.uid, r.rule, r.state, r.reason, r.due_at from (select uid from events "
            "where conversation = ? order by id desc limit ?) e cross join runs r "
            f"where r.event_uid = e.uid and {IS_OPEN.replace('state', 'r.state')} order by r.id",
            (conversation, LOOKED_AT),
        )

    def transcript(self, conversations: list[str], limit: int) -> list[Row]:
        """What was said last in these conversations, oldest first, at most so many: the texts and
        calls of theirs (events with `fields`), and those of ours (actions with `params`), each with
        `at` and `ours`."""
        found: list[Row] = []
        for conversation in conversations:
            found += self._theirs(conversation, limit)
            found += self._ours(conversation, limit)
        return sorted(found, key=lambda row: (row["at"], row["ours"]))[-limit:]

    def _theirs(self, conversation: str, limit: int) -> list[Row]:
        # The plus keeps SQLite from the index of types, with everybody's texts in it.
        rows = self._all(
            "select * from events where conversation = ? and trust <> 'claimed' "
            "and (+type = 'message.received' or +type = 'call.received') "
            "and source not in ('replay', 'internal') order by id desc limit ?",
            (conversation, limit),
        )
        return [self._with_fields(row) | {"ours": False, "at": row["received_at"]} for row in rows]

    def _ours(self, conversation: str, limit: int) -> list[Row]:
        rows = self._all(
            "select *, (select max(t.started_at) from attempts t where t.action_uid = a.uid) "
            "as left_at from actions a where conversation = ? "
            "and effect <> '' and state <> 'captured' order by planned_at desc, id desc limit ?",
            (conversation, limit),
        )
        return [
            with_params(row) | {"ours": True, "at": row["left_at"] or row["planned_at"]}
            for row in rows
        ]

    def left_since(self, since: datetime, limit: int = ALL) -> list[Row]:
        """Each request since then that was taken, or of which nobody knows, with the action that it
        was made for: `rule`, `kind`, `effect`, `params`, `conversation`, `segments`, `price` and
        `price_unit`; and when it left (`at`). The newest of them, where a limit is given. Costs
        what left in that time."""
        first = first_since(self._connection, "attempts", "started_at", iso(since))
        rows = self._all(
            "select a.uid, a.rule, a.kind, a.effect, a.params, a.conversation, a.segments, "
            "a.price, a.price_unit, a.state, t.started_at as at "
            "from attempts t join actions a on a.uid = t.action_uid "
            "where t.id >= ? and t.started_at >= ? "
            "and t.result in ('', 'accepted', 'unknown') order by t.id desc limit ?",
            (first, iso(since), limit),
        )[::-1]
        return [row | {"params": loads(row["params"], {})} for row in rows]
