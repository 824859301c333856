"""Facts about phone numbers. Nothing is refused: what is no number has no country, no parts.

Numbers of callers who hide theirs: https://help.twilio.com/articles/223179988.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

import phonenumbers

from ringback.events import spellings

COUNTRIES = frozenset(phonenumbers.SUPPORTED_REGIONS)
"""The countries that numbers are of, in two letters."""
_CODES = frozenset(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)

_WELL = re.compile(r"(?:whatsapp:)?\+(?:1(?!0)|[2-9](?![0-9]{0,2}0))[0-9]{6,14}").fullmatch
"""Twilio's spelling, at first sight: without a zero that may be dialled at home alone."""
_E164 = re.compile(r"\+[1-9][0-9]{4,14}").fullmatch
_WRITTEN = re.compile(r"[(\[]?\+*[\d\s()\[\].\-_~/\u2010-\u2015\u2212]+").fullmatch
_EXTENSION = re.compile(r"(?i)\s*(?:;ext=|ext\.?|x|#|,+|;)\s*\d{1,7}#?$")
_TRUNK = re.compile(r"[(\[]\s*0\s*[)\]]")
"""The zero that is dialled at home alone, in brackets behind the code of the country."""
_VANITY = re.compile(r"\+?\d[\d\s().-]*-[\d\s().-]*[A-Za-z][A-Za-z\d-]{2,}").fullmatch
"""Letters in place of digits, as on the keys of a telephone: 1-800-FLOWERS."""
_VANITY_SPACED = re.compile(
    r"\+?1?[\s.]*(?:\(\d{3}\)[\s.-]*|\d{3}[\s.-]+)[A-Za-z][A-Za-z\d\s.-]{2,}"
).fullmatch
"""The same of a number of North America in other writing: 1 800 FLOWERS, (800) FLOWERS."""
_TRUNK_ABROAD = re.compile(r"\+10").match
"""A zero behind the code of North America, where none is dialled and no number begins with one."""
_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z\d &_-]{1,11}").fullmatch
"""An alphanumeric sender. https://www.twilio.com/docs/glossary/what-alphanumeric-sender-id"""
_SCHEMES = ("tel", "sms", "smsto", "callto", "phone", "p")
"""What stands before a number in a link, or in a table that was exported."""
_AREA_ABROAD = re.compile(r"\+1[01]").match
"""An area of North America that there cannot be."""
_SHORTEST = 7
"""With fewer digits it is a short code."""
_LONGEST = 15
"""Digits of a number with its country: https://www.itu.int/rec/T-REC-E.164"""

_KEYPAD = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "22233344455566677778889999")
_HIDDEN_WORDS = frozenset(
    {"anonymous", "blocked", "no caller id", "nocallerid", "not available", "out of area",
     "outofarea", "private", "restricted", "unavailable", "unknown", "withheld"}
)  # fmt: skip
_HIDDEN_DIGITS = frozenset(
    word.upper().translate(_KEYPAD) for word in _HIDDEN_WORDS if word.isalpha()
)
"""How such a word is spelt on the keys of a telephone: 266696687 is ANONYMOUS."""


@lru_cache(maxsize=4096)
def _parse(address: str) -> phonenumbers.PhoneNumber | None:
    plain = address.rpartition(":")[2]
    try:
        return phonenumbers.parse(plain, None)
    except phonenumbers.NumberParseException:
        return None


@lru_cache(maxsize=4096)
def is_phone(address: str) -> bool:
    """Whether this is a full number (`+…`, also `whatsapp:+…`) that can exist, and somebody's: not
    what stands there for a caller who hides theirs."""
    number = _parse(address)
    if number is None or is_hidden(address):
        return False
    return any(map(phonenumbers.is_possible_number, _as_spelt(number)))


def _as_spelt(number: phonenumbers.PhoneNumber) -> list[phonenumbers.PhoneNumber]:
    """The number and its other spelling, if it has one. A network may go on writing what a country
    gave up, as WhatsApp the 1 of Mexico; the tables of what is possible forget it one day."""
    return [found for each in spellings(_e164(number)) if (found := _parse(each)) is not None]


