"""Reads from the gateway, at a rate of their own beside the worker's sends."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

from ringback.errors import GatewayError, RingbackError
from ringback.gateway.client import Gateway, Reply
from ringback.gateway.credentials import DIRECT_BASE
from ringback.gateway.limits import Limits
from ringback.twilio.costs import Told, costs_in
from ringback.twilio.rest import Request
from ringback.worker.send.server_clock import ServerClock
from ringback.worker.send.stoppages import Stoppages

log = logging.getLogger(__name__)

LONGEST_WAIT = 30.0


class GatewayReader:
    """GET requests behind the same limits as sends. Neither can use up the other's share.

    `gateway` is None when none is configured; then every question fails. `learn` is told of what
    the records in any answer say of their costs, and of why they failed.
    """

    def __init__(
        self,
        gateway: Gateway | None,
        limits: Limits,
        clock: ServerClock,
        stoppages: Stoppages,
        learn: Callable[[Told], Awaitable[None]],
    ) -> None:
        self.gateway = gateway
        self.clock = clock
        self._limits = limits
        self._stoppages = stoppages
        self._learn = learn

    @property
    def media_base(self) -> str:
        """The address in front of Twilio's paths in the URLs of media, as its webhooks write them.
        Maton's is another: what somebody fetches with a Twilio library is at Twilio."""
        access = self.gateway.access if self.gateway is not None else None
        return access.base_url if access is not None and not access.control_url else DIRECT_BASE

    async def ask(self, request: Request, *, look: bool = False) -> Reply:
        """One read; a `look` after a doubtful send goes before others. Raises GatewayError, also
        when the limits would make it wait too long."""
        if self.gateway is None:
            raise GatewayError("no gateway is configured", wrote=False)
        while not (admission := self._limits.admit(request, look=look)).granted:
            if admission.wait > LONGEST_WAIT:
                why = self._stoppages.held(request, f"waits for {admission.why}")
                raise GatewayError(why, wrote=False)
            await asyncio.sleep(admission.wait)
        return await self._perform(self.gateway, request)

    async def spare(self, request: Request) -> Reply | None:
        """One read that everything else goes before; None when this is not the time for it. Raises
        GatewayError."""
        if self.gateway is None or not self._limits.admit(request, spare=True).granted:
            return None
        return await self._perform(self.gateway, request)

    async def _perform(self, gateway: Gateway, request: Request) -> Reply:
        try:
            reply = await gateway.perform(request)
        except GatewayError as error:
            self._limits.record(request, error)
            self._stoppages.read(request, error)
            raise
        self._limits.record(request, None)
        self._stoppages.read(request, None)
        self.clock.hear(reply.date)
        told = costs_in(reply.data)
        if any(told):
            try:
                await self._learn(told)
            except RingbackError as error:  # who asked wanted something else, and has it
                log.error("what records say could not be written: %s", error)
        return reply


def next_page(request: Request, reply: Reply) -> Request | None:
    """The request for the page behind this one; None behind the last. Of the link only the query
    counts: it may lead past the gateway."""
    link = reply.data.get("next_page_uri")
    if not link or not isinstance(link, str):
        return None
    return replace(request, form=tuple(parse_qsl(urlsplit(link).query, keep_blank_values=True)))
