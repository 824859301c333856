"""Notices to people and machines: by a channel, or by a request to an address that a rule names."""

import json
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ringback.actions import SEVERITIES, HttpRequest, Notify
from ringback.errors import GatewayError
from ringback.gateway.channels import Channels
from ringback.gateway.safe_http import Outbound
from ringback.gateway.web_credentials import WebCredentials
from ringback.outcomes import Answered
from ringback.runtime import Runtime
from ringback.tracing import spans as tracing

log = logging.getLogger("ringback.notice")

JOIN_WITHIN = timedelta(minutes=15)
"""Notices about the same matter within this span are one notice."""
MOST_KEYS = 10_000
MOST_ANSWER = 32_768
"""How many letters an answer may have that a run waits for."""
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
        self,
        outbound: Outbound,
        channels: Channels,
        runtime: Runtime,
        *,
        going_out: bool = True,
        credentials: WebCredentials | None = None,
    ) -> None:
        self._outbound = outbound
        self._channels = channels
        self._runtime = runtime
        self._going_out = going_out
        self._credentials = credentials or WebCredentials()
        self._given: dict[str, _Given] = {}

    async def give(self, notice: Notify | HttpRequest, event_uid: str, uid: str) -> str | Answered:
        """Carry out one notice or web request; what became of it, in words, or what was answered
        to a request that a run waits for.

        `uid` is the action's: the other side knows a second try of the same notice by it.
        """
        if isinstance(notice, HttpRequest):
            if not self._going_out:
                shown = _shown(f"{notice.method} {notice.url}")
                return Answered(why=shown) if notice.answer else shown
            if notice.answer:
                return await self._asked(notice, uid)
            await self._outbound.request(**self._request(notice))
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

    async def _asked(self, notice: HttpRequest, uid: str) -> Answered:
        """Make a request and give the answer, whatever its status is."""
        given = self._request(notice)
        if not any(name.lower() == "idempotency-key" for name in given["headers"]):
            given["headers"]["Idempotency-Key"] = uid
        answer = await self._outbound.answer(**given)
        if answer.fault:
            return Answered(why=f"the answer cannot be read: {answer.fault}")
        text = answer.body.decode("utf-8", "replace").replace("\0", "\ufffd")
        if len(text) > MOST_ANSWER:
            return Answered(why=f"the answer has {len(text)} letters, {MOST_ANSWER} at most")
        return Answered(answer.status, self._credentials.masked(text))

    def _request(self, notice: HttpRequest) -> dict[str, Any]:
        """What is requested, with the credentials that it names. They are in nothing that is kept,
        and redirects are not followed."""
        given = _request(notice)
        if notice.auth:
            name, secret = self._credentials.header(notice.auth, notice.url)
            others = given["headers"].items()
            plain = {key: each for key, each in others if key.lower() != name.lower()}
            given["headers"] = plain | {name: secret}
        return given


def _request(notice: HttpRequest) -> dict[str, Any]:
    """What is requested: method, address, body and headers."""
    body = b"" if notice.json is None else json.dumps(notice.json).encode()
    headers = dict(notice.headers)
    if body and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    if not any(name.lower() == "traceparent" for name in headers):
        headers |= tracing.traceparent()
    return {"method": notice.method, "url": notice.url, "body": body, "headers": headers}


def _shown(what: str) -> str:
    log.warning("shown, not sent: %s", what)
    return "shown in the log, not sent"
