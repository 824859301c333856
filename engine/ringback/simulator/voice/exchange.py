"""Telephone exchange of an account: what REST, the control API and the kernel ask of it.

Everything happens in one thread at one moment of virtual time. Methods return once the change is
made; what follows from it (requests, callbacks, further changes) goes out through the kernel.
"""

from dataclasses import replace
from typing import Any

from ringback.simulator.voice.bridges import Bridges
from ringback.simulator.voice.call_records import (
    Call,
    Conference,
    Member,
    Participant,
    Queue,
    Recording,
    Transcription,
)
from ringback.simulator.voice.conferences import Conferences, conference_script
from ringback.simulator.voice.dialler import Dialler
from ringback.simulator.voice.effects import Background, Refer, SendText
from ringback.simulator.voice.legs import Leg, Service
from ringback.simulator.voice.lifecycle import Lifecycle
from ringback.simulator.voice.listening import Listener
from ringback.simulator.voice.ports import (
    Callback,
    CallOptions,
    Fields,
    Kernel,
    RecordingSpec,
    Script,
)
from ringback.simulator.voice.queues import Queues
from ringback.simulator.voice.recorder import Recorder
from ringback.simulator.voice.results import Referred, Rescripted, Texted
from ringback.simulator.voice.services import Services
from ringback.simulator.voice.switch import ExchangeError, Switch
from ringback.simulator.voice.view import view

NOT_IN_THAT_STATE = 21220
RECORDING_FAILED = 16108  # another recording runs


