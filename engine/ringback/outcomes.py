"""Outcome: what became of an action, folded from the gateway's answer and every later callback.

An action has an outcome when its request makes a record at Twilio: its `effect` is then `message`
or `call`, and a row of `EFFECTS` says what such a record is like. Status is monotone. The order of
arrival never changes the result, because folding takes the highest of a fixed order and nothing
else. https://www.twilio.com/docs/messaging/guides/track-outbound-message-status
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Answered:
    """What a web request came to that a run waits for: the status and text of the answer; without
    an answer the status is 0, and `why` says what happened."""

    status: int = 0
    text: str = ""
    why: str = ""

    def fields(self) -> dict[str, str]:
        """The same as the fields of an event."""
        return {"Status": str(self.status), "Body": self.text, "Reason": self.why}


@dataclass(frozen=True, slots=True)
class Effect:
    """One sort of record at Twilio.

    `name` is also the family of its events (`message.delivered`) and of its status callbacks
    (`/message/status`). `resource` is the collection that lists such records, `sid_prefixes` how
    their SIDs begin. `order` holds its statuses from the lowest to the highest; those in `good` and
    `bad` are final.
    """

    name: str
    resource: str
    sid_prefixes: tuple[str, ...]
    order: tuple[str, ...]
    good: frozenset[str]
    bad: frozenset[str]
    ranks: dict[str, int] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        ranks = {status: rank for rank, status in enumerate(self.order, 1)}
        object.__setattr__(self, "ranks", ranks)


MESSAGE = Effect(
    "message",
    "Messages",
    ("SM", "MM"),
    order=(
        *("accepted", "scheduled", "queued", "sending", "sent", "partially_delivered"),
        *("canceled", "failed", "undelivered", "delivered", "read"),
    ),
    good=frozenset({"delivered", "read"}),
    bad=frozenset({"failed", "undelivered", "canceled"}),
)
CALL = Effect(
    "call",
    "Calls",
    ("CA",),
    order=(
        *("queued", "initiated", "ringing", "answered"),
        *("canceled", "failed", "no-answer", "busy", "completed"),
    ),
    good=frozenset({"completed"}),
    bad=frozenset({"busy", "no-answer", "failed", "canceled"}),
)
EFFECTS = {each.name: each for each in (MESSAGE, CALL)}
_NONE = Effect("", "", (), (), frozenset(), frozenset())


@lru_cache(256)
def normal_status(status: str) -> str:
    """Twilio's status in the spelling of our events: `in-progress` is `answered`."""
    lowered = status.strip().lower()
    return "answered" if lowered == "in-progress" else lowered


def rank(effect: str, status: str) -> int:
    """How far along a status is; 0 for one that is unknown or belongs to another effect.

    Among final statuses the order is fixed as well, so that two that contradict each other fold to
    the same one whichever came first: a proof of delivery outweighs a report of failure.
    """
    return EFFECTS.get(effect, _NONE).ranks.get(status, 0)


def advance(effect: str, current: str, status: str) -> str:
    """The outcome after one more status: the one of the higher rank, `current` when equal."""
    return status if rank(effect, status) > rank(effect, current) else current


def fold(effect: str, statuses: Iterable[str]) -> str:
    """The outcome of any number of statuses, in any order, with any repetition."""
    current = ""
    for status in statuses:
        current = advance(effect, current, status)
    return current


def is_final(effect: str, outcome: str) -> bool:
    """Whether nothing further is expected (a `delivered` may still become `read`)."""
    return state_for(effect, outcome) != "accepted"


def state_for(effect: str, outcome: str) -> str:
    """The action state that an outcome means: `settled`, `failed`, or `accepted` until final."""
    known = EFFECTS.get(effect, _NONE)
    if outcome in known.good:
        return "settled"
    return "failed" if outcome in known.bad else "accepted"
