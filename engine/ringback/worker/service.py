"""Service of a worker whose rules are good: gateway, engine and control socket, until its end.

What it imports is most of a worker's start. `ringback.worker.main` asks for it behind the check of
the rules, which reception waits for.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from ringback.config import Settings
from ringback.errors import RingbackError
from ringback.gateway.channels import Channels
from ringback.gateway.client import Gateway
from ringback.gateway.safe_http import Outbound
from ringback.gateway.web_credentials import WebCredentials
from ringback.ipc import serve, socket_path
from ringback.plugins.manifest import Manifest
from ringback.runtime import REAL
from ringback.store.interface import Journal
from ringback.store.meta import ACCOUNT
from ringback.store.operations.doings import PAUSED
from ringback.tracing import spans as tracing
from ringback.worker.cluster.place import LOOK_SECONDS, Place
from ringback.worker.control import Control
from ringback.worker.engine import Engine
from ringback.worker.hosts.pool import Pool
from ringback.worker.reload import Describe, Reloading, tell
from ringback.worker.send.notices import Notices
from ringback.worker.strikes import Faults

log = logging.getLogger(__name__)

T = TypeVar("T")

ACCOUNT_SECONDS = 10.0

TROUBLE = "RINGBACK_WORKER_TROUBLE"
"""That the workers before this one kept ending: since when (seconds), and in words."""


@dataclass(frozen=True)
class Start:
    """With what the service begins. `describe`, `again` and `supervised` are those of
    `ringback.worker.main.work`, `restart` asks for a worker in place of this one, for a reason.
    `place` is that of one among several."""

    settings: Settings
    describe: Describe
    again: Callable[[], Settings]
    restart: Callable[[str], None]
    supervised: bool
    journal: Journal
    pool: Pool
    faults: Faults
    place: Place | None = None


async def serve_rules(start: Start, manifest: Manifest, stop: asyncio.Event) -> None:
    """Work by the rules of a project whose plugins brought this manifest, until it is to stop."""
    settings, journal = start.settings, start.journal
    async with contextlib.AsyncExitStack() as stack:
        # The forkserver and its hosts are there; what comes after them is a program of its own.
        tracing.begin(os.environ, "worker")
        stack.callback(tracing.end)
        loaded = start.describe(settings, manifest)
        paused = bool(await journal.meta.get(PAUSED))
        if paused:
            log.warning("paused by a person: nothing is sent until `ringback resume`")
        gateway = await stack.enter_async_context(_gateway(settings))
        asking = asyncio.ensure_future(own_account(settings, gateway, journal))
        own = await unless(stop, asking)
        if own is None:
            return
        outbound = await stack.enter_async_context(Outbound(allow=settings.outbound_allow))
        engine = Engine(
            settings=replace(settings, account_sid=own), loaded=loaded,
            journal=journal, gateway=gateway if own else None, runtime=REAL, calls=start.pool,
            notices=Notices(
                outbound, Channels(settings.channels, outbound, environ=settings.environ), REAL,
                going_out=settings.notify,
                credentials=WebCredentials(settings.credentials, settings.environ),
            ),
        )  # fmt: skip
        since, _, trouble = os.environ.get(TROUBLE, "").partition(" ")
        if trouble:
            engine.sending.trouble = (datetime.fromtimestamp(float(since), UTC), trouble)
        start.faults.strikes = engine.strikes
        await tell(engine, loaded)
        engine.sender.paused = paused
        if gateway is not None and not own:
            stack.callback(asyncio.ensure_future(_until_told(gateway, start.restart)).cancel)

        reloading = Reloading(
            settings, start.describe, start.again, engine, start.pool, gateway,
            start.restart if start.supervised else None,
        )  # fmt: skip
        control = Control(engine, REAL, reloading.rules, start.pool.status)
        server = await serve(socket_path(settings.data), control.handle)
        stack.push_async_callback(server.close)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloading.everything)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP,))
        beside = [engine.watch.run, control.bulks.run, control.broadcasts.run]
        if start.place is not None:
            engine.sender.lease_left = start.place.left
            start.place.regained = engine.look_again
            beside.append(partial(_look, engine))
        await engine.run(stop, *beside)


async def _look(engine: Engine) -> None:
    """Look for what other nodes have recorded, which nobody tells of."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        engine.wake()


async def unless(stop: asyncio.Event, working: "asyncio.Future[T]") -> T | None:
    """The result of `working`; None when it is asked to stop meanwhile."""
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        return working.result()
    working.cancel()
    await asyncio.wait((working,))
    return None


@contextlib.asynccontextmanager
async def _gateway(settings: Settings) -> AsyncIterator[Gateway | None]:
    """The gateway, or None when no credentials are configured (rules may still run and notify)."""
    try:
        gateway = Gateway.from_settings(settings, runtime=REAL)
    except RingbackError as error:
        log.warning("%s", error)
        yield None
        return
    async with gateway:
        yield gateway


async def own_account(settings: Settings, gateway: Gateway | None, journal: Journal) -> str:
    """The account whose texts and calls these are: that of the settings. Through Maton they need
    not name it; the gateway is asked then. When it cannot be, it is what it was the last time;
    empty when nobody knows."""
    if settings.account_sid or gateway is None:
        return settings.account_sid
    try:
        async with asyncio.timeout(ACCOUNT_SECONDS):
            return await gateway.account()
    except (RingbackError, TimeoutError) as error:
        known = await journal.meta.get(ACCOUNT) or ""
        log.warning(
            "the gateway does not say which account is ours: %s; %s", error or "it takes too long",
            f"it is taken to be {known}" if known else "till then nothing is sent or confirmed",
        )  # fmt: skip
        return known


async def _until_told(gateway: Gateway, restart: Callable[[str], None]) -> None:
    """Ask for the account until the gateway says it: the next worker begins with it."""
    while True:
        await asyncio.sleep(ACCOUNT_SECONDS)
        with contextlib.suppress(RingbackError):
            restart(f"the gateway says that the account is {await gateway.account()}")
            return
