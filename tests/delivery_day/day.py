"""Day of deliveries: texts of five senders to three countries, with troubles, minute by minute.

The journal, the gate and the watches are the real ones; the clock is stepped. What a seed draws is
always the same. A day lies behind it, so that it is known what is usual.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import cos, pi
from pathlib import Path
from random import Random

from delivery_day.troubles import COUNTRIES, RULES, SENDERS, Seen, Trouble
from delivery_day.watches import BEGIN, Watches
from ringback.actions import SendMessage
from ringback.error_codes import error_class
from ringback.events import Event, conversation_of
from ringback.runtime import iso
from ringback.store.matching import Matched

USUAL = ((30003, 0.02), (30008, 0.01), (30007, 0.003), (30005, 0.004))
"""Codes of failures, and their share on any day."""
INBOUND = 0.3
"""So many texts come in for each that goes out."""
PACE = 480
"""So many texts a minute the gateway takes."""
ROBOT = "+14155569999"
TURN = timedelta(seconds=10)


@dataclass(frozen=True)
class Wanted:
    """A text that a rule asks for."""

    number: int
    sender: str
    to: str
    country: str
    rule: str
    segments: int
    at: datetime

    @property
    def sid(self) -> str:
        """The SID that Twilio gives it."""
        return f"SM{self.number:032x}"

    @property
    def conversation(self) -> str:
        """Our number and theirs."""
        return conversation_of(self.sender, self.to)


@dataclass(frozen=True)
class Answer:
    """The answer to a machine, as the gate is asked about it."""

    rule: str
    event_uid: str
    conversation: str
    action: SendMessage
    depth: int = 1


class Day:
    """One day of texts, and the watches beside it."""

    def __init__(self, seed: int, folder: Path, planted: tuple[Trouble, ...], texts: int) -> None:
        self.rng = Random(f"day {seed}")
        self.planted = planted
        self.texts = texts
        self.count = 0
        self.later: dict[int, list[Event]] = {}
        self.waiting: deque[Wanted] = deque()
        self.watches = Watches(folder)
        self.journal = self.watches.journal

    async def play(self, begin: int = 0, end: int = 1440) -> list[Seen]:
        """Let the minutes pass, and give the incidents."""
        watches = self.watches
        with closing(watches):
            watches.remember(self._yesterday(), self._spent_yesterday())
            for minute in range(begin, end):
                watches.now = BEGIN + timedelta(minutes=minute)
                await self._minute(minute)
                watches.now = BEGIN + timedelta(minutes=minute + 1)
                await watches.look()
            return watches.seen()

    def _usual(self, minute: int) -> float:
        """How many texts go out in a minute of any day."""
        return self.texts / 1440 * (1.0 - 0.8 * cos(2 * pi * (minute - 120) / 1440))

    def _about(self, usual: float) -> int:
        return max(0, round(self.rng.gauss(usual, usual**0.5)))

    def _during(self, minute: int) -> list[Trouble]:
        return [each for each in self.planted if each.lasts(minute)]

    async def _minute(self, minute: int) -> None:
        events = self.later.pop(minute, [])
        events += [*self._leaving(minute), *self._coming(minute)]
        asked = [*self._asked_for(minute)]
        self.waiting += asked
        held = next((each.held for each in self._during(minute) if each.held), "")
        self.watches.ask_gateway(held)
        sent = [] if held else [self.waiting.popleft() for _ in range(min(PACE, len(self.waiting)))]
        left = {each.number for each in sent}
        self.watches.note([each for each in asked if each.number not in left], sent)
        for each in sent:
            events += self._fate(minute, each)
        await self._record(events)
        for trouble in self._during(minute):
            if trouble.loop:
                await self._loop(trouble.rule)

    async def _record(self, events: list[Event]) -> None:
        for start in range(0, len(events), 200):
            batch = [Matched(event, None, "{}") for event in events[start : start + 200]]
            await self.journal.matching.record(batch, None)

    def _asked_for(self, minute: int) -> Iterator[Wanted]:
        for _ in range(self._about(self._usual(minute))):
            sender, rule = self.rng.choice(SENDERS), self.rng.choice(RULES)
            country = self.rng.choices([*COUNTRIES], [share for _, share in COUNTRIES.values()])[0]
            yield self._wanted(minute, sender, country, rule)
        for trouble in self._during(minute):
            for _ in range(self._about(trouble.more) if trouble.more else 0):
                sender = self.rng.choice(SENDERS)
                yield self._wanted(minute, sender, trouble.country, trouble.rule)

    def _wanted(self, minute: int, sender: str, country: str, rule: str) -> Wanted:
        self.count += 1
        at = self.watches.now + timedelta(seconds=self.rng.uniform(0, 40))
        to = f"{COUNTRIES[country][0]}{self.rng.randrange(10_000):04d}"
        long_ = [each.segments for each in self.planted if each.fits(minute, sender, country, rule)]
        return Wanted(self.count, sender, to, country, rule, max([1, *long_]), at)

    def _fate(self, minute: int, wanted: Wanted) -> Iterator[Event]:
        at = max(wanted.at, self.watches.now)
        code, late = self._outcome(minute, wanted.sender, wanted.country, wanted.rule)
        status = "undelivered" if code else "delivered"
        yield self._event("sent", wanted, at, 0)
        then = at + timedelta(seconds=self.rng.uniform(2, 15), minutes=late)
        end = self._event(status, wanted, then, code)
        if late:
            self.later.setdefault(minute + late, []).append(end)
        else:
            yield end

    def _outcome(self, minute: int, sender: str, country: str, rule: str) -> tuple[int, int]:
        for trouble in self.planted:
            strikes = (trouble.code or trouble.late) and trouble.fits(minute, sender, country, rule)
            if strikes and self.rng.random() < trouble.share:
                return trouble.code, trouble.late
        drawn = self.rng.random()
        for code, share in USUAL:
            drawn -= share
            if drawn < 0:
                return code, 0
        return 0, 0

    def _leaving(self, minute: int) -> Iterator[Event]:
        expected = self.texts / 1440 * 0.0005 + sum(each.leave for each in self._during(minute))
        many = int(expected) + (self.rng.random() < expected % 1)
        for _ in range(many):
            yield self._heard(f"+1415556{self.rng.randrange(9000):04d}", "STOP")

    def _coming(self, minute: int) -> Iterator[Event]:
        """What people answer, and ask."""
        silent = {each.sender for each in self._during(minute) if each.silent}
        for _ in range(self._about(self._usual(minute) * INBOUND)):
            ours = self.rng.choice(SENDERS)
            after = timedelta(seconds=self.rng.uniform(0, 60))
            if ours not in silent:
                yield self._heard(f"+1415555{self.rng.randrange(10_000):04d}", "yes", ours, after)

    def _heard(
        self, who: str, body: str, ours: str = SENDERS[0], after: timedelta = timedelta()
    ) -> Event:
        self.count += 1
        at = self.watches.now + after
        return Event(
            f"evt_{self.count}", "message.received", at, at, sender=who, recipient=ours,
            conversation=conversation_of(ours, who), subject_sid=f"SM9{self.count}",
            dedupe_key=f"in:{self.count}", fields={"Body": body}, status="received",
        )  # fmt: skip

    def _event(self, status: str, wanted: Wanted, at: datetime, code: int) -> Event:
        return Event(
            f"evt_{wanted.sid}{status}", f"message.{status}", at, at, subject_sid=wanted.sid,
            sender=wanted.sender, recipient=wanted.to, conversation=wanted.conversation,
            status=status, error_code=code, error_class=error_class(code),
            dedupe_key=f"st:{wanted.sid}:{status}",
        )  # fmt: skip

    async def _loop(self, rule: str) -> None:
        """For a minute a machine answers what a rule sends it, two seconds later each time."""
        begin = self.watches.now
        for turn in range(6):
            self.watches.now = begin + turn * TURN + timedelta(seconds=2)
            heard = self._heard(ROBOT, f"Your ticket is {self.count}.")
            await self._record([heard])
            self.watches.now = begin + (turn + 1) * TURN
            reply = SendMessage(
                to=ROBOT, sender=SENDERS[0], body=f"Thanks for {self.count}!",
                in_reply_to=heard.subject_sid,
            )  # fmt: skip
            answer = Answer(rule, heard.uid, heard.conversation, reply)
            if await self.watches.allowed(answer):
                sent = self._answer(rule)
                self.watches.note((), [sent])
                await self._record([*self._fate(-1, sent)])

    def _answer(self, rule: str) -> Wanted:
        self.count += 1
        now = self.watches.now
        return Wanted(self.count, SENDERS[0], ROBOT, "US", rule, 1, now)

    def _yesterday(self) -> Iterator[tuple[str, str]]:
        """When texts came in on the day before, and to which number."""
        for minute in range(1440):
            at = BEGIN + timedelta(minutes=minute - 1440)
            for _ in range(self._about(self._usual(minute) * INBOUND)):
                yield iso(at + timedelta(seconds=self.rng.uniform(0, 60))), self.rng.choice(SENDERS)

    def _spent_yesterday(self) -> Iterator[tuple[str, str, str, int]]:
        """What went out on the day before: by what, its value, the span, and how many segments."""
        for start in range(0, 1440, 5):
            usual = 5 * self._usual(start)
            span = iso(BEGIN + timedelta(minutes=start - 1440))[:16]
            yield "all", "", span, self._about(usual)
            for by, values in (("sender", SENDERS), ("rule", RULES)):
                for each in values:
                    yield by, each, span, self._about(usual / len(values))
            for each, (_, share) in COUNTRIES.items():
                yield "country", each, span, self._about(usual * share)
