"""Values of settings: where they come from, and how a text becomes a typed value.

Each reader raises `Wrong`, whose message is the end of a sentence that starts with the name of the
setting; the sources gather their problems in a list.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ringback.settings_mistakes import line_of, nearest

_NUMBER = re.compile(r"\+?[\d\s().\-/]+", re.ASCII).fullmatch


class Wrong(ValueError):
    """What is wrong with one value, as the end of a sentence that starts with its name."""


LEAST_LEASE = 10
"""Twice what may pass between the commit of an attempt and its first byte."""
PLACEHOLDERS = ("changeme", "change-me", "your_", "your-", "xxxx", "example", "placeholder", "todo")


@dataclass(frozen=True, slots=True)
class Shown:
    """One line of `ringback config show`: the value as text (secrets masked) and its source."""

    name: str
    env: tuple[str, ...]
    value: str
    source: str
    about: str


def read(kind: str, raw: Any) -> Any:
    """Turn one raw value (a text, or what TOML holds) into the setting's type."""
    reader = _READERS.get(kind)
    if reader is not None:
        return reader(raw)
    text = _read_text(raw)
    choices = kind.split("|")
    if len(choices) > 1 and text not in choices:
        raise Wrong(f"is {text!r}; it must be {' or '.join(choices)}")
    return text


def _read_text(raw: Any) -> str:
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise Wrong(f"must be a text, got {type(raw).__name__}")
    text = str(raw)
    if text and not text.strip():
        raise Wrong("is blank")
    return text.strip()


def _read_port(raw: Any) -> int:
    text = _read_text(raw)
    if not text.isdecimal() or int(text) > 65535:
        raise Wrong(f"is {text!r}; it must be a port number from 0 to 65535")
    return int(text)


def _read_count(raw: Any) -> int:
    text = _read_text(raw)
    if not text.isdecimal():
        raise Wrong(f"is {text!r}; it must be a whole number, 0 or more")
    return int(text)


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0


def _read_rate(raw: Any) -> float:
    text = _read_text(raw)
    if not 0 <= (rate := _float(text)) <= 10_000:
        raise Wrong(f"is {text!r}; it must be a number a second, 0 or more")
    return rate


def _read_amount(raw: Any) -> float:
    text = _read_text(raw)
    if not 0 <= (amount := _float(text)) < 1e9:
        raise Wrong(f"is {text!r}; it must be an amount of money such as 0.0079, 0 or more")
    return amount


def _read_hours(raw: Any) -> str:
    from datetime import time

    text = _read_text(raw)
    start, _, end = text.partition("-")
    try:
        if text and time.fromisoformat(start.strip()) == time.fromisoformat(end.strip()):
            raise ValueError
    except ValueError:
        raise Wrong(f"is {text!r}; write it as 21:00-08:00") from None
    return text


def _read_zone(raw: Any) -> str:
    from zoneinfo import ZoneInfo

    text = _read_text(raw)
    try:
        ZoneInfo(text or "UTC")
    except (KeyError, ValueError, OSError):
        raise Wrong(f"is {text!r}; it must be a time zone such as Europe/Berlin") from None
    return text


def _read_seconds(raw: Any) -> float:
    text = _read_text(raw)
    if not 0 < (seconds := _float(text)) < 86400:
        raise Wrong(f"is {text!r}; it must be a number of seconds above 0, at most a day")
    return seconds


def _read_lease(raw: Any) -> float:
    seconds = _read_seconds(raw)
    if seconds < LEAST_LEASE:
        raise Wrong(f"is {seconds:g}; it must be {LEAST_LEASE} seconds at least")
    return seconds


def _read_flag(raw: Any) -> bool:
    text = str(raw).strip().lower()
    if text not in ("1", "true", "yes", "on", "0", "false", "no", "off", ""):
        raise Wrong(f"is {raw!r}; it must be true or false")
    return text in ("1", "true", "yes", "on")


def _read_url(raw: Any) -> str:
    from urllib.parse import urlsplit

    text = _read_text(raw)
    if not text:
        return text
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise Wrong(f"is {text!r}; it must be a whole address, as https://hooks.your-company.com")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise Wrong(f"is {text!r}; it must have no ?query and no #fragment")
    if parts.username or parts.password:
        raise Wrong("holds a user name or password; leave them out")
    return text.rstrip("/")


