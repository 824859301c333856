"""Keywords: one word in whatever form a phone writes it."""

import pytest

from ringback.keywords import folded, opt_out_word, words
from ringback.rules.functions.builtins import begins_with, has_all, is_phrase, keyword

SAME = {
    "one character and two": ("caf\u00e9", "cafe\u0301"),
    "two characters and one": ("nin\u0303o", "ni\u00f1o"),
    "letters of full width": ("hours", "\uff48\uff4f\uff55\uff52\uff53"),
    "a soft hyphen": ("hours", "ho\u00adurs"),
    "a space of no width": ("hours", "\u200bhours\u200b"),
    "a joiner": ("hours", "hou\u200drs"),
    "a byte order mark": ("hours", "\ufeffhours"),
    "a mark of direction": ("hours", "\u202ahours\u202c"),
    "an apostrophe that is a letter": ("don't", "don\u02bct"),
    "a curly apostrophe": ("don't", "don\u2019t"),
    "a reversed comma": ("o'zbek", "o\u02bbzbek"),
    "an acute accent for an apostrophe": ("don't", "don\u00b4t"),
    "a dotted capital": ("iptal", "\u0130PTAL"),
    "a ligature": ("office", "o\ufb03ce"),
    "a sharp s": ("strasse", "Stra\u00dfe"),
    "a final sigma": ("\u03c3\u03c4\u03bf\u03c3", "\u03a3\u03a4\u039f\u03a3"),
    "mathematical letters": ("hours", "\U0001d421\U0001d428\U0001d42e\U0001d42b\U0001d42c"),
}


@pytest.mark.parametrize(("plain", "written"), SAME.values(), ids=list(SAME))
def test_a_word_is_the_same_in_every_unicode_form(plain: str, written: str) -> None:
    for one, other in ((plain, written), (written, plain)):
        assert keyword(f"So: {one}!", [other])
        assert begins_with(f"{one}, please", [other])
        assert has_all(f"please {one}", [other, "please"])
        assert is_phrase(f" {one}. ", [other])
    assert words(f"a {written} b") == ["a", *words(plain), "b"]


@pytest.mark.parametrize(
    ("text", "other"),
    [("cafe", "caf\u00e9"), ("\u0131ptal", "iptal"), ("ST\u039fP", "stop"), ("hours", "our")],
)
def test_another_letter_makes_another_word(text: str, other: str) -> None:
    assert not keyword(text, [other])


STOPS = [
    "STOP", " Stop. ", "\u201cStop\u201d", "\u2018stop\u2019", "\u00abstop\u00bb", "st\u00adop",
    "\uff33\uff34\uff2f\uff30", "\u200bSTOP\u200b", "STOP\uff01", "stop all", "Stop-All", "OPT-OUT",
    "opt out", "unsubscr\u0130be", "Stop \u2764\ufe0f",
]  # fmt: skip
ORDINARY = [
    "Stop?", "stop\uff1f", "please stop", "STOP 12345", "STOP\nSTOP", "", "ST\u039fP", "stopp",
    "the end",
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "word"),
    [
        *((text, "STOP") for text in STOPS),
        ("\u201cYes\u201d", "START"),
        ("UNSTOP", "START"),
        ("\uff48\uff45\uff4c\uff50", "HELP"),
        ("info!", "HELP"),
        *((text, "") for text in ORDINARY),
    ],
)
def test_a_word_of_consent_is_known_in_every_unicode_form(text: str, word: str) -> None:
    assert opt_out_word(text) == word


def test_what_is_plain_ascii_is_only_made_small() -> None:
    assert folded("Don't STOP -- 5") == "don't stop -- 5"
