"""Recordings of the account and of one call.

https://www.twilio.com/docs/voice/api/recording
"""

import struct
from dataclasses import replace
from functools import partial
from typing import Any

from ringback.simulator.refusal import invalid, missing
from ringback.simulator.rest import voiceshapes
from ringback.simulator.rest.calls import one as call_of
from ringback.simulator.rest.calls import spec
from ringback.simulator.rest.paging import date_filter, page
from ringback.simulator.rest.route import Ask, Reply, route
from ringback.simulator.switchboard import exchange_of
from ringback.simulator.voice.call_records import Recording

RATE = 8000
KEPT_SECONDS = 40 * 86_400.0


def _all(ask: Ask, *, deleted: bool) -> list[Recording]:
    """Newest first; those deleted in the last 40 days too, when asked for."""
    rows = list(exchange_of(ask.world, ask.account.sid).recordings.values())
    if deleted:
        limit = ask.world.clock.now() - KEPT_SECONDS
        removed = ask.world.deleted_recordings.get(ask.account.sid, [])
        rows += [row for row in removed if row.updated_at >= limit]
    return sorted(rows, key=lambda row: ask.world.births.get(row.sid, (0, 0.0)), reverse=True)


def _one(ask: Ask, sid: str, *, deleted: bool = False) -> Recording:
    found = next((row for row in _all(ask, deleted=deleted) if row.sid == sid), None)
    if found is None:
        raise missing(ask.link)
    return found


def _shape(ask: Ask, row: Recording) -> dict[str, Any]:
    return voiceshapes.recording(ask.world, ask.account.sid, row)


def _call_shape(ask: Ask, row: Recording) -> dict[str, Any]:
    return voiceshapes.recording(ask.world, ask.account.sid, row, of_call=True)


def listing(ask: Ask) -> Reply:
    query = ask.query
    call, conference = query.text("CallSid"), query.text("ConferenceSid")
    fits = date_filter(query, "DateCreated")
    rows = (
        row
        for row in _all(ask, deleted=query.flag("IncludeSoftDeleted"))
        if (not call or row.call_sid == call)
        and (not conference or row.conference_sid == conference)
        and fits(ask.world.clock.date(row.started_at))
    )
    return page(ask, "recordings", rows, lambda row: row.sid, partial(_shape, ask))


def get(ask: Ask) -> Reply:
    deleted = ask.query.flag("IncludeSoftDeleted")
    return Reply(200, _shape(ask, _one(ask, ask.ids[0], deleted=deleted)))


def sound(ask: Ask) -> Reply:
    """The audio: silence, as long as the recording, at most ten seconds of it."""
    row = _one(ask, ask.ids[0])
    if row.status != "completed":
        raise missing(ask.path)
    data = b"\x00\x00" * (RATE * min(row.duration or 0, 10))
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1, RATE, RATE * 2, 2, 16,
        b"data", len(data),
    )  # fmt: skip
    return Reply(200, None, "", head + data, "audio/x-wav")


def delete(ask: Ask) -> Reply:
    return _delete(ask, _one(ask, ask.ids[0]))


def _delete(ask: Ask, row: Recording) -> Reply:
    deleted = replace(row, status="deleted", updated_at=ask.world.clock.now())
    exchange_of(ask.world, ask.account.sid).delete_recording(row.sid)
    ask.world.deleted_recordings.setdefault(ask.account.sid, []).append(deleted)
    return Reply(204)


def of_call(ask: Ask) -> Reply:
    call, fits = call_of(ask), date_filter(ask.query, "DateCreated")
    rows = (
        row
        for row in _all(ask, deleted=False)
        if row.call_sid == call.sid and fits(ask.world.clock.date(row.started_at))
    )
    return page(ask, "recordings", rows, lambda row: row.sid, partial(_call_shape, ask))


def start(ask: Ask) -> Reply:
    call = call_of(ask)
    how = spec(ask.form, "StartCallRecordingAPI")
    row = exchange_of(ask.world, ask.account.sid).start_recording(call.sid, how)
    return Reply(201, _call_shape(ask, row), row.sid)


def _of_call(ask: Ask) -> Recording:
    call, sid = call_of(ask), ask.ids[1]
    if sid == "Twilio.CURRENT":
        running = (
            row.sid
            for row in _all(ask, deleted=False)
            if row.call_sid == call.sid and row.status in ("in-progress", "paused")
        )
        sid = next(running, "")
    row = _one(ask, sid)
    if row.call_sid != call.sid:
        raise missing(ask.link)
    return row


def of_call_get(ask: Ask) -> Reply:
    return Reply(200, _call_shape(ask, _of_call(ask)))


def of_call_update(ask: Ask) -> Reply:
    row = _of_call(ask)
    ask.form.required("Status", 20001)
    status = ask.form.choice("Status", ("paused", "in-progress", "stopped"), "")
    behavior = ask.form.choice("PauseBehavior", ("skip", "silence"), "silence")
    if not status:
        raise invalid(20001, "Status must be paused, in-progress or stopped")
    row = exchange_of(ask.world, ask.account.sid).update_recording(row.sid, status, behavior)
    return Reply(200, _call_shape(ask, row))


def of_call_delete(ask: Ask) -> Reply:
    return _delete(ask, _of_call(ask))


ROUTES = (
    route("GET", "Recordings", "recordings.list", listing),
    route("GET", "Recordings/{}", "recordings.get", get),
    route("GET", "Recordings/{}", "recordings.sound", sound, raw=True),
    route("DELETE", "Recordings/{}", "recordings.delete", delete),
    route("GET", "Calls/{}/Recordings", "recordings.list", of_call),
    route("POST", "Calls/{}/Recordings", "recordings.create", start),
    route("GET", "Calls/{}/Recordings/{}", "recordings.get", of_call_get),
    route("POST", "Calls/{}/Recordings/{}", "recordings.update", of_call_update),
    route("DELETE", "Calls/{}/Recordings/{}", "recordings.delete", of_call_delete),
)
