"""Segments of a text: how many it takes, with what counts double and is never split."""

import pytest

from ringback.twilio.segments import count, is_gsm, smart

ZWJ_FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
TEXTS = [
    ("", 1),
    ("a" * 160, 1),
    ("a" * 161, 2),
    ("a" * 306, 2),
    ("a" * 307, 3),
    # a letter that GSM-7 escapes counts double
    ("€" * 80, 1),
    ("€" * 81, 2),
    ("{[]}|~^\\" * 10, 1),
    ("{[]}|~^\\" * 10 + "a", 2),
    # and its escape is never the last of a segment
    ("a" * 152 + "€" + "a" * 151, 2),
    ("a" * 152 + "€" + "a" * 152, 3),
    # one letter outside of GSM-7 makes the whole text UCS-2
    ("я" * 70, 1),
    ("я" * 71, 2),
    ("a" * 69 + "ы", 1),
    ("a" * 70 + "ы", 2),
    ("я" * 134, 2),
    ("я" * 135, 3),
    ("`" + "a" * 70, 2),
    # an emoji is a pair, which is never split
    ("😀" * 35, 1),
    ("😀" * 36, 2),
    ("я" * 66 + "😀" + "я" * 65, 2),
    ("я" * 66 + "😀" + "я" * 66, 3),
    (ZWJ_FAMILY * 8, 1),
    (ZWJ_FAMILY * 9, 2),
]


@pytest.mark.parametrize(("text", "segments"), TEXTS)
def test_a_text_takes_so_many_segments(text: str, segments: int) -> None:
    assert count(text) == segments


def test_look_alikes_are_what_gsm_has_with_smart_encoding() -> None:
    text = "“We’re open” – see you…"
    assert not is_gsm(text)
    assert is_gsm(smart(text))
    assert (count(text * 4), count(smart(text * 4))) == (2, 1)
