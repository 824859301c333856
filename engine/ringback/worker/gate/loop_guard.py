"""Loop guard: our own actions that cause each other, and machines that answer us.

Twilio stops a pair of numbers after 30 replies in 30 seconds only
(https://www.twilio.com/docs/api/errors/14107), and a slow loop never.
"""

import unicodedata
from collections.abc import Sequence
from datetime import datetime, timedelta

from ringback.action_kinds import is_message
from ringback.events import Event
from ringback.rules.addresses import bare
from ringback.rules.reactions import parse, to_ours
from ringback.worker.gate.gate_facts import Asked, GateFacts

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

    def __init__(self, sender: str) -> None:
        self._ours = {bare(sender)} - {""}

    def begin(self, facts: GateFacts) -> None:
        """Take up the numbers that people have written to."""
        self._ours |= {bare(number) for number in facts.our_numbers()}

    def learn(self, event: Event) -> None:
        """Whoever is written to is one of us."""
        if event.type == "message.received" and event.recipient:
            self._ours.add(bare(event.recipient))

    def found(
        self,
        action: Asked,
        recipient: str,
        sent: Sequence[datetime],
        now: datetime,
        facts: GateFacts,
    ) -> str:
        """The reason to refuse, or nothing. `sent` is when we wrote to them lately."""
        if action.depth > DEEPEST:
            return f"loop: {action.depth} of our own actions caused each other"
        if bare(recipient) in self._ours:
            return f"loop: {recipient} is our own number"
        since = now - WINDOW
        sent = [moment for moment in sent if moment >= since]
        if not sent:
            return ""
        if echo := self._echo(action, recipient, since, facts):
            return echo
        heard = facts.heard_since(action.conversation, since) if len(sent) >= TURNS else ()
        return self._turns(recipient, sent, heard)

    def _turns(self, recipient: str, sent: Sequence[datetime], heard: Sequence[datetime]) -> str:
        turns = fast_turns(sent, heard)
        if turns >= TURNS:
            return f"loop: {turns} turns at machine speed with {recipient} in 10 minutes"
        return ""

    def _echo(self, action: Asked, recipient: str, since: datetime, facts: GateFacts) -> str:
        """They send back what we wrote: at machine speed, or twice in a row. A person who answers
        our "yes" with a "yes" does neither. Nobody who reacts to a text wants the same again: its
        words are quoted in the reaction."""
        if not is_message(action.action):
            return ""
        cause = facts.conversation_with(action, recipient)
        heard = facts.heard_last(cause, since, 2) if cause else ()
        if not heard:
            return ""
        written = facts.written_since(action.conversation, since)
        reaction = to_ours(parse(heard[0][1]), [(body, False) for _, body in written])
        if reaction.kind and plain(reaction.text) == plain(action.action.body):
            return f"loop: {recipient} reacts to this very text, which would answer the reaction"
        ours = [(moment, plain(body)) for moment, body in written]
        echoes = 0
        for at, body in heard:
            said = plain(body)
            earlier = [when for when, text in ours if text == said and when <= at + COARSE]
            if not said or not earlier:
                break
            echoes += 1
            if at - earlier[-1] < FAST and echoes == 1:
                return f"loop: {recipient} sends our own text back at machine speed"
        if echoes == 2:
            return f"loop: {recipient} sends our own texts back, twice in a row"
        return ""


def plain(text: str) -> str:
    """A text without what an echo may change: case, spacing, quotation marks and full stops."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(_MARKS)


def fast_turns(sent: Sequence[datetime], heard: Sequence[datetime]) -> int:
    """How many of the texts that we heard came at machine speed after one that we sent.
    What we sent at the very moment of hearing is an answer, not a cause."""
    turns, index = 0, 0
    for moment in sorted(heard):
        while index + 1 < len(sent) and sent[index + 1] < moment:
            index += 1
        if sent and sent[index] < moment and moment - sent[index] < FAST:
            turns += 1
    return turns
