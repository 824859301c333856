"""Conferences and their participants.

https://www.twilio.com/docs/voice/api/conference-resource
"""

from functools import partial
from typing import Any

from ringback.simulator.form import Form
from ringback.simulator.numbering import is_voice
from ringback.simulator.refusal import invalid, missing
from ringback.simulator.rest import voiceshapes
from ringback.simulator.rest.calls import EVENTS, callback, detection, spec
from ringback.simulator.rest.paging import date_filter, page
from ringback.simulator.rest.route import Ask, Reply, route
from ringback.simulator.rest.settings import SID
from ringback.simulator.switchboard import exchange_of
from ringback.simulator.voice.call_records import Conference
from ringback.simulator.voice.ports import CallOptions

CONFERENCE_EVENTS = frozenset(
    {"start", "end", "join", "leave", "mute", "hold", "modify", "speaker", "announcement"}
)


def _one(ask: Ask) -> Conference:
    found = exchange_of(ask.world, ask.account.sid).conferences.get(ask.ids[0])
    if found is None:
        raise missing(ask.link)
    return found


def _conference(ask: Ask, row: Conference) -> dict[str, Any]:
    return voiceshapes.conference(ask.world, ask.account.sid, row)


def listing(ask: Ask) -> Reply:
    query = ask.query
    status = query.choice("Status", ("init", "in-progress", "completed"), "")
    name = query.text("FriendlyName")
    made, changed = date_filter(query, "DateCreated"), date_filter(query, "DateUpdated")
    date = ask.world.clock.date
    rows = (
        row
        for row in list(exchange_of(ask.world, ask.account.sid).conferences.values())[::-1]
        if (not status or row.status == status)
        and (not name or row.friendly_name == name)
        and made(date(row.created_at))
        and changed(date(row.updated_at))
    )
    return page(ask, "conferences", rows, lambda row: row.sid, partial(_conference, ask))


def get(ask: Ask) -> Reply:
    return Reply(200, _conference(ask, _one(ask)))


def update(ask: Ask) -> Reply:
    row, form = _one(ask), ask.form
    exchange = exchange_of(ask.world, ask.account.sid)
    if form.choice("Status", ("completed",), ""):
        row = exchange.end_conference(row.sid)
    if url := form.url("AnnounceUrl"):
        exchange.announce(row.sid, url, form.method("AnnounceMethod"))
    return Reply(200, _conference(ask, row))


def participants(ask: Ask) -> Reply:
    row, query = _one(ask), ask.query
    wanted = [
        (field, query.flag(name))
        for name, field in (("Muted", "muted"), ("Hold", "hold"), ("Coaching", "coaching"))
        if query.text(name)
    ]
    rows = [
        who
        for who in row.participants.values()
        if all(getattr(who, field) == value for field, value in wanted)
    ]
    shape = partial(voiceshapes.participant, ask.world, ask.account.sid, row)
    return page(ask, "participants", rows, lambda who: who.call_sid, shape)


def participant(ask: Ask) -> Reply:
    row = _one(ask)
    who = exchange_of(ask.world, ask.account.sid).participant(row.sid, ask.ids[1])
    return Reply(200, voiceshapes.participant(ask.world, ask.account.sid, row, who))


def update_participant(ask: Ask) -> Reply:
    row, form = _one(ask), ask.form
    exchange = exchange_of(ask.world, ask.account.sid)

    def asked(name: str) -> bool | None:
        return form.flag(name) if name in form else None

    who = exchange.update_participant(
        row.sid,
        ask.ids[1],
        muted=asked("Muted"),
        hold=asked("Hold"),
        end_on_exit=asked("EndConferenceOnExit"),
        coaching=asked("Coaching"),
        call_sid_to_coach=_coached(form) or None,
        hold_url=form.url("HoldUrl"),
        hold_method=form.method("HoldMethod", "GET"),
    )
    form.flag("BeepOnExit")
    if url := form.url("AnnounceUrl"):
        exchange.announce(row.sid, url, form.method("AnnounceMethod"), ask.ids[1])
    return Reply(200, voiceshapes.participant(ask.world, ask.account.sid, row, who))