@lru_cache(maxsize=4096)
def is_hidden(address: str) -> bool:
    """Whether this stands for a caller who hides their number, or has none: nothing, a word such as
    `anonymous`, only zeros, or such a word spelt on a keypad (`+266696687`), which can look like a
    number of some country."""
    name = unicodedata.normalize("NFKC", address).strip().casefold()
    name = name.removeprefix("sips:").removeprefix("sip:").partition("@")[0]
    if name in _HIDDEN_WORDS or not name.strip("+"):
        return True
    digits = name.removeprefix("+")
    if not digits.isdecimal():
        return False
    if not digits.removeprefix("1").strip("0"):
        return True
    for spelt in (digits, digits.removeprefix("1")):
        if spelt in _HIDDEN_DIGITS:
            number = _parse(name)
            return number is None or not phonenumbers.is_valid_number(number)
    return False


@lru_cache(maxsize=4096)
def country(address: str) -> str:
    """The country of a number in two letters (ISO 3166), empty when it has none."""
    number = _parse(address)
    return (phonenumbers.region_code_for_number(number) or "") if number else ""


_Type = phonenumbers.PhoneNumberType
_LINE_TYPES = {
    _Type.MOBILE: "mobile", _Type.FIXED_LINE: "landline",
    _Type.FIXED_LINE_OR_MOBILE: "landline_or_mobile", _Type.TOLL_FREE: "toll_free",
    _Type.PREMIUM_RATE: "premium", _Type.SHARED_COST: "shared_cost", _Type.VOIP: "voip",
    _Type.PERSONAL_NUMBER: "personal", _Type.PAGER: "pager", _Type.UAN: "uan",
    _Type.VOICEMAIL: "voicemail",
}  # fmt: skip
LINE_TYPES = tuple(_LINE_TYPES.values())
"""What `line_type` may be."""


@lru_cache(maxsize=4096)
def line_type(address: str) -> str:
    """What the numbering plan has a number for, one of `LINE_TYPES`; empty when it does not say.
    Where landlines and mobiles share numbers, as in North America, it is `landline_or_mobile`."""
    number = _parse(address)
    return _LINE_TYPES.get(phonenumbers.number_type(number), "") if number else ""


@lru_cache(maxsize=1024)
def home(address: str) -> str:
    """The country in whose way numbers are written without one, beside this number of ours: its
    own, or the main one of its calling code. Empty for a short code, a word or a service."""
    number = _parse(address)
    if number is None:
        return ""
    found = phonenumbers.region_code_for_country_code(number.country_code or 0)
    return country(address) or (found if found.isalpha() and found != "ZZ" else "")


def plain(address: str, region: str = "") -> str:
    """A number as Twilio writes it, however it was written: `+1 (555) 100-0001` is `+15551000001`,
    behind `whatsapp:` too; anything else unchanged.

    `region` is the country of numbers that do not name theirs: `(415) 555-0100` of the US is
    `+14155550100`. One that starts with another country's code, as `442071838750` beside a number
    of the US, is taken for that country's.
    """
    return address if _WELL(address) else _plain(address, region)


@lru_cache(maxsize=4096)
def _plain(address: str, region: str) -> str:
    channel, written = _parts(address)
    digits = _digits(written) if _by_number(channel, written) else ""
    if not digits or is_hidden(written):
        return address
    found = None
    if written.startswith("+"):
        found = written if _E164(written) else None
        number = _abroad(written)
        # What is in order already is kept, unless a number that exists is written otherwise.
        if number is not None and (not _E164(written) or phonenumbers.is_valid_number(number)):
            found = _e164(number)
    elif len(digits) >= _SHORTEST:
        found = _at_home(written, digits, region)
    return f"{channel}{found}" if found else address


def beginning(written: str) -> str:
    """The first figures of numbers as Twilio writes them: `+1 (415)` is `+1415`; anything else
    unchanged."""
    channel, number = _parts(written)
    digits = _digits(_TRUNK.sub("", number, count=1)) if number.startswith("+") else ""
    return f"{channel}+{digits}" if digits else written


def _abroad(written: str) -> phonenumbers.PhoneNumber | None:
    """A number with its country, without a zero in brackets where its country has none."""
    bare = _TRUNK.sub("", written, count=1)
    number = _parse("+" + _digits(written))
    if bare == written or (number is not None and phonenumbers.is_valid_number(number)):
        return number
    return _parse("+" + _digits(bare))


