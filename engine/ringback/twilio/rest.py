"""REST requests: from an action to the one request that carries it out. Nothing is sent here.

https://www.twilio.com/docs/usage/api
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, singledispatch
from typing import Any
from urllib.parse import quote

from ringback.action_kinds import sender_of
from ringback.actions import Action, AnswerCall, DequeueCall, EndCall, PlaceCall, SendMessage
from ringback.errors import UsageError
from ringback.outcomes import CALL, MESSAGE
from ringback.twilio import twiml
from ringback.verbs import Verb

VERSION = "/2010-04-01"
MAX_VALIDITY = 36000
MAX_BODY = 1600
MAX_TWIML = 4000
MAX_MEDIA = 10
CALL_EVENTS = ("initiated", "ringing", "answered", "completed")

_DETECTION = {"machine": "Enable", "message": "DetectMessageEnd"}
"""https://www.twilio.com/docs/voice/answering-machine-detection"""
_SID = re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Request:
    """One request to the 2010-04-01 API, as data.

    `path` starts with `/Accounts` and comes behind the base and `/2010-04-01`. `form` is the body
    of a POST and the query of a GET or DELETE; a name may be repeated. `resource` names the
    collection, for limits and breakers. `makes` lists the SID prefixes that the reply to a create
    must carry, and is empty for everything else.
    """

    method: str
    path: str
    form: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    resource: str = ""
    makes: tuple[str, ...] = ()

    @property
    def writes(self) -> bool:
        """Whether it may change something in the world."""
        return self.method != "GET"

    @property
    def account_sid(self) -> str:
        """The account in the path; empty for the list of accounts."""
        return _account_of(self.path)


@lru_cache(512)
def _account_of(path: str) -> str:
    parts = path.split("/")
    return parts[2].removesuffix(".json") if len(parts) > 2 else ""


def is_sid(text: object, *prefixes: str) -> bool:
    """Whether this is a SID: two capitals and 32 hexadecimal digits, of one of these prefixes."""
    return (
        isinstance(text, str)
        and _SID.fullmatch(text) is not None
        and (not prefixes or text[:2] in prefixes)
    )


def sid(text: str, *prefixes: str, allow: Iterable[str] = ()) -> str:
    """The SID itself, fit for a path. Raises UsageError that says what was expected."""
    if text in allow or is_sid(text, *prefixes):
        return text
    expected = " or ".join(f"{prefix}…" for prefix in prefixes) or "a SID"
    raise UsageError(f"{text!r} is not a SID ({expected}: two letters and 32 hexadecimal digits)")


@lru_cache(512)
def path(account_sid: str, *parts: str) -> str:
    """The path of a resource of an account, each part percent-encoded."""
    inner = "".join(f"/{quote(part, safe='')}" for part in parts)
    return f"/Accounts/{sid(account_sid, 'AC')}{inner}.json"


@dataclass(frozen=True, slots=True)
class Given:
    """What a request is made of besides its action.

    `sender` is the configured one. `callback_url` is the tagged StatusCallback, with its connection
    overrides; empty when nobody can be called back. `seconds_left` bounds how long an accepted
    message may wait in Twilio's queue.
    """

    account_sid: str
    sender: str = ""
    callback_url: str = ""
    seconds_left: int = 0

    @property
    def callback(self) -> list[tuple[str, str]]:
        """The parameter that asks for status callbacks, where there is an address for them."""
        return [("StatusCallback", _absolute(self.callback_url))] if self.callback_url else []


def request_for(
    action: Action,
    *,
    account_sid: str,
    default_sender: str = "",
    callback_url: str = "",
    seconds_left: int = 0,
) -> Request:
    """The request that carries out an action. See `Given` for the words.

    Raises UsageError for an action that no request can carry out: that is final, repeating it
    changes nothing.
    """
    return build(action, Given(account_sid, default_sender, callback_url, seconds_left))


@singledispatch
def build(action: Any, given: Given) -> Request:
    """The request of an action, by its class. `build.register` adds that of another class."""
    raise UsageError(f"{action.kind}: no request to Twilio carries this out")


