"""Budgets: what may leave in an hour and in a day, in all, to one recipient and by one rule.

Notices and requests to other machines are counted beside messages and calls, not among them.

The past tells at the start what was spent; from then on the tallies stand in memory. What is
allowed counts at once, so that sends that stand beside each other cannot all be the last one.
"""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from ringback.action_kinds import is_elsewhere, is_message, is_outgoing, known_kind
from ringback.config import Settings
from ringback.rules.language.numbers import number_text
from ringback.rules.model import Budget, Rule
from ringback.twilio import segments
from ringback.worker.gate.gate_facts import Asked, GateFacts

HOUR = timedelta(hours=1)
_KEPT = 2 * HOUR.total_seconds()
_MANY = 10_000
ALL = ""
"""Where the tally of everything stands among those of the rules, which all have a name."""


class Clock(Protocol):
    """The time: of the wall, and seconds that never go back."""

    def now(self) -> datetime:
        """This moment, in UTC."""

    def monotonic(self) -> float:
        """Seconds, good for differences only."""


@dataclass(slots=True)
class Tally:
    """What left: messages and calls together, segments of text, and notices and requests."""

    sent: int = 0
    segments: int = 0
    elsewhere: int = 0


class Budgets:
    """Counts what is allowed to leave, and refuses what would be too much."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._zone = ZoneInfo(settings.quiet_zone) if settings.quiet_zone else UTC
        self._all = Budget(
            settings.total_per_day, settings.segments_per_day, settings.price_per_day
        )
        self._rules: dict[str, Budget] = {}
        self._hour: deque[float] = deque()
        self._elsewhere: deque[float] = deque()
        self._begins = self._ends = datetime.min.replace(tzinfo=UTC)
        self._day: dict[str, Tally] = {}
        self._written: dict[str, float] = {}
        """When something was last allowed, by conversation."""
        self._room = _MANY
        self._complete_at = math.inf
        """From when on they are all of the last hour; earlier, an older life has a part in it."""
        self._counted: set[int] = set()
        """What this day's tally has counted: what was allowed before midnight is none of it."""

    def begin(self, facts: GateFacts) -> None:
        """Take up what was tried in the last hour, and today when a day is watched."""
        now, passed = self._clock.now(), self._clock.monotonic()
        self._complete_at = passed + (HOUR.total_seconds() if facts.ever_tried() else 0.0)
        for moment, name in facts.tries_since(now - HOUR):
            tried = passed - max(0.0, (now - moment).total_seconds())
            kind = known_kind(name)
            if kind is not None and kind.effect:
                self._hour.append(tried)
            elif kind is None or not kind.resource:
                self._elsewhere.append(tried)
        if self._watched:  # before anybody waits for an answer
            self._turn(facts)

    def reload(self, rules: Iterable[Rule]) -> None:
        """Take the budgets of these rules into use. Without any of a day, no day is counted."""
        watched = self._watched
        self._rules = {rule.name: rule.budget for rule in rules if rule.budget}
        if not watched:
            self._ends = self._begins

    def sent(self, action: Asked, facts: GateFacts) -> tuple[Sequence[datetime], int]:
        """`GateFacts.sent_since` of the last hour. Most people have not been written to in that
        time, and that is known without a look at the past."""
        passed, conversation = self._clock.monotonic(), action.conversation
        unheard = conversation not in self._written and passed >= self._complete_at
        self._written[conversation] = passed
        if len(self._written) > self._room:
            kept = {who: at for who, at in self._written.items() if at > passed - _KEPT}
            self._written, self._room = kept, max(_MANY, 2 * len(kept))
        return ((), 0) if unheard else facts.sent_since(conversation, self._clock.now() - HOUR)

    def refused(self, action: Asked, sent_to_them: int, facts: GateFacts) -> str:
        """Why this would be too much; empty when it is not, and then it counts.

        `sent_to_them` is how much went to this conversation in the last hour.
        """
        settings = self._settings
        total = settings.total_per_hour
        if total and _lately(self._hour, self._clock) >= total:
            return f"budget: {total} an hour in all (RINGBACK_TOTAL_PER_HOUR) are used up"
        each = settings.recipient_per_hour
        if each and action.conversation and sent_to_them >= each:
            return f"budget: {each} an hour to one recipient (RINGBACK_RECIPIENT_PER_HOUR)"
        if self._watched:
            self._turn(facts)
            size = _size(action.action)
            refused = self._over(ALL, self._all, size) or (
                self._over(action.rule, self._rules[action.rule], size)
                if action.rule in self._rules
                else ""
            )
            if refused:
                return refused
            self._count(action.rule, 1, size)
            self._counted.add(id(action))
        self._hour.append(self._clock.monotonic())
        return ""

    def elsewhere(self, action: Asked, facts: GateFacts) -> str:
        """Why a notice or a request would be too much; empty when it is not, and then it counts."""
        if not is_elsewhere(action.action):
            return ""
        most, lately = self._settings.notices_per_hour, _lately(self._elsewhere, self._clock)
        if most and lately >= most:
            return (
                f"budget: {most} notices and requests an hour (RINGBACK_NOTICES_PER_HOUR) are "
                "used up"
            )
        if self._watched:
            self._turn(facts)
            budget, tally = self._rules.get(action.rule), self._day.get(action.rule) or Tally()
            if budget and budget.per_day and tally.elsewhere >= budget.per_day:
                return (
                    f"budget: {budget.per_day} notices and requests a day by rule "
                    f"{action.rule!r} (budget.per_day) are used up"
                )
            self._count(action.rule, 0, 0, 1)
            self._counted.add(id(action))
        self._elsewhere.append(self._clock.monotonic())
        return ""

    def back(self, action: Asked, *, tried: bool) -> None:
        """What was allowed did not leave, or Twilio did not take it: a day does not count it. An
        hour counts tries too, since they are a burden to the other side."""
        asked = action.action
        outgoing = is_outgoing(asked)
        if not outgoing and not is_elsewhere(asked):
            return
        hour = self._hour if outgoing else self._elsewhere
        if not tried and hour:
            hour.pop()
        if self._watched and id(action) in self._counted:
            self._counted.discard(id(action))
            left = (-1, -_size(action.action), 0) if outgoing else (0, 0, -1)
            self._count(action.rule, *left)

    def status(self) -> list[tuple[str, str, float, float]]:
        """Each budget that is set: the rule (empty: in all), its word, its size, what is left.
        Those of a day are left out while nobody knows what left today. Any thread may ask."""
        settings, since = self._settings, self._clock.monotonic() - HOUR.total_seconds()
        used = [
            (ALL, "per_hour", settings.total_per_hour, self._hour),
            (ALL, "notices_per_hour", settings.notices_per_hour, self._elsewhere),
        ]
        found = [
            (rule, word, float(size), float(size - sum(tried >= since for tried in list(tries))))
            for rule, word, size, tries in used
        ]
        now = self._clock.now()
        if self._watched and self._begins < self._ends and self._begins <= now:
            day = self._day if now < self._ends else {}  # nothing left since a day has begun
            for rule, budget in ((ALL, self._all), *self._rules.items()):
                found += self._left(rule, budget, day.get(rule) or Tally())
        return [(rule, word, size, max(0.0, left)) for rule, word, size, left in found if size]

    def _left(self, rule: str, budget: Budget, tally: Tally) -> list[tuple[str, str, float, float]]:
        cost = tally.segments * self._settings.segment_price
        used = {
            "per_day": (budget.per_day, tally.sent),
            "segments_per_day": (budget.segments_per_day, tally.segments),
            "price_per_day": (budget.price_per_day, cost),
        }
        if rule:  # in all, notices and requests have no budget of a day
            used["notices_per_day"] = (budget.per_day, tally.elsewhere)
        return [(rule, word, float(size), size - spent) for word, (size, spent) in used.items()]

    @property
    def _watched(self) -> bool:
        return bool(self._rules) or self._all != Budget()

    def _turn(self, facts: GateFacts) -> None:
        """Begin a day when one has begun, whichever way the clock went."""
        now = self._clock.now()
        if self._begins <= now < self._ends:
            return
        local = now.astimezone(self._zone)
        start = local.replace(hour=0, minute=0, second=0, microsecond=0)
        self._begins = start.astimezone(UTC)
        self._ends = (start + timedelta(days=1)).astimezone(UTC)
        self._day = {}
        self._counted.clear()
        for left in facts.left_since(self._begins, self._ends):
            rule, number = left.rule, left.number
            if is_outgoing(left):
                self._count(rule, number, number * _size(left))
            elif is_elsewhere(left):
                self._count(rule, 0, 0, number)

    def _count(self, rule: str, sent: int, size: int, elsewhere: int = 0) -> None:
        for name in (ALL, rule):
            tally = self._day.setdefault(name, Tally())
            tally.sent = max(0, tally.sent + sent)
            tally.segments = max(0, tally.segments + size)
            tally.elsewhere = max(0, tally.elsewhere + elsewhere)

    def _over(self, name: str, budget: Budget, size: int) -> str:
        tally = self._day.get(name) or Tally()
        whose = f"by rule {name!r}" if name else "in all"
        if budget.per_day and tally.sent >= budget.per_day:
            word = _word(name, "per_day", "RINGBACK_TOTAL_PER_DAY")
            return f"budget: {budget.per_day} a day {whose} ({word}) are used up"
        used, price = tally.segments, self._settings.segment_price
        most = budget.segments_per_day
        if most and size and used + size > most:
            word = _word(name, "segments_per_day", "RINGBACK_SEGMENTS_PER_DAY")
            return f"budget: {most} segments a day {whose} ({word}): {used} are used, {size} asked"
        cost, limit = (used + size) * price, budget.price_per_day
        if limit and size and cost > limit * (1 + 1e-9):
            word = _word(name, "price_per_day", "RINGBACK_PRICE_PER_DAY")
            total, most_text = number_text(round(cost, 4)), number_text(limit)
            return f"budget: {most_text} a day {whose} ({word}): this text would make it {total}"
        return ""


def _lately(tries: deque[float], clock: Clock) -> int:
    """How many there were in the last hour; older ones are let go of."""
    since = clock.monotonic() - HOUR.total_seconds()
    while tries and tries[0] < since:
        tries.popleft()
    return len(tries)


def _word(name: str, word: str, setting: str) -> str:
    return f"budget.{word}" if name else setting


def _size(action: object) -> int:
    """The segments of a text; a call has none."""
    return segments.count(action.body) if is_message(action) else 0
