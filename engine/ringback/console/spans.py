"""Spans of pages with figures: the one that was asked for, frozen so that lists have its counts.

A figure of "the last 24 h" leads to a list of the same rows: the address of the list names the two
moments, and not the span, which would have moved on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request

from ringback.console.api.parameters import Parameter, query_values
from ringback.runtime import REAL, iso

CHOICES = (
    ("1h", "1 hour"),
    ("24h", "24 hours"),
    ("7d", "7 days"),
    ("30d", "30 days"),
    ("90d", "90 days"),
)
_LONG = ("24h", "7d", "30d", "90d")
SINCE = Parameter("since", "From then on.", "time", default="24h")
UNTIL = Parameter("until", "Before then.", "time")


@dataclass(frozen=True, slots=True)
class Choice:
    """A span that is offered, with the address of the page for it."""

    words: str
    link: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """What a page was asked for: its checked filters, and the two moments of its span."""

    path: str
    written: Mapping[str, str]
    values: Mapping[str, Any]
    since: str
    until: str

    @property
    def words(self) -> str:
        """The span in words."""
        for text, words in CHOICES:
            if self.written.get("since", "24h") == text and not self.written.get("until"):
                return f"in the last {words}"
        return "in this span"

    def choices(self) -> list[Choice]:
        """The spans that are offered, with the same filters."""
        kept = {name: text for name, text in self.written.items() if name not in _OF_A_SPAN}
        return [
            Choice(
                words, address(self.path, kept | {"since": text}),
                self.written.get("since", "24h") == text and "until" not in self.written,
            )
            for text, words in CHOICES
        ]  # fmt: skip

    def chips(self) -> list[Choice]:
        """The filters in force, each with the address of the page without it."""
        return [
            Choice(
                f"{name.replace('_', ' ')} {text}",
                address(self.path, {k: v for k, v in self.written.items() if k != name}), True,
            )
            for name, text in self.written.items()
            if name not in (*_OF_A_SPAN, "from")
        ]  # fmt: skip

    def frozen(self, path: str = "", more: Mapping[str, Any] | None = None) -> str:
        """The address of a page about the same rows, narrowed by more filters."""
        kept = {"since": self.since, "until": self.until} | {
            name: text for name, text in self.written.items()
            if name not in (*_OF_A_SPAN, "from", "by")
        }  # fmt: skip
        given = {
            name: str(value) for name, value in (more or {}).items() if value not in (None, "")
        }
        if kept.keys().isdisjoint(given):  # as for each figure of a page: its beginning is known
            return f"{path or self.path}?{_written(*kept.items())}{_more(given)}"
        return address(path or self.path, kept | given)


_OF_A_SPAN = ("since", "until")


@lru_cache(maxsize=64)
def _written(*query: tuple[str, str]) -> str:
    return urlencode(query)


def _more(query: Mapping[str, str]) -> str:
    return f"&{urlencode(query)}" if query else ""


def address(path: str, query: Mapping[str, str]) -> str:
    """A path with its query."""
    return f"{path}?{urlencode(query)}" if query else path


def asked(request: Request, declared: tuple[Parameter, ...]) -> Asked:
    """What a request asks of a page with these filters. Raises a Refusal for a wrong one."""
    values = query_values(request, (SINCE, UNTIL, *declared))
    written = {name: text for name, text in request.query_params.items() if text}
    since = values["since"]
    if "since" not in written:
        since = query_value("24h")
    since = whole(written.get("since", "24h"), since)
    return Asked(request.url.path, written, values, since, values["until"] or iso(REAL.now()))


def whole(span: str, since: str) -> str:
    """When a span begins that is written so: the long ones at a whole hour, for hours are what is
    counted once and kept."""
    return f"{since[:13]}:00:00.000Z" if span in _LONG else since


def query_value(span: str) -> str:
    """The moment at which a span back from now begins."""
    from ringback.console.api.parameters import read

    return str(read(SINCE, span))
