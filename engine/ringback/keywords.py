"""Keywords: the words of a text as they are compared, and those that end, begin or explain consent.

Phones write one word in several ways: é as one character or as two, letters of full width, a soft
hyphen or a space of no width inside, an apostrophe that is a letter (U+02BC), a dotted İ. All of
these are the same word. https://www.unicode.org/reports/tr15/
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

_WORD = re.compile(r"\w[\w\u0300-\u036f]*")
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe0e\ufe0f\ufeff"
    "\U000e0000-\U000e007f]"
)
"""Soft hyphens, joiners, marks of direction, variants of how an emoji is drawn."""
_APOSTROPHES = re.compile("[\u02b9\u02bb\u02bc\u02bd\u055a\ua78b\ua78c]")
_LONGEST = 40
"""A text longer than this is no keyword of consent."""

_CONSENT = {
    **dict.fromkeys(
        ("stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit", "revoke", "optout",
         "opt out"),
        "STOP",
    ),
    **dict.fromkeys(("start", "yes", "unstop"), "START"),
    **dict.fromkeys(("help", "info"), "HELP"),
}  # fmt: skip
"""Twilio's own words, https://help.twilio.com/articles/223134027."""
_ONLY_SMS = frozenset({"cancel", "end", "quit", "revoke", "yes"})
"""Those among them that mean it on SMS only, where Twilio acts on them."""


def folded(text: str) -> str:
    """A text without what makes no other word of it: case, width, composition of letters, marks
    that nobody sees."""
    if text.isascii():
        return text.casefold()
    plain = unicodedata.normalize("NFKC", _UNSEEN.sub("", text)).casefold()
    plain = plain.replace("i\u0307", "i")
    return _APOSTROPHES.sub("'", unicodedata.normalize("NFKC", plain))


def words(text: str) -> list[str]:
    """The words of a text, folded; punctuation is nothing."""
    return _WORD.findall(folded(text))


def opt_out_word(text: str, address: str = "") -> str:
    """Which of STOP, START and HELP the whole text means; empty for any other text.

    Punctuation does not count, but for a question mark: "Stop?" asks something. `address` is where
    the text comes from. Twilio's words are those of SMS; elsewhere (`whatsapp:`) "Cancel", "End"
    and "Yes" are the labels of buttons, and mean what they are the answer to.
    """
    if len(text) > _LONGEST or "?" in text or "\uff1f" in text:
        return ""
    said = _said(text)
    known = _CONSENT.get(said, "")
    elsewhere = ":" in address and not address.startswith("rcs:")
    return "" if elsewhere and said in _ONLY_SMS else known


@lru_cache(maxsize=1024)  # a text is asked about several times on its way
def _said(text: str) -> str:
    return " ".join(words(text))


def consent_word(fields: Mapping[str, str]) -> str:
    """`STOP`, `START`, `HELP`, or empty, of a text by the fields of its webhook: Twilio's own word
    for it (Advanced Opt-Out), else what the text says.

    https://www.twilio.com/docs/messaging/tutorials/advanced-opt-out
    """
    said = fields.get("OptOutType", "").strip().upper()
    if said in ("STOP", "START", "HELP"):
        return said
    return opt_out_word(fields.get("Body", ""), fields.get("From", ""))


def is_stop(fields: Mapping[str, str]) -> bool:
    """Whether this text, by the fields of its webhook, is one by which a person leaves."""
    return consent_word(fields) == "STOP"
