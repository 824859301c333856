"""Questions about conversations: what was said in one, how it stands, and who may be texted."""

from datetime import UTC, datetime

from ringback.events import person
from ringback.runtime import iso
from ringback.store.connection import OVERTAKING, first_at
from ringback.store.consents import SERVICE_OF
from ringback.store.console.contact_lists import ContactLists
from ringback.store.meta import get_meta
from ringback.store.operations.mutes import OF
from ringback.store.queries.files import Row
from ringback.store.queries.run_lists import with_params

LOOKED_AT = 1000
"""So many rows of a conversation are looked at, at most, for one part of it."""
_SAID = "(+type = 'message.received' or +type = 'call.received')"
_BAD = ("failed", "undelivered")


class Chats(ContactLists):
    """What the journal knows of one conversation (`ours/theirs`)."""

    def chat(self, conversation: str, limit: int, before: int = 0) -> tuple[list[Row], int]:
        """What was said and done last in a conversation, the latest first, before that moment (in
        milliseconds): texts and calls of theirs (`side` is `theirs`), ours (`ours`), and what
        people did (`person`). And the moment before which the next part lies; 0 at the end."""
        until = iso(datetime.fromtimestamp(before / 1000, UTC)) if before else ""
        found = [
            *self._theirs_before(conversation, limit + 1, until),
            *self._ours_before(conversation, limit + 1, until),
        ]
        found.sort(key=lambda row: (row["at"], row["side"] == "ours"), reverse=True)
        if len(found) <= limit:
            return [self._complete(row) for row in found], 0
        # The part ends between two moments, so that the next one begins behind it and lacks none.
        cut = found[limit]["at"]
        shown = [row for row in found[:limit] if row["at"] > cut] or found[:limit]
        older = _milliseconds(cut) + (1 if shown[-1]["at"] > cut else 0)
        return [self._complete(row) for row in shown], older

    def _complete(self, row: Row) -> Row:
        """A row with all that is shown of it: bodies are read of those alone that are."""
        if row["side"] == "ours":
            return with_params(row)
        return self._with_fields(row) | {"taken": self._taken(row["uid"])}

    def _theirs_before(self, conversation: str, limit: int, until: str) -> list[Row]:
        bound: tuple[object, ...] = ()
        if until:
            newest = first_at(self._connection, "events", "received_at", until) + OVERTAKING
            bound = (newest, until)
        rows = self._all(
            "select * from (select * from events where conversation = ? and trust <> 'claimed' "
            f"{'and id < ? and received_at < ? ' if bound else ''}order by id desc limit ?) "
            f"as newest where {_SAID} and source not in ('replay', 'internal') "
            "order by id desc limit ?",
            (conversation, *bound, _looked(limit), limit),
        )
        return [row | {"side": "theirs", "at": row["received_at"]} for row in rows]

    def _taken(self, event_uid: str) -> list[str]:
        """The rules of runs that had waited for this text."""
        rows = self._all(
            "select r.rule from turns t join runs r on r.uid = t.run_uid where t.event_uid = ? "
            "and r.event_uid <> t.event_uid limit 9",
            (event_uid,),
        )
        return list(dict.fromkeys(row["rule"] for row in rows))

    def _ours_before(self, conversation: str, limit: int, until: str) -> list[Row]:
        rows = self._all(
            "select *, (select max(t.started_at) from attempts t where t.action_uid = last.uid) "
            "as left_at from (select * from actions where conversation = ? "
            f"{'and planned_at < ? ' if until else ''}order by planned_at desc, id desc limit ?) "
            "last where effect <> '' and state <> 'captured' limit ?",
            (conversation, *([until] if until else []), _looked(limit), limit),
        )
        return [row | {"side": "ours", "at": row["planned_at"]} for row in rows]

    def standing(self, conversation: str) -> Row:
        """How a conversation stands: when they wrote last (`heard_at`) and we did (`wrote_at`),
        whether they have left (`out`), and whether our last text failed (`failing`)."""
        ours, _, theirs = conversation.partition("/")
        contact = self._one(
            "select last_inbound_at, last_outbound_at from contacts where conversation = ?",
            (conversation,),
        )
        last = self._one(
            "select state, outcome, planned_at, remote_sid from actions where conversation = ? "
            "and effect = 'message' order by planned_at desc limit 1",
            (conversation,),
        )
        word = next(iter(self.words(ours, theirs)), None)
        wrote = (contact and contact["last_outbound_at"]) or ""
        if last and last["remote_sid"]:  # the contact's time is of Twilio's clock, heard_at of ours
            wrote = max(wrote, last["planned_at"])
        return {
            "heard_at": (contact and contact["last_inbound_at"]) or "",
            "wrote_at": wrote,
            "out": bool(word and word["state"] == "out"),
            "failing": bool(last and (last["state"] == "failed" or last["outcome"] in _BAD)),
        }

    def words(self, ours: str, theirs: str) -> list[Row]:
        """What is known of the consent of somebody to a number of ours, or to the messaging service
        that it is in: the last word first."""
        sender = person(ours)
        service = get_meta(self._connection, SERVICE_OF + sender)
        return self._all(
            "select sender, recipient, state, source, at from consents where recipient = ? "
            "and sender in (?, ?) order by at desc, sender",
            (person(theirs), sender, service or sender),
        )

    def muted(self, conversation: str, now: str) -> Row | None:
        """The mute of a conversation that holds at this moment."""
        return self._one(OF, (conversation, now))

    def contact(self, conversation: str) -> Row:
        """What is known of a person in this conversation; see `contacts`."""
        row = self._one("select * from contacts where conversation = ?", (conversation,))
        return self.completed(row or {"conversation": conversation})


def _looked(limit: int) -> int:
    """So many rows are looked at for so many: between two texts stand their reports."""
    return min(LOOKED_AT, 50 + 25 * limit)


def _milliseconds(at: str) -> int:
    return round(datetime.fromisoformat(at).timestamp() * 1000)
