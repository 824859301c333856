"""Explanation of a signature that does not fit: the reading of the request that would, and the
mend.

The request is never accepted for it. Twilio signs the address that it was given, and the fields as
it sent them; proxies, frameworks and wrong settings change either on the way. So this tries the
changes that are common, fewest first, until one reading fits the signature that came.
https://www.twilio.com/docs/usage/webhooks/webhooks-security
"""

import base64
import hashlib
import hmac
import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from ringback.twilio.callback_tails import TAILS
from ringback.twilio.readings import Kinds, Refused, readings

MOST_READINGS = 100_000
"""Readings to try at most: about a second."""

_SAYS = {
    "scheme": (
        "Twilio called the address by {scheme}, RINGBACK_PUBLIC_URL says otherwise",
        "set RINGBACK_PUBLIC_URL to {base}",
    ),
    "port": (
        "Twilio called another port than RINGBACK_PUBLIC_URL names",
        "set RINGBACK_PUBLIC_URL to {base}, with exactly the port that Twilio was given",
    ),
    "host": (
        "Twilio called the host {host}, RINGBACK_PUBLIC_URL names another one",
        "set RINGBACK_PUBLIC_URL to {base}, or tell Twilio the configured address",
    ),
    "prefix": (
        "the path in front of /twilio is another one outside than inside: a proxy cuts or adds it",
        "set RINGBACK_PUBLIC_URL to {base}",
    ),
    "slash": (
        "a slash at the end of the path was added or taken away on the way",
        "turn off the proxy's slash rewriting, or tell Twilio the address {url}",
    ),
    "path": (
        "the path was rewritten on the way; Twilio called {url}",
        "let the proxy pass the path on as it came (nginx: proxy_pass without a path)",
    ),
    "query-order": (
        "the query's parameters were put in another order on the way",
        "turn off query sorting at the proxy or CDN for this path",
    ),
    "query-encoding": (
        "the query was decoded and encoded anew on the way",
        "let the proxy pass the query on as it came (nginx: proxy_pass without a path)",
    ),
    "query-added": (
        "something on the way added to the query",
        "stop the proxy or CDN from adding parameters for this path",
    ),
    "query-lost": (
        "the query that Twilio was given got lost or changed on the way",
        "let the proxy pass the query on ($is_args$args in nginx)",
    ),
    "fragment": (
        "the address was signed together with its fragment {tail}, which Twilio leaves out",
        "set RINGBACK_CALLBACK_TAIL=off for a service that signs it; numbers that are connected "
        "need `ringback connect` once more",
    ),
    "blank-values": (
        "fields with an empty value were dropped on the way",
        "turn off form rewriting at the proxy or firewall: empty fields are signed too",
    ),
    "trimmed": (
        "spaces around a field's value were cut off on the way",
        "turn off form rewriting at the proxy or firewall: values are signed untrimmed",
    ),
    "plus": (
        "the form was decoded twice on the way: a plus sign became a space",
        "let the proxy or firewall pass the body on as it came",
    ),
    "unicode": (
        "the text was brought into another Unicode form on the way",
        "let the proxy or firewall pass the body on as it came",
    ),
    "line-endings": (
        "line breaks in the text were changed on the way",
        "let the proxy or firewall pass the body on as it came",
    ),
    "charset": (
        "the text was read as Latin-1 or Windows-1252 and written as UTF-8 on the way",
        "let the proxy or firewall pass the body on as it came",
    ),
    "escaped": (
        "the text was escaped as HTML on the way",
        "turn off the firewall's rewriting for this path",
    ),
    "field-added": (
        "something on the way added a field to the form",
        "let the proxy or firewall pass the body on as it came",
    ),
    "method": (
        "the fields that came are not those that were signed: a redirect or proxy turned a form "
        "into something else",
        "tell Twilio the final address, so that nothing redirects",
    ),
    "token": (
        "the request is signed with the auth token of another configured account",
        "put that token with the account in the request: [accounts] in ringback.toml",
    ),
    "body-hash": (
        "the signature is right for the address, but the body was changed on the way",
        "let the proxy or firewall pass the body on byte for byte",
    ),
}


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that differs. `kind` is a key of this module's table or one of `missing`,
    `malformed`, `shared-key`, `body-hash`, `account`, `route`, `wiring`, `hook`, `unknown`;
    `says` and `mend` are for people.
    """

    kind: str
    says: str
    mend: str

    def __str__(self) -> str:
        return f"{self.says}; {self.mend}"


def explain_path(path: str, public_url: str) -> Cause:
    """Why a signed webhook came to a path that is no route of ours."""
    says = f"a signed webhook came to {path}, which is no path of this node (404)"
    mend = f"tell Twilio an address below {public_url}/twilio/; `ringback connect` shows them"
    before, found, _ = path.partition("/twilio/")
    prefix = urlsplit(public_url).path
    if found and before and before != prefix:
        mend += (
            f". Or, when it has called what stands there, set RINGBACK_PUBLIC_URL to "
            f"{public_url.removesuffix(prefix)}{before}"
        )
    return Cause("route", says, mend)


def explain_wiring(route: str, meant: str, number: str, public_url: str) -> Cause:
    """What is wrong with the address that a text or a call to this number was posted to."""
    what, setting = ("texts", "messaging") if meant == "message" else ("calls", "voice")
    says = f"{what} to {number or 'a number of ours'} are posted to /twilio/{route}"
    mend = f"set its {setting} URL to {public_url}/twilio/{meant}"
    connect = f", as `ringback connect {number}` does" if number.startswith("+") else ""
    return Cause("wiring", says, mend + connect)


def explain(
    seen: Refused,
    *,
    public_url: str,
    tokens: Mapping[str, tuple[str, ...]],
    shared_keys: Mapping[str, str] | None = None,
    known_urls: Iterable[str] = (),
    most: int = MOST_READINGS,
) -> tuple[Cause, ...]:
    """The fewest causes that explain why the signature did not fit; `unknown` when none do.

    `tokens` maps accounts to their tokens (`""` for any account). `known_urls` are the addresses
    that Twilio was given, when somebody knows them: they help where the way there is rewritten.
    `most` bounds the readings that are tried, some 100,000 a second. The
    answer is for the log and for `doctor`: no token and no expected signature is in it.
    """
    plain = _plain_cause(seen, tokens, shared_keys or {})
    if plain is not None:
        return (plain,)
    given = base64.b64decode(seen.headers["x-twilio-signature"])
    digest, keys = _keys(seen, tokens, shared_keys or {})
    given_urls = [url.partition("#") for url in known_urls if url]
    tails = dict.fromkeys((*TAILS, *(f"#{tail}" for _, _, tail in given_urls if tail)))
    known = [url for url, _, _ in given_urls]
    tried = readings(seen, public_url.rstrip("/"), known, tuple(tails))
    for url, form, kinds in itertools.islice(tried, most):
        signed = (url + form).encode("utf-8", "replace")
        for key, extra in keys:
            if hmac.compare_digest(hmac.digest(key, signed, digest), given):
                return _causes(kinds | extra, url, seen)
    if seen.method == "GET" and not seen.query:
        # A form that met a 301 or 302 comes as a GET, and without its fields.
        return _causes(frozenset(("method",)), "", seen)
    return (_unknown(seen, tokens),)


def _plain_cause(
    seen: Refused, tokens: Mapping[str, tuple[str, ...]], shared_keys: Mapping[str, str]
) -> Cause | None:
    """What is plain without trying anything."""
    signature = seen.headers.get("x-twilio-signature", "")
    if not signature:
        return Cause(
            "missing",
            "there is no X-Twilio-Signature: it is not from Twilio, or a proxy drops the header",
            "let the proxy pass X-Twilio-Signature on",
        )
    if not re.fullmatch(r"[A-Za-z0-9+/]{27}=|[A-Za-z0-9+/]{43}=", signature):
        return Cause(
            "malformed",
            "X-Twilio-Signature is not a signature: it is forged, or cut on the way",
            "let the proxy pass X-Twilio-Signature on as it came",
        )
    settings = seen.headers.get("x-twilio-webhooks-signature-settings", "")
    if settings:
        named = dict(part.strip().partition("=")[::2] for part in settings.split(","))
        if named.get("algorithm") != "HMAC_SHA256" or named.get("key") not in shared_keys:
            return Cause(
                "shared-key",
                "the request is signed with a shared key that is not configured here",
                "add the key's id and secret to RINGBACK_SHARED_KEYS",
            )
        return None
    if not any(tokens.values()):
        return Cause("token", "no auth token is configured", "set TWILIO_AUTH_TOKEN")
    if seen.account and seen.account not in tokens and "" not in tokens:
        return Cause(
            "account",
            f"the request is about {seen.account}, which is not configured here",
            "add the account and its token: [accounts] in ringback.toml",
        )
    return None


def _keys(
    seen: Refused, tokens: Mapping[str, tuple[str, ...]], shared_keys: Mapping[str, str]
) -> tuple[str, list[tuple[bytes, Kinds]]]:
    settings = seen.headers.get("x-twilio-webhooks-signature-settings", "")
    if settings:
        named = dict(part.strip().partition("=")[::2] for part in settings.split(","))
        return "sha256", [(shared_keys[named["key"]].encode(), frozenset())]
    own = tokens.get(seen.account, tokens.get("", ())) if seen.account else ()
    every = dict.fromkeys(itertools.chain.from_iterable(tokens.values()))
    mine = own or tuple(every)
    others = [token for token in every if token not in mine]
    return "sha1", [
        *((token.encode(), frozenset[str]()) for token in mine if token),
        *((token.encode(), frozenset(("token",))) for token in others if token),
    ]


def _causes(kinds: Kinds, url: str, seen: Refused) -> tuple[Cause, ...]:
    parts = urlsplit(url)
    prefix = parts.path.partition("/twilio/")[0] if "/twilio/" in parts.path else ""
    words = {
        "scheme": parts.scheme,
        "host": parts.netloc,
        "base": f"{parts.scheme}://{parts.netloc}{prefix}",
        "tail": f"#{parts.fragment}",
        # A secret in the path is not for the log.
        "url": re.sub(r"/~[^/]+", "/~…", f"{parts.scheme}://{parts.netloc}{parts.path}"),
    }
    if not kinds:
        # The signature fits the request as it came: then it is the body that does not fit.
        kinds = frozenset(("body-hash",)) if seen.body and seen.params is None else kinds
    causes = [
        Cause(kind, says.format(**words), mend.format(**words))
        for kind, (says, mend) in _SAYS.items()
        if kind in kinds
    ]
    if seen.body and seen.params is None and not _hash_fits(seen) and "body-hash" not in kinds:
        says, mend = _SAYS["body-hash"]
        causes.append(Cause("body-hash", says, mend))
    return tuple(causes) or (
        Cause("none", "the signature fits this request", "nothing about the signature is wrong"),
    )


def _hash_fits(seen: Refused) -> bool:
    hashes = [value for name, value in parse_qsl(seen.query) if name == "bodySHA256"]
    return hashes == [hashlib.sha256(seen.body).hexdigest()]


def _unknown(seen: Refused, tokens: Mapping[str, tuple[str, ...]]) -> Cause:
    return Cause(
        "unknown",
        "no reading of the request fits: it is forged, signed with another auth token"
        + (f" of {seen.account}" if seen.account else "")
        + ", or changed on the way in a way that cannot be known",
        "compare TWILIO_AUTH_TOKEN with the primary token in Twilio's console (API keys and the "
        "Maton key do not verify webhooks), and RINGBACK_PUBLIC_URL with the address set at Twilio",
    )
