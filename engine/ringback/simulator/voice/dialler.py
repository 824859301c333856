"""Dialling of phones for a Dial: all are rung, and one gets through."""

from collections import deque
from dataclasses import dataclass, field

from ringback.simulator.numbering import is_sip_name
from ringback.simulator.voice import leg as programs
from ringback.simulator.voice.bridges import Bridges
from ringback.simulator.voice.call_records import Recording
from ringback.simulator.voice.effects import AbandonDial, Ring, Target
from ringback.simulator.voice.legs import Leg, Link, nothing
from ringback.simulator.voice.lifecycle import Lifecycle
from ringback.simulator.voice.ports import CallOptions, Script, Trouble
from ringback.simulator.voice.results import Dialed, Rescripted
from ringback.simulator.voice.switch import PENDING, Switch

INVALID_CALLER_ID = 13214


@dataclass(slots=True, eq=False)
class Dialling:
    """One Dial at work: the phones that ring, the one that answered, and how the others ended."""

    dialler: "Dialler"
    parent: Leg
    effect: Ring
    waiting: deque[Target]
    ringing: dict[str, Leg] = field(default_factory=dict)
    failed: list[tuple[str, str]] = field(default_factory=list)
    winner: Leg | None = None
    recording: Recording | None = None

    def abandon(self) -> Dialed:
        return self.dialler.let_go(self)


