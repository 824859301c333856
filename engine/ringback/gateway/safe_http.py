"""Guarded HTTP client for addresses that rules name: notices by webhook and `http` steps.

A rule's URL may be wrong, hostile, or built from a stranger's text. So the name is resolved once,
every address it has is checked, and the connection goes to the address that was checked: a second
look-up could say something else. No redirects, 10 s in all, 64 KiB of answer.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
import json
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ringback.errors import (
    BadRequest,
    GatewayError,
    RateLimited,
    ServerError,
    Unreachable,
    UsageError,
)
from ringback.gateway.pool import Answer, Broken, Closing, Limits, NotSent, Pool
from ringback.gateway.responses import retry_after
from ringback.runtime import REAL, Runtime
from ringback.tracing import spans as tracing

LIMITS = Limits(connect=5.0, read=10.0, total=10.0, body=64 * 1024)

Resolve = Callable[[str, int], Awaitable[list[str]]]

_OWN_HEADERS = frozenset(
    ("host", "content-length", "transfer-encoding", "connection", "accept-encoding", "te",
     "upgrade", "expect")
)  # fmt: skip
# Ways to write a private IPv4 address as a global IPv6 one: mapped, NAT64, 6to4, Teredo.
_DISGUISES = [
    ipaddress.ip_network(net)
    for net in ("::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
]


_GLOBAL_V6 = ipaddress.ip_network("2000::/3")


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the open internet: not loopback, private, shared or such."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if any(parsed.version == net.version and parsed in net for net in _DISGUISES):
        return False
    if parsed.version == 6 and parsed not in _GLOBAL_V6:
        return False
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` of Standard Webhooks, version 1.

    `secret` is `whsec_` and base64, or any other text, taken as it is.
    https://www.standardwebhooks.com
    """
    key = secret.encode()
    if secret.startswith("whsec_"):
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except (binascii.Error, ValueError):
            raise UsageError("the webhook secret starts with whsec_ but is not base64") from None
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


class Outbound(Closing):
    """Calls addresses that are not Twilio's. An async context manager.

    `allow` lists hosts (`name` or `name:port`) that a person has approved: they may be private and
    may be plain http. `resolve` answers the addresses of a name; `verify` is for tests with a
    certificate authority of their own.
    """

    def __init__(
        self,
        *,
        allow: Iterable[str] = (),
        runtime: Runtime = REAL,
        resolve: Resolve | None = None,
        verify: ssl.SSLContext | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        self._allow = frozenset(host.strip().lower() for host in allow)
        self._runtime = runtime
        self._resolve = resolve or _resolve
        self._limits = limits
        self._pools = {"https": Pool(10, verify=verify), "http": Pool(10, tls=False)}

    async def aclose(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            await pool.aclose()

    async def deliver(
        self,
        url: str,
        payload: Mapping[str, Any],
        *,
        message_id: str,
        secret: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """POST a notice as JSON, with the headers of Standard Webhooks; signed when given a secret.

        `message_id` stays the same when the same notice is sent again. Raises as `request` does.
        """
        body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
        stamp = int(self._runtime.time())
        given = tracing.traceparent() | dict(headers or {})
        given["webhook-id"] = message_id
        given["webhook-timestamp"] = str(stamp)
        if secret:
            given["webhook-signature"] = signature(secret, message_id, stamp, body)
        return await self.request("POST", url, body=body, headers=given)

    async def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Call an address once and answer its 2xx.

        Raises BadRequest (with `wrote` False) for an address that may not be called, BadRequest for
        a redirect or a 4xx, RateLimited, ServerError, or Unreachable when no answer came.
        """
        answer = await self.answer(method, url, body=body, headers=headers)
        return self._judged(urlsplit(url).hostname or "", answer)

    async def answer(
        self,
        method: str,
        url: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Call an address once and answer whatever came, of any status.

        Raises BadRequest (with `wrote` False) for an address that may not be called, Unreachable
        when no answer came.
        """
        parts, host, port = split_url(url)
        allowed = not self._allow.isdisjoint({host, f"{host}:{port}"})
        if parts.scheme != "https" and not allowed:
            raise _forbidden(host, "only https is called, unless the host is on the allow list")
        address = await self._address(host, port, allowed)
        shown = f"[{address}]" if ":" in address else address
        target = f"{parts.scheme}://{shown}:{port}{parts.path or '/'}"
        if parts.query:
            target += f"?{parts.query}"
        default = 443 if parts.scheme == "https" else 80
        named = f"[{host}]" if ":" in host else host
        sent = [
            ("Host", named if port == default else f"{named}:{port}"),
            ("User-Agent", "ringback"),
            *_clean(headers or {}, body),
        ]
        problem: GatewayError
        try:
            return await self._pools[parts.scheme].exchange(
                method, target, sent, body, self._limits, sni=host
            )
        except NotSent as error:
            problem = Unreachable(f"{host}: {error}; nothing was sent", wrote=False)
        except Broken as error:
            problem = Unreachable(f"{host}: {error}; it may have arrived all the same")
        raise problem

    async def _address(self, host: str, port: int, allowed: bool) -> str:
        problem: GatewayError
        try:
            async with asyncio.timeout(self._limits.connect):
                addresses = await self._resolve(host, port)
        except (OSError, UnicodeError, TimeoutError):
            addresses = []
        if not addresses:
            problem = Unreachable(f"{host}: the name has no address", wrote=False)
            raise problem
        if not allowed:
            for address in addresses:
                if not is_public(address):
                    raise _forbidden(host, f"its address {address} is not on the open internet")
        return addresses[0]

    def _judged(self, host: str, answer: Answer) -> Answer:
        status = answer.status
        if 200 <= status < 300:
            return answer
        kind: type[GatewayError] = BadRequest
        note = ""
        if status == 429:
            kind = RateLimited
        elif status == 408 or status >= 500:
            kind = ServerError
        elif 300 <= status < 400:
            note = "; redirects are not followed, give the final address"
        raise kind(
            f"{host} answered {status}{note}",
            http_status=status,
            retry_after=retry_after(answer.headers, self._runtime.time()),
        )


def split_url(url: str) -> tuple[SplitResult, str, int]:
    """An address with its host and port. Raises BadRequest for one that is never called. Whoever
    asks whom an address is for asks here, so that a request goes to the host that was looked at."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".").lower()
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise _forbidden("the address", "it is not a URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise _forbidden("the address", "it is not an http or https URL")
    if parts.username is not None or parts.password is not None:
        raise _forbidden(host, "credentials in a URL end up in logs; use a header")
    if re.search(r"[\x00-\x20\x7f]", url):
        raise _forbidden(host, "the URL holds a space or a control character")
    return parts, host, port


def _forbidden(host: str, why: str) -> BadRequest:
    return BadRequest(
        f"{host} is not called: {why}",
        wrote=False,
        remedy="put the host on the allow list if it is meant to be called",
    )


def _clean(headers: Mapping[str, str], body: bytes) -> list[tuple[str, str]]:
    kept = [(name, value) for name, value in headers.items() if name.lower() not in _OWN_HEADERS]
    for name, value in kept:
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or re.search(
            r"[^\t\x20-\x7e]", value
        ):
            why = "its name or value has a line break or a letter outside of ASCII"
            raise BadRequest(f"the header {name[:40]!r} cannot be sent: {why}", wrote=False)
    if body and "content-type" not in {name.lower() for name, _ in kept}:
        kept.append(("Content-Type", "application/json"))
    return kept


async def _resolve(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
