"""TwiML out of voice verbs and message texts: well-formed for every text that anybody may write.

https://www.twilio.com/docs/voice/twiml
"""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit
from xml.etree import ElementTree

from ringback.actions import (
    Dial,
    Enqueue,
    Gather,
    Hangup,
    Pause,
    Play,
    Record,
    Redirect,
    Reject,
    Say,
    Verb,
)
from ringback.errors import UsageError

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
EMPTY = DECLARATION + "<Response/>"
"""The answer that does nothing: no reply to a message; a call is hung up."""

MAX_BYTES = 64 * 1024
MAX_SAY = 4096
MAX_MESSAGES = 10

# All that XML 1.0 forbids: control characters, lone surrogates, the two non-characters.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """The text without what XML cannot carry, such as control characters and lone surrogates."""
    return _FORBIDDEN.sub("", text)


def document(verbs: Iterable[Verb], *, absolute: bool = False) -> str:
    """The voice document that runs these verbs in order.

    `absolute` is for TwiML that travels in a REST request: it has no base, so a relative URL in it
    would fail at Twilio (15004). Raises UsageError for what no call could run: a verb without what
    it needs, a text over 4096 characters, a bad URL, a document over 64 KiB.
    """
    root = ElementTree.Element("Response")
    for verb in verbs:
        _append(root, verb, absolute)
    return _written(root)


def message_document(texts: Iterable[str]) -> str:
    """The document that answers an inbound message with these texts, at most ten."""
    root = ElementTree.Element("Response")
    for text in texts:
        ElementTree.SubElement(root, "Message").text = clean(text)
    if len(root) > MAX_MESSAGES:
        raise UsageError(f"a reply holds at most {MAX_MESSAGES} messages, this one has {len(root)}")
    return _written(root)


def _written(root: ElementTree.Element) -> str:
    if not len(root):
        return EMPTY
    text = DECLARATION + ElementTree.tostring(root, encoding="unicode")
    if len(text.encode()) > MAX_BYTES:
        raise UsageError("the TwiML document is larger than the 64 KiB that Twilio reads")
    return text


def _append(parent: ElementTree.Element, verb: Verb, absolute: bool) -> None:
    match verb:
        case Say():
            if len(verb.text) > MAX_SAY:
                raise UsageError(f"say: {len(verb.text)} characters, Twilio speaks {MAX_SAY}")
            _add(
                parent,
                "Say",
                verb.text,
                voice=verb.voice,
                language=verb.language,
                loop=_unless(verb.loop, 1),
            )
        case Play():
            if not verb.url and not verb.digits:
                raise UsageError("play: needs a url, or digits to play as tones")
            url = _url("play", verb.url, absolute) if verb.url else ""
            _add(parent, "Play", url, loop=_unless(verb.loop, 1), digits=verb.digits)
        case Pause():
            _add(parent, "Pause", length=_unless(verb.length, 1))
        case Enqueue():
            _add(
                parent,
                "Enqueue",
                _name("enqueue", "queue", verb.queue),
                waitUrl=_url("enqueue", verb.wait_url, absolute),
                action=_url("enqueue", verb.action, absolute),
            )
        case Gather():
            _gather(parent, verb, absolute)
        case Record():
            _add(
                parent,
                "Record",
                action=_url("record", verb.action, absolute),
                maxLength=_unless(verb.max_length, 3600),
                timeout=_unless(verb.timeout, 5),
                finishOnKey=None if verb.finish_on_key == "1234567890*#" else verb.finish_on_key,
                playBeep=None if verb.play_beep else "false",
                transcribe="true" if verb.transcribe else None,
            )
        case Dial():
            _dial(parent, verb, absolute)
        case Redirect():
            if not verb.url:
                raise UsageError("redirect: needs the url of the TwiML to go on with")
            _add(parent, "Redirect", _url("redirect", verb.url, absolute))
        case Reject():
            if verb.reason not in ("rejected", "busy"):
                raise UsageError(f"reject: the reason is rejected or busy, not {verb.reason!r}")
            _add(parent, "Reject", reason=None if verb.reason == "rejected" else verb.reason)
        case Hangup():
            _add(parent, "Hangup")


def _gather(parent: ElementTree.Element, verb: Gather, absolute: bool) -> None:
    gather = _add(
        parent,
        "Gather",
        action=_url("gather", verb.action, absolute),
        input=None if verb.input == "dtmf" else verb.input,
        numDigits=_unless(verb.num_digits, 0),
        timeout=_unless(verb.timeout, 5),
        # An empty finishOnKey means "no key ends it", so it must be written.
        finishOnKey=None if verb.finish_on_key == "#" else clean(verb.finish_on_key),
        language=verb.language,
        hints=verb.hints,
    )
    for prompt in verb.prompts:
        if not isinstance(prompt, Say | Play | Pause):
            raise UsageError(f"gather: a prompt is say, play or pause, not {prompt.verb}")
        _append(gather, prompt, absolute)


def _dial(parent: ElementTree.Element, verb: Dial, absolute: bool) -> None:
    nouns = {
        "Number": verb.number,
        "Queue": verb.queue,
        "Conference": verb.conference,
        "Client": verb.client,
    }
    given = {noun: target for noun, target in nouns.items() if target}
    if len(given) != 1:
        raise UsageError("dial: needs exactly one of number, queue, conference and client")
    dial = _add(
        parent,
        "Dial",
        callerId=verb.caller_id,
        timeout=_unless(verb.timeout, 30),
        action=_url("dial", verb.action, absolute),
    )
    for noun, target in given.items():
        _add(dial, noun, target)


def _add(
    parent: ElementTree.Element, tag: str, text: str = "", **attributes: str | None
) -> ElementTree.Element:
    """Add an element. None leaves an attribute out; so does "" where empty means nothing."""
    kept = {
        name: clean(value)
        for name, value in attributes.items()
        if value or (value == "" and name == "finishOnKey")
    }
    element = ElementTree.SubElement(parent, tag, kept)
    element.text = clean(text) or None
    return element


def _unless(number: int, default: int) -> str | None:
    return None if number == default else str(number)


def _name(verb: str, what: str, name: str) -> str:
    cleaned = clean(name).strip()
    if not 1 <= len(cleaned) <= 64:
        raise UsageError(f"{verb}: the {what}'s name has 1 to 64 characters, not {len(cleaned)}")
    return cleaned


def _url(verb: str, url: str, absolute: bool) -> str:
    if not url:
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise UsageError(f"{verb}: {url!r} is not a URL") from None
    if parts.scheme and parts.scheme not in ("http", "https"):
        raise UsageError(f"{verb}: {url!r} is not an http or https URL")
    if absolute and not (parts.scheme and parts.netloc):
        raise UsageError(f"{verb}: {url!r} must be absolute, TwiML sent by REST has no base URL")
    return url
