"""Origins of the console: at which addresses it is asked, and where a request comes from.

A request for another host is answered with 421 before anything else, which ends DNS rebinding: a
page of a stranger whose name was pointed at this machine sends that name as `Host`.
"""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from ringback.config import LOOPBACK

Network = IPv4Network | IPv6Network


class Origins:
    """The addresses of one console. `public` is the one that the settings name; all others are
    the address that a connection came to."""

    def __init__(self, public: str, proxies: Iterable[str]) -> None:
        parts = urlsplit(public)
        self._public = parts.netloc.lower()
        self._scheme = parts.scheme
        self._proxies = [ip_network(proxy, strict=False) for proxy in proxies]

    def origin(self, request: HTTPConnection) -> str:
        """The origin under which a page was asked for; empty when its host is none of ours."""
        hosts = request.headers.getlist("host")
        host = hosts[0].lower() if len(hosts) == 1 else ""
        if not host:
            return ""
        if host == self._public:
            return f"{self._scheme}://{host}"
        address, port = request.scope.get("server") or ("", None)
        return f"http://{host}" if host in _names(address, port) else ""

    def peer(self, request: HTTPConnection) -> str:
        """Who sent a request: behind proxies of ours the address that the last of them saw."""
        peer = request.client.host if request.client else ""
        chain = [each.strip() for each in request.headers.get("x-forwarded-for", "").split(",")]
        while chain and self.is_proxy(peer):
            peer = chain.pop() or peer
        return peer

    def is_proxy(self, address: str) -> bool:
        """Whether an address is that of a proxy whose headers are believed."""
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._proxies)


def is_safe(origin: str) -> bool:
    """Whether nobody between can read what is sent to this origin."""
    parts = urlsplit(origin)
    return parts.scheme == "https" or (parts.hostname or "") in LOOPBACK


def came_from_us(request: HTTPConnection, origin: str) -> bool:
    """Whether a browser says that a page of ours sent this. Of two headers one may be missing.

    Our pages send no referrer, so the origin of a form of theirs is `null`: then the other header
    has to say that it came from the same origin, which no page can write itself.

    https://fetch.spec.whatwg.org/#origin-header https://www.w3.org/TR/fetch-metadata/
    """
    site = request.headers.get("sec-fetch-site")
    named = request.headers.get("origin")
    if site is None and named is None:
        return False
    if named == "null":
        return site == "same-origin"
    return site in (None, "same-origin") and named in (None, origin)


def block_of(address: str) -> str:
    """What tries are counted by: an IPv4 address, or the /64 that one customer has of IPv6."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return str(ip_network(f"{found}/64", strict=False)) if found.version == 6 else address


def _names(address: str, port: int | None) -> set[str]:
    """What a browser calls the address that a connection came to."""
    plain = address.removeprefix("::ffff:")
    hosts = {f"[{plain}]" if ":" in plain else plain}
    if plain in LOOPBACK:
        hosts |= {"127.0.0.1", "localhost", "[::1]"}
    names = {f"{host}:{port}" for host in hosts}
    return names | hosts if port == 80 else names
