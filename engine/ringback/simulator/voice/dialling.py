"""The verb Dial: what is rung, taken or joined, and how the leg goes on afterwards.

https://www.twilio.com/docs/voice/twiml/dial and the pages of its nouns.
"""

import re
from typing import Literal, cast

from ringback.simulator.twiml import Element, default_element
from ringback.simulator.voice import params
from ringback.simulator.voice.documents import HOLD, Broken, Outcome, Page, Program, do
from ringback.simulator.voice.effects import (
    AbandonDial,
    Complain,
    Fetch,
    Hear,
    JoinConference,
    Kind,
    LeaveConference,
    Now,
    PickUp,
    Ring,
    Stay,
    TakeFromQueue,
    Target,
)
from ringback.simulator.voice.gather_record import recording_callback
from ringback.simulator.voice.ports import Callback, Detection, RecordingSpec, Script
from ringback.simulator.voice.results import ConferenceChanged, Dialed, HungUp, Interrupted
from ringback.simulator.voice.sounds import MUSIC_SECONDS, WAIT_MUSIC

MOST_TARGETS = 10


def dial(verb: Element, page: Page) -> Program[Outcome]:
    """Connect the leg to phones, to a queue's front caller, or to a conference."""
    nouns = verb.children or ((default_element("Number", text=verb.text),) if verb.text else ())
    alone = [noun for noun in nouns if noun.name in {"Conference", "Queue"}]
    if alone and len(nouns) > 1:
        problem = f"<{alone[0].name}> must stand alone in <Dial>; the other nouns are ignored"
        yield from do(Complain(13000, "warning", problem, page.base))
    if alone and alone[0].name == "Conference":
        return (yield from _conference(verb, alone[0], page))
    result: Dialed
    try:
        if alone:
            yield from do(PickUp())
            result = yield from do(_queue(verb, alone[0], page))
        else:
            if not verb.flag("answerOnBridge"):
                yield from do(PickUp())
            targets = yield from _targets(nouns, page)
            result = yield from _ring(verb, targets, page)
    except Interrupted as cut:
        rest: Dialed = yield AbandonDial()
        if isinstance(cut.event, HungUp) and verb.given("action"):
            yield from page.farewell(verb, "dial", params.dialed(rest))
        raise
    return _after(verb, page, result)


def _after(verb: Element, page: Page, result: Dialed) -> Outcome:
    """With an action, go there; without one, to the next verb."""
    return page.action(verb, "dial", params.dialed(result)) if verb.given("action") else None


def _ring(verb: Element, targets: tuple[Target, ...], page: Page) -> Program[Dialed]:
    if not targets:
        return Dialed("failed")
    record, ringing = _recording(verb, page)
    effect = Ring(
        targets,
        timeout=float(verb.number("timeout")),
        limit=float(verb.number("timeLimit")),
        caller_id=verb.get("callerId"),
        answer_on_bridge=verb.flag("answerOnBridge"),
        hangup_on_star=verb.flag("hangupOnStar"),
        sequential=verb.flag("sequential"),
        record=record,
        record_ringing=ringing,
    )
    result: Dialed = yield from do(effect)
    return result


def _recording(verb: Element, page: Page) -> tuple[RecordingSpec | None, bool]:
    """Dial's `record`: what to record, and whether from the ringing on."""
    value = verb.get("record")
    if value in {"false", "do-not-record"}:
        return None, False
    spec = RecordingSpec(
        source="DialVerb",
        channels=2 if value.endswith("-dual") else 1,
        track=verb.get("recordingTrack"),
        trim=verb.get("trim"),
        callback=recording_callback(verb, page),
    )
    return spec, "ringing" in value


def _targets(nouns: tuple[Element, ...], page: Page) -> Program[tuple[Target, ...]]:
    """The phones among the nouns. What cannot be dialled is reported and left out."""
    found: list[Target] = []
    for noun in nouns:
        kind = cast(Kind, noun.name.lower())
        address, code = _address(kind, noun)
        if code:
            problem = f"<{noun.name}>: {address[:80]!r} cannot be dialled"
            yield from do(Complain(code, "warning", problem, page.base))
        else:
            found.append(_target(kind, address, noun, page))
    if len(found) > MOST_TARGETS:
        problem = f"<Dial> names {len(found)} phones; only {MOST_TARGETS} are rung"
        yield from do(Complain(12200, "warning", problem, page.base))
    return tuple(found[:MOST_TARGETS])


def _address(kind: Kind, noun: Element) -> tuple[str, int]:
    """Where a noun calls, and the code of what is wrong with it (0 = nothing)."""
    nested = {
        "client": "Identity",
        "sip": "Uri",
        "application": "ApplicationSid",
    }.get(kind, "")
    text = noun.text or next((child.text for child in noun.nested(nested)), "")
    match kind:
        case "number" | "whatsapp":
            plain = re.sub(r"[\s().-]", "", text)
            prefix = "whatsapp:" if kind == "whatsapp" else ""
            dialable = re.fullmatch(r"\+?[0-9]{2,15}", plain, re.ASCII)
            return (prefix + plain, 0) if dialable else (text, 13223)
        case "client":
            named = re.fullmatch(r"[^\s<>&]{1,121}", text)
            return (f"client:{text.removeprefix('client:')}", 0) if named else (text, 13223)
        case "sip":
            address = text if text.startswith(("sip:", "sips:")) else f"sip:{text}"
            routable = re.fullmatch(r"sips?:[^\s@]+@[^\s@]+", address) and len(address) <= 1024
            return (address, 0) if routable else (text, 13243)
        case "application":
            return (f"app:{text}", 0) if text else (text, 13223)
        case _:
            return (f"sim:{text}", 0) if text else (text, 13223)


