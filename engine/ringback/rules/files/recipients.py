"""Recipients and senders that a step writes down: what is wrong with their addresses."""

from ringback.rules.addresses import bad_number, spelt, unreachable
from ringback.rules.language import phones
from ringback.rules.steps.base import StepModel
from ringback.rules.steps.calls import Call
from ringback.rules.steps.messages import Send

_MADE = "${{"
"""In a text whose value is known only when it is made."""


def wrong_address(step: StepModel) -> tuple[str, str]:
    """What is wrong with the addresses of a step, as (field, message); both empty when nothing is:
    a number without its country, a pair of which one cannot reach the other."""
    if not isinstance(step, Send | Call):
        return "", ""
    ours = "" if _MADE in step.from_ else step.from_
    written = [to for to in step.to if _MADE not in to]
    home = phones.home(ours)
    for field, numbers in (("to", written), ("from", [ours])):
        for wrong in filter(None, (bad_number(number, home) for number in numbers)):
            return field, wrong
    for to in written:
        if wrong := unreachable(*spelt(ours, to), calls=isinstance(step, Call)):
            return "to", wrong
    return "", ""
