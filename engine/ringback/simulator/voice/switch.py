"""Switch: it runs the programs of the legs, and resumes each with the results of its effects.

Every change goes through one agenda, first come, first served: while a program runs, nothing else
does, so a leg that hangs up in the middle of another's step is dealt with after that step.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from ringback.simulator.voice import params
from ringback.simulator.voice.documents import Program
from ringback.simulator.voice.effects import (
    Bridge,
    Capture,
    Complain,
    Effect,
    Fetch,
    Hear,
    Notify,
    Now,
    Opened,
    Ring,
    Send,
    Stay,
    TakeFromQueue,
)
from ringback.simulator.voice.legs import Leg
from ringback.simulator.voice.ports import Answer, Ask, Fields, Kernel, Notice, Trouble, pairs
from ringback.simulator.voice.results import (
    ConferenceChanged,
    Dequeued,
    HungUp,
    Interrupt,
    Interrupted,
)

PENDING = object()
LASTING = (Fetch, Hear, Capture, Ring, TakeFromQueue, Bridge, Stay)
MOST_DOCUMENTS = 1000  # remembered for a person to look at

Handler = Callable[[Leg, Any], object]


class ExchangeError(Exception):
    """A request that the exchange refuses, with Twilio's code and the HTTP status for REST."""

    def __init__(self, code: int, message: str, http_status: int = 400) -> None:
        super().__init__(message)
        self.code, self.http_status = code, http_status


class Switch:
    """Runs the programs of all legs over a kernel, one step at a time."""

    def __init__(self, kernel: Kernel, account_sid: str) -> None:
        self.kernel = kernel
        self.account_sid = account_sid
        self.legs: dict[str, Leg] = {}
        self.handlers: dict[type[Effect], Handler] = {
            Fetch: self._fetch,
            Send: self._send,
            Notify: self._notify,
            Complain: self._complain,
            Opened: self._opened,
            Now: lambda leg, effect: kernel.now(),
        }
        self._agenda: deque[Callable[[], None]] = deque()
        self._busy = False

    # --- the agenda ---

    def post(self, do: Callable[[], None]) -> None:
        """Do something after what is being done now, at the same moment of virtual time."""
        self._agenda.append(do)
        if self._busy:
            return
        self._busy = True
        try:
            while self._agenda:
                self._agenda.popleft()()
        finally:
            self._busy = False

    def later(self, leg: Leg, name: str, seconds: float, do: Callable[[], None]) -> None:
        """Do something in so many seconds, unless the leg's timer of that name is stopped."""
        leg.stop(name)
        leg.timers[name] = self.kernel.after(seconds, lambda: self.post(do))

    # --- programs ---

    def begin(self, leg: Leg, program: Program[Any], done: Callable[[Any], None]) -> None:
        """Give a leg a program. `done` gets what it returns, or the interrupt that it died of."""

        def start() -> None:
            leg.program, leg.done = program, done
            self._step(leg, None)

        self.post(start)

    def wake(self, leg: Leg, result: object) -> None:
        """Resume a leg with the result of what it waits for, if it still waits for that.

        A leg in the middle of a step waits for nothing: it has moved on by itself.
        """
        if leg.effect is not None:
            self.post(self._resumption(leg, result))

    def expire(self, leg: Leg, seconds: float, result: object) -> None:
        """Let what the leg waits for end with this result in so many seconds."""
        resume = self._resumption(leg, result)
        if leg.timer is not None:
            leg.timer.cancel()
        leg.timer = self.kernel.after(seconds, lambda: self.post(resume))

    def _resumption(self, leg: Leg, result: object) -> Callable[[], None]:
        turn = leg.turn

        def resume() -> None:
            if leg.turn == turn and leg.effect is not None:
                self._step(leg, result)

        return resume

    def interrupt(self, leg: Leg, event: Interrupt) -> None:
        """Cut short whatever the leg waits for.

        What belongs to a queue or a conference is dropped when the leg is out of it by then.
        """

        def cut() -> None:
            if leg.program is None or leg.effect is None:
                return
            if isinstance(event, Dequeued | ConferenceChanged):
                if leg.waits != ("queue" if isinstance(event, Dequeued) else "conference"):
                    return
                leg.waits = ""
            self._step(leg, event)

        self.post(cut)

    def _step(self, leg: Leg, result: object) -> None:
        assert leg.program is not None
        leg.turn += 1
        leg.effect = None
        if leg.timer is not None:
            leg.timer.cancel()
            leg.timer = None
        outcome: object
        while True:
            try:
                effect = leg.program.send(result)
            except StopIteration as stop:
                outcome = stop.value
                break
            except Interrupted as cut:
                outcome = cut.event
                break
            if leg.ended and isinstance(effect, LASTING):
                result = HungUp()
                continue
            result = self.handlers[type(effect)](leg, effect)
            if result is PENDING:
                leg.effect = effect
                return
        leg.program = None
        leg.done(outcome)

    # --- the web ---

    def base(self, leg: Leg) -> Fields:
        """The fields that every request about this leg carries, as of now."""
        return params.base(leg.call, self.account_sid)

    def _request(self, leg: Leg, effect: Fetch) -> Ask:
        proof = params.caller_proof(leg.call) if effect.purpose == "call" else ()
        fields = pairs(self.base(leg), proof, effect.fields)
        return Ask(effect.url, effect.method, fields, effect.purpose, leg.sid)

    def _fetch(self, leg: Leg, effect: Fetch) -> object:
        turn, ask = leg.turn, self._request(leg, effect)

        def answered(answer: Answer) -> None:
            leg.last = (ask, answer)
            if leg.turn == turn and leg.effect is not None:
                self._step(leg, answer)

        leg.timer = self.kernel.ask(ask, lambda answer: self.post(lambda: answered(answer)))
        return PENDING

    def _send(self, leg: Leg, effect: Send) -> None:
        ask = self._request(leg, effect.fetch)

        def answered(answer: Answer) -> None:
            if answer.error or not 200 <= answer.status < 300:
                code = answer.error or 11200
                problem = answer.message or f"the web server answered HTTP {answer.status}"
                self.kernel.trouble(Trouble(code, "error", problem, leg.sid, ask.url, ask, answer))

        self.kernel.ask(ask, lambda answer: self.post(lambda: answered(answer)))

    def _notify(self, leg: Leg, effect: Notify) -> None:
        fields = pairs(self.base(leg), effect.fields)
        self.kernel.notify(Notice(effect.url, effect.method, fields, effect.kind, leg.sid))

    def _opened(self, leg: Leg, effect: Opened) -> None:
        if len(leg.documents) < MOST_DOCUMENTS:
            leg.documents.append(effect)

    def _complain(self, leg: Leg, effect: Complain) -> None:
        ask, answer = leg.last or (None, None)
        about = ask is not None and effect.url in {ask.url, answer.url if answer else ""}
        self.kernel.trouble(
            Trouble(
                effect.code,
                effect.level,
                effect.message,
                leg.sid,
                effect.url,
                ask if about else None,
                answer if about else None,
            )
        )

    def find(self, call_sid: str) -> Leg:
        """The leg of a call. Raises ExchangeError 20404 when there is none."""
        leg = self.legs.get(call_sid)
        if leg is None:
            raise ExchangeError(20404, f"there is no call {call_sid}", 404)
        return leg
