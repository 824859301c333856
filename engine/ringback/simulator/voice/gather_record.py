"""The verbs Gather and Record: how they listen to the caller.

https://www.twilio.com/docs/voice/twiml/gather and https://www.twilio.com/docs/voice/twiml/record.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ringback.simulator.twiml import Element
from ringback.simulator.voice import params
from ringback.simulator.voice.documents import Outcome, Page, Program, do
from ringback.simulator.voice.effects import (
    Capture,
    Complain,
    Hear,
    Notify,
    PickUp,
    StopCapture,
)
from ringback.simulator.voice.ports import Callback, RecordingSpec
from ringback.simulator.voice.results import HungUp, Interrupted, Key, Recorded, Speech
from ringback.simulator.voice.sounds import sounds
from ringback.simulator.voice.verbs import speakable

BEEP_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Wants:
    """What one Gather listens for."""

    keys: bool
    speech: bool
    timeout: float
    limit: int
    finish: str
    speech_pause: float
    speech_limit: float
    barge_in: bool


def _wants(verb: Element) -> Wants:
    pause = verb.get("speechTimeout")
    return Wants(
        keys="dtmf" in verb.get("input"),
        speech="speech" in verb.get("input"),
        timeout=float(verb.number("timeout")),
        limit=verb.number("numDigits"),
        finish=verb.get("finishOnKey"),
        speech_pause=float(pause) if pause.isdigit() else float(verb.number("timeout")),
        speech_limit=float(verb.number("maxSpeechTime")),
        barge_in=verb.flag("bargeIn"),
    )


def gather(verb: Element, page: Page) -> Program[Outcome]:
    """Listen for keys and words, during the prompts and after them."""
    yield from do(PickUp())
    wants = _wants(verb)
    if verb.get("speechTimeout") == "auto":
        wants = replace(wants, speech_pause=1.0)
    first = yield from prompts(verb, page, wants)
    heard = yield from listen(wants, first)
    if isinstance(heard, Speech):
        yield from _partial(verb, page, heard)
        fields = params.speech(heard.text, heard.confidence, verb.get("language"))
        return page.action(verb, "gather", fields)
    digits, finished_on = heard
    if digits:
        return page.action(verb, "gather", params.digits(digits, finished_on))
    if verb.flag("actionOnEmptyResult"):
        return page.action(verb, "gather", params.nothing(wants.keys, wants.speech))
    return None


def prompts(verb: Element, page: Page, wants: Wants) -> Program[Key | Speech | None]:
    """Play what is nested; the first key or word cuts it short and is returned."""
    for child in verb.children:
        if child.name != "Pause" and not (yield from speakable(child, page)):
            continue
        for sound in _interruptible(sounds(child, page), wants):
            result = yield from do(sound)
            if isinstance(result, Key | Speech):
                return result
    return None


def _interruptible(sounded: Iterator[Hear], wants: Wants) -> Iterator[Hear]:
    for sound in sounded:
        yield replace(
            sound,
            keys=wants.keys,
            speech=wants.speech and wants.barge_in,
            speech_pause=wants.speech_pause,
            speech_limit=wants.speech_limit,
        )


def listen(wants: Wants, first: Key | Speech | None) -> Program[Speech | tuple[str, str]]:
    """Collect keys until enough, the finishing one, or silence. Words end it at once."""
    digits = ""
    result: object = first
    while True:
        if isinstance(result, Speech):
            return result
        if isinstance(result, Key):
            if result.key in wants.finish:
                return digits, result.key
            digits += result.key
            if wants.limit and len(digits) >= wants.limit:
                return digits, ""
        elif result is not None:
            return digits, ""
        result = yield from do(
            Hear(
                "silence",
                seconds=wants.timeout,
                keys=wants.keys,
                speech=wants.speech and not digits,
                speech_pause=wants.speech_pause,
                speech_limit=wants.speech_limit,
            )
        )


def _partial(verb: Element, page: Page, heard: Speech) -> Program[None]:
    url = page.optional(verb.get("partialResultCallback"))
    if url:
        method = verb.get("partialResultCallbackMethod").upper()
        fields = params.partial_speech(heard.text, 0)
        yield from do(Notify(url, method, fields, "partial-speech"))


def recording_callback(element: Element, page: Page) -> Callback:
    """The `recordingStatusCallback` attributes of any element that has them. Raises Failure."""
    return Callback(
        page.optional(element.get("recordingStatusCallback"), 13256),
        element.get("recordingStatusCallbackMethod").upper(),
        frozenset(element.get("recordingStatusCallbackEvent").split()),
    )


def record(verb: Element, page: Page) -> Program[Outcome]:
    """Record the caller after the beep; with sound go to the action, without fall through."""
    yield from do(PickUp())
    capture = Capture(
        silence=float(verb.number("timeout")),
        limit=float(verb.number("maxLength")),
        finish=verb.get("finishOnKey"),
        spec=RecordingSpec(
            source="RecordVerb",
            track="inbound",
            trim=verb.get("trim"),
            callback=recording_callback(verb, page),
        ),
        transcribe=verb.flag("transcribe"),
        transcribe_callback=page.optional(verb.get("transcribeCallback"), 13257),
    )
    if verb.flag("playBeep"):
        yield from do(Hear("beep", seconds=BEEP_SECONDS))
    try:
        recorded: Recorded = yield from do(capture)
    except Interrupted as cut:
        rest: Recorded = yield StopCapture()
        if isinstance(cut.event, HungUp) and rest.sid:
            fields = params.recorded(replace(rest, digits="hangup"))
            yield from page.farewell(verb, "record", fields)
        raise
    if not recorded.sid:
        yield from do(Complain(16102, "warning", "<Record> heard only silence", page.base))
        return None
    return page.action(verb, "record", params.recorded(recorded))
