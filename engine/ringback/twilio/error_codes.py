"""Table of Twilio's error codes: our class, whether to try again, what a person can do.

The table beside this file holds our own words and our own judgement, made from the causes that
Twilio documents. Twilio adds and splits codes without notice: one that is not listed falls back to
the class of its family. https://www.twilio.com/docs/api/errors
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

CLASSES: tuple[str, ...] = (
    "account", "carrier_filtered", "content_rejected", "invalid_number", "platform_fault",
    "rate_limited", "recipient_opted_out", "recipient_unreachable", "sender_misconfigured",
    "sender_unregistered", "unknown", "webhook_fault",
)  # fmt: skip
"""Every value that `event.error_class` may have, besides the empty one for "no error"."""


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One error code of Twilio.

    `retryable` is `yes` (the same request may be repeated soon), `later` (it may work after minutes
    to a day, or after something outside has changed) or `no`. `fault` says for `webhook_fault` on
    whose side: `receiver_or_document`, `bad_twiml_or_call_setup` or `bad_request`.
    """

    code: int
    title: str
    error_class: str
    retryable: str
    remedy: str
    fault: str = ""

    @property
    def url(self) -> str:
        """Twilio's page about this code."""
        return f"https://www.twilio.com/docs/api/errors/{self.code}"


def error_class(code: int) -> str:
    """The class of a code: "" for 0, `unknown` (or its family's class) for one not listed."""
    return explain(code).error_class if code else ""


def explain(code: int) -> ErrorCode:
    """All that is known about a code. Never raises: an unlisted code gets its family's defaults."""
    known = _table().get(code)
    if known is not None:
        return known
    family = code // 1000
    title = f"Twilio error {code}"
    remedy = f"Read Twilio's page on it: https://www.twilio.com/docs/api/errors/{code}"
    if family in (11, 12):
        return ErrorCode(code, title, "webhook_fault", "no", remedy)
    return ErrorCode(code, title, "unknown", "later" if family == 30 else "no", remedy)


def listed() -> tuple[ErrorCode, ...]:
    """Every code in the table, in order."""
    return tuple(_table().values())


@cache
def _table() -> dict[int, ErrorCode]:
    text = files("ringback.twilio").joinpath("error_codes.json").read_text("utf-8")
    words = {True: "yes", False: "no", "later": "later"}
    return {
        code: ErrorCode(code, title, class_, words[retryable], remedy, fault)
        for code, title, class_, retryable, remedy, fault in json.loads(text)
    }
