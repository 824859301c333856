"""Words for what breaks an exchange over HTTP, for a person."""

import os
import socket
import ssl

import aiohttp

CONNECTING = "connecting took too long"


class Ended(aiohttp.ClientError):
    """An attempt ended without an answer, for a reason in words."""


_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ConnectionTimeoutError, CONNECTING),
    (aiohttp.ServerTimeoutError, "no answer in time"),
    (aiohttp.ClientConnectorError, "no connection"),
    (aiohttp.ServerDisconnectedError, "the peer closed the connection"),
    (aiohttp.ClientConnectionError, "the connection broke"),
    (OSError, "the connection broke"),
)
"""Of an error the first that it is one of; what is in no row is not HTTP, or cut off."""


def words(error: BaseException) -> str:
    """What happened, for a person: the kind, and the system's own words where it has some."""
    if isinstance(error, Ended):
        return str(error)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"refused ({error.status} {error.message})"[:200]
    kind = next((words for sort, words in _KINDS if isinstance(error, sort)), "")
    # aiohttp's own words repeat the address, or quote what the peer sent.
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", error)
    if not kind or not isinstance(inner, OSError) or isinstance(inner, aiohttp.ServerTimeoutError):
        return kind or "the answer is not HTTP or was cut off"
    text = str(inner)
    if inner.errno and not isinstance(inner, (socket.gaierror, ssl.SSLError)):
        text = os.strerror(inner.errno)  # "Connection refused", where asyncio: a call failed
    text = text.split("\n")[0][:200]
    return f"{kind} ({text})" if text else kind
