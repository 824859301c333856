"""Signatures of webhooks: whether Twilio sent this request, unchanged.

https://www.twilio.com/docs/usage/webhooks/webhooks-security. The signature is an HMAC over the URL
and, for a form, its sorted fields. The usual request is decided by one exact computation here; what
that does not accept goes to Twilio's own validator, which knows the ways in which ports differ.
"""

import hashlib
import hmac
from binascii import b2a_base64
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from urllib.parse import parse_qsl, urlsplit

from twilio.request_validator import RequestValidator

Params = Mapping[str, str] | list[tuple[str, str]]
"""Decoded form fields: by name when no name repeats, else as pairs."""

HEADER = "X-Twilio-Signature"
SETTINGS_HEADER = "X-Twilio-Webhooks-Signature-Settings"

_SHARED_KEY_ALGORITHM = "HMAC_SHA256"
_LONGEST_SIGNATURE = 88


def sign(
    token: str, url: str, params: Iterable[tuple[str, str]] = (), *, digest: str = "sha1"
) -> str:
    """The signature that Twilio puts on a request: base64 of an HMAC keyed with the auth token.

    `url` is the whole URL with its query; user and fragment are dropped, as Twilio does. `params`
    are the decoded fields of a form POST, none for GET and JSON. A shared key signs with
    `digest="sha256"`.
    """
    return _mac(_Key(token.encode()), _clean(url), list(params), digest).decode()


def sign_json(token: str, url: str, body: bytes) -> tuple[str, str]:
    """The URL with `bodySHA256` added to its query, and the signature over it, for a JSON body."""
    mark = "&" if "?" in url else "?"
    signed = f"{url}{mark}bodySHA256={hashlib.sha256(body).hexdigest()}"
    return signed, sign(token, signed)


class Verifier:
    """Checks signatures against the tokens and shared keys that are configured.

    `tokens` are auth tokens, one for any account, or a mapping from account SID to its tokens; the
    key `""` stands for accounts that the mapping does not name. Several tokens are for rotation.
    `shared_keys` maps the id of a shared key to its secret. Empty tokens and secrets prove nothing
    and are left out: `can_prove` says whether there is any that counts.
    """

    def __init__(
        self,
        tokens: tuple[str, ...] | Mapping[str, tuple[str, ...]],
        shared_keys: Mapping[str, str] | None = None,
    ) -> None:
        by_account = tokens if isinstance(tokens, Mapping) else {"": tokens}
        self._tokens = {
            account: tuple(_Key(token.encode()) for token in own if token.strip())
            for account, own in by_account.items()
        }
        self._all = tuple(dict.fromkeys(chain.from_iterable(self._tokens.values())))
        self._any = self._tokens.get("", ())
        self._shared = {
            name: _Key(secret.encode())
            for name, secret in (shared_keys or {}).items()
            if secret.strip()
        }
        self.can_prove = bool(self._all or self._shared)

    def knows(self, account: str) -> bool:
        """Whether requests of this account may be accepted: it is named, or any account is."""
        return account in self._tokens or "" in self._tokens

    def verify(
        self,
        url: str,
        params: Params | None,
        body: bytes,
        signature: str,
        settings_header: str = "",
        account: str = "",
    ) -> bool:
        """Whether the signature proves this request. Never raises; what is odd is refused.

        `url` is the URL that Twilio asked for. `params` are the decoded fields of a form; None for
        GET and for JSON, whose `body` must then match `bodySHA256` in the URL.
        `account` chooses the tokens; the empty one tries those of every account (JSON names none).
        """
        try:
            if not signature or len(signature) > _LONGEST_SIGNATURE:
                return False
            given = signature.encode("ascii")
            if params is None and body and not _hash_matches(url, body):
                return False
            if settings_header:
                secret = self._shared_secret(settings_header)
                return secret is not None and _proves(secret, url, params or [], given, "sha256")
            fields = params or []
            tokens = self._tokens.get(account, self._any) if account else self._all
            for token in tokens:  # the usual case first, for every token
                if hmac.compare_digest(_mac(token, url, fields, "sha1"), given):
                    return True
            return any(_proves(token, url, fields, given, "sha1") for token in tokens)
        except (ValueError, TypeError, AttributeError, LookupError):
            return False

    def _shared_secret(self, header: str) -> "_Key | None":
        named: dict[str, str] = {}
        for part in header.split(","):
            name, equals, value = part.partition("=")
            if not equals or name.strip() in named:
                return None
            named[name.strip()] = value.strip()
        if named.get("algorithm") != _SHARED_KEY_ALGORITHM:
            return None
        return self._shared.get(named.get("key", ""))