def _parts(address: str) -> tuple[str, str]:
    """The channel with its colon, and what is behind it without the marks that no one sees."""
    shown = unicodedata.normalize("NFKC", address)
    shown = "".join(letter for letter in shown if unicodedata.category(letter) != "Cf").strip()
    channel, colon, written = shown.rpartition(":")
    if channel.casefold() in _SCHEMES:
        channel = colon = ""
    elif channel.casefold() == "whatsapp":
        channel = "whatsapp"
    written = _EXTENSION.sub("", written.strip().removeprefix("//"))
    if _WRITTEN(written) and "+" in written:  # (+44) 20…, ++44…
        written = "+" + written.lstrip("([+")
    else:
        written = _keyed(written)
    return f"{channel}{colon}", written


def _keyed(written: str) -> str:
    """A number in digits whose letters stand for keys of a telephone; anything else unchanged, as
    the name of a sender."""
    spaced = not _VANITY(written)
    if spaced and (_NAME(written) or not _VANITY_SPACED(written)):
        return written
    keyed = phonenumbers.convert_alpha_characters_in_number(written)
    digits = _digits(keyed)
    if spaced:
        return keyed if len(digits) == (11 if digits.startswith("1") else 10) else written
    return keyed if len(digits) >= _SHORTEST + 3 else written


def _by_number(channel: str, written: str) -> bool:
    """Whether a channel knows people by their telephone numbers."""
    return channel in ("", "whatsapp:") or written.startswith("+")


def _digits(written: str) -> str:
    """The digits of what is written as a telephone number; empty for anything else."""
    return re.sub(r"\D", "", written) if _WRITTEN(written) else ""


def _at_home(written: str, digits: str, region: str) -> str | None:
    """A number without a plus: one of this country, else of the country whose code it starts with.
    Numbers that may exist count only where nothing better is known, and short ones not at all."""
    here = _read(written, region) if region else None
    abroad = _read("+" + digits.removeprefix("00"), None)
    short = len(digits) < _SHORTEST + 2
    for number, good in (
        (here, phonenumbers.is_valid_number),
        (None if short else here, _is_possible),
        (abroad if region and not short else None, phonenumbers.is_valid_number),
    ):
        if number is not None and good(number):
            return _e164(number)
    return None


def _read(written: str, region: str | None) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(written, region)
    except phonenumbers.NumberParseException:
        return None


def _is_possible(number: phonenumbers.PhoneNumber) -> bool:
    """Whether it has as many digits as numbers of its country, with their area, can have."""
    reason = phonenumbers.is_possible_number_with_reason(number)
    return bool(reason == phonenumbers.ValidationResult.IS_POSSIBLE)


def _e164(number: phonenumbers.PhoneNumber) -> str:
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def misspelt(address: str) -> bool:
    """Whether this is a telephone number that Twilio would write in another way: with spaces, or
    without its plus. Short codes, names, channels and their ids are not."""
    if _WELL(address):
        return False
    channel, written = _parts(address)
    if not _by_number(channel, written):
        return False
    if _E164(written) and address == f"{channel}{written}":
        return _TRUNK_ABROAD(written) is not None
    if _WRITTEN(written):
        return len(_digits(written)) >= _SHORTEST
    # Two numbers, or one with something beside it; but no name of a sender and no SID.
    many = sum(letter.isdecimal() for letter in written) >= _SHORTEST
    return written.startswith("+") or (many and not written.isalnum() and not _NAME(written))


@lru_cache(maxsize=4096)
def impossible(address: str) -> str:
    """Why no telephone has this number, which says its country; empty when one may have it, also
    in a range that no one uses, as +1555. What is no such number is others' to judge: short
    codes, names, SIP addresses, and how Twilio spells callers who hide theirs."""
    if _long_enough(address):
        return ""
    channel, written = _parts(address)
    digits = _digits(written) if written.startswith("+") else ""
    if not digits or channel not in ("", "whatsapp:") or is_hidden(address):
        return ""
    if len(digits) > _LONGEST:
        return f"has {len(digits)} digits; a number has {_LONGEST} at most, with its country"
    number = _parse("+" + digits)
    if number is None:
        few = "has too few digits" if len(digits) < _SHORTEST else ""
        return few or "begins with the code of no country"
    if _AREA_ABROAD("+" + digits) and number.country_code == 1:
        return f"is no number: {_TEN_DIGITS}"
    if channel == "whatsapp:":  # it keeps numbers as they were before a country made them longer
        return "has too few digits" if len(digits) <= _SHORTEST else ""
    if not all(map(_wrong_length, _as_spelt(number))):
        return ""
    return _wrong_length(number)