class Dialler:
    """Rings phones for a leg, lets each hear its whisper, and bridges the first that answers."""

    def __init__(self, switch: Switch, lifecycle: Lifecycle, bridges: Bridges) -> None:
        self.switch = switch
        self.kernel = switch.kernel
        self.lifecycle = lifecycle
        self.bridges = bridges
        switch.handlers[Ring] = self._ring
        switch.handlers[AbandonDial] = self._abandon

    def _ring(self, parent: Leg, effect: Ring) -> object:
        if not self._may_show(parent, effect):
            problem = f"callerId {effect.caller_id!r} is neither ours nor the caller's"
            self.kernel.trouble(Trouble(INVALID_CALLER_ID, "warning", problem, parent.sid))
            return Dialed("failed")
        dialling = Dialling(self, parent, effect, deque(effect.targets))
        parent.dialling, parent.dialed = dialling, None
        if effect.record is not None and effect.record_ringing:
            dialling.recording = self.bridges.recorder.start(effect.record, call=parent.sid)
        self._next(dialling)
        while dialling.waiting and not effect.sequential:
            self._next(dialling)
        return PENDING

    def _may_show(self, parent: Leg, effect: Ring) -> bool:
        call, caller_id = parent.call, effect.caller_id
        if caller_id in {"", call.from_, call.to} or self.kernel.number(caller_id) is not None:
            return True
        if self.kernel.verified(caller_id):
            return True
        # A SIP phone or a client shows a name; a telephone only shows numbers that are proven.
        return is_sip_name(caller_id) and all(
            target.kind in {"sip", "client"} for target in effect.targets
        )

    def _next(self, dialling: Dialling) -> None:
        """Ring the next phone in line."""
        target, parent = dialling.waiting.popleft(), dialling.parent
        caller = dialling.effect.caller_id or parent.call.from_
        child = self.lifecycle.new("outbound-dial", caller, target.address, parent=parent.sid)
        child.status = target.status
        child.hops = parent.hops
        child.options = CallOptions(send_digits=target.send_digits)
        child.call.extra = target.parameters
        child.answered = lambda: self._answered(dialling, child, target)
        child.over = lambda status: self._over(dialling, child, status)
        dialling.ringing[child.sid] = child
        handset = self.kernel.handset(target.address)
        timeout = dialling.effect.timeout
        self.switch.post(lambda: self.lifecycle.ring(child, handset, timeout))

    # --- answered ---

    def _answered(self, dialling: Dialling, child: Leg, target: Target) -> None:
        dialling.winner = child
        dialling.waiting.clear()
        for other in tuple(dialling.ringing.values()):
            if other is not child:
                self.lifecycle.end(other, "canceled")
        go_on = lambda: self._whisper(dialling, child, target)  # noqa: E731
        self.lifecycle.detect(child, target.detection, go_on)

    def _whisper(self, dialling: Dialling, child: Leg, target: Target) -> None:
        if target.whisper is None:
            self._bridge(dialling, child)
            return

        def done(outcome: object) -> None:
            if isinstance(outcome, Rescripted):
                self._own_life(child, outcome.script)
            elif outcome is True and not child.ended:
                self._bridge(dialling, child)
            else:
                self.lifecycle.end(child, "completed")

        self.switch.begin(child, programs.whisper(target.whisper), done)

    def _bridge(self, dialling: Dialling, child: Leg) -> None:
        parent, effect = dialling.parent, dialling.effect
        if parent.dialling is not dialling or parent.ended:
            self.lifecycle.end(child, "completed")
            return
        self.lifecycle.pick_up(parent)
        record = effect.record if dialling.recording is None else None
        link = self.bridges.join(
            parent,
            child,
            lambda link: self._parted(dialling, link),
            limit=effect.limit,
            star=effect.hangup_on_star,
            record=record,
        )
        dialling.recording = link.recording = link.recording or dialling.recording

    # --- over ---

    def _parted(self, dialling: Dialling, link: Link, lives: bool = False) -> None:
        child = link.far
        result = self._result(dialling, "completed", child.sid, self.bridges.seconds(link), True)
        if not lives:
            self.lifecycle.end(child, "completed")
        self._finish(dialling, result)

    def _over(self, dialling: Dialling, child: Leg, status: str) -> None:
        """A dialled leg has ended: the talk, or the try."""
        dialling.ringing.pop(child.sid, None)
        if child.link is not None:
            self.bridges.part(child.link)
            return
        if dialling.winner is child:
            # It answered but was never bridged: the whisper hung up, or the person did.
            self._finish(dialling, self._result(dialling, "no-answer", child.sid))
            return
        dialling.failed.append((status, child.sid))
        if dialling.winner is not None or dialling.parent.dialling is not dialling:
            return
        if dialling.waiting:
            self._next(dialling)
        elif not dialling.ringing:
            statuses = [status for status, _ in dialling.failed]
            worst = next(s for s in ("busy", "no-answer", "failed", "canceled") if s in statuses)
            sid = next(sid for status, sid in dialling.failed if status == worst)
            self._finish(dialling, self._result(dialling, worst, sid))

    def _finish(self, dialling: Dialling, result: Dialed) -> None:
        if dialling.parent.dialling is dialling:
            dialling.parent.dialling, dialling.parent.dialed = None, result
            self.switch.wake(dialling.parent, result)

    def _result(
        self, dialling: Dialling, status: str, sid: str, seconds: int = 0, bridged: bool = False
    ) -> Dialed:
        recording = dialling.recording
        if recording is None:
            return Dialed(status, sid, seconds, bridged)
        self.bridges.recorder.finish(recording)
        url = self.lifecycle.recording_url(recording.sid)
        return Dialed(status, sid, seconds, bridged, recording.sid, url, recording.duration or 0)

    def _abandon(self, parent: Leg, effect: AbandonDial) -> Dialed:
        dialling, parent.dialling = parent.dialling, None
        if dialling is None:
            # It had just ended by itself: both sides hung up at once.
            return parent.dialed or Dialed("failed")
        return dialling.abandon()

    def let_go(self, dialling: Dialling) -> Dialed:
        """End the talk, or the ringing."""
        link = dialling.parent.link
        legs = tuple(dialling.ringing.values())
        if link is not None:
            seconds = self.bridges.seconds(link)
            self.bridges.part(link)
            return self._result(dialling, "completed", link.far.sid, seconds, True)
        first = next(iter(dialling.ringing), "")
        for child in legs:
            answered = child.call.answered_at is not None
            self.lifecycle.end(child, "completed" if answered else "canceled")
        return self._result(dialling, "canceled", first)

    # --- a dialled leg that REST takes away ---

    def rescript(self, child: Leg, script: Script) -> None:
        """Give a dialled leg that talks a document of its own; the Dial that rang it is over."""
        link = child.link
        if link is not None and isinstance(dialling := link.near.dialling, Dialling):
            link.ended = lambda link: self._parted(dialling, link, lives=True)
            self.bridges.part(link)
            child.over = nothing
        self._own_life(child, script)

    def _own_life(self, child: Leg, script: Script) -> None:
        over, child.script, child.over = child.over, script, nothing
        over("completed")
        self.lifecycle.run(child)
