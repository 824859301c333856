"""The verb Enqueue: the caller in a queue.

https://www.twilio.com/docs/voice/twiml/enqueue
"""

from ringback.simulator.twiml import Element
from ringback.simulator.voice import params
from ringback.simulator.voice.dialling import breathe
from ringback.simulator.voice.documents import (
    DEQUEUE,
    WAIT,
    Broken,
    Failure,
    Finish,
    Outcome,
    Page,
    Program,
    do,
)
from ringback.simulator.voice.effects import (
    Bridge,
    Complain,
    Fetch,
    Hear,
    JoinQueue,
    LeaveQueue,
    Look,
    Now,
    PickUp,
)
from ringback.simulator.voice.results import (
    Bridged,
    Dequeued,
    HungUp,
    Interrupted,
    Queued,
    Rescripted,
    Standing,
)
from ringback.simulator.voice.sounds import MUSIC_SECONDS, WAIT_MUSIC

LONGEST_NAME = 64


def enqueue(verb: Element, page: Page) -> Program[Outcome]:
    """Stand in line until taken, leaving, or hanging up; then the action, if there is one."""
    yield from do(PickUp())
    name = verb.get("workflowSid") or verb.text
    code = 14204 if not name else 14205 if len(name) > LONGEST_NAME else 0
    if code:
        problem = f"a queue name has 1 to {LONGEST_NAME} characters; this one has {len(name)}"
        yield from do(Complain(code, "error", problem, page.base))
        return _after(verb, page, "error", "", 0)
    try:
        wait_url = page.optional(verb.get("waitUrl"), 14202)
    except Failure as failure:
        yield from do(Complain(14202, "error", str(failure), page.base))
        return _after(verb, page, "error", "", 0)
    try:
        page.optional(verb.get("action"), 14203)
    except Failure as failure:
        yield from do(Complain(14203, "error", str(failure), page.base))
        return None
    queued: Queued = yield from do(JoinQueue(name, verb.number("maxQueueSize")))
    if queued.full:
        yield from do(Complain(14207, "warning", f"queue {name!r} is full", page.base))
        return _after(verb, page, "queue-full", queued.sid, 0)
    return (yield from _in_line(verb, page, wait_url))


def _after(verb: Element, page: Page, result: str, sid: str, waited: int) -> Outcome:
    if not verb.given("action"):
        return None
    return page.action(verb, "enqueue", params.left_queue(result, sid, waited))


def _send(verb: Element, page: Page, result: str, sid: str, waited: int) -> Program[None]:
    """The action request whose reply is not run: the leg is elsewhere already."""
    if verb.given("action"):
        yield from page.farewell(verb, "enqueue", params.left_queue(result, sid, waited))


def _in_line(verb: Element, page: Page, wait_url: str) -> Program[Outcome]:
    try:
        outcome = yield from _wait(verb, page, wait_url)
    except Interrupted as cut:
        if isinstance(cut.event, Dequeued):
            return (yield from _talk(verb, page, cut.event))
        result = "redirected" if isinstance(cut.event, Rescripted) else "hangup"
        yield from _go(verb, page, result)
        raise
    if isinstance(outcome, Finish):
        yield from _go(verb, page, "hangup")
        return outcome
    place: Standing = yield Look()
    yield LeaveQueue()
    return _after(verb, page, "leave", place.sid, place.waited)


def _go(verb: Element, page: Page, result: str) -> Program[None]:
    place: Standing = yield Look()
    yield LeaveQueue()
    yield from _send(verb, page, result, place.sid, place.waited)


def _wait(verb: Element, page: Page, url: str) -> Program[Outcome]:
    """Ask for the wait document again and again. Returns when it says Leave or Hangup."""
    method = verb.get("waitUrlMethod").upper()
    given = verb.given("waitUrl")
    while url:
        before = yield from do(Now())
        place: Standing = yield from do(Look())
        request = Fetch(url, method, params.standing(place), "wait")
        outcome = yield from page.run(request, WAIT)
        if isinstance(outcome, Broken):
            given = False  # the caller keeps the place and hears the built-in music
            break
        if outcome is not None:
            return outcome
        yield from breathe(before)
    if given:
        yield from do(Hear("silence"))
    while True:
        yield from do(Hear("music", WAIT_MUSIC, MUSIC_SECONDS))


def _talk(verb: Element, page: Page, taken: Dequeued) -> Program[Outcome]:
    """Hear the whisper, then talk with the one who dequeued this call."""
    bridging = False
    try:
        if taken.whisper is not None:
            fields = params.taken(taken.sid, taken.waited, taken.by)
            whisper = Fetch(taken.whisper.url, taken.whisper.method, fields, "whisper")
            yield from page.run(whisper, DEQUEUE)
        bridging = True
        bridged: Bridged = yield from do(Bridge())
    except Interrupted as cut:
        yield LeaveQueue()
        if isinstance(cut.event, HungUp):
            result = "bridged" if bridging else "hangup"
        else:
            result = "redirected-from-bridged" if bridging else "redirected"
        yield from _send(verb, page, result, taken.sid, taken.waited)
        raise
    yield LeaveQueue()
    result = "bridged" if bridged.talked else "error"
    return _after(verb, page, result, taken.sid, taken.waited)
