"""Contacts of other systems: whose number their JSON names, in the one spelling of a person."""

import re

from ringback.hooks.definitions import Hook
from ringback.hooks.reading import Facts, at
from ringback.rules import addresses
from ringback.rules.language import phones

LONGEST = 80
_PLAIN = re.compile(r"\+(?:1[2-9]\d{9}|[2-9]\d{8,13})", re.ASCII).fullmatch
"""Numbers in the spelling that they have here: the tables of all countries take far longer."""


def facts_of(hook: Hook, value: object, known: str, ours: str) -> Facts:
    """What is kept of a delivery that is `known` by this: the number at the path of the hook, with
    the country of `ours` when it names none, and ours beside it. What is no telephone is nobody."""
    phone = at(value, hook.phone)[:LONGEST]
    plain = _PLAIN(phone) and not phones.is_hidden(phone)
    if plain and (_PLAIN(ours) or not ours):
        return Facts(known, phone, ours)
    pair = addresses.spelt(ours, phone) if phone else None
    if pair is None or not phones.is_phone(pair.recipient) or addresses.nobodys(pair.recipient):
        return Facts(known)
    return Facts(known, pair.recipient, pair.sender)
