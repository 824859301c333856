"""Trial: calls that may have ended the process of all plugins, in a forkserver of their own.

They are made again, half of those that are left at a time, until one that ends it is alone. So the
others have their answers, calls that are no suspects run elsewhere, and blame has its proof.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from ringback.errors import PluginError
from ringback.worker.hosts.generation import Generation
from ringback.worker.hosts.jobs import MOST_LOSSES, Job

ENDED = "ended the process of all plugins twice"
END_SECONDS = 2.0
"""How long the hosts of a trial may take to end in order."""

Load = Callable[[Callable[[Job], None]], Awaitable[Generation]]


class Trial:
    """The suspects. `load` starts a forkserver whose lost calls go to the function that it gets."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._groups: deque[Sequence[Job]] = deque()
        self._generation: Generation | None = None
        self._task: asyncio.Task[None] | None = None

    def add(self, jobs: Sequence[Job]) -> None:
        """These calls ran when the process of all plugins ended, and not for the first time."""
        self._groups.append(jobs)
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())

    def drop(self, job: Job) -> None:
        """Nobody waits for this call any more."""
        if self._generation is not None:
            self._generation.drop(job)

    async def close(self, why: str) -> None:
        """End it; what is left fails."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._fail(why)

    async def _run(self) -> None:
        while self._groups:
            try:
                await self._try_all()
            except (PluginError, OSError) as error:
                self._fail(f"has no process to run in: {error}")
            finally:
                await self._end()

    async def _try_all(self) -> None:
        while self._groups:
            group = [job for job in self._groups[0] if not job.future.done()]
            if group:
                await self._try(group)
            self._groups.popleft()

    async def _try(self, group: Sequence[Job]) -> None:
        """Make some calls again. When they end the process, each half is a group of its own."""
        generation = self._generation = self._generation or await self._load(self._again)
        gone = asyncio.Event()
        generation.server.on_gone = gone.set
        for job in group:
            generation.submit(job)
        ended = asyncio.ensure_future(gone.wait())
        done = asyncio.ensure_future(asyncio.wait([job.future for job in group]))
        await asyncio.wait((ended, done), return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        done.cancel()
        if not gone.is_set():
            return
        waited, ran = generation.abandon()
        await self._end()
        if len(ran) == 1:
            ran[0].blame(ENDED)
        elif ran:
            half = len(ran) // 2
            self._groups += (ran[:half], ran[half:])
        self._groups.append([job for job in waited if ran or self._kept(job)])

    def _kept(self, job: Job) -> bool:
        """Count a try that was lost; whether there may be another."""
        job.lost += 1
        if job.lost <= MOST_LOSSES:
            return True
        job.fail(PluginError(job.request.plugin, f"was lost {MOST_LOSSES} times with its process"))
        return False

    def _again(self, job: Job) -> None:
        """Make a call again that another one of its host has cost its try."""
        if self._generation is not None and self._kept(job):
            self._generation.submit(job, first=True)

    async def _end(self) -> None:
        generation, self._generation = self._generation, None
        if generation is not None:
            generation.leave()
            ending = asyncio.ensure_future(generation.close(END_SECONDS))
            try:
                await asyncio.shield(ending)
            except asyncio.CancelledError:  # nobody else knows this process any more
                await ending
                raise

    def _fail(self, why: str) -> None:
        while self._groups:
            for job in self._groups.popleft():
                job.fail(PluginError(job.request.plugin, why))
