"""Segments of a text.

https://www.twilio.com/docs/glossary/what-sms-character-limit

GSM-7: 160 characters in one, 153 in each of several; one character outside it turns the whole text
into UCS-2: 70 UTF-16 units in one, 67 in each of several. No pair is split between two segments.
"""

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("^{}\\[~]|€\f")

_SMART = str.maketrans(
    {
        "‘": "'", "’": "'", "‚": "'", "‛": "'", "“": '"', "”": '"', "„": '"', "‟": '"',
        "–": "-", "—": "-", "‐": "-", "‑": "-", "−": "-", "…": "...", "\u00a0": " ",
        "\u2009": " ", "\u200b": "", "•": "-", "‹": "<", "›": ">", "«": '"', "»": '"',
    }
)  # fmt: skip


def smart(text: str) -> str:
    """Replace look-alike Unicode by GSM-7, as `SmartEncoded` asks."""
    return text.translate(_SMART)


def is_gsm(text: str) -> bool:
    """Whether every character exists in GSM-7."""
    return all(letter in _BASIC or letter in _EXTENDED for letter in text)


def count(text: str) -> int:
    """The number of segments; an empty text takes one."""
    if _BASIC.issuperset(text):  # the most of all texts, and this is asked for every one
        return 1 if len(text) <= 160 else -(-len(text) // 153)
    if is_gsm(text):
        sizes = [2 if letter in _EXTENDED else 1 for letter in text]
        return _pack(sizes, 160, 153)
    return _pack([2 if ord(letter) > 0xFFFF else 1 for letter in text], 70, 67)


def _pack(sizes: list[int], alone: int, each: int) -> int:
    if sum(sizes) <= alone:
        return 1
    segments, used = 1, 0
    for size in sizes:
        if used + size > each:
            segments, used = segments + 1, 0
        used += size
    return segments
