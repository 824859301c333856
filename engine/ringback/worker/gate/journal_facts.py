"""The gate's past as the journal and the log hold it."""

import json
from collections.abc import Iterable
from datetime import datetime

from ringback.actions import Action
from ringback.runtime import from_iso, iso
from ringback.store import attempts, consents, events
from ringback.store.journal import Journal
from ringback.store.log import LogReader
from ringback.worker.gate.gate_facts import Asked


class JournalGateFacts:
    """Answers each question of the gate with one indexed look-up; see `GateFacts`."""

    def __init__(self, journal: Journal, log: LogReader) -> None:
        self._journal = journal
        self._log = log

    def opted_out(self, sender: str, recipient: str) -> str:
        """How and when this recipient opted out of this sender."""
        return consents.opted_out(self._journal.reader, sender, recipient)

    def our_numbers(self) -> set[str]:
        """The numbers that people have written to."""
        return consents.our_numbers(self._journal.reader)

    def sent_since(self, conversation: str, since: datetime) -> list[datetime]:
        """When what was sent in a conversation was planned."""
        found = consents.sent_since(self._journal.reader, conversation, iso(since))
        return [from_iso(moment) for moment in found]

    def late_since(self, conversation: str, since: datetime) -> int:
        """How much that was planned before then has been tried since."""
        return consents.late_since(self._journal.reader, conversation, iso(since))

    def heard_since(self, conversation: str, since: datetime) -> list[datetime]:
        """When their texts were sent to us."""
        found = consents.heard_since(self._journal.reader, conversation, iso(since))
        return [from_iso(moment) for moment in found]

    def heard_last(
        self, conversation: str, since: datetime, limit: int
    ) -> list[tuple[datetime, str]]:
        """Their last texts, the newest first."""
        reader = self._journal.reader
        found = []
        for uid, moment in consents.heard_last(reader, conversation, iso(since), limit):
            event = events.event(reader, self._log, uid)
            found.append((from_iso(moment), event.body if event else ""))
        return found

    def written_since(self, conversation: str, since: datetime) -> list[tuple[datetime, str]]:
        """Our texts, oldest first."""
        found = consents.written_since(self._journal.reader, conversation, iso(since))
        return [(from_iso(moment), json.loads(params).get("body", "")) for moment, params in found]

    def conversation_with(self, action: Asked, recipient: str) -> str:
        """The conversation of the event that an action answers, when the recipient caused it."""
        return consents.conversation_with(self._journal.reader, action.event_uid, recipient)

    def tries_since(self, since: datetime) -> list[datetime]:
        """When anything was tried."""
        found = attempts.sent_in_all(self._journal.reader, iso(since))
        return [from_iso(moment) for moment in found]

    def left_since(self, since: datetime, before: datetime) -> Iterable[tuple[str, Action]]:
        """What Twilio took in this span, or may have."""
        return attempts.left_since(self._journal.reader, iso(since), iso(before))
