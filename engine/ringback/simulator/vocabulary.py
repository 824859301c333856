"""Verbs, nouns and attributes of TwiML, and where each may stand.

Facts from https://www.twilio.com/docs/voice/twiml and https://www.twilio.com/docs/messaging/twiml.
A table, read by the parser; nothing here runs a verb.
"""

import re
from collections.abc import Mapping

from ringback.simulator.attributes import (
    SCHEMA_WARNING,
    Attribute,
    Word,
    events,
    flag,
    method,
    names,
    one_of,
    pattern,
    text,
    texts,
    whole,
)
from ringback.simulator.service_vocabulary import RECORDING_CALLBACK, SERVICES, TRIM

_BOOLEAN = "true", "false"

_CALLBACK = {
    "statusCallback": text(),
    "statusCallbackMethod": method(),
    "statusCallbackEvent": events(
        "initiated", "ringing", "answered", "completed", default="completed"
    ),
}
_DETECTION = {
    "machineDetection": one_of("Enable", "DetectMessageEnd"),
    "machineDetectionTimeout": whole("30", 3, 59),
    "machineDetectionSpeechThreshold": whole("2400", 1000, 6000),
    "machineDetectionSpeechEndThreshold": whole("1200", 500, 5000),
    "machineDetectionSilenceTimeout": whole("5000", 2000, 10000),
    "amdStatusCallback": text(),
    "amdStatusCallbackMethod": method(),
}


def _leg(code: int) -> dict[str, Attribute]:
    """What every noun that rings a phone has: a whisper document and progress callbacks."""
    return {"url": text(), "method": method(code), **_CALLBACK}


def _action(code: int = SCHEMA_WARNING) -> dict[str, Attribute]:
    return {"action": text(), "method": method(code)}


MARKUP = names("break emphasis lang p phoneme prosody s say-as sub w")

VOICE_VERBS = names(
    "Say Play Pause Redirect Hangup Reject Leave Echo Sms Gather Record Dial Enqueue"
    " Start Stop Connect Refer Pay Prompt Queue"
)
MESSAGE_VERBS = names("Message Redirect")

_SPEECH: dict[str, Word] = {
    "break": Word({"strength": text(), "time": text()}),
    "emphasis": Word({"level": text()}, MARKUP),
    "lang": Word({"xml:lang": text()}, MARKUP),
    "p": Word({}, MARKUP),
    "phoneme": Word({"alphabet": text(), "ph": text()}),
    "prosody": Word({"volume": text(), "rate": text(), "pitch": text()}, MARKUP),
    "s": Word({}, MARKUP),
    "say-as": Word({"interpret-as": text(), "role": text(), "format": text()}),
    "sub": Word({"alias": text()}),
    "w": Word({"role": text()}, names("break emphasis phoneme prosody say-as sub")),
}

