"""Plan: the rows that the actions of a rule become, with their state and reason. Pure.

Voice verbs that belong to one call are one document. When the call waits for an answer they are
written into it; when nothing waits, they become one update of the live call.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeGuard

from ringback.action_kinds import is_message, is_outgoing, kind_of, lifetime, sender_of
from ringback.actions import Action, AnswerCall, EndCall, Notify, PlaceCall, SendMessage, Stop
from ringback.config import Settings
from ringback.errors import UsageError
from ringback.events import Event, conversation_of
from ringback.gateway.channel_tables import CallTable, person
from ringback.rules import addresses
from ringback.rules.engine.admission import stop_reason
from ringback.rules.language import phones
from ringback.rules.model import WAITS_FOR_YES
from ringback.runtime import Runtime, from_iso, iso
from ringback.store.actions import NewAction, written
from ringback.store.attempts import WRITTEN
from ringback.twilio import segments, twiml
from ringback.twilio.rest import MAX_BODY
from ringback.verbs import Hangup, Reject, Say

TRIAL_PREFIX = "Sent from your Twilio trial account - "
DRAFT = WAITS_FOR_YES
UNHEARD = timedelta(seconds=10)
"""What stands behind an answer that leads the caller on waits for so long at most to hear that the
caller got it."""
BEHIND_ANSWER = "waits until the caller has got the answer before it"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where actions come from: the run, its rule and the state of that rule.

    `texts` are those of this run that nobody has taken yet, the newest by its recipient; None when
    the rule does not want them in order. With `steps` one thing is done after the other: what
    stands behind an answer or update that leads a caller on waits until the caller has got it, or
    Twilio has taken it; the one that it has not taken yet stands in `texts` for nobody.
    """

    run_uid: str
    rule: str
    state: str
    first_ordinal: int = 0
    texts: Mapping[str, str] | None = field(default_factory=dict)
    steps: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """The rows to write, the answer for the call that waits (None: none), and a stop's reason.
    `followed` is the action (uid) of that answer when others wait until the caller has got it."""

    actions: tuple[NewAction, ...]
    twiml: str | None
    stop: str | None
    followed: str = ""


def plan(
    origin: Origin,
    event: Event,
    actions: Iterable[Action],
    *,
    runtime: Runtime,
    settings: Settings,
    waiting_call: str,
    known: str = "",
) -> Planned:
    """Turn actions into rows, to be done in the account of the event. `waiting_call` is the SID of
    the call that waits, or empty; `known` the id of a single action that has one already.

    Raises UsageError for an action that cannot be written down.
    """
    now = runtime.now()
    rows: list[NewAction] = []
    answer: str | None = None
    stop: str | None = None
    answered = followed = ""
    account = settings.account_for(event.account_sid)
    texts = dict(origin.texts or {})
    for wished in joined(actions, waiting_call):
        own, further = _update(wished, waiting_call), ""
        if account != settings.account_sid:
            own, further = _placed(own, event, account, settings.sender)
        action = addressed(_reached(own, settings), event.ours, settings.sender)
        if isinstance(action, Stop):
            stop = stop_reason(origin.rule, action)
            continue
        state, reason = first_state(origin.state, action)
        if state == "planned" and answers(action, waiting_call):
            if answer is None:
                answer = twiml.document(action.verbs)
                state, reason = "settled", WRITTEN
            else:
                state, reason = "refused", "the call was answered already"
        uid, behind = known or runtime.uid("act"), texts.get("", "") if origin.steps else ""
        to = action.to if is_message(action) and origin.texts is not None else ""
        if to:
            behind, texts[to] = texts.get(to, behind), uid
        due_at = None
        if state == "planned" and behind and behind == answered:
            due_at, reason, followed = iso(now + UNHEARD), BEHIND_ANSWER, answered
        leads = origin.steps and isinstance(action, AnswerCall) and action.leads
        if leads and (state == "planned" or reason == WRITTEN):
            answered = uid if reason == WRITTEN else answered
            texts = {"": uid}  # what stands behind it goes by it, whatever it is
        rows.append(
            NewAction(
                uid=uid, run_uid=origin.run_uid, event_uid=event.uid,
                rule=origin.rule, ordinal=origin.first_ordinal + len(rows), action=action,
                params=checked(action),
                state=state, reason=reason, planned_at=iso(now),
                settled_at=iso(now) if state != "planned" else None,
                conversation=_conversation(action, event, settings.sender),
                collision_key=collision_key(
                    action, further or settings.account_sid, settings.sender
                ),
                depth=event.depth + 1, account_sid=further,
                behind=behind, due_at=due_at,
                send_by=iso(now + timedelta(seconds=lifetime(action))),
            )
        )  # fmt: skip
    return Planned(tuple(rows), answer, stop, followed)


def _reached(action: Action, settings: Settings) -> Action:
    """A notice to a person on call as the text or call that it is; where notices are only shown, it
    stays one."""
    if not isinstance(action, Notify) or not (settings.notify or settings.simulated):
        return action
    whom = person(settings.channels, action.via, settings.environ)
    if whom is None:
        return action
    if isinstance(whom, CallTable):
        return PlaceCall(whom.to, (Say(action.text, loop=2),), sender=whom.sender)
    return SendMessage(whom.to, action.text[:MAX_BODY], sender=whom.sender)


