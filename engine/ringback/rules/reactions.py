"""Reactions of phones, which reach a number of ours as texts: `Liked “We are open Mon-Fri 9-17.”`.

An iPhone writes a verb, in its own language, and quotes the text; Google Messages and newer iPhones
write an emoji: `👍 to “We are open.”`. It is a reaction to us only when what it quotes is a text of
ours, which `to_ours` says: “Liked your place. Are you open on Monday?” is a text. Pure.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from ringback.keywords import folded, words
from ringback.rules.reaction_words import BESIDE_EMOJI, DOCUMENTED, LIKELY, NAMED, TAKEN_BACK


class Reaction(NamedTuple):
    """`kind` is `like`, `love`, `dislike`, `laugh`, `emphasis`, `question`, `sticker`, an emoji, or
    `removed`; `text` what is quoted, empty for a picture. Both are empty for any other text."""

    kind: str = ""
    text: str = ""


NONE = Reaction()
Written = tuple[str, bool]
"""A text of ours, and whether pictures were with it."""

_QUOTED = re.compile(
    r"(?P<before>[^\"“”„‟«»‹›「『」』״]{0,60})[\"“”„‟«»‹「『״](?P<text>.+)[\"“”‟»«›」』״]"
    r"(?P<after>[^\"“”„‟«»‹›「『」』״]{0,40})",
    re.DOTALL,
).fullmatch
_QUOTED_ONCE = re.compile(
    r"(?P<before>[^\"'“”„‟«»‹›「『」』״‘]{0,60})\s[‘'](?P<text>.+)[’']"
    r"(?P<after>[^\"“”„‟«»‹›「『」』״]{0,40})",
    re.DOTALL,
).fullmatch
"""In single quotes, as in Dutch. They are apostrophes as well: what stands before them has none."""
_INNER = re.compile(rf"[\"“„«]\s*({NAMED}|[^\w\s\"“”„«»]{{1,8}})\s*[\"“”»]")
"""A reaction that is quoted itself: A attribué la mention « Adore » à « … »."""
_MARK = re.compile('["“”„‟«»「」]')
_KINDS = {
    " ".join(words(verb)): kind
    for known in (LIKELY, DOCUMENTED)
    for kind, verbs in known.items()
    for verb in verbs
}
_TAKEN_BACK = re.compile(TAKEN_BACK)
_EMOJI = {
    "\U0001f44d": "like", "\u2764": "love", "\u2665": "love", "\U0001f60d": "love",
    "\U0001f44e": "dislike", "\U0001f602": "laugh", "\U0001f923": "laugh", "\u203c": "emphasis",
    "!!": "emphasis", "\u2757": "emphasis", "\u2753": "question",
}  # fmt: skip
_BESIDE_EMOJI = re.compile(BESIDE_EMOJI)
_KEYCAP = re.compile("[0-9#*]\u20e3")
_MEDIA = re.compile(
    r"(?P<verb>.{2,40}?) (?:an?|una?|une|uma?|ein(?:e[nm]?)?|een|un.) ?"
    r"(?:image|photo|picture|movie|video|attachment|gif|audio message|sticker|imagen|foto|imagem|"
    r"bild|immagine|afbeelding|vidéo|vídeo|pièce jointe|archivo adjunto|anhang)"
).fullmatch
_ELLIPSES = ("…", "...")
_TRIAL = words("Sent from your Twilio trial account -")
_LEAST_CUT = 2
"""Words of a beginning that is known by its ellipsis,"""
_LEAST_LETTERS = 6
"""or letters, where none are between words, as in Japanese."""


@lru_cache(maxsize=256)
def parse(text: str) -> Reaction:
    """The reaction that a text has the form of; `NONE` for any other text."""
    if text.isascii() and '"' not in text and "'" not in text and len(text) > 60:
        return NONE
    plain = folded(text).strip()
    if len(_MARK.findall(plain)) > 2:
        plain = _INNER.sub(r"\1", plain)
    found = _QUOTED(plain) or _QUOTED_ONCE(plain)
    if found is not None:
        return Reaction(kind, found["text"].strip()) if (kind := _kind(found)) else NONE
    media = _MEDIA(plain.rstrip("."))
    if media is None:
        return NONE
    return Reaction(_verb(media["verb"]) or _by_emoji(media["verb"]))


def _kind(found: re.Match[str]) -> str:
    return _verb(f"{found['before']} {found['after']}") or _by_emoji(found["before"])


def _verb(said: str) -> str:
    plain = " ".join(words(said))
    return "removed" if _TAKEN_BACK.fullmatch(plain) else _KINDS.get(plain, "")


def _by_emoji(before: str) -> str:
    """The kind of `👍 to`, `Reacted 🎉 to`: an emoji with nothing but a word or two beside it."""
    key = _KEYCAP.search(before)
    if key is not None:
        before = before.replace(key[0], "")
    shown = key[0] if key else "".join(letter for letter in before if _is_emoji(letter))
    shown = shown or ("!!" if "!!" in before else "")
    beside = " ".join(words(before))
    if not shown or not _BESIDE_EMOJI.fullmatch(beside):
        return ""
    return _EMOJI.get(shown, _EMOJI.get(shown[0], shown))


def _is_emoji(letter: str) -> bool:
    return ord(letter) >= 0x1F000 or unicodedata.category(letter) == "So" or letter == "\u203c"


def to_ours(reaction: Reaction, written: Iterable[Written]) -> Reaction:
    """The reaction with our own text in it, as we wrote it; `NONE` when it is to none of these. It
    quotes the text whole, or its beginning and an ellipsis; one to a picture is to the last text
    that had one."""
    if not reaction.kind:
        return NONE
    if not reaction.text:
        return next((Reaction(reaction.kind, body) for body, media in written if media), NONE)
    quoted = words(reaction.text)
    if quoted[: len(_TRIAL)] == _TRIAL:
        quoted = quoted[len(_TRIAL) :]
    enough = len(quoted) >= _LEAST_CUT or len("".join(quoted)) >= _LEAST_LETTERS
    cut = reaction.text.endswith(_ELLIPSES) and enough
    for body, _ in written:
        ours = words(body)
        same = quoted == ours if quoted else reaction.text == folded(body).strip()
        if same or (cut and _begins(quoted, ours)):
            return Reaction(reaction.kind, body)
    return NONE


def _begins(quoted: list[str], ours: list[str]) -> bool:
    """Whether a text of ours begins so; the last word may be cut off."""
    *whole, last = quoted
    size = len(whole)
    return ours[:size] == whole and size < len(ours) and ours[size].startswith(last)
