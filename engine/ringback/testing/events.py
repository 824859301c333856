"""Events for tests: what Twilio would post, read by the same code that reads the real thing."""

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from json import dumps
from typing import Any
from urllib.parse import urlencode

from ringback.actions import Action, Broadcast, HttpRequest, PlaceCall, SendMessage
from ringback.error_codes import error_class
from ringback.events import ANSWERED, Event, conversation_of
from ringback.hooks.reading import ID_FIELD, ROUTE, Facts
from ringback.json_data import JSON_FIELD
from ringback.outcomes import Answered
from ringback.plugins.context import SettledAction
from ringback.rules.starts import start_event, text_of
from ringback.runtime import encode_ulid, iso
from ringback.twilio.webhooks import events_from

OURS = "+12025550100"
"""Our number, where nothing else is said."""

THEIRS = "+14155550123"
"""The other side's number, where nothing else is said."""

ACCOUNT = "AC" + "0" * 31 + "1"

NOON = datetime(2026, 3, 4, 17, 0, tzinfo=UTC)
"""The moment of every event where nothing else is said: a Wednesday, noon in New York."""

_count = itertools.count(1)


@dataclass(frozen=True, slots=True)
class _Row:
    received_at: str
    route: str
    trust: str
    source: str
    tag: str
    content_type: str
    body: bytes
    id: int = 0


def webhook(
    route: str, fields: Mapping[str, object], *, at: datetime = NOON, trust: str = "simulated"
) -> Event:
    """The event that a webhook with these fields makes. `route` is that of the log: `message`,
    `message/status`, `call`, `call/status`, `call/step`, `recording`, `debugger`; of another system
    `hook/NAME`, with `Json` and what else its event has as fields.

    Fields are Twilio's, by Twilio's names; those that every request carries are filled in.
    """
    given = {"AccountSid": ACCOUNT, "ApiVersion": "2010-04-01"} | {
        name: str(value) for name, value in fields.items()
    }
    if route.startswith(ROUTE):
        facts = Facts(given.get(ID_FIELD, ""), given.get("From", ""), given.get("To", ""))
        return _delivered(route, given.get(JSON_FIELD, "{}"), facts, at, trust)
    body = urlencode(given).encode()
    row = _Row(iso(at), route, trust, "webhook", "", "application/x-www-form-urlencoded", body)
    return events_from(row, _uid)[0]


def sms(
    body: str = "hello",
    *,
    from_: str = THEIRS,
    to: str = OURS,
    media: tuple[str, ...] = (),
    at: datetime = NOON,
    **fields: object,
) -> Event:
    """A text that somebody sends us (`message.received`). `media` are the URLs of what came along.

    Further keywords are webhook parameters by Twilio's names, such as `FromCity="LONDON"`.
    """
    given: dict[str, object] = {
        "MessageSid": sid("SM"), "From": from_, "To": to, "Body": body,
        "NumMedia": len(media), "NumSegments": 1, "SmsStatus": "received",
    }  # fmt: skip
    for index, url in enumerate(media):
        given |= {f"MediaUrl{index}": url, f"MediaContentType{index}": "image/jpeg"}
    return webhook("message", given | fields, at=at)


def message_status(
    status: str,
    *,
    to: str = THEIRS,
    from_: str = OURS,
    error_code: int = 0,
    at: datetime = NOON,
    **fields: object,
) -> Event:
    """News of a text that we sent (`message.delivered`, `message.failed`…)."""
    given: dict[str, object] = {
        "MessageSid": sid("SM"), "From": from_, "To": to, "MessageStatus": status,
        "SmsStatus": status,
    }  # fmt: skip
    if error_code:
        given["ErrorCode"] = error_code
    return webhook("message/status", given | fields, at=at)


def broadcast_ended(
    broadcast: Broadcast, *, sent: int = 0, refused: int = 0, failed: int = 0
) -> Event:
    """The end of a broadcast that a rule has begun (`broadcast.ended`), with its result."""
    counts = {"sent": sent, "refused": refused, "failed": failed}
    said = ", ".join(f"{name} {count}" for name, count in counts.items())
    fields = {"Body": said, **{name.title(): str(count) for name, count in counts.items()}}
    return Event(
        sid("evt_"), "broadcast.ended", NOON, NOON, source="internal", subject_sid=broadcast.key,
        fields=fields,
    )  # fmt: skip


def incoming_call(
    *, from_: str = THEIRS, to: str = OURS, at: datetime = NOON, **fields: object
) -> Event:
    """Somebody calls us and waits for an answer (`call.received`)."""
    return webhook("call", _call(from_, to, "ringing", "inbound") | fields, at=at)


def call_status(
    status: str,
    *,
    from_: str = THEIRS,
    to: str = OURS,
    direction: str = "inbound",
    at: datetime = NOON,
    **fields: object,
) -> Event:
    """News of a call (`call.no-answer`, `call.completed`…). `from_` is the caller.

    For a call that we placed say `direction="outbound-api"` and give our number as `from_`.
    """
    given = _call(from_, to, status, direction) | {"CallbackSource": "call-progress-events"}
    return webhook("call/status", given | fields, at=at)


