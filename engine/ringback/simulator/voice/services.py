"""Services that run beside a call: media streams, SIPREC, live transcription, and their callbacks.

https://www.twilio.com/docs/voice/twiml/stream, …/siprec and …/transcription. Each kind reports in
fields of its own. A live transcript has what a person says at this leg as its inbound track, what
the leg hears (`Say`, or the other side of a bridge) as its outbound one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ringback.simulator.voice import params
from ringback.simulator.voice.effects import Background
from ringback.simulator.voice.legs import Leg, Service
from ringback.simulator.voice.lifecycle import Lifecycle
from ringback.simulator.voice.ports import Fields, Notice
from ringback.simulator.voice.recorder import Recorder
from ringback.simulator.voice.switch import ExchangeError, Switch

UNDERSTAND_SECONDS = 0.5
INBOUND, OUTBOUND = "inbound_track", "outbound_track"
ALREADY_ENDED = 21220


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of service: the prefix of its SIDs, of its events, and the kind of its notices."""

    prefix: str
    event: str
    notice: str


KINDS: Mapping[str, Kind] = {
    "Siprec": Kind("SR", "siprec", "siprec"),
    "Transcription": Kind("GT", "transcription", "live-transcription"),
}
STREAM = Kind("MZ", "stream", "stream")


@dataclass(slots=True, eq=False)
class _Words:
    """Something said, on its way into the transcript."""

    text: str
    track: str
    confidence: float
    service: Service = field(repr=False)
    told: bool = False


class Services:
    """Starts and stops services beside calls, and tells their callbacks."""

    def __init__(self, switch: Switch, lifecycle: Lifecycle, recorder: Recorder) -> None:
        self.switch = switch
        self.kernel = switch.kernel
        self.recorder = recorder
        self._pending: list[_Words] = []
        switch.handlers[Background] = self._background
        lifecycle.ending.append(self._leg_ended)

    def _background(self, leg: Leg, effect: Background) -> None:
        if effect.kind == "Recording":
            self.recorder.beside(leg, effect)
        elif effect.what == "start":
            self.start(leg, effect)
        else:
            for service in tuple(leg.services):
                if service.kind == effect.kind and effect.name in {"", service.name}:
                    self._stop(leg, service)

    def start(self, leg: Leg, effect: Background) -> Service:
        """Begin one and tell its callback."""
        sid = self.kernel.mint(KINDS.get(effect.kind, STREAM).prefix)
        settings = dict(effect.settings)
        service = Service(sid, effect.kind, effect.name, effect.callback, settings)
        service.updated_at = self.kernel.now()
        leg.services.append(service)
        self._tell(leg, service, "started", params.transcription_settings(settings))
        return service

    def stop(self, leg: Leg, kind: str, sid_or_name: str) -> Service:
        """End one by its SID or name, as REST does. Raises ExchangeError when none runs."""
        for service in reversed(leg.services):
            if service.kind == kind and sid_or_name in (service.sid, service.name):
                if service.status != "in-progress":
                    raise ExchangeError(ALREADY_ENDED, f"{service.sid} has been stopped")
                self._stop(leg, service)
                return service
        raise ExchangeError(20404, f"there is no {kind} {sid_or_name} on call {leg.sid}", 404)

    def _leg_ended(self, leg: Leg) -> None:
        for service in tuple(leg.services):
            self._stop(leg, service)

    def _stop(self, leg: Leg, service: Service) -> None:
        if service.status != "in-progress":
            return
        for words in tuple(self._pending):
            if words.service is service:
                self._understood(leg, words)
        service.status, service.updated_at = "stopped", self.kernel.now()
        self._tell(leg, service, "stopped")

    # --- words ---

    def said(self, leg: Leg, text: str, track: str, seconds: float, confidence: float) -> None:
        """Put words into the transcripts that run on this leg, once they have been said."""
        for service in leg.services:
            wanted = service.settings.get("track") in ("both_tracks", track)
            if service.kind != "Transcription" or service.status != "in-progress" or not wanted:
                continue
            words = _Words(text, track, confidence, service)
            self._pending.append(words)
            if service.settings.get("partialResults") == "true":
                self._content(leg, words, text.rsplit(" ", 1)[0], final=False)
            self._later(seconds + UNDERSTAND_SECONDS, leg, words)

    def _later(self, seconds: float, leg: Leg, words: _Words) -> None:
        understood = lambda: self._understood(leg, words)  # noqa: E731
        self.kernel.after(seconds, lambda: self.switch.post(understood))

    def _understood(self, leg: Leg, words: _Words) -> None:
        if not words.told:
            words.told = True
            self._pending.remove(words)
            self._content(leg, words, words.text, final=True)

    def _content(self, leg: Leg, words: _Words, text: str, *, final: bool) -> None:
        language = words.service.settings.get("languageCode", "")
        fields = params.transcript(text, words.track, words.confidence, language, final=final)
        self._tell(leg, words.service, "content", fields)

    # --- callbacks ---

    def _tell(self, leg: Leg, service: Service, event: str, more: Fields = ()) -> None:
        if not service.callback.url:
            return
        kind, at = KINDS.get(service.kind, STREAM), self.kernel.date(self.kernel.now())
        event = f"{kind.event}-{event}"
        head: Fields = (("AccountSid", self.switch.account_sid), ("CallSid", leg.sid))
        if service.kind == "Transcription":
            service.sequence += 1
            about = params.live_transcription(service.sid, event, service.sequence, at)
        elif service.kind == "Siprec":
            head, more = params.base(leg.call, self.switch.account_sid), ()
            about = params.siprec(service.name, service.sid, event, at)
        else:
            more, about = (), params.stream(service.name, service.sid, event, at)
        where = service.callback
        self.kernel.notify(
            Notice(where.url, where.method, (*head, *about, *more), kind.notice, leg.sid)
        )
