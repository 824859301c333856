"""Credentials: which door to use, and the keys to it, which show themselves nowhere."""

import base64
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol
from urllib.parse import quote, quote_plus, urlsplit

from ringback.errors import ConfigError
from ringback.gateway.proxy import Proxy
from ringback.twilio.rest import is_sid

MATON_BASE = "https://gateway.maton.ai/twilio"
MATON_CONTROL = "https://ctrl.maton.ai"
DIRECT_BASE = "https://api.twilio.com"


class Headers(list[tuple[str, str]]):
    """Request headers that do not show themselves, not even among the locals of a traceback."""

    def __repr__(self) -> str:
        return f"<{len(self)} headers>"


class GatewaySettings(Protocol):
    """What of the configuration the gateway needs."""

    @property
    def account_sid(self) -> str: ...
    @property
    def auth_tokens(self) -> Sequence[str]: ...
    @property
    def api_key(self) -> str: ...
    @property
    def api_secret(self) -> str: ...
    @property
    def maton_api_key(self) -> str: ...
    @property
    def maton_connection(self) -> str: ...
    @property
    def gateway_url(self) -> str: ...
    @property
    def control_url(self) -> str: ...
    @property
    def environ(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Credentials:
    """A way in: `maton` or `direct`, its base URL (in front of /2010-04-01), its credentials, and
    the proxy on the way there, if there is one.

    `account_sid` may be empty through Maton: then it is asked for. `connection` is the pinned Maton
    connection. Neither `repr` nor `str` shows a credential.
    """

    mode: str
    base_url: str
    account_sid: str = ""
    connection: str = ""
    control_url: str = ""
    authorization: str = field(default="", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    proxy: Proxy | None = None

    @classmethod
    def maton(
        cls,
        key: str,
        *,
        account_sid: str = "",
        connection: str = "",
        base_url: str = "",
        control_url: str = "",
    ) -> "Credentials":
        """Through Maton with a Bearer key. Raises ConfigError for values that cannot be right."""
        base = _base("RINGBACK_GATEWAY_URL", base_url or MATON_BASE)
        if _is_local(base) and control_url in ("", MATON_CONTROL):
            # A simulator has both halves in one place; its key is not for Maton's real one.
            control_url = base.removesuffix("/twilio")
        return cls(
            mode="maton",
            base_url=base,
            account_sid=_account(account_sid),
            connection=_header_safe("MATON_CONNECTION", connection),
            control_url=_base("RINGBACK_CONTROL_URL", control_url or MATON_CONTROL),
            authorization=f"Bearer {_header_safe('MATON_API_KEY', key)}",
            secrets=_forms_of(key),
        )

    @classmethod
    def direct(
        cls, account_sid: str, secret: str, *, api_key: str = "", base_url: str = ""
    ) -> "Credentials":
        """Straight to Twilio with the account's auth token, or with an API key and its secret."""
        user = api_key or account_sid
        pair = f"{_header_safe('TWILIO_API_KEY', user)}:{_header_safe('the secret', secret)}"
        encoded = base64.b64encode(pair.encode()).decode()
        return cls(
            mode="direct",
            base_url=_base("RINGBACK_GATEWAY_URL", base_url or DIRECT_BASE),
            account_sid=_account(account_sid),
            authorization=f"Basic {encoded}",
            secrets=(*_forms_of(secret), encoded),
        )

    @classmethod
    def from_settings(cls, settings: GatewaySettings) -> "Credentials":
        """The door that the configuration names: Maton when its key is set, else direct; by way of
        the proxy that the environment names.

        Raises ConfigError when there are no credentials at all, or when they cannot be right.
        """
        return replace(cls._door(settings), proxy=Proxy.from_environ(settings.environ))

    @classmethod
    def _door(cls, settings: GatewaySettings) -> "Credentials":
        if settings.maton_api_key:
            return cls.maton(
                settings.maton_api_key,
                account_sid=settings.account_sid,
                connection=settings.maton_connection,
                base_url=settings.gateway_url,
                control_url=settings.control_url,
            )
        base = settings.gateway_url
        if settings.account_sid and settings.api_key and settings.api_secret:
            return cls.direct(
                settings.account_sid,
                settings.api_secret,
                api_key=settings.api_key,
                base_url=base,
            )
        if settings.account_sid and settings.auth_tokens:
            return cls.direct(settings.account_sid, settings.auth_tokens[0], base_url=base)
        raise ConfigError(
            [
                "no way to reach Twilio: set MATON_API_KEY, or TWILIO_ACCOUNT_SID together with "
                "TWILIO_AUTH_TOKEN or TWILIO_API_KEY and TWILIO_API_SECRET"
            ]
        )

    def pinned(self, connection: str) -> "Credentials":
        """The same door, tied to one Maton connection."""
        return replace(self, connection=_header_safe("MATON_CONNECTION", connection))

    def headers(self) -> "Headers":
        """The headers that open the door."""
        pin = [("Maton-Connection", self.connection)] if self.connection else []
        return Headers([("Authorization", self.authorization), *pin])

    def scrub(self, text: str) -> str:
        """The text with every form of every credential taken out, fit for a log or an exception."""
        for secret in self.secrets:
            text = text.replace(secret, "[hidden]")
        return text


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
    def control_url(self) -> str:
        """RINGBACK_CONTROL_URL."""
        return self._get("RINGBACK_CONTROL_URL")


def _forms_of(secret: str) -> tuple[str, ...]:
    forms = {secret, quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1]}
    return tuple(sorted((form for form in forms if form), key=len, reverse=True))


def _header_safe(name: str, value: str) -> str:
    if re.search(r"[^\x21-\x7e]", value):
        raise ConfigError([f"{name} holds a space, a line break or another sign that no key has"])
    return value


def _is_local(url: str) -> bool:
    return (urlsplit(url).hostname or "") in ("localhost", "127.0.0.1", "::1")


def _account(account_sid: str) -> str:
    if account_sid and not is_sid(account_sid, "AC"):
        raise ConfigError(
            ["TWILIO_ACCOUNT_SID is not an account SID: AC and 32 hexadecimal digits"]
        )
    return account_sid


def _base(name: str, url: str) -> str:
    try:
        parts = urlsplit(url)
        good = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.username is None
            and not parts.query
            and not parts.fragment
            and (parts.port is None or parts.port > 0)
        )
    except ValueError:
        good = False
    if not good:
        raise ConfigError([f"{name} is not a plain http or https address: give https://HOST/PATH"])
    return url.rstrip("/")