def call_step(
    *, from_: str = THEIRS, to: str = OURS, at: datetime = NOON, **fields: object
) -> Event:
    """A call goes on after one of our verbs. The fields say which: `Digits="1"` (`call.gathered`),
    `RecordingUrl=…` (`call.recorded`), `DialCallStatus="busy"` (`call.dialed`), `QueuePosition=2`
    (`call.queued`), `QueueResult="hangup"` (`call.dequeued`).
    """
    return webhook("call/step", _call(from_, to, "in-progress", "inbound") | fields, at=at)


def hook(
    name: str,
    data: Any,
    *,
    from_: str = THEIRS,
    to: str = OURS,
    identity: str = "",
    at: datetime = NOON,
) -> Event:
    """What another system sends (`hook.NAME`), as JSON. `from_` is the number that `phone` finds in
    it, empty for none; `identity` what `id` finds, else each event is another one."""
    facts = Facts(identity or f"test-{next(_count)}", from_, to if from_ else "")
    return _delivered(f"{ROUTE}{name}", json.dumps(data), facts, at, "simulated")


def _delivered(route: str, text: str, facts: Facts, at: datetime, trust: str) -> Event:
    sent = (facts.written(), "application/json", text.encode())
    return events_from(_Row(iso(at), route, trust, "webhook", *sent), _uid)[0]


def started(
    rule: str, data: Any = None, *, to: str = "", ours: str = OURS, at: datetime = NOON
) -> Event:
    """A rule is started by hand or by a program (`rule.started`), for the person `to`."""
    return start_event(rule, to=to, ours=ours, given=text_of(data), at=at, mint=_uid)


def call_answered(
    call: PlaceCall, by: str = "", *, from_: str = "", at: datetime = NOON, **fields: object
) -> Event:
    """Somebody answers a call of ours in which the rule goes on. `by` is what Twilio says when it
    is asked for machines: `human`, `machine_start`, `machine_end_beep`, `fax`, `unknown`."""
    given: dict[str, object] = _call(
        from_ or call.sender or OURS, call.to, "in-progress", "outbound-api"
    )
    given |= {"AnsweredBy": by} if by else {}
    return replace(webhook("call/step", given | fields, at=at), tag=call.step)


def call_ended(
    call: PlaceCall, status: str, *, from_: str = "", at: datetime = NOON, **fields: object
) -> Event:
    """A call of ours in which the rule goes on has ended: `busy`, `no-answer`, `failed`,
    `canceled`, `completed`."""
    event = call_status(
        status, from_=from_ or call.sender or OURS, to=call.to, direction="outbound-api", at=at,
        **fields,
    )  # fmt: skip
    return replace(event, tag=call.step)


def settled(
    wish: Action | None = None,
    *,
    state: str = "settled",
    error_code: int = 0,
    rule: str = "some.rule",
    reason: str = "",
    remote_sid: str | None = None,
) -> SettledAction:
    """An action at its end, for the hook `on_settled`; a delivered text where nothing is said."""
    done = wish or SendMessage(to=THEIRS, body="hello", sender=OURS)
    return SettledAction(
        uid=_uid("act"),
        rule=rule,
        wish=done,
        state=state,
        conversation=conversation_of(OURS, THEIRS),
        outcome="delivered" if state == "settled" else "",
        reason=reason,
        remote_sid=sid("SM") if remote_sid is None else remote_sid,
        error_code=error_code,
        error_class=error_class(error_code),
    )


def http_answer(
    request: Action, *, status: int = 200, json: Any = None, text: str = "", fails: str = ""
) -> Event:
    """The answer to a web request that a run waits for: `status` with `json` or `text`; with
    `fails` none comes, for that reason. Raises ValueError for a request that nothing waits for."""
    if not isinstance(request, HttpRequest) or not request.answer:
        raise ValueError(f"nothing waits for an answer to {request!r:.80}; give its step `as:`")
    body = text if json is None else dumps(json, ensure_ascii=False)
    answer = Answered(why=fails) if fails else Answered(status, body)
    return Event(
        _uid("evt"), ANSWERED, NOON, NOON, source="internal", subject_sid=request.answer,
        status=str(answer.status or ""), fields=answer.fields(),
    )  # fmt: skip


def sid(prefix: str) -> str:
    """A SID that has not been used before: two letters and 32 hex digits."""
    return f"{prefix}{next(_count):032x}"


def _call(from_: str, to: str, status: str, direction: str) -> dict[str, object]:
    return {
        "CallSid": sid("CA"), "From": from_, "To": to, "Caller": from_, "Called": to,
        "CallStatus": status, "Direction": direction,
    }  # fmt: skip


def _uid(prefix: str = "evt") -> str:
    return f"{prefix}_{encode_ulid(int(NOON.timestamp() * 1000), next(_count))}"
