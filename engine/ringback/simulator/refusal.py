"""Refusal of a request, as an exception and as the JSON body that it becomes.

https://www.twilio.com/docs/usage/twilios-response#response-formats-exceptions
"""

from collections.abc import Iterable
from typing import Any


class Refusal(Exception):
    """A request that Twilio would refuse: HTTP status, Twilio's code, words for the developer."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def body(self) -> dict[str, Any]:
        """The error as Twilio's REST API writes it."""
        return {
            "code": self.code,
            "message": self.message,
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }


def missing(path: str) -> Refusal:
    """404: nothing there, or not for this account."""
    return Refusal(404, 20404, f"The requested resource {path} was not found")


def invalid(code: int, message: str) -> Refusal:
    """400: a parameter that Twilio does not take."""
    return Refusal(400, code, message)


def expect_plain(codings: Iterable[str]) -> None:
    """Raise Refusal when a request's `Content-Encoding` names a coding: none is undone here."""
    names = [name.strip().lower() for line in codings for name in line.split(",")]
    if any(name not in ("", "identity") for name in names):
        raise Refusal(415, 20001, "Send the body as it is, without a coding")
