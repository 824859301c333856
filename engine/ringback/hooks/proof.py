"""Proof of webhooks of other systems: whether the bytes came from who knows the secret.

Each scheme is as its own specification says. The scheme is the one that the rule file names and is
never guessed from a header: who sends would choose then which proof is asked for.
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from ringback.hooks.definitions import STANDARD, Hook

Headers = Mapping[bytes, bytes]
LONGEST_ID = 200
LEAST_SECRET = 16
"""How many letters a secret has at least."""
MOST_SIGNATURES = 10


class Sent(NamedTuple):
    """A delivery as it came: header names in small letters, the query, the secret in the path."""

    headers: Headers
    query: bytes
    in_path: bytes | None
    body: bytes


class Proof(NamedTuple):
    """What came of looking: why it is no proof (empty: it is one), and under which id the other
    system delivered, empty where it signs none."""

    why: str
    delivery: str = ""


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a system signs: its header, the check, and which header names a delivery besides, for
    the eye and for a short memory only, as it is not signed."""

    header: bytes
    check: Callable[[Hook, Sequence[str], Sent, float], Proof]
    unsigned_id: bytes = b""


def lacks(hook: Hook, headers: Headers, query: bytes, in_path: bytes | None) -> str:
    """Why there is nothing to prove a delivery by, before its body is read; empty when there is."""
    if hook.scheme == "token":
        return "" if _token(headers, query, in_path) else "it carries no token"
    header = SCHEMES[hook.scheme].header
    if in_path is None and (header in headers or _legacy(hook, headers)):
        return ""
    other = next((name for name, each in SCHEMES.items() if each.header in headers), "")
    if other and other not in (hook.scheme, "token"):
        return f"it is signed as `scheme: {other}`, and this hook expects {hook.scheme}"
    return f"it has no header {header.decode()}"


def check(hook: Hook, secrets: Sequence[str], sent: Sent, now: float) -> Proof:
    """Whether a delivery is proven by one of these secrets. `now` is in seconds since 1970."""
    return SCHEMES[hook.scheme].check(hook, secrets, sent, now)


def unsigned_id(hook: Hook, headers: Headers) -> str:
    """What a header that is not signed calls this delivery; empty where there is none."""
    return _text(headers, SCHEMES[hook.scheme].unsigned_id)


def bad_secret(hook: Hook, secret: str) -> str:
    """What is wrong with a secret for this scheme; empty when nothing is."""
    if not secret:
        return "is not set"
    if len(secret) < LEAST_SECRET or len(set(secret)) < 4:
        return f"is too short or too plain to be a secret (at least {LEAST_SECRET} characters)"
    if hook.scheme == STANDARD and _key(secret) is None:
        return "is no secret of Standard Webhooks: whsec_ and base64 behind it"
    return ""


