"""Probes: harmless looks at what is down, and what goes on when it is up again."""

import logging
from collections.abc import Awaitable, Callable

from ringback.errors import GatewayError
from ringback.gateway.client import Gateway
from ringback.gateway.limits import Limits
from ringback.runtime import Runtime, iso
from ringback.store.interface import Journal
from ringback.worker.send.stoppages import HELD, Stoppages

log = logging.getLogger(__name__)


class Prober:
    """Asks after the resources that a breaker holds. `refill` takes what may be sent then."""

    def __init__(
        self,
        *,
        journal: Journal,
        runtime: Runtime,
        gateway: Gateway | None,
        limits: Limits,
        stoppages: Stoppages,
        refill: Callable[[], Awaitable[None]],
    ) -> None:
        self._journal = journal
        self._runtime = runtime
        self._gateway = gateway
        self._limits = limits
        self._stoppages = stoppages
        self._refill = refill

    async def step(self) -> None:
        """Ask, by a harmless GET, whether what was down is back; the probes that are due now."""
        for request in self._limits.probes() if self._gateway is not None else ():
            try:
                assert self._gateway is not None
                await self._gateway.perform(request)
            except GatewayError as error:
                self._limits.probed(request, error)
                self._stoppages.read(request, error)
            else:
                self._stoppages.read(request, None)
                if self._limits.probed(request, None):
                    log.warning("%s: the gateway answers again", request.resource)
                    await self._let_go()

    def soon(self) -> None:
        """A person has mended something: ask after what is down without waiting for its time."""
        self._limits.probe_now()

    async def again(self) -> None:
        """`soon`; when nothing is down, what was put off may be tried at once."""
        self.soon()
        if not self._limits.open_breakers():
            await self._let_go()

    async def _let_go(self) -> None:
        """What was put off because nothing left may be tried now."""
        await self._journal.actions.let_go(HELD, iso(self._runtime.now()))
        await self._refill()
