"""Calls: place, change, list, delete.

https://www.twilio.com/docs/voice/api/call-resource
"""

import re
from functools import partial
from typing import Any

from ringback.simulator.form import Form, legal_url
from ringback.simulator.numbering import is_e164, is_sip, is_sip_name, is_voice
from ringback.simulator.refusal import Refusal, invalid, missing
from ringback.simulator.rest import voiceshapes
from ringback.simulator.rest.paging import date_filter, page
from ringback.simulator.rest.route import Ask, Reply, collection, route
from ringback.simulator.sending import VALID_SENDER
from ringback.simulator.switchboard import exchange_of
from ringback.simulator.voice.call_records import Call
from ringback.simulator.voice.ports import (
    Callback,
    CallOptions,
    Detection,
    RecordingSpec,
    Script,
)

LONGEST_TWIML = 4000
EVENTS = frozenset({"initiated", "ringing", "answered", "completed"})
RECORDING_EVENTS = frozenset({"in-progress", "completed", "absent"})
STATUSES = (
    "queued", "ringing", "in-progress", "completed", "busy", "failed", "no-answer", "canceled",
)  # fmt: skip
MAGIC_TO = {
    "+15005550001": (21217, "Phone number does not appear to be valid"),
    "+15005550002": (21214, "To phone number cannot be reached"),
    "+15005550003": (21215, "International permission is not enabled for this destination"),
    "+15005550004": (21216, "This number is on the call block list"),
}


def create(ask: Ask) -> Reply:
    form = ask.form
    to = form.required("To", 21201, "No 'To' number is specified")
    sender = form.required("From", 21213, "No 'From' number is specified")
    if not any(form.text(name) for name in ("Url", "Twiml", "ApplicationSid")):
        raise invalid(21205, "Url parameter is required.")
    if not is_voice(to):
        raise invalid(21211, f"The phone number you are attempting to call, {to[:64]}, is invalid")
    if not is_voice(sender) and not (is_sip(to) and is_sip_name(sender)):
        raise invalid(21212, f"The source phone number {sender[:64]} is not valid")
    script, status = _script(ask)
    options = _options(form, status)
    if to in MAGIC_TO:
        raise invalid(*MAGIC_TO[to])
    if is_e164(sender) and not _may_call(ask, sender):
        raise invalid(21210, f"{sender} is not a number of this account, nor a verified one")
    if to == sender:
        raise invalid(21266, "'To' and 'From' number cannot be the same")
    call = exchange_of(ask.world, ask.account.sid).place(to, sender, script, options)
    return Reply(201, _shape(ask, call), call.sid)


def _may_call(ask: Ask, sender: str) -> bool:
    number = ask.world.number(sender)
    mine = number is not None and number.account_sid == ask.account.sid
    verified = ask.world.verified(ask.account.sid, sender)
    return mine or verified or sender == VALID_SENDER


def _script(ask: Ask) -> tuple[Script, Callback]:
    """The first document of a call, and who hears of its progress."""
    form = ask.form
    if form.text("ApplicationSid"):
        app = ask.world.applications.get(form.text("ApplicationSid"))
        if app is None or app.account_sid != ask.account.sid:
            raise invalid(21218, "ApplicationSid is not valid")
        script = Script(
            app.text("voice_url"),
            app.text("voice_method") or "POST",
            "",
            app.text("voice_fallback_url"),
            app.text("voice_fallback_method") or "POST",
        )
        return script, Callback(app.text("status_callback"), app.text("status_callback_method"))
    twiml = form.text("Twiml")
    if len(twiml) > LONGEST_TWIML:
        raise invalid(32018, f"Twiml may have {LONGEST_TWIML} characters")
    url = form.url("Url", 21205)
    script = Script(
        url,
        form.method("Method", code=21209),
        "" if url else twiml,
        form.url("FallbackUrl", 21502),
        form.method("FallbackMethod", code=21209),
    )
    return script, callback(form, "StatusCallback", EVENTS, 21626)


def callback(
    form: Form, name: str, known: frozenset[str], code: int, default: str = "completed"
) -> Callback:
    """A callback URL with its method and events; events repeat, or stand in one value."""
    asked = frozenset(" ".join(form.many(name + "Event")).split())
    if not asked <= known:
        raise invalid(code, f"{name}Event may be {', '.join(sorted(known))}")
    return Callback(
        form.url(name, 21502),
        form.method(name + "Method", code=21209),
        asked or frozenset({default}),
    )


def _options(form: Form, status: Callback) -> CallOptions:
    digits = form.text("SendDigits")
    if not re.fullmatch(r"[0-9A-D*#wW]{0,32}", digits, re.ASCII):
        raise invalid(21206, "SendDigits may have 32 of 0-9 A-D * # w W")
    return CallOptions(
        status=status,
        timeout=float(form.number("Timeout", 60, 1, 600, 21208)),
        time_limit=float(form.number("TimeLimit", 14_400, 1, 86_400)),
        send_digits=digits,
        record=spec(form, "OutboundAPI") if form.flag("Record") else None,
        detection=Detection() if digits else detection(form),
        caller_name="",
    )


