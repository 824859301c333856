"""Retry policy: what may be tried in place of a text that failed, by its error. Pure.

The same again later where the catalogue of errors says that it can help, from another sender or on
another channel where that is what stands in the way, and nothing else. Each try counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from ringback.actions import PlaceCall, SendMessage
from ringback.error_codes import ErrorCode, explain_error, listed
from ringback.events import Event
from ringback.rules.language import phones
from ringback.runtime import iso
from ringback.verbs import Say

WHATSAPP = "whatsapp:"
CHANNELS = ("whatsapp", "sms", "call")
_AT_MOST_TWICE = 1
"""Where a repeat may reach the person a second time there is one, and no more."""
_HOPELESS = {63049: frozenset({"US"})}
"""Codes, and the countries of recipients to whom the same does not arrive later either.
https://www.twilio.com/docs/api/errors/63049"""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a text that failed may be tried again.

    `tries` is how often, beyond the first. `senders` are numbers of ours to take in this order when
    the sender stands in the way, `channels` (`whatsapp`, `sms`, `call`) those to go on with when
    the channel does; `from_` has the number of ours on a channel, else it is the same one.
    `longest` is the longest wait that is worth it.
    """

    tries: int = 1
    senders: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    from_: Mapping[str, str] = field(default_factory=dict)
    longest: timedelta = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class NextTry:
    """What to do about a text that failed, None for nothing, and why in words."""

    action: SendMessage | PlaceCall | None
    why: str


def another_try(text: SendMessage, error: ErrorCode, policy: RetryPolicy, now: datetime) -> NextTry:
    """What to try in place of a text that failed with this error. `now` is in UTC."""
    if not error.listed or error.error_class == "recipient_opted_out":
        return NextTry(None, f"error {error.code}: {error.retry or 'nothing is known'}")
    if not (text.body or text.media or text.extra):
        return NextTry(None, "what it said is no longer kept")
    most = min(policy.tries, _AT_MOST_TWICE) if error.twice else policy.tries
    if text.retries >= most:
        return NextTry(None, f"it was tried again {text.retries} times, {most} are allowed")
    return (
        _from_another(text, error, policy)
        or _elsewhere(text, error, policy)
        or _later(text, error, policy, now)
    )


def can_help(error_class: str) -> bool:
    """Whether there is an error of this class after which another try may arrive."""
    return error_class != "recipient_opted_out" and any(
        each.may_retry or {"sender", "channel"} & {*each.instead}
        for each in listed() if each.error_class == error_class
    )  # fmt: skip


def _from_another(text: SendMessage, error: ErrorCode, policy: RetryPolicy) -> NextTry | None:
    """The same from the sender behind this one in the list, on the same channel."""
    if "sender" not in error.instead:
        return None
    used = text.messaging_service_sid or text.sender
    at = policy.senders.index(used) + 1 if used in policy.senders else 0
    fits = [
        each for each in policy.senders[at:]
        if each.startswith(WHATSAPP) == text.to.startswith(WHATSAPP) and each != used
    ]  # fmt: skip
    if not fits:
        return None
    sender, service = ("", fits[0]) if fits[0].startswith("MG") else (fits[0], "")
    again = replace(
        text, sender=sender, messaging_service_sid=service, retries=text.retries + 1, not_before=""
    )
    return NextTry(again, f"error {error.code}: the same from {fits[0]}")


def _elsewhere(text: SendMessage, error: ErrorCode, policy: RetryPolicy) -> NextTry | None:
    """The same on the channel behind this one in the list."""
    number = text.to.removeprefix(WHATSAPP)
    if "channel" not in error.instead or not number.startswith("+"):
        return None
    used = "whatsapp" if text.to.startswith(WHATSAPP) else "sms"
    at = policy.channels.index(used) + 1 if used in policy.channels else 0
    for channel in policy.channels[at:]:
        found = _on(channel, text, number, policy) if channel != used else None
        if found is not None:
            return NextTry(found, f"error {error.code}: the same by {channel}")
    return None


def _on(
    channel: str, text: SendMessage, number: str, policy: RetryPolicy
) -> SendMessage | PlaceCall | None:
    sender = policy.from_.get(channel, text.sender.removeprefix(WHATSAPP))
    if channel == "call":
        return PlaceCall(number, (Say(text.body),), sender=sender) if text.body else None
    to = f"{WHATSAPP}{number}" if channel == "whatsapp" else number
    if channel == "whatsapp" and sender and not sender.startswith((WHATSAPP, "MG")):
        sender = f"{WHATSAPP}{sender}"
    service = text.messaging_service_sid if not policy.from_.get(channel) else ""
    if sender.startswith("MG"):
        sender, service = "", sender
    return replace(
        text, to=to, sender=sender, messaging_service_sid=service, retries=text.retries + 1,
        not_before="",
    )  # fmt: skip


def _later(text: SendMessage, error: ErrorCode, policy: RetryPolicy, now: datetime) -> NextTry:
    """The same, and each time twice as long after the last one."""
    says = f"error {error.code}: {error.retry}"
    if not error.may_retry or _is_hopeless(error, text.to):
        return NextTry(None, says)
    wait = timedelta(seconds=error.retry_after) * 2**text.retries
    if wait > policy.longest or (text.send_by and wait > timedelta(seconds=text.send_by)):
        return NextTry(None, f"{says}; in {wait} it is worth nothing any more")
    again = replace(text, retries=text.retries + 1, not_before=iso(now + wait), in_reply_to="")
    return NextTry(again, f"error {error.code}: the same {error.wait}")


def _is_hopeless(error: ErrorCode, to: str) -> bool:
    return phones.country(to.removeprefix(WHATSAPP)) in _HOPELESS.get(error.code, ())


@dataclass(frozen=True, slots=True)
class FailedText:
    """A text of ours that failed, as it was asked for, and when that was."""

    text: SendMessage
    planned_at: datetime


class PastFailures(Protocol):
    """What a try asks of the past."""

    def failed_text(self, action_uid: str) -> FailedText | None:
        """The text of this action, None unless it is one and stands as failed."""


def step_try(
    rule: str, event: Event, given: Mapping[str, Any], past: PastFailures, now: datetime
) -> NextTry | str:
    """What the step `retry` of a rule does about the end of an action, with its parameters
    rendered; why not in words when that is none of the texts that it is for.

    A try is good until `within` is over, counted from the first text: its `send_by` says so.
    """
    by = event.fields.get("Rule", "")
    failed = None
    if event.type == "action.failed":
        failed = past.failed_text(event.fields.get("ActionUid", ""))
    if failed is None:
        return "it is no text that failed"
    own_try = by == rule and failed.text.retries
    if given["rules"] and by not in given["rules"] and not own_try:
        return f"the text is of {by or 'no rule'}"
    if given["classes"] and event.error_class not in given["classes"]:
        return f"error {event.error_code} is of class {event.error_class or 'none'}"
    lasts = failed.text.send_by or given["within"]
    left = failed.planned_at + timedelta(seconds=lasts) - now
    if left < timedelta(seconds=1):
        return NextTry(None, f"{timedelta(seconds=lasts)} are over since it was asked for")
    policy = RetryPolicy(
        given["tries"], tuple(given["senders"]), tuple(given["channels"]), given["numbers"], left
    )
    own = failed.text.sender or ("" if failed.text.messaging_service_sid else event.ours)
    text = replace(failed.text, sender=own, send_by=0)
    found = another_try(text, explain_error(event.error_code), policy, now)
    if found.action is None:
        return found
    return replace(found, action=replace(found.action, send_by=int(left.total_seconds())))
