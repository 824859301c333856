"""Match: from rows of the log to events, verdicts and runs, one transaction for a whole batch.

Nothing here performs anything. A crash before the commit leaves the cursor where it was, a crash
after it leaves runs that wait to be started.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from ringback.events import Event
from ringback.rules.model import Rule
from ringback.rules.ruleset import RuleSet
from ringback.seams import Seams, from_iso, iso
from ringback.store import matching
from ringback.store.facts import JournalFacts
from ringback.store.journal import Journal
from ringback.store.log import LogReader, LogRow
from ringback.store.matching import Matched, Moved, NewRun
from ringback.twilio.webhooks import events_from

BATCH = 500


@dataclass(frozen=True, slots=True)
class Started:
    """An event with the runs that it started, in the order of their priority."""

    event: Event
    runs: tuple[tuple[Rule, NewRun], ...]


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of matching did: how many rows, which runs, which actions were moved."""

    rows: int
    events: tuple[Event, ...]
    started: tuple[Started, ...]
    moved: tuple[Moved, ...]


class Matcher:
    """Reads the log behind its cursor and decides which rules want which event."""

    def __init__(
        self, log: LogReader, journal: Journal, ruleset: RuleSet, seams: Seams
    ) -> None:
        self._log = log
        self._journal = journal
        self._seams = seams
        self._facts = JournalFacts(journal.reader, seams)
        self.ruleset = ruleset
        self.quarantined: dict[str, str] = {}
        self.cursor = matching.cursor(journal.reader)

    async def step(self) -> Step:
        """Match the next batch of the log. `rows` is 0 when there is nothing new."""
        rows = self._log.after(self.cursor, BATCH)
        if not rows:
            return Step(0, (), (), ())
        step = await self._match(rows, rows[-1].id)
        self.cursor = rows[-1].id
        return step

    async def only(self, log_id: int) -> Step:
        """Match one row ahead of the others, for a call that waits. The cursor stays; when it gets
        there, the event is known already."""
        row = self._log.get(log_id)
        return await self._match([row], None) if row else Step(0, (), (), ())

    async def internal(self, events: Sequence[Event]) -> Step:
        """Match events that the worker itself made: they have no row in the log."""
        return await self._record([(event, None) for event in events], len(events), None)

    async def _match(self, rows: Sequence[LogRow], cursor: int | None) -> Step:
        parsed: list[tuple[Event, int | None]] = []
        for row in rows:
            parsed += [
                (event, row.id) for event in events_from(row, lambda: self._seams.uid("evt"))
            ]
        known = matching.known_keys(
            self._journal.reader, [event.dedupe_key for event, _ in parsed]
        )
        fresh: list[tuple[Event, int | None]] = []
        for event, log_id in parsed:
            if event.dedupe_key not in known:
                known.add(event.dedupe_key)
                fresh.append((event, log_id))
        tags = [event.tag for event, _ in fresh if event.tag]
        if tags:
            depths = matching.depths(self._journal.reader, tags)
            fresh = [
                (replace(event, depth=depths[event.tag]) if event.tag in depths else event, log_id)
                for event, log_id in fresh
            ]
        return await self._record(fresh, len(rows), cursor)

    async def _record(
        self, events: Sequence[tuple[Event, int | None]], rows: int, cursor: int | None
    ) -> Step:
        batch: list[Matched] = []
        started: list[Started] = []
        firings: dict[tuple[str, str], Event] = {}
        for event, log_id in events:
            fired, verdicts = self._judge(event, firings)
            runs = tuple((rule, self._new_run(rule, event)) for rule in fired)
            if runs:
                started.append(Started(event, runs))
            text = json.dumps(verdicts, ensure_ascii=False) if verdicts else "{}"
            batch.append(Matched(event, log_id, text, tuple(run for _, run in runs)))
        recorded = await self._journal.write(
            lambda connection: matching.record(connection, batch, cursor)
        )
        return Step(
            rows, tuple(event for event, _ in events), tuple(started), tuple(recorded.moved)
        )

    def _judge(
        self, event: Event, firings: dict[tuple[str, str], Event]
    ) -> tuple[list[Rule], dict[str, str]]:
        """Which rules fire, and for each rule that looked at the event what it came to."""
        match = self.ruleset.match(event, self._facts)
        verdicts = dict(match.verdicts)
        fired: list[Rule] = []
        for rule in match.fired:
            if rule.backstop and fired:
                verdicts[rule.name] = "backstop: another rule fired"
                continue
            held = self._held_back(rule, event, firings)
            if held:
                verdicts[rule.name] = held
                continue
            verdicts[rule.name] = "fired"
            fired.append(rule)
        if any(not rule.backstop for rule in fired):
            for rule in [rule for rule in fired if rule.backstop]:
                fired.remove(rule)
                verdicts[rule.name] = "backstop: another rule fired"
        return fired, verdicts

    def _held_back(
        self, rule: Rule, event: Event, firings: dict[tuple[str, str], Event]
    ) -> str:
        if rule.name in self.quarantined:
            return f"quarantined: {self.quarantined[rule.name]}"
        if not rule.once_within:
            return ""
        key = rule.key_of(event, self._facts)
        earlier = firings.get((rule.name, key))
        if earlier is not None:
            return f"once_within: fired for {earlier.uid}"
        last = matching.last_firing(self._journal.reader, rule.name, key)
        if last is not None:
            passed = event.received_at - from_iso(last[0])
            if passed < timedelta(seconds=rule.once_within):
                return f"once_within: fired {round(passed.total_seconds())} s before, {last[1]}"
        firings[rule.name, key] = event
        return ""

    def _new_run(self, rule: Rule, event: Event) -> NewRun:
        return NewRun(
            uid=self._seams.uid("run"), event_uid=event.uid, rule=rule.name, rule_rev=rule.rev,
            key=rule.key_of(event, self._facts), priority=rule.priority,
            started_at=iso(self._seams.now()),
        )  # fmt: skip
