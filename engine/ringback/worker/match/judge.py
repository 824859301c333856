"""Judge: admission on the journal, for a batch of events that is written together.

What stands earlier in the batch is not in the journal yet and counts as the past as well.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ringback.events import REPLAY, Event, matches_type
from ringback.rules.engine.admission import Admission, Start, Woken, admit
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.engine.waits import Standing, Waits
from ringback.rules.model import Rule
from ringback.runtime import Runtime, from_iso, iso
from ringback.store.facts import JournalFacts
from ringback.store.matching import NewRun
from ringback.store.session import ReadSession


class BatchFacts:
    """The past of an event in a batch: the journal, and what stands before it in the batch."""

    def __init__(self, past: JournalFacts, runtime: Runtime) -> None:
        self._past = past
        self._runtime = runtime
        self._events: list[Event] = []

    def add(self, event: Event) -> None:
        """One more event has come; it counts from now on."""
        self._events.append(event)

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
        return fresh + self._past.count(type_pattern, seconds, conversation, error_class)

    def remembered(self, conversation: str, name: str) -> str:
        """What was remembered about this contact."""
        return self._past.remembered(conversation, name)

    def written(self, conversation: str) -> list[tuple[str, bool]]:
        """Our last texts."""
        return self._past.written(conversation)

    def _heard(self, conversation: str) -> list[Event]:
        return [
            event
            for event in self._events
            if event.type == "message.received" and event.conversation == conversation
        ]


class BatchUnderWay:
    """The runs that have not ended: those of the journal, and those of the batch."""

    def __init__(self, session: ReadSession, waits: Waits, facts: BatchFacts) -> None:
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
        self._woken.update(uids)

    def started(self, start: Start, uid: str, event: Event) -> None:
        """A run of the batch; it counts from now on."""
        place, rule = (start.rule.name, start.key), start.rule
        if rule.once_within:
            self._firings[place] = event.received_at
        if place in self._runs or rule.mode != "parallel":
            self.runs(*place)
            self._runs[place].append(uid)
        if rule.collects:
            self._collecting[place] = uid

    def ended(self, uid: str) -> None:
        """A run that an event of the batch has cancelled."""
        self._ended.add(uid)

    def last_firing(self, rule: str, key: str) -> datetime | None:
        """When the event came that this rule last started a run of this key for."""
        last = self._firings.get((rule, key))
        if last is None:
            moment = self._session.last_firing(rule, key)
            last = from_iso(moment) if moment else None
        return last

    def runs(self, rule: str, key: str) -> Sequence[str]:
        """The runs of a rule for a key that have not ended, oldest first."""
        found = self._runs.get((rule, key))
        if found is None:
            found = self._runs[rule, key] = self._session.under_way(rule, key)
        return [uid for uid in found if uid not in self._ended] if self._ended else found

    def collecting(self, rule: str, key: str) -> str:
        """The newest run that still collects events of this key; empty when there is none."""
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

    def _standing(self, uid: str) -> Standing | None:
        found = self._session.waiting(uid)
        if found is None:
            return None
        event, memory, busy = found
        return Standing(event, json.loads(memory), busy or uid in self._woken)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What becomes of an event, with the rows of the runs that it starts."""

    admission: Admission
    starts: tuple[tuple[Rule, NewRun], ...]


class Judge:
    """Judges the events of one batch, in order."""

    def __init__(
        self,
        ruleset: RuleSet,
        quarantined: dict[str, str],
        waits: Waits,
        session: ReadSession,
        runtime: Runtime,
    ) -> None:
        self._ruleset = ruleset
        self._quarantined = quarantined
        self._runtime = runtime
        self._facts = BatchFacts(session.facts(runtime), runtime)
        self._under_way = BatchUnderWay(session, waits, self._facts)

    def judge(self, event: Event, *, past: bool = False) -> Judgement:
        """What becomes of one event. One that is `past` starts, ends and wakes nothing."""
        if event.source != REPLAY:  # it happened once, and is in the past already
            self._facts.add(event)
        found = admit(
            self._ruleset, event, self._facts, self._under_way, now=self._runtime.now(),
            quarantined=self._quarantined, past=past,
        )  # fmt: skip
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
