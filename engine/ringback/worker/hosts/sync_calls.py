"""Calls of sync functions: each has a host to itself while it runs.

Hosts are started as they are needed: two for quick calls, more when calls have waited while all
hosts were held for `SLOW_SECONDS`, up to `MOST_HOSTS`.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ringback.worker.hosts import wire
from ringback.worker.hosts.host_link import STATUS_SECONDS, HostLink
from ringback.worker.hosts.jobs import Job
from ringback.worker.hosts.marks import Marks
from ringback.worker.hosts.turns import Turns

log = logging.getLogger(__name__)

MOST_HOSTS = 14
QUICK_HOSTS = max(1, min(4, os.cpu_count() or 1))
SLOW_SECONDS = 0.02
IDLE_SECONDS = 30.0
"""A host without calls for so long retires, but for one."""
GRACE_SECONDS = 0.25
"""What calls get on top when the worker itself comes so late to look at them."""
UNBEGUN_SECONDS = 1.0
"""A host that has not begun a call so long behind its limit is stuck through something else."""


@dataclass(eq=False)
class _Host:
    link: HostLink
    job: Job | None = None
    idle_since: float = 0.0
    owner: str | None = None
    """Whose calls it has done; empty for calls of several."""


class SyncCalls:
    """The sync hosts of one forkserver.

    `spawn` starts a host, or gives None when there can be none now; `retire` takes one over that
    has ended its work, and `again` a job that was lost through no fault of its own.
    """

    def __init__(
        self,
        spawn: Callable[[], HostLink | None],
        retire: Callable[[HostLink], None],
        again: Callable[[Job], None],
        marks: Marks,
        number: Callable[[], int],
    ) -> None:
        self._spawn = spawn
        self._retire = retire
        self._again = again
        self._marks = marks
        self._next_number = number
        self._loop = asyncio.get_running_loop()
        self._turns: Turns[Job] = Turns(MOST_HOSTS)
        self._hosts: list[_Host] = []
        self._idle: list[_Host] = []
        self._timer: asyncio.TimerHandle | None = None
        self._look_at = 0.0  # uvloop's handle of what is due already has no `when`
        self._growing: asyncio.TimerHandle | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._hosts)

    def submit(self, job: Job, *, first: bool = False) -> None:
        """Do a call as soon as its turn has come."""
        if self._idle and self._turns.may(job.owner):
            self._begin(self._idle.pop(), job)
            return
        self._turns.wait(job.owner, job, first=first)
        if self._growing is None or len(self._hosts) < QUICK_HOSTS:
            self._grow()

    def drop(self, job: Job) -> None:
        """Nobody waits for this call any more. One that runs already goes on to its end."""
        self._turns.drop(job.owner, job)

    def warm(self) -> None:
        """Have a host ready."""
        if not self._hosts:
            self._start()

    def look_around(self) -> None:
        """See that nobody waits for a host which is not coming."""
        self._grow()

    def rest(self, now: float, keep: int) -> None:
        """Let hosts go that have had no calls for a while, but for so many."""
        while len(self._hosts) > keep and self._idle:
            host = self._idle[0]  # the one that has waited longest
            if now - host.idle_since < IDLE_SECONDS:
                return
            self._idle.pop(0)
            self._hosts.remove(host)
            self._retire(host.link)

    def drain(self) -> list[Job]:
        """What waits, which waits no longer."""
        return self._turns.drain()

    def leave(self) -> list[Job]:
        """Take no more calls: idle hosts retire, busy ones when they are done. What waited."""
        self._closed = True
        for host in self._idle:
            self._hosts.remove(host)
            self._retire(host.link)
        self._idle.clear()
        if self._growing is not None:
            self._growing.cancel()
        return self._turns.drain()

    def abandon(self) -> tuple[list[Job], list[Job]]:
        """All hosts are gone. The jobs that waited, and those that ran."""
        ran = [host.job for host in self._hosts if host.job is not None]
        waited = self.leave()
        if self._timer is not None:
            self._timer.cancel()
        self._hosts.clear()
        return waited, ran

    # -- hosts

    def _start(self) -> bool:
        link = self._spawn()
        if link is None:
            return False
        host = _Host(link)
        self._hosts.append(host)
        link.on_ready = partial(self._ready, host)
        link.on_frame = partial(self._answered, host)
        link.on_ended = partial(self._ended, host)
        return True

    def _grow(self) -> None:
        """Start hosts for those that wait: quick calls need few."""
        if self._closed or not self._turns.waits:
            return
        starting = sum(not host.link.ready for host in self._hosts)
        wanted = min(self._turns.allowed() - starting, QUICK_HOSTS - len(self._hosts))
        while wanted > 0 and self._start():
            wanted -= 1
        if self._growing is None:
            self._growing = self._loop.call_later(SLOW_SECONDS, self._grow_more)

    def _grow_more(self) -> None:
        """Start more hosts when all that there are have been held for a while."""
        self._growing = None
        if self._closed or not self._turns.waits:
            return
        before = self._loop.time() - SLOW_SECONDS / 2
        quick = any(host.job is not None and host.job.sent > before for host in self._hosts)
        starting = sum(not host.link.ready for host in self._hosts)
        wanted = min(self._turns.allowed() - starting, MOST_HOSTS - len(self._hosts))
        while wanted > 0 and not quick and self._start():
            wanted -= 1
        self._growing = self._loop.call_later(SLOW_SECONDS, self._grow_more)

    def _ready(self, host: _Host) -> None:
        """A host takes calls: the one that it was started for is there already."""
        if host.job is None:
            self._free(host)
        else:
            self._send(host, host.job)

    def _free(self, host: _Host) -> None:
        """A host has nothing to do: give it the next call, or let it rest."""
        if host.link.leaving or self._closed:
            self._hosts.remove(host)
            self._retire(host.link)
            self._grow()
            return
        found = self._turns.next() if self._turns.waits else None
        if found is not None:
            self._begin(host, found[1])
            return
        host.idle_since = self._loop.time()
        self._idle.append(host)

    def _begin(self, host: _Host, job: Job) -> None:
        if host.owner != job.owner:
            if job.alone and host.owner is not None:
                self._begin_alone(host, job)
                return
            host.owner = job.owner if host.owner is None else ""
        self._turns.take(job.owner)
        host.job = job
        self._send(host, job)

    def _begin_alone(self, host: _Host, job: Job) -> None:
        """Put a new host in the place of this one, for this call."""
        self._hosts.remove(host)
        self._retire(host.link)
        if not self._start():
            self._turns.wait(job.owner, job, first=True)
            return
        fresh = self._hosts[-1]
        fresh.owner, fresh.job = job.owner, job
        self._turns.take(job.owner)
        job.number, job.sent = self._next_number(), self._loop.time()
        self._watch(job)

    def _send(self, host: _Host, job: Job) -> None:
        job.number = number = self._next_number()
        job.sent = self._loop.time()
        host.link.send(wire.CALL, number, job.payload)
        self._watch(job)

    def _watch(self, job: Job) -> None:
        due = job.sent + job.limit
        if self._timer is None or due < self._look_at:
            self._arm(due)

    def _answered(self, host: _Host, kind: int, number: int, payload: bytes) -> bool:
        job = host.job
        if job is None or job.number != number:
            raise wire.NoFrameError  # each call is answered once
        host.job = None
        self._turns.free(job.owner)
        again = kind == wire.MEMORY and job.doubtful(host.owner != job.owner)
        if host.link.leaving:
            log.warning("%s left %s behind: its process is replaced", job.owner, host.link.leaving)
        elif again:
            host.link.leaving = "too little memory"
        self._free(host)  # first, so that it works while the answer is read
        if again:
            self._again(job)
        else:
            job.finish(kind, payload)
        return True

    def _ended(self, host: _Host, status: int | None) -> None:
        """The process of a host has ended, and nobody has asked it to."""
        if host in self._idle:
            self._idle.remove(host)
        job = self._lose(host)
        mark = self._marks.read(host.link.slot)
        if status is None:
            host.link.kill()
        host.link.close()
        if job is not None:
            shared = host.owner != job.owner
            if mark.number != job.number or job.ended(
                status, host.link.how, mark.place, shared=shared
            ):
                self._again(job)
        self._grow()

    def _lose(self, host: _Host) -> Job | None:
        """Forget a host; the call that it was at."""
        job, host.job = host.job, None
        self._hosts.remove(host)
        if job is not None:
            self._turns.free(job.owner)
        return job

    # -- limits

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._look_at = due
        self._timer = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        """End the calls whose time is over."""
        self._timer = None
        now, next_due = self._loop.time(), 0.0
        if now - self._look_at > GRACE_SECONDS:
            # This process slept, and perhaps the whole machine: ask once more.
            self._arm(now + GRACE_SECONDS)
            return
        for host in tuple(self._hosts):
            job = host.job
            if job is None:
                continue
            due, _ = self._due(host, job)
            if due <= now:
                host.link.drain()  # it may be this process that was late
                if host.job is job and not host.link.hung_up:
                    self._late(host, job)
                job = host.job
                due = now + STATUS_SECONDS
            if job is not None and (not next_due or due < next_due):
                next_due = due
        if next_due and (self._timer is None or next_due < self._look_at):
            self._arm(next_due)

    def _due(self, host: _Host, job: Job) -> tuple[float, bool]:
        """When a call is late, and whether its host has begun it."""
        mark = self._marks.read(host.link.slot)
        if mark.number != job.number:
            return job.sent + job.limit + UNBEGUN_SECONDS, False
        began = mark.began if len(_batch(job)) < 2 else job.sent
        return max(began, job.sent) + job.limit, True

    def _late(self, host: _Host, job: Job) -> None:
        _, begun = self._due(host, job)
        mark = self._marks.read(host.link.slot)
        self._lose(host)
        host.link.kill()
        self._retire(host.link)
        if begun:
            job.late(mark.place)
        else:
            self._again(job)
        self._grow()


def _batch(job: Job) -> tuple[object, ...]:
    """The calls of functions in a job; empty for any other."""
    return getattr(job.request, "calls", ())
