"""Text of strangers, carriers and plugins, made harmless to look at.

Jinja escapes it; this makes it plain besides. Letters that cannot be seen, or that turn the text
around, are boxes with their code; a tower of accents is cut; a word that mixes alphabets is marked;
a name of a host that only looks like another has its true spelling beside it. The whole stands in
`<bdi>`, so that its direction stays its own.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from markupsafe import Markup, escape

from ringback.rules.language.phones import calling_code

IN_LISTS, ON_PAGES = 80, 4000
MOST_MARKS = 3
_ODD = ("Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp")
_JOINERS = "\u200d\ufe0e\ufe0f"
_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "HEBREW", "ARABIC")
_E164 = re.compile(r"\+[1-9]\d{6,14}")
_WORD = re.compile(r"\w+")
_HOST = re.compile(r"(?:https?://)?((?:[^\W_][\w-]*\.)+[^\W_]{2,})", re.IGNORECASE)


def said(text: object, most: int = ON_PAGES) -> Markup:
    """A text as HTML. Of more than `most` letters the beginning is shown, and how many there are;
    in lists, which show few, it stays on one line."""
    given = str(text)
    shown = given[:most]
    if shown.isascii() and shown.isprintable() and len(given) == len(shown):
        return Markup(
            f'<bdi class="said">{escape(shown)}</bdi>'
        )  # as most are: nothing to look for
    parts = [Markup('<bdi class="said">'), *_words(shown, most <= IN_LISTS)]
    if len(given) > len(shown):
        parts.append(_box(f"… {len(given):,} letters", "rest"))
    return Markup("").join([*parts, Markup("</bdi>")])


@lru_cache(maxsize=4096)
def number(text: str) -> Markup:
    """A number in groups, as `+1 415 555 0118`; anything else as a text."""
    if not _E164.fullmatch(text):
        return said(text, IN_LISTS)
    code = calling_code(text) or text[1]
    rest = text[1 + len(code) :]
    groups = [rest[:3], *([rest[3:6], rest[6:]] if len(rest) > 6 else [rest[3:]])]
    return said(" ".join(("+" + code, *(each for each in groups if each))), IN_LISTS)


def plain(text: object) -> str:
    """A text on one line for where no HTML may be: without letters that cannot be seen."""
    return "".join(
        letter if unicodedata.category(letter) not in _ODD else "\ufffd" for letter in str(text)
    )


class AsIs(str):
    """A text that a template writes as it is, but escaped: what a form sends back unchanged."""

    __slots__ = ()


def tamed(value: Any) -> Any:
    """What a template writes in place of a value, also in an attribute: of a plain text each letter
    that cannot be seen, or that turns the text around, as its code in brackets, and no tower of
    accents. It is for what was not given to `said`, which boxes them."""
    if type(value) is not str or (value.isascii() and value.isprintable()):
        return value
    shown, marks, before = [], 0, ""
    for letter in value:
        category = unicodedata.category(letter)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        odd = category in _ODD and letter not in "\n\r\t"
        if odd and not (letter in _JOINERS and _is_picture(before)):
            shown.append(f"[U+{ord(letter):04X}]")
        elif marks <= MOST_MARKS:
            shown.append(letter)
        before = letter
    return "".join(shown)


def _words(text: str, one_line: bool) -> Iterator[Markup]:
    at = 0
    for found in _WORD.finditer(text):
        yield from _letters(text[at : found.start()], one_line)
        mixed = _scripts(found.group())
        inside = Markup("").join(_letters(found.group(), one_line))
        if len(mixed) > 1:
            names = " and ".join(sorted(name.capitalize() for name in mixed))
            yield Markup('<span class="mixed" title="mixes letters of {}">{}</span>').format(
                names, inside
            )
        else:
            yield inside
        at = found.end()
    yield from _letters(text[at:], one_line)
    for host in dict.fromkeys(found.group(1) for found in _HOST.finditer(text)):
        true = _punycode(host)
        if true:
            yield _box(true, "host")


def _letters(text: str, one_line: bool) -> Iterator[Markup]:
    run: list[str] = []
    marks, before = 0, ""
    for letter in text:
        category = unicodedata.category(letter)
        if category in ("Mn", "Me"):
            marks += 1
            if marks <= MOST_MARKS or letter in _JOINERS:
                run.append(letter)
                continue
            if marks == MOST_MARKS + 1:
                yield from _flushed(run)
            continue
        if marks > MOST_MARKS:
            yield _box(f"+{marks - MOST_MARKS} marks")
        marks = 0
        if letter in "\n\r\t" and category == "Cc":
            run.append(" " if one_line or letter != "\n" else "\n")
        elif category in _ODD and not (letter in _JOINERS and _is_picture(before)):
            yield from _flushed(run)
            yield _box(f"U+{ord(letter):04X}")
        else:
            run.append(letter)
        before = letter
    if marks > MOST_MARKS:
        yield from _flushed(run)
        yield _box(f"+{marks - MOST_MARKS} marks")
    yield from _flushed(run)


def _flushed(run: list[str]) -> Iterator[Markup]:
    if run:
        yield escape("".join(run))
        run.clear()


def _box(text: str, kind: str = "odd") -> Markup:
    return Markup('<span class="{}">{}</span>').format(kind, text)


def _is_picture(letter: str) -> bool:
    """Whether a letter is one of an emoji, so that a joiner behind it belongs there."""
    return bool(letter) and (
        unicodedata.category(letter) in ("So", "Sk")
        or letter in _JOINERS
        or letter in "#*0123456789"
    )


def _scripts(word: str) -> set[str]:
    names = (unicodedata.name(letter, "").partition(" ")[0] for letter in word)
    return {name for name in names if name in _SCRIPTS}


def _punycode(host: str) -> str:
    if host.isascii():
        return ""
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return "no name of a host"
