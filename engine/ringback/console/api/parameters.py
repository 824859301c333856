"""Parameters of the JSON API: their kinds, how they are read, and what is said of wrong ones.

One that is not declared is refused with the nearest name, never ignored: a filter with a slip of
the pen would be answered with rows that it should have kept away.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any

from starlette.requests import Request

from ringback.console.forms import body_of
from ringback.console.problems import Refusal, refuse
from ringback.runtime import REAL, iso

LONGEST = 512
"""No value has more letters, but for a text that is to be sent."""
LONGEST_TEXT = 1600
LONGEST_FILE = 20_000
LAST_YEAR = 9990
"""What is later leaves no room for an hour after it."""
_SPAN = re.compile(r"(\d{1,6})([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_KINDS: Mapping[str, Mapping[str, Any]] = {
    "text": {"type": "string", "maxLength": LONGEST},
    "long": {"type": "string", "maxLength": LONGEST_TEXT},
    "file": {"type": "string", "maxLength": LONGEST_FILE},
    "integer": {"type": "integer"},
    "flag": {"type": "boolean"},
    "time": {"type": "string", "maxLength": 40, "examples": ["24h", "2026-05-01T12:00:00Z"]},
    "list": {"type": "string", "maxLength": LONGEST},
    "object": {"type": "object"},
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a path or query, or a member of a JSON body.

    `kind` is `text`, `long` (what people write), `file`, `integer` (`least` to `most`),
    `flag`, `time` (a moment, or a span back from now), `list` (several of `choices` with commas
    between), or `object`, in a body alone. `itself` is a value that comes about by itself.
    """

    name: str
    about: str
    kind: str = "text"
    choices: tuple[str, ...] = ()
    least: int = 0
    most: int = 999_999_999
    default: Any = None
    required: bool = False
    itself: str = ""

    def schema(self) -> dict[str, Any]:
        """Its JSON schema."""
        found = dict(_KINDS[self.kind])
        if self.choices and self.kind == "text":
            found = {"type": "string", "enum": list(self.choices)}
        elif self.choices:
            found["description"] = f"Several of {', '.join(self.choices)}, with commas between."
        if self.kind == "integer":
            found |= {"minimum": self.least, "maximum": self.most}
        if self.default is not None:
            found["default"] = self.default
        return found


def path_values(request: Request) -> dict[str, Any]:
    """The parts of the path. Raises a Refusal for one that no name can be."""
    for name, value in request.path_params.items():
        if len(value) > LONGEST:
            raise _wrong(name, "is too long")
    return dict(request.path_params)


def require_known(request: Request, names: Sequence[str]) -> None:
    """Raise a Refusal for a parameter of the query that is none of these, or stands there twice."""
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in names:
            raise _unknown(name, {each: Parameter(each, "") for each in names})
        if name in seen:
            raise _wrong(name, "is there twice")
        seen.add(name)


def query_values(request: Request, declared: Sequence[Parameter]) -> dict[str, Any]:
    """The checked values of a query by their names, with those that have defaults."""
    known = {each.name: each for each in declared}
    found = {each.name: each.default for each in declared}
    seen: set[str] = set()
    for name, text in request.query_params.multi_items():
        if name not in known:
            raise _unknown(name, known)
        if name in seen:
            raise _wrong(name, "is there twice")
        seen.add(name)
        if text != "":
            found[name] = read(known[name], text)
    return _complete(found, declared)


