"""Fields of each voice request: pure functions from records to pairs.

Field sets of https://www.twilio.com/docs/voice/twiml#request-parameters and the pages of the verbs.
"""

import json
import math
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime

from ringback import runtime
from ringback.simulator.voice.call_records import (
    Call,
    Conference,
    Participant,
    Recording,
    Transcription,
)
from ringback.simulator.voice.ports import Fields
from ringback.simulator.voice.results import Dialed, Recorded, Standing

API_VERSION = "2010-04-01"
_PLACES = ("City", "State", "Zip", "Country")


def rfc2822(at: datetime) -> str:
    """A moment in UTC as voice callbacks write it, such as `Sat, 14 Mar 2026 15:09:26 +0000`."""
    return format_datetime(at.replace(microsecond=0))


def boolean(value: bool) -> str:
    return "true" if value else "false"


def base(call: Call, account_sid: str, status: str = "") -> Fields:
    """What every request about a call carries. `status` replaces the call's own, as `initiated`."""
    fields = [
        ("CallSid", call.sid),
        ("AccountSid", account_sid),
        ("ApiVersion", API_VERSION),
        ("From", call.from_),
        ("To", call.to),
        ("Caller", call.from_),
        ("Called", call.to),
        ("CallStatus", status or call.status),
        ("Direction", call.direction),
    ]
    optional = (
        ("ParentCallSid", call.parent_call_sid),
        ("ForwardedFrom", call.forwarded_from),
        ("CallerName", call.caller_name),
        ("AnsweredBy", call.answered_by if call.answered_by_asked else ""),
    )
    fields += [(name, value) for name, value in optional if value]
    if call.from_.startswith("+"):
        fields += [(f"{who}{place}", "") for who in ("From", "Caller") for place in _PLACES]
    if call.to.startswith("+"):
        fields += [(f"{who}{place}", "") for who in ("To", "Called") for place in _PLACES]
    return (*fields, *call.extra)


def caller_proof(call: Call) -> Fields:
    """What the first request about an inbound call from a telephone adds: who vouches for it.

    `CallToken` lets a new outbound call carry the same caller id; its content is opaque.
    """
    if call.direction != "inbound" or not call.from_.startswith("+"):
        return ()
    token = json.dumps({"parentCallInfoToken": f"simulated.{call.sid}"}, separators=(",", ":"))
    return (("CallToken", token), ("StirVerstat", "TN-Validation-Passed-A"))


def call_status(call: Call, account_sid: str, status: str, at: datetime, sequence: int) -> Fields:
    """A progress callback. Durations and the SIP answer come with the end only."""
    fields = [
        *base(call, account_sid, status),
        ("Timestamp", rfc2822(at)),
        ("CallbackSource", "call-progress-events"),
        ("SequenceNumber", str(sequence)),
    ]
    if call.ended:
        fields.append(("CallDuration", str(call.duration)))
        if status == "completed":
            fields.append(("Duration", str(math.ceil(call.duration / 60))))
        if call.sip_code:
            fields.append(("SipResponseCode", str(call.sip_code)))
    return tuple(fields)


def digits(pressed: str, finished_on: str) -> Fields:
    """Gather's action after keys."""
    return (("Digits", pressed), ("FinishedOnKey", finished_on))


def speech(text: str, confidence: float, language: str) -> Fields:
    """Gather's action after words."""
    return (("SpeechResult", text), ("Confidence", f"{confidence:g}"), ("Language", language))


def nothing(keys: bool, words: bool) -> Fields:
    """Gather's action with `actionOnEmptyResult`: blank for what it listened to."""
    return (*((("Digits", ""),) if keys else ()), *((("SpeechResult", ""),) if words else ()))


def partial_speech(text: str, sequence: int) -> Fields:
    """Gather's partialResultCallback."""
    return (
        ("StableSpeechResult", text),
        ("UnstableSpeechResult", ""),
        ("Stability", "0.9"),
        ("SequenceNumber", str(sequence)),
    )


def recorded(result: Recorded) -> Fields:
    """Record's action."""
    return (
        ("RecordingUrl", result.url),
        ("RecordingSid", result.sid),
        ("RecordingDuration", str(result.seconds)),
        ("Digits", result.digits),
    )


def dialed(result: Dialed) -> Fields:
    """Dial's action. A conference has neither a dialled call nor a duration of one."""
    fields = [("DialCallStatus", result.status)]
    if result.sid:
        fields.append(("DialCallSid", result.sid))
    if result.status != "answered":
        fields.append(("DialCallDuration", str(result.seconds)))
        fields.append(("DialBridged", boolean(result.bridged)))
    if result.recording_sid:
        fields += [
            ("RecordingUrl", result.recording_url),
            ("RecordingSid", result.recording_sid),
            ("RecordingDuration", str(result.recording_seconds)),
        ]
    return (*fields, *result.queue)


def standing(place: Standing) -> Fields:
    """Enqueue's waitUrl."""
    return (
        ("QueueSid", place.sid),
        ("QueuePosition", str(place.position)),
        ("QueueTime", str(place.waited)),
        ("AvgQueueTime", str(place.average)),
        ("CurrentQueueSize", str(place.size)),
        ("MaxQueueSize", str(place.limit)),
    )


def left_queue(result: str, sid: str, waited: int) -> Fields:
    """Enqueue's action."""
    return (("QueueResult", result), ("QueueSid", sid), ("QueueTime", str(waited)))