_SIMPLE: dict[str, Word] = {
    "Say": Word(
        {
            "voice": text("man"),
            "language": pattern(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*", "en-US", 13512),
            "loop": whole("1", 0, 1000, 13510),
        },
        MARKUP,
    ),
    "Play": Word(
        {"loop": whole("1", 0, 1000, 13410), "digits": pattern(r"[0-9A-D*#wW]*", code=13430)}
    ),
    "Pause": Word({"length": whole("1", 0, 86400, 13910)}),
    "Redirect": Word({"method": method(13710)}),
    "Hangup": Word({}, names("Parameter")),
    "Reject": Word(
        {"reason": one_of("rejected", "busy", default="rejected", code=13810)}, names("Parameter")
    ),
    "Leave": Word(),
    "Echo": Word(),
    "Sms": Word({"to": text(), "from": text(), **_action(14104), "statusCallback": text()}),
    "Gather": Word(
        {
            "input": one_of(
                "dtmf", "speech", "dtmf speech", "speech dtmf", default="dtmf", code=13326
            ),
            **_action(13312),
            "timeout": whole("5", 0, 86400, 13313),
            "speechTimeout": pattern(r"auto|\d{1,5}", code=13327),
            "maxSpeechTime": whole("60", 1, 600),
            "numDigits": whole("", 1, 1_000_000, 13314),
            "finishOnKey": pattern(r"[0-9*#]?", "#", 13310),
            "actionOnEmptyResult": flag("false", 13338),
            "language": pattern(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*", "en-US", 13331),
            "hints": text(),
            "speechModel": text("default"),
            "profanityFilter": flag("true"),
            "bargeIn": flag("true"),
            "partialResultCallback": text(),
            "partialResultCallbackMethod": method(),
            "enhanced": flag("false"),
            "debug": flag("false"),
        },
        names("Say Play Pause"),
        13320,
    ),
    "Record": Word(
        {
            **_action(13610),
            "timeout": whole("5", 1, 86400, 13611),
            "finishOnKey": pattern(r"[0-9*#]*", "1234567890*#", 13613),
            "maxLength": whole("3600", 1, 14400, 13612),
            "playBeep": flag("true"),
            "trim": one_of(*TRIM, default="trim-silence"),
            **RECORDING_CALLBACK,
            "transcribe": flag("false", 13614),
            "transcribeCallback": text(),
            "recordingConfigurationId": text(),
        }
    ),
}

_DIALLING: dict[str, Word] = {
    "Dial": Word(
        {
            **_action(13210),
            "timeout": whole("30", 1, 600, 13212),
            "timeLimit": whole("14400", 1, 86400, 13216),
            "callerId": text(),
            "answerOnBridge": flag("false"),
            "hangupOnStar": flag("false", 13213),
            "record": one_of(
                *_BOOLEAN,
                "do-not-record",
                "record-from-answer",
                "record-from-ringing",
                "record-from-answer-dual",
                "record-from-ringing-dual",
                default="do-not-record",
                code=13217,
            ),
            **RECORDING_CALLBACK,
            "recordingTrack": one_of("inbound", "outbound", "both", default="both"),
            "trim": one_of(*TRIM, default="do-not-trim"),
            "ringTone": text("automatic"),
            "sequential": flag("false"),
            "referUrl": text(),
            "referMethod": method(),
            "callReason": Attribute("", lambda value: len(value) <= 50),
            "recordingConfigurationId": text(),
            "events": text(),
            "passports": text(),
        },
        names("Number Client Sip Conference Queue Application Sim WhatsApp"),
        13215,
    ),
    "Number": Word(
        {
            "sendDigits": pattern(r"[0-9A-D*#wW]{0,32}", code=13222),
            **_leg(13221),
            "byoc": text(),
            **_DETECTION,
        }
    ),
    "Client": Word(
        {**_leg(SCHEMA_WARNING), "clientNotificationUrl": text()}, names("Identity Parameter")
    ),
    "Sip": Word(
        {"username": text(), "password": text(), **_leg(13241), **_DETECTION}, names("Uri Headers")
    ),
    "Conference": Word(
        {
            "muted": flag("false", 13230),
            "beep": one_of(*_BOOLEAN, "onEnter", "onExit", default="true", code=13235),
            "startConferenceOnEnter": flag("true", 13232),
            "endConferenceOnExit": flag("false", 13231),
            "waitUrl": text(),
            "waitMethod": method(13234),
            "maxParticipants": whole("250", 2, 250),
            "record": one_of(
                *_BOOLEAN, "do-not-record", "record-from-start", default="do-not-record"
            ),
            "trim": one_of(*TRIM, default="trim-silence"),
            "coach": Attribute(
                "", lambda value: bool(re.fullmatch("(CA[0-9a-fA-F]{32})?", value, re.ASCII))
            ),
            "statusCallback": text(),
            "statusCallbackMethod": method(),
            "statusCallbackEvent": events(
                *names("start end join leave mute hold modify speaker announcement")
            ),
            "participantLabel": Attribute(
                "", lambda value: len(value) <= 128 and not re.fullmatch("CA[0-9a-f]{32}", value)
            ),
            "region": text(),
            "jitterBufferSize": one_of("off", "small", "medium", "large", default="large"),
            **RECORDING_CALLBACK,
            "eventCallbackUrl": text(),
            "recordingConfigurationId": text(),
        }
    ),
    "Queue": Word(
        {
            "url": text(),
            "method": method(14210),
            "reservationSid": text(),
            "postWorkActivitySid": text(),
        }
    ),
    "Application": Word(
        {**_leg(SCHEMA_WARNING), "customerId": text(), "copyParentTo": flag("false")},
        names("ApplicationSid Parameter"),
    ),
    "Sim": Word(_CALLBACK),
    "WhatsApp": Word(_leg(SCHEMA_WARNING)),
    "Identity": Word(),
    "Parameter": Word({"name": text(), "value": text()}),
    "Uri": Word(
        {
            "priority": whole("", 0, 65535),
            "weight": whole("", 0, 65535),
            **texts("username password"),
        }
    ),
    "Headers": Word({}, names("Header")),
    "Header": Word(texts("name value")),
    "ApplicationSid": Word(),
    "Enqueue": Word(
        {
            **_action(14201),
            "waitUrl": text(),
            "waitUrlMethod": method(14206),
            "maxQueueSize": whole("", 1, 5000),
            "workflowSid": text(),
        },
        names("Task"),
    ),
    "Task": Word({"priority": whole("0", 0, 2**31 - 1), "timeout": whole("", 0, 2**31 - 1)}),
    "Refer": Word(_action(), names("Sip ReferSip")),
    "ReferSip": Word(),
}

VOICE: Mapping[str, Word] = {
    "Response": Word({}, VOICE_VERBS),
    **_SIMPLE,
    **_SPEECH,
    **_DIALLING,
    **SERVICES,
}

MESSAGE: Mapping[str, Word] = {
    "Response": Word({}, MESSAGE_VERBS, 14110),
    "Message": Word(
        {"to": text(), "from": text(), **_action(14104), "statusCallback": text()},
        names("Body Media"),
    ),
    "Body": Word(),
    "Media": Word(),
    "Redirect": Word({"method": method(13710)}),
}
