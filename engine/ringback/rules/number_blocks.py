"""Number blocks: the country and the line type of an address, by how its number begins. Pure.

Reading each number would cost as much as all of counting, so what a beginning says is kept.
"""

from ringback.rules.language import phones

_AREA, _BEGINNING = 5, 7
"""So much of a number says its country, with the `+`: in North America the code of the area, and
elsewhere those of islands that share the code of a larger country."""
_ANY_LINE = "2345678"
"""A line that every area of North America may have."""
_COUNTRIES: dict[str, str] = {}
_LINES: dict[str, str] = {}
_WHOLE_AREAS = ("landline_or_mobile", "toll_free")
_OF_A_BLOCK = 3
"""So many last digits are given out together: a numbering plan has all of them for one thing."""
_MOST = 50_000


def country_of(address: str) -> str:
    """The country of an address, from its first digits: numbers are many, countries are few."""
    number = address.rpartition(":")[2]
    by_area = number.startswith("+1") and len(number) == _AREA + len(_ANY_LINE)
    beginning = number[: _AREA if by_area else _BEGINNING]
    found = _COUNTRIES.get(beginning)
    if found is None and number[:1] == "+":
        found = phones.country(beginning + _ANY_LINE if by_area else number)
        if len(_COUNTRIES) >= _MOST:
            _COUNTRIES.clear()
        if found or by_area:  # elsewhere the next number that begins so may have one
            _COUNTRIES[beginning] = found
    return found or ""


def line_type_of(address: str) -> str:
    """The line type of an address, by its block of numbers: reading each would cost as much as all
    of counting. In North America all lines of an area are of one type, but for some islands."""
    number = address.rpartition(":")[2]
    if number[:1] != "+":
        return ""
    if number.startswith("+1") and len(number) == _AREA + len(_ANY_LINE):
        area = _line_type(number[:_AREA], number[:_AREA] + _ANY_LINE)
        if area in _WHOLE_AREAS:
            return area
    return _line_type(f"{number[:-_OF_A_BLOCK]}/{len(number)}", number)


def _line_type(block: str, number: str) -> str:
    found = _LINES.get(block)
    if found is None:
        found = phones.line_type(number)
        if len(_LINES) >= _MOST:
            _LINES.clear()
        _LINES[block] = found
    return found