@build.register
def _message(action: SendMessage, given: Given) -> Request:
    sender = sender_of(action, given.sender)
    content = bool(action.body or action.media or "ContentSid" in action.extra)
    if not action.to:
        raise UsageError("send: no recipient; give `to`")
    if not sender:
        raise UsageError("send: no sender; give one, or set RINGBACK_SENDER")
    if not content:
        raise UsageError("send: nothing to say; give a body or media")
    if len(action.body) > MAX_BODY:
        raise UsageError(f"send: {len(action.body)} characters, Twilio takes {MAX_BODY} (21617)")
    if len(action.media) > MAX_MEDIA:
        raise UsageError(f"send: {len(action.media)} media, Twilio takes {MAX_MEDIA}")
    form = [("To", action.to)]
    if is_sid(sender, "MG"):
        form.append(("MessagingServiceSid", sender))
        if action.sender and action.sender != sender:
            form.append(("From", action.sender))
    else:
        form.append(("From", sender))
    if action.body:
        form.append(("Body", action.body))
    form += [("MediaUrl", _absolute(url)) for url in action.media]
    form += given.callback
    if given.seconds_left > 0 and "ValidityPeriod" not in action.extra:
        form.append(("ValidityPeriod", str(min(given.seconds_left, MAX_VALIDITY))))
    return Request(
        "POST",
        path(given.account_sid, "Messages"),
        _with_extra("send", form, action.extra),
        "messages",
        MESSAGE.sid_prefixes,
    )


@build.register
def _call(action: PlaceCall, given: Given) -> Request:
    sender = action.sender or given.sender
    if not action.to:
        raise UsageError("call: no number to call; give `to`")
    if not sender:
        raise UsageError("call: no caller; give a sender, or set RINGBACK_SENDER")
    form = [("To", action.to), ("From", sender)]
    if action.step and action.url.startswith("/"):
        raise UsageError("call: needs RINGBACK_PUBLIC_URL, where Twilio asks what they shall hear")
    if action.url:
        form.append(("Url", _absolute(action.url)))
    elif action.verbs:
        form.append(("Twiml", _inline(action.verbs)))
    elif "ApplicationSid" not in action.extra:
        raise UsageError("call: nothing to run; give something to say, or the url of TwiML")
    if given.callback:
        form += given.callback
        form += [("StatusCallbackEvent", event) for event in CALL_EVENTS]
    form.append(("Timeout", str(min(max(action.timeout, 1), 600))))
    if action.detects:
        form.append(("MachineDetection", _DETECTION[action.detects]))
    return Request(
        "POST",
        path(given.account_sid, "Calls"),
        _with_extra("call", form, action.extra),
        "calls",
        CALL.sid_prefixes,
    )


@build.register
def _end(action: EndCall, given: Given) -> Request:
    return _update(action.call_sid, ("Status", "completed"), given)


@build.register
def _answer(action: AnswerCall, given: Given) -> Request:
    return _update(action.call_sid, ("Twiml", _inline(action.verbs)), given)


@build.register
def _dequeue(action: DequeueCall, given: Given) -> Request:
    member = sid(action.call_sid, "CA", allow=("Front",))
    return Request(
        "POST",
        path(given.account_sid, "Queues", sid(action.queue_sid, "QU"), "Members", member),
        (("Url", _absolute(action.url)), ("Method", "POST")),
        "queues",
    )


def _update(call_sid: str, change: tuple[str, str], given: Given) -> Request:
    where = path(given.account_sid, "Calls", sid(call_sid, "CA"))
    return Request("POST", where, (change,), "calls")


def _inline(verbs: Iterable[Verb]) -> str:
    text = twiml.document(verbs, absolute=True)
    if len(text) > MAX_TWIML:
        raise UsageError(
            f"the TwiML has {len(text)} characters, a REST request carries {MAX_TWIML} (32018); "
            "put it behind a url"
        )
    return text


def _with_extra(
    step: str, form: list[tuple[str, str]], extra: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    """The form with the rule's own further parameters, which may add but never replace."""
    if not extra:
        return tuple(form)
    taken = {name for name, _ in form}
    clash = sorted(taken.intersection(extra))
    if clash:
        raise UsageError(f"{step}: {', '.join(clash)} cannot be given a second time in `extra`")
    return (*form, *((name, str(value)) for name, value in extra.items()))


def _absolute(url: str) -> str:
    if not re.match(r"https?://[^/\s]+", url, re.IGNORECASE):
        raise UsageError(f"{url!r} is not an absolute http or https URL")
    return url