def _standard(hook: Hook, secrets: Sequence[str], sent: Sent, now: float) -> Proof:
    """Standard Webhooks: the signature is over id, time and body.

    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    prefix = b"svix-" if _legacy(hook, sent.headers) else b"webhook-"
    delivery = _text(sent.headers, prefix + b"id")
    moment = sent.headers.get(prefix + b"timestamp", b"")
    given = [
        part.partition(b",")[2]
        for part in sent.headers.get(prefix + b"signature", b"").split(b" ")
        if part.startswith(b"v1,")
    ]
    if not delivery:
        return Proof(f"it has no header {prefix.decode()}id that can be used")
    if why := _untimely(moment, hook.tolerance, now):
        return Proof(why)
    signed = b".".join((sent.headers[prefix + b"id"], moment, sent.body))
    keys = [key for key in map(_key, secrets) if key is not None]
    return Proof(_unlike(given, [_base64(_hmac(key, signed)) for key in keys]), delivery)


def _stripe(hook: Hook, secrets: Sequence[str], sent: Sent, now: float) -> Proof:
    """Stripe: the signature is over time and body.

    https://docs.stripe.com/webhooks#verify-manually
    """
    parts = [
        part.strip().partition(b"=")
        for part in sent.headers.get(b"stripe-signature", b"").split(b",")
    ]
    moments = [value for name, _, value in parts if name == b"t"]
    if len(moments) != 1:
        return Proof("Stripe-Signature has no t, or more than one")
    if why := _untimely(moments[0], hook.tolerance, now):
        return Proof(why)
    given = [value for name, _, value in parts if name == b"v1"]
    signed = moments[0] + b"." + sent.body
    return Proof(_unlike(given, [_hex(_hmac(each.encode(), signed)) for each in secrets]))


def _github(hook: Hook, secrets: Sequence[str], sent: Sent, now: float) -> Proof:
    """GitHub: the signature is over the body.

    https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    """
    _, _, given = sent.headers.get(b"x-hub-signature-256", b"").partition(b"sha256=")
    return Proof(_unlike([given], [_hex(_hmac(each.encode(), sent.body)) for each in secrets]))


def _shopify(hook: Hook, secrets: Sequence[str], sent: Sent, now: float) -> Proof:
    """Shopify: the signature is over the body.

    https://shopify.dev/docs/apps/build/webhooks/subscribe/https
    """
    given = [sent.headers.get(b"x-shopify-hmac-sha256", b"")]
    return Proof(_unlike(given, [_base64(_hmac(each.encode(), sent.body)) for each in secrets]))


def _bearer(hook: Hook, secrets: Sequence[str], sent: Sent, now: float) -> Proof:
    """A token: whoever has it may send anything.

    https://www.rfc-editor.org/rfc/rfc6750
    """
    given = _token(sent.headers, sent.query, sent.in_path)
    why = _unlike([given], [each.encode() for each in secrets])
    return Proof("the token is not one of ours" if why else "")


SCHEMES: Mapping[str, Scheme] = {
    STANDARD: Scheme(b"webhook-signature", _standard),
    "stripe": Scheme(b"stripe-signature", _stripe),
    "github": Scheme(b"x-hub-signature-256", _github, b"x-github-delivery"),
    "shopify": Scheme(b"x-shopify-hmac-sha256", _shopify, b"x-shopify-webhook-id"),
    "token": Scheme(b"authorization", _bearer, b"webhook-id"),
}

ALONE = (
    b"authorization", b"webhook-id", b"webhook-timestamp", b"webhook-signature", b"svix-id",
    b"svix-timestamp", b"svix-signature", b"stripe-signature", b"x-hub-signature-256",
    b"x-shopify-hmac-sha256",
)  # fmt: skip
"""Headers of which a second one would make it unclear what was proven."""


def _legacy(hook: Hook, headers: Headers) -> bool:
    """Whether the headers have the names that they had before the standard.

    https://docs.svix.com/receiving/verifying-payloads/how-manual
    """
    return (
        hook.scheme == STANDARD
        and b"svix-signature" in headers
        and b"webhook-signature" not in headers
    )


def _token(headers: Headers, query: bytes, in_path: bytes | None) -> bytes:
    if in_path is not None:
        return in_path
    kind, _, token = headers.get(b"authorization", b"").partition(b" ")
    if kind.lower() == b"bearer":
        return token.strip()
    pairs = [part.partition(b"=") for part in query.split(b"&")]
    found = [unquote_to_bytes(value) for name, _, value in pairs if name == b"token"]
    return found[0] if len(found) == 1 else b""


def _text(headers: Headers, name: bytes) -> str:
    """A header that names something; empty when it is missing or cannot be a name."""
    text = headers.get(name, b"").decode("latin-1") if name else ""
    return text if len(text) <= LONGEST_ID and text.isascii() and text.isprintable() else ""


def _untimely(moment: bytes, tolerance: float, now: float) -> str:
    if not moment.isdigit() or len(moment) > 12:
        return "it does not say in seconds when it was sent"
    apart = now - int(moment)
    if abs(apart) <= tolerance:
        return ""
    when = f"{apart:.0f} s ago" if apart > 0 else f"in {-apart:.0f} s"
    return f"it says that it was sent {when}, and {tolerance:.0f} s are allowed"


def _unlike(given: Sequence[bytes], wanted: Sequence[bytes]) -> str:
    """Empty when one of the signatures given is one of those wanted. Every pair is compared, in a
    time that tells nothing."""
    pairs = [(one, other) for one in given[:MOST_SIGNATURES] for other in wanted]
    fits = [hmac.compare_digest(one, other) for one, other in pairs if one]
    return "" if any(fits) else "the signature fits no secret and body"


def _hmac(key: bytes, signed: bytes) -> bytes:
    return hmac.digest(key, signed, "sha256")


def _hex(digest: bytes) -> bytes:
    return digest.hex().encode()


def _base64(digest: bytes) -> bytes:
    return base64.b64encode(digest)


def _key(secret: str) -> bytes | None:
    """The key in a secret of Standard Webhooks; None when it is no base64."""
    text = secret.removeprefix("whsec_").rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True) or None
    except (binascii.Error, ValueError):
        return None