def checked(action: Action) -> str:
    """The parameters of an action as they are written down. Raises UsageError when they cannot."""
    try:
        if not_before := getattr(action, "not_before", ""):
            from_iso(not_before)
        params = written(action)
        params.encode()
    except UnicodeEncodeError as error:
        letter = f"{error.object[error.start]!a} is half a character, and means nothing alone"
        raise UsageError(f"{action.kind} cannot be written down: {letter}") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{action.kind} cannot be written down: {error}") from None
    return params


def addressed(action: Action, ours: str, default_sender: str) -> Action:
    """From and to numbers in one spelling: consent, budgets and evidence all go by it. `ours` is
    the number of ours that the event came to; it tells the country when no sender does."""
    if not is_outgoing(action):
        return action
    sender = sender_of(action, default_sender)
    beside = ours if phones.home(ours) else default_sender
    pair = addresses.spelt(sender, action.to, beside)
    if pair == (sender, action.to):
        return action  # type: ignore[return-value]
    spelt: Any = action
    if pair.sender != sender:
        spelt = replace(spelt, sender=pair.sender)
    same: Action = replace(spelt, to=pair.recipient)
    return same


def _placed(action: Action, event: Event, account: str, default: str) -> tuple[Action, str]:
    """An action after an event of a further account, and the account that it is done in (empty:
    that of the settings): it goes out there, from the number that the event is about. Where that is
    none from which it can, as with an error of the debugger or a call of a client, the default
    sender is left, which is one of the configured account."""
    if not is_outgoing(action) or sender_of(action, ""):
        return action, account
    pair = addresses.spelt(event.ours, action.to, default)
    calls = not is_message(action)
    wrong = addresses.unreachable(*pair, calls=calls, known=lambda: True)
    if not event.ours or (wrong and default):
        return action, ""  # type: ignore[return-value]
    there: Any = action
    return replace(there, sender=event.ours), account


def first_state(rule_state: str, action: Action) -> tuple[str, str]:
    """The state of a new action of a rule in this state, with the reason; `planned` to be done."""
    if rule_state == "shadow":
        return "captured", "the rule is in shadow: nothing is done"
    if rule_state == "draft":
        return "parked", DRAFT
    at_once = kind_of(action).at_once
    return ("settled", at_once) if at_once else ("planned", "")


def joined(actions: Iterable[Action], waiting_call: str) -> Sequence[Action]:
    """Join what is said to one call into one document."""
    found: list[Action] = []
    for action in actions:
        if isinstance(action, EndCall) and action.call_sid == waiting_call:
            action = AnswerCall(action.call_sid, (Hangup(),))
        last = found[-1] if found else None
        if (
            isinstance(action, AnswerCall)
            and isinstance(last, AnswerCall)
            and last.call_sid == action.call_sid
        ):
            found[-1] = replace(last, verbs=last.verbs + action.verbs)
        else:
            found.append(action)
    return found


def answers(action: Action, waiting_call: str) -> TypeGuard[AnswerCall]:
    """Whether an action is what the call that waits hears."""
    return isinstance(action, AnswerCall) and action.call_sid == waiting_call


def _update(action: Action, waiting_call: str) -> Action:
    """Of a call that does not wait: it can be hung up by its status, and a Reject after the answer
    is a hang-up too."""
    if not isinstance(action, AnswerCall) or action.call_sid == waiting_call:
        return action
    first = action.verbs[0] if action.verbs else None
    return EndCall(action.call_sid) if isinstance(first, Hangup | Reject) else action


def _conversation(action: Action, event: Event, default_sender: str) -> str:
    if is_outgoing(action):
        return conversation_of(sender_of(action, default_sender), action.to)
    own: str = getattr(action, "conversation", event.conversation)
    return own


def collision_key(action: Action, account_sid: str, default_sender: str) -> str:
    """The identity of a send in Twilio's own list: two open ones must not share it.

    Empty for everything that leaves no record to be found again.
    """
    if not is_outgoing(action):
        return ""
    kind = kind_of(action)
    parts = [account_sid, kind.effect, sender_of(action, default_sender), action.to]
    parts += [telling(action, name) for name in kind.identity]
    text = "\x1f".join(parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def telling(action: Any, name: str) -> str:
    """A field, or a parameter in `extra`, in the form in which Twilio's record can show it."""
    value = getattr(action, name, None)
    if value is None:
        return str(action.extra.get(name, ""))
    return str(len(value)) if isinstance(value, tuple) else comparable(str(value))


def comparable(body: str) -> str:
    """A text as Twilio's record of it can be compared with ours: normalised, look-alikes replaced
    as smart encoding does, without what a trial account puts in front."""
    plain = segments.smart(unicodedata.normalize("NFC", body))
    return plain.removeprefix(TRIAL_PREFIX).strip()