def _long_enough(address: str) -> bool:
    """Whether this is a number in Twilio's spelling with as many digits as its country has: most
    are, and to take one apart costs fifty times as much."""
    if not _WELL(address):
        return False
    digits = address.rpartition("+")[2]
    if digits.startswith("11"):
        return False
    code = next((size for size in (1, 2, 3) if int(digits[:size]) in _CODES), 0)
    return len(digits) - code in _lengths(int(digits[:code])) if code else False


@lru_cache(maxsize=512)
def _lengths(code: int) -> frozenset[int]:
    """How many digits, with their area, the numbers of a calling code may have."""
    region = phonenumbers.region_code_for_country_code(code)
    plan = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, region)
    numbers = plan.general_desc if plan is not None else None
    return frozenset(numbers.possible_length) if numbers is not None else frozenset()


def _wrong_length(number: phonenumbers.PhoneNumber) -> str:
    found, country = phonenumbers.is_possible_number_with_reason(number), number.country_code
    return {
        phonenumbers.ValidationResult.TOO_SHORT: f"has too few digits for a number of +{country}",
        phonenumbers.ValidationResult.TOO_LONG: f"has too many digits for a number of +{country}",
        phonenumbers.ValidationResult.INVALID_LENGTH: f"has no length of a number of +{country}",
        phonenumbers.ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "lacks the code of its area",
    }.get(found, "")


def is_name(address: str) -> bool:
    """Whether this is an alphanumeric sender, `ACME`: a word in place of a number."""
    return _NAME(address) is not None


_TEN_DIGITS = "behind +1 stand ten digits, the first of them 2 to 9"


def mend(address: str, region: str = "") -> str:
    """How a misspelt number is to be written, as advice; with no country known, each that it may
    be."""
    known = plain(address, region)
    if not misspelt(known):
        return f"write {known}"
    channel, written = _parts(address)
    if not _WRITTEN(written):
        found = [channel + each for each in _phones_in(written, region)]
        if found:
            return f"write {found[0]}" if len(found) == 1 else f"write a list: {', '.join(found)}"
        return "write it with + and the code of its country, in digits"
    if _TRUNK_ABROAD("+" + _digits(written)) and "+" in written:
        us = _read("+1" + _digits(written)[2:], None)
        right = us is not None and phonenumbers.is_valid_number(us)
        return f"write {channel}{_e164(us)}" if us and right else _TEN_DIGITS
    abroad, us = _read("+" + _digits(written), None), _read(written, "US")
    options: dict[str, str] = {}
    if us is not None and _is_possible(us):
        options[_e164(us)] = "US"
    if abroad is not None and _is_possible(abroad):
        code = phonenumbers.region_code_for_country_code(abroad.country_code or 0)
        options.setdefault(_e164(abroad), phonenumbers.region_code_for_number(abroad) or code)
    if len(options) == 1:
        return f"write {channel}{next(iter(options))}"
    if not options:
        return "write it with + and the code of its country"
    each = " or ".join(f"{channel}{number} ({place})" for number, place in options.items())
    return f"write it with + and the code of its country: {each}"


def calling_code(address: str) -> str:
    """The digits of the country, such as `44`; empty for a short code or a name."""
    number = _parse(address)
    return str(number.country_code) if number else ""


def national(address: str) -> str:
    """The number as it is written at home; anything else unchanged."""
    number = _parse(address)
    if number is None:
        return address
    style = phonenumbers.PhoneNumberFormat.NATIONAL
    return str(phonenumbers.format_number(number, style))


def phone_in(text: str, region: str) -> str:
    """The first number in a text as `+…`, read as written in this country; empty without one."""
    return next(_phones_in(text, region), "")


def _phones_in(text: str, region: str) -> Iterator[str]:
    for found in phonenumbers.PhoneNumberMatcher(text[:1600], region or None):
        yield _e164(found.number)


def lacks_country(address: str) -> bool:
    """Whether a misspelt number is one that lacks its country, and nothing else is wrong."""
    written = _parts(address)[1]
    return _WRITTEN(written) is not None and "+" not in written
