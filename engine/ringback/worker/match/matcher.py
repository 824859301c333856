"""Match: from rows of the log to events, verdicts and runs, one transaction for a whole batch.

Nothing here performs anything. A crash before the commit leaves the cursor where it was, a crash
after it leaves runs that wait to be started. An event whose rules wait for a plugin is put aside:
the others are written meanwhile, and the cursor of the journal stays in front of it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from ringback.errors import Malformed
from ringback.events import Event
from ringback.plugins.memo import Known, Memo
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.engine.waits import Waits, home
from ringback.rules.model import Rule
from ringback.runtime import Runtime, from_iso, iso
from ringback.store.interface import Journal
from ringback.store.log import LogRow
from ringback.store.matching import Recorded
from ringback.store.meta import Revision
from ringback.store.operations.doings import Doing
from ringback.store.session import ReadSession
from ringback.twilio.webhooks import events_from
from ringback.worker.match import anew
from ringback.worker.match.aside import Aside, Entry, Line, in_order
from ringback.worker.match.judge import Judge, Taken, no_answer
from ringback.worker.match.look import Judged, Looked, Order, judged, look
from ringback.worker.match.step import Ahead, Step, answered
from ringback.worker.match.turns import Turns
from ringback.worker.questions import Answers, Questions

T = TypeVar("T")

log = logging.getLogger(__name__)

BATCH = 200
PATIENCE_SECONDS = 0.2
"""A batch waits so long for plugins in all; then it goes on without the events that need them."""
LEAST_SECONDS = 0.001
"""An answer counts as this at least, so that a batch does not ask for ever."""
MOST_TRIES = 20
"""An event that was put aside so often is judged without what it still asks for."""
MOST_ASIDE = 500
"""While so many events wait aside, no more are read."""
MOST_IN_TURN = 200
"""While so many do, no further one waits for what is being done before it,"""
TURN_SECONDS = 1.0
"""and none waits for longer: then the runs before it are under way."""

_NONE: Mapping[int, int] = {}

Record = Callable[[Looked, int], Awaitable[Recorded]]
"""Writes what a pass has found, and how far the log is matched then."""


class Matcher:
    """Reads the log behind its cursor and decides which rules want which event. `news` is called
    when an event that was put aside can be matched, `turns` says what is being done."""

    def __init__(
        self, journal: Journal, ruleset: RuleSet, waits: Waits, runtime: Runtime,
        questions: Questions, news: Callable[[], None], turns: Turns,
    ) -> None:  # fmt: skip
        self.record: Record
        """Writes what was judged; the parts are joined by it."""
        self._journal = journal
        self._questions = questions
        self._runtime = runtime
        self._waits = waits
        self.ruleset = ruleset
        self.quarantined: dict[str, str] = {}
        self.cursor = 0
        """All rows up to this one are matched."""
        self.claims = False
        self.taken: Taken = no_answer
        self._read_to = self._matched_to = 0
        self._turns = turns
        self._aside = Aside(
            news, turns.busy, runtime.monotonic, lambda type_: self.ruleset.shared(type_)
        )
        self._going_on: list[Entry] = []
        self._went_on = False
        self._past: datetime | None = None
        self._noted: RuleSet | None = None

    def done(self, key: str) -> None:
        """All is done that was to be done under this key."""
        self._aside.done(key)

    def forget(self, before: str) -> None:
        """What came in before that moment (ISO; empty: nothing) is recorded and starts nothing."""
        self._past = from_iso(before) if before else None

    def is_past(self, event: Event) -> bool:
        """Whether an earlier journal has reacted to this event, as far as anybody can tell."""
        if self._past is None or event.source not in ("webhook", "repair"):
            return False
        return event.received_at < self._past

    async def restore(self) -> None:
        """Take up the log where the last commit left off. One that was put back from a copy, or
        begun anew, is taken up where it parts from what was read: what comes next is new."""
        cursor, self.cursor = await self._journal.matching.cursors()
        self._read_to = self._matched_to = self.cursor
        if self.cursor < min(cursor, await self._journal.log.last_id()):
            log.warning(
                "the log is not the one that was read before: it is read again from row %d on",
                self.cursor + 1,
            )

    def unmatched(self) -> tuple[int, list[Event]]:
        """The last row of the log up to which everything is matched, but for the events that stand
        aside, and those."""
        return self._matched_to, [*(entry.event for entry in self._going_on), *self._aside.events]

    async def step(self) -> Step:
        """Match what was put aside and can go on, or else the next batch of the log. `rows` is 0
        when there is nothing to do."""
        went_on, self._went_on = self._went_on, False
        full = len(self._aside) >= MOST_ASIDE
        if self._aside.ripe and (full or not went_on):  # in turns: neither holds up the other
            return await self._go_on()
        rows = [] if full else await self._journal.log.after(self._read_to, BATCH)
        if not rows:
            return await self._go_on() if self._aside.ripe else Step()
        entries = [Entry(event, row) for row in rows for event in self._events(row)]
        looked = await self._looked(entries)
        last = entries[looked.done - 1].row if looked.done < len(entries) else None
        self._read_to = (last or rows[-1]).id
        all_done = last is None and len(rows) < BATCH and not len(self._aside)
        return replace(await self._record(looked), rows=len(rows), last=all_done)

    async def internal(self, events: Sequence[Event]) -> Step:
        """Match events that the worker itself recorded, or the first of them when they start very
        many runs: they have no row in the log. What waits aside already stays there."""
        entries = [Entry(event, None) for event in events if self._aside.line(event) is None]
        if not entries:
            return Step()
        looked = await self._looked(entries)
        return replace(await self._record(looked), rows=looked.done)

    async def _go_on(self) -> Step:
        """Match what was put aside, now that its answers are there."""
        self._went_on = True
        known, lines = Memo().known, self._aside.take()
        for line in lines:
            known.update(line.known)
            known.update({key: future.result() for key, future in line.asked.items()})
        entries, first = in_order(lines)
        self._going_on = entries
        tries = {place: line.tries for place, line in first.items()}
        overdue = [place for place, line in first.items() if self._aside.held(line)]
        looked = await self._looked(entries, known, tries, overdue)
        for entry in entries[looked.done :]:  # there are runs enough
            self._aside.put(entry, Line(known=known))
        step = await self._record(looked)
        self._going_on = []
        return replace(step, rows=len(entries))

    async def _looked(
        self, entries: Sequence[Entry], known: Answers | None = None,
        tries: Mapping[int, int] = _NONE, overdue: Collection[int] = (),
    ) -> Looked:  # fmt: skip
        """Judge events with what plugins answer to their rules in time. The others are put aside,
        and their questions go on."""
        await self._note_rules()
        memo, left_out, patience = Memo(known or {}), dict[int, Line | None](), PATIENCE_SECONDS
        met = dict[int, Collection[str]]()
        asked, loop = dict[Hashable, asyncio.Future[Known]](), asyncio.get_running_loop()
        while True:
            memo.known |= {key: each.result() for key, each in asked.items() if each.done()}
            looked = await self._journal.read(memo.within(self._look), entries, left_out, overdue)
            if looked.unsettled:
                met |= looked.unsettled
                left_out |= dict.fromkeys(looked.unsettled)
                continue
            lacking = {
                place: keys
                for place, keys in looked.lacking.items()
                if tries.get(place, 0) < MOST_TRIES
            }
            if not lacking:
                break
            keys = dict.fromkeys(key for each in lacking.values() for key in each)
            missing = {key: memo.missing[key] for key in keys if key not in asked}
            asked |= self._questions.begin(missing)
            if patience > 0:
                began = loop.time()
                await asyncio.wait([asked[key] for key in keys], timeout=patience)
                patience -= max(loop.time() - began, LEAST_SECONDS)
                continue
            for place, each in lacking.items():
                waits_for = {key: asked[key] for key in each}
                left_out[place] = Line(
                    asked=waits_for, known=memo.known, tries=tries.get(place, 0) + 1
                )
        until = self._runtime.monotonic() + TURN_SECONDS
        for place in looked.aside:
            entry = entries[place]
            places = met.get(place, entry.places)
            turns = {looked.begun.get(each) or self._turns.before(each) for each in places}
            line = left_out.get(place) or Line(
                {home(entry.event), *turns}, until, known=memo.known, keyed=place in looked.keyed
            )
            self._aside.put(entry._replace(places=places), line)
        return looked

    async def _record(self, looked: Looked) -> Step:
        """Write what was judged, and how far the log is matched."""
        told = any(item.row is not None for item in looked.judged)
        own = [item.matched for item in looked.judged if item.row is None]
        first = self._aside.first_row
        cursor = self._read_to if first is None else min(self._read_to, first - 1)
        if own:
            await self._journal.matching.settle(own)
        recorded = Recorded()
        if told or looked.later or cursor != self.cursor:
            recorded = await self.record(looked, cursor)
        self.cursor, self._matched_to = cursor, self._read_to
        return self._step(looked, recorded)

    def _step(self, looked: Looked, recorded: Recorded) -> Step:
        self._turns.began(looked.begun)
        found = tuple(item.found(recorded.done) for item in looked.judged)
        return Step(0, found, tuple(recorded.moved), tuple(looked.twins))

    def only(self, log_id: int) -> Ahead:
        """Match one row ahead of the others, for a call that waits. The cursor stays; when it gets
        there, the event is known already."""

        async def look(memo: Memo) -> Looked:
            row = await self._journal.log.get(log_id)
            entries = [Entry(event, row) for event in self._events(row)] if row else []
            return await self._settled(memo, self._look_alone, entries)

        async def finish(looked: Looked) -> Step:
            batch = [item.matched for item in looked.judged]
            recorded = await self._journal.matching.record(batch, None, looked.later)
            return replace(self._step(looked, recorded), rows=looked.done)

        return self._ahead(look, finish)

    def made(
        self, make: Callable[[ReadSession], Event], rule: Rule | None, doing: Doing | None = None
    ) -> Ahead:
        """Record an event that is made now, as the copy of a stored one is, and match it with the
        rules of today, or this one alone, at once with the doing. It changes nothing in contacts,
        consents and outcomes."""
        ruleset = RuleSet([rule], self.ruleset.language) if rule else self.ruleset

        def judge(session: ReadSession) -> Judged:
            return self._judge(session, ruleset)(make(session), None)

        async def look(memo: Memo) -> Judged:
            return await self._settled(memo, judge)

        async def finish(item: Judged) -> Step:
            await self._journal.matching.replay(item.matched, answered(doing, item.matched))
            return Step(1, (item.found(),))

        return self._ahead(look, finish)

    def proven(self, uid: str, trust: str) -> Ahead:
        """A claimed event has earned this trust: judge it again. Rules that ran for the claim do
        not run a second time."""

        async def look(memo: Memo) -> Judged | None:
            return await self._settled(memo, self._judge_proven, uid, trust)

        async def finish(item: Judged | None) -> Step:
            if item is None:
                other = await self._journal.read(lambda session: session.proven_twin(uid))
                if other:
                    await self._journal.matching.doubt(uid, f"{other} is on record already")
                return Step()
            recorded = await self._journal.matching.prove(item.matched)
            return Step(1, (item.found(),), tuple(recorded.moved))

        return self._ahead(look, finish)

    async def again(self, run_uid: str, rule: Rule, key: str, *, over: bool) -> Step:
        """Judge anew what lies ready for a run of a rule that collects: the run has collected what
        it will, or is about to be ended (`over`)."""

        def look(session: ReadSession) -> list[Judged]:
            judge = self._judge_of(session)
            if over:
                judge.over(run_uid)
            return anew.ready(session, judge, run_uid, rule, key)

        found = await self._journal.read(look)
        if found:
            await self._journal.matching.again(run_uid, [item.matched for item in found])
        return Step(len(found), tuple(item.found() for item in found))

    def early(self, asking: anew.Asking) -> Ahead:
        """Find what a run waits for from now on among what has come since the event of its last
        step. It is laid ready then, and rules that have not begun with it are kept from an answer.
        No rows when nothing has come."""

        async def look(memo: Memo) -> list[Judged]:
            return await self._settled(memo, self._look_early, asking)

        async def finish(found: list[Judged]) -> Step:
            if not found:
                return Step()
            await self._journal.matching.settle([item.matched for item in found])
            first, *others = (item.found() for item in found)
            return Step(len(found), (replace(first, wakes=()), *others))

        return self._ahead(look, finish)

    def _look_early(self, session: ReadSession, asking: anew.Asking) -> list[Judged]:
        return anew.early(session, self._judge_of(session), self.ruleset, self._runtime, asking)

    def _ahead(
        self, look: Callable[[Memo], Awaitable[T]], finish: Callable[[T], Awaitable[Step]]
    ) -> Ahead:
        memo = Memo()

        async def ask() -> None:
            if not self._questions.none:
                await look(memo)

        async def match() -> Step:
            return await finish(await look(memo))

        return Ahead(ask, match)

    async def _settled(self, memo: Memo, work: Callable[..., T], *args: Any) -> T:
        """Judge in one session of the journal, with all that plugins answer to the conditions."""
        await self._note_rules()
        return await self._questions.settled(self._journal.read, work, *args, memo=memo)

    async def _note_rules(self) -> None:
        """Keep what rules say, before the first event meets them."""
        if self._noted is not self.ruleset:
            noted = self.ruleset
            said = [
                Revision(rule.name, rule.rev, [each.source for each in rule.conditions], rule.text)
                for rule in noted.rules
            ]
            await self._journal.runs.note_rules(said, iso(self._runtime.now()))
            self._noted = noted

    def _look(
        self, session: ReadSession, entries: Sequence[Entry], left_out: Mapping[int, Line | None],
        overdue: Collection[int],
    ) -> Looked:  # fmt: skip
        order = Order(self._aside, self._turns.busy, MOST_IN_TURN - len(self._aside), overdue)
        return self._pass(session, entries, left_out, order)

    def _look_alone(self, session: ReadSession, entries: Sequence[Entry]) -> Looked:
        return self._pass(session, entries, {}, Order())

    def _pass(
        self, session: ReadSession, entries: Sequence[Entry], left_out: Mapping[int, Line | None],
        order: Order,
    ) -> Looked:  # fmt: skip
        judge = self._judge_of(session)
        return look(session, judge, self.is_past, entries, left_out, order, claims=self.claims)

    def _events(self, row: LogRow) -> list[Event]:
        """What a row says. One that says nothing readable starts nothing; it stays in the log."""
        try:
            return events_from(row, lambda: self._runtime.uid("evt"))
        except Malformed as error:
            log.error("row %d of the log starts nothing: %s", row.id, error)
            return []

    def _judge_proven(self, session: ReadSession, uid: str, trust: str) -> Judged | None:
        event = session.event(uid)
        if event is None or event.trust != "claimed" or session.proven_twin(uid):
            return None
        ran, row = session.rules_of(uid), session.log_row(uid)
        found = self._judge(session)(replace(event, trust=trust), row)
        starts = tuple(pair for pair in found.judgement.starts if pair[0].name not in ran)
        return Judged(
            replace(found.matched, runs=tuple(run for _, run in starts)),
            replace(found.judgement, starts=starts), row,
        )  # fmt: skip

    def _judge_of(self, session: ReadSession, ruleset: RuleSet | None = None) -> Judge:
        rules, given = ruleset or self.ruleset, (self._runtime, self._turns, self.taken)
        return Judge(rules, self.quarantined, self._waits, session, *given)

    def _judge(
        self, session: ReadSession, ruleset: RuleSet | None = None
    ) -> Callable[[Event, LogRow | None], Judged]:
        judge = self._judge_of(session, ruleset)
        return lambda event, row: judged(judge, event, row, past=self.is_past(event))
