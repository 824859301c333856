"""Recipients and senders that a step writes down: what is wrong with their addresses."""

import re
from collections.abc import Sequence

from ringback.rules.addresses import bad_number, distinct, spelt, unreachable
from ringback.rules.language import phones
from ringback.rules.steps.base import StepModel
from ringback.rules.steps.calls import Call
from ringback.rules.steps.flow import Retry
from ringback.rules.steps.members import JoinStep, LeaveStep
from ringback.rules.steps.messages import Send
from ringback.rules.steps.questions import Ask
from ringback.rules.steps.voice import DialStep

_MADE = "${{"
"""In a text whose value is known only when it is made."""

_DIALLED = re.compile(r"\+?[\d\s().-]{2,24}|sips?:\S+|client:\S+")
"""What a call can be connected to by its address."""


def wrong_address(step: StepModel) -> tuple[str, str]:
    """What is wrong with the addresses of a step, as (field, message); both empty when nothing is:
    a number without its country, a pair of which one cannot reach the other."""
    if isinstance(step, DialStep):
        home = phones.home(step.caller_id)
        found = [("numbers", _dialled(each, home)) for each in step.numbers]
        found.append(("number", _dialled(step.number, home)))
        return next(((field, wrong) for field, wrong in found if wrong), ("", ""))
    if isinstance(step, Retry):
        own = [("senders", each) for each in step.senders]
        own += [("numbers", str(each)) for each in step.numbers.values()]
        return next((each for each in map(_our_number, own) if each[1]), ("", ""))
    if isinstance(step, JoinStep | LeaveStep):
        return "who", "" if _MADE in step.who or not step.who else bad_number(step.who)
    if not isinstance(step, Send | Call | Ask) or not step.to:
        return "", ""
    ours = "" if _MADE in step.from_ else step.from_
    given = [step.to] if isinstance(step.to, str) else step.to
    written = [to for to in given if _MADE not in to]
    if not all(map(str.strip, written)):
        return "to", "is empty; write +15551234567 or whatsapp:+…"
    home = phones.home(ours)
    for field, numbers in (("to", written), ("from", [ours])):
        for wrong in filter(None, (bad_number(number, home) for number in numbers)):
            return field, wrong
    for to in written:
        if wrong := unreachable(*spelt(ours, to), calls=isinstance(step, Call)):
            return "to", wrong
    return "", ""


def _our_number(written: tuple[str, str]) -> tuple[str, str]:
    field, number = written
    if _MADE in number or number.startswith("MG"):
        return "", ""
    return field, bad_number(number, "") if number.strip() else "is empty; write +15551234567"


def fewest(addresses: Sequence[str]) -> int:
    """How many people these are at least: a number without its country may be one of the others."""
    return sum(bool(each) and not phones.lacks_country(each) for each in distinct(addresses, ""))


def _dialled(number: str, home: str) -> str:
    if not number or _MADE in number:
        return ""
    if not _DIALLED.fullmatch(number):
        return f"{number!r} is no address; write +15551234567, sip:… or client:…"
    return bad_number(number, home)