def add_participant(ask: Ask) -> Reply:
    """Call somebody into a conference; `{CF}` may also be a name, which makes the conference."""
    form = ask.form
    to = form.required("To", 21201, "No 'To' number is specified")
    sender = form.required("From", 21213, "No 'From' number is specified")
    if not is_voice(to):
        raise invalid(21211, f"The phone number you are attempting to call, {to[:64]}, is invalid")
    if not is_voice(sender):
        raise invalid(21212, f"The source phone number {sender[:64]} is not valid")
    coached = _coached(form)
    exchange = exchange_of(ask.world, ask.account.sid)
    conference = ask.ids[0]
    if (
        conference.startswith("CF")
        and len(conference) == 34
        and conference not in exchange.conferences
    ):
        raise missing(ask.link)
    call = exchange.add_participant(
        conference,
        to,
        sender,
        attributes=_attributes(form),
        options=CallOptions(
            status=callback(form, "StatusCallback", EVENTS, 21626),
            timeout=float(form.number("Timeout", 60, 5, 600, 21208)),
            time_limit=float(form.number("TimeLimit", 14_400, 1, 86_400)),
            record=spec(form, "OutboundAPI") if form.flag("Record") else None,
            detection=detection(form, "AmdStatusCallback"),
        ),
        events=callback(form, "ConferenceStatusCallback", CONFERENCE_EVENTS, 21626, "start"),
    )
    known = exchange.conferences.get(conference)
    now = voiceshapes.moment(ask.world, ask.world.clock.now())
    sid = known.sid if known else _future(ask, conference)
    return Reply(
        201,
        {
            "account_sid": ask.account.sid,
            "call_sid": call.sid,
            "call_sid_to_coach": coached or None,
            "coaching": form.flag("Coaching"),
            "conference_sid": sid,
            "date_created": now,
            "date_updated": now,
            "end_conference_on_exit": form.flag("EndConferenceOnExit"),
            "hold": False,
            "label": form.text("Label") or None,
            "muted": form.flag("Muted"),
            "queue_time": None,
            "start_conference_on_enter": form.flag("StartConferenceOnEnter", True),
            "status": "queued",
            "uri": f"{ask.base}/Conferences/{sid}/Participants/{call.sid}.json",
        },
        call.sid,
    )


def _coached(form: Form) -> str:
    """The call that hears what this participant whispers; empty for none."""
    value = form.text("CallSidToCoach")
    if value and not (value.startswith("CA") and SID.fullmatch(value)):
        raise invalid(20423, f"CallSidToCoach is not the SID of a call: {value[:60]}")
    return value


def _future(ask: Ask, name: str) -> str | None:
    """The SID of the running conference of this name; none until the first one has joined."""
    found = exchange_of(ask.world, ask.account.sid).conferences.values()
    running = (row.sid for row in found if row.friendly_name == name and row.status != "completed")
    return next(running, None)


def _attributes(form: Form) -> tuple[tuple[str, str], ...]:
    names = (
        ("Muted", "muted"),
        ("Beep", "beep"),
        ("StartConferenceOnEnter", "startConferenceOnEnter"),
        ("EndConferenceOnExit", "endConferenceOnExit"),
        ("WaitUrl", "waitUrl"),
        ("WaitMethod", "waitMethod"),
        ("MaxParticipants", "maxParticipants"),
        ("ConferenceRecord", "record"),
        ("ConferenceTrim", "trim"),
        ("Label", "participantLabel"),
        ("CallSidToCoach", "coach"),
        ("Region", "region"),
        ("JitterBufferSize", "jitterBufferSize"),
        ("ConferenceRecordingStatusCallback", "recordingStatusCallback"),
    )
    return tuple((attribute, form.text(name)) for name, attribute in names if form.text(name))


def kick(ask: Ask) -> Reply:
    exchange_of(ask.world, ask.account.sid).kick(_one(ask).sid, ask.ids[1])
    return Reply(204)


ROUTES = (
    route("GET", "Conferences", "conferences.list", listing),
    route("GET", "Conferences/{}", "conferences.get", get),
    route("POST", "Conferences/{}", "conferences.update", update),
    route("GET", "Conferences/{}/Participants", "participants.list", participants),
    route("POST", "Conferences/{}/Participants", "participants.create", add_participant),
    route("GET", "Conferences/{}/Participants/{}", "participants.get", participant),
    route("POST", "Conferences/{}/Participants/{}", "participants.update", update_participant),
    route("DELETE", "Conferences/{}/Participants/{}", "participants.delete", kick),
)
