"""TwiML out of voice verbs and message texts: well-formed for every text that anybody may write.

https://www.twilio.com/docs/voice/twiml
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

from ringback.errors import UsageError
from ringback.verbs import VERBS, Twiml, Verb, VoiceVerb, spelt

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
EMPTY = DECLARATION + "<Response/>"
"""The answer that does nothing: no reply to a message; a call is hung up."""

MAX_BYTES = 64 * 1024
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


def followed(written: str, more: str) -> str:
    """A voice document that goes on with the verbs of another one. What cannot be read, or would
    become too large, is left away."""
    try:
        root = ElementTree.fromstring(written)
        root.extend(ElementTree.fromstring(more))
        return _written(root)
    except (ElementTree.ParseError, UsageError):
        return written


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


def _append(parent: ElementTree.Element, verb: VoiceVerb, absolute: bool) -> None:
    """Add the element of a verb, field by field. What equals a field's default is left out."""
    element = ElementTree.SubElement(parent, type(verb).__name__)
    given: set[str] = set()
    nouns: list[str] = []
    on_nouns: dict[str, str] = {}
    for item, how in spelt(type(verb)):
        value = getattr(verb, item.name)
        if how.place == "noun":
            nouns.append(item.name)
            if _add_nouns(element, verb, item.name, how):
                given.add(item.name)
            continue
        if value == item.default or how.place == "nowhere":
            continue
        if how.place == "verbs":
            _inside(element, verb, value, absolute)
            continue
        text = _text(verb, item.name, value, how, absolute)
        if text:
            given.add(item.name)
        if how.place == "attribute":
            element.set(how.name, text)
        elif how.place == "text":
            element.text = text or None
        else:
            on_nouns[how.name] = text
            if how.beside[0]:
                on_nouns[how.beside[0]] = how.beside[1]
    for noun in element if on_nouns else ():
        noun.attrib.update(on_nouns)
    if nouns and len(given.intersection(nouns)) != 1:
        raise UsageError(f"{verb.verb}: needs exactly one of {_listed(nouns, 'and')}")
    if verb.either and not given.intersection(verb.either):
        raise UsageError(f"{verb.verb}: needs {_listed(verb.either, 'or')}")


def _add_nouns(element: ElementTree.Element, verb: VoiceVerb, name: str, how: Twiml) -> bool:
    """Add the noun of a field, or one for each of its entries; whether there is any."""
    value = getattr(verb, name)
    values = value if isinstance(value, tuple) else (value,)
    texts = [_text(verb, name, each, how, False) for each in values]
    for text in filter(None, texts):
        noun, address = _noun(how.name, text)
        ElementTree.SubElement(element, noun).text = address
    return any(texts)


def _noun(name: str, text: str) -> tuple[str, str]:
    """The noun of an address: a number may also be a SIP address or a client.

    https://www.twilio.com/docs/voice/twiml/sip
    """
    if name == "Number" and text.lower().startswith(("sip:", "sips:")):
        return "Sip", text
    if name == "Number" and text.startswith("client:"):
        return "Client", text.removeprefix("client:")
    return name, text


def _inside(
    element: ElementTree.Element, verb: VoiceVerb, inner: Iterable[Any], absolute: bool
) -> None:
    for each in inner:
        if not each.prompt:
            words = _listed([cls.verb for cls in VERBS.values() if cls.prompt], "or")
            raise UsageError(f"{verb.verb}: a prompt is {words}, not {each.verb}")
        _append(element, each, absolute)


def _text(verb: VoiceVerb, name: str, value: Any, how: Twiml, absolute: bool) -> str:
    """A field's value as text. Raises UsageError for one that Twilio does not take."""
    if isinstance(value, bool):
        return str(value).lower()
    text = clean(str(value))
    if how.least:
        text = text.strip()
    if len(text) < how.least:
        raise UsageError(f"{verb.verb}: needs {name}")
    if how.most and len(text) > how.most:
        raise UsageError(f"{verb.verb}: {name} has {len(text)} characters, Twilio takes {how.most}")
    if how.choices and value not in how.choices:
        raise UsageError(f"{verb.verb}: {name} is {_listed(how.choices, 'or')}, not {value!r}")
    return _url(verb, text, absolute) if how.url and text else text


def _listed(words: Sequence[str], last: str) -> str:
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _url(verb: VoiceVerb, url: str, absolute: bool) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise UsageError(f"{verb.verb}: {url!r} is not a URL") from None
    if parts.scheme and parts.scheme not in ("http", "https"):
        raise UsageError(f"{verb.verb}: {url!r} is not an http or https URL")
    if absolute and not (parts.scheme and parts.netloc):
        raise UsageError(
            f"{verb.verb}: {url!r} must be absolute, TwiML sent by REST has no base URL"
        )
    return url
