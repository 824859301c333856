"""Outcome: what became of an action, folded from the gateway's answer and every later callback.

Status is monotone. The order of arrival never changes the result, because folding takes the
highest of a fixed order and nothing else. https://www.twilio.com/docs/messaging/guides/track-outbound-message-status
"""

from collections.abc import Iterable

_MESSAGE_ORDER = (
    "accepted", "scheduled", "queued", "sending", "sent", "partially_delivered",
    "canceled", "failed", "undelivered", "delivered", "read",
)  # fmt: skip
_CALL_ORDER = (
    "queued", "initiated", "ringing", "answered",
    "canceled", "failed", "no-answer", "busy", "completed",
)  # fmt: skip

_RANK = {
    "send_message": {status: rank for rank, status in enumerate(_MESSAGE_ORDER, 1)},
    "place_call": {status: rank for rank, status in enumerate(_CALL_ORDER, 1)},
}

_FINAL_GOOD = {
    "send_message": frozenset({"delivered", "read"}),
    "place_call": frozenset({"completed"}),
}
_FINAL_BAD = {
    "send_message": frozenset({"failed", "undelivered", "canceled"}),
    "place_call": frozenset({"busy", "no-answer", "failed", "canceled"}),
}


def normal_status(status: str) -> str:
    """Twilio's status in the spelling of our events: `in-progress` is `answered`."""
    lowered = status.strip().lower()
    return "answered" if lowered == "in-progress" else lowered


def rank(kind: str, status: str) -> int:
    """How far along a status is; 0 for one that is unknown or belongs to another kind of action.

    Among final statuses the order is fixed as well, so that two that contradict each other fold to
    the same one whichever came first: a proof of delivery outweighs a report of failure.
    """
    return _RANK.get(kind, {}).get(status, 0)


def advance(kind: str, current: str, status: str) -> str:
    """The outcome after one more status: the one of the higher rank, `current` when equal."""
    return status if rank(kind, status) > rank(kind, current) else current


def fold(kind: str, statuses: Iterable[str]) -> str:
    """The outcome of any number of statuses, in any order, with any repetition."""
    current = ""
    for status in statuses:
        current = advance(kind, current, status)
    return current


def is_final(kind: str, outcome: str) -> bool:
    """Whether nothing further is expected (a `delivered` may still become `read`)."""
    return outcome in _FINAL_GOOD.get(kind, ()) or outcome in _FINAL_BAD.get(kind, ())


def state_for(kind: str, outcome: str) -> str:
    """The action state that an outcome means: `settled`, `failed`, or `accepted` until final."""
    if outcome in _FINAL_GOOD.get(kind, ()):
        return "settled"
    if outcome in _FINAL_BAD.get(kind, ()):
        return "failed"
    return "accepted"