def _read_database(raw: Any) -> str:
    from importlib.util import find_spec

    text = _read_text(raw)
    if not text:
        return text
    if not text.startswith(("postgresql://", "postgres://")):  # it is not said: it is a secret
        raise Wrong("must be the address of a database, as postgresql://USER:PASSWORD@HOST/NAME")
    if find_spec("psycopg") is None:
        raise Wrong("needs psycopg: pip install 'ringback[postgres]'")
    return text


def _read_sid(raw: Any) -> str:
    text = _read_text(raw)
    if text and not (len(text) == 34 and text.startswith("AC") and text[2:].isalnum()):
        raise Wrong(f"is {text!r}; an account SID is AC and 32 characters")
    return text


def _read_address(raw: Any) -> str:
    text = _read_text(raw).strip()
    if not _NUMBER(text):
        return text  # a short code, a word, a messaging service, whatsapp:+…
    digits = "".join(filter(str.isdigit, text))
    if text.startswith("+"):
        return f"+{digits}"
    if len(digits) >= 7:
        hint = "write it with + and the code of its country, as +12025550142"
        raise Wrong(f"is {text!r}, which does not name its country; {hint}")
    return text


def _read_list(raw: Any) -> tuple[str, ...]:
    items = raw if isinstance(raw, list) else _read_text(raw).split(",") if raw else []
    texts = tuple(_read_text(item) for item in items)
    if "" in texts:
        raise Wrong("has a blank item; remove it or the comma")
    return texts


def _read_networks(raw: Any) -> tuple[str, ...]:
    import ipaddress

    items = _read_list(raw)
    for item in items:
        try:
            ipaddress.ip_network(item, strict=False)
        except ValueError:
            raise Wrong(
                f"has {item!r}; it must hold addresses or networks, as 10.0.0.0/8"
            ) from None
    return items


def _read_lists(raw: Any) -> Mapping[str, tuple[str, ...]]:
    if not isinstance(raw, Mapping):
        raise Wrong('must be a table, as [accounts] AC… = ["token"]')
    return MappingProxyType({_read_sid(sid): _read_list(tokens) for sid, tokens in raw.items()})


def _read_pairs(raw: Any) -> Mapping[str, str]:
    if not isinstance(raw, Mapping):
        pairs = [item.partition("=") for item in _read_list(raw)]
        if not all(key and value for key, _, value in pairs):
            raise Wrong("must be written as id=secret,id=secret")
        raw = {key.strip(): value for key, _, value in pairs}
    return MappingProxyType({key: _read_text(value) for key, value in raw.items()})


def _read_tables(raw: Any) -> Mapping[str, Mapping[str, Any]]:
    if not isinstance(raw, Mapping) or not all(isinstance(v, Mapping) for v in raw.values()):
        raise Wrong("must be tables, as [plugins.auto_reply]")
    return MappingProxyType(dict(raw))


def _read_twiml(raw: Any) -> str:
    from xml.etree import ElementTree

    text = _read_text(raw)
    try:
        root = ElementTree.fromstring(text).tag
    except ElementTree.ParseError as error:
        raise Wrong(f"is not XML: {error}") from None
    if root != "Response":
        raise Wrong(f"must be a <Response> document, got <{root}>")
    return text


