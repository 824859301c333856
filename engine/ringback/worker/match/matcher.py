"""Match: from rows of the log to events, verdicts and runs, one transaction for a whole batch.

Nothing here performs anything. A crash before the commit leaves the cursor where it was, a crash
after it leaves runs that wait to be started.
"""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Concatenate, ParamSpec, TypeVar

from ringback.events import REPLAY, Event
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.engine.waits import Waits
from ringback.rules.model import Rule
from ringback.runtime import Runtime, from_iso, iso
from ringback.store.interface import Journal
from ringback.store.log import LogRow
from ringback.store.matching import Matched, Moved, NewRun
from ringback.store.runs import Revision
from ringback.store.session import ReadSession
from ringback.twilio.kinds import Malformed
from ringback.twilio.webhooks import events_from
from ringback.worker.match.judge import Judge, Judgement
from ringback.worker.questions import Questions

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

BATCH = 200
BATCH_RUNS = 500
"""A batch ends at the row that brings it to so many runs to start or to wake, however many rules
there are: what is matched is in memory until it is done."""
ASKING = frozenset({"call", "call/step"})
"""The routes whose sender waits for TwiML."""


@dataclass(frozen=True, slots=True)
class Found:
    """A new event, the runs that it starts or queues in the order of priority, those that it ends
    and wakes, the log row of the call that may wait for the answer (None when nothing waits), and
    every rule's verdict."""

    event: Event
    runs: tuple[tuple[Rule, NewRun], ...]
    ended: tuple[str, ...]
    wakes: tuple[str, ...]
    asked: int | None
    verdicts: dict[str, str]


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of matching did: how many rows it read, what was new, which actions moved,
    and which earlier claims (uid) a proven delivery has now caught up with (its trust)."""

    rows: int = 0
    found: tuple[Found, ...] = ()
    moved: tuple[Moved, ...] = ()
    twins: tuple[tuple[str, str], ...] = ()


class Matcher:
    """Reads the log behind its cursor and decides which rules want which event."""

    def __init__(
        self, journal: Journal, ruleset: RuleSet, waits: Waits, runtime: Runtime,
        questions: Questions,
    ) -> None:  # fmt: skip
        self._journal = journal
        self._questions = questions
        self._runtime = runtime
        self._waits = waits
        self.ruleset = ruleset
        self.quarantined: dict[str, str] = {}
        self.cursor = 0
        self.claims = False
        self._past: datetime | None = None
        self._noted: RuleSet | None = None

    def forget(self, before: str) -> None:
        """What came in before that moment (ISO; empty: nothing) is recorded and starts nothing."""
        self._past = from_iso(before) if before else None

    def is_past(self, event: Event) -> bool:
        """Whether an earlier journal has reacted to this event, as far as anybody can tell."""
        outside = event.source in ("webhook", "repair")
        return self._past is not None and outside and event.received_at < self._past

    async def restore(self) -> None:
        """Take up the log where the last commit left off. One that was put back from a copy, or
        begun anew, is taken up where it parts from what was read: what comes next is new."""
        cursor, self.cursor = await self._journal.matching.cursors()
        if self.cursor < min(cursor, await self._journal.log.last_id()):
            log.warning(
                "the log is not the one that was read before: it is read again from row %d on",
                self.cursor + 1,
            )

    async def step(self) -> Step:
        """Match the next batch of the log. `rows` is 0 when there is nothing new."""
        rows = await self._journal.log.after(self.cursor, BATCH)
        if not rows:
            return Step()
        return await self._match(rows, moves=True)

    async def only(self, log_id: int) -> Step:
        """Match one row ahead of the others, for a call that waits. The cursor stays; when it gets
        there, the event is known already."""
        row = await self._journal.log.get(log_id)
        return await self._match([row], moves=False) if row else Step()

    async def internal(self, events: Sequence[Event]) -> Step:
        """Match events that the worker itself recorded, or the first of them when they start very
        many runs: they have no row in the log."""
        judged = await self._read(self._judge_events, events)
        await self._journal.matching.settle([item.matched for item in judged])
        return Step(len(judged), tuple(item.found(None) for item in judged))

    async def replay(self, uid: str, rule: Rule | None) -> Step:
        """Record a copy of a stored event and match it with the rules of today, or with this one
        alone: one transaction for the copy, its verdicts and its runs. What the original changed in
        contacts, consents and outcomes is not changed again. Raises UsageError when it is not kept.
        """
        ruleset = RuleSet([rule], self.ruleset.language) if rule else self.ruleset
        judged = await self._read(self._judge_copy, uid, ruleset)
        await self._journal.matching.replay(judged.matched)
        return Step(1, (judged.found(None),))

    async def proven(self, uid: str, trust: str) -> Step:
        """A claimed event has earned this trust: judge it again. Rules that ran for the claim do
        not run a second time."""
        proven = await self._read(self._judge_proven, uid, trust)
        if proven is None:
            return Step()
        judged, row = proven
        recorded = await self._journal.matching.prove(judged.matched)
        return Step(1, (judged.found(row),), tuple(recorded.moved))

    async def _read(
        self, work: Callable[Concatenate[ReadSession, P], T], *args: P.args, **_: P.kwargs
    ) -> T:
        """Judge in one session of the journal, with what plugins answer to the conditions. What
        rules say is kept before the first event meets them."""
        if self._noted is not self.ruleset:
            noted = self.ruleset
            said = [
                Revision(rule.name, rule.rev, [each.source for each in rule.conditions], rule.text)
                for rule in noted.rules
            ]
            await self._journal.runs.note_rules(said, iso(self._runtime.now()))
            self._noted = noted
        return await self._questions.settled(self._journal.read, work, *args)

    async def _match(self, rows: Sequence[LogRow], *, moves: bool) -> Step:
        looked = await self._read(self._look, rows)
        batch = [item.matched for item, _ in looked.judged]
        cursor = looked.end if moves else None
        recorded = await self._journal.matching.record(batch, cursor, looked.later)
        self.cursor = cursor or self.cursor
        found = [item.found(row) for item, row in looked.judged]
        return Step(len(rows), tuple(found), tuple(recorded.moved), tuple(looked.twins))

    def _look(self, session: ReadSession, rows: Sequence[LogRow]) -> "_Looked":
        """Parse rows, drop what is on record, and judge the rest in order, up to the row at which
        there are runs enough."""
        parsed = [(event, row) for row in rows for event in self._events(row)]
        known = session.known(event for event, _ in parsed)
        fresh: list[tuple[Event, LogRow]] = []
        later: list[tuple[int, Event]] = []
        twins: list[tuple[int, str, str]] = []
        for found, row in parsed:
            event = known.own(found)
            if not known.knows(event):
                known.add(event)
                fresh.append((event, row))
                continue
            later.append((row.id, event))
            if self.claims and event.trust != "claimed":
                twin = session.claimed_twin(event.dedupe_key)
                twins += [(row.id, twin, event.trust)] if twin else []
        depths = session.depths([event.tag for event, _ in fresh])
        judge = self._judge(session)
        judged: list[tuple[_Judged, LogRow]] = []
        runs, end = 0, rows[-1].id
        for event, row in fresh:
            if runs >= BATCH_RUNS and row is not judged[-1][1]:
                end = judged[-1][1].id
                break
            item = self._judged(judge, _tagged(event, depths) if event.tag else event, row)
            judged.append((item, row))
            runs += item.runs
        return _Looked(
            judged,
            [(uid, trust) for at, uid, trust in twins if at <= end],
            [event for at, event in later if at <= end],
            end,
        )

    def _events(self, row: LogRow) -> list[Event]:
        """What a row says. One that says nothing readable starts nothing; it stays in the log."""
        try:
            return events_from(row, lambda: self._runtime.uid("evt"))
        except Malformed as error:
            log.error("row %d of the log starts nothing: %s", row.id, error)
            return []

    def _judge_events(self, session: ReadSession, events: Sequence[Event]) -> "list[_Judged]":
        judge, judged, runs = self._judge(session), list[_Judged](), 0
        for event in events:
            judged.append(self._judged(judge, event, None))
            runs += judged[-1].runs
            if runs >= BATCH_RUNS:
                break
        return judged

    def _judge_copy(self, session: ReadSession, uid: str, ruleset: RuleSet) -> "_Judged":
        event = session.whole_event(uid)
        number = len(session.copies(uid)) + 1
        copy = replace(
            event, uid=self._runtime.uid("evt"), received_at=self._runtime.now(), source=REPLAY,
            tag="", dedupe_key=f"{REPLAY}:{uid}:{number}",
        )  # fmt: skip
        return self._judged(self._judge(session, ruleset), copy, None)

    def _judge_proven(
        self, session: ReadSession, uid: str, trust: str
    ) -> "tuple[_Judged, LogRow | None] | None":
        event = session.event(uid)
        if event is None or event.trust != "claimed":
            return None
        ran, row = session.rules_of(uid), session.log_row(uid)
        judged = self._judged(self._judge(session), replace(event, trust=trust), row)
        starts = tuple(pair for pair in judged.judgement.starts if pair[0].name not in ran)
        item = replace(judged.matched, runs=tuple(run for _, run in starts))
        return _Judged(item, replace(judged.judgement, starts=starts)), row

    def _judge(self, session: ReadSession, ruleset: RuleSet | None = None) -> Judge:
        return Judge(ruleset or self.ruleset, self.quarantined, self._waits, session, self._runtime)

    def _judged(self, judge: Judge, event: Event, row: LogRow | None) -> "_Judged":
        judgement = judge.judge(event, past=self.is_past(event))
        found = judgement.admission
        verdicts = found.verdicts
        matched = Matched(
            event,
            row.id if row else None,
            json.dumps(verdicts, ensure_ascii=False) if verdicts else "{}",
            tuple(run for _, run in judgement.starts),
            tuple(found.cancels),
            tuple(found.wakes),
        )
        return _Judged(matched, judgement)


def _tagged(event: Event, depths: dict[str, int]) -> Event:
    """An event that carries a tag of ours: how deep it stands, and proven by it. Nobody but Twilio
    got the tag."""
    if event.tag not in depths:
        return event
    trust = "confirmed" if event.trust == "claimed" else event.trust
    return replace(event, depth=depths[event.tag], trust=trust)


@dataclass(frozen=True, slots=True)
class _Looked:
    judged: "list[tuple[_Judged, LogRow]]"
    twins: list[tuple[str, str]]
    later: list[Event]
    end: int


@dataclass(frozen=True, slots=True)
class _Judged:
    matched: Matched
    judgement: Judgement

    @property
    def runs(self) -> int:
        """How many runs it starts or wakes."""
        return len(self.matched.runs) + len(self.matched.wakes)

    def found(self, row: LogRow | None) -> Found:
        asked = row.id if row is not None and row.route in ASKING else None
        return Found(
            self.matched.event,
            self.judgement.starts,
            tuple(uid for uid, _ in self.matched.cancels),
            self.matched.wakes,
            asked,
            self.judgement.admission.verdicts,
        )
