"""Gateway: Twilio's REST API as Python, `async for message in gateway.messages.list(to=…)`."""

import os
from collections.abc import Mapping
from typing import Self

from ringback.gateway.access import Access, EnvironmentSettings, GatewaySettings
from ringback.gateway.wire import Reply, Wire
from ringback.seams import REAL, Seams

__all__ = ["Gateway", "Reply"]


class Gateway(Wire):
    """The client of Twilio's API. Use it as `async with Gateway.from_env() as gateway:`."""

    @classmethod
    def from_settings(cls, settings: GatewaySettings, *, seams: Seams = REAL) -> Self:
        """The gateway that the configuration describes. Raises ConfigError without credentials."""
        return cls(Access.from_settings(settings), seams=seams)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, *, seams: Seams = REAL) -> Self:
        """The gateway that environment variables describe: MATON_API_KEY, TWILIO_ACCOUNT_SID, …

        Raises ConfigError when they name no credentials.
        """
        settings = EnvironmentSettings(os.environ if environ is None else environ)
        return cls.from_settings(settings, seams=seams)
