"""Comparison of a claimed webhook with what Twilio's API knows of it: what they say differently.

Pure. Whatever the API has is compared: addresses, direction, text, status, error code, pictures,
durations, recordings and transcripts. A resource may be behind its own webhook for some seconds, so
a difference of that sort is a reason to look again.
https://www.twilio.com/docs/messaging/api/message-resource
https://www.twilio.com/docs/voice/api/call-resource
https://www.twilio.com/docs/voice/api/recording
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from ringback.events import Event
from ringback.gateway.records import Call, Media, Message, Recording
from ringback.outcomes import is_final, normal_status, rank

TWILIO = ".twilio.com"
_RECORDING = re.compile(r"/Recordings/(RE[0-9a-fA-F]{32})\b")


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is said differently; `passing`: the resource may only be behind."""

    why: str
    passing: bool = False


def message_doubt(event: Event, found: Message) -> Doubt | None:
    """What a text's record says otherwise than the webhook; None when they agree."""
    if (found.from_, found.to) != (event.sender, event.recipient):
        return Doubt("From and To differ")
    if event.type == "message.received":
        if found.direction != "inbound":
            return Doubt(f"its direction is {found.direction}")
        if found.body.strip() != event.body.strip():
            return Doubt("the text differs")
        if found.num_media != _number(event, "NumMedia"):
            return Doubt(f"it has {found.num_media} media", found.num_media < 1)
        return None
    if "Body" in event.fields and found.body.strip() != event.body.strip():
        return Doubt("the text differs")
    return _status_doubt("message", event, found.status) or _code_doubt(event, found.error_code)


def media_doubt(event: Event, found: Sequence[Media], hosts: Iterable[str]) -> Doubt | None:
    """Whether the pictures that a webhook names are those of its text."""
    known = {f"/Messages/{event.subject_sid}/Media/{each.sid}" for each in found}
    said = {url.partition(f"/Accounts/{event.account_sid}")[2] for url in event.media}
    if not all(_at_twilio(url, hosts) for url in event.media) or not said <= known:
        return Doubt("its media are others")
    if len(event.media) < min(len(known), 10):
        return Doubt("not all of its media are named")
    return None


def call_doubt(event: Event, found: Call) -> Doubt | None:
    """What a call's record says otherwise than the webhook; None when they agree."""
    told = {event.sender, event.recipient} - {""}  # of a recording or a conference: nobody
    if told and {found.from_, found.to} != told:
        return Doubt("From and To differ")
    if event.type == "call.received" and not found.direction.startswith("inbound"):
        return Doubt(f"its direction is {found.direction}")
    if event.type != f"call.{event.status}":
        return None
    doubt = _status_doubt("call", event, found.status)
    if doubt is not None:
        return doubt
    final = is_final("call", event.status) and "CallDuration" in event.fields
    if final and found.duration != _number(event, "CallDuration"):
        return Doubt(f"it took {found.duration} s", passing=True)
    said = event.fields.get("AnsweredBy", "")
    if said and found.answered_by and said != found.answered_by:
        return Doubt(f"it was answered by {found.answered_by}")
    return None


def recording_of(event: Event) -> str | None:
    """The recording that a webhook tells of: its SID, empty when it names none that could be looked
    up, None when it tells of none."""
    url, sid = event.fields.get("RecordingUrl", ""), event.fields.get("RecordingSid", "")
    if not url and not sid:
        return None
    found = _RECORDING.search(url)
    if url and (found is None or sid not in ("", found[1])):
        return ""
    return sid or (found[1] if found else "")


def recording_doubt(event: Event, found: Recording, hosts: Iterable[str]) -> Doubt | None:
    """What a recording says otherwise than the webhook; None when they agree."""
    url = event.fields.get("RecordingUrl", "")
    if url and not (_at_twilio(url, hosts) and f"/Accounts/{event.account_sid}/" in url):
        return Doubt("the recording is at another address")
    if event.call_sid and found.call_sid and found.call_sid != event.call_sid:
        return Doubt(f"the recording is of {found.call_sid}")
    status = event.fields.get("RecordingStatus", "")
    if status and found.status and found.status != status:
        return Doubt(f"the recording is {found.status}", passing=True)
    said = event.fields.get("RecordingDuration", "")
    if said and status in ("", "completed") and abs(found.duration - int(said or 0)) > 1:
        return Doubt(f"the recording takes {found.duration} s", passing=True)
    return None


def _status_doubt(effect: str, event: Event, status: str) -> Doubt | None:
    said, known = normal_status(event.status), normal_status(status)
    if said == known or (said, known) == ("delivered", "read"):
        return None
    if is_final(effect, said):
        return Doubt(f"its status is {known}", passing=not is_final(effect, known))
    early = {"initiated", "queued"}  # one moment of a call under two names
    if rank(effect, known) >= rank(effect, said) or {said, known} <= early:
        return None
    return Doubt(f"its status is {known}", passing=True)


def _code_doubt(event: Event, code: int) -> Doubt | None:
    if not is_final("message", normal_status(event.status)) or event.error_code == code:
        return None
    return Doubt(f"its error code is {code or 'none'}", passing=not code)


def _at_twilio(url: str, hosts: Iterable[str]) -> bool:
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    if host in hosts:
        return True
    return parts.scheme == "https" and host.endswith(TWILIO) and not parts.username


def _number(event: Event, name: str) -> int:
    text = event.fields.get(name, "") or "0"
    return int(text) if text.isdecimal() and len(text) < 10 else -1
