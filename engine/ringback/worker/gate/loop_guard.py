"""Is this a loop: our own actions that cause each other, or a machine that answers us?

Twilio stops a pair of numbers after 30 replies in 30 seconds only
(https://www.twilio.com/docs/api/errors/14107), and a slow loop never.
"""

import json
import unicodedata
from datetime import datetime, timedelta

from ringback.actions import SendMessage
from ringback.events import Event
from ringback.runtime import from_iso, iso
from ringback.store import consents, events
from ringback.store.attempts import StoredAction
from ringback.store.journal import Journal
from ringback.store.log import LogReader

WINDOW = timedelta(minutes=10)
TURNS = 5
FAST = timedelta(seconds=3)
"""A text that comes so soon after ours was written by a machine, or our reply went to one."""
COARSE = timedelta(seconds=1)
"""Twilio tells the moment of a text in whole seconds."""
DEEPEST = 5
"""So many of our own actions may cause each other in a row."""
_MARKS = " \t\r\n>\"'“”„«».,;:!?…-"


class Loops:
    """Knows our own numbers, and looks back at a conversation."""

    def __init__(self, journal: Journal, log: LogReader, sender: str) -> None:
        self._journal = journal
        self._log = log
        self._ours = consents.our_numbers(journal.reader) | ({sender} - {""})

    def learn(self, event: Event) -> None:
        """Whoever is written to is one of us."""
        if event.type == "message.received" and event.recipient:
            self._ours.add(event.recipient)

    def found(self, action: StoredAction, recipient: str, sent: list[str], now: datetime) -> str:
        """The reason to refuse, or nothing. `sent` is when we wrote to them lately."""
        if action.depth > DEEPEST:
            return f"loop: {action.depth} of our own actions caused each other"
        if recipient in self._ours:
            return f"loop: {recipient} is our own number"
        since = iso(now - WINDOW)
        sent = [moment for moment in sent if moment >= since]
        if not sent:
            return ""
        return self._echo(action, recipient, since) or self._turns(action, recipient, sent, since)

    def _turns(self, action: StoredAction, recipient: str, sent: list[str], since: str) -> str:
        if len(sent) < TURNS:
            return ""
        heard = consents.heard_since(self._journal.reader, action.conversation, since)
        turns = fast_turns(
            [from_iso(moment) for moment in sent], [from_iso(moment) for moment in heard]
        )
        if turns >= TURNS:
            return f"loop: {turns} turns at machine speed with {recipient} in 10 minutes"
        return ""

    def _echo(self, action: StoredAction, recipient: str, since: str) -> str:
        """They send back what we wrote: at machine speed, or twice in a row. A person who answers
        our "yes" with a "yes" does neither."""
        if not isinstance(action.action, SendMessage):
            return ""
        reader = self._journal.reader
        cause = consents.conversation_with(reader, action.event_uid, recipient)
        heard = consents.heard_last(reader, cause, since, 2) if cause else []
        if not heard:
            return ""
        ours = [
            (from_iso(moment), plain(json.loads(params).get("body", "")))
            for moment, params in consents.written_since(reader, action.conversation, since)
        ]
        echoes = 0
        for uid, moment in heard:
            event = events.event(reader, self._log, uid)
            said, at = plain(event.body if event else ""), from_iso(moment)
            gone = [when for when, text in ours if text == said and when <= at + COARSE]
            if not said or not gone:
                break
            echoes += 1
            if at - gone[-1] < FAST and echoes == 1:
                return f"loop: {recipient} sends our own text back at machine speed"
        if echoes == 2:
            return f"loop: {recipient} sends our own texts back, twice in a row"
        return ""


def plain(text: str) -> str:
    """A text without what an echo may change: case, spacing, quotation marks and full stops."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(_MARKS)


def fast_turns(sent: list[datetime], heard: list[datetime]) -> int:
    """How many of the texts that we heard came at machine speed after one that we sent.
    What we sent at the very moment of hearing is an answer, not a cause."""
    turns, index = 0, 0
    for moment in sorted(heard):
        while index + 1 < len(sent) and sent[index + 1] < moment:
            index += 1
        if sent and sent[index] < moment and moment - sent[index] < FAST:
            turns += 1
    return turns
