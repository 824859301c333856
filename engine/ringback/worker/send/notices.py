"""Notices to people and machines: by a channel, or by a request to an address that a rule names."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from ringback.actions import SEVERITIES, HttpRequest, Notify
from ringback.errors import GatewayError
from ringback.gateway.channels import Channels
from ringback.gateway.safe_http import Outbound
from ringback.runtime import Runtime
from ringback.tracing import spans as tracing

log = logging.getLogger("ringback.notice")

JOIN_WITHIN = timedelta(minutes=15)
"""Notices about the same matter within this span are one notice."""
MOST_KEYS = 10_000
SENT = "sent"
"""What became of a notice that its channel took."""


@dataclass(frozen=True, slots=True)
class _Given:
    """When a matter was last reported, how bad it was said to be, and by which action."""

    at: datetime
    severity: str
    uid: str


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
        self._given: dict[str, _Given] = {}

    async def give(self, notice: Notify | HttpRequest, event_uid: str, uid: str) -> str:
        """Carry out one notice or web request; what became of it, in words.

        `uid` is the action's: the other side knows a second try of the same notice by it.
        """
        if isinstance(notice, HttpRequest):
            if not self._going_out:
                return _shown(f"{notice.method} {notice.url}")
            await self._request(notice)
            return "requested"
        joined = self._joined(notice, uid)
        if joined is not None:
            return f"joined the notice of {joined:%H:%M:%S} about the same matter"
        outcome = SENT
        if self._going_out or notice.via == "log":
            try:
                await self._channels.give(notice, event_uid, uid)
            except GatewayError as error:
                if error.reached:  # or who has it would get each further one about this matter
                    self._remember(notice, uid)
                raise
        else:
            self._channels.require(notice.via)
            outcome = _shown(f"{notice.severity} notice via {notice.via}: {notice.text}")
        self._remember(notice, uid)
        return outcome

    def _joined(self, notice: Notify, uid: str) -> datetime | None:
        """When the matter of this notice was last reported by another one, if that is not long ago
        and was no less bad. The end of a matter is told in any case."""
        given = self._given.get(f"{notice.via}:{notice.key}") if notice.key else None
        if given is None or given.uid == uid or notice.resolved:
            return None
        if self._runtime.now() - given.at >= JOIN_WITHIN:
            return None
        worse = SEVERITIES.index(notice.severity) > SEVERITIES.index(given.severity)
        return None if worse else given.at

    def _remember(self, notice: Notify, uid: str) -> None:
        key = f"{notice.via}:{notice.key}"
        self._given.pop(key, None)
        if notice.resolved or not notice.key:
            return  # what comes after the end begins anew
        if len(self._given) >= MOST_KEYS:
            self._given.pop(next(iter(self._given)))
        self._given[key] = _Given(self._runtime.now(), notice.severity, uid)

    async def _request(self, notice: HttpRequest) -> None:
        body = b"" if notice.json is None else json.dumps(notice.json).encode()
        headers: Mapping[str, str] = notice.headers
        if body:
            headers = {"Content-Type": "application/json", **notice.headers}
        if not any(name.lower() == "traceparent" for name in headers):
            headers = {**tracing.traceparent(), **headers}
        await self._outbound.request(notice.method, notice.url, body=body, headers=headers)


def _shown(what: str) -> str:
    log.warning("shown, not sent: %s", what)
    return "shown in the log, not sent"
