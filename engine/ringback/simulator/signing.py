"""Signatures of webhooks, as Twilio makes them.

https://www.twilio.com/docs/usage/security

Written apart from the code that verifies, so that one cannot hide the other's mistake.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit


def signed_url(url: str, *, voice: bool) -> str:
    """The URL that goes into the signature: no user, no fragment; no port for https and voice."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    if voice and parts.scheme.lower() == "https" and parts.port is not None:
        host = host.rpartition(":")[0]
    return urlunsplit((parts.scheme, host, parts.path, parts.query, ""))


def signature(
    secret: str, url: str, fields: Iterable[tuple[str, str]], digest: str = "sha1"
) -> str:
    """The header's value: fields sorted by name, names and values in a row, HMAC, Base64.

    A name that comes more than once gives each of its different values once, sorted.
    """
    text = url + "".join(name + value for name, value in sorted(set(fields)))
    return sign_text(secret, text, digest)


def sign_text(secret: str, text: str, digest: str = "sha1") -> str:
    """HMAC of a text, in Base64."""
    mac = hmac.new(secret.encode(), text.encode("utf-8"), getattr(hashlib, digest))
    return base64.b64encode(mac.digest()).decode()


def with_body_hash(url: str, body: bytes) -> str:
    """A URL with `bodySHA256` added, as Twilio does for JSON bodies."""
    parts = urlsplit(url)
    mark = f"bodySHA256={hashlib.sha256(body).hexdigest()}"
    query = f"{parts.query}&{mark}" if parts.query else mark
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))
