"""One life of the worker: the real engine on a virtual loop, until it ends or is killed."""

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, cast

from ringback.actions import HttpRequest, Notify
from ringback.config import Settings
from ringback.errors import Problem, RingbackError, RuleErrors, Unreachable
from ringback.gateway.client import Gateway
from ringback.gateway.credentials import Credentials
from ringback.gateway.transport import Reply
from ringback.ipc import Link, Message, WorkerAway
from ringback.plugins.loader import PluginSet, load_plugins
from ringback.plugins.manifest import manifest_of, read_manifest
from ringback.project import gather
from ringback.rules.engine.ruleset import RuleSet
from ringback.runtime import Runtime
from ringback.store.journal import DatabaseJournal
from ringback.store.operations.doings import PAUSED
from ringback.twilio.rest import Request
from ringback.worker.control import Control
from ringback.worker.engine import Engine
from ringback.worker.send.notices import Notices
from simulation.calls import SimulatedCalls
from simulation.disk import Move
from simulation.faults import Faults
from simulation.loop import Clock, VirtualLoop
from simulation.stores import Store
from simulation.twilio import ACCOUNT, OURS, Answer, Twilio

RULES = Path(__file__).with_name("project.yaml")
SCHEDULE = Path(__file__).with_name("schedule.yaml")
PLUGINS = Path(__file__).with_name("plugins")


@dataclass(frozen=True)
class Rules:
    """What a project gives to its worker; `hosts` have the same with the code of the plugins."""

    ruleset: RuleSet
    plugins: PluginSet = field(default_factory=PluginSet)
    problems: list[Problem] = field(default_factory=list)
    hosts: "Rules | None" = None


@cache
def rules(*more: Path) -> Rules:
    """The compiled rules of the simulated project, and of more files. Raises RuleErrors when a file
    is wrong."""
    real = _compiled(load_plugins(PLUGINS), more)
    told = _compiled(read_manifest(manifest_of(real.plugins, (), ())).plugins, more)
    return replace(told, hosts=real)


def _compiled(plugins: PluginSet, more: tuple[Path, ...]) -> Rules:
    loaded = gather(plugins, [RULES, *more])
    if loaded.problems:
        raise RuleErrors(loaded.problems)
    return Rules(RuleSet(loaded.rules, loaded.language), plugins)


def settings_for(folder: Path, settle_seconds: float = 60.0) -> Settings:
    """The settings of the simulated node: direct, no budgets, default times."""
    return Settings(
        project=folder, data=folder, public_url="https://hooks.example.org", account_sid=ACCOUNT,
        auth_tokens=("0123456789abcdef" * 2,), sender=OURS, settle_seconds=settle_seconds,
        recipient_per_hour=0, total_per_hour=0,
    )  # fmt: skip


class _Gateway:
    """The gateway of one life: the request reaches Twilio whatever becomes of who asked."""

    def __init__(self, loop: VirtualLoop, twilio: Twilio, hot: Callable[[], None]) -> None:
        self.dead = False
        self.access = Credentials.direct(ACCOUNT, "0123456789abcdef" * 2)
        self._loop = loop
        self._twilio = twilio
        self._hot = hot

    async def perform(
        self, request: Request, *, leaving: Callable[[], None] = lambda: None
    ) -> Reply:
        if self.dead:
            raise asyncio.CancelledError
        if self._twilio.unreachable:
            await asyncio.sleep(5.0)
            raise Unreachable("connecting took too long", wrote=False)
        leaving()
        future: asyncio.Future[Answer] = self._loop.create_future()

        def answer(result: Answer) -> None:
            if not self.dead and not future.done():
                future.set_result(result)
                self._hot()

        self._twilio.take(request, answer)
        self._hot()
        result = await future
        if isinstance(result, RingbackError):
            raise result
        return result

    ask = perform


class _RecordedNotices(Notices):
    def __init__(self, noticed: Callable[[str], None]) -> None:
        self._noticed = noticed

    async def give(self, notice: Notify | HttpRequest, event_uid: str, uid: str) -> str:
        self._noticed(notice.text if isinstance(notice, Notify) else notice.url)
        return "recorded"


class _Receiver(Link):
    """The receiver's side of the append socket; `take` takes what was fetched back."""

    def __init__(self, take: Callable[[str, str, bytes], bool]) -> None:
        super().__init__(Path())
        self._take = take

    async def ask(self, message: Message, timeout: float) -> dict[str, Any]:
        body = base64.b64decode(message["body"])
        if not self._take(message["route"], message["tag"], body):
            raise WorkerAway("no receiver is there")
        return {"ok": True}


async def _nothing() -> list[str]:
    return []


class Life:
    """The worker between two deaths. `hot` is called at the moments at which a death hurts most."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        rng: Random,
        faults: Faults,
        twilio: Twilio,
        settings: Settings,
        hot: Callable[[], None],
        on_moves: Callable[[list[Move]], None],
        noticed: Callable[[str], None],
        fetched: Callable[[str, str, bytes], bool],
        more_rules: tuple[Path, ...] = (),
    ) -> None:
        self.loop = VirtualLoop(clock)

        def committed(moves: list[Move]) -> None:
            on_moves(moves)
            hot()

        self.disk = store.journal(loop=self.loop, rng=rng, faults=faults, on_commit=committed)
        self._log = store.log_reader()
        self._journal = DatabaseJournal(self.disk, self._log)
        self._gateway = _Gateway(self.loop, twilio, hot)
        self.runtime = Runtime(clock.wall, lambda: clock.now, rng, rng.getrandbits)
        given, facts = rules(*more_rules), self._journal.facts(self.runtime)
        self.engine = Engine(
            settings=settings, loaded=given, journal=self._journal,
            gateway=cast(Gateway, self._gateway) if settings.auth_tokens else None,
            runtime=self.runtime,
            notices=_RecordedNotices(noticed), receiver=_Receiver(fetched),
            calls=SimulatedCalls(given.hosts or given, facts, self.runtime, rng),
        )  # fmt: skip
        self.control = Control(self.engine, self.runtime, _nothing)
        self._stop = asyncio.Event()
        self._run = self.loop.create_task(self._work())

    async def _work(self) -> None:
        self.engine.sender.paused = bool(await self._journal.meta.get(PAUSED))
        await self.engine.run(
            self._stop, self.engine.watch.run, self.control.bulks.run, self.control.broadcasts.run
        )

    @property
    def ended(self) -> BaseException | str | None:
        """How the engine ended by itself: its exception, or a word; None while it works."""
        if not self._run.done():
            return None
        if self._run.cancelled():
            return "cancelled"
        return self._run.exception() or "stopped"

    def wake(self) -> None:
        """There is news in the log."""
        self.engine.wake()

    def ask(self, operation: str) -> "asyncio.Task[Any]":
        """Ask what an operator may ask of a worker: `pause`, `resume`."""
        return self.loop.create_task(self.control.handle({"op": operation}))

    def stop(self) -> None:
        """Ask the engine to end in order."""
        self._stop.set()

    def bury(self) -> list[str]:
        """Make an end of it, at whatever point it is: what it still does reaches neither the disk
        nor Twilio. Returns what asyncio had to complain about before."""
        complaints = list(self.loop.complaints)
        self.disk.dead = self._gateway.dead = True
        self.engine.sender.stopping = True
        self.loop.drain()
        self._log.close()
        self._journal.close()
        return complaints
