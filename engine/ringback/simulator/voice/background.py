"""Verbs that run beside a document or take the call elsewhere: Start, Stop, Connect, Refer."""

from ringback.simulator.twiml import Element
from ringback.simulator.voice.documents import Outcome, Page, Program, do
from ringback.simulator.voice.effects import Background, Complain, Hear, PickUp, Refer
from ringback.simulator.voice.gather_record import recording_callback
from ringback.simulator.voice.ports import NOBODY, Callback, RecordingSpec
from ringback.simulator.voice.results import HungUp, Interrupted


def start(verb: Element, page: Page) -> Program[Outcome]:
    """Start each noun in the background and go on."""
    yield from do(PickUp())
    for noun in verb.children:
        yield from do(_background(noun, page))
    return None


def _background(noun: Element, page: Page) -> Background:
    if noun.name == "Recording":
        spec = RecordingSpec(
            source="StartCallRecordingTwiML",
            channels=2 if noun.get("channels") == "dual" else 1,
            track=noun.get("track"),
            trim=noun.get("trim"),
            callback=recording_callback(noun, page),
        )
        return Background("start", noun.name, noun.get("name"), record=spec)
    url = page.optional(noun.get("statusCallback") or noun.get("statusCallbackUrl"))
    callback = Callback(url, noun.get("statusCallbackMethod").upper() or "POST") if url else NOBODY
    settings = tuple(noun.attributes.items())
    return Background("start", noun.name, noun.get("name"), callback, settings=settings)


def stop(verb: Element, page: Page) -> Program[Outcome]:
    """Stop what an earlier Start began, by kind and name."""
    for noun in verb.children:
        yield from do(Background("stop", noun.name, noun.get("name")))
    return None


def connect(verb: Element, page: Page) -> Program[Outcome]:
    """Hand the sound of the call to a service until the caller hangs up.

    No such service is simulated: the caller hears nothing, and REST or a hang-up ends it.
    """
    yield from do(PickUp())
    if not verb.children:
        problem = "<Connect> names nothing to connect to"
        yield from do(Complain(12200, "warning", problem, page.base))
        return None
    noun = verb.children[0]
    begun = _background(noun, page)
    yield from do(begun)
    try:
        yield from do(Hear("silence", noun.get("url")))
    except Interrupted as cut:
        yield Background("stop", noun.name, begun.name)
        if isinstance(cut.event, HungUp) and verb.given("action"):
            yield from page.farewell(verb, "connect", ())
        raise
    return None


def refer(verb: Element, page: Page) -> Program[Outcome]:
    """Ask a SIP caller's side to call somewhere else; other legs cannot be referred."""
    uri = next((noun.text for noun in verb.nested("Sip", "ReferSip")), "")
    referred = yield from do(Refer(uri))
    if not referred.possible:
        yield from do(Complain(13801, "error", "<Refer> works on SIP legs only", page.base))
        return None
    if not verb.given("action"):
        return None
    fields = (
        ("ReferCallStatus", "completed"),
        ("ReferSipResponseCode", "202"),
        ("NotifySipResponseCode", "200"),
    )
    return page.action(verb, "refer", fields)
