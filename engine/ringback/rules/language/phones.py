"""Facts about a phone number. Nothing is refused: what is no number has no country, no parts."""

import re
from functools import lru_cache

import phonenumbers

_WRITTEN = re.compile(r"\+[\d\s().\-/]+")


@lru_cache(maxsize=4096)
def _parse(address: str) -> phonenumbers.PhoneNumber | None:
    plain = address.rpartition(":")[2]
    try:
        return phonenumbers.parse(plain, None)
    except phonenumbers.NumberParseException:
        return None


@lru_cache(maxsize=4096)
def is_phone(address: str) -> bool:
    """Whether this is a full number (`+…`, also `whatsapp:+…`) that can exist."""
    number = _parse(address)
    return number is not None and phonenumbers.is_possible_number(number)


@lru_cache(maxsize=4096)
def country(address: str) -> str:
    """The country of a number in two letters (ISO 3166), empty when it has none."""
    number = _parse(address)
    return (phonenumbers.region_code_for_number(number) or "") if number else ""


@lru_cache(maxsize=4096)
def plain(address: str) -> str:
    """A number as Twilio writes it, however it was written: `+1 (555) 100-0001` is `+15551000001`,
    behind its channel too; anything else unchanged."""
    channel, colon, written = address.rpartition(":")
    number = None
    if not written[1:].isdecimal() and _WRITTEN.fullmatch(written):
        number = _parse(address)
    if number is None:
        return address
    style = phonenumbers.PhoneNumberFormat.E164
    return f"{channel}{colon}{phonenumbers.format_number(number, style)}"


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
        style = phonenumbers.PhoneNumberFormat.E164
        return str(phonenumbers.format_number(found.number, style))
    return ""
