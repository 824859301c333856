"""Numbers in texts: read as people write them, and written as people read them.

People group figures by comma, dot, apostrophe or space, and write decimals behind a dot or a comma.
Exactly three figures behind a single dot or comma are thousands (`9.000 EUR`, `1,500`), unless
nothing but a zero stands before (`0,125`). Digits of every script count. Halves, thirds, quarters
and eighths are read (`½`, `1/2`, `2 3/4`); of any other pair the first number, as `9/10` is a mark
and `12/31` a day. A percent sign and units are not read: `5%` and `5 km` are 5.
"""

import re
import unicodedata
from decimal import Decimal

_SPACE = " \u00a0\u2009\u202f"
_LONGEST = 30
_SCALES = {
    "k": 1_000, "thousand": 1_000, "million": 10**6, "millions": 10**6, "mio": 10**6, "mn": 10**6,
    "billion": 10**9, "billions": 10**9, "bn": 10**9,
}  # fmt: skip
_SIGNS = "\u00bc-\u00be\u2150-\u215e"
_PARTS = "1[/\u2044][2348] | 2[/\u2044]3 | 3[/\u2044][48] | [57][/\u2044]8"
_END = r"(?! [\d/\u2044] | [.,]\d )"
_NUMBER = re.compile(
    rf"""
    (?P<sign> (?<!\w) [-+\u2212] )?
    [$€£¥₹₽₩₺₪฿]? [{_SPACE}]?
    (?:
      (?P<sliver> [{_SIGNS}] | (?<![\d/.,]) (?: {_PARTS} ) {_END} )
    | (?P<count> \d{{1,{_LONGEST}}} ) (?P<more> [ ]?[{_SIGNS}] | [ ](?: {_PARTS} ) {_END} )
    | (?P<grouped> (?!0) \d{{1,3}} (?P<by> [.,'’\u066c{_SPACE}] ) \d{{3}} (?: (?P=by) \d{{3}} )* )
      (?: (?! (?P=by) ) [.,\u066b] (?P<rest> \d{{1,{_LONGEST}}} ) )?
      (?! \d | (?P=by) \d )
    | (?P<lakhs> (?!0) \d{{1,2}} (?: ,\d{{2}} )+ ,\d{{3}} ) (?: \. (?P<part> \d{{1,{_LONGEST}}} ) )?
      (?! ,?\d )
    | (?P<plain> \d{{1,{_LONGEST}}} )
      (?: [.,\u066b] (?P<decimals> \d{{1,{_LONGEST}}} ) (?! [.,]?\d ) )?
    | (?<!\w) \. (?P<only> \d{{1,{_LONGEST}}} )
    )
    (?: [{_SPACE}]? (?P<scale> {"|".join(sorted(_SCALES, reverse=True))} ) (?!\w)
      | (?P<mega> (?-i:M) ) (?!\w) )?
    """,
    re.VERBOSE | re.IGNORECASE,
)


_WIDE = {wide: wide - 0xFEE0 for wide in range(0xFF0B, 0xFF1A)} | {0xFFE5: 0xA5, 0xFFE1: 0xA3}
"""Signs and digits of full width, as keyboards of East Asia write them: `９，０００`, `￥`."""


def has_number(text: str) -> bool:
    """Whether there is a number in the text."""
    return _NUMBER.search(text.translate(_WIDE)) is not None


def number(text: str) -> float:
    """The first number in a text. Raises ValueError when there is none."""
    found = _NUMBER.search(text.translate(_WIDE))
    if not found:
        raise ValueError("no number in the text")
    whole = found["grouped"] or found["lakhs"] or found["plain"] or found["count"] or "0"
    figures = "".join(letter for letter in whole if letter.isdecimal())
    rest = found["rest"] or found["part"] or found["decimals"] or found["only"] or "0"
    scale = _SCALES[found["scale"].lower()] if found["scale"] else 10**6 if found["mega"] else 1
    fraction = _fraction(found["sliver"] or found["more"] or "")
    value = float(Decimal(f"{figures}.{rest}") * scale) + fraction * scale
    return -value if found["sign"] in ("-", "\u2212") else value


def _fraction(text: str) -> float:
    """The value of `½`, `1/2` or nothing."""
    top, _, bottom = unicodedata.normalize("NFKC", text).replace("\u2044", "/").partition("/")
    return int(top) / int(bottom) if bottom else 0.0


def number_text(value: float) -> str:
    """A number in figures, never rounded and never in powers of ten: `1234567.89`, `5`.

    Of `0.1 + 0.2` it writes 0.3: what only the arithmetic of binary fractions has added, behind
    the fifteenth figure, is left away.
    """
    if value.is_integer():
        return str(int(value))
    exact, usual = Decimal(repr(value)), Decimal(f"{value:.15g}")
    if not exact.is_finite():
        return str(value)
    noise = len(usual.as_tuple().digits) < 11 and len(exact.as_tuple().digits) > 15
    return f"{usual if noise else exact:f}"


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 event`, `20,114 events`, `902 people`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
