"""Notices to people and machines: by a channel, or by a request to an address that a rule names."""

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

    async def give(self, notice: Notify | HttpRequest, event_uid: str) -> str:
        """Carry out one notice or web request; what became of it, in words."""
        if isinstance(notice, HttpRequest):
            if not self._going_out:
                return _shown(f"{notice.method} {notice.url}")
            await self._request(notice)
            return "requested"
        joined = self._joined(notice)
        if joined is not None:
            return f"joined the notice of {joined:%H:%M:%S} about the same matter"
        outcome = "sent"
        if self._going_out or notice.via == "log":
            await self._channels.give(notice, event_uid)
        else:
            self._channels.require(notice.via)
            outcome = _shown(f"{notice.severity} notice via {notice.via}: {notice.text}")
        if notice.key:
            self._remember(f"{notice.via}:{notice.key}")
        return outcome

    def _joined(self, notice: Notify) -> datetime | None:
        """When the matter of this notice was last reported, if that is not long ago."""
        given = self._given.get(f"{notice.via}:{notice.key}") if notice.key else None
        fresh = given is not None and self._runtime.now() - given < JOIN_WITHIN
        return given if fresh else None

    def _remember(self, key: str) -> None:
        if len(self._given) >= MOST_KEYS:
            self._given.pop(next(iter(self._given)))
        self._given[key] = self._runtime.now()

    async def _request(self, notice: HttpRequest) -> None:
        body = b"" if notice.json is None else json.dumps(notice.json).encode()
        headers: Mapping[str, str] = notice.headers
        if body:
            headers = {"Content-Type": "application/json", **notice.headers}
        await self._outbound.request(notice.method, notice.url, body=body, headers=headers)


def _shown(what: str) -> str:
    log.warning("shown, not sent: %s", what)
    return "shown in the log, not sent"
