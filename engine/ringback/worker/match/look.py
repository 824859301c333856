"""Look: one pass over events that are to be matched. Pure but for the session that it reads in."""

import json
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from ringback.events import REPLAY, Event
from ringback.plugins.memo import lacked
from ringback.rules.engine.waits import home
from ringback.rules.model import Rule
from ringback.store.log import LogRow
from ringback.store.matching import Matched, NewRun
from ringback.store.session import ReadSession
from ringback.twilio.consent import tells_consent
from ringback.twilio.kinds import waits
from ringback.worker.match.aside import Aside, Entry, Line, consent_name, names
from ringback.worker.match.claims import BatchClaims
from ringback.worker.match.judge import Judge, Judgement

_json = json.JSONEncoder(ensure_ascii=False).encode
BATCH_RUNS = 500
"""A batch ends at the row that brings it to so many runs to start or to wake, however many rules
there are: what is matched is in memory until it is done."""


@dataclass(frozen=True, slots=True)
class Found:
    """A new event, the runs that it starts or queues in the order of priority, those that it ends
    and wakes, the log row of the call that may wait for the answer (None when nothing waits), and
    the verdict of every rule that looked at it; of a replay that of every rule."""

    event: Event
    runs: tuple[tuple[Rule, NewRun], ...]
    ended: tuple[str, ...]
    wakes: tuple[str, ...]
    asked: int | None
    verdicts: dict[str, str]


@dataclass(frozen=True, slots=True)
class Judged:
    """An event with what is to be written about it."""

    matched: Matched
    judgement: Judgement
    row: LogRow | None

    @property
    def runs(self) -> int:
        """How many runs it starts or wakes."""
        return len(self.matched.runs) + len(self.matched.wakes)

    def found(self, done: Set[str] = frozenset()) -> Found:
        """The same as the engine wants to know it. The runs that are `done` (uid) are over."""
        row, event = self.row, self.matched.event
        asked = row is not None and waits(row.route, event.type, event.fields)
        starts = self.judgement.starts
        return Found(
            event,
            tuple(each for each in starts if each[1].uid not in done) if done else starts,
            tuple(uid for uid, _ in self.matched.cancels),
            self.matched.wakes,
            row.id if row is not None and asked else None,
            self.judgement.admission.verdicts,
        )


def _no(_: object) -> bool:
    return False


@dataclass(slots=True)
class Looked:
    """What a pass has found. `done` is how many of the entries it has come to, `later` are the
    reports of what is on record, `twins` the claims that a report has proven, with its trust.

    `aside` are the entries that have to wait for others or were left out, by their place; `lacking`
    those that were judged without an answer of a plugin, with what they lack; `unsettled`
    those that have met runs which take their turn, with the places; `begun` says where such runs
    are, by place. Of those aside `keyed` wait for what a rule with a key has to see before.
    """

    judged: list[Judged] = field(default_factory=list)
    twins: list[tuple[str, str]] = field(default_factory=list)
    later: list[Event] = field(default_factory=list)
    aside: list[int] = field(default_factory=list)
    lacking: dict[int, list[Hashable]] = field(default_factory=dict)
    unsettled: dict[int, Collection[str]] = field(default_factory=dict)
    begun: dict[str, str] = field(default_factory=dict)
    keyed: set[int] = field(default_factory=set)
    done: int = 0


class Order:
    """What events of one pass have to come behind: others of their name that wait `aside`, or that
    a rule with a key has to see before, and what is being done in their conversation (`busy`) or in
    a place that they have met. There is `room` for so many that do; those of the `overdue` lines
    have waited long enough."""

    def __init__(
        self, aside: Aside | None = None, busy: Callable[[str], object] = _no,
        room: int = 0, overdue: Collection[int] = (),
    ) -> None:  # fmt: skip
        self.room = room
        self.keyed: set[int] = set()
        self._aside = aside
        self._busy = busy
        self._overdue = overdue
        self._behind: set[str] = set()
        self._acting: set[str] = set()

    def holds(self, place: int, entry: Entry, judge: Judge) -> bool:
        """Whether an event has to wait. STOP and START wait for each other alone."""
        where = home(entry.event)
        if self._is_before(entry.event.dedupe_key):
            return True
        late = self._is_before(where) or (self.room > 0 and self._meets(place, entry, where, judge))
        if late and tells_consent(entry.event):
            return self._is_before(consent_name(where))
        if not late and self._waits_by_key(place, entry):
            self.keyed.add(place)
            return True
        return late

    def _is_before(self, name: str) -> bool:
        return name in self._behind or (self._aside is not None and bool(self._aside.behind(name)))

    def _waits_by_key(self, place: int, entry: Entry) -> bool:
        if self._aside is None or entry.row is None:
            return False
        if self.room <= 0 or place in self._overdue or tells_consent(entry.event):
            return False
        shared = self._aside.shared(entry.event.type)
        return not self._behind.isdisjoint(shared) or self._aside.before(entry)

    def _meets(self, place: int, entry: Entry, where: str, judge: Judge) -> bool:
        if where in self._acting:
            return True
        if place in self._overdue:
            return False
        return bool(self._busy(where)) or bool(entry.places and judge.turns(entry.places))

    def may_wait(self, place: int, event: Event) -> bool:
        """Whether an event that has been judged may be judged again when others have had their
        turn."""
        if self.room <= 0 or place in self._overdue or tells_consent(event):
            return False
        self.room -= 1
        return True

    def waits(self, event: Event, *, keyed: bool) -> None:
        """This event waits, and what comes behind it; when it is `keyed`, for rules with a key
        too."""
        self._behind.update(names(event))
        if keyed and self._aside is not None:
            self._behind.update(self._aside.shared(event.type))
        self.room -= 1

    def acts(self, event: Event) -> None:
        """This event starts or wakes something."""
        self._acting.add(home(event))


