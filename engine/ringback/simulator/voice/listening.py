"""Sound that a leg hears, and the keys and speech of the person at it."""

import math
from collections.abc import Callable

from ringback.simulator.voice.call_records import Heard
from ringback.simulator.voice.effects import Capture, Hear, StopCapture
from ringback.simulator.voice.legs import Capturing, Leg
from ringback.simulator.voice.recorder import Recorder
from ringback.simulator.voice.results import Elapsed, Key, Recorded, Speech
from ringback.simulator.voice.services import INBOUND, OUTBOUND, Services
from ringback.simulator.voice.sounds import spoken_seconds
from ringback.simulator.voice.switch import PENDING, ExchangeError, Switch

KEYS = frozenset("0123456789ABCD*#")
PAUSES = {"w": 0.5, "W": 1.0}
REACTION_SECONDS = 0.5
MOST_KEYS = 100
MOST_HEARD = 1000
SYNTHETIC = 0.99  # how well a transcript understands what Say speaks


class Listener:
    """Plays to legs, and brings keys and words to whatever listens there."""

    def __init__(self, switch: Switch, recorder: Recorder, services: Services) -> None:
        self.switch = switch
        self.services = services
        self.kernel = switch.kernel
        self.recorder = recorder
        self.star: Callable[[Leg], None] = lambda leg: None
        switch.handlers[Hear] = self._hear
        switch.handlers[Capture] = self._capture
        switch.handlers[StopCapture] = self._stop_capture
        recorder.lifecycle.started.append(self._dialled_digits)

    def hear(self, leg: Leg, kind: str, text: str = "") -> None:
        """Note what is played to a leg."""
        if len(leg.heard) < MOST_HEARD:
            leg.heard.append(Heard(self.kernel.now(), kind, text))

    def _dialled_digits(self, leg: Leg) -> None:
        if leg.options.send_digits:
            self.hear(leg, "tones", leg.options.send_digits)

    def _hear(self, leg: Leg, effect: Hear) -> object:
        if effect.kind != "silence":
            self.hear(leg, effect.kind, effect.text)
        if effect.kind == "say":
            self.services.said(leg, effect.text, OUTBOUND, effect.seconds or 0.0, SYNTHETIC)
        if leg.far is not None:
            self._play_to_far(leg.far, effect)
        if effect.seconds is not None:
            self.switch.expire(leg, effect.seconds, Elapsed())
        if effect.keys and leg.keys:
            keys, leg.keys = leg.keys, ""
            self._soon(leg, lambda: self.press(leg, keys))
        elif effect.speech and leg.say:
            self._say_prepared(leg)
        return PENDING

    def _play_to_far(self, far: Leg, effect: Hear) -> None:
        """What one of our numbers plays, the other of them hears at the end of it."""
        if effect.kind not in {"say", "tones"} or effect.seconds is None:
            return
        if effect.kind == "say":
            self.speak(far, effect.text, seconds=effect.seconds)
        else:
            self.press(far, effect.text)

    def _soon(self, leg: Leg, do: Callable[[], None]) -> None:
        self.kernel.after(REACTION_SECONDS, lambda: self.switch.post(do))

    def _say_prepared(self, leg: Leg) -> None:
        words, leg.say = leg.say, ""
        self._soon(leg, lambda: self.speak(leg, words))

    # --- keys ---

    def press(self, leg: Leg, keys: str) -> None:
        """Press keys one after the other; `w` waits half a second, `W` a second.

        Keys reach whatever listens at that moment; when nothing does, they are lost.
        Raises ExchangeError for other characters.
        """
        wrong = [key for key in keys if key not in KEYS and key not in PAUSES]
        if wrong or len(keys) > MOST_KEYS:
            raise ExchangeError(20001, f"keys are 0-9 A-D * # w W, at most {MOST_KEYS}: {keys!r}")
        self.switch.post(lambda: self._press(leg, keys))

    def _press(self, leg: Leg, keys: str) -> None:
        if not keys:
            return
        key, rest = keys[0], keys[1:]
        if key in PAUSES:
            later = lambda: self.switch.post(lambda: self._press(leg, rest))  # noqa: E731
            self.kernel.after(PAUSES[key], later)
            return
        self._key(leg, key)
        # What the key set off happens first, so that the next one reaches what listens then.
        self.switch.post(lambda: self._press(leg, rest))

    def _key(self, leg: Leg, key: str) -> None:
        effect = leg.effect
        if isinstance(effect, Hear) and effect.keys:
            self.switch.wake(leg, Key(key))
        elif leg.capture is not None and key in leg.capture.effect.finish:
            self._captured(leg, key)
        elif key == "*":
            self.star(leg)

    # --- words ---

    def speak(
        self, leg: Leg, text: str, confidence: float = 0.9, seconds: float | None = None
    ) -> None:
        """Say something. It reaches a Gather that listens for speech, and every recording."""
        lasts = spoken_seconds(text) if seconds is None else max(0.0, seconds)
        self.switch.post(lambda: self._speak(leg, text, confidence, lasts))

    def _speak(self, leg: Leg, text: str, confidence: float, lasts: float) -> None:
        effect = leg.effect
        self.recorder.said(leg, text)
        self.services.said(leg, text, INBOUND, lasts, confidence)
        if leg.link is not None:
            other = leg.link.other(leg)
            self.hear(other, "text", text)
            self.recorder.said(other, text)
            self.services.said(other, text, OUTBOUND, lasts, confidence)
        if isinstance(effect, Hear) and effect.speech:
            wait = min(lasts, effect.speech_limit) + effect.speech_pause
            self.switch.expire(leg, wait, Speech(text, confidence))
        elif leg.capture is not None:
            self._sound(leg, leg.capture, lasts)

    # --- Record ---

    def _capture(self, leg: Leg, effect: Capture) -> object:
        recording = self.recorder.start(effect.spec, call=leg.sid)
        leg.capture = Capturing(effect, recording, self.kernel.now())
        self.switch.later(leg, "silence", effect.silence, lambda: self._captured(leg, ""))
        self.switch.later(leg, "longest", effect.limit, lambda: self._captured(leg, ""))
        if leg.say:
            self._say_prepared(leg)
        if leg.keys:
            keys, leg.keys = leg.keys, ""
            self._soon(leg, lambda: self.press(leg, keys))
        return PENDING

    def _sound(self, leg: Leg, capture: Capturing, lasts: float) -> None:
        now = self.kernel.now()
        if capture.first_sound is None:
            capture.first_sound = now
        capture.last_sound = max(capture.last_sound or now, now + lasts)
        quiet = capture.last_sound - now + capture.effect.silence
        self.switch.later(leg, "silence", quiet, lambda: self._captured(leg, ""))

    def _captured(self, leg: Leg, key: str) -> None:
        self.switch.wake(leg, self._close(leg, key))

    def _stop_capture(self, leg: Leg, effect: StopCapture) -> Recorded:
        return self._close(leg, "")

    def _close(self, leg: Leg, key: str) -> Recorded:
        capture = leg.capture
        if capture is None:
            return Recorded()
        leg.capture = None
        leg.stop("silence")
        leg.stop("longest")
        seconds = self._length(capture)
        recording = capture.recording
        self.recorder.finish(recording, seconds)
        if seconds <= 0:
            return Recorded()
        if capture.effect.transcribe:
            self.recorder.transcribe(leg, recording, capture.effect.transcribe_callback)
        url = self.recorder.lifecycle.recording_url(recording.sid)
        return Recorded(recording.sid, url, recording.duration or 0, key)

    def _length(self, capture: Capturing) -> float:
        """Seconds on the tape: 0 without sound, cut to the sound unless silence is to be kept."""
        now = self.kernel.now()
        if capture.first_sound is None or capture.last_sound is None:
            return 0.0
        if capture.effect.spec.trim == "do-not-trim":
            return now - capture.started_at
        end = min(capture.last_sound, now)
        return max(math.ulp(1.0), end - capture.first_sound)
