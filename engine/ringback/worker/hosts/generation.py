"""Generation: a forkserver, the hosts that it has forked, and the calls that they do.

A reload makes a new one; the old one does what it has begun and goes.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from functools import partial

from ringback.errors import PluginBlocked, PluginError
from ringback.plugins.manifest import Manifest
from ringback.worker.hosts import wire
from ringback.worker.hosts.async_calls import AsyncCalls
from ringback.worker.hosts.host_link import HostLink
from ringback.worker.hosts.jobs import Job, how
from ringback.worker.hosts.server_link import Forked, ServerLink
from ringback.worker.hosts.sync_calls import SyncCalls

SWEEP_SECONDS = 1.0
START_SECONDS = 10.0
"""How long a host may take from being asked for to its first word."""
KEPT_WARM = 1

MOST_STILLBORN = 5
"""When so many hosts in a row end before they take calls, the calls that wait fail."""


class Generation:
    """What one load of the plugins has become.

    `hook_seconds` is the limit of `startup` and `shutdown`. `on_fault` gets what these did wrong:
    `plugin.hook` and the error. `again` gets the jobs that were lost through no fault of their own.
    `counts` counts the hosts that ended unasked.
    """

    def __init__(
        self,
        server: ServerLink,
        manifest: Manifest,
        *,
        again: Callable[[Job], None],
        on_fault: Callable[[str, str, Exception], None],
        hook_seconds: float,
        counts: Counter[str],
    ) -> None:
        self.server = server
        self.manifest = manifest
        self._on_fault = on_fault
        self._hook_seconds = hook_seconds
        self._counts = counts
        self._loop = asyncio.get_running_loop()
        self._links: dict[int, HostLink] = {}
        self._retiring: list[HostLink] = []
        self._silent: set[str] = set()
        self._stillborn: Counter[str] = Counter()
        self._leaving = False
        self._closed = asyncio.Event()
        number = partial(random.getrandbits, 63)  # which code of a plugin does not guess
        server.on_forked, server.on_ended = self._forked, self._ended
        self.sync = SyncCalls(
            lambda: self._spawn("sync"), self._retire, again, server.marks, number
        )
        self.asyncs = AsyncCalls(
            lambda: self._spawn("async"), self._retire, again, self.sync.submit, server.marks,
            number,
        )  # fmt: skip
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)
        if manifest.plugins.plugins:
            self.sync.warm()

    @property
    def ended(self) -> bool:
        """Whether all its processes have been let go of."""
        return self._closed.is_set()

    def running(self) -> Counter[str]:
        """How many hosts of each kind there are."""
        return Counter(link.kind for link in self._links.values())

    def submit(self, job: Job, *, first: bool = False) -> None:
        """Do a call as soon as its turn has come."""
        if job.owner in self.manifest.asyncs:
            self.asyncs.submit(job, first=first)
        else:
            self.sync.submit(job, first=first)

    def drop(self, job: Job) -> None:
        """Nobody waits for this call any more."""
        self.sync.drop(job)
        self.asyncs.drop(job)

    def leave(self) -> list[Job]:
        """Take no more calls, end in order when those are done that run. What waited."""
        self._leaving = True
        waited = [*self.sync.leave(), *self.asyncs.leave()]
        self._end_when_empty()
        return waited

    def abandon(self) -> tuple[list[Job], list[Job]]:
        """The forkserver is gone, and every host with it. The jobs that waited, and that ran."""
        waited, ran = self.sync.abandon()
        also_waited, also_ran = self.asyncs.abandon()
        for link in self._links.values():
            link.kill()
            link.close()
        self._links.clear()
        self._leaving = True
        self._end_when_empty()
        return [*waited, *also_waited], [*ran, *also_ran]

    async def close(self, seconds: float) -> list[Job]:
        """Wait until every host has ended, at most for so long; then end them all. What ran."""
        ran: list[Job] = []
        try:
            async with asyncio.timeout(seconds):
                await self._closed.wait()
        except TimeoutError:
            self.server.kill()
            _, ran = self.abandon()
        await self.server.close()
        return ran

    def _end_when_empty(self) -> None:
        if self._leaving and not self._links and not self._closed.is_set():
            self._closed.set()
            self._sweeper.cancel()
            self.server.on_gone = lambda: None
            self.server.close()

    # -- hosts

    def _spawn(self, kind: str) -> HostLink | None:
        link = HostLink(self.server, kind, tuple(sorted(self._silent)))
        if link.slot < 0:
            link.close()
            return None
        link.on_fault = self._told_fault
        self._links[link.slot] = link
        return link

    def _told_fault(self, plugin: str, hook: str, why: str) -> None:
        self._on_fault(plugin, hook, RuntimeError(why))

    def _forked(self, slot: int, process: Forked) -> None:
        link = self._links.get(slot)
        if link is None or link.ended:
            process.kill()
            process.close()
        else:
            link.forked(process)

    def _ended(self, slot: int, status: int) -> None:
        link = self._links.pop(slot, None)
        if link is None:
            return
        link.drain()  # its last word may say that a hook is done
        if link.at[0] and not link.ended:
            self._blame_hook(link, f"ended its process with {how(status)}")
        elif link.ready:
            self._stillborn[link.kind] = 0
        else:
            self._came_to_nothing(link.kind, how(status))
        if link in self._retiring:
            self._retiring.remove(link)
            link.close()
        else:
            self._counts["host"] += 1
            link.exited(status)
        link.close()
        self._end_when_empty()

    def _came_to_nothing(self, kind: str, why: str) -> None:
        """A host has ended before it took calls, through none of the plugins' `startup`."""
        self._stillborn[kind] += 1
        if self._stillborn[kind] >= MOST_STILLBORN:
            self._stillborn[kind] = 0
            for job in self.sync.drain() + self.asyncs.drain():
                error = PluginError(job.request.plugin, f"has no process to run in: {why}")
                job.fail(error)

    def _retire(self, link: HostLink) -> None:
        """Let a host end in order; the sweep ends it when it takes too long."""
        link.on_frame = lambda _kind, _number, _payload: False
        link.on_ended = lambda _status: None
        link.news = self._loop.time()
        link.retired = True
        self._retiring.append(link)
        link.send(wire.RETIRE)

    def _sweep(self) -> None:
        """End the hosts whose start or end takes too long; let idle ones go."""
        now = self._loop.time()
        for link in tuple(self._links.values()):
            if link.ready and link not in self._retiring:
                continue
            hook = link.at[0] or (link.ready and not link.killed)
            limit = self._hook_seconds if hook else START_SECONDS
            if now - link.news <= limit:
                continue
            if link.at[0]:
                self._blame_hook(link, f"took longer than {limit:g} s")
            if link.killed or not link.pid:  # it is the forkserver that does not do its work
                self.server.kill()
                break
            link.news = now
            link.kill()
        self.sync.rest(now, KEPT_WARM)
        self.asyncs.rest(now)
        self.sync.look_around()
        self.asyncs.look_around()
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def _blame_hook(self, link: HostLink, what: str) -> None:
        plugin, hook = link.at
        link.at = ("", "")
        if hook == "startup":
            self._silent.add(plugin)
        self._on_fault(plugin, hook, PluginBlocked(plugin, what, f"{plugin}.{hook}"))
