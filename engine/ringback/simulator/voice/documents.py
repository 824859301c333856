"""Fetching of TwiML documents by a leg, with fallbacks for those that fail.

The flow of control of https://www.twilio.com/docs/voice/twiml: verbs run from top to bottom; a verb
may go to another document and never comes back. A document that cannot be had or read is reported,
and the fallback takes its place.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urljoin, urlsplit

from ringback.simulator import twiml
from ringback.simulator.twiml import Document, Element
from ringback.simulator.voice.effects import Complain, Effect, Fetch, Opened, Send
from ringback.simulator.voice.ports import Answer, Script
from ringback.simulator.voice.results import Interrupt, Interrupted

T = TypeVar("T")
Program: TypeAlias = Generator[Effect, Any, T]

MAX_DOCUMENTS = 1000


class Failure(Exception):
    """A document that cannot be had, read or run on: Twilio's 11xxx and 12xxx."""

    def __init__(self, code: int, message: str, url: str = "") -> None:
        super().__init__(message)
        self.code, self.url = code, url


@dataclass(frozen=True, slots=True)
class Goto:
    """Outcome of a verb: leave this document, run that one."""

    fetch: Fetch


@dataclass(frozen=True, slots=True)
class Finish:
    """Outcome of a verb: end the call. `reject` names the way to refuse a call that still rings."""

    reject: str = ""


@dataclass(frozen=True, slots=True)
class Leave:
    """Outcome of a verb: leave the queue that the leg waits in."""


@dataclass(frozen=True, slots=True)
class Broken:
    """Outcome of a run: the document failed, and there was nothing to fall back on."""


Outcome: TypeAlias = Goto | Finish | Leave | Broken | None


@dataclass(frozen=True, slots=True)
class Frame:
    """Where documents run: which verbs are allowed there (None = all), and the code for others."""

    name: str
    allowed: frozenset[str] | None = None
    refusals: Mapping[str, int] | None = None


CALL = Frame("call")
WHISPER = Frame(
    "whisper",
    frozenset({"Say", "Play", "Pause", "Gather", "Redirect", "Hangup"}),
    {"Dial": 13201},
)
WAIT = Frame("wait", frozenset({"Say", "Play", "Pause", "Gather", "Redirect", "Leave", "Hangup"}))
DEQUEUE = Frame("dequeue", frozenset({"Say", "Play", "Pause", "Redirect"}))
HOLD = Frame("hold", frozenset({"Say", "Play", "Pause", "Redirect"}))

NOT_WHILE_WAITING = 13238


@dataclass(frozen=True, slots=True)
class Page:
    """The document at hand: its address (empty for a text), its frame, and how to run others."""

    base: str
    frame: Frame
    run: Callable[["Fetch | str", Frame], Program[Outcome]]

    def resolve(self, url: str, code: int = 11100) -> str:
        """Make a URL of this document absolute. Raises Failure: it is none, or has no base."""
        try:
            given = urlsplit(url)
            absolute = urljoin(self.base, url)
            host = urlsplit(absolute).hostname
        except ValueError:
            raise Failure(code, f"{url[:200]!r} is not a URL", url) from None
        if not self.base and not given.scheme:
            raise Failure(15004, f"{url!r} is relative, and TwiML sent by REST has no base", url)
        relative = not given.scheme and url
        web = given.scheme in {"http", "https"} and given.netloc
        if not (relative or web) or not host or any(c.isspace() for c in url):
            raise Failure(code, f"{url[:200]!r} is not an http(s) URL", url)
        return absolute

    def optional(self, url: str, code: int = 11100) -> str:
        """The same for an attribute that may be empty, and then stays so."""
        return self.resolve(url, code) if url else ""

    def action(self, verb: Element, purpose: str, fields: tuple[tuple[str, str], ...]) -> Goto:
        """Go where the verb's `action` says; without one, to this same document again."""
        url = self.resolve(verb.get("action") or self.base)
        return Goto(Fetch(url, verb.get("method").upper(), fields, purpose))

    def farewell(
        self, verb: Element, purpose: str, fields: tuple[tuple[str, str], ...]
    ) -> Program[None]:
        """Make the action's request for a leg that cannot run the reply any more."""
        try:
            action = self.action(verb, purpose, fields)
        except Failure as failure:
            yield Complain(failure.code, "error", str(failure), failure.url)
        else:
            yield Send(action.fetch)


Verb: TypeAlias = Callable[[Element, Page], Program[Outcome]]


def do(effect: Effect) -> Program[Any]:
    """Ask for an effect and wait for its result. Raises Interrupted when it was cut short."""
    result = yield effect
    if isinstance(result, Interrupt):
        raise Interrupted(result)
    return result


def run(
    verbs: Mapping[str, Verb], start: Fetch | str, frame: Frame, fallback: Script | None = None
) -> Program[Outcome]:
    """Run documents in a frame until one of them ends it.

    Returns None when the last verb of a document has run, else why it ended; never a Goto.
    """

    def inner(start: Fetch | str, frame: Frame) -> Program[Outcome]:
        return run(verbs, start, frame)

    at: Fetch | str = start
    for _ in range(MAX_DOCUMENTS):
        try:
            document, base = yield from _load(at)
            yield from do(Opened(base, tuple(verb.name for verb in document.verbs)))
            outcome = yield from _perform(verbs, document, Page(base, frame, inner))
        except Failure as failure:
            url = failure.url or (at.url if isinstance(at, Fetch) else "")
            yield from do(Complain(failure.code, "error", str(failure), url))
            if not (fallback and fallback.fallback_url) or _is_fallback(at):
                return Broken()
            fields = (("ErrorCode", str(failure.code)), ("ErrorUrl", url))
            at = Fetch(fallback.fallback_url, fallback.fallback_method, fields, "fallback")
            continue
        if not isinstance(outcome, Goto):
            return outcome
        at = outcome.fetch
    problem = f"more than {MAX_DOCUMENTS} documents in one call: a redirect loop"
    yield from do(Complain(12400, "error", problem))
    return Broken()


def _is_fallback(at: Fetch | str) -> bool:
    return isinstance(at, Fetch) and at.purpose == "fallback"


def _load(at: Fetch | str) -> Program[tuple[Document, str]]:
    if isinstance(at, str):
        base, document = "", twiml.parse(at.encode(), "text/xml")
    else:
        answer: Answer = yield from do(at)
        if answer.error:
            raise Failure(answer.error, answer.message, at.url)
        if not 200 <= answer.status < 300:
            raise Failure(11200, f"the web server answered HTTP {answer.status}", at.url)
        base, document = answer.url or at.url, twiml.parse(answer.body, answer.content_type)
    for problem in document.problems:
        if problem is not document.error:
            where = f" (line {problem.line}, column {problem.column})" if problem.line else ""
            yield from do(Complain(problem.code, problem.level, problem.message + where, base))
    if document.error is not None:
        raise Failure(document.error.code, document.error.message, base)
    if document.audio:
        # Sound has no URL in it: what is played is the address that it came from.
        document = replace(document, verbs=(replace(document.verbs[0], text=base),))
    return document, base


def _perform(verbs: Mapping[str, Verb], document: Document, page: Page) -> Program[Outcome]:
    for element in document.verbs:
        if page.frame.allowed is not None and element.name not in page.frame.allowed:
            code = (page.frame.refusals or {}).get(element.name, NOT_WHILE_WAITING)
            problem = f"<{element.name}> cannot be used in a {page.frame.name} document"
            yield from do(Complain(code, "error", problem, page.base))
            continue
        outcome = yield from verbs[element.name](element, page)
        if outcome is not None:
            return outcome
    return None