def read_file(path: Path, problems: list[str], must: str = "") -> str:
    """The text of a file; a missing one is empty, unless `must` names who wants it."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        if must or not isinstance(error, FileNotFoundError):
            problems.append(f"{must or path.name}: cannot read {path}: {error}")
    return ""


def from_toml(
    path: Path, known: Mapping[str, str], problems: list[str]
) -> Iterator[tuple[str, Any, str]]:
    """The values of a TOML file as (name, raw value, source). `known` maps keys to names."""
    text = read_file(path, problems)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problems.append(f"{path.name}: {error}")
        return
    for key, value in table.items():
        if key in known:
            yield known[key], value, path.name
        else:
            place = f"{path.name}:{line_of(text, (key,))}"
            problems.append(f"{place}: unknown setting {key!r}{nearest(key, known)}")


def from_environ(
    environ: Mapping[str, str],
    where: str,
    known: Mapping[str, tuple[str, bool]],
    root: Path,
    problems: list[str],
) -> Iterator[tuple[str, Any, str]]:
    """The values of variables as (name, raw value, source); None for one that is set but empty.

    `known` maps a variable to the name of its setting and whether it is a secret, which may also be
    given as a file under NAME_FILE. Of two variables for one setting the first that is not empty
    counts.
    """
    given: dict[str, tuple[str, str]] = {}
    for variable, (name, secret) in known.items():
        text = environ.get(variable)
        file = environ.get(f"{variable}_FILE", "") if secret else ""
        source = f"{where} {variable}"
        if text and file:
            problems.append(f"{where}: both {variable} and {variable}_FILE are set; keep one")
        elif file:
            source += "_FILE"
            text = read_file(root / file, problems, must=f"{where}: {variable}_FILE").strip()
        if text is not None and not given.get(name, ("", ""))[0]:
            given[name] = (text, source)
    for name, (text, source) in given.items():
        yield name, text or None, source
    for variable in environ:
        plain = variable.removesuffix("_FILE")
        if variable.startswith("RINGBACK_") and plain not in known:
            guess = nearest(variable, known, cutoff=0.85)
            if guess:
                problems.append(f"{where}: unknown variable {variable}{guess}")


def parse_dotenv(text: str, problems: list[str]) -> dict[str, str]:
    """Read KEY=value lines: comments, `export`, single quotes as is, double quotes with escapes."""
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        key, equals, value = line.strip().removeprefix("export ").partition("=")
        key, value = key.strip(), value.strip()
        if not key or key.startswith("#"):
            continue
        if not equals or not key.isidentifier():
            problems.append(f".env:{number}: expected NAME=value")
        elif value[:1] in ("'", '"'):
            body, closed, _ = value[1:].partition(value[0])
            if not closed:
                problems.append(f".env:{number}: {key}: the quote {value[0]} is not closed")
            values[key] = body.replace("\\n", "\n") if value[0] == '"' else body
        else:
            values[key] = value.partition(" #")[0].rstrip()
    return values


def hidden(
    dotenv: Mapping[str, str], environ: Mapping[str, str], known: Iterable[str]
) -> list[str]:
    """Which lines of `.env` the environment hides by saying something else, a sentence each."""
    words = []
    for name in known:
        for variable in (name, f"{name}_FILE"):
            said = [each for each in (name, f"{name}_FILE") if each in environ]
            if variable in dotenv and said and dotenv[variable] != environ.get(variable):
                words.append(
                    f".env: {variable} is not used: {said[0]} of the environment stands above it, "
                    "and says something else; take one of them away"
                )
    return words


def weak(secret: str, least: int) -> str:
    """What is wrong with a secret of at least so many letters; empty when nothing is."""
    lowered = secret.lower()
    if any(word in lowered for word in PLACEHOLDERS) or len(set(lowered)) < 4:
        return "looks like a placeholder: put the real value there"
    if len(secret) < least:
        return f"is too short ({len(secret)} characters, at least {least})"
    return ""


def as_text(value: Any, *, masked: bool) -> str:
    """A value as `config show` writes it and the environment takes it."""
    if isinstance(value, Mapping):
        if any(isinstance(inner, Mapping) for inner in value.values()):
            return ", ".join(value)  # plugin tables may hold secrets: only their names are shown
        return ",".join(f"{key}={as_text(inner, masked=masked)}" for key, inner in value.items())
    if isinstance(value, tuple):
        return ",".join(as_text(inner, masked=masked) for inner in value)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if not masked or not text:
        return text
    return f"****{text[-4:]}" if len(text) >= 20 else "****"


_READERS: dict[str, Callable[[Any], Any]] = {
    "port": _read_port, "seconds": _read_seconds, "flag": _read_flag, "count": _read_count,
    "hours": _read_hours, "rate": _read_rate, "zone": _read_zone, "url": _read_url,
    "sid": _read_sid, "list": _read_list, "networks": _read_networks, "lists": _read_lists,
    "pairs": _read_pairs, "tables": _read_tables, "twiml": _read_twiml, "amount": _read_amount,
    "address": _read_address, "database": _read_database, "lease": _read_lease,
    "path": lambda raw: Path(_read_text(raw) or "data"),
}  # fmt: skip


def place_of(source: str, key: str | None, root: Path) -> str:
    """Where a value was given: with its line, when it stands in a file."""
    file, _, variable = source.partition(" ")
    text = read_file(root / file, []) if file in (".env", "ringback.toml") else ""
    if file == ".env":
        starts = re.compile(rf"\s*(?:export\s+)?{re.escape(variable)}\s*=")
        lines = [n for n, line in enumerate(text.splitlines(), 1) if starts.match(line)]
        return f"{file}:{lines[-1]} {variable}" if lines else source
    return f"{file}:{line_of(text, (key or '',))}" if text else source


def texts_in(value: Any) -> list[str]:
    """The texts in a value, whatever holds them."""
    if isinstance(value, str):
        return [value] if value else []
    parts = value.values() if isinstance(value, Mapping) else value
    return [text for part in parts for text in texts_in(part)]
