"""JSON of calls, queues, conferences and recordings, as Twilio's OpenAPI document has it."""

from typing import Any

from ringback.simulator.numbering import friendly
from ringback.simulator.records import PRICE_AFTER
from ringback.simulator.rest.shapes import VERSION, date
from ringback.simulator.voice.call_records import (
    Call,
    Conference,
    Member,
    Participant,
    Queue,
    Recording,
    Transcription,
)
from ringback.simulator.world import World

PRICE_PER_MINUTE = {"inbound": 0.0085, "outbound-api": 0.014, "outbound-dial": 0.014}


def moment(world: World, virtual: float | None) -> str | None:
    """A moment of virtual time as the date that records show."""
    return date(world.clock.date(virtual)) if virtual is not None else None


def call(world: World, account_sid: str, row: Call) -> dict[str, Any]:
    """A call as Twilio shows it.

    https://www.twilio.com/docs/voice/api/call-resource
    """
    path = f"/{VERSION}/Accounts/{account_sid}/Calls/{row.sid}"
    minutes = -(-row.duration // 60)
    settled = row.ended_at is not None and world.clock.now() >= row.ended_at + PRICE_AFTER
    priced = row.answered_at is not None and settled
    return {
        "account_sid": account_sid,
        "answered_by": row.answered_by or None,
        "api_version": VERSION,
        "caller_name": row.caller_name or None,
        "date_created": moment(world, row.created_at),
        "date_updated": moment(world, row.updated_at or row.created_at),
        "direction": row.direction,
        "duration": str(row.duration) if row.ended else None,
        "end_time": moment(world, row.ended_at),
        "forwarded_from": row.forwarded_from or None,
        "from": row.from_,
        "from_formatted": friendly(row.from_),
        "group_sid": None,
        "parent_call_sid": row.parent_call_sid or None,
        "phone_number_sid": row.phone_number_sid or None,
        "price": f"-{minutes * PRICE_PER_MINUTE[row.direction]:.5f}" if priced else None,
        "price_unit": "USD",
        "queue_time": str(round(row.queue_seconds * 1000)),
        "sid": row.sid,
        "start_time": moment(world, row.started_at),
        "status": row.status,
        "subresource_uris": {
            part: f"{path}/{name}.json"
            for part, name in (
                ("events", "Events"),
                ("notifications", "Notifications"),
                ("recordings", "Recordings"),
            )
        },
        "to": row.to,
        "to_formatted": friendly(row.to),
        "trunk_sid": None,
        "uri": f"{path}.json",
    }


def queue(world: World, account_sid: str, row: Queue) -> dict[str, Any]:
    """A queue as Twilio shows it.

    https://www.twilio.com/docs/voice/api/queue-resource
    """
    return {
        "account_sid": account_sid,
        "average_wait_time": row.average_wait(world.clock.now()),
        "current_size": len(row.members),
        "date_created": moment(world, row.created_at),
        "date_updated": moment(world, row.updated_at),
        "friendly_name": row.friendly_name,
        "max_size": row.max_size,
        "sid": row.sid,
        "uri": f"/{VERSION}/Accounts/{account_sid}/Queues/{row.sid}.json",
    }


def member(world: World, account_sid: str, line: Queue, row: Member) -> dict[str, Any]:
    """A member of a queue as Twilio shows it.

    https://www.twilio.com/docs/voice/api/member-resource
    """
    return {
        "call_sid": row.call_sid,
        "date_enqueued": moment(world, row.enqueued_at),
        "position": line.position(row.call_sid),
        "queue_sid": line.sid,
        "uri": f"/{VERSION}/Accounts/{account_sid}/Queues/{line.sid}/Members/{row.call_sid}.json",
        "wait_time": int(world.clock.now() - row.enqueued_at),
    }


def conference(world: World, account_sid: str, row: Conference) -> dict[str, Any]:
    """A conference as Twilio shows it.

    https://www.twilio.com/docs/voice/api/conference-resource
    """
    path = f"/{VERSION}/Accounts/{account_sid}/Conferences/{row.sid}"
    # The document lets the reason be one of five words and never null: before the end it is absent.
    reason = {"reason_conference_ended": row.reason_ended} if row.reason_ended else {}
    return reason | {
        "account_sid": account_sid,
        "api_version": VERSION,
        "call_sid_ending_conference": row.call_sid_ending or None,
        "date_created": moment(world, row.created_at),
        "date_updated": moment(world, row.updated_at),
        "friendly_name": row.friendly_name,
        "region": row.region,
        "sid": row.sid,
        "status": row.status,
        "subresource_uris": {
            "participants": f"{path}/Participants.json",
            "recordings": f"{path}/Recordings.json",
        },
        "uri": f"{path}.json",
    }


def participant(
    world: World, account_sid: str, conference: Conference, row: Participant
) -> dict[str, Any]:
    """A participant of a conference as Twilio shows it.

    https://www.twilio.com/docs/voice/api/conference-participant-resource
    """
    return {
        "account_sid": account_sid,
        "call_sid": row.call_sid,
        "call_sid_to_coach": row.call_sid_to_coach or None,
        "coaching": row.coaching,
        "conference_sid": conference.sid,
        "date_created": moment(world, row.joined_at),
        "date_updated": moment(world, row.updated_at),
        "end_conference_on_exit": row.end_on_exit,
        "hold": row.hold,
        "label": row.label or None,
        "muted": row.muted,
        "queue_time": None,
        "start_conference_on_enter": row.start_on_enter,
        "status": row.status,
        "uri": f"/{VERSION}/Accounts/{account_sid}/Conferences/{conference.sid}"
        f"/Participants/{row.call_sid}.json",
    }


def recording(
    world: World, account_sid: str, row: Recording, *, of_call: bool = False
) -> dict[str, Any]:
    """https://www.twilio.com/docs/voice/api/recording and the call's own view of it."""
    base = f"/{VERSION}/Accounts/{account_sid}"
    done = row.duration is not None
    data: dict[str, Any] = {
        "account_sid": account_sid,
        "api_version": VERSION,
        "call_sid": row.call_sid or None,
        "channels": row.channels,
        "conference_sid": row.conference_sid or None,
        "date_created": moment(world, row.started_at),
        "date_updated": moment(world, row.updated_at or row.started_at),
        "duration": str(row.duration) if done else None,
        "encryption_details": None,
        "error_code": row.error_code or None,
        "price": None,
        "price_unit": "USD",
        "sid": row.sid,
        "source": row.source,
        "start_time": moment(world, row.started_at),
        "status": row.status,
    }
    if of_call:
        data |= {
            "track": row.track,
            "uri": f"{base}/Calls/{row.call_sid}/Recordings/{row.sid}.json",
        }
    else:
        path = f"{base}/Recordings/{row.sid}"
        data |= {
            "media_url": world.base_url + path,
            "subresource_uris": {
                "add_on_results": f"{path}/AddOnResults.json",
                "transcriptions": f"{path}/Transcriptions.json",
            },
            "uri": f"{path}.json",
        }
    return data


def transcription(world: World, account_sid: str, row: Transcription) -> dict[str, Any]:
    """A transcription as Twilio shows it.

    https://www.twilio.com/docs/voice/api/recording-transcription
    """
    return {
        "account_sid": account_sid,
        "api_version": VERSION,
        "date_created": moment(world, row.created_at),
        "date_updated": moment(world, row.created_at),
        "duration": str(row.duration),
        "price": None,
        "price_unit": "USD",
        "recording_sid": row.recording_sid,
        "sid": row.sid,
        "status": row.status,
        "transcription_text": row.text,
        "type": "fast",
        "uri": f"/{VERSION}/Accounts/{account_sid}/Transcriptions/{row.sid}.json",
    }
