"""Failures in a case: a message or call that a rule has sent does not arrive."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from ringback.action_kinds import Outgoing, is_message, is_outgoing
from ringback.actions import SendMessage
from ringback.error_codes import error_class
from ringback.events import Event, cause_fields, conversation_of
from ringback.rules.retry_policy import FailedText
from ringback.testing import events
from ringback.testing.reaction import Reaction


class Sent(NamedTuple):
    """A message or call that has left: the rule that made it, the event that it came of, and the
    names that Twilio and the journal have for it."""

    rule: str
    action: Outgoing
    event: Event | None
    sid: str
    uid: str


_UNANSWERED = ("busy", "no-answer", "failed", "canceled")
"""How a call of ours ends that nobody has answered."""


def error_code(given: Any) -> int:
    """Twilio's error code of a case. Raises ValueError."""
    if not str(given).isdecimal():
        raise ValueError(f"an error is a number of Twilio's, like 30003, and not {given!r}")
    return int(given)


class Wished(NamedTuple):
    """What a rule has made, which may leave later."""

    rule: str
    action: Any
    event: Event | None


def wished(reaction: Reaction, event: Event | None) -> list[Wished]:
    """What a reaction has made."""
    return [
        Wished(rule, action, event) for rule, made in reaction.by.items() for action in made
    ]  # fmt: skip


def outgoing(reaction: Reaction, made: Sequence[Wished]) -> list[Sent]:
    """What a reaction has let out to people, of all that was `made` before."""
    return [
        Sent(*each, events.sid("SM" if is_message(each.action) else "CA"), events.sid("act_"))
        for each in made
        if is_outgoing(each.action) and any(each.action is one for one in reaction.sent)
    ]


def can_fail(sent: Sequence[Sent], now: datetime) -> dict[str, FailedText]:
    """The texts among these as a retry asks for them, by their actions."""
    return {
        each.uid: FailedText(each.action, now)
        for each in sent if isinstance(each.action, SendMessage)
    }  # fmt: skip


def failure(given: Any, sent: Sequence[Sent]) -> list[Event]:
    """What comes in when the last thing that was sent fails, or the last one to `to`: the report of
    Twilio, and the end of the action. `given` is the error code, the status of a call,
    or a mapping with `error`, `to`, `status` and `reason`. Raises ValueError when none was sent."""
    words = dict(given) if isinstance(given, dict) else {"error": given}
    if given in _UNANSWERED:
        words = {"status": given}
    unknown = sorted(set(words) - {"error", "to", "status", "reason"})
    if unknown:
        raise ValueError(f"fails has no {unknown[0]!r}; it has error, to, status, reason")
    to = words.get("to", "")
    found = [each for each in sent if not to or each.action.to == to]
    if not found:
        raise ValueError(f"nothing was sent{f' to {to}' if to else ''} that could fail")
    rule, action, event, sid, uid = found[-1]
    error = error_code(words.get("error") or (30003 if is_message(action) else 0))
    ours = action.sender or (event.ours if event else "") or events.OURS
    theirs = action.to
    if is_message(action):
        status = words.get("status", "undelivered")
        report = events.message_status(
            status, from_=ours, to=theirs, error_code=error, MessageSid=sid
        )
    else:
        status = words.get("status", "failed")
        report = events.call_status(
            status, from_=ours, to=theirs, direction="outbound-api", CallSid=sid, ErrorCode=error
        )
        report = replace(report, tag=getattr(action, "step", ""))
    cause = cause_fields(uid, rule, events.sid("run_"), event)
    end = Event(
        events.sid("evt_"), "action.failed", events.NOON, events.NOON, source="internal",
        subject_sid=sid, sender=ours, recipient=theirs, status=status, error_code=error,
        error_class=error_class(error), conversation=conversation_of(ours, theirs),
        fields={
            **cause, "Kind": action.kind, "State": "failed", "Reason": words.get("reason", ""),
        },
    )  # fmt: skip
    return [report, end]
