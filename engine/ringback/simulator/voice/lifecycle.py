"""Life cycle of a call: created, ringing, answered, ended.

Calls in: a person rings one of our numbers. Calls out: placed over REST, or dialled by another leg.
States and events of https://www.twilio.com/docs/voice/api/call-resource.
"""

from collections.abc import Callable

from ringback.simulator.voice import leg as programs
from ringback.simulator.voice import params
from ringback.simulator.voice.call_records import Call, Direction
from ringback.simulator.voice.documents import Finish
from ringback.simulator.voice.effects import PickUp
from ringback.simulator.voice.legs import Leg
from ringback.simulator.voice.ports import (
    Callback,
    CallOptions,
    Detection,
    Handset,
    Notice,
    Script,
    Trouble,
)
from ringback.simulator.voice.results import HungUp
from ringback.simulator.voice.switch import ExchangeError, Switch

QUEUE_SECONDS = 0.1
CALL_SPACING = 1.0  # an account starts one call a second; the others stay queued
SETUP_SECONDS = 0.5
BUSY_SECONDS = 1.0
MOST_HOPS = 5  # calls of our own numbers to each other that one call may lead to
SIP_CODES = {"completed": 200, "busy": 486, "no-answer": 487, "canceled": 487, "failed": 404}
UNCONFIGURED = (
    "<Response><Say>The number you have dialed is not set up to take calls.</Say></Response>"
)
DETECTION_SECONDS = {"human": 2.0, "machine": 4.0, "fax": 3.0}
GREETING_SECONDS = 8.0


