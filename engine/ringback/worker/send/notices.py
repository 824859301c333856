"""How are people and machines told? By a channel, or by a request to an address that they gave."""

import json
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from ringback.actions import HttpRequest, Notify
from ringback.gateway.channels import Channels
from ringback.gateway.safe_http import Outbound
from ringback.runtime import Runtime

log = logging.getLogger("ringback.notice")

JOIN_WITHIN = timedelta(minutes=15)
"""Notices about the same matter within this span are one notice."""
MOST_KEYS = 10_000


class Notices:
    """Gives notices. Raises UsageError for a channel that is not there, GatewayError when the
    other side did not take it. Unless they are `going_out`, they are shown in the log instead."""

    def __init__(
        self, outbound: Outbound, channels: Channels, runtime: Runtime, *, going_out: bool = True
    ) -> None:
        self._outbound = outbound
        self._channels = channels
        self._runtime = runtime
        self._going_out = going_out
        self._given: dict[str, datetime] = {}

    async def give(self, wish: Notify | HttpRequest, event_uid: str) -> str:
        """Carry out one notice or web request; what became of it, in words."""
        if isinstance(wish, HttpRequest):
            if not self._going_out:
                return _shown(f"{wish.method} {wish.url}")
            await self._request(wish)
            return "requested"
        joined = self._joined(wish)
        if joined is not None:
            return f"joined the notice of {joined:%H:%M:%S} about the same matter"
        told = "told"
        if self._going_out or wish.via == "log":
            await self._channels.give(wish, event_uid)
        else:
            self._channels.require(wish.via)
            told = _shown(f"{wish.severity} notice via {wish.via}: {wish.text}")
        if wish.key:
            self._remember(f"{wish.via}:{wish.key}")
        return told

    def _joined(self, wish: Notify) -> datetime | None:
        """When the matter of this notice was last told, if that is not long ago."""
        given = self._given.get(f"{wish.via}:{wish.key}") if wish.key else None
        fresh = given is not None and self._runtime.now() - given < JOIN_WITHIN
        return given if fresh else None

    def _remember(self, key: str) -> None:
        if len(self._given) >= MOST_KEYS:
            self._given.pop(next(iter(self._given)))
        self._given[key] = self._runtime.now()

    async def _request(self, wish: HttpRequest) -> None:
        body = b"" if wish.json is None else json.dumps(wish.json).encode()
        headers: Mapping[str, str] = wish.headers
        if body:
            headers = {"Content-Type": "application/json", **wish.headers}
        await self._outbound.request(wish.method, wish.url, body=body, headers=headers)


def _shown(what: str) -> str:
    log.warning("shown, not sent: %s", what)
    return "shown in the log, not sent"
