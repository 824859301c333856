"""What becomes of the actions that a rule wishes: rows, with their state and reason. Pure.

Voice verbs that belong to one call are one document. When the call waits for an answer they are
written into it; when nothing waits, they become one update of the live call.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from ringback.actions import (
    Action,
    AnswerCall,
    EndCall,
    Hangup,
    PlaceCall,
    Reject,
    Remember,
    SendMessage,
    Stop,
)
from ringback.events import Event, conversation_of
from ringback.rules.engine.admission import stop_reason
from ringback.rules.language import phones
from ringback.runtime import Runtime, iso
from ringback.store.runs import NewAction
from ringback.twilio import segments, twiml

MESSAGE_SECONDS = 4 * 3600
CALL_SECONDS = 3600
LIVE_SECONDS = 30
OTHER_SECONDS = 24 * 3600
TRIAL_PREFIX = "Sent from your Twilio trial account - "
DRAFT = "the rule is a draft: waits for a person's yes"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who wishes: the run, its rule and what kind of rule that is."""

    run_uid: str
    rule: str
    state: str
    first_ordinal: int = 0


@dataclass(frozen=True, slots=True)
class Planned:
    """The rows to write, the answer for the call that waits (None: none), and a stop's reason."""

    actions: tuple[NewAction, ...]
    twiml: str | None
    stop: str | None


def plan(
    wished: Origin,
    event: Event,
    actions: Iterable[Action],
    *,
    runtime: Runtime,
    account_sid: str,
    default_sender: str,
    waiting_call: str,
) -> Planned:
    """Turn wishes into rows. `waiting_call` is the SID of the call that waits, or empty."""
    now = runtime.now()
    rows: list[NewAction] = []
    answer: str | None = None
    stop: str | None = None
    for wish in map(_addressed, _documents(actions, waiting_call)):
        if isinstance(wish, Stop):
            stop = stop_reason(wished.rule, wish)
            continue
        state, reason = _first_state(wished, wish)
        settled = None
        if state == "planned" and isinstance(wish, AnswerCall) and wish.call_sid == waiting_call:
            if answer is None:
                answer = twiml.document(wish.verbs)
                state, reason = "settled", "written into the answer that the call waited for"
            else:
                state, reason = "refused", "the call was answered already"
        if state == "planned" and isinstance(wish, Remember):
            state, reason = "settled", "noted"
        if state != "planned":
            settled = iso(now)
        sender = default_sender
        rows.append(
            NewAction(
                uid=runtime.uid("act"), run_uid=wished.run_uid, event_uid=event.uid,
                rule=wished.rule, ordinal=wished.first_ordinal + len(rows), action=wish,
                state=state, reason=reason, planned_at=iso(now), settled_at=settled,
                conversation=_conversation(wish, event, sender),
                collision_key=collision_key(wish, account_sid, sender),
                depth=event.depth + 1,
                send_by=iso(now + timedelta(seconds=patience(wish))),
            )
        )  # fmt: skip
    return Planned(tuple(rows), answer, stop)


def _addressed(wish: Action) -> Action:
    """To a number in one spelling: consent, budgets and evidence all go by it."""
    if isinstance(wish, SendMessage | PlaceCall) and (to := phones.plain(wish.to)) != wish.to:
        return replace(wish, to=to)
    return wish


def _first_state(wished: Origin, wish: Action) -> tuple[str, str]:
    if wished.state == "shadow":
        return "captured", "the rule is in shadow: nothing is done"
    if wished.state == "draft":
        return "parked", DRAFT
    return "planned", ""


def _documents(actions: Iterable[Action], waiting_call: str) -> Sequence[Action]:
    """Join what is said to one call, and choose between a document and a plain hang-up."""
    joined: list[Action] = []
    for wish in actions:
        if isinstance(wish, EndCall) and wish.call_sid == waiting_call:
            wish = AnswerCall(wish.call_sid, (Hangup(),))
        last = joined[-1] if joined else None
        if (
            isinstance(wish, AnswerCall)
            and isinstance(last, AnswerCall)
            and last.call_sid == wish.call_sid
        ):
            joined[-1] = replace(last, verbs=last.verbs + wish.verbs)
        else:
            joined.append(wish)
    return [_update(wish) if _nothing_waits(wish, waiting_call) else wish for wish in joined]


def _nothing_waits(wish: Action, waiting_call: str) -> bool:
    return isinstance(wish, AnswerCall) and wish.call_sid != waiting_call


def _update(wish: Action) -> Action:
    """A live call can be hung up by its status; a Reject after the answer is a hang-up too."""
    assert isinstance(wish, AnswerCall)
    if wish.verbs and isinstance(wish.verbs[0], Hangup | Reject):
        return EndCall(wish.call_sid)
    return wish


def patience(wish: Action) -> int:
    """For how many seconds a wish stays good."""
    match wish:
        case SendMessage():
            return wish.send_by or MESSAGE_SECONDS
        case PlaceCall():
            return wish.send_by or CALL_SECONDS
        case AnswerCall() | EndCall():
            return LIVE_SECONDS
    return OTHER_SECONDS


def _conversation(wish: Action, event: Event, default_sender: str) -> str:
    match wish:
        case SendMessage():
            ours = wish.sender or wish.messaging_service_sid or default_sender
            return conversation_of(ours, wish.to)
        case PlaceCall():
            return conversation_of(wish.sender or default_sender, wish.to)
        case Remember():
            return wish.conversation
    return event.conversation


def collision_key(wish: Action, account_sid: str, default_sender: str) -> str:
    """The identity of a send in Twilio's own list: two open ones must not share it.

    Empty for everything that leaves no record to be found again.
    """
    match wish:
        case SendMessage():
            parts = [
                "message", wish.messaging_service_sid or wish.sender or default_sender, wish.to,
                comparable(wish.body), str(len(wish.media)),
                wish.extra.get("ContentSid", ""), wish.extra.get("ContentVariables", ""),
            ]  # fmt: skip
        case PlaceCall():
            parts = ["call", wish.sender or default_sender, wish.to]
        case _:
            return ""
    text = "\x1f".join([account_sid, *parts])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def comparable(body: str) -> str:
    """A text as Twilio's record of it can be compared with ours: normalised, look-alikes replaced
    as smart encoding does, without what a trial account puts in front."""
    plain = segments.smart(unicodedata.normalize("NFC", body))
    return plain.removeprefix(TRIAL_PREFIX).strip()
