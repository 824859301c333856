"""Calls of the control API that make a week of the demo: texts, calls, troubles.

Each act is one call of the simulator's control API at one moment. What is drawn is drawn from a
seed: the same week has the same acts.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("America/New_York")
OURS = "+14155550100"
STAFF = "+12125550190"
CUSTOMERS = tuple(f"+1{area}55501{line}" for area in (212, 646, 917) for line in range(11, 19))
REMINDED = CUSTOMERS[1]
"""Who gets reminders, has enough of them on the third day, and wants them again on the sixth."""
DOUBTFUL = CUSTOMERS[9]
"""Who asks while the answer to our request gets lost, and whose phone reports nothing."""

_BY_DAY = (
    "What are your hours?", "How much is a tune-up?", "Hello, is my bicycle ready?",
    "What does a new chain cost", "Thanks!", "thank you so much", "I have a flat tire",
    "Are you open on Saturday?", "Do you fix e-bikes?", "card 4711", "Hi", "Price for new brakes?",
)  # fmt: skip
_BY_NIGHT = ("Hello?", "Are you still there", "When do you open?", "Can I come by tomorrow?")
_DAYS = ("Tuesday at 10", "friday morning please", "Next Monday", "tomorrow, 4 pm")


@dataclass(frozen=True, slots=True)
class Act:
    """One call of the control API: when, which page, and its body."""

    at: datetime
    path: str
    body: Mapping[str, Any] = field(default_factory=dict)


def week(now: datetime, days: int) -> Sequence[Act]:
    """What happens in the last days until now, the earliest first."""
    today = now.astimezone(ZONE).date()
    acts = [
        act
        for ago in range(days, -1, -1)
        for act in _day(days - ago, today - timedelta(days=ago), random.Random(ago))
    ]
    acts += _lately(now)
    return sorted((act for act in acts if act.at < now), key=lambda act: act.at)


def first_moment(now: datetime, days: int) -> datetime:
    """When that week begins: early in the morning."""
    day = now.astimezone(ZONE).date() - timedelta(days=days)
    return datetime.combine(day, time(7, 55), ZONE).astimezone(UTC)


def _day(number: int, day: date, draw: random.Random) -> Iterator[Act]:
    def at(hour: int, minute: int = 0, second: int = 0) -> datetime:
        return datetime.combine(day, time(hour, minute, second), ZONE).astimezone(UTC)

    if number == 0:
        yield from _phones(at(7, 55))
    for _ in range(10 if day.weekday() == 6 else 22):
        moment = at(draw.randrange(9, 17), draw.randrange(60), draw.randrange(60))
        yield _text(moment, draw.choice(CUSTOMERS), draw.choice(_BY_DAY))
    for _ in range(3):
        moment = at(draw.randrange(18, 23), draw.randrange(60))
        yield _text(moment, draw.choice(CUSTOMERS), draw.choice(_BY_NIGHT))
    for keys in draw.sample(["1", "2", "2", "", "1"], 3):
        moment = at(draw.randrange(10, 16), draw.randrange(60))
        call = {"from": draw.choice(CUSTOMERS), "to": OURS, "keys": keys}
        yield Act(moment, "/_sim/calls", call)
    yield from _appointment(draw, at)
    yield from _troubles(number, at)


def _lately(now: datetime) -> Iterator[Act]:
    """The last hours, whatever time of the day it is: a draft, a failure, and a question that waits
    for its answer."""
    for minutes, person, body in (
        (170, CUSTOMERS[14], "You broke my lamp, this is a complaint"),
        (95, CUSTOMERS[21], "How much is a new tire?"),
        (50, CUSTOMERS[15], "May I book an appointment"),
        (20, CUSTOMERS[3], "Prices for a bell?"),
    ):
        yield _text(now - timedelta(minutes=minutes), person, body)


def _phones(at: datetime) -> Iterator[Act]:
    """How phones behave that do not take everything."""
    for number in CUSTOMERS:
        yield Act(at, f"/_sim/handsets/{number}", {"talk_seconds": 45})
    for number, way in (
        (CUSTOMERS[4], "undelivered:30005"),
        (CUSTOMERS[7], "undelivered:30003"),
        (CUSTOMERS[12], "read"),
        (CUSTOMERS[21], "undelivered:30003"),
        (CUSTOMERS[20], "sent"),
    ):
        yield Act(at, f"/_sim/handsets/{number}", {"messages": way})


def _appointment(draw: random.Random, at: Any) -> Iterator[Act]:
    """Two appointments: one person names a day, the other does not."""
    first, second = draw.sample(CUSTOMERS[13:20], 2)
    yield _text(at(9, 40), first, "I would like to book a repair")
    yield _text(at(9, 52), first, draw.choice(_DAYS))
    yield _text(at(11, 5), second, "book please")


def _troubles(number: int, at: Any) -> Iterator[Act]:
    """What goes wrong on that day of the week."""
    if number == 1:
        yield _text(at(10, 15), CUSTOMERS[3], "The brake is broken again, I want a refund")
        lose = {"on": "callback", "do": "duplicate", "rate": 0.1, "gap": 2, "name": "twice"}
        yield Act(at(12), "/_sim/faults", lose)
    if number == 2:
        yield _text(at(9, 45), REMINDED, "STOP", to="+12125550101")
        yield Act(at(13), "/_sim/faults", _fault("error", status=503, times=6))
    if number == 3:
        yield Act(at(15), "/_sim/faults", _fault("reset", at="created", times=1))
        yield _text(at(15, 1), DOUBTFUL, "What are your hours?")
        yield _text(at(16, 3), CUSTOMERS[5], "card blue")
    if number == 4:
        for customer in CUSTOMERS[:10]:
            yield Act(at(13), f"/_sim/handsets/{customer}", {"messages": "undelivered:30007"})
        for minute, customer in enumerate(CUSTOMERS[:10]):
            yield _text(at(13, 2 + minute), customer, "How much is a new wheel?")
        for customer in CUSTOMERS[:10]:
            yield Act(at(14), f"/_sim/handsets/{customer}", {"messages": "delivered"})
        yield Act(at(14, 30), "/_sim/errors", {"code": 11200, "level": "error"})
    if number == 5:
        yield _text(at(9, 20), REMINDED, "START", to="+12125550101")
        yield _text(at(12, 12), CUSTOMERS[8], "This is the second time it is broken")
        picture = {"from": CUSTOMERS[6], "to": OURS, "body": "It looks like this"}
        yield Act(at(12, 40), "/_sim/messages", picture | {"media": ["https://example.com/1.jpg"]})
    if number == 6:
        yield Act(at(9, 58), "/_sim/faults", _fault("hang", seconds=2, created="no", times=1))
        yield _text(at(10), CUSTOMERS[11], "What are your hours?")
        yield _text(at(10, 20), CUSTOMERS[2], "I am angry about the bill")


def _fault(do: str, **options: Any) -> dict[str, Any]:
    return {"on": "messages.create", "do": do, **options}


def _text(at: datetime, person: str, body: str, to: str = OURS) -> Act:
    return Act(at, "/_sim/messages", {"from": person, "to": to, "body": body})
