"""Day of deliveries: texts of five senders to three countries, with troubles, minute by minute.

The journal and the watch are the real ones; the clock is stepped. What a seed draws is always the
same.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import cos, pi
from pathlib import Path
from random import Random

from ringback.config import Settings
from ringback.error_codes import error_class
from ringback.events import Event, conversation_of
from ringback.runtime import Runtime
from ringback.store.journal import open_store
from ringback.store.log import Log, insert
from ringback.store.matching import Matched
from ringback.store.migrations import migrate_log
from ringback.store.sqlite import connect_writer
from ringback.store.writer import GroupWriter
from ringback.worker.recovery.delivery_watch import DeliveryWatch
from ringback.worker.recovery.incidents import Incidents

BEGIN = datetime(2026, 3, 4, tzinfo=UTC)
SENDERS = tuple(f"+1202555010{number}" for number in range(5))
RULES = ("code", "news", "receipt", "reminder")
COUNTRIES = {"US": ("+1415555", 0.7), "GB": ("+44207946", 0.2), "DE": ("+4930123", 0.1)}
USUAL = ((30003, 0.02), (30008, 0.01), (30007, 0.003), (30005, 0.004))
"""Codes of failures, and their share on any day."""


@dataclass(frozen=True)
class Trouble:
    """What goes wrong from minute `start` to `end`: of the texts that fit, a share fails with a
    code, or has its end late by some minutes; `leave` people opt out each minute. `key` is that of
    the incident which says the right cause."""

    name: str
    key: str
    start: int
    end: int
    sender: str = ""
    country: str = ""
    rule: str = ""
    code: int = 0
    share: float = 1.0
    late: int = 0
    leave: float = 0.0

    def fits(self, minute: int, sender: str, country: str, rule: str) -> bool:
        """Whether it is the trouble of this text."""
        return (
            self.start <= minute < self.end
            and self.sender in ("", sender)
            and self.country in ("", country)
            and self.rule in ("", rule)
        )


def troubles(rng: Random) -> tuple[Trouble, ...]:
    """The planted ones, in the hours in which people are awake, one after the other."""
    first, second, third = rng.sample(SENDERS, 3)
    rule = rng.choice(RULES)
    failing = "delivery:failing:"
    planted = [
        ("filtered by a carrier", f"{failing}sender:{first}:carrier_filtered",
         {"sender": first, "code": 30007, "share": rng.uniform(0.4, 0.9)}),
        ("a country is down", f"{failing}country:GB:carrier_failed",
         {"country": "GB", "code": 30008, "share": rng.uniform(0.7, 1.0)}),
        ("a wrong template", f"{failing}rule:{rule}:{error_class(63013)}",
         {"rule": rule, "code": 63013}),
        ("the registration lapsed", f"{failing}sender:{second}:sender_unregistered",
         {"sender": second, "code": 30034}),
        ("a slow carrier", "delivery:unfinished:country:DE", {"country": "DE", "late": 25}),
        ("a number was ported away", f"{failing}sender:{third}:{error_class(21606)}",
         {"sender": third, "code": 21606}),
        ("a burst of opt-outs", "delivery:opt_outs", {"leave": 4.0}),
    ]  # fmt: skip
    rng.shuffle(planted)
    found = []
    for number, (name, key, more) in enumerate(planted):
        start = 480 + number * 120 + rng.randrange(30)
        found.append(Trouble(name, key, start, start + rng.randrange(25, 60), **more))  # type: ignore[arg-type]
    return tuple(found)


@dataclass
class Seen:
    """An incident: its key, and the minutes in which it was opened and resolved."""

    key: str
    opened: float
    resolved: float = field(default=float("inf"))


class Day:
    """One day of texts, and the watch beside it."""

    def __init__(self, seed: int, folder: Path, planted: tuple[Trouble, ...], texts: int) -> None:
        self.rng = Random(f"day {seed}")
        self.planted = planted
        self.texts = texts
        self.now = BEGIN
        self.count = 0
        self.minutes = 0
        self.later: dict[int, list[Event]] = {}
        data = folder / "data"
        data.mkdir(parents=True)
        Log(GroupWriter(data / "log.db", insert, threaded=False, prepare=migrate_log)).close()
        self.store = open_store(data, threaded=False)
        self.writer = connect_writer(data / "journal.db")
        self.writer.execute("pragma synchronous = off")
        runtime = Runtime(time=lambda: self.now.timestamp(), monotonic=lambda: self.now.timestamp())
        journal = self.store.journal
        self.watch = DeliveryWatch(
            journal, Settings(project=folder, data=data), runtime, Incidents(journal, runtime)
        )

    async def play(self, begin: int = 0, end: int = 1440) -> list[Seen]:
        """Let the minutes pass, and give the incidents."""
        self.now = BEGIN + timedelta(minutes=begin)
        for minute in range(begin, end):
            await self._minute(minute)
            self.now = BEGIN + timedelta(minutes=minute + 1)
            await self.watch.look()
        rows = self.writer.execute(
            "select key, opened_at, resolved_at, (select min(received_at) from events e "
            "where e.subject_sid = i.uid and e.type = 'incident.opened') from incidents i "
            "order by id"
        ).fetchall()
        self.writer.close()
        self.store.close()
        return [
            Seen(key, _minute_of(told or at), _minute_of(over) if over else float("inf"))
            for key, at, over, told in rows
        ]

    async def _minute(self, minute: int) -> None:
        usual = self.texts / 1440 * (1.0 - 0.8 * cos(2 * pi * (minute - 120) / 1440))
        many = max(0, round(self.rng.gauss(usual, usual**0.5)))
        events = self.later.pop(minute, [])
        rows: list[tuple[str, ...]] = []
        for _ in range(many):
            sender, rule = self.rng.choice(SENDERS), self.rng.choice(RULES)
            country = self.rng.choices([*COUNTRIES], [share for _, share in COUNTRIES.values()])[0]
            events += self._text(minute, sender, country, rule, rows)
        events += self._leaving(minute)
        self.writer.execute("begin immediate")
        self.writer.executemany(
            "insert into actions (uid, run_uid, event_uid, rule, ordinal, kind, params, policy, "
            "state, remote_sid, planned_at, conversation, effect) values "
            "(?, '', ?, ?, 0, 'send_message', '{}', 'checked', 'accepted', ?, ?, ?, 'message')",
            rows,
        )
        self.writer.execute("commit")
        for start in range(0, len(events), 200):
            batch = [Matched(event, None, "{}") for event in events[start : start + 200]]
            await self.store.journal.matching.record(batch, None)

    def _text(
        self, minute: int, sender: str, country: str, rule: str, rows: list[tuple[str, ...]]
    ) -> Iterator[Event]:
        self.count += 1
        sid, now = f"SM{self.count:032x}", self.now + timedelta(seconds=self.rng.uniform(0, 40))
        to = f"{COUNTRIES[country][0]}{self.rng.randrange(10_000):04d}"
        at = now.isoformat(timespec="milliseconds")[:-6] + "Z"
        pair = conversation_of(sender, to)
        rows.append((f"act_{self.count}", f"evt_a{self.count}", rule, sid, at, pair))
        code, late = self._outcome(minute, sender, country, rule)
        status = "undelivered" if code else "delivered"
        yield self._event("sent", sid, sender, to, now, 0)
        then = now + timedelta(seconds=self.rng.uniform(2, 15), minutes=late)
        end = self._event(status, sid, sender, to, then, code)
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
        expected = self.texts / 1440 * 0.0005
        expected += sum(each.leave for each in self.planted if each.start <= minute < each.end)
        many = int(expected) + (self.rng.random() < expected % 1)
        for _ in range(many):
            self.count += 1
            who = f"+1415556{self.count % 10_000:04d}"
            to = self.rng.choice(SENDERS)
            yield Event(
                f"evt_{self.count}", "message.received", self.now, self.now, sender=who,
                recipient=to, conversation=conversation_of(to, who), subject_sid=f"SM9{self.count}",
                dedupe_key=f"in:{self.count}", fields={"Body": "STOP"}, status="received",
            )  # fmt: skip

    def _event(self, status: str, sid: str, sender: str, to: str, at: datetime, code: int) -> Event:
        return Event(
            f"evt_{sid}{status}", f"message.{status}", at, at, subject_sid=sid, sender=sender,
            recipient=to, conversation=conversation_of(sender, to), status=status,
            error_code=code, error_class=error_class(code), dedupe_key=f"st:{sid}:{status}",
        )  # fmt: skip


def _minute_of(moment: str) -> float:
    return (datetime.fromisoformat(moment) - BEGIN) / timedelta(minutes=1)


@dataclass(frozen=True)
class Judged:
    """How the incidents of a day fit what was planted: delays are in minutes."""

    right: int
    false: tuple[Seen, ...]
    missed: tuple[Trouble, ...]
    to_open: tuple[float, ...]
    to_end: tuple[float, ...]

    @property
    def precision(self) -> float:
        """The share of incidents that are about a trouble."""
        return self.right / (self.right + len(self.false)) if self.right else 0.0

    @property
    def recall(self) -> float:
        """The share of troubles that have their incident."""
        return self.right / (self.right + len(self.missed)) if self.right else 0.0


def judged(planted: tuple[Trouble, ...], seen: list[Seen]) -> Judged:
    """Each trouble takes the incident of its key that was opened while it lasted; what is left over
    is false."""
    left, missed, to_open, to_end = list(seen), [], [], []
    for trouble in planted:
        own = [
            each for each in left
            if each.key == trouble.key and trouble.start <= each.opened <= trouble.end + 5
        ]  # fmt: skip
        if not own:
            missed.append(trouble)
            continue
        left.remove(own[0])
        to_open.append(own[0].opened - trouble.start)
        to_end.append(own[0].resolved - trouble.end)
    return Judged(len(to_open), tuple(left), tuple(missed), tuple(to_open), tuple(to_end))
