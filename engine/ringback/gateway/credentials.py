"""Credentials: a way in to Twilio's REST API with its secrets, which show themselves nowhere.

Each way in is one class, which answers everything that depends on it: its rate, its name for
people, who an answer comes from, and what to do about a refusal. `WAYS_IN` lists the classes. A
further one is one more subclass and one more row.
"""

import base64
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol, Self
from urllib.parse import quote, quote_plus, urlsplit

from ringback.errors import (
    ConfigError,
    ConnectionExpired,
    Forbidden,
    GatewayError,
    NoConnection,
    NotFound,
    RateLimited,
    ServerError,
    Unauthorized,
)
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
    def accounts(self) -> Mapping[str, Sequence[str]]: ...
    @property
    def environ(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Credentials(ABC):
    """A way in: its base URL (in front of /2010-04-01), its credentials, and the proxy on the way
    there, if there is one.

    `account_sid` may be empty: then it is asked for. `others` has the authorization of further
    accounts that sign in by themselves. `connection` is the pinned Maton connection,
    `control_url` the base of a control plane that keeps connections; both are empty elsewhere.
    Neither `repr` nor `str` shows a credential.
    """

    base_url: str
    account_sid: str = ""
    connection: str = ""
    control_url: str = ""
    authorization: str = field(default="", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    proxy: Proxy | None = None
    others: Mapping[str, str] = field(default_factory=dict, repr=False)

    name: ClassVar[str]
    """In settings and errors: `maton`, `direct`."""
    way: ClassVar[str]
    """For people: "through Maton", "direct"."""
    rate: ClassVar[float]
    """Requests a second that the way in takes from one key."""
    own_errors: ClassVar[Mapping[int, type[GatewayError]]] = {}
    """What a status means when the way in itself answered, and not Twilio."""

    @classmethod
    @abstractmethod
    def configured(cls, settings: GatewaySettings) -> Self | None:
        """This way in, when the settings name it. Raises ConfigError for values that cannot be
        right."""

    @property
    def title(self) -> str:
        """Who answers, when it is not Twilio."""
        return self.base_url

    @property
    def may_write(self) -> bool:
        """Whether a write may leave as it is, to the account that is meant."""
        return True

    def origin_of(self, status: int, body: Mapping[str, Any]) -> str:
        """Who answered: `twilio`, or the way in (`maton`, else `network`).

        Twilio's refusals carry an integer `code` and a link to twilio.com.
        https://www.twilio.com/docs/usage/twilios-response
        """
        return "twilio" if _is_twilios(body) or 200 <= status < 300 else "network"

    def remedy(self, kind: type[GatewayError], origin: str) -> str:
        """What to do about a refusal of this kind by `origin`; empty when nothing is known."""
        if kind is NotFound and origin != "twilio":
            return "no such path at the gateway: check RINGBACK_GATEWAY_URL"
        return _REMEDIES.get(kind, "")

    @staticmethod
    def maton(
        key: str,
        *,
        account_sid: str = "",
        connection: str = "",
        base_url: str = "",
        control_url: str = "",
    ) -> "Maton":
        """Through Maton with a Bearer key. Raises ConfigError for values that cannot be right."""
        base = _base("RINGBACK_GATEWAY_URL", base_url or MATON_BASE)
        if _is_local(base) and control_url in ("", MATON_CONTROL):
            # A simulator has both halves in one place; its key is not for Maton's real one.
            control_url = base.removesuffix("/twilio")
        return Maton(
            base_url=base,
            account_sid=_account(account_sid),
            connection=_header_safe("MATON_CONNECTION", connection),
            control_url=_base("RINGBACK_CONTROL_URL", control_url or MATON_CONTROL),
            authorization=f"Bearer {_header_safe('MATON_API_KEY', key)}",
            secrets=_forms_of(key),
        )

    @staticmethod
    def direct(account_sid: str, secret: str, *, api_key: str = "", base_url: str = "") -> "Direct":
        """Straight to Twilio with the account's auth token, or with an API key and its secret."""
        user = api_key or account_sid
        pair = f"{_header_safe('TWILIO_API_KEY', user)}:{_header_safe('the secret', secret)}"
        encoded = base64.b64encode(pair.encode()).decode()
        return Direct(
            base_url=_base("RINGBACK_GATEWAY_URL", base_url or DIRECT_BASE),
            account_sid=_account(account_sid),
            authorization=f"Basic {encoded}",
            secrets=(*_forms_of(secret), encoded),
        )

    @staticmethod
    def from_settings(settings: GatewaySettings) -> "Credentials":
        """The first of `WAYS_IN` that the configuration names, by way of the proxy that the
        environment names.

        Raises ConfigError when there are no credentials at all, or when they cannot be right.
        """
        for way in WAYS_IN:
            found = way.configured(settings)
            if found is not None:
                return replace(found, proxy=Proxy.from_environ(settings.environ))
        raise ConfigError(
            [
                "no way to reach Twilio: set MATON_API_KEY, or TWILIO_ACCOUNT_SID together with "
                "TWILIO_AUTH_TOKEN or TWILIO_API_KEY and TWILIO_API_SECRET"
            ]
        )

    def pinned(self, connection: str) -> Self:
        """The same way in, tied to one Maton connection."""
        return replace(self, connection=_header_safe("MATON_CONNECTION", connection))

    def headers(self, account_sid: str = "") -> "Headers":
        """The headers that prove who asks, in a request about this account."""
        pin = [("Maton-Connection", self.connection)] if self.connection else []
        return Headers([("Authorization", self.others.get(account_sid, self.authorization)), *pin])

    def scrub(self, text: str) -> str:
        """The text with every form of every credential taken out, fit for a log or an exception."""
        for secret in self.secrets:
            text = text.replace(secret, "[hidden]")
        return text


@dataclass(frozen=True, slots=True)
class Maton(Credentials):
    """Through Maton with a Bearer key: its connection says which account.

    https://maton.ai
    """

    name = "maton"
    way = "through Maton"
    rate = 8.0
    own_errors: ClassVar[Mapping[int, type[GatewayError]]] = {
        400: NoConnection,
        500: ConnectionExpired,
    }

    @classmethod
    def configured(cls, settings: GatewaySettings) -> "Maton | None":
        """When MATON_API_KEY is set."""
        if not settings.maton_api_key:
            return None
        return cls.maton(
            settings.maton_api_key,
            account_sid=settings.account_sid,
            connection=settings.maton_connection,
            base_url=settings.gateway_url,
            control_url=settings.control_url,
        )

    @property
    def title(self) -> str:
        """The gateway, not its address."""
        return "the Maton gateway"

    @property
    def may_write(self) -> bool:
        """Only when the connection is pinned: with several, Maton chooses."""
        return bool(self.connection)

    def origin_of(self, status: int, body: Mapping[str, Any]) -> str:
        """Two parties may answer, also a 2xx."""
        return "twilio" if _is_twilios(body) else "maton"

    def remedy(self, kind: type[GatewayError], origin: str) -> str:
        """The connection's trouble, or the key's."""
        if kind is Unauthorized and origin == "twilio":
            return (
                "the connection's authorization at Twilio is no longer good: create a new "
                "connection with `ringback connections create` and pin it with MATON_CONNECTION"
            )
        return _MATON_REMEDIES.get(kind) or Credentials.remedy(self, kind, origin)


@dataclass(frozen=True, slots=True)
class Direct(Credentials):
    """Straight to Twilio, with the account's auth token or an API key."""

    name = "direct"
    way = "direct"
    rate = 80.0

    @classmethod
    def configured(cls, settings: GatewaySettings) -> "Direct | None":
        """When the account and an auth token, or an API key and its secret, are set."""
        sid, base = settings.account_sid, settings.gateway_url
        if sid and settings.api_key and settings.api_secret:
            found = cls.direct(sid, settings.api_secret, api_key=settings.api_key, base_url=base)
        elif sid and settings.auth_tokens:
            found = cls.direct(sid, settings.auth_tokens[0], base_url=base)
        else:
            return None
        return found._with(settings.accounts)

    def _with(self, accounts: Mapping[str, Sequence[str]]) -> "Direct":
        """The same way in, with the tokens of further accounts. An API key is good for its own
        account alone, an auth token for the sub-accounts too.

        https://www.twilio.com/docs/iam/api/subaccounts
        """
        given = {sid: tokens[0] for sid, tokens in accounts.items() if tokens}
        each = [Credentials.direct(sid, token) for sid, token in given.items()]
        return replace(
            self,
            others={found.account_sid: found.authorization for found in each},
            secrets=(*self.secrets, *(secret for found in each for secret in found.secrets)),
        )


WAYS_IN: list[type[Credentials]] = [Maton, Direct]
"""The ways in; the first one that the settings name is used."""

_REMEDIES: dict[type[GatewayError], str] = {
    Unauthorized: (
        "the credentials were refused: check TWILIO_ACCOUNT_SID together with "
        "TWILIO_AUTH_TOKEN, or with TWILIO_API_KEY and TWILIO_API_SECRET"
    ),
    Forbidden: "the account or these credentials may not use the API: look into the account",
    NotFound: "check the SID and the account; it may be deleted already",
    RateLimited: "send fewer requests; this one was not carried out and may be repeated",
    ServerError: "what was asked for may have happened: look before asking again",
}

_MATON_REMEDIES: dict[type[GatewayError], str] = {
    Unauthorized: (
        "the Maton key was refused: check MATON_API_KEY (maton.ai/settings shows it); "
        "`ringback connections list` tells whether it works"
    ),
    NoConnection: (
        "Maton has no active Twilio connection for this key: run `ringback connections create` and "
        "finish the authorization in a browser"
    ),
    ConnectionExpired: (
        "the gateway failed by itself; when it lasts, the connection's authorization has run out: "
        "create a new connection, set MATON_CONNECTION to it and delete the old one"
    ),
}


def _is_twilios(body: Mapping[str, Any]) -> bool:
    code = body.get("code")
    linked = "twilio.com" in str(body.get("more_info", body.get("type", "")))
    return linked and isinstance(code, int) and not isinstance(code, bool)


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
