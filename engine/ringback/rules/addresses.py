"""Addresses of messages and calls: one spelling for each person, and pairs that cannot be. Pure.

What is kept for a person (consent, budgets, quiet hours, the conversation) goes by the address, so
an action is brought into Twilio's spelling before anything looks at it.
https://www.twilio.com/docs/messaging/channels
"""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ringback.events import person, spellings
from ringback.rules.language import phones

WHATSAPP = "whatsapp"
_WORDS = re.compile(r"(?![A-Z]{2}[0-9a-f]{32}$).*[^\d+*#]", re.DOTALL).match
"""More than a number or a short code, and no SID."""
_VOICE_ALONE = frozenset({"sip", "sips", "client"})
"""Addresses of calls: https://www.twilio.com/docs/voice/api/call-resource"""


class Pair(NamedTuple):
    """From whom, and to whom."""

    sender: str
    recipient: str


def channel(address: str) -> str:
    """What stands before the colon: `whatsapp`, `messenger`, `client`; empty for a number."""
    return address.partition(":")[0].casefold() if ":" in address else ""


def bare(address: str) -> str:
    """A telephone number without its channel; anything else unchanged."""
    return address.partition(":")[2] if channel(address) == WHATSAPP else address


def is_service(sender: str) -> bool:
    """Whether this is a messaging service, which chooses the number and its channel."""
    return len(sender) == 34 and sender.startswith("MG")


def spelt(sender: str, recipient: str, ours: str = "") -> Pair:
    """Both as Twilio writes them. `sender` is ours as it was named, `ours` another number of ours
    that tells the country when that one does not. A telephone number of ours speaks on the channel
    of the recipient: to somebody on WhatsApp as its WhatsApp sender, to a plain number as one."""
    if not is_service(sender):
        sender = phones.plain(sender, phones.home(ours))
    to = phones.plain(recipient, phones.home(sender) or phones.home(ours))
    number = bare(sender)
    if number.startswith("+") and channel(to) in ("", WHATSAPP):
        sender = f"{WHATSAPP}:{number}" if channel(to) else number
    return Pair(sender, to)


def distinct(recipients: Iterable[str], sender: str, ours: str = "") -> list[str]:
    """The recipients without those who stand there twice, in whatever spelling, in their order."""
    people: dict[str, str] = {}
    for to in recipients:
        people.setdefault(person(spelt(sender, to, ours).recipient), to)
    return list(people.values())


def unreachable(
    sender: str, recipient: str, *, calls: bool = False, known: Callable[[], bool] = bool
) -> str:
    """Why nothing can reach this recipient from this sender, with the mend; empty when it may.
    Empty addresses are somebody else's to judge. Somebody who is `known`, as they wrote or rang,
    is there whatever the plan of their country says."""
    if not recipient:
        return ""
    if phones.is_hidden(recipient):
        return f"{recipient} stands for a caller who hides their number: nobody is there"
    for number in (recipient, sender):
        if phones.misspelt(number):
            mend = phones.mend(number, phones.home(sender))
            lacks = phones.lacks_country(number)
            wrong = "does not name its country" if lacks else "is no number, or more than one"
            return f"{number!r} {wrong}: {mend}"
    if (impossible := phones.impossible(recipient)) and not known():
        return f"{recipient!r} {impossible}: nobody can be reached there"
    if phones.is_name(recipient):
        return f"{recipient!r} is the name of a sender: nobody can be reached there"
    if ":" not in recipient and _WORDS(recipient):
        return f"{recipient!r} is no number and no address; write +15551234567 or whatsapp:+…"
    if not calls and _VOICE_ALONE & {channel(recipient), channel(sender)}:
        voice = recipient if channel(recipient) in _VOICE_ALONE else sender
        return f"{voice} is an address for calls: no text goes to or from there; use `call`"
    if not sender or is_service(sender):
        return ""
    ours, theirs = channel(sender), channel(recipient)
    if ours == theirs or (calls and WHATSAPP not in (ours, theirs)):
        return ""
    mend = (
        f"write from: {theirs}:…, a sender of ours there" if theirs else "write from: +…, a number"
    )
    return f"{sender} cannot reach {recipient} on {theirs or 'the telephone'}; {mend}"


def every_spelling(addresses: Iterable[str]) -> list[str]:
    """The same addresses in every spelling; texts that are none are as they are."""
    return [each for address in addresses for each in spellings(address)]


def nobodys(number: str) -> str:
    """What is wrong with a number that no telephone can have, with the mend; empty when one may."""
    wrong = phones.impossible(phones.plain(number))
    return f"{number!r} {wrong}; write all of it, as +12025550142" if wrong else ""


def bad_number(number: str, home: str = "") -> str:
    """What is wrong with a number that is written out, with the mend; empty when nothing is. The
    country `home` gives the advice, and no more: what is written down says its own."""
    if not phones.misspelt(phones.plain(number)):
        return nobodys(number)
    lacks = f"{number!r} is no number, or more than one"
    if phones.lacks_country(number):
        lacks = f"the number {number!r} has no +"
    return f"{lacks}; {phones.mend(number, home)}"