async def body_values(request: Request, declared: Sequence[Parameter]) -> dict[str, Any]:
    """The checked members of a JSON body. Raises a Refusal."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await body_of(request)
    if media != "application/json" and (body or media):
        raise refuse("media", "The body is application/json.")
    try:
        given = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise refuse("field", "The body is no JSON.") from None
    if not isinstance(given, dict):
        raise refuse("field", "The body is no JSON object.")
    known = {each.name: each for each in declared}
    found = {each.name: each.default for each in declared}
    for name, value in given.items():
        if name not in known:
            raise _unknown(name, known)
        if value is not None:
            found[name] = _member(known[name], value)
    return _complete(found, declared)


def _complete(found: dict[str, Any], declared: Sequence[Parameter]) -> dict[str, Any]:
    for each in declared:
        if each.required and found[each.name] is None:
            raise _wrong(each.name, "is required")
    return found


def _member(parameter: Parameter, value: Any) -> Any:
    """A value of a JSON body."""
    kinds: dict[str, type] = {"flag": bool, "integer": int, "object": dict}
    wanted = kinds.get(parameter.kind, str)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        said = {bool: "true or false", int: "a whole number", dict: "an object"}
        raise _wrong(parameter.name, f"has to be {said.get(wanted, 'a text')}")
    return read(parameter, str(value)) if wanted is str else _within(parameter, value)


def read(parameter: Parameter, text: str) -> Any:
    """A value from its text. Raises a Refusal that names the parameter."""
    longest = {"long": LONGEST_TEXT, "file": LONGEST_FILE}.get(parameter.kind, LONGEST)
    if len(text) > longest:
        raise _wrong(parameter.name, f"has more than {longest} letters")
    if parameter.kind == "integer":
        if not (text.isascii() and text.isdecimal() and len(text) < 12):
            raise _wrong(parameter.name, f"is no whole number: {_shown(text)}")
        return _within(parameter, int(text))
    if parameter.kind == "flag":
        if text not in ("true", "false"):
            raise _wrong(parameter.name, f"is true or false, not {_shown(text)}")
        return text == "true"
    if parameter.kind == "time":
        return _moment(parameter, text)
    if parameter.kind == "list":
        parts = [part.strip() for part in text.split(",") if part.strip()]
        for part in parts:
            _chosen(parameter, part)
        return parts
    return _chosen(parameter, text)


def _within(parameter: Parameter, value: Any) -> Any:
    if parameter.kind == "integer" and not parameter.least <= value <= parameter.most:
        raise _wrong(parameter.name, f"is between {parameter.least} and {parameter.most}")
    return value


def _chosen(parameter: Parameter, text: str) -> str:
    if parameter.itself and text == parameter.itself:
        raise _wrong(
            parameter.name, f"is set to {text!r} by itself; choose {', '.join(parameter.choices)}"
        )
    if parameter.choices and text not in parameter.choices:
        raise _wrong(
            parameter.name, f"is one of {', '.join(parameter.choices)}, not {_shown(text)}"
        )
    return text


def _moment(parameter: Parameter, text: str) -> str:
    """A stored time. A space stands where a plus was not escaped."""
    if span := _SPAN.fullmatch(text):
        try:
            return iso(REAL.now() - timedelta(**{_UNITS[span[2]]: int(span[1])}))
        except OverflowError:
            raise _wrong(parameter.name, "is before all times") from None
    try:
        found = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        if found.year >= LAST_YEAR:
            raise _wrong(parameter.name, "is after all times")
        return iso(found.replace(tzinfo=found.tzinfo or UTC))
    except (ValueError, OverflowError):
        raise _wrong(
            parameter.name, f"is no time: {_shown(text)}; write 30m, 2h, 7d or 2026-05-01T12:00"
        ) from None


def _unknown(name: str, known: Mapping[str, Parameter]) -> Refusal:
    near = get_close_matches(name, known, 1)
    mend = f"Did you mean `{near[0]}`?" if near else (
        f"Known are {', '.join(known)}." if known else "Leave it away."
    )  # fmt: skip
    return refuse(
        "field", f"There is no parameter {_shown(name)} here.", mend=mend,
        fields=((_shown(name), "is not known here"),),
    )  # fmt: skip


def _wrong(name: str, message: str) -> Refusal:
    return refuse("field", f"{name} {message}.", fields=((name, message),))


def _shown(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"
