"""Problems of a request, as RFC 9457 has them: one table of kinds, for pages and for the JSON API.

A page or a resource raises a `Refusal`. Below `/api/v1` it is answered as
`application/problem+json`, below `/console` as a page. https://www.rfc-editor.org/rfc/rfc9457
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: its status, its title, and what usually mends it."""

    status: int
    title: str
    mend: str = ""


KINDS: Mapping[str, Kind] = MappingProxyType({
    "login": Kind(401, "Sign in first", "Sign in, or send a token as `Authorization: Bearer`."),
    "role": Kind(403, "Your role may not do this", "Ask somebody whose role may."),
    "csrf": Kind(
        403, "This did not come from a page of ours",
        "Open the page again, and repeat it.",
    ),
    "host": Kind(
        421, "This address is not ours",
        "Use the address that the node names, or set RINGBACK_CONSOLE_URL.",
    ),
    "limit": Kind(429, "Too many requests", "Wait a moment, then go on."),
    "cursor": Kind(400, "This cursor belongs to another list", "Begin at the first page."),
    "field": Kind(400, "A field is wrong", "Correct what is named."),
    "missing": Kind(404, "There is nothing here", "Look for it, or go to the front page."),
    "method": Kind(405, "This cannot be done here", "Use one of the methods that `Allow` names."),
    "gone": Kind(410, "This is no longer kept", "Rows older than the retention are deleted."),
    "conflict": Kind(
        409, "This cannot be done as things are now",
        "Look at what is true now, then decide anew.",
    ),
    "worker-away": Kind(
        503, "No worker answers",
        "Start the node with `ringback serve`; reading goes on without.",
    ),
    "paused": Kind(503, "Sending is paused", "Resume it first."),
    "slow": Kind(
        503, "This question took too long",
        "Ask for less: a shorter span, or a narrower filter.",
    ),
    "busy": Kind(503, "Too much is going on", "Try again in a moment."),
    "data": Kind(503, "The data cannot be read", "See `ringback doctor` and the log of the node."),
    "broken": Kind(500, "Something went wrong in the console", "The log of the node tells more."),
    "large": Kind(413, "This is too large", "Send less."),
    "media": Kind(
        415, "This type of content is not taken",
        "Send what the page or the manual names.",
    ),
})  # fmt: skip
"""The kinds by their slugs. The slugs are contracts: programs tell problems apart by them."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One refusal. `fields` names the fields that are wrong, each with a message; `now` is what is
    true, where it is not what the request expected; `on_record` that the worker has noted it."""

    slug: str
    detail: str = ""
    mend: str = ""
    fields: Sequence[tuple[str, str]] = ()
    now: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    on_record: bool = False

    @property
    def kind(self) -> Kind:
        """What is said of every problem of this kind."""
        return KINDS[self.slug]

    @property
    def status(self) -> int:
        """The status of the answer."""
        return self.kind.status

    def shown(self) -> dict[str, Any]:
        """The problem as JSON."""
        found: dict[str, Any] = {
            "type": f"urn:ringback:problem:{self.slug}",
            "title": self.kind.title,
            "status": self.status,
            "detail": self.detail or self.kind.title,
            "mend": self.mend or self.kind.mend,
        }
        if self.fields:
            found["fields"] = [{"name": name, "message": text} for name, text in self.fields]
        if self.now is not None:
            found["now"] = dict(self.now)
        return found


class Refusal(Exception):
    """A request that is answered with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail or problem.kind.title)
        self.problem = problem


def refuse(slug: str, detail: str = "", **more: Any) -> Refusal:
    """The refusal of this kind, to be raised."""
    return Refusal(Problem(slug, detail, **more))


def of_field(words: str) -> Refusal:
    """The refusal of a field; which one stands in front of the words of the worker, or of a command
    of the shell, where it knows."""
    lines = [line.removeprefix("ringback: ") for line in words.splitlines()]
    said = "\n".join(lines) or "The command said nothing."
    name, colon, message = said.partition(": ")
    named = bool(colon) and name.isascii() and name.isidentifier()
    return refuse("field", said, fields=((name, message),) if named else ())
