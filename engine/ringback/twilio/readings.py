"""Readings of a request: as it came, and as it may have been before something changed it.

Each reading is an address and a form that Twilio may have signed, with the kinds of change between
it and what came. `explain` tries them, fewest changes first.
"""

import html
import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlsplit

Params = tuple[tuple[str, str], ...]
Kinds = frozenset[str]
T = TypeVar("T")

MOST_CHANGES = 4

_USUAL_PORTS = ("443", "80", "8443", "8080", "8000", "3000", "5000")
_MAY_BE_BLANK = (
    ("Body",), ("ToCity", "ToState", "ToZip", "ToCountry"), ("FromCity", "FromState", "FromZip",
    "FromCountry"), ("ToCity", "ToState", "ToZip"), ("FromCity", "FromState", "FromZip"),
    ("Digits",), ("CallerName",), ("ForwardedFrom",), ("StirVerstat",), ("ErrorMessage",),
    ("RawDlrDoneDate",), ("SpeechResult",), ("CalledCity", "CalledState", "CalledZip"),
    ("CallerCity", "CallerState", "CallerZip"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that was refused: as it came, nothing normalised.

    Header names are in lower case; `params` are the decoded fields of a form POST, None for GET and
    JSON; `account` is the AccountSid that it names. `mount` is what stood before `path`, where the
    receiver is mounted in another application.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    params: Params | None = field(default=None, repr=False)
    body: bytes = field(default=b"", repr=False)
    account: str = ""
    mount: str = ""


def readings(
    seen: Refused, public_url: str, known: list[str], tails: tuple[str, ...] = ()
) -> Iterator[tuple[str, str, Kinds]]:
    """Every reading worth a try, an address and the joined form: few changes before many. `tails`
    are the fragments that the address may have had."""
    urls = _by_changes(_urls(seen, public_url, known, tails))
    forms = _by_changes(_forms(seen))
    written = [[(_joined(form), kinds) for form, kinds in row] for row in forms]
    for changes in range(MOST_CHANGES + 1):
        for of_url in range(changes, -1, -1):
            if of_url > 2 and changes > of_url:
                continue
            for url, url_kinds in urls[of_url]:
                for form, kinds in written[changes - of_url]:
                    yield url, form, url_kinds | kinds


def _joined(params: Params) -> str:
    # As Twilio signs a form: sorted, a name's values each once, nothing in between.
    return "".join(itertools.chain.from_iterable(sorted(set(params))))


def _by_changes(found: Mapping[T, Kinds]) -> list[list[tuple[T, Kinds]]]:
    rows: list[list[tuple[T, Kinds]]] = [[] for _ in range(MOST_CHANGES + 1)]
    for item, kinds in found.items():
        if len(kinds) <= MOST_CHANGES:
            rows[len(kinds)].append((item, kinds))
    return rows


def _urls(
    seen: Refused, public_url: str, known: list[str], tails: tuple[str, ...]
) -> dict[str, Kinds]:
    found: dict[str, Kinds] = {}

    def note(url: str, kinds: Kinds) -> None:
        if url not in found or len(kinds) < len(found[url]):
            found[url] = kinds

    bases = _bases(seen, public_url, known)
    paths = _paths(seen.path)
    queries = _queries(seen.query)
    asked = f"?{seen.query}" if seen.query else ""
    queries |= {f"{asked}{tail}": frozenset(("fragment",)) for tail in tails}
    for base, base_kinds in bases.items():
        for path, path_kinds in paths.items():
            for query, query_kinds in queries.items():
                kinds = base_kinds | path_kinds | query_kinds
                if len(kinds) <= MOST_CHANGES:
                    note(f"{base}{path}{query}", kinds)
    for url in known:
        parts = urlsplit(url)
        base = f"{parts.scheme}://{parts.netloc}"
        for given, base_kinds in bases.items():
            if base == "://".join(urlsplit(given)[:2]):
                kinds = base_kinds
                if given + seen.path != base + parts.path:
                    kinds = (kinds - {"prefix"}) | {"path"}
                if parts.query != seen.query:
                    kinds |= {"query-lost"}
                note(url, kinds)
    return found


def _bases(seen: Refused, public_url: str, known: list[str]) -> dict[str, Kinds]:
    parts = urlsplit(public_url)
    configured_host, _, configured_port = _host_port(parts.netloc)
    netlocs = [seen.headers.get("host", ""), seen.headers.get("x-forwarded-host", "")]
    netlocs += [urlsplit(url).netloc for url in known]
    hosts = {configured_host: frozenset[str]()}
    ports = {configured_port: frozenset[str]()}
    ports.setdefault("", frozenset(("port",)))
    for netloc in filter(None, netlocs):
        host, _, port = _host_port(netloc)
        for spelling in (host, host.lower()):
            hosts.setdefault(spelling, frozenset(("host",)))
        ports.setdefault(port, frozenset(("port",)))
    bare = configured_host.removeprefix("www.")
    for other in (bare, f"www.{bare}", configured_host.lower()):
        hosts.setdefault(other, frozenset(("host",)))
    for port in (seen.headers.get("x-forwarded-port", ""), *_USUAL_PORTS):
        ports.setdefault(port, frozenset(("port",)))
    prefixes = {parts.path: frozenset[str]()}
    prefixes.setdefault(parts.path + seen.mount, frozenset())
    outside = [urlsplit(url).path for url in known]
    for prefix in (
        "", seen.headers.get("x-forwarded-prefix", "").rstrip("/"),
        *(path.removesuffix(seen.path) for path in outside if path.endswith(seen.path)),
    ):  # fmt: skip
        prefixes.setdefault(prefix, frozenset(("prefix",)))
    bases: dict[str, Kinds] = {}
    for scheme in (parts.scheme, "https" if parts.scheme == "http" else "http"):
        scheme_kinds = frozenset[str]() if scheme == parts.scheme else frozenset(("scheme",))
        for host, host_kinds in hosts.items():
            for port, port_kinds in ports.items():
                for prefix, prefix_kinds in prefixes.items():
                    netloc = f"{host}:{port}" if port else host
                    kinds = scheme_kinds | host_kinds | port_kinds | prefix_kinds
                    bases.setdefault(f"{scheme}://{netloc}{prefix}", kinds)
    return bases


def _host_port(netloc: str) -> tuple[str, str, str]:
    host = netloc.rpartition("@")[2]
    if host.endswith("]") or ":" not in host:
        return host, "", ""
    return host.rpartition(":")


def _paths(path: str) -> dict[str, Kinds]:
    slash, other = frozenset(("slash",)), frozenset(("path",))
    paths: dict[str, Kinds] = {path: frozenset()}
    paths.setdefault(path.rstrip("/") if path.endswith("/") else path + "/", slash)
    for changed in (
        "/" + path, re.sub("//+", "/", path), unquote(path), quote(unquote(path)),
        path + "/index.php", path + "/index.html",
    ):  # fmt: skip
        paths.setdefault(changed, other)
    return paths


def _queries(query: str) -> dict[str, Kinds]:
    if not query:
        return {"": frozenset(), "?": frozenset(("query-lost",))}
    found: dict[str, Kinds] = {f"?{query}": frozenset()}
    parts = query.split("&")
    encoded = frozenset(("query-encoding",))
    pairs = parse_qsl(query, keep_blank_values=True)
    plain = "&".join(f"{name}={value}" for name, value in pairs)
    for other in (
        plain,
        "&".join(f"{quote(n, safe='')}={quote(v, safe='')}" for n, v in pairs),
        "&".join(f"{quote(n)}={quote(v)}" for n, v in pairs),
        query.replace("+", "%20"), query.replace("%20", "+"),
        re.sub("%[0-9a-fA-F]{2}", lambda m: m[0].lower(), query),
        re.sub("%[0-9a-fA-F]{2}", lambda m: m[0].upper(), query),
        query.replace("'", "%27"), query.replace("%27", "'"),
        query.replace("=&", "&").removesuffix("="),
        "&".join(part if "=" in part else part + "=" for part in parts),
    ):  # fmt: skip
        found.setdefault(f"?{other}", encoded)
    for count in range(1, len(parts) + 1):
        for dropped in itertools.islice(itertools.combinations(range(len(parts)), count), 60):
            rest = "&".join(part for i, part in enumerate(parts) if i not in dropped)
            found.setdefault(f"?{rest}" if rest else "", frozenset(("query-added",)))
    if len(parts) <= 5:
        orders: Iterable[Iterable[str]] = itertools.permutations(parts)
    else:
        orders = (sorted(parts), sorted(parts, reverse=True), reversed(parts))
    for order in orders:
        found.setdefault("?" + "&".join(order), frozenset(("query-order",)))
    return found


def _forms(seen: Refused) -> dict[Params, Kinds]:
    if seen.params is None:
        return {(): frozenset()}
    params = seen.params
    found: dict[Params, Kinds] = {params: frozenset()}

    def note(kind: str, changed: Iterable[tuple[str, str]]) -> None:
        found.setdefault(tuple(changed), frozenset((kind,)))

    for kind, change in _CHANGES:
        note(kind, ((name, change(value)) for name, value in params))
    for index, (name, value) in enumerate(params):
        for longer in (f"{value} ", f" {value}", f"{value}\n", f" {value} ", f"{value}\r\n"):
            note("trimmed", (*params[:index], (name, longer), *params[index + 1 :]))
        note("field-added", (*params[:index], *params[index + 1 :]))
    present = {name for name, _ in params}
    groups = [tuple(name for name in group if name not in present) for group in _MAY_BE_BLANK]
    groups = [group for group in dict.fromkeys(groups) if group]
    for count in (1, 2, 3):
        for chosen in itertools.combinations(groups, count):
            blanks = dict.fromkeys(itertools.chain.from_iterable(chosen), "")
            note("blank-values", (*params, *blanks.items()))
    note("method", ())
    return found


def _as_utf8(value: str) -> str:
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _of_windows(value: str) -> str:
    """What was read as Windows-1252, where a curly apostrophe is three letters, read as UTF-8."""
    try:
        return b"".join(map(_byte, value)).decode()
    except UnicodeError:
        return value


def _byte(letter: str) -> bytes:
    try:
        return letter.encode("cp1252")
    except UnicodeError:  # the few bytes that stand for nothing there
        return letter.encode("latin-1")


_Form = Literal["NFC", "NFD", "NFKC", "NFKD"]
_FORMS: tuple[_Form, ...] = ("NFC", "NFD", "NFKC", "NFKD")


def _normal(form: _Form) -> Callable[[str], str]:
    return lambda value: unicodedata.normalize(form, value)


_CHANGES: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("plus", lambda value: re.sub(r"^ (?=\d)", "+", value)),
    ("plus", lambda value: value.replace(" ", "+")),
    *(("unicode", _normal(form)) for form in _FORMS),
    ("line-endings", lambda value: re.sub(r"(?<!\r)\n", "\r\n", value)),
    ("line-endings", lambda value: value.replace("\r\n", "\n")),
    ("charset", _as_utf8),
    ("charset", _of_windows),
    ("escaped", html.unescape),
)
"""What undoes a change that some proxies make to every value of a form."""
