"""Proxy settings: the HTTP proxy between this machine and the gateway, as in many companies."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Self
from urllib.parse import unquote, urlsplit

from ringback.errors import ConfigError

_NAMES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that tunnels https. `url` is its address without credentials, which are in `headers`;
    `exempt` lists the hosts that are called directly, as NO_PROXY does."""

    url: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    exempt: str = ""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self | None:
        """The proxy that HTTPS_PROXY or ALL_PROXY names, less NO_PROXY; small letters go first.

        Raises ConfigError for an address that is none, or for a kind of proxy that is not spoken.
        """
        name, address = next(
            ((name, environ[name].strip()) for name in _NAMES if environ.get(name, "").strip()),
            ("", ""),
        )
        if not address:
            return None
        parts = urlsplit(address if "://" in address else f"http://{address}")
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            port = 0
        if parts.scheme not in ("http", "https") or not parts.hostname or not port:
            raise ConfigError(
                [f"{name} is not the address of an http or https proxy: give http://HOST:PORT"]
            )
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        headers: tuple[tuple[str, str], ...] = ()
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            token = base64.b64encode(pair.encode()).decode()
            headers = (("Proxy-Authorization", f"Basic {token}"),)
        exempt = environ.get("no_proxy") or environ.get("NO_PROXY", "")
        return cls(f"{parts.scheme}://{host}:{port}", headers, exempt)

    def serves(self, host: str, port: int) -> bool:
        """Whether this host is called by way of the proxy: not this machine, not an exempt one."""
        try:
            local = ip_address(host).is_loopback
        except ValueError:
            local = host == "localhost"
        return not local and not any(
            _covers(entry.strip().lower(), host.lower(), port) for entry in self.exempt.split(",")
        )

    def tunnels(self, url: str) -> bool:
        """Whether a request to this address goes through the proxy; plain http never does."""
        parts = urlsplit(url)
        return parts.scheme == "https" and self.serves(parts.hostname or "", parts.port or 443)


def _covers(entry: str, host: str, port: int) -> bool:
    """Whether an entry of NO_PROXY (`*`, `host`, `.domain` or `host:port`) is about this host."""
    name, _, only = entry.partition(":")
    if name == "*" or only not in ("", str(port)):
        return name == "*"
    name = name.lstrip("*.")
    return bool(name) and (host == name or host.endswith(f".{name}"))
