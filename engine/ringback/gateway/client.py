"""Client of Twilio's REST API: `async for message in gateway.messages.list(to=…)`."""

import os
from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from typing import Self

from ringback.gateway import records as r
from ringback.gateway import resources as c
from ringback.gateway.connections import Connections
from ringback.gateway.credentials import Credentials, GatewaySettings
from ringback.gateway.environment import EnvironmentSettings
from ringback.gateway.pool import DEFAULT_LIMITS, Limits
from ringback.gateway.transport import Reply, Transport
from ringback.runtime import REAL, Runtime
from ringback.twilio.rest import Request, path

__all__ = ["Gateway", "Reply"]


class Gateway(Transport):
    """The client of Twilio's API. Use it as `async with Gateway.from_env() as gateway:`."""

    def __init__(
        self,
        access: Credentials,
        *,
        runtime: Runtime = REAL,
        limits: Limits = DEFAULT_LIMITS,
        connections: int = 50,
    ) -> None:
        super().__init__(access, runtime=runtime, limits=limits, connections=connections)
        self._collect()

    def _collect(self) -> None:
        self.accounts = c.Accounts(self, "accounts", r.Account)
        self.messages = c.Messages(self, "messages", r.Message)
        self.calls = c.Calls(self, "calls", r.Call)
        self.numbers = c.Numbers(self, "numbers", r.Number)
        self.applications = c.Applications(self, "applications", r.Application)
        self.queues = c.Queues(self, "queues", r.Queue)
        self.addresses = c.Addresses(self, "addresses", r.Address)
        self.usage = c.Usage(self, "usage", r.UsageRecord)
        self.conferences = c.Conferences(self, "conferences", r.Conference)
        self.recordings = c.Recordings(self, "recordings", r.Recording)
        self.notifications = c.Notifications(self, "notifications", r.Notification)
        self.balance = c.BalanceOf(self, "balance", r.Balance)
        self.connections = Connections(self)

    def of(self, account_sid: str) -> Self:
        """The same gateway for another account that its credentials reach, such as a sub-account:
        its resources, by the same connections and rates, as long as this one is open. Empty is
        this account."""
        if not account_sid or account_sid == self._account:
            return self
        other = copy(self)
        other.access = replace(self.access, account_sid=account_sid)
        other._account = account_sid
        other._collect()
        return other

    async def check(self) -> str:
        """Prove the credentials, the connection and the account before work starts; answers the
        account's SID. Raises ConfigError or a GatewayError that says what is wrong."""
        if self.access.control_url:
            used = await self.connections.check()
            if not self.access.connection:
                self.access = self.access.pinned(used.connection_id)
        account = await self.account()
        probe = Request("GET", path(account, "Messages"), (("PageSize", "1"),), "messages")
        await self.perform(probe)
        return account

    @classmethod
    def from_settings(cls, settings: GatewaySettings, *, runtime: Runtime = REAL) -> Self:
        """The gateway that the configuration describes. Raises ConfigError without credentials."""
        return cls(Credentials.from_settings(settings), runtime=runtime)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, *, runtime: Runtime = REAL) -> Self:
        """The gateway that environment variables such as TWILIO_ACCOUNT_SID describe.

        Raises ConfigError when they name no credentials.
        """
        settings = EnvironmentSettings(os.environ if environ is None else environ)
        return cls.from_settings(settings, runtime=runtime)
