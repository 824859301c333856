"""Text of strangers on pages: nothing of it becomes markup, turns the page around or hides."""

import html
import re
import unicodedata

import pytest

from ringback.console import times
from ringback.console.page import environment
from ringback.console.text import IN_LISTS, number, said

HOSTILE = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"><svg onload=alert(1)>",
    "{{7*7}}", "${7*7}", "</bdi></table><h1>x", "<!--", "&lt;b&gt;", "javascript:alert(1)",
    "a\u202eb\u202dc\u2066d\u2069", "\u200b\u200c\u200d\u2060\ufeff", "\x00\x07\x1b[31m",
    "Z" + "\u0301" * 300, "\u0e49" * 80, "\ud800lone", "\U000e0041\U000e007f", "\ue000\uf8ff",
    "\u2028\u2029", "x" * 10_000, "\n" * 50, "p\u0430yp\u0430l.com", "аррӏе", "مرحبا <b>", "שלום",
    "\U0010ffff", "\u034f\u115f\u1160\u3164", "' onmouseover='x", "\\u003cscript\\u003e",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("most", [IN_LISTS, 4000])
def test_nothing_becomes_markup_and_nothing_hides(text: str, most: int) -> None:
    """All tags are ours; no letter is left that cannot be seen or that turns the text around; the
    tower of accents is cut; the length is."""
    made = str(said(text, most))
    assert made.startswith('<bdi class="said">')
    tags = re.findall(r"<[^>]*>", made)
    own = r'</?(bdi|span)( class="(said|odd|host|rest|mixed)")?( title="mixes letters of [\w ]+")?>'
    assert all(re.fullmatch(own, tag) for tag in tags), tags
    shown = html.unescape(re.sub(r"<[^>]*>", "", made))
    odd = [
        c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp")
    ]
    assert set(odd) <= {"\n"}
    if most == IN_LISTS:
        assert "\n" not in shown
    assert not re.search(r"[\u0300-\u036f\u0e49]{4}", shown)
    assert len(shown) < most * 8 + 200
    made.encode("utf-8")


def test_what_is_harmless_stays_as_it_is() -> None:
    """Emoji with their joiners, accents, other scripts alone, what looks like an entity."""
    for text in ("👩‍👩‍👧 ok ❤️", "naïve café", "мир", "a & b", "1 < 2", "#️⃣"):
        shown = html.unescape(re.sub(r"<[^>]*>", "", str(said(text))))
        assert shown == text
    assert str(said("one\ntwo")).count("\n") == 1


def test_what_is_odd_is_named() -> None:
    """The code of a letter, how many marks, which alphabets, the true name of a host."""
    assert "U+202E" in said("a\u202eb")
    assert "+17 marks" in said("Z" + "\u0301" * 20)
    assert "mixes letters of Cyrillic and Latin" in said("p\u0430ypal")
    assert "xn--pypal-4ve.com" in said("http://p\u0430ypal.com/x")
    assert "12,000 letters" in said("x" * 12_000)


def test_numbers_are_written_in_groups() -> None:
    """Whole ones; what was masked before, and what is none, as it is."""
    for given, shown in (
        ("+14155550118", "+1 415 555 0118"), ("+442079460000", "+44 207 946 0000"),
        ("+1 415 ••• ••18 ·kfa", "+1 415 ••• ••18 ·kfa"), ("client:joe", "client:joe"), ("", ""),
    ):  # fmt: skip
        assert re.sub(r"<[^>]*>", "", str(number(given))) == shown


@pytest.mark.parametrize("text", HOSTILE)
def test_what_no_template_thought_of_is_harmless_too(text: str) -> None:
    """Any text that a template writes, in the page or in an attribute."""
    made = environment("/x").from_string('<p title="{{ text }}">{{ text }}</p>').render(text=text)
    page = re.fullmatch(r'<p title="([^"<>]*)">([^<>]*)</p>', made, re.S)
    assert page, made
    assert page[1] == page[2]
    shown = html.unescape(page[1])
    odd = {c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Co", "Cn", "Cs")}
    assert odd <= {"\n"}
    assert not re.search(r"[\u0300-\u036f\u0e49]{4}", shown)


def test_what_a_form_sends_back_is_not_changed() -> None:
    """`as_is` escapes, and changes nothing else."""
    text = 'a\u202e"<b>\u200f'
    made = environment("/x").from_string("{{ text|as_is }}").render(text=text)
    assert html.unescape(made) == text
    assert '"' not in made


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0412, "41 ms"), (59.94, "59.9 s"), (119.6, "2 min"), (574.0, "9 min 34 s"),
     (886.7, "15 min"), (957.8, "16 min"), (7200.0, "2.0 h")],
)  # fmt: skip
def test_a_span_is_rounded_in_each_of_its_units(seconds: float, words: str) -> None:
    assert times.span(seconds) == words
