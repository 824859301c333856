"""Judge: admission on the journal, for a batch of events that is written together.

What stands earlier in the batch is not in the journal yet and counts as the past as well.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ringback.events import REPLAY, Event, matches_type
from ringback.rules.delivery_rates import DeliveryFacts, Ended
from ringback.rules.engine.admission import (
    Admission,
    Start,
    Woken,
    admit,
    admit_again,
    restrains,
)
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.engine.waits import Standing, Waits, home, place_of
from ringback.rules.functions.choice_facts import ChoiceFacts
from ringback.rules.model import Rule
from ringback.rules.retry_policy import FailedText
from ringback.runtime import Runtime, from_iso, iso
from ringback.store.facts import JournalFacts
from ringback.store.matching import NewRun
from ringback.store.session import ReadSession
from ringback.worker.fresh_texts import FreshTexts
from ringback.worker.match.turns import Turns

ACKNOWLEDGED = {"escalation:reply": "fired"}
"""The verdict on a text by which somebody on call says that they know of an incident."""


Taken = Callable[[ReadSession, Event], Mapping[str, str]]
"""The verdict that stands in place of all others on a text that no rule is offered, by the name
under which it is noted; empty for a text like any other."""


class BatchFacts(DeliveryFacts, ChoiceFacts):
    """The past of an event in a batch: the journal, and what stands before it in the batch."""

    def __init__(self, past: JournalFacts, runtime: Runtime) -> None:
        self._past = past
        self._runtime = runtime
        self._events: list[Event] = []
        self._counted: dict[tuple[str, float, str, str], int] = {}
        self._texts = FreshTexts(past)

    def of_shadow(self, rule: str) -> "BatchFacts":
        """The same as this rule sees it, which is in shadow."""
        found = BatchFacts(self._past.of_shadow(rule), self._runtime)
        found._events, found._counted, found._texts = self._events, self._counted, self._texts
        return found

    def add(self, event: Event) -> None:
        """One more event has come; it counts from now on. A mere claim counts for nothing."""
        if event.trust != "claimed":
            self._events.append(event)
            self._texts.add(event)

    def ended_texts(self, by: str, of: str, seconds: float) -> Ended:
        """How many texts came to an end, with those of which the batch tells."""
        return self._texts.ended(by, of, seconds, self._runtime.now())

    def pending_texts(self, seconds: float, sender: str = "") -> int:
        """How many texts are without a final state, which the batch may have brought."""
        return self._past.pending_texts(seconds, sender, self._texts.over)

    def left(self, seconds: float) -> int:
        """How many people opted out, without those of the batch."""
        return self._past.left(seconds)

    def segments_taken(self, seconds: float) -> int:
        """How many segments texts took, without those of which the batch tells."""
        return self._past.segments_taken(seconds)

    def failed_text(self, action_uid: str) -> FailedText | None:
        """The text of an action that failed."""
        return self._past.failed_text(action_uid)

    def message_count(self, conversation: str) -> int:
        """How many messages were received, with this event."""
        return self._past.message_count(conversation) + len(self._heard(conversation))

    def last_inbound(self, conversation: str, before: datetime) -> datetime | None:
        """When the other side last wrote before that moment."""
        newest = [event.at for event in self._heard(conversation) if event.at < before]
        past = self._past.last_inbound(conversation, before)
        return max([*newest, *([past] if past else [])], default=None)

    def last_outbound(self, conversation: str, before: datetime) -> datetime | None:
        """When we last wrote before that moment."""
        return self._past.last_outbound(conversation, before)

    def count(
        self, type_pattern: str, seconds: float, conversation: str = "", error_class: str = ""
    ) -> int:
        """How many events of a type came in the last `seconds`, with this event."""
        since = self._runtime.now() - timedelta(seconds=seconds)
        fresh = sum(
            1
            for event in self._events
            if matches_type(type_pattern, event.type)
            and event.received_at >= since
            and conversation in ("", event.conversation)
            and error_class in ("", event.error_class)
        )
        # Asked once for all events of the batch: they are judged at one moment, and in a storm each
        # would read all that came before it.
        asked = (type_pattern, seconds, conversation, error_class)
        if asked not in self._counted:
            self._counted[asked] = self._past.count(*asked)
        return fresh + self._counted[asked]

    def remembered(self, conversation: str, name: str) -> str:
        """What was remembered about this contact."""
        return self._past.remembered(conversation, name)

    def is_member(self, group: str, number: str) -> bool:
        """Whether somebody is in a group."""
        return self._past.is_member(group, number)

    def written(self, conversation: str) -> list[tuple[str, bool]]:
        """Our last texts."""
        return self._past.written(conversation)

    def call_over(self, call_sid: str) -> bool:
        """Whether a call is known to have ended."""
        return self._past.call_over(call_sid)

    def placed_call(self, event: Event) -> str:
        """The nonce of the call of ours that an event is about."""
        return self._past.placed_call(event)

    def _heard(self, conversation: str) -> list[Event]:
        return [
            event
            for event in self._events
            if event.type == "message.received" and event.conversation == conversation
        ]


class BatchUnderWay:
    """The runs that have not ended: those of the journal, and those of the batch."""

    def __init__(self, session: ReadSession, waits: Waits, facts: BatchFacts, turns: Turns) -> None:
        self.met: dict[str, str] = {}
        """By rule, the place in which the event under judgement has met a run that takes a turn."""
        self.begun: dict[str, str] = {}
        """By place, the conversation of the runs that events of the batch start, wake or end."""
        self._turns = turns
        self._session = session
        self._waits = waits
        self._facts = facts
        self._firings: dict[tuple[str, str], datetime] = {}
        self._runs: dict[tuple[str, str], list[str]] = {}
        self._collecting: dict[tuple[str, str], str] = {}
        self._ended: set[str] = set()
        self._woken: set[str] = set()

    def woke(self, uids: Iterable[str]) -> None:
        """Runs that an event of the batch wakes."""
        for uid in uids:
            self._woken.add(uid)
            self._moves(uid)

    def started(self, start: Start, uid: str, event: Event) -> None:
        """A run of the batch; it counts from now on."""
        place, rule = (start.rule.name, start.key), start.rule
        if restrains(rule) and not start.queued:
            self.begun[place_of(*place)] = home(event)
        if rule.once_within:
            self._firings[place] = event.received_at
        if place in self._runs or rule.mode != "parallel":
            self._of(place).append(uid)
        if rule.collects:
            self._collecting[place] = uid

    def ended(self, uid: str) -> None:
        """A run that an event of the batch has cancelled."""
        self._ended.add(uid)
        self._moves(uid)

    def _moves(self, uid: str) -> None:
        place, where = self._waits.where(uid)
        if place:
            self.begun[place] = where

    def in_turn(self, uids: Iterable[str]) -> Iterator[str]:
        """The places of those of these waiting runs that take a turn: they may wait no longer."""
        places = (self._waits.where(uid)[0] for uid in uids)
        return (place for place in places if place and self.turn(place))

    def turn(self, place: str) -> str:
        """The key under which a run of this place takes its turn; empty when none does."""
        return self.begun.get(place) or self._turns.before(place)

    def last_firing(self, rule: str, key: str, ending: Collection[str]) -> datetime | None:
        """When the event came that this rule last started a run of this key for, unless that was
        idle."""
        self._meet(rule, key)
        last = self._firings.get((rule, key))
        if last is None:
            moment = self._session.last_firing(rule, key, self._ended.union(ending))
            last = from_iso(moment) if moment else None
        return last

    def runs(self, rule: str, key: str, call: Event | None) -> Sequence[str]:
        """The runs of a rule for a key that may keep others from starting, oldest first."""
        self._meet(rule, key)
        found = self._waits.busy(self._of((rule, key)), call)
        return [uid for uid in found if uid not in self._ended] if self._ended else found

    def _of(self, place: tuple[str, str]) -> list[str]:
        found = self._runs.get(place)
        if found is None:
            found = self._runs[place] = self._session.under_way(*place)
        return found

    def collecting(self, rule: str, key: str) -> str:
        """The newest run that still collects events of this key; empty when there is none."""
        self._meet(rule, key)
        uid = self._collecting.get((rule, key))
        if uid is None:
            uid = self._collecting[rule, key] = self._session.collecting(rule, key)
        return "" if uid in self._ended else uid

    def cancelled_by(self, event: Event) -> Sequence[str]:
        """The waiting runs that this event ends."""
        return self._waits.cancelled_by(event, self._facts, self._standing)

    def woken_by(self, event: Event) -> Sequence[Woken]:
        """The runs that wait for this event."""
        return self._waits.woken_by(event, self._facts, self._standing)

    def _meet(self, rule: str, key: str) -> None:
        place = place_of(rule, key)
        if self.turn(place):
            self.met[rule] = place

    def _standing(self, uid: str) -> Standing | None:
        found = self._session.waiting(uid)
        if found is None:
            return None
        event, memory, busy = found
        return Standing(event, json.loads(memory), busy or uid in self._woken)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What becomes of an event, with the rows of the runs that it starts. It may change when the
    runs in the places `unsettled` have had their turn."""

    admission: Admission
    starts: tuple[tuple[Rule, NewRun], ...]
    unsettled: Collection[str] = ()