class Exchange:
    """Calls, queues, conferences and recordings of one account.

    Every method may raise ExchangeError, which carries Twilio's code and the HTTP status for it.
    """

    def __init__(self, kernel: Kernel, account_sid: str) -> None:
        self.kernel = kernel
        self.switch = Switch(kernel, account_sid)
        self.lifecycle = Lifecycle(self.switch)
        self.recorder = Recorder(self.switch, self.lifecycle)
        self.services = Services(self.switch, self.lifecycle, self.recorder)
        self.listener = Listener(self.switch, self.recorder, self.services)
        self.bridges = Bridges(self.switch, self.recorder)
        self.dialler = Dialler(self.switch, self.lifecycle, self.bridges)
        self.queueing = Queues(self.switch, self.bridges)
        self.conferencing = Conferences(self.switch, self.recorder, self.listener)
        self.listener.star = self._star
        self.switch.handlers[SendText] = self._text
        self.switch.handlers[Refer] = lambda leg, effect: Referred(
            leg.call.from_.startswith("sip:")
        )

    # --- records ---

    @property
    def calls(self) -> dict[str, Call]:
        """All calls by SID, oldest first."""
        return {sid: leg.call for sid, leg in self.switch.legs.items()}

    @property
    def queues(self) -> dict[str, Queue]:
        return self.queueing.queues

    @property
    def conferences(self) -> dict[str, Conference]:
        return self.conferencing.conferences

    @property
    def recordings(self) -> dict[str, Recording]:
        return self.recorder.recordings

    @property
    def transcriptions(self) -> dict[str, Transcription]:
        return self.recorder.transcriptions

    def view(self, call_sid: str) -> dict[str, Any]:
        """What the call is doing, and what it has heard so far."""
        return view(self.switch.find(call_sid), self.queueing, self.conferencing, self.kernel.date)

    # --- calls, as REST makes and changes them ---

    def place(
        self, to: str, from_: str, script: Script, options: CallOptions | None = None
    ) -> Call:
        """Make a call. It is `queued` when this returns."""
        return self.lifecycle.place(to, from_, script, options or CallOptions()).call

    def update(
        self,
        call_sid: str,
        *,
        script: Script | None = None,
        status: str = "",
        time_limit: float | None = None,
        status_callback: Callback | None = None,
        fallback: Script | None = None,
    ) -> Call:
        """Change a live call: new document, end, limit, callbacks."""
        leg = self.switch.find(call_sid)
        if leg.call.ended:
            raise ExchangeError(NOT_IN_THAT_STATE, f"call {call_sid} has ended")
        if script is not None and leg.call.status == "queued":
            raise ExchangeError(NOT_IN_THAT_STATE, f"call {call_sid} has not been answered")
        if status == "canceled" and leg.call.answered_at is not None:
            raise ExchangeError(NOT_IN_THAT_STATE, f"call {call_sid} is in progress")
        if status_callback is not None:
            leg.status = status_callback
        if fallback is not None:
            leg.script = replace(
                leg.script,
                fallback_url=fallback.fallback_url,
                fallback_method=fallback.fallback_method,
            )
        if time_limit is not None:
            leg.options = replace(leg.options, time_limit=time_limit)
            if leg.call.answered_at is not None:
                self.lifecycle.limit(leg, time_limit)
        if script is not None:
            self._rescript(leg, script)
        if status in {"completed", "canceled"}:
            unanswered = leg.call.answered_at is None
            silent = leg.call.status == "queued"
            ending = "canceled" if unanswered else "completed"
            self.switch.post(lambda: self.lifecycle.end(leg, ending, silent=silent))
        leg.call.updated_at = self.kernel.now()
        self.kernel.changed("call", call_sid)
        return leg.call

    def _rescript(self, leg: Leg, script: Script) -> None:
        if not script.fallback_url:
            old = leg.script
            script = replace(
                script, fallback_url=old.fallback_url, fallback_method=old.fallback_method
            )
        if leg.program is not None:
            leg.script = script
            self.switch.interrupt(leg, Rescripted(script))
        elif leg.link is not None:
            self.switch.post(lambda: self.dialler.rescript(leg, script))
        else:
            raise ExchangeError(NOT_IN_THAT_STATE, f"call {leg.sid} has not been answered")

    def delete_call(self, call_sid: str) -> None:
        """Forget a call that has ended."""
        leg = self.switch.find(call_sid)
        if not leg.call.ended:
            raise ExchangeError(20009, f"call {call_sid} is still in progress", 409)
        del self.switch.legs[call_sid]
        self.kernel.changed("call", call_sid)

    # --- what people do with phones ---

    def ring_in(
        self,
        from_: str,
        to: str,
        *,
        caller_name: str = "",
        forwarded_from: str = "",
        keys: str = "",
        say: str = "",
        extra: Fields = (),
    ) -> Call:
        """A person calls one of our numbers. `keys` and `say` come when the call first listens."""
        leg = self.lifecycle.ring_in(
            from_,
            to,
            caller_name=caller_name,
            forwarded_from=forwarded_from,
            keys=keys,
            say=say,
            extra=extra,
        )
        return leg.call

    def _live(self, call_sid: str) -> Leg:
        leg = self.switch.find(call_sid)
        if leg.call.ended:
            raise ExchangeError(NOT_IN_THAT_STATE, f"call {call_sid} has ended", 409)
        return leg

    def press(self, call_sid: str, keys: str) -> None:
        """Press keys at that end of the call; `w` waits half a second."""
        self.listener.press(self._live(call_sid), keys)

    def speak(
        self, call_sid: str, text: str, confidence: float = 0.9, seconds: float | None = None
    ) -> None:
        """Say something at that end of the call. `seconds` None = as long as it takes to say."""
        self.listener.speak(self._live(call_sid), text, confidence, seconds)

    def hang_up(self, call_sid: str) -> None:
        """Hang up at that end of the call."""
        leg = self._live(call_sid)
        self.switch.post(lambda: self.lifecycle.hang_up(leg))

    def pick_up(self, call_sid: str) -> None:
        """Answer a phone that we ring."""
        leg = self._live(call_sid)
        if leg.call.direction == "inbound" or leg.call.status != "ringing":
            raise ExchangeError(NOT_IN_THAT_STATE, f"call {call_sid} does not ring a phone", 409)
        self.switch.post(lambda: self.lifecycle.answer(leg))

    def decline(self, call_sid: str, status: str = "busy") -> None:
        """Refuse a phone that we ring: `busy` or `no-answer`."""
        leg = self._live(call_sid)
        if leg.call.direction == "inbound" or leg.call.status != "ringing":
            raise ExchangeError(NOT_IN_THAT_STATE, f"call {call_sid} does not ring a phone", 409)
        if status not in {"busy", "no-answer"}:
            raise ExchangeError(20001, f"a phone declines with busy or no-answer, not {status!r}")
        self.switch.post(lambda: self.lifecycle.end(leg, status))

    # --- queues ---

    def create_queue(self, name: str, max_size: int = 1000) -> Queue:
        return self.queueing.create(name, max_size)

    def update_queue(self, sid: str, name: str | None = None, max_size: int | None = None) -> Queue:
        return self.queueing.update(sid, name, max_size)

    def delete_queue(self, sid: str) -> None:
        self.queueing.delete(sid)

    def member(self, queue_sid: str, which: str) -> Member:
        """A waiting caller, by CallSid or as `Front`."""
        return self.queueing.member(queue_sid, which)

    def dequeue(self, queue_sid: str, which: str, url: str, method: str = "POST") -> Member:
        """Take a caller out of line; the call runs the document at `url`."""
        return self.queueing.dequeue(queue_sid, which, Script(url, method))

    # --- conferences ---

    def end_conference(self, sid: str) -> Conference:
        """Everyone leaves and goes on with the own document."""
        conference = self.conferencing.find(sid)
        self.switch.post(lambda: self.conferencing.close(conference, "conference-ended-via-api"))
        return conference

    def participant(self, conference: str, call_or_label: str) -> Participant:
        return self.conferencing.participant(self.conferencing.find(conference), call_or_label)

    def update_participant(
        self,
        conference: str,
        call_or_label: str,
        *,
        muted: bool | None = None,
        hold: bool | None = None,
        end_on_exit: bool | None = None,
        coaching: bool | None = None,
        call_sid_to_coach: str | None = None,
        hold_url: str = "",
        hold_method: str = "GET",
    ) -> Participant:
        """Mute, hold, coach. On hold the participant hears the document at `hold_url` once."""
        found = self.conferencing.find(conference)
        who = self.conferencing.participant(found, call_or_label)
        self.conferencing.update(
            found,
            who,
            muted=muted,
            hold=hold,
            end_on_exit=end_on_exit,
            coaching=coaching,
            call_sid_to_coach=call_sid_to_coach,
        )
        if hold and hold_url:
            self.conferencing.play(found, [who.call_sid], Script(hold_url, hold_method))
        return who

    def announce(
        self, conference: str, url: str, method: str = "POST", call_or_label: str = ""
    ) -> None:
        """Play a document to a conference, or to one in it."""
        found = self.conferencing.find(conference)
        if call_or_label:
            sids = [self.conferencing.participant(found, call_or_label).call_sid]
        else:
            sids = list(found.participants)
        self.conferencing.play(found, sids, Script(url, method))

    def kick(self, conference: str, call_or_label: str) -> None:
        """Remove someone from a conference, which ends that call."""
        found = self.conferencing.find(conference)
        leg = self.switch.find(self.conferencing.participant(found, call_or_label).call_sid)

        def out() -> None:
            self.conferencing.leave(leg, kicked=True)
            self.lifecycle.end(leg, "completed")

        self.switch.post(out)

    def add_participant(
        self,
        conference: str,
        to: str,
        from_: str,
        *,
        attributes: Fields = (),
        options: CallOptions | None = None,
        events: Callback | None = None,
    ) -> Call:
        """Call somebody into a conference, by its SID or by a name, which makes it.

        `attributes` are those of TwiML's Conference noun.
        """
        known = self.conferences.get(conference)
        name = known.friendly_name if known else conference
        return self.place(to, from_, conference_script(name, attributes, events), options)

    # --- recordings ---

    def start_recording(self, call_sid: str, spec: RecordingSpec) -> Recording:
        """Record a call that is in progress."""
        leg = self._live(call_sid)
        if leg.call.answered_at is None:
            raise ExchangeError(NOT_IN_THAT_STATE, f"call {call_sid} has not been answered")
        return self.recorder.start(spec, call=call_sid)

    def invent_recording(
        self, call_sid: str, spec: RecordingSpec, status: str, seconds: int
    ) -> Recording:
        """A recording as a person wants it, of a call that may have ended."""
        self.switch.find(call_sid)
        return self.recorder.invent(spec, call_sid, status, seconds, RECORDING_FAILED)

    def update_recording(self, sid: str, status: str, behavior: str = "silence") -> Recording:
        """Pause, resume or stop a recording."""
        return self.recorder.update(sid, status, behavior)

    def delete_recording(self, sid: str) -> None:
        if sid not in self.recordings:
            raise ExchangeError(20404, f"there is no recording {sid}", 404)
        del self.recordings[sid]
        self.kernel.changed("recording", sid)

    def delete_transcription(self, sid: str) -> None:
        del self.transcriptions[sid]
        self.kernel.changed("transcription", sid)

    # --- services beside a call ---

    def start_service(self, call_sid: str, effect: Background) -> Service:
        """Start a stream, SIPREC or a live transcription of a call that is in progress."""
        leg = self._live(call_sid)
        if leg.call.answered_at is None:
            raise ExchangeError(NOT_IN_THAT_STATE, f"call {call_sid} has not been answered")
        return self.services.start(leg, effect)

    def stop_service(self, call_sid: str, kind: str, sid_or_name: str) -> Service:
        return self.services.stop(self.switch.find(call_sid), kind, sid_or_name)

    # --- the rest ---

    def _star(self, leg: Leg) -> None:
        link = leg.link
        if link is not None and link.star and link.near is leg:
            self.bridges.part(link)
        else:
            self.conferencing.star(leg)

    def _text(self, leg: Leg, effect: SendText) -> Texted:
        call = leg.call
        ours, theirs = (
            (call.to, call.from_) if call.direction == "inbound" else (call.from_, call.to)
        )
        sid, status = self.kernel.sms(
            effect.sender or ours, effect.to or theirs, effect.body, effect.callback
        )
        return Texted(sid, status)