def spec(form: Form, source: str) -> RecordingSpec:
    """How to record, from the parameters of a call or of a recording."""
    channels = form.choice("RecordingChannels", ("mono", "dual"), "mono")
    return RecordingSpec(
        source=source,
        channels=2 if channels == "dual" else 1,
        track=form.choice("RecordingTrack", ("inbound", "outbound", "both"), "both"),
        trim=form.choice("Trim", ("trim-silence", "do-not-trim"), "trim-silence"),
        callback=callback(form, "RecordingStatusCallback", RECORDING_EVENTS, 21626),
    )


def detection(form: Form, callback_name: str = "AsyncAmdStatusCallback") -> Detection:
    """Answering machine detection, from the parameters of a call."""
    mode = form.choice("MachineDetection", ("Enable", "DetectMessageEnd"), "", 21207)
    if not mode:
        return Detection()
    wait = form.number("MachineDetectionTimeout", 30, 3, 59, 21234)
    form.number("MachineDetectionSpeechThreshold", 2400, 1000, 6000, 21234)
    form.number("MachineDetectionSpeechEndThreshold", 1200, 500, 5000, 21234)
    form.number("MachineDetectionSilenceTimeout", 5000, 2000, 10_000, 21234)
    separate = form.flag("AsyncAmd")
    url = form.url(callback_name, 21502)
    if separate and not url:
        raise invalid(21262, "AsyncAmd needs AsyncAmdStatusCallback")
    return Detection(
        "Enable" if mode == "Enable" else "DetectMessageEnd",
        float(wait),
        waits=not separate,
        callback=url if separate else "",
        callback_method=form.method(callback_name + "Method", code=21209),
    )


def _shape(ask: Ask, row: Call) -> dict[str, Any]:
    return voiceshapes.call(ask.world, ask.account.sid, row)


def one(ask: Ask) -> Call:
    """The call of the path, or 404."""
    leg = exchange_of(ask.world, ask.account.sid).switch.legs.get(ask.ids[0])
    if leg is None:
        raise missing(ask.link)
    return leg.call


def listing(ask: Ask) -> Reply:
    query = ask.query
    status = query.choice("Status", STATUSES, "")
    wanted = (
        ("to", query.text("To")),
        ("from_", query.text("From")),
        ("parent_call_sid", query.text("ParentCallSid")),
        ("status", status),
    )
    begun, ended = date_filter(query, "StartTime"), date_filter(query, "EndTime")
    date = ask.world.clock.date

    def fits(row: Call) -> bool:
        return (
            all(not value or getattr(row, name) == value for name, value in wanted)
            and begun(date(row.started_at) if row.started_at is not None else None)
            and ended(date(row.ended_at) if row.ended_at is not None else None)
        )

    rows = list(exchange_of(ask.world, ask.account.sid).calls.values())[::-1]
    return page(ask, "calls", filter(fits, rows), lambda row: row.sid, partial(_shape, ask))


def get(ask: Ask) -> Reply:
    return Reply(200, _shape(ask, one(ask)))


def update(ask: Ask) -> Reply:
    form, call = ask.form, one(ask)
    url, twiml = form.url("Url", 21205), form.text("Twiml")
    status = form.choice("Status", ("canceled", "completed"), "")
    if url and twiml:
        raise invalid(20001, "Give either Url or Twiml, not both")
    if len(twiml) > LONGEST_TWIML:
        raise invalid(32018, f"Twiml may have {LONGEST_TWIML} characters")
    fallback = Script(
        url,
        form.method("Method", code=21209),
        twiml,
        form.url("FallbackUrl", 21502),
        form.method("FallbackMethod", code=21209),
    )
    limit = form.number("TimeLimit", 0, 1, 86_400)
    row = exchange_of(ask.world, ask.account.sid).update(
        call.sid,
        script=fallback if url or twiml else None,
        status=status,
        time_limit=float(limit) if limit else None,
        status_callback=(
            callback(form, "StatusCallback", EVENTS, 21626) if "StatusCallback" in form else None
        ),
        fallback=fallback if fallback.fallback_url else None,
    )
    return Reply(200, _shape(ask, row))


def delete(ask: Ask) -> Reply:
    exchange_of(ask.world, ask.account.sid).delete_call(one(ask).sid)
    return Reply(204)


def events(ask: Ask) -> Reply:
    """The requests that were made for this call, and their answers."""
    rows = list(enumerate(ask.world.call_events.get(one(ask).sid, [])))
    return page(ask, "events", rows, lambda row: f"event{row[0]}", lambda row: row[1])


def check_url(value: str) -> str:
    """A URL that must be there. Raises Refusal."""
    if not value or not legal_url(value):
        raise Refusal(400, 21205, f"Url is not valid: {value[:200]}")
    return value


ROUTES = (
    *collection(
        "Calls", "calls",
        listing=listing, create=create, get=get, update=update, delete=delete,
    ),
    route("GET", "Calls/{}/Events", "calls.events", events),
)  # fmt: skip
