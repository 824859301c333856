"""Facts about phone numbers. Nothing is refused: what is no number has no country, no parts.

Numbers of callers who hide theirs: https://help.twilio.com/articles/223179988.
"""

import re
import unicodedata
from functools import lru_cache

import phonenumbers

_WELL = re.compile(r"(?:whatsapp:)?\+[1-9](?![0-9]{0,2}0)[0-9]{6,14}").fullmatch
"""Twilio's spelling, at first sight: without a zero that may be dialled at home alone."""
_E164 = re.compile(r"\+[1-9][0-9]{4,14}").fullmatch
_WRITTEN = re.compile(r"\+?[\d\s().\-/\u2010-\u2015\u2212]+").fullmatch
_EXTENSION = re.compile(r"(?i)\s*(?:;ext=|ext\.?|x|#)\s*\d{1,7}$")
_SHORTEST = 7
"""With fewer digits it is a short code."""

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
    return phonenumbers.is_possible_number(number) or _old_mexican(number)


def _old_mexican(number: phonenumbers.PhoneNumber) -> bool:
    """Whether this is a mobile number of Mexico with the 1 that its plan gave up in 2019; WhatsApp
    keeps it: `whatsapp:+5215512345678`."""
    figures = str(number.national_number)
    return number.country_code == 52 and len(figures) == 11 and figures.startswith("1")


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
        number = _parse(written)
        # What is in order already is kept, unless a number that exists is written otherwise.
        if number is not None and (not _E164(written) or phonenumbers.is_valid_number(number)):
            found = _e164(number)
    elif len(digits) >= _SHORTEST:
        found = _at_home(written, digits, region)
    return f"{channel}{found}" if found else address


def _parts(address: str) -> tuple[str, str]:
    """The channel with its colon, and what is behind it without the marks that no one sees."""
    shown = unicodedata.normalize("NFKC", address)
    shown = "".join(letter for letter in shown if unicodedata.category(letter) != "Cf").strip()
    channel, colon, written = shown.rpartition(":")
    if channel.casefold() == "tel":
        channel = colon = ""
    elif channel.casefold() == "whatsapp":
        channel = "whatsapp"
    return f"{channel}{colon}", _EXTENSION.sub("", written.strip())


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
    if not _by_number(channel, written) or len(_digits(written)) < _SHORTEST:
        return False
    return not (_E164(written) and address == f"{channel}{written}")


def mend(address: str, region: str = "") -> str:
    """How a misspelt number is to be written, as advice; with no country known, each that it may
    be."""
    known = plain(address, region)
    if not misspelt(known):
        return f"write {known}"
    channel, written = _parts(address)
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
    for found in phonenumbers.PhoneNumberMatcher(text[:1600], region or None):
        return _e164(found.number)
    return ""
