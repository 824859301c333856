"""Simulated phones of other people: how they take texts and calls, and their inbox.

How a phone behaves is set by the plan or the control API; a few number patterns are built in:

    +150055NNNNN   NNNNN is an error code, e.g. 30003: texts end `undelivered` or `failed` with it
    +15005550021   texts stay at `sent`, no final status ever comes
    +15005550022   texts are delivered and then read (channels with receipts)
    +15005550031 busy · …032 no answer · …033 failed · …034 machine · …035 fax (calls)

Twilio's own magic numbers (+15005550001 … 0009) are refused or taken as Twilio documents them.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from ringback.errors import ConfigError

CALL_OUTCOMES = ("answer", "busy", "no-answer", "failed", "manual", "machine", "fax")
MESSAGE_OUTCOMES = ("delivered", "sent", "undelivered", "failed", "read", "silent")

MAGIC_CALLS = {
    "+15005550031": "busy",
    "+15005550032": "no-answer",
    "+15005550033": "failed",
    "+15005550034": "machine",
    "+15005550035": "fax",
}
FAILED_CODES = frozenset(
    {
        30001, 30002, 30010, 30011, 30012, 30013, 30014, 30015, 30016, 30018, 30020, 30021, 30022,
        30023, 30024, 30027, 30028, 30029, 30030, 30031, 30032, 30033, 30034, 30035, 30036, 30037,
        30038, 30039, 30040, 30041, 30042, 30043, 30044, 63016,
    }
)  # fmt: skip


@dataclass(slots=True)
class Handset:
    """One phone. `messages` and `calls` say how it takes them; empty = by its number, else well."""

    number: str
    messages: str = ""
    calls: str = ""
    ring_seconds: float = 3.0
    talk_seconds: float | None = None
    keys: str = ""
    say: str = ""
    inbox: list[dict[str, Any]] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)

    def set(self, settings: dict[str, Any]) -> None:
        """Change how it behaves. Raises ConfigError that names the field."""
        for name, value in settings.items():
            if name == "messages":
                self.messages = _message_outcome(str(value))
            elif name == "calls":
                if value not in CALL_OUTCOMES:
                    raise ConfigError(
                        [f"calls: {value!r} is not one of {', '.join(CALL_OUTCOMES)}"]
                    )
                self.calls = str(value)
            elif name in ("ring_seconds", "talk_seconds"):
                if not isinstance(value, int | float) and not (value is None and name[0] == "t"):
                    raise ConfigError([f"{name} must be a number of seconds"])
                setattr(self, name, None if value is None else float(value))
            elif name in ("keys", "say"):
                setattr(self, name, str(value))
            else:
                known = "messages, calls, ring_seconds, talk_seconds, keys, say"
                raise ConfigError([f"a handset has no {name!r}; it has {known}"])

    def call_outcome(self) -> str:
        return self.calls or MAGIC_CALLS.get(self.number, "answer")

    def message_fate(self) -> tuple[str, int]:
        """The last status of a text to it, and the error code."""
        text = self.messages or _by_pattern(self.number)
        status, _, code = text.partition(":")
        return status, int(code or 0)


def _message_outcome(text: str) -> str:
    status, _, code = text.partition(":")
    if status not in MESSAGE_OUTCOMES or (code and not re.fullmatch(r"\d{5}", code, re.ASCII)):
        known = ", ".join(MESSAGE_OUTCOMES)
        raise ConfigError([f"messages: {text!r} is not one of {known}, or undelivered:30003"])
    if status in ("undelivered", "failed") and not code:
        return f"{status}:{30008 if status == 'undelivered' else 30001}"
    return text


def _by_pattern(number: str) -> str:
    plain = number.rpartition(":")[2]
    if plain == "+15005550021":
        return "sent"
    if plain == "+15005550022":
        return "read"
    found = re.fullmatch(r"\+150055([36]\d{4})", plain)
    if found:
        code = int(found[1])
        return f"{'failed' if code in FAILED_CODES else 'undelivered'}:{code}"
    return "delivered"