class _Key:
    """A secret with the two halves of its HMAC begun (RFC 2104): a digest then starts from copies,
    at half the price of `hmac.digest` and without letting go of the interpreter."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret
        self._begun = {name: self._begin(name) for name in ("sha1", "sha256")}

    def _begin(self, name: str) -> "tuple[hashlib._Hash, hashlib._Hash]":
        # hmac hashes a key that is longer than a block; both digests have blocks of 64 bytes.
        key = self.secret if len(self.secret) <= 64 else hashlib.new(name, self.secret).digest()
        key = key.ljust(64, b"\0")
        return hashlib.new(name, key.translate(_INNER)), hashlib.new(name, key.translate(_OUTER))

    def digest(self, text: bytes, name: str) -> bytes:
        inner, outer = self._begun[name]
        inner = inner.copy()
        inner.update(text)
        outer = outer.copy()
        outer.update(inner.digest())
        return outer.digest()


_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


def _mac(key: _Key, url: str, params: Params, digest: str) -> bytes:
    if isinstance(params, list):
        # Repeated names: the set of their values, sorted. Sorting the set of pairs is the same.
        text = url + "".join(chain.from_iterable(sorted(set(params))))
    else:
        text = url + "".join([name + params[name] for name in sorted(params)])
    return b2a_base64(key.digest(text.encode(), digest), newline=False)


def _proves(key: _Key, url: str, params: Params, given: bytes, digest: str) -> bool:
    if hmac.compare_digest(_mac(key, url, params, digest), given):
        return True
    return any(
        hmac.compare_digest(_mac(key, other, params, digest), given) for other in _spellings(url)
    ) or _official(key.secret, _clean(url), params, given.decode(), digest)


def _official(key: bytes, url: str, params: Params, given: str, digest: str) -> bool:
    """Twilio's validator, which raises on what it did not expect: that is a refusal."""
    with suppress(Exception):
        algorithm = "HMAC_SHA256" if digest == "sha256" else "HMAC_SHA1"
        validator = RequestValidator(key.decode())
        return validator.validate(url, _MultiDict(params), given, algorithm) is True
    return False


class _MultiDict:
    """Form fields as the validator wants them: names to iterate, `getlist` for the values."""

    def __init__(self, params: Params) -> None:
        self._params = list(params.items()) if isinstance(params, Mapping) else params

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._params)

    def __len__(self) -> int:
        return len(self._params)

    def getlist(self, name: str) -> list[str]:
        return [value for key, value in self._params if key == name]


def _hash_matches(url: str, body: bytes) -> bool:
    hashes = [
        value
        for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True)
        if name == "bodySHA256"
    ]
    return len(hashes) == 1 and hmac.compare_digest(
        hashes[0].encode(), hashlib.sha256(body).hexdigest().encode()
    )


def _clean(url: str) -> str:
    """The URL without fragment and user, neither of which Twilio signs."""
    url = url.partition("#")[0]
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url
    end = min((rest.find(stop) for stop in "/?" if stop in rest), default=len(rest))
    return scheme + mark + rest[:end].rpartition("@")[2] + rest[end:]


def _spellings(url: str) -> list[str]:
    """Spellings that Twilio may have signed and that its validator mangles: a bare `?` at the end,
    an IPv6 host without its port."""
    clean = _clean(url)
    spellings = [] if clean == url else [clean]
    scheme, mark, rest = clean.partition("://")
    if mark and rest.startswith("["):
        host, bracket, tail = rest.partition("]")
        if tail.startswith(":"):
            port = tail[1:].partition("/")[0].partition("?")[0]
            spellings.append(scheme + mark + host + bracket + tail[1 + len(port) :])
    return spellings
