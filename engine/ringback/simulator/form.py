"""Form fields and query of a request, read one by one and checked as Twilio checks them."""

import re
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl, urlsplit

from ringback.simulator.refusal import Refusal, invalid

MAX_FIELDS = 400
MAX_URL = 4000

_HOST = re.compile(
    r"(?=.{1,253}$)([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*"
    r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
_ASCII_NUMBER = re.compile(r"-?\d{1,9}", re.ASCII)


def parse(text: bytes) -> "Form":
    """Read urlencoded text. Raises Refusal when it is not, or has too many fields."""
    try:
        return Form(
            parse_qsl(
                text.decode("utf-8"),
                keep_blank_values=True,
                encoding="utf-8",
                errors="strict",
                max_num_fields=MAX_FIELDS,
            )
        )
    except ValueError as error:
        raise invalid(20001, f"The request's parameters cannot be read: {error}") from None


class Form:
    """Fields in the order they came; a name may come more than once."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs = pairs
        self._last = dict(pairs)

    def __contains__(self, name: str) -> bool:
        return name in self._last

    def text(self, name: str, default: str = "") -> str:
        """The value as it came; the last one when repeated."""
        return self._last.get(name, default)

    def many(self, name: str) -> list[str]:
        """Every value of a repeated field, without blanks."""
        return [value for key, value in self.pairs if key == name and value]

    def required(self, name: str, code: int, message: str = "") -> str:
        """A value that must be there and not blank."""
        value = self.text(name)
        if not value:
            raise invalid(code, message or f"A required parameter is missing: {name}")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """`true` or `false` (any case)."""
        value = self.text(name).lower()
        if not value:
            return default
        if value not in ("true", "false"):
            raise invalid(20001, f"{name} must be true or false, not {value[:40]!r}")
        return value == "true"

    def number(self, name: str, default: int, low: int, high: int, code: int = 20001) -> int:
        """A whole number within bounds."""
        value = self.text(name)
        if not value:
            return default
        if not _ASCII_NUMBER.fullmatch(value) or not low <= int(value) <= high:
            raise invalid(code, f"{name} must be a whole number from {low} to {high}")
        return int(value)

    def choice(self, name: str, options: tuple[str, ...], default: str, code: int = 20001) -> str:
        """One of a few words."""
        value = self.text(name)
        if not value:
            return default
        if value not in options:
            raise invalid(code, f"{name} must be one of {', '.join(options)}")
        return value

    def method(self, name: str, default: str = "POST", code: int = 21403) -> str:
        """GET or POST."""
        value = (self.text(name) or default).upper()
        if value not in ("GET", "POST"):
            raise invalid(code, f"{name} must be GET or POST")
        return value

    def url(self, name: str, code: int = 21402) -> str:
        """An absolute http(s) URL with a legal host, or nothing."""
        value = self.text(name).strip()
        if value and not legal_url(value):
            raise invalid(code, f"{name} is not a valid URL: {value[:200]}")
        return value


def legal_url(text: str) -> bool:
    """Whether it is an absolute http or https URL whose host has a legal name (no underscore)."""
    if len(text) > MAX_URL or re.search(r"[\s\x00-\x1f]", text):
        return False
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if parts.scheme.lower() not in ("http", "https") or not host:
        return False
    return ":" in host or _HOST.fullmatch(host.rstrip(".")) is not None


def moment(text: str, name: str) -> tuple[datetime, bool]:
    """Read a date of a filter: `YYYY-MM-DD`, ISO 8601 or RFC 2822. The flag says: a whole day."""
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC), True
        if text[:1].isalpha():
            found = parsedate_to_datetime(text)
        else:
            found = datetime.fromisoformat(text.replace(" ", "T", 1))
    except (ValueError, TypeError, IndexError):
        raise Refusal(400, 20001, f"{name} is not a date: {text[:60]}") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC), False
