"""Bridges of two legs: how the talk begins, and how it ends."""

from collections.abc import Callable

from ringback.simulator.voice.legs import Leg, Link
from ringback.simulator.voice.ports import RecordingSpec
from ringback.simulator.voice.recorder import Recorder
from ringback.simulator.voice.switch import Switch


class Bridges:
    """Joins legs two by two."""

    def __init__(self, switch: Switch, recorder: Recorder) -> None:
        self.switch = switch
        self.recorder = recorder

    def join(
        self,
        near: Leg,
        far: Leg,
        ended: Callable[[Link], None],
        *,
        limit: float,
        star: bool = False,
        record: RecordingSpec | None = None,
    ) -> Link:
        """Let two legs talk. `ended` is called once, when either has ended or is taken away."""
        kernel = self.switch.kernel
        link = Link(near, far, kernel.now(), star, ended)
        near.link = far.link = link
        if record is not None:
            link.recording = self.recorder.start(record, call=near.sid)
        over = lambda: self.part(link)  # noqa: E731
        link.timer = kernel.after(limit, lambda: self.switch.post(over))
        return link

    def part(self, link: Link) -> None:
        """End a talk. Both legs live on, each with whatever its side does next."""
        if link.near.link is not link:
            return
        link.near.link = link.far.link = None
        if link.timer is not None:
            link.timer.cancel()
        if link.recording is not None:
            self.recorder.finish(link.recording)
        link.ended(link)

    def seconds(self, link: Link) -> int:
        """Whole seconds since the two were joined."""
        return round(self.switch.kernel.now() - link.started_at)
