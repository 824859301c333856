"""Pool of plugin hosts: has requests for plugin code carried out, each within its limit.

Code that blocks, dies, leaks or floods costs its own call and its own process. Plugins are imported
in a forkserver, never here.
"""

import asyncio
import logging
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from ringback.errors import PluginBlocked, PluginError
from ringback.plugins.manifest import Manifest
from ringback.plugins.requests import Request
from ringback.worker.hosts import wire
from ringback.worker.hosts.generation import Generation
from ringback.worker.hosts.jobs import MOST_LOSSES, Job
from ringback.worker.hosts.server_link import Command, Launched, start_server
from ringback.worker.hosts.trial import ENDED, Trial

log = logging.getLogger(__name__)

PAUSES = (0.0, 0.5, 2.0, 5.0)
"""Seconds before a forkserver that has ended is started again; the last one from then on."""

LONG_BYTES = 1 << 16
"""Answers that are longer are read one after the other: each takes a while."""

RESULTS = ("done", "failed", "blocked")
"""What may become of a call: `failed` has an error, `blocked` was too long or ended its process."""

ABSENT = "is not loaded"
ENDS = "is not called any more: the worker ends"

OnFault = Callable[[str, str, Exception], None]


class Pool:
    """A `PluginCalls` with processes.

    `on_fault` gets what a `startup` or `shutdown` did wrong: plugin, hook, and the error, which is
    a PluginBlocked when it hung or ended its process. Use it on one running loop. A forkserver that
    was `launched` already is the first one.
    """

    def __init__(
        self,
        command: Command,
        *,
        launched: Launched | None = None,
        on_fault: OnFault | None = None,
        hook_seconds: float = 5.0,
    ) -> None:
        self.command = command
        self._launched = launched
        self._on_fault = on_fault or _logged
        self._hook_seconds = hook_seconds
        self._current: Generation | None = None
        self._old: list[Generation] = []
        self._held: list[Job] = []
        self._reloading = asyncio.Lock()
        self._reading = asyncio.Lock()
        self._restart: asyncio.Task[None] | None = None
        self._closed = False
        self._without = False
        self._calls: Counter[str] = Counter(dict.fromkeys(RESULTS, 0))
        self._lost: Counter[str] = Counter(host=0, forkserver=0)
        self._trial = Trial(lambda again: self._load(self.command, again))

    async def start(self) -> Manifest:
        """Import the plugins, in bounded time whatever they do. What they bring.

        Calls may be asked before: they wait. Raises PluginError when no process can be started.
        """
        return await self.reload(lambda _manifest: True)

    def status(self) -> dict[str, Any]:
        """For the metrics: hosts that run, by kind; calls since the pool began, by result; and the
        processes that ended unasked, for which others were started."""
        running = Counter({"sync": 0, "async": 0})
        for generation in (self._current, *self._old):
            running.update(generation.running() if generation is not None else ())
        return {"running": dict(running), "calls": dict(self._calls), "lost": dict(self._lost)}

    async def call(self, request: Request, *, limit: float) -> Any:
        """Carry out a request; see `PluginCalls`."""
        try:
            answer = await self._call(request, limit)
        except PluginBlocked:
            self._calls["blocked"] += 1
            raise
        except PluginError:
            self._calls["failed"] += 1
            raise
        self._calls["done"] += 1
        return answer

    async def _call(self, request: Request, limit: float) -> Any:
        job = Job(
            request, request.owner, limit, wire.request_bytes(request, limit),
            asyncio.get_running_loop().create_future(),
        )  # fmt: skip
        if self._current is not None:
            self._current.submit(job)
        elif self._closed:
            raise PluginError(request.plugin, ENDS)
        elif self._without:
            raise PluginError(request.plugin, ABSENT)
        else:
            self._held.append(job)
        try:
            payload = await job.future
        except asyncio.CancelledError:
            self._drop(job)
            raise
        if len(payload) < LONG_BYTES:
            return wire.read_answer(request, payload)
        async with self._reading:
            return await wire.read_long_answer(request, payload)

    async def reload(
        self, accept: Callable[[Manifest], bool], command: Command | None = None
    ) -> Manifest:
        """Import the plugins once more, and call the new ones from now on if `accept` says so.

        Until then calls go to the old ones, which do what they have begun. `accept` is called at
        the moment of the change. Raises PluginError when no process can be started.
        """
        async with self._reloading:
            command = command or self.command
            fresh = await self._load(command) if command.wanted() else None
            manifest = fresh.manifest if fresh is not None else Manifest()
            if not accept(manifest) or self._closed:
                if fresh is not None:
                    self._let_go(fresh)
                return manifest
            self.command = command
            if self._restart is not None:
                self._restart.cancel()
            old, self._current = self._current, None
            if old is not None:
                self._held += self._let_go(old)
            if fresh is not None and manifest.plugins.plugins:
                self._adopt(fresh)
                return manifest
            if fresh is not None:
                self._let_go(fresh)
            self._without = True  # no code, and so no process for it
            self._refuse(ABSENT)
            return manifest

    async def close(self) -> None:
        """End every process in order: `shutdown` of the plugins is called. What waits fails."""
        self._closed = True
        if self._restart is not None:
            self._restart.cancel()
            await asyncio.gather(self._restart, return_exceptions=True)
        await self._trial.close(ENDS)
        async with self._reloading:
            await self._end()

    async def _end(self) -> None:
        current, self._current = self._current, None
        if current is not None:
            self._held += self._let_go(current)
        self._refuse(ENDS)
        for generation in tuple(self._old):
            for job in await generation.close(self._hook_seconds + 1.0):
                job.fail(PluginError(job.request.plugin, ENDS))

    async def _load(
        self,
        command: Command,
        again: Callable[[Job], None] | None = None,
        launched: Launched | None = None,
    ) -> Generation:
        if launched is None:
            launched, self._launched = self._launched, None
        server, manifest = await start_server(command, launched)
        for warning in manifest.warnings:
            log.warning("%s", warning)
        generation = Generation(
            server, manifest, again=again or self._again, on_fault=self._on_fault,
            hook_seconds=self._hook_seconds, counts=self._lost,
        )  # fmt: skip
        server.on_gone = lambda: self._gone(generation)
        if server.gone:
            generation.abandon()
            raise PluginError(
                "", "the process of the plugins has ended as soon as they were loaded"
            )
        return generation

    def _adopt(self, generation: Generation) -> None:
        """Call this one from now on."""
        self._current = generation
        self._without = False
        held, self._held = self._held, []
        for job in held:
            generation.submit(job)

    def _let_go(self, generation: Generation) -> list[Job]:
        """Let a generation end in order. What waited."""
        self._old = [each for each in self._old if not each.ended] + [generation]
        return generation.leave()

    def _drop(self, job: Job) -> None:
        if job in self._held:
            self._held.remove(job)
        self._trial.drop(job)
        for generation in (self._current, *self._old):
            if generation is not None:
                generation.drop(job)

    def _again(self, job: Job) -> None:
        """Make a call again that was lost through no fault of its own."""
        if job.future.done():
            return
        job.lost += 1
        if job.lost > MOST_LOSSES:
            plugin = job.request.plugin
            job.fail(PluginError(plugin, f"was lost {MOST_LOSSES} times with its process"))
        elif self._current is not None:
            self._current.submit(job, first=True)
        elif self._closed or self._without:
            job.fail(PluginError(job.request.plugin, ENDS if self._closed else ABSENT))
        else:
            self._held.append(job)

    def _gone(self, generation: Generation) -> None:
        """A forkserver has ended, and every host with it."""
        current = generation is self._current
        if current:
            log.error("the process of the plugins (pid %d) has ended", generation.server.pid)
            self._lost["forkserver"] += 1
            self._current = None
            spare = None if self._closed else generation.server.take_spare()
        elif generation in self._old:
            self._old.remove(generation)
        waited, ran = generation.abandon()
        for job in ran:
            # As with a host: once it may have been a person or the system.
            job.killed += 1
            if job.killed == 1:
                self._again(job)
        suspects = [job for job in ran if job.killed > 1]
        if len(ran) == 1 and suspects:  # nothing else ran: it is proof
            suspects[0].blame(ENDED)
        elif suspects:
            self._trial.add(suspects)
        for job in waited:
            if self._current is not None:
                self._current.submit(job)
            else:
                self._held.append(job)
        if current and not self._closed:
            self._restart = asyncio.ensure_future(self._start_again(generation.manifest, spare))

    async def _start_again(self, before: Manifest, spare: Launched | None) -> None:
        """Start the plugins again, in the `spare` process first: it has the engine already."""
        for number in range(sys.maxsize):
            try:
                await asyncio.sleep(PAUSES[min(number, len(PAUSES) - 1)])
            except asyncio.CancelledError:
                if spare is not None:
                    spare.close()
                raise
            try:
                launched, spare = spare, None
                generation = await self._load(self.command, launched=launched)
            except (PluginError, OSError) as error:
                log.error("no process for the plugins can be started: %s", error)
                if launched is None:  # else it was the spare: a program may do better
                    self._refuse(f"has no process to run in: {error}")
                continue
            if not generation.manifest.brings_the_same(before):
                log.warning("the plugins have changed since they were loaded; reload the rules")
            self._adopt(generation)
            return

    def _refuse(self, why: str) -> None:
        held, self._held = self._held, []
        for job in held:
            job.fail(PluginError(job.request.plugin, why))


def _logged(plugin: str, hook: str, error: Exception) -> None:
    log.error("plugin %s: %s: %s", plugin, hook, error)
