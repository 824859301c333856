"""Program of one leg of a call, from its first document to its end.

A program is a generator without clock or sockets. It yields an effect (`effects.py`); its driver
resumes it with the result (`results.py`) once that is known, or earlier with an interrupt:

    program = call(Script(url="https://example.test/voice"))
    effect = next(program)                      # Fetch(url=…, purpose="call")
    effect = program.send(answer)               # PickUp()
    effect = program.send(None)                 # Hear(kind="say", text="Hello", seconds=0.5)
    effect = program.send(HungUp())             # the caller hung up: StopIteration, or Send(…)

A leg that has ended may still yield `Send`, `Look` and the closing effects; whatever takes time is
then answered by `HungUp` again.
"""

from collections.abc import Mapping

from ringback.simulator.voice import background, dialling, gather_record, pay, queueing, verbs
from ringback.simulator.voice.documents import (
    CALL,
    HOLD,
    WHISPER,
    Broken,
    Finish,
    Frame,
    Outcome,
    Program,
    Verb,
    do,
    run,
)
from ringback.simulator.voice.effects import Fetch, Hear, PickUp
from ringback.simulator.voice.ports import Script
from ringback.simulator.voice.results import HungUp, Interrupted, Rescripted
from ringback.simulator.voice.sounds import APOLOGY, spoken_seconds

VERBS: Mapping[str, Verb] = {
    "Say": verbs.say,
    "Play": verbs.say,
    "Pause": verbs.pause,
    "Redirect": verbs.redirect,
    "Hangup": verbs.hangup,
    "Reject": verbs.reject,
    "Leave": verbs.leave,
    "Echo": verbs.echo,
    "Sms": verbs.sms,
    "Gather": gather_record.gather,
    "Record": gather_record.record,
    "Dial": dialling.dial,
    "Enqueue": queueing.enqueue,
    "Start": background.start,
    "Stop": background.stop,
    "Connect": background.connect,
    "Refer": background.refer,
    "Pay": pay.pay,
    "Prompt": verbs.nothing,
    "Queue": verbs.nothing,
}


def call(script: Script) -> Program[Finish]:
    """The life of a leg that runs TwiML. Returns how to end it: hang up, or refuse by a reason.

    A REST update interrupts whatever runs and starts over with the new script. When a document
    fails and no fallback helps, the caller hears an apology first.
    """
    purpose = "call"
    while True:
        try:
            return (yield from _play(script, purpose))
        except Interrupted as cut:
            if isinstance(cut.event, Rescripted):
                script, purpose = cut.event.script, "update"
            elif isinstance(cut.event, HungUp):
                return Finish()
            else:
                raise


def _play(script: Script, purpose: str) -> Program[Finish]:
    outcome = yield from run(VERBS, _start(script, purpose), CALL, script)
    if isinstance(outcome, Finish):
        if not outcome.reject:
            yield from do(PickUp())
        return outcome
    yield from do(PickUp())
    if isinstance(outcome, Broken):
        yield from do(Hear("announcement", APOLOGY, spoken_seconds(APOLOGY)))
    return Finish()


def _start(script: Script, purpose: str) -> Fetch | str:
    if script.url:
        return Fetch(script.url, script.method.upper(), (), purpose)
    return script.twiml


def whisper(script: Script) -> Program[bool]:
    """What the dialled party hears before the bridge. True = bridge, False = do not.

    A REST update while it runs is raised as Interrupted: the leg has another life to live.
    """
    outcome = yield from run(VERBS, _start(script, "whisper"), WHISPER)
    return outcome is None


def aside(script: Script, purpose: str, frame: Frame = HOLD) -> Program[Outcome]:
    """A document played into a conference: an announcement, or what a held participant hears."""
    return (yield from run(VERBS, _start(script, purpose), frame))
