"""Match: from rows of the log to events, verdicts and runs, one transaction for a whole batch.

Nothing here performs anything. A crash before the commit leaves the cursor where it was, a crash
after it leaves runs that wait to be started.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from ringback.events import REPLAY, Event
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.engine.waits import Waits
from ringback.rules.model import Rule
from ringback.runtime import Runtime
from ringback.store import events, matching, replays
from ringback.store.database import Connection
from ringback.store.events import KnownEvents, record_internal
from ringback.store.journal import Journal
from ringback.store.log import LogReader, LogRow
from ringback.store.matching import Matched, Moved, NewRun
from ringback.twilio.webhooks import events_from
from ringback.worker.match.judge import Judge, Judgement

BATCH = 200
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
        self, log: LogReader, journal: Journal, ruleset: RuleSet, waits: Waits, runtime: Runtime
    ) -> None:
        self._log = log
        self._journal = journal
        self._runtime = runtime
        self._waits = waits
        self.ruleset = ruleset
        self.quarantined: dict[str, str] = {}
        # A log that was put back from a copy may end earlier: what comes next is new all the same.
        self.cursor = min(matching.cursor(journal.reader), log.last_id())
        self.claims = False

    async def step(self) -> Step:
        """Match the next batch of the log. `rows` is 0 when there is nothing new."""
        rows = self._log.after(self.cursor, BATCH)
        if not rows:
            return Step()
        step = await self._match(rows, rows[-1].id)
        self.cursor = rows[-1].id
        return step

    async def only(self, log_id: int) -> Step:
        """Match one row ahead of the others, for a call that waits. The cursor stays; when it gets
        there, the event is known already."""
        row = self._log.get(log_id)
        return await self._match([row], None) if row else Step()

    async def internal(self, events: Sequence[Event]) -> Step:
        """Match events that the worker itself recorded: they have no row in the log."""
        judge = self._judge()
        judged = [self._judged(judge, event, None) for event in events]

        def write(connection: Connection) -> None:
            for item in judged:
                matching.settle_verdicts(connection, item.matched)

        await self._journal.write(write)
        return Step(len(judged), tuple(item.found(None) for item in judged))

    async def replay(self, uid: str, rule: Rule | None) -> Step:
        """Record a copy of a stored event and match it with the rules of today, or with this one
        alone: one transaction for the copy, its verdicts and its runs. What the original changed in
        contacts, consents and outcomes is not changed again. Raises UsageError when it is not kept.
        """
        reader, now = self._journal.reader, self._runtime.now()
        event = replays.whole(reader, self._log, uid)
        number = len(replays.replays(reader, uid)) + 1
        copy = replace(
            event, uid=self._runtime.uid("evt"), received_at=now, source=REPLAY, tag="",
            dedupe_key=f"{REPLAY}:{uid}:{number}",
        )  # fmt: skip
        ruleset = RuleSet([rule], self.ruleset.language) if rule else self.ruleset
        judged = self._judged(self._judge(ruleset), copy, None)

        def write(connection: Connection) -> None:
            record_internal(connection, copy)
            matching.settle_verdicts(connection, judged.matched)

        await self._journal.write(write)
        return Step(1, (judged.found(None),))

    async def proven(self, uid: str, trust: str) -> Step:
        """A claimed event has earned this trust: judge it again. Rules that ran for the claim do
        not run a second time."""
        reader = self._journal.reader
        event = events.event(reader, self._log, uid)
        if event is None or event.trust != "claimed":
            return Step()
        ran = matching.ran(reader, uid)
        row = events.log_row(reader, self._log, uid)
        judged = self._judged(self._judge(), replace(event, trust=trust), row)
        starts = [pair for pair in judged.judgement.starts if pair[0].name not in ran]
        item = replace(judged.matched, runs=tuple(run for _, run in starts))
        recorded = await self._journal.write(partial(matching.prove, item=item))
        judged = _Judged(item, replace(judged.judgement, starts=tuple(starts)))
        return Step(1, (judged.found(row),), tuple(recorded.moved))

    async def _match(self, rows: Sequence[LogRow], cursor: int | None) -> Step:
        parsed = [
            (event, row)
            for row in rows
            for event in events_from(row, lambda: self._runtime.uid("evt"))
        ]
        told = KnownEvents.read(self._journal.reader, [event for event, _ in parsed])
        fresh: list[tuple[Event, LogRow]] = []
        twins: list[tuple[str, str]] = []
        for event, row in parsed:
            before = told.under(event)
            if not before:
                told.add(event)
                fresh.append((event, row))
            elif self.claims and event.trust != "claimed":
                twin = matching.claimed_twin(self._journal.reader, before)
                twins += [(twin, event.trust)] if twin else []
        depths = matching.depths(self._journal.reader, [event.tag for event, _ in fresh])
        judge = self._judge()
        judged = [
            self._judged(judge, _tagged(event, depths) if event.tag else event, row)
            for event, row in fresh
        ]
        recorded = await self._journal.write(
            lambda connection: matching.record(
                connection, [item.matched for item in judged], cursor
            )
        )
        found = [item.found(row) for item, (_, row) in zip(judged, fresh, strict=True)]
        return Step(len(rows), tuple(found), tuple(recorded.moved), tuple(twins))

    def _judge(self, ruleset: RuleSet | None = None) -> Judge:
        return Judge(
            ruleset or self.ruleset, self.quarantined, self._waits, self._journal, self._runtime
        )

    def _judged(self, judge: Judge, event: Event, row: LogRow | None) -> "_Judged":
        judgement = judge.judge(event)
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
    was told the tag."""
    if event.tag not in depths:
        return event
    trust = "confirmed" if event.trust == "claimed" else event.trust
    return replace(event, depth=depths[event.tag], trust=trust)


@dataclass(frozen=True, slots=True)
class _Judged:
    matched: Matched
    judgement: Judgement

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