def taken(sid: str, waited: int, by: str) -> Fields:
    """Whisper to the caller who is taken out of a queue. The spelling is Twilio's."""
    return (("QueueSid", sid), ("QueueTime", str(waited)), ("DequeingCallSid", by))


def recording_status(
    recording: Recording, account_sid: str, url: str, status: str, started: datetime
) -> Fields:
    """A recording status callback."""
    fields = [("AccountSid", account_sid)]
    if recording.call_sid:
        fields.append(("CallSid", recording.call_sid))
    if recording.conference_sid:
        fields.append(("ConferenceSid", recording.conference_sid))
    fields += [
        ("RecordingSid", recording.sid),
        ("RecordingUrl", url),
        ("RecordingStatus", status),
        ("RecordingChannels", str(recording.channels)),
        ("RecordingStartTime", rfc2822(started)),
        ("RecordingSource", recording.source),
        ("RecordingTrack", recording.track),
    ]
    if status == "completed":
        fields.append(("RecordingDuration", str(recording.duration or 0)))
    if status in {"absent", "failed"}:
        fields.append(("ErrorCode", str(recording.error_code)))
    return tuple(fields)


def transcription(
    call: Call, account_sid: str, done: Transcription, url: str, recording_url: str
) -> Fields:
    """Record's transcribeCallback."""
    return (
        *base(call, account_sid),
        ("TranscriptionSid", done.sid),
        ("TranscriptionText", done.text),
        ("TranscriptionStatus", done.status),
        ("TranscriptionUrl", url),
        ("RecordingSid", done.recording_sid),
        ("RecordingUrl", recording_url),
    )


def machine(call: Call, account_sid: str, milliseconds: int) -> Fields:
    """The notification of asynchronous machine detection."""
    return (
        ("CallSid", call.sid),
        ("AccountSid", account_sid),
        ("AnsweredBy", call.answered_by),
        ("MachineDetectionDuration", str(milliseconds)),
    )


def conference_event(
    conference: Conference,
    account_sid: str,
    event: str,
    at: datetime,
    who: Participant | None = None,
) -> Fields:
    """A conference status callback; events about a participant carry that one's settings."""
    fields = [
        ("ConferenceSid", conference.sid),
        ("FriendlyName", conference.friendly_name),
        ("AccountSid", account_sid),
        ("Timestamp", rfc2822(at)),
        ("SequenceNumber", str(conference.sequence)),
        ("StatusCallbackEvent", event),
    ]
    if who is not None:
        fields += [
            ("CallSid", who.call_sid),
            ("Muted", boolean(who.muted)),
            ("Hold", boolean(who.hold)),
            ("Coaching", boolean(who.coaching)),
            ("StartConferenceOnEnter", boolean(who.start_on_enter)),
            ("EndConferenceOnExit", boolean(who.end_on_exit)),
        ]
        if who.label:
            fields.append(("ParticipantLabel", who.label))
    if event == "conference-end":
        fields += [
            ("ReasonConferenceEnded", conference.reason_ended),
            ("CallSidEndingConference", conference.call_sid_ending),
        ]
    return tuple(fields)


def stream(name: str, sid: str, event: str, at: datetime) -> Fields:
    """A media stream's status callback."""
    return (
        ("StreamSid", sid),
        ("StreamName", name or sid),
        ("StreamEvent", event),
        ("Timestamp", runtime.iso(at)),
    )


def siprec(name: str, sid: str, event: str, at: datetime) -> Fields:
    """A SIPREC session's status callback, beside the fields of every request about a call."""
    return (
        ("SiprecSid", sid),
        ("SiprecName", name or sid),
        ("SiprecEvent", event),
        ("Timestamp", runtime.iso(at)),
    )


def live_transcription(sid: str, event: str, sequence: int, at: datetime) -> Fields:
    """What every callback of a live transcription carries."""
    return (
        ("TranscriptionSid", sid),
        ("TranscriptionEvent", event),
        ("SequenceId", str(sequence)),
        ("Timestamp", runtime.iso(at)),
    )


def transcription_settings(settings: Mapping[str, str]) -> Fields:
    """How a live transcription was set up: its first callback alone has it."""
    provider = ("profanityFilter", "speechModel", "enableAutomaticPunctuation", "hints")
    chosen = {name: settings[name] for name in provider if settings.get(name)}
    told = (
        ("LanguageCode", "languageCode"),
        ("PartialResults", "partialResults"),
        ("TranscriptionEngine", "transcriptionEngine"),
        ("Track", "track"),
        ("Name", "name"),
        ("InboundTrackLabel", "inboundTrackLabel"),
        ("OutboundTrackLabel", "outboundTrackLabel"),
    )
    fields = [(name, settings[key]) for name, key in told if settings.get(key)]
    return (*fields, ("ProviderConfiguration", json.dumps(chosen, separators=(",", ":"))))


def transcript(text: str, track: str, confidence: float, language: str, *, final: bool) -> Fields:
    """The words of one utterance, or of its beginning when `final` is not set."""
    data = {"transcript": text} | ({"confidence": confidence} if final else {})
    fields = [
        ("LanguageCode", language),
        ("Track", track),
        ("TranscriptionData", json.dumps(data, ensure_ascii=False, separators=(",", ":"))),
        ("Final", boolean(final)),
    ]
    return (*fields, *(() if final else (("Stability", "0.9"),)))