def _target(kind: Kind, address: str, noun: Element, page: Page) -> Target:
    whisper = page.optional(noun.get("url"))
    return Target(
        kind,
        address,
        whisper=Script(whisper, noun.get("method").upper()) if whisper else None,
        send_digits=noun.get("sendDigits"),
        status=_status(noun, page),
        detection=_detection(noun, page),
        parameters=tuple((p.get("name"), p.get("value")) for p in noun.nested("Parameter")),
    )


def _status(noun: Element, page: Page) -> Callback:
    return Callback(
        page.optional(noun.get("statusCallback")),
        noun.get("statusCallbackMethod").upper(),
        frozenset(noun.get("statusCallbackEvent").split()),
    )


def _detection(noun: Element, page: Page) -> Detection:
    mode = cast(Literal["", "Enable", "DetectMessageEnd"], noun.get("machineDetection"))
    callback = page.optional(noun.get("amdStatusCallback"))
    return Detection(
        mode,
        timeout=float(noun.number("machineDetectionTimeout")),
        waits=not callback,
        callback=callback,
        callback_method=noun.get("amdStatusCallbackMethod").upper() or "POST",
    )


def _queue(verb: Element, noun: Element, page: Page) -> TakeFromQueue:
    whisper = page.optional(noun.get("url"), 14211)
    return TakeFromQueue(
        noun.text,
        timeout=float(verb.number("timeout")),
        limit=float(verb.number("timeLimit")),
        whisper=Script(whisper, noun.get("method").upper()) if whisper else None,
        hangup_on_star=verb.flag("hangupOnStar"),
        record=_recording(verb, page)[0],
    )


def _conference(verb: Element, noun: Element, page: Page) -> Program[Outcome]:
    """Join a conference; wait with music until it starts, talk until it or the part in it ends."""
    yield from do(PickUp())
    if not noun.text:
        yield from do(Complain(13237, "warning", "<Conference> has no name", page.base))
        return _after(verb, page, Dialed("failed"))
    wait_url = page.optional(noun.get("waitUrl"), 13233)
    wait = (wait_url, noun.get("waitMethod"), noun.given("waitUrl"))
    joined = yield from do(_joining(verb, noun, page))
    if not joined.sid:
        problem = f"conference {noun.text!r} has no free place"
        yield from do(Complain(joined.code, "error", problem, page.base))
        return _after(verb, page, Dialed("failed"))
    try:
        running = not joined.waiting or (yield from _wait_for_start(wait, joined.sid, noun, page))
        if running:
            yield from do(Stay())
    except Interrupted as cut:
        yield LeaveConference()
        if isinstance(cut.event, HungUp) and verb.given("action"):
            yield from page.farewell(verb, "dial", params.dialed(Dialed("answered")))
        raise
    return _after(verb, page, Dialed("answered"))


def _joining(verb: Element, noun: Element, page: Page) -> JoinConference:
    records = noun.get("record") in {"true", "record-from-start"}
    spec = RecordingSpec(
        source="Conference", trim=noun.get("trim"), callback=recording_callback(noun, page)
    )
    return JoinConference(
        noun.text,
        muted=noun.flag("muted"),
        start_on_enter=noun.flag("startConferenceOnEnter"),
        end_on_exit=noun.flag("endConferenceOnExit"),
        beep=noun.get("beep"),
        limit=noun.number("maxParticipants"),
        coach=noun.get("coach"),
        label=noun.get("participantLabel"),
        status=_status(noun, page),
        record=spec if records else None,
        star_leaves=verb.flag("hangupOnStar"),
    )


def _wait_for_start(
    wait: tuple[str, str, bool], sid: str, noun: Element, page: Page
) -> Program[bool]:
    """Play the wait document again and again. True = the conference runs, False = it is over."""
    url, method, given = wait
    try:
        fields = (("ConferenceSid", sid), ("FriendlyName", noun.text))
        yield from wait_loop(url, method, given, fields, page)
    except Interrupted as cut:
        if isinstance(cut.event, ConferenceChanged):
            return cut.event.running
        raise
    return True


def wait_loop(
    url: str, method: str, given: bool, fields: tuple[tuple[str, str], ...], page: Page
) -> Program[None]:
    """Let the caller hear a conference's wait document for ever; only an interrupt ends it."""
    while url:
        before = yield from do(Now())
        outcome = yield from page.run(Fetch(url, method.upper(), fields, "conference"), HOLD)
        if isinstance(outcome, Broken):
            given = False
            break
        yield from breathe(before)
    if given:
        yield from do(Hear("silence"))
    while True:
        yield from do(Hear("music", WAIT_MUSIC, MUSIC_SECONDS))


def breathe(before: float) -> Program[None]:
    """A wait document that took no time would be asked for without end: give it a second."""
    if (yield from do(Now())) - before < 1.0:
        yield from do(Hear("silence", seconds=1.0))
