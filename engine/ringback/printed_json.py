"""JSON text that changes nothing on a terminal or in an editor that shows it.

Control characters of the second set (C1), marks that turn the direction of writing, and whatever
else is not printed are escaped. Letters of all languages stay as they are. A program reads the same
strings. https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing
"""

import json
from typing import Any


def printed_json(value: object, **layout: Any) -> str:
    """A value as JSON. `layout` is that of `json.dumps`; what JSON does not know becomes text.

    Half a surrogate pair, which no encoding can write, is escaped as well.
    """
    text = json.dumps(value, ensure_ascii=False, default=str, **layout)
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign == "\n" else _escaped(sign) for sign in text)


def _escaped(sign: str) -> str:
    code = ord(sign)
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
