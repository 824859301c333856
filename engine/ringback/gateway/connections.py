"""Maton's connections: each one grants this key's programs access to one Twilio account.

https://maton.ai
"""

import asyncio
import json
import re
from typing import Any

from ringback.errors import (
    BadRequest,
    ConfigError,
    GatewayError,
    NotFound,
    Unauthorized,
    Unreadable,
    UsageError,
)
from ringback.gateway.records import MatonConnection
from ringback.gateway.transport import Transport
from ringback.twilio.rest import Request

POLL_SECONDS = 2.0
WAIT_SECONDS = 300.0

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


class Connections:
    """The connections of this Maton key. Every method raises UsageError on the direct way in."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list(self, *, status: str = "", app: str = "twilio") -> list[MatonConnection]:
        """All connections, or those of one status: ACTIVE, PENDING, FAILED. Newest last."""
        query = {"app": app} | ({"status": status.upper()} if status else {})
        found: list[MatonConnection] = []
        for _ in range(100):
            data = await self._transport.control("GET", "/connections", query)
            rows = data.get("connections")
            if not isinstance(rows, list):
                raise Unreadable("Maton's list of connections has no connections", origin="maton")
            found += [_read(row) for row in rows if isinstance(row, dict)]
            token = data.get("next_token")
            if not token or not rows:
                break
            query["next_token"] = str(token)
        return found

    async def create(self, *, app: str = "twilio", method: str = "") -> MatonConnection:
        """Begin a connection. A person then opens its `url` in a browser and grants the access."""
        wanted = {"app": app} | ({"method": method} if method else {})
        return _read(
            await self._transport.control("POST", "/connections", body=json.dumps(wanted).encode())
        )

    async def fetch(self, connection_id: str) -> MatonConnection:
        """One connection. Raises NotFound when there is none."""
        return _read(
            await self._transport.control("GET", f"/connections/{_checked(connection_id)}")
        )

    async def delete(self, connection_id: str) -> None:
        """Delete a connection: this key loses its access to that account."""
        await self._transport.control("DELETE", f"/connections/{_checked(connection_id)}")

    async def wait(
        self,
        connection_id: str,
        *,
        seconds: float = WAIT_SECONDS,
        every: float = POLL_SECONDS,
    ) -> MatonConnection:
        """Wait until a connection is ACTIVE or FAILED, at most `seconds`; answers what it is then.

        A look that fails in between is no end: the next one may succeed. Raises the last error when
        no look succeeded at all.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        latest: MatonConnection | None = None
        while True:
            try:
                latest = await self.fetch(connection_id)
            except GatewayError:
                if latest is None and loop.time() >= until:
                    raise
            if latest is not None and (latest.status != "PENDING" or loop.time() >= until):
                return latest
            await asyncio.sleep(every)

    async def check(self) -> MatonConnection:
        """The connection that is used, proven to be good: active, and of the configured account.

        Raises ConfigError when none is active, when several are and none is pinned, when the pinned
        one is not active, or when it leads to another account than the configured one.
        """
        pinned = self._transport.access.connection
        active = await self.list(status="ACTIVE")
        ids = sorted(item.connection_id for item in active if item.status == "ACTIVE")
        if not ids:
            raise ConfigError(
                ["Maton has no active Twilio connection: run `ringback connections create`"]
            )
        if not pinned and len(ids) > 1:
            raise ConfigError(
                [
                    f"{len(ids)} Twilio connections are active and none is pinned: set "
                    f"MATON_CONNECTION to one of {', '.join(ids)}"
                ]
            )
        if pinned and pinned not in ids:
            raise ConfigError(
                [f"the connection {pinned} is not active; active are: {', '.join(ids)}"]
            )
        await self._same_account(self._transport.access.account_sid)
        used = pinned or ids[0]
        return next(item for item in active if item.connection_id == used)

    async def _same_account(self, configured: str) -> None:
        """Refuse a connection that leads to another account than the configured one."""
        if not configured:
            return
        try:
            await self._transport.perform(
                Request("GET", f"/Accounts/{configured}.json", resource="accounts")
            )
            return
        except (NotFound, Unauthorized, BadRequest) as error:
            if error.origin != "twilio":
                raise
        try:
            readable = await self._transport.accounts_seen()
        except (Unauthorized, BadRequest):
            # A grant without the right to read accounts: the first real request will tell.
            return
        if configured not in readable:
            raise ConfigError(
                [
                    f"the connection leads to another account ({', '.join(readable) or 'none'}) "
                    f"than TWILIO_ACCOUNT_SID {configured}: nothing is sent until they fit"
                ]
            )


def _checked(connection_id: str) -> str:
    if not _ID.fullmatch(connection_id):
        raise UsageError(f"{connection_id!r} is not a connection id")
    return connection_id


def _read(data: dict[str, Any]) -> MatonConnection:
    inner = data.get("connection")
    row = inner if isinstance(inner, dict) else data
    connection = MatonConnection.read(row)
    if not connection.connection_id:
        raise Unreadable("Maton's answer is not a connection", origin="maton")
    return connection
