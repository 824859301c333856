"""The simple verbs: Say, Play, Pause, Redirect, Hangup, Reject, Leave, Echo, Sms."""

from ringback.simulator.twiml import Element
from ringback.simulator.voice.documents import (
    WAIT,
    Failure,
    Finish,
    Goto,
    Leave,
    Outcome,
    Page,
    Program,
    do,
)
from ringback.simulator.voice.effects import Complain, Fetch, Hear, PickUp, SendText
from ringback.simulator.voice.sounds import sounds

LONGEST_SPEECH = 4096
LONGEST_TEXT = 1600


def say(verb: Element, page: Page) -> Program[Outcome]:
    """Speak. Nothing to say, or too much, is reported and skipped."""
    yield from do(PickUp())
    if not (yield from speakable(verb, page)):
        return None
    for sound in sounds(verb, page):
        yield from do(sound)
    return None


def speakable(verb: Element, page: Page) -> Program[bool]:
    """Is there something to speak or play, and not too much of it? Reports it when not."""
    if verb.name == "Say" and not verb.text:
        yield from do(Complain(13520, "warning", "<Say> has no text to speak", page.base))
        return False
    if verb.name == "Say" and len(verb.text) > LONGEST_SPEECH:
        problem = f"<Say> has {len(verb.text)} characters; {LONGEST_SPEECH} may be spoken"
        yield from do(Complain(13521, "warning", problem, page.base))
        return False
    if verb.name == "Play" and not verb.text and not verb.get("digits"):
        raise Failure(11100, "<Play> names no sound to play", page.base)
    return True


def pause(verb: Element, page: Page) -> Program[Outcome]:
    """Wait in silence. As the first verb it delays answering, so it does not pick up."""
    for sound in sounds(verb, page):
        yield from do(sound)
    return None


def redirect(verb: Element, page: Page) -> Program[Outcome]:
    """Go on in another document."""
    yield from ()
    url = page.resolve(verb.text)
    return Goto(Fetch(url, verb.get("method").upper(), (), "redirect"))


def hangup(verb: Element, page: Page) -> Program[Outcome]:
    """End the call."""
    yield from ()
    return Finish()


def reject(verb: Element, page: Page) -> Program[Outcome]:
    """Refuse a call that still rings; one that is answered already is hung up."""
    yield from ()
    return Finish("busy" if verb.get("reason") == "busy" else "no-answer")


def leave(verb: Element, page: Page) -> Program[Outcome]:
    """Leave the queue. Outside a wait document it does nothing."""
    yield from ()
    return Leave() if page.frame is WAIT else None


def nothing(verb: Element, page: Page) -> Program[Outcome]:
    """A noun where a verb belongs (Prompt, Queue): the library can write it, nothing follows."""
    yield from ()
    return None


def echo(verb: Element, page: Page) -> Program[Outcome]:
    """Play the caller back until somebody hangs up."""
    yield from do(PickUp())
    yield from do(Hear("echo"))
    return None


def sms(verb: Element, page: Page) -> Program[Outcome]:
    """Send a text message from the call, and go to the action if there is one."""
    if not verb.text or len(verb.text) > LONGEST_TEXT:
        problem = f"<Sms> has {len(verb.text)} characters; 1 to {LONGEST_TEXT} can be sent"
        yield from do(Complain(14103, "warning", problem, page.base))
        return None
    callback = page.optional(verb.get("statusCallback"))
    sent = yield from do(SendText(verb.get("to"), verb.get("from"), verb.text, callback))
    if not verb.given("action"):
        return None
    fields = (("MessageSid", sent.sid), ("SmsSid", sent.sid))
    status = (("MessageStatus", sent.status), ("SmsStatus", sent.status))
    return page.action(verb, "sms", (*fields, *status))
