"""Kinds of addresses: E.164 numbers, short codes, alphanumeric senders, channel addresses."""

import re

CHANNELS = ("whatsapp", "messenger", "rcs")

_E164 = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
_SHORT = re.compile(r"\d{3,8}", re.ASCII)
_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 _&+.-]{1,11}", re.ASCII)
_VOICE = re.compile(r"(client:[A-Za-z0-9_.+@-]{1,121}|sips?:[^\s@]{1,200}@[^\s@]{1,250})", re.ASCII)


def is_e164(text: str) -> bool:
    return _E164.fullmatch(text) is not None


def is_short_code(text: str) -> bool:
    return _SHORT.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """An alphanumeric sender: at most eleven characters, at least one letter."""
    return _NAME.fullmatch(text) is not None


def is_channel(text: str) -> bool:
    """An address of a messaging channel, e.g. `whatsapp:+14155550100`."""
    channel, _, address = text.partition(":")
    if channel == "messenger":
        return re.fullmatch(r"[\w.-]{1,64}", address, re.ASCII) is not None
    return channel in CHANNELS and is_e164(address)


def is_voice(text: str) -> bool:
    """Something that can be called: a number, a client, a SIP address."""
    return is_e164(text) or _VOICE.fullmatch(text) is not None


def is_sip(text: str) -> bool:
    return text.startswith(("sip:", "sips:")) and is_voice(text)


def is_sip_name(text: str) -> bool:
    """What may stand for the caller of a SIP address: letters, digits and `+ - _ .`."""
    return re.fullmatch(r"[A-Za-z0-9_.+-]{1,121}", text, re.ASCII) is not None


def channel_of(text: str) -> str:
    """The channel of an address; empty for plain SMS."""
    channel, colon, _ = text.partition(":")
    return channel if colon and channel in CHANNELS else ""


def toll_free(address: str) -> bool:
    """Whether it is a toll-free number of the North American plan."""
    return address[:5] in {f"+1{code}" for code in (800, 833, 844, 855, 866, 877, 888)}


def friendly(address: str) -> str:
    """`+14155550100` as `(415) 555-0100`; other countries' numbers as they are."""
    if address.startswith("+1") and len(address) == 12:
        return f"({address[2:5]}) {address[5:8]}-{address[8:]}"
    return address
