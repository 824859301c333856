"""Queues of callers: who waits in which, and who takes them out.

https://www.twilio.com/docs/voice/twiml/enqueue, /queue and the Queue resource of the REST API.
"""

from dataclasses import dataclass

from ringback.simulator.voice.bridges import Bridges
from ringback.simulator.voice.call_records import Member, Queue
from ringback.simulator.voice.effects import Bridge, JoinQueue, LeaveQueue, Look, TakeFromQueue
from ringback.simulator.voice.legs import Leg, Link
from ringback.simulator.voice.ports import Fields, Script
from ringback.simulator.voice.results import (
    Bridged,
    Dequeued,
    Dialed,
    Queued,
    Rescripted,
    Standing,
)
from ringback.simulator.voice.switch import PENDING, ExchangeError, Switch

MOST_WAITING = 5000


@dataclass(slots=True, eq=False)
class Taking:
    """A Dial Queue at work: whom it took, or that it still waits for one."""

    queueing: "Queues"
    agent: Leg
    effect: TakeFromQueue
    queue: Queue
    until: float
    member: Leg | None = None
    waited: int = 0

    def fields(self, result: str) -> Fields:
        """What a Dial Queue's action says about the queue."""
        time = (("QueueTime", str(self.waited)),) if self.member is not None else ()
        return (("QueueResult", result), ("QueueSid", self.queue.sid), *time)

    def dialed(self, link: Link | None) -> Dialed:
        if link is None or self.member is None:
            return Dialed("no-answer", queue=self.fields("queue-empty"))
        seconds = self.queueing.bridges.seconds(link)
        sid, length = "", 0
        if link.recording is not None:
            sid, length = link.recording.sid, link.recording.duration or 0
        url = self.queueing.bridges.recorder.lifecycle.recording_url(sid) if sid else ""
        fields = self.fields("bridged")
        return Dialed("completed", self.member.sid, seconds, True, sid, url, length, fields)

    def abandon(self) -> Dialed:
        """The agent hung up or is taken elsewhere."""
        return self.queueing.abandon(self)


