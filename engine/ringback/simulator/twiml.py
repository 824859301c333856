"""Parser of TwiML: hostile documents are read safely, every fault is data, nothing raises.

The body is somebody's web page, so it may be hostile: 64 kB at most are looked at, a document type
declaration is refused before its entities exist, and nesting stops at 32. What Twilio would log
becomes a `Problem` with Twilio's code, https://www.twilio.com/docs/api/errors.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal
from xml.parsers import expat

from ringback.simulator import vocabulary
from ringback.simulator.attributes import SCHEMA_WARNING, Word

Channel = Literal["voice", "message"]
Level = Literal["error", "warning"]

MAX_BYTES = 64 * 1024
MAX_DEPTH = 32
MAX_MESSAGES = 10
MAX_PROBLEMS = 50

XML_TYPES = frozenset({"text/xml", "application/xml", "text/html", "application/xhtml+xml"})
AUDIO_TYPES = frozenset(
    {
        "audio/mpeg", "audio/mp3", "audio/wav", "audio/wave", "audio/x-wav", "audio/aiff",
        "audio/x-aifc", "audio/x-aiff", "audio/x-gsm", "audio/gsm", "audio/ulaw", "audio/basic",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Problem:
    """What Twilio would log about a document: code, words, and where (1-based; 0 = as a whole)."""

    code: int
    message: str
    line: int = 0
    column: int = 0
    level: Level = "warning"


@dataclass(frozen=True, slots=True)
class Element:
    """One verb or noun. `attributes` holds every attribute it may have, checked or defaulted."""

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    children: tuple["Element", ...] = ()
    written: frozenset[str] = frozenset()

    def get(self, name: str) -> str:
        """The value of an attribute, its default if it was not written, else an empty text."""
        return self.attributes.get(name, "")

    def number(self, name: str) -> int:
        """The value as a whole number; 0 for a limit that is not set."""
        return int(self.get(name) or 0)

    def flag(self, name: str) -> bool:
        """True when the value is `true`."""
        return self.get(name) == "true"

    def given(self, name: str) -> bool:
        """Whether the document wrote this attribute, with a legal value."""
        return name in self.written

    def nested(self, *names: str) -> Iterator["Element"]:
        """The children with one of these names, in order."""
        return (child for child in self.children if child.name in names)


@dataclass(frozen=True, slots=True)
class Document:
    """A reply as Twilio understood it: verbs to run, or the `error` that makes it worthless.

    `audio` = the reply is itself the sound, so its one `Play` has no address yet.
    """

    verbs: tuple[Element, ...] = ()
    problems: tuple[Problem, ...] = ()
    error: Problem | None = None
    audio: bool = False


def parse(body: bytes, content_type: str | None, *, channel: Channel = "voice") -> Document:
    """Read one reply to a voice or messaging request.

    Markup types are parsed. Plain text is run if it is TwiML, else spoken or sent as the message.
    Audio answers a voice request only. Anything else is 12300. Never raises.
    """
    if len(body) > MAX_BYTES:
        return _failed(11750, f"the reply has {len(body)} bytes; TwiML may have {MAX_BYTES}")
    media = (content_type or "").split(";", 1)[0].strip().lower()
    if not media:
        return _failed(12300, "the reply has no Content-Type; send text/xml")
    if channel == "voice" and media in AUDIO_TYPES:
        return Document((default_element("Play", channel),), audio=True)
    if media == "text/plain":
        return _plain(body, channel)
    if media not in XML_TYPES:
        return _failed(12300, f"Content-Type {media!r} cannot be read as TwiML; send text/xml")
    if not body.strip():
        return _failed(11770, "the reply is empty; send an empty <Response/> instead")
    return _markup(body, channel)


def default_element(name: str, channel: Channel = "voice", text: str = "") -> Element:
    """An element with all attributes at their defaults, as if the document said no more."""
    word = _words(channel)[name]
    return Element(name, {key: item.default for key, item in word.attributes.items()}, text)


def _words(channel: Channel) -> Mapping[str, Word]:
    return vocabulary.VOICE if channel == "voice" else vocabulary.MESSAGE


def _failed(code: int, message: str, line: int = 0, column: int = 0) -> Document:
    problem = Problem(code, message, line, column, "error")
    return Document((), (problem,), problem)


def _plain(body: bytes, channel: Channel) -> Document:
    """Plain text: TwiML if it reads as TwiML, else words to speak or to send."""
    if body.lstrip().startswith(b"<"):
        document = _markup(body, channel)
        if document.error is None:
            return document
    words = body.decode("utf-8", "replace").strip()
    if not words:
        return _failed(11770, "the reply is empty; send an empty <Response/> instead")
    return Document((default_element("Say" if channel == "voice" else "Message", channel, words),))


def _markup(body: bytes, channel: Channel) -> Document:
    try:
        root, problems = _Reader(channel).read(body)
    except _Refused as refused:
        return _failed(refused.code, str(refused), refused.line, refused.column)
    verbs = root.children
    if channel == "message":
        verbs, extra = _ten_messages(verbs)
        problems += extra
    return Document(verbs, tuple(problems[:MAX_PROBLEMS]))


def _ten_messages(verbs: tuple[Element, ...]) -> tuple[tuple[Element, ...], list[Problem]]:
    messages = [verb for verb in verbs if verb.name == "Message"]
    if len(messages) <= MAX_MESSAGES:
        return verbs, []
    dropped = {id(verb) for verb in messages[MAX_MESSAGES:]}
    problem = f"{len(messages)} Message elements in one reply; only {MAX_MESSAGES} are sent"
    return tuple(verb for verb in verbs if id(verb) not in dropped), [Problem(14109, problem)]


class _Refused(Exception):
    def __init__(self, code: int, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.code, self.line, self.column = code, line, column


@dataclass(slots=True)
class _Open:
    """An element whose end tag has not come yet."""

    element: Element
    word: Word
    text: list[str] = field(default_factory=list)
    children: list[Element] = field(default_factory=list)


class _Reader:
    """One pass of expat over one document, building elements as their end tags come."""

    def __init__(self, channel: Channel) -> None:
        self.words = _words(channel)
        self.folds = channel == "voice"  # a text message keeps its line breaks, speech has none
        self.problems: list[Problem] = []
        self.stack: list[_Open] = []
        self.skipping = 0  # depth inside an element that is left out
        self.root: Element | None = None
        # UTF-8 whatever the declaration says: no other decoder can be chosen by the sender.
        self.parser = expat.ParserCreate("UTF-8")
        self.parser.buffer_text = True
        self.parser.XmlDeclHandler = self._declaration
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters

    def read(self, body: bytes) -> tuple[Element, list[Problem]]:
        if b"\0" in body:
            # UTF-8 XML has no zero byte. UTF-16 has, and expat would follow its byte order mark.
            raise _Refused(12100, "the reply is not UTF-8 text", 0, 0)
        try:
            self.parser.Parse(body, True)
        except expat.ExpatError as fault:
            message = expat.ErrorString(fault.code)
            raise _Refused(12100, message, fault.lineno, fault.offset + 1) from None
        assert self.root is not None  # expat refuses a document without an element
        return self.root, self.problems

    def _refuse(self, code: int, message: str) -> None:
        here = self.parser
        raise _Refused(code, message, here.CurrentLineNumber, here.CurrentColumnNumber + 1)

    def _warn(self, code: int, message: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            here = self.parser
            self.problems.append(
                Problem(code, message, here.CurrentLineNumber, here.CurrentColumnNumber + 1)
            )

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if version != "1.0":
            self._refuse(12101, f"XML version {version[:20]!r} is not understood; declare 1.0")

    def _doctype(self, name: str, system: str | None, public: str | None, subset: bool) -> None:
        self._refuse(12100, "a document type declaration is not allowed in TwiML")

    def _start(self, name: str, given: dict[str, str]) -> None:
        if len(self.stack) + self.skipping >= MAX_DEPTH:
            self._refuse(12100, f"elements are nested deeper than {MAX_DEPTH}")
        if self.skipping:
            self.skipping += 1
        elif not self.stack:
            if name != "Response":
                self._refuse(12102, f"the root element is <{name}>, not <Response>")
            self.stack.append(_Open(Element(name), self.words["Response"]))
        elif name not in self.stack[-1].word.children:
            parent = self.stack[-1]
            self._warn(parent.word.stranger, _stranger(name, parent.element.name, self.words))
            self.skipping = 1
        else:
            self.stack.append(_Open(self._element(name, given), self.words[name]))

    def _element(self, name: str, given: dict[str, str]) -> Element:
        word = self.words[name]
        values = {key: attribute.default for key, attribute in word.attributes.items()}
        written = set()
        for key, value in given.items():
            attribute = word.attributes.get(key)
            if attribute is None:
                self._warn(SCHEMA_WARNING, f"<{name}> has no attribute {key!r}")
            elif not attribute.legal(value.strip()):
                problem = f"<{name} {key}>: {value[:80]!r} is not a legal value"
                self._warn(attribute.code, f"{problem}; {attribute.default!r} is used")
            else:
                values[key] = value.strip()
                written.add(key)
        return Element(name, values, written=frozenset(written))

    def _characters(self, data: str) -> None:
        if not self.skipping and self.stack:
            self.stack[-1].text.append(data)

    def _end(self, name: str) -> None:
        if self.skipping:
            self.skipping -= 1
            return
        done = self.stack.pop()
        text = "".join(done.text)
        element = replace(
            done.element,
            text=(re.sub(r"\s+", " ", text) if self.folds else text).strip(),
            children=tuple(done.children),
        )
        if not self.stack:
            self.root = element
            return
        parent = self.stack[-1]
        parent.children.append(element)
        if name in vocabulary.MARKUP:
            # Speech markup is heard in its place: its words belong to the sentence around it.
            parent.text.append(element.get("alias") or text)


def _stranger(name: str, parent: str, words: Mapping[str, Word]) -> str:
    if name in words:
        return f"<{name}> cannot stand inside <{parent}>; it is skipped"
    twin = {word.lower(): word for word in words}.get(name.lower())
    hint = f"; did you mean <{twin}>? Names are case-sensitive" if twin else ""
    return f"<{name[:80]}> is not known inside <{parent}>{hint}; it is skipped"
