"""Loop guard: our own actions that cause each other, and machines that answer us.

Depth holds for every action, and so does the pace of a rule that causes itself: what it asks of
others than Twilio (notices, requests) is refused when that goes on. How people and machines answer
is looked at before texts and calls.

Twilio stops a pair of numbers after 30 replies in 30 seconds only
(https://www.twilio.com/docs/api/errors/14107), and a slow loop never.
"""

import unicodedata
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta

from ringback.action_kinds import is_elsewhere, is_message
from ringback.events import DEEPEST, Event, person
from ringback.rules.addresses import bare
from ringback.rules.reactions import parse, to_ours
from ringback.worker.gate.gate_facts import Asked, GateFacts

WINDOW = timedelta(minutes=10)
TURNS = 5
DEEP = 4
"""So many actions in a row are taken for a loop when they are many: ten rules that all hear of each
other's notices would make thousands before any is as deep as it may be."""
MOST_TRIES = 4
"""So often a rule may try a text again; who counts the tries of a plugin wrongly gains no more."""
FAST = timedelta(seconds=3)
"""A text that comes so soon after ours was written by a machine, or our reply went to one."""
COARSE = timedelta(seconds=1)
"""Twilio tells the moment of a text in whole seconds."""
_MARKS = " \t\r\n>\"'“”„«».,;:!?…-"


class Loops:
    """Knows our own numbers, and looks back at a conversation."""

    def __init__(self, sender: str) -> None:
        self._ours = {_line(sender)} - {""}
        self._learnt: set[str] = set()
        self._rounds: dict[str, deque[datetime]] = {}

    def begin(self, facts: GateFacts) -> None:
        """Take up the numbers that people have written to."""
        self._ours |= {_line(number) for number in facts.our_numbers()}

    def learn(self, event: Event) -> None:
        """Whoever is written to is one of us, as far as it is proven that somebody wrote."""
        if event.trust == "claimed" or event.type != "message.received":
            return
        if event.recipient and event.recipient not in self._learnt:
            self._learnt.add(event.recipient)
            self._ours.add(_line(event.recipient))

    def own(self, action: Asked, now: datetime, facts: GateFacts) -> str:
        """The reason to refuse what our own actions have led to, or nothing. A round of a rule that
        caused itself counts at once. The tries of one text have an end of their own: they are no
        rounds, and what is done about the last of them is none either."""
        elsewhere = is_elsewhere(action.action)
        if action.depth < 2 or not (elsewhere or action.depth > DEEPEST):
            return ""
        tries = getattr(action.action, "retries", 0) or facts.tries_before(action.event_uid)
        depth = action.depth - min(tries, MOST_TRIES)
        if depth > DEEPEST:
            return f"loop: {action.depth} of our own actions caused each other"
        if not elsewhere or (depth < DEEP and (tries or not facts.caused_itself(action))):
            return ""
        rounds = self._rounds.setdefault(action.rule, deque())
        while rounds and rounds[0] < now - WINDOW:
            rounds.popleft()
        if len(rounds) >= TURNS:
            how = f"caused itself, or stood at the end of {DEEP} of our own actions,"
            return f"loop: {action.rule} {how} {TURNS} times in 10 minutes"
        rounds.append(now)
        return ""

    def found(
        self,
        action: Asked,
        recipient: str,
        sent: Sequence[datetime],
        now: datetime,
        facts: GateFacts,
    ) -> str:
        """The reason to refuse, or nothing. `sent` is when we wrote to them lately."""
        if _line(recipient) in self._ours:
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
        our "yes" with a "yes" does neither, and what they wrote before we did, as the "Hi" that we
        answer with "Hi!", is no echo. Nobody who reacts to a text wants the same again: its words
        are quoted in the reaction."""
        if not is_message(action.action):
            return ""
        cause = facts.conversation_with(action, recipient)
        heard = facts.heard_last(cause, since, 2) if cause else ()
        if not heard:
            return ""
        written = facts.written_since(action.conversation, since)
        reaction = to_ours(parse(heard[0].body), [(body, False) for _, body in written])
        if reaction.kind and plain(reaction.text) == plain(action.action.body):
            return f"loop: {recipient} reacts to this very text, which would answer the reaction"
        ours = [(moment, plain(body)) for moment, body in written]
        echoes = 0
        for at, received_at, body in heard:
            said, before = plain(body), min(at + COARSE, received_at)
            earlier = [when for when, text in ours if text == said and when < before]
            if not said or not earlier:
                break
            echoes += 1
            if at - earlier[-1] < FAST and echoes == 1:
                return f"loop: {recipient} sends our own text back at machine speed"
        if echoes == 2:
            return f"loop: {recipient} sends our own texts back, twice in a row"
        return ""


def endless(reason: str) -> bool:
    """Whether an action was refused because it would have been one more round of a loop."""
    return reason.startswith("loop: ") and any(sign in reason for sign in _ENDLESS)


_ENDLESS = ("caused each other", "caused itself", "at machine speed", "twice in a row")


def _line(address: str) -> str:
    """A telephone, however its number is written and on whatever channel."""
    return person(bare(address))


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