def no_answer(_: ReadSession, __: Event) -> Mapping[str, str]:
    """Nobody is on call, and nobody has taken over a conversation."""
    return {}


class Judge:
    """Judges the events of one batch, in order."""

    def __init__(
        self,
        ruleset: RuleSet,
        quarantined: dict[str, str],
        waits: Waits,
        session: ReadSession,
        runtime: Runtime,
        turns: Turns,
        taken: Taken = no_answer,
    ) -> None:
        """`taken` says which texts are answered by no rule: see `Acknowledgements`."""
        self._session = session
        self._taken = taken
        self._ruleset = ruleset
        self._quarantined = quarantined
        self._runtime = runtime
        self._now = runtime.now()
        self._facts = BatchFacts(session.facts(runtime), runtime)
        self._under_way = BatchUnderWay(session, waits, self._facts, turns)

    def judge(self, event: Event, *, past: bool = False) -> Judgement:
        """What becomes of one event. One that is `past` starts, ends and wakes nothing."""
        if event.source != REPLAY:  # it happened once, and is in the past already
            self._facts.add(event)
        taken = {} if past else self._taken(self._session, event)
        if taken:
            return Judgement(Admission(dict(taken)), ())
        self._under_way.met.clear()
        found = admit(
            self._ruleset, event, self._facts, self._under_way, now=self._now,
            quarantined=self._quarantined, past=past,
        )  # fmt: skip
        met = self._under_way.met
        unsettled = {met[rule] for rule in met if self._changes(rule, found.verdicts[rule])}
        unsettled.update(self._under_way.in_turn(uid for uid, _ in found.cancels))
        judgement = self._judged(event, found)
        return replace(judgement, unsettled=unsettled) if unsettled else judgement

    def _changes(self, rule: str, verdict: str) -> bool:
        """Whether it matters what becomes of the runs that a rule has: they have kept it back, its
        next ends them or stands behind them. That it has joined one matters to others alone: it is
        judged anew when that run takes no more."""
        own = self._ruleset.by_name[rule]
        if verdict.startswith("joined"):
            return own.cancel_on is not None or any(each.backstop for each in self._ruleset.rules)
        return verdict != "fired" or own.mode in ("restart", "queued")

    @property
    def begun(self) -> dict[str, str]:
        """By place, the conversation of the runs that the events of the batch start or wake."""
        return self._under_way.begun

    def turns(self, places: Collection[str]) -> set[str]:
        """The keys under which runs of these places take their turn."""
        return set(filter(None, map(self._under_way.turn, places)))

    def again(self, event: Event, rule: Rule, key: str) -> Judgement:
        """What becomes of an event that this rule wants, when a run that it had joined collects no
        more."""
        found = admit_again(rule, key, event, self._under_way, self._quarantined)
        return self._judged(event, found)

    def over(self, uid: str) -> None:
        """A run that is about to be ended."""
        self._under_way.ended(uid)

    def _judged(self, event: Event, found: Admission) -> Judgement:
        for uid, _ in found.cancels:
            self._under_way.ended(uid)
        self._under_way.woke(found.wakes)
        if not found.starts:
            return Judgement(found, ())
        return Judgement(found, tuple((each.rule, self._run(each, event)) for each in found.starts))

    def _run(self, start: Start, event: Event) -> NewRun:
        uid, rule = self._runtime.uid("run"), start.rule
        self._under_way.started(start, uid, event)
        return NewRun(
            uid=uid, event_uid=event.uid, rule=rule.name, rule_rev=rule.rev, key=start.key,
            priority=rule.priority, started_at=iso(self._runtime.now()),
            state="waiting" if start.queued else "pending",
            reason="queued behind another run" if start.queued else "",
        )  # fmt: skip
