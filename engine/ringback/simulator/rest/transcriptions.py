"""Transcriptions of recordings.

https://www.twilio.com/docs/voice/api/recording-transcription
"""

from typing import Any

from ringback.simulator.refusal import missing
from ringback.simulator.rest import voiceshapes
from ringback.simulator.rest.paging import date_filter, page
from ringback.simulator.rest.route import Ask, Reply, route
from ringback.simulator.switchboard import exchange_of
from ringback.simulator.voice.call_records import Transcription


def _rows(ask: Ask) -> list[Transcription]:
    """Newest first; those of one recording when the path names it."""
    recording = ask.ids[0] if ask.path.split("/")[4] == "Recordings" else ""
    exchange = exchange_of(ask.world, ask.account.sid)
    if recording and recording not in exchange.recordings:
        raise missing(ask.link)
    rows = list(exchange.transcriptions.values())[::-1]
    return [row for row in rows if not recording or row.recording_sid == recording]


def _one(ask: Ask) -> Transcription:
    found = next((row for row in _rows(ask) if row.sid == ask.ids[-1]), None)
    if found is None:
        raise missing(ask.link)
    return found


def _shape(ask: Ask, row: Transcription) -> dict[str, Any]:
    return voiceshapes.transcription(ask.world, ask.account.sid, row)


def listing(ask: Ask) -> Reply:
    fits = date_filter(ask.query, "DateCreated")
    rows = [row for row in _rows(ask) if fits(ask.world.clock.date(row.created_at))]
    return page(ask, "transcriptions", rows, lambda row: row.sid, lambda row: _shape(ask, row))


def get(ask: Ask) -> Reply:
    return Reply(200, _shape(ask, _one(ask)))


def delete(ask: Ask) -> Reply:
    exchange_of(ask.world, ask.account.sid).delete_transcription(_one(ask).sid)
    return Reply(204)


ROUTES = tuple(
    one
    for path in ("Transcriptions", "Recordings/{}/Transcriptions")
    for one in (
        route("GET", path, "transcriptions.list", listing),
        route("GET", f"{path}/{{}}", "transcriptions.get", get),
        route("DELETE", f"{path}/{{}}", "transcriptions.delete", delete),
    )
)
