"""Gate facts: what the gate may ask about the past. Moments are UTC.

The worker answers from its journal, a bench from memory, so both are judged by the same gate.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from ringback.actions import Action
from ringback.store.facts import Heard, Left


class Asked(Protocol):
    """An action that is about to leave: who asked for it, after which event, and to whom."""

    @property
    def rule(self) -> str:
        """The rule or hook that asked for it."""

    @property
    def event_uid(self) -> str:
        """The event that it answers."""

    @property
    def conversation(self) -> str:
        """Our number and theirs."""

    @property
    def depth(self) -> int:
        """How many of our own actions caused each other, with this one."""

    @property
    def action(self) -> Action:
        """The action itself."""


class GateFacts(Protocol):
    """The past as the gate sees it. What was sent is messages and calls that left, or may have."""

    def opted_out(self, sender: str, recipient: str) -> str:
        """How and when this recipient opted out of this sender, or of its messaging service; empty
        when their last word was another."""

    def our_numbers(self) -> set[str]:
        """The numbers that people have written to."""

    def sent_since(self, conversation: str, since: datetime) -> tuple[Sequence[datetime], int]:
        """When what was sent in a conversation was planned, since then, oldest first; and how much
        that was planned before then has been tried since."""

    def heard_since(self, conversation: str, since: datetime) -> Sequence[datetime]:
        """When their texts of a conversation were sent to us, in the order of their coming."""

    def heard_last(self, conversation: str, since: datetime, limit: int) -> Sequence[Heard]:
        """Their last texts since then, the newest first."""

    def written_since(self, conversation: str, since: datetime) -> Sequence[tuple[datetime, str]]:
        """Our texts since then, oldest first: when they left, and the words."""

    def conversation_with(self, action: Asked, recipient: str) -> str:
        """The conversation of the event that an action answers, when the recipient caused it."""

    def caused_itself(self, action: Asked) -> bool:
        """Whether an earlier action of the same rule or hook is among those that led to this."""

    def tries_before(self, event_uid: str) -> int:
        """How often the text whose failure this event tells had been tried again."""

    def tried_for(self, event_uid: str) -> str:
        """The state of the action whose end this event tells; empty when it tells of none."""

    def ever_tried(self) -> bool:
        """Whether anything was tried before."""

    def tries_since(self, since: datetime) -> Iterable[tuple[datetime, str]]:
        """When anything was tried since then, oldest first, and the kind of action."""

    def left_since(self, since: datetime, before: datetime) -> Iterable[Left]:
        """The requests that were taken in this span, or may have been."""
