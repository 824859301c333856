"""Gateway settings from environment variables alone, for scripts without a project."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class EnvironmentSettings:
    """The gateway's part of the configuration, from environment variables alone."""

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    def _get(self, name: str) -> str:
        return self.environ.get(name, "").strip()

    @property
    def account_sid(self) -> str:
        """TWILIO_ACCOUNT_SID."""
        return self._get("TWILIO_ACCOUNT_SID")

    @property
    def auth_tokens(self) -> Sequence[str]:
        """TWILIO_AUTH_TOKEN, comma-separated while a token is being rotated."""
        tokens = (token.strip() for token in self._get("TWILIO_AUTH_TOKEN").split(","))
        return tuple(token for token in tokens if token)

    @property
    def api_key(self) -> str:
        """TWILIO_API_KEY."""
        return self._get("TWILIO_API_KEY")

    @property
    def api_secret(self) -> str:
        """TWILIO_API_SECRET."""
        return self._get("TWILIO_API_SECRET")

    @property
    def maton_api_key(self) -> str:
        """MATON_API_KEY."""
        return self._get("MATON_API_KEY")

    @property
    def maton_connection(self) -> str:
        """MATON_CONNECTION."""
        return self._get("MATON_CONNECTION")

    @property
    def gateway_url(self) -> str:
        """RINGBACK_GATEWAY_URL."""
        return self._get("RINGBACK_GATEWAY_URL")

    @property
    def accounts(self) -> Mapping[str, Sequence[str]]:
        """Further accounts: there is no variable for them."""
        return {}

    @property
    def control_url(self) -> str:
        """RINGBACK_CONTROL_URL."""
        return self._get("RINGBACK_CONTROL_URL")
