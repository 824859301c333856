"""Routes of the webhooks: target, methods and media type of a raw path; the limits of a request."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ringback.hooks.definitions import NAME
from ringback.hooks.proof import ALONE as OF_HOOKS
from ringback.hooks.reading import MOST_BYTES, ROUTE

FORM_TYPE = b"application/x-www-form-urlencoded"
FORM_BYTES = 64 * 1024
JSON_BYTES = 4 * 1024 * 1024
"""A batch of Event Streams has up to 1,000 events. Twilio gives up on one that is refused."""
LARGE_BYTES = 256 * 1024
MOST_LARGE = 16
"""How many bodies beyond that are received at once. Twilio sends the others again, after a 503."""
HEAD_BYTES = 16 * 1024
HEAD_LINES = 100
RECEIVE_SECONDS = 10.0
"""How long a request may take to arrive, from its first byte or from the connection on."""

PREFIX = b"/twilio/"
HOOK_PREFIX = b"/hook/"
PREFIXES = (PREFIX, HOOK_PREFIX)

_POST = frozenset({b"POST"})
_BOTH = frozenset({b"POST", b"GET"})
_METHODS = {
    "message": _BOTH,
    "message/status": _POST,
    "call": _BOTH,
    "call/status": _BOTH,
    "call/step": _BOTH,
    "recording": _BOTH,
    "debugger": _POST,
    "events": _POST,
}
# Lower-case only: signed text has no separators, so a field that was moved into the path would
# otherwise keep its signature. Every field of Twilio's begins with a capital letter.
_LAST_PART = re.compile(rb"(message/status|call/status|call/step)/([a-z0-9-]{1,64})").fullmatch
_HOOK = re.compile(rb"(?:~([!-~]{1,512})/)?(%b)" % NAME.encode()).fullmatch
_EXACT = {name.encode(): name for name in _METHODS if name != "call/step"}


class Target(NamedTuple):
    """Where a request wants to go.

    `tag` is the last part of a status route or the nonce of a call step. `secret` is what stood
    after `~`, None when the path has no such part. Of another system `is_hook` is true, and its
    name is in the route: `hook/shop`.
    """

    route: str
    tag: str = ""
    secret: bytes | None = None
    is_hook: bool = False

    @property
    def address(self) -> str:
        """The path without what is secret or differs from one request to the next."""
        return f"/{self.route}" if self.is_hook else f"/twilio/{self.route}"

    @property
    def methods(self) -> frozenset[bytes]:
        """The methods that may be used here."""
        return _POST if self.is_hook else _METHODS[self.route]

    @property
    def is_json(self) -> bool:
        """Whether the body is JSON and not a form."""
        return self.is_hook or self.route == "events"

    @property
    def most_bytes(self) -> int:
        """How large a body may be."""
        if self.is_hook:
            return MOST_BYTES
        return JSON_BYTES if self.route == "events" else FORM_BYTES


_PLAIN = {PREFIX + path: Target(route) for path, route in _EXACT.items()}


def resolve(path: bytes) -> Target | None:
    """The target of a raw request path, None for a path that is none of ours.

    The path is compared as it came, without decoding: another spelling is another path.
    """
    found = _PLAIN.get(path)
    if found is not None:
        return found
    if path.startswith(HOOK_PREFIX):
        named = _HOOK(path, len(HOOK_PREFIX))
        return Target(ROUTE + named[2].decode(), "", named[1], True) if named else None
    rest = path.removeprefix(PREFIX)
    secret: bytes | None = None
    if rest.startswith(b"~"):
        secret, _, rest = rest[1:].partition(b"/")
    if rest in _EXACT:
        return Target(_EXACT[rest], "", secret)
    match = _LAST_PART(rest)
    if match is None:
        return None
    return Target(match[1].decode(), match[2].decode(), secret)


def takes_type(target: Target, content_type: bytes) -> bool:
    """Whether a POST body of this media type is what the route reads."""
    media = content_type.partition(b";")[0].strip().lower()
    if target.is_json:
        return media == b"application/json" or (
            media.startswith(b"application/" if target.is_hook else b"application/cloudevents")
            and media.endswith(b"+json")
        )
    return media == FORM_TYPE


def is_plain(headers: "Headers") -> bool:
    """Whether the body comes as it is. No coding is undone here, so that something else would be
    proven and recorded.

    https://www.rfc-editor.org/rfc/rfc9110#section-15.5.16
    """
    codings = headers.get(b"content-encoding", b"").lower().split(b",")
    before_chunked = headers.get(b"transfer-encoding", b"").rpartition(b",")[0].strip()
    return not before_chunked and all(coding.strip() in (b"", b"identity") for coding in codings)


SIGNATURE = b"x-twilio-signature"
SETTINGS = b"x-twilio-webhooks-signature-settings"
ALONE = (
    SIGNATURE, SETTINGS, b"content-type", b"content-encoding", b"transfer-encoding",
    b"x-forwarded-host", b"x-forwarded-proto", *OF_HOOKS,
)  # fmt: skip
"""Headers of which a second one would make it unclear what was proven."""
Headers = Mapping[bytes, bytes]
HeaderLines = Sequence[tuple[bytes, bytes]]


def comes_twice(lines: HeaderLines, *names: bytes) -> bool:
    """Whether one of these headers came more than once."""
    return any(sum(found == name for found, _ in lines) > 1 for name in names)


class Head(NamedTuple):
    """A request without its body. Header names are lower-case, paths as they came. `doubled` says
    that a header which must be alone came twice. `mount` is what stood before `path`: where the
    application is mounted in another one, or a prefix of the public address that the proxy passes
    on."""

    method: bytes
    target: Target
    path: bytes
    query: bytes
    headers: Headers
    doubled: bool = False
    peer: str = ""
    mount: bytes = b""