class Lifecycle:
    """Makes calls, rings phones, and ends legs with everything that hangs on them."""

    def __init__(self, switch: Switch) -> None:
        self.switch = switch
        self.kernel = switch.kernel
        self.ending: list[Callable[[Leg], None]] = []
        self.started: list[Callable[[Leg], None]] = []
        self._next_start = 0.0
        switch.handlers[PickUp] = lambda leg, effect: self.pick_up(leg)

    # --- birth ---

    def new(
        self, direction: Direction, from_: str, to: str, *, parent: str = "", status: str = "queued"
    ) -> Leg:
        now = self.kernel.now()
        call = Call(self.kernel.mint("CA"), from_, to, direction, now, parent, status=status)
        call.updated_at = now
        leg = self.switch.legs[call.sid] = Leg(call)
        self.kernel.changed("call", call.sid)
        return leg

    def ring_in(
        self,
        from_: str,
        to: str,
        *,
        caller_name: str = "",
        forwarded_from: str = "",
        keys: str = "",
        say: str = "",
        extra: tuple[tuple[str, str], ...] = (),
    ) -> Leg:
        """A person calls one of our numbers. Raises ExchangeError when it is not ours."""
        setup = self.kernel.number(to)
        if setup is None:
            raise ExchangeError(21404, f"{to} is not one of our numbers", 404)
        leg = self.new("inbound", from_, to, status="ringing")
        call = leg.call
        call.phone_number_sid = setup.sid
        call.started_at = call.created_at
        call.caller_name = caller_name or setup.caller_name
        call.forwarded_from = forwarded_from
        call.extra = extra
        leg.keys, leg.say = keys, say
        leg.status = Callback(setup.status_callback, setup.status_callback_method)
        leg.script = setup.script if setup.script.url else Script(twiml=UNCONFIGURED)
        self.run(leg)
        return leg

    def place(self, to: str, from_: str, script: Script, options: CallOptions) -> Leg:
        """REST makes a call. It is queued; dialling begins by itself."""
        leg = self.new("outbound-api", from_, to)
        leg.script, leg.options, leg.status = script, options, options.status
        leg.call.caller_name = options.caller_name
        now = self.kernel.now()
        start = max(now + QUEUE_SECONDS, self._next_start)
        self._next_start = start + CALL_SPACING
        leg.answered = lambda: self.detect(leg, options.detection, lambda: self.run(leg))
        self.switch.later(
            leg,
            "ring",
            start - now,
            lambda: self.ring(leg, self.kernel.handset(to), options.timeout),
        )
        return leg

    def run(self, leg: Leg) -> None:
        """Start the leg's script; when it is over, the call is."""

        def done(outcome: object) -> None:
            reason = outcome.reject if isinstance(outcome, Finish) else ""
            unanswered = leg.call.status == "ringing" and reason
            self.end(leg, reason if unanswered else "completed")

        self.switch.begin(leg, programs.call(leg.script), done)

    # --- ringing a phone ---

    def ring(self, leg: Leg, handset: Handset, timeout: float) -> None:
        """Dial a leg that is queued. Its `answered` is called, or its `over` when it failed."""
        if leg.call.ended:
            return
        call, later = leg.call, self.switch.later
        leg.handset, leg.keys, leg.say = handset, handset.keys, handset.say
        call.started_at = self.kernel.now()
        call.queue_seconds = call.started_at - call.created_at
        self._progress(leg, "initiated", "initiated")
        if self.kernel.number(call.to) is not None:
            later(leg, "ring", SETUP_SECONDS, lambda: self._ring_ourselves(leg))
            later(leg, "timeout", SETUP_SECONDS + timeout, lambda: self.end(leg, "no-answer"))
            return
        if handset.outcome == "failed":
            later(leg, "ring", SETUP_SECONDS, lambda: self.end(leg, "failed"))
            return
        later(leg, "ring", SETUP_SECONDS, lambda: self._ringing(leg))
        later(leg, "timeout", SETUP_SECONDS + timeout, lambda: self.end(leg, "no-answer"))

    def _ringing(self, leg: Leg) -> None:
        leg.call.status = "ringing"
        self._progress(leg, "ringing", "ringing")
        handset, later = leg.handset, self.switch.later
        if handset.outcome == "busy":
            later(leg, "ring", BUSY_SECONDS, lambda: self.end(leg, "busy"))
        elif handset.outcome in {"answer", "machine", "fax"}:
            later(leg, "ring", handset.ring_seconds, lambda: self.answer(leg))

    def _ring_ourselves(self, leg: Leg) -> None:
        """One of our numbers calls another of them, which runs its own document."""
        if leg.hops >= MOST_HOPS:
            self.end(leg, "failed")
            return
        leg.call.status = "ringing"
        self._progress(leg, "ringing", "ringing")
        far = self.ring_in(leg.call.from_, leg.call.to)
        far.hops = leg.hops + 1
        leg.far, far.far = far, leg
        far.answered = lambda: self.answer(leg)
        far.over = lambda status: self._far_end(leg, status)

    def _far_end(self, leg: Leg, status: str) -> None:
        if leg.call.answered_at is not None:
            self.end(leg, "completed")
        else:
            self.end(leg, "busy" if status == "busy" else "no-answer")

    def answer(self, leg: Leg) -> None:
        """The phone that rings is picked up."""
        if leg.call.status != "ringing" or leg.call.direction == "inbound":
            return
        leg.stop("ring")
        leg.stop("timeout")
        self._connected(leg)
        self._progress(leg, "answered", "in-progress")
        self._talks(leg, leg.handset)
        leg.answered()

    def _talks(self, leg: Leg, handset: Handset) -> None:
        """The person at this phone hangs up after a while, if it says so."""
        if handset.talk_seconds is not None:
            self.switch.later(leg, "talk", handset.talk_seconds, lambda: self.hang_up(leg))

    def pick_up(self, leg: Leg) -> None:
        """Our side answers an inbound call, if it still rings."""
        if leg.call.direction == "inbound" and leg.call.status == "ringing" and not leg.ended:
            self._connected(leg)
            self._talks(leg, self.kernel.handset(leg.call.from_))
            leg.answered()

    def _connected(self, leg: Leg) -> None:
        call = leg.call
        call.status = "in-progress"
        call.answered_at = call.updated_at = self.kernel.now()
        self.limit(leg, leg.options.time_limit)
        self.kernel.changed("call", leg.sid)
        for hook in self.started:
            hook(leg)

    def limit(self, leg: Leg, seconds: float) -> None:
        """Let the call end when it has lasted so long."""
        answered = leg.call.answered_at or self.kernel.now()
        rest = max(0.0, answered + seconds - self.kernel.now())
        self.switch.later(leg, "limit", rest, lambda: self._too_long(leg))

    def _too_long(self, leg: Leg) -> None:
        problem = "the call ended at its maximum duration"
        self.kernel.trouble(Trouble(32015, "warning", problem, leg.sid))
        self.end(leg, "completed")

    # --- machines ---

    def detect(self, leg: Leg, detection: Detection, go_on: Callable[[], None]) -> None:
        """Find out who answered. What must know that goes on afterwards, all else at once."""
        if not detection.mode or leg.options.send_digits:
            go_on()
            return
        if not detection.waits:
            go_on()
        seconds, result = self._verdict(leg, detection)

        def decided() -> None:
            leg.call.answered_by = result
            self.kernel.changed("call", leg.sid)
            if detection.waits:
                leg.call.answered_by_asked = True
                go_on()
            elif detection.callback:
                account = self.switch.account_sid
                fields = params.machine(leg.call, account, round(seconds * 1000))
                notice = Notice(
                    detection.callback, detection.callback_method, fields, "amd", leg.sid
                )
                self.kernel.notify(notice)

        self.switch.later(leg, "detect", seconds, decided)

    def _verdict(self, leg: Leg, detection: Detection) -> tuple[float, str]:
        """Who answered, and after how many seconds that is known."""
        what = {"machine": "machine", "fax": "fax"}.get(leg.handset.outcome, "human")
        seconds, result = DETECTION_SECONDS[what], what
        if what == "machine" and detection.mode == "DetectMessageEnd":
            seconds, result = GREETING_SECONDS, "machine_end_beep"
        elif what == "machine":
            result = "machine_start"
        if seconds > detection.timeout:
            return detection.timeout, "unknown"
        return seconds, result

    # --- progress and end ---

    def _progress(self, leg: Leg, event: str, status: str) -> None:
        call, now = leg.call, self.kernel.now()
        call.updated_at = now
        self.kernel.changed("call", call.sid)
        if not leg.status.url or event not in leg.status.events:
            return
        sid = self.switch.account_sid
        at = self.kernel.date(now)
        fields = params.call_status(call, sid, status, at, call.sequence)
        if event == "completed":
            done = next((r for r in leg.recordings if r.source == "OutboundAPI"), None)
            if done is not None:
                fields = (
                    *fields,
                    ("RecordingUrl", self.recording_url(done.sid)),
                    ("RecordingSid", done.sid),
                    ("RecordingDuration", str(done.duration or 0)),
                )
        call.sequence += 1
        self.kernel.notify(
            Notice(leg.status.url, leg.status.method, fields, "call-status", call.sid)
        )

    def recording_url(self, sid: str) -> str:
        """Where a recording can be heard."""
        return self.kernel.address(
            f"/2010-04-01/Accounts/{self.switch.account_sid}/Recordings/{sid}"
        )

    def hang_up(self, leg: Leg) -> None:
        """The person at that leg hangs up."""
        self.end(leg, "completed" if leg.call.answered_at is not None else "no-answer")

    def end(self, leg: Leg, status: str, *, silent: bool = False) -> None:
        """End a leg. Its program may still send what is due; then the callbacks go out.

        `silent` = no callback: a call that was cancelled while it was queued.
        """
        call = leg.call
        if call.ended:
            return
        call.status = status
        call.ended_at = call.updated_at = self.kernel.now()
        call.sip_code = SIP_CODES[status]
        leg.ended = True
        for name in tuple(leg.timers):
            leg.stop(name)
        self.switch.interrupt(leg, HungUp())

        def after() -> None:
            for hook in self.ending:
                hook(leg)
            if not silent:
                self._progress(leg, "completed", status)
            leg.over(status)
            if leg.far is not None:
                self.hang_up(leg.far)

        self.switch.post(after)
