"""Calls of async functions: they share a host with a loop.

A step that holds the loop for `STEP_SECONDS` has its host to itself from then on: the others' calls
move to another host, and calls of its owner run in sync hosts, so that only it waits for it. What
ends a host is the doing of the call that was stepping.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from ringback.worker.hosts import wire
from ringback.worker.hosts.host_link import HostLink
from ringback.worker.hosts.jobs import Job
from ringback.worker.hosts.marks import Mark, Marks
from ringback.worker.hosts.turns import Turns

log = logging.getLogger(__name__)

MOST_CALLS = 100
"""So many calls are under way at once."""
STEP_SECONDS = 0.25
LOOK_SECONDS = 0.05
SILENT_SECONDS = 1.5
"""A host that has told nothing of a call so long behind its limit is stuck as a whole."""
IDLE_SECONDS = 30.0

_NONE = Mark(0, 0.0, 0)


@dataclass(eq=False)
class _Host:
    link: HostLink
    jobs: dict[int, Job] = field(default_factory=dict)
    seen: Mark = _NONE
    open: bool = True
    """Whether it takes new calls."""
    idle_since: float = 0.0


class AsyncCalls:
    """The async hosts of one forkserver. `elsewhere` takes a job for a sync host; the rest is as in
    `SyncCalls`. `on_fault` gets what a call did that had ended already: owner and words."""

    def __init__(
        self,
        spawn: Callable[[], HostLink | None],
        retire: Callable[[HostLink], None],
        again: Callable[[Job], None],
        elsewhere: Callable[[Job], None],
        marks: Marks,
        number: Callable[[], int],
    ) -> None:
        self._spawn = spawn
        self._retire = retire
        self._again = again
        self._elsewhere = elsewhere
        self._marks = marks
        self._next_number = number
        self._loop = asyncio.get_running_loop()
        self._turns: Turns[Job] = Turns(MOST_CALLS)
        self._hosts: list[_Host] = []
        self._suspects: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._hosts)

    def submit(self, job: Job, *, first: bool = False) -> None:
        """Do a call as soon as its turn has come."""
        if job.owner in self._suspects or job.lost > 1 or job.alone:
            self._elsewhere(job)
            return
        self._turns.wait(job.owner, job, first=first)
        self._more()

    def drop(self, job: Job) -> None:
        """Nobody waits for this call any more: it is cancelled."""
        if self._turns.drop(job.owner, job):
            return
        for host in self._hosts:
            if host.jobs.get(job.number) is job:
                host.link.send(wire.CANCEL, job.number)
                self._done(host, job)
                return

    def look_around(self) -> None:
        """See that nobody waits for a host which is not coming."""
        self._more()

    def rest(self, now: float) -> None:
        """Let a host go that has had no calls for a while."""
        for host in tuple(self._hosts):
            if host.link.ready and not host.jobs and now - host.idle_since >= IDLE_SECONDS:
                self._dismiss(host)

    def drain(self) -> list[Job]:
        """What waits, which waits no longer."""
        return self._turns.drain()

    def leave(self) -> list[Job]:
        """Take no more calls; hosts retire when their calls are done. What waited."""
        self._closed = True
        for host in tuple(self._hosts):
            host.open = False
            if not host.jobs:
                self._dismiss(host)
        return self._turns.drain()

    def abandon(self) -> tuple[list[Job], list[Job]]:
        """All hosts are gone. The jobs that waited, and those that ran."""
        ran = [job for host in self._hosts for job in host.jobs.values()]
        waited = self.leave()
        if self._timer is not None:
            self._timer.cancel()
        self._hosts.clear()
        return waited, ran

    # -- hosts

    def _current(self) -> _Host | None:
        """The host that takes new calls; it is started when there is none."""
        for host in self._hosts:
            if host.open:
                return host
        link = None if self._closed else self._spawn()
        if link is None:
            return None
        host = _Host(link)
        link.on_ready = self._more
        link.on_frame = partial(self._answered, host)
        link.on_ended = partial(self._ended, host)
        self._hosts.append(host)
        return host

    def _more(self) -> None:
        """Begin what may begin."""
        while self._turns.waits:
            host = self._current()
            if host is None or not host.link.ready:
                return
            found = self._turns.next()
            if found is None:
                return
            owner, job = found
            self._turns.take(owner)
            job.number = number = self._next_number()
            job.sent = self._loop.time()
            host.jobs[number] = job
            host.link.send(wire.CALL, number, job.payload)
            if self._timer is None:
                self._timer = self._loop.call_later(LOOK_SECONDS, self._look)

    def _answered(self, host: _Host, kind: int, number: int, payload: bytes) -> bool:
        job = host.jobs.get(number)
        if job is None:
            return False
        self._done(host, job)
        again = kind == wire.MEMORY and job.doubtful(shared=True)
        if again:
            host.open = False
        if kind == wire.STUCK:
            host.open = False
            job.blame(f"took longer than {job.limit:g} s and goes on although it is cancelled")
        if host.link.leaving:
            log.warning("%s left %s behind: its process is replaced", job.owner, host.link.leaving)
            host.open = False
        if not host.open and not host.jobs:
            self._dismiss(host)
        self._more()
        if again:
            self._again(job)
        else:
            job.finish(kind, payload)
        return True

    def _done(self, host: _Host, job: Job) -> None:
        host.jobs.pop(job.number, None)
        host.idle_since = self._loop.time()
        self._turns.free(job.owner)

    def _dismiss(self, host: _Host) -> None:
        self._hosts.remove(host)
        self._retire(host.link)

    def _ended(self, host: _Host, status: int | None) -> None:
        """The process of a host has ended: the doing of the call that was stepping, if one was."""
        mark = self._marks.read(host.link.slot)
        if status is None:
            host.link.kill()
        host.link.close()
        self._hosts.remove(host)
        self._spread(host, self._take(host, mark.number), status)

    def _take(self, host: _Host, number: int) -> Job | None:
        job = host.jobs.get(number)
        if job is not None:
            self._done(host, job)
        return job

    def _spread(self, host: _Host, culprit: Job | None, status: int | None) -> None:
        """A host has ended: judge one call, and make the others again."""
        if culprit is not None and culprit.ended(status, host.link.how, shared=True):
            self._again(culprit)
        self._move(host)
        self._more()

    def _move(self, host: _Host) -> None:
        """Make all calls of a host again."""
        for job in tuple(host.jobs.values()):
            host.link.send(wire.CANCEL, job.number)
            self._done(host, job)
            self._again(job)

    # -- limits

    def _look(self) -> None:
        """See who holds a loop, and which calls are late that their host says nothing of."""
        self._timer = None
        now = self._loop.time()
        for host in tuple(self._hosts):
            mark = self._marks.read(host.link.slot)
            held = bool(mark.number) and mark == host.seen
            host.seen = mark
            if held and now - mark.began >= STEP_SECONDS:
                self._isolate(host, mark, now)
            self._overdue(host, now)
        if any(host.jobs for host in self._hosts):
            self._timer = self._loop.call_later(LOOK_SECONDS, self._look)

    def _isolate(self, host: _Host, mark: Mark, now: float) -> None:
        """A call holds the loop. It gets its time all the same, but alone."""
        host.link.drain()
        if host.link.hung_up or self._marks.read(host.link.slot) != mark:
            return
        host.open = False
        job = self._take(host, mark.number)
        self._move(host)
        if job is None:  # what a call has left there
            host.link.kill()
            self._dismiss(host)
            self._more()
            return
        self._suspects.add(job.owner)
        if now >= max(mark.began, job.sent) + job.limit:
            host.link.kill()
            self._dismiss(host)
            job.late()
            self._more()
            return
        host.jobs[job.number] = job
        self._turns.take(job.owner)
        self._more()

    def _overdue(self, host: _Host, now: float) -> None:
        """Calls that are late and neither step nor are told of: the process itself is stuck."""
        if any(now > job.sent + job.limit + SILENT_SECONDS for job in host.jobs.values()):
            host.link.drain()
            if (
                host in self._hosts
                and not host.link.hung_up
                and any(now > job.sent + job.limit + SILENT_SECONDS for job in host.jobs.values())
            ):
                host.open = False
                host.link.kill()
                self._dismiss(host)
                self._move(host)
                self._more()
