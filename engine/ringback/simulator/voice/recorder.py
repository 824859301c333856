"""Recorder of calls: what is recorded, when it is ready, and its callbacks.

https://www.twilio.com/docs/voice/api/recording: a recording is in progress, then processed, then
completed; one without sound is absent. Transcriptions follow on the recordings of Record.
"""

import math

from ringback.simulator.voice import params
from ringback.simulator.voice.call_records import Recording, Transcription
from ringback.simulator.voice.effects import Background
from ringback.simulator.voice.legs import Leg
from ringback.simulator.voice.lifecycle import Lifecycle
from ringback.simulator.voice.ports import Callback, Notice, RecordingSpec, Trouble
from ringback.simulator.voice.switch import ExchangeError, Switch

PROCESS_SECONDS = 1.0
TRANSCRIBE_SECONDS = 5.0
SILENT = 16102
NOT_TRANSCRIBABLE = 13617


class Recorder:
    """Keeps every recording and tells its callbacks."""

    def __init__(self, switch: Switch, lifecycle: Lifecycle) -> None:
        self.switch = switch
        self.kernel = switch.kernel
        self.lifecycle = lifecycle
        self.recordings: dict[str, Recording] = {}
        self.transcriptions: dict[str, Transcription] = {}
        self._callbacks: dict[str, Callback] = {}
        self._pauses: dict[str, tuple[float, float]] = {}  # when the pause began; seconds before
        lifecycle.started.append(self._whole_call)
        lifecycle.ending.append(self._leg_ended)

    # --- one recording ---

    def start(self, spec: RecordingSpec, *, call: str = "", conference: str = "") -> Recording:
        """Begin to record a call or a conference."""
        recording = Recording(
            self.kernel.mint("RE"),
            spec.source,
            self.kernel.now(),
            call,
            conference,
            channels=spec.channels,
            track=spec.track,
            trim=spec.trim,
        )
        self.recordings[recording.sid] = recording
        self._callbacks[recording.sid] = spec.callback
        self._notify(recording, "in-progress")
        leg = self.switch.legs.get(call)
        if leg is not None:
            leg.recordings.append(recording)
        return recording

    def finish(self, recording: Recording, seconds: float | None = None) -> None:
        """Stop. `seconds` None = since the start, without pauses; 0 = there was no sound."""
        if recording.status not in {"in-progress", "paused"}:
            return
        if seconds is None:
            seconds = self._elapsed(recording)
        if seconds <= 0:
            recording.duration, recording.error_code = 0, SILENT
            self._notify(recording, "absent")
            return
        recording.duration = max(1, math.ceil(round(seconds, 3)))
        recording.status = "processing"
        recording.updated_at = self.kernel.now()
        self.kernel.changed("recording", recording.sid)
        done = lambda: self._notify(recording, "completed")  # noqa: E731
        self.kernel.after(PROCESS_SECONDS, lambda: self.switch.post(done))

    def invent(
        self, spec: RecordingSpec, call: str, status: str, seconds: int, code: int
    ) -> Recording:
        """A recording that a person makes up, with its whole life at once."""
        recording = self.start(spec, call=call)
        if status == "completed":
            self.finish(recording, max(1, seconds))
        elif status == "absent":
            self.finish(recording, 0.0)
        elif status == "failed":
            recording.error_code = code
            self._notify(recording, "failed")
        return recording

    def _elapsed(self, recording: Recording) -> float:
        now = self.kernel.now()
        began, paused = self._pauses.get(recording.sid, (0.0, 0.0))
        if recording.status == "paused":
            paused += now - began
        return now - recording.started_at - paused

    def _notify(self, recording: Recording, status: str) -> None:
        recording.status = status
        recording.updated_at = self.kernel.now()
        self.kernel.changed("recording", recording.sid)
        callback = self._callbacks[recording.sid]
        if callback.url and status in callback.events:
            url = self.lifecycle.recording_url(recording.sid)
            started = self.kernel.date(recording.started_at)
            account = self.switch.account_sid
            fields = params.recording_status(recording, account, url, status, started)
            about = recording.call_sid or recording.conference_sid
            notice = Notice(callback.url, callback.method, fields, "recording-status", about)
            self.kernel.notify(notice)

    def update(self, sid: str, status: str, behavior: str = "silence") -> Recording:
        """REST pauses, resumes or stops a recording. Raises ExchangeError."""
        recording = self.recordings.get(sid)
        if recording is None:
            raise ExchangeError(20404, f"there is no recording {sid}", 404)
        if recording.status not in {"in-progress", "paused"}:
            raise ExchangeError(21220, f"recording {sid} has ended")
        now = self.kernel.now()
        began, before = self._pauses.get(sid, (0.0, 0.0))
        if status == "stopped":
            self.finish(recording)
        elif status == "paused" and recording.status == "in-progress":
            recording.status, recording.updated_at = "paused", now
            self._pauses[sid] = (now, before)
        elif status == "in-progress" and recording.status == "paused":
            recording.status, recording.updated_at = "in-progress", now
            skipped = now - began if behavior == "skip" else 0.0
            self._pauses[sid] = (0.0, before + skipped)
        elif status not in {"paused", "in-progress"}:
            raise ExchangeError(20001, f"Status {status!r} is not paused, in-progress or stopped")
        return recording

    # --- recordings that run beside a document ---

    def _whole_call(self, leg: Leg) -> None:
        spec = leg.options.record
        if spec is not None:
            self.start(spec, call=leg.sid)

    def _leg_ended(self, leg: Leg) -> None:
        for recording in leg.recordings:
            self.finish(recording)

    def beside(self, leg: Leg, effect: Background) -> None:
        """Start the recording of a Start, or stop those of earlier ones."""
        if effect.record is not None and not leg.ended:
            self.start(effect.record, call=leg.sid)
        elif effect.what == "stop":
            for recording in leg.recordings:
                if recording.source == "StartCallRecordingTwiML":
                    self.finish(recording)

    # --- words ---

    def said(self, leg: Leg, text: str) -> None:
        """Put words on every recording that runs on this leg."""
        for recording in leg.recordings:
            if recording.status == "in-progress":
                recording.words.append(text)

    def transcribe(self, leg: Leg, recording: Recording, callback: str) -> None:
        """Write down what was said, some seconds from now."""
        seconds = recording.duration or 0
        good = 2 < seconds < 120
        if not good:
            problem = f"a recording of {seconds} s is not transcribed: more than 2, less than 120"
            self.kernel.trouble(Trouble(NOT_TRANSCRIBABLE, "warning", problem, leg.sid))

        def done() -> None:
            text = " ".join(recording.words) if good else ""
            status = "completed" if good else "failed"
            result = Transcription(
                self.kernel.mint("TR"), recording.sid, status, text, self.kernel.now(), seconds
            )
            self.transcriptions[result.sid] = result
            self.kernel.changed("transcription", result.sid)
            if callback:
                account = self.switch.account_sid
                path = f"/2010-04-01/Accounts/{account}/Transcriptions/{result.sid}"
                url = self.kernel.address(path)
                sound = self.lifecycle.recording_url(recording.sid)
                fields = params.transcription(leg.call, account, result, url, sound)
                self.kernel.notify(Notice(callback, "POST", fields, "transcription", leg.sid))

        self.kernel.after(TRANSCRIBE_SECONDS, lambda: self.switch.post(done))