class Queues:
    """All queues of the account."""

    def __init__(self, switch: Switch, bridges: Bridges) -> None:
        self.switch = switch
        self.kernel = switch.kernel
        self.bridges = bridges
        self.queues: dict[str, Queue] = {}
        self._takers: dict[str, list[Taking]] = {}
        switch.handlers[JoinQueue] = self._join
        switch.handlers[Look] = self._look
        switch.handlers[LeaveQueue] = self._leave
        switch.handlers[TakeFromQueue] = self._take
        switch.handlers[Bridge] = self._bridge

    # --- the queues themselves ---

    def named(self, name: str) -> Queue | None:
        return next((q for q in self.queues.values() if q.friendly_name == name), None)

    def create(self, name: str, max_size: int = 1000) -> Queue:
        """Make a queue. Raises ExchangeError: no name, name taken, size out of range."""
        self._check(name, max_size)
        if self.named(name) is not None:
            raise ExchangeError(22003, f"there is a queue named {name!r} already")
        now = self.kernel.now()
        queue = Queue(self.kernel.mint("QU"), name, now, now, max_size)
        self.queues[queue.sid] = queue
        self.kernel.changed("queue", queue.sid)
        return queue

    def _check(self, name: str, max_size: int) -> None:
        if not 1 <= len(name) <= 64:
            raise ExchangeError(20001, "a queue's FriendlyName has 1 to 64 characters")
        if not 1 <= max_size <= MOST_WAITING:
            raise ExchangeError(20001, f"MaxSize is 1 to {MOST_WAITING}")

    def find(self, sid: str) -> Queue:
        """Raises ExchangeError 20404."""
        queue = self.queues.get(sid)
        if queue is None:
            raise ExchangeError(20404, f"there is no queue {sid}", 404)
        return queue

    def update(self, sid: str, name: str | None = None, max_size: int | None = None) -> Queue:
        """Rename or resize. Raises ExchangeError."""
        queue = self.find(sid)
        new = queue.friendly_name if name is None else name
        size = queue.max_size if max_size is None else max_size
        self._check(new, size)
        if self.named(new) not in (None, queue):
            raise ExchangeError(22003, f"there is a queue named {new!r} already")
        queue.friendly_name, queue.max_size, queue.updated_at = new, size, self.kernel.now()
        self.kernel.changed("queue", sid)
        return queue

    def delete(self, sid: str) -> None:
        """Raises ExchangeError when callers wait in it."""
        queue = self.find(sid)
        if queue.members:
            raise ExchangeError(20009, f"queue {queue.friendly_name!r} is not empty", 409)
        del self.queues[sid]
        self.kernel.changed("queue", sid)

    def member(self, sid: str, which: str) -> Member:
        """A waiting call by CallSid, or `Front`. Raises ExchangeError 20404."""
        queue = self.find(sid)
        for member in queue.members:
            if which in {"Front", member.call_sid}:
                return member
        raise ExchangeError(20404, f"{which} does not wait in queue {sid}", 404)

    def dequeue(self, sid: str, which: str, script: Script) -> Member:
        """REST takes a caller out and gives the call a new document. Raises ExchangeError."""
        member = self.member(sid, which)
        leg = self.switch.find(member.call_sid)
        self.switch.interrupt(leg, Rescripted(script))
        return member

    # --- the caller's side ---

    def _join(self, leg: Leg, effect: JoinQueue) -> Queued:
        queue = self.named(effect.name) or self.create(effect.name)
        limit = min(effect.limit or queue.max_size, queue.max_size)
        if len(queue.members) >= limit:
            return Queued(queue.sid, full=True)
        queue.members.append(Member(leg.sid, self.kernel.now()))
        leg.queue_sid, leg.waits = queue.sid, "queue"
        self._touch(queue)
        takers = self._takers.get(queue.sid)
        if takers:
            self._hand_over(takers.pop(0), leg)
        return Queued(queue.sid)

    def _touch(self, queue: Queue) -> None:
        queue.updated_at = self.kernel.now()
        self.kernel.changed("queue", queue.sid)

    def _look(self, leg: Leg, effect: Look) -> Standing:
        queue, now = self.queues[leg.queue_sid], self.kernel.now()
        place = queue.position(leg.sid)
        waited = round(now - queue.members[place - 1].enqueued_at) if place else 0
        size, average = len(queue.members), queue.average_wait(now)
        return Standing(queue.sid, place, waited, average, size, queue.max_size)

    def _out(self, leg: Leg) -> int:
        """Take a leg out of line. Returns how long it had waited, in whole seconds."""
        queue = self.queues[leg.queue_sid]
        place = queue.position(leg.sid)
        if not place:
            return 0
        member = queue.members.pop(place - 1)
        self._touch(queue)
        waited = self.kernel.now() - member.enqueued_at
        leg.call.queue_seconds = waited
        return round(waited)

    def _leave(self, leg: Leg, effect: LeaveQueue) -> None:
        if leg.queue_sid in self.queues:
            self._out(leg)
        leg.queue_sid, leg.waits = "", ""
        if leg.link is not None:
            self.bridges.part(leg.link)
        elif leg.taker is not None:
            # Left before the bridge: the agent gets the next one, or waits on.
            taking, leg.taker = leg.taker.dialling, None
            if isinstance(taking, Taking) and taking.member is leg:
                taking.member = None
                self._front(taking)

    def _bridge(self, leg: Leg, effect: Bridge) -> object:
        agent, leg.taker = leg.taker, None
        taking = agent.dialling if agent is not None else None
        if agent is None or agent.ended or not isinstance(taking, Taking):
            return Bridged(talked=False)
        self.bridges.join(
            agent,
            leg,
            self._parted,
            limit=taking.effect.limit,
            star=taking.effect.hangup_on_star,
            record=taking.effect.record,
        )
        return PENDING

    def _parted(self, link: Link) -> None:
        agent, member = link.near, link.far
        taking, agent.dialling = agent.dialling, None
        if isinstance(taking, Taking):
            agent.dialed = taking.dialed(link)
            self.switch.wake(agent, agent.dialed)
        self.switch.wake(member, Bridged(talked=True))

    # --- the agent's side ---

    def _take(self, agent: Leg, effect: TakeFromQueue) -> object:
        queue = self.named(effect.name)
        if queue is None:
            return Dialed("failed", queue=(("QueueResult", "queue-not-found"),))
        until = self.kernel.now() + effect.timeout
        taking = agent.dialling = Taking(self, agent, effect, queue, until)
        agent.dialed = None
        self._front(taking)
        return PENDING

    def _front(self, taking: Taking) -> None:
        if taking.queue.members:
            self._hand_over(taking, self.switch.find(taking.queue.members[0].call_sid))
        else:
            rest = max(0.0, taking.until - self.kernel.now())
            self.switch.later(taking.agent, "take", rest, lambda: self._in_vain(taking))
            self._takers.setdefault(taking.queue.sid, []).append(taking)

    def _hand_over(self, taking: Taking, member: Leg) -> None:
        taking.agent.stop("take")
        taking.member, member.taker = member, taking.agent
        taking.waited = self._out(member)
        whisper = taking.effect.whisper
        taken = Dequeued(taking.queue.sid, taking.waited, taking.agent.sid, whisper)
        self.switch.interrupt(member, taken)

    def _in_vain(self, taking: Taking) -> None:
        taking.agent.stop("take")
        self._forget(taking)
        if taking.agent.dialling is taking and taking.member is None:
            taking.agent.dialling, taking.agent.dialed = None, taking.dialed(None)
            self.switch.wake(taking.agent, taking.agent.dialed)

    def _forget(self, taking: Taking) -> None:
        takers = self._takers.get(taking.queue.sid, [])
        if taking in takers:
            takers.remove(taking)

    def abandon(self, taking: Taking) -> Dialed:
        """Let go of the queue, and of the caller who is talked with."""
        taking.agent.stop("take")
        self._forget(taking)
        link = taking.agent.link
        if link is None:
            return Dialed("canceled", queue=taking.fields("hangup"))
        self.bridges.part(link)
        return taking.dialed(link)