def look(
    session: ReadSession, judge: Judge, is_past: Callable[[Event], bool], entries: Sequence[Entry],
    left_out: Mapping[int, Line | None], order: Order, *, claims: bool,
) -> Looked:  # fmt: skip
    """Drop what is on record and judge the rest in order, up to the row at which there are runs
    enough. `left_out` is put aside, some of it in a line that asks plugins, and what comes behind
    others by its `order`. `claims` says that there may be mere claims on record."""
    looked, runs = Looked(), 0
    depths = session.depths([entry.event.tag for entry in entries if entry.row and entry.event.tag])
    if depths:
        entries = [
            entry._replace(event=_tagged(entry.event, depths)) if entry.row else entry
            for entry in entries
        ]
    given = [entry.event for entry in entries if entry.row is not None]
    known, claimed = session.known(given), BatchClaims(session)
    made = session.depths_of([event for event in given if _untagged(event)])
    lacks = lacked()
    for place, entry in enumerate(entries):
        event, row = entry.event, entry.row
        if runs >= BATCH_RUNS and (row is None or row is not entries[place - 1].row):
            break
        looked.done = place + 1
        if place in left_out or order.holds(place, entry, judge):
            order.waits(event, keyed=left_out.get(place) is None)
            looked.aside.append(place)
            continue
        if row is not None:
            event = known.own(event)
            if known.knows(event):
                beside = claimed.beside(event) if claims else None
                if beside is None or (beside is not event and known.knows(beside)):
                    looked.later.append(event)
                    continue
                event = beside
            known.add(event)
            claimed.noted(event)
            if event.subject_sid in made and _untagged(event):
                event = replace(event, depth=made[event.subject_sid])
        before = len(lacks)
        item = _beside(claimed, judged(judge, event, row, past=is_past(event)))
        looked.judged.append(item)
        if item.judgement.unsettled and order.may_wait(place, event):
            looked.unsettled[place] = item.judgement.unsettled
        if item.runs:
            runs += item.runs
            order.acts(event)
        if len(lacks) > before:
            looked.lacking[place] = list(lacks[before:])
    looked.twins, looked.begun, looked.keyed = claimed.twins, judge.begun, order.keyed
    if claimed.renamed:
        looked.judged = [_renamed(claimed, item) for item in looked.judged]
    return looked


def _beside(claimed: BatchClaims, item: Judged) -> Judged:
    """An event with the claim whose identity it takes."""
    displaces = claimed.displaced.get(item.matched.event.uid, "")
    return replace(item, matched=replace(item.matched, displaces=displaces)) if displaces else item


def _renamed(claimed: BatchClaims, item: Judged) -> Judged:
    event = item.matched.event
    key = claimed.renamed.get(event.uid, event.dedupe_key)
    return replace(item, matched=replace(item.matched, event=replace(event, dedupe_key=key)))


def judged(judge: Judge, event: Event, row: LogRow | None, *, past: bool) -> Judged:
    """What becomes of one event."""
    judgement = judge.judge(event, past=past)
    found = judgement.admission
    if (
        event.source == REPLAY
    ):  # perhaps by one rule alone: nobody could say later what was passed over
        found.verdicts = found.all_verdicts
    matched = Matched(
        event,
        row.id if row else None,
        _json(found.verdicts) if found.verdicts else "{}",
        tuple(run for _, run in judgement.starts),
        tuple(found.cancels),
        tuple(found.wakes),
    )
    return Judged(matched, judgement, row)


def _untagged(event: Event) -> bool:
    """Whether an event may be about a message or call of ours without saying so: Event Streams, the
    debugger and a service's own callback carry no tag."""
    if event.tag or event.subject_sid[:2] not in ("SM", "MM", "CA"):
        return False
    family, _, word = event.type.partition(".")
    return family == "debugger" or (
        family in ("message", "call") and bool(event.status) and word == event.status
    )


def _tagged(event: Event, depths: dict[str, int]) -> Event:
    """An event that carries a tag of ours: how deep it stands, and proven by it. Nobody but Twilio
    got the tag."""
    if event.tag not in depths:
        return event
    trust = "confirmed" if event.trust == "claimed" else event.trust
    return replace(event, depth=depths[event.tag], trust=trust)
