"""Which rules fire for an event, and why the others do not: the rules' own words, then the journal.

Rules are judged in batches that are written together, so what stands earlier in the batch counts
as the past as well.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ringback.events import Event, matches_type
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.model import Rule
from ringback.runtime import Runtime, from_iso, iso
from ringback.store import matching
from ringback.store.facts import JournalFacts
from ringback.store.journal import Journal
from ringback.store.matching import NewRun
from ringback.store.replays import REPLAY
from ringback.worker.match.waits import Waits


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

    def _heard(self, conversation: str) -> list[Event]:
        return [
            event
            for event in self._events
            if event.type == "message.received" and event.conversation == conversation
        ]


FRESH = timedelta(minutes=15)
"""A text that was fetched back or proven later than this is recorded, but nobody is answered any
more."""


@dataclass(slots=True)
class Judgement:
    """What an event starts, what it puts an end to, whom it wakes, and every rule's verdict."""

    verdicts: dict[str, str]
    starts: list[tuple[Rule, NewRun]] = field(default_factory=list)
    cancels: list[tuple[str, str]] = field(default_factory=list)
    wakes: list[str] = field(default_factory=list)


class Judge:
    """Judges the events of one batch, in order."""

    def __init__(
        self,
        ruleset: RuleSet,
        quarantined: dict[str, str],
        waits: Waits,
        journal: Journal,
        runtime: Runtime,
    ) -> None:
        self._ruleset = ruleset
        self._quarantined = quarantined
        self._waits = waits
        self._journal = journal
        self._runtime = runtime
        self.facts = BatchFacts(JournalFacts(journal.reader, runtime), runtime)
        self._firings: dict[tuple[str, str], datetime] = {}
        self._under_way: dict[tuple[str, str], list[str]] = {}
        self._collecting: dict[tuple[str, str], str] = {}

    def judge(self, event: Event) -> Judgement:
        """What becomes of one event."""
        replay = event.source == REPLAY
        if not replay:  # it happened once, and is in the past already
            self.facts.add(event)
        match = self._ruleset.match(event, self.facts)
        found = Judgement(dict(match.verdicts))
        if event.trust != "claimed" and not replay:  # a mere claim wakes nobody, nor does old news
            found.wakes = self._waits.woken_by(event)
            found.cancels = [
                (run_uid, f"cancelled by {event.type}")
                for run_uid in self._waits.cancelled_by(event, self.facts)
            ]
        taken = bool(found.wakes)
        for rule in sorted(match.fired, key=lambda rule: rule.backstop):
            key = self._ruleset.key_of(rule, event, self.facts)
            if rule.backstop and taken:
                found.verdicts[rule.name] = "backstop: another rule took it"
                continue
            verdict = self._held_back(rule, key, event) or self._overlap(rule, key, found)
            found.verdicts[rule.name] = verdict or "fired"
            if not verdict:
                found.starts.append((rule, self._new_run(rule, key, event)))
            if not rule.backstop and (not verdict or verdict.startswith("joined")):
                taken = True
        found.starts.sort(key=lambda pair: -pair[0].priority)
        return found

    def _held_back(self, rule: Rule, key: str, event: Event) -> str:
        if rule.name in self._quarantined:
            return f"quarantined: {self._quarantined[rule.name]}"
        if event.type in ("message.received", "call.received"):
            how, age = _lateness(event, self._runtime.now())
            if age > FRESH:
                return f"stale: {how} {round(age.total_seconds() / 60)} min late"
        if not rule.once_within:
            return ""
        last = self._firings.get((rule.name, key))
        if last is None:
            row = matching.last_firing(self._journal.reader, rule.name, key)
            last = from_iso(row[0]) if row else None
        if last is not None:
            passed = event.received_at - last
            if passed < timedelta(seconds=rule.once_within):
                return f"once_within: fired {round(passed.total_seconds())} s before"
        self._firings[rule.name, key] = event.received_at
        return ""

    def _overlap(self, rule: Rule, key: str, found: Judgement) -> str:
        """What the rule's mode says to a run of the same key that has not ended."""
        if rule.collects and (joined := self._gathering(rule, key)):
            found.wakes.append(joined)
            return f"joined {joined}"
        if rule.mode == "parallel" and not self._limits(rule):
            return ""
        others = self._others(rule, key)
        if not others:
            return ""
        match rule.mode:
            case "single":
                return f"single: {others[0]} is under way"
            case "restart":
                found.cancels += [(uid, "restarted by a newer event") for uid in others]
                self._under_way[rule.name, key] = []
                return ""
        if len(others) >= rule.max:
            return f"{rule.mode}: {len(others)} runs are under way, which is its max"
        return ""

    def _limits(self, rule: Rule) -> bool:
        """Whether runs of this rule can last, so that a limit on them means something."""
        return rule.handler is None and any(step.kind.startswith("wait") for step in rule.steps)

    def _gathering(self, rule: Rule, key: str) -> str:
        """The run that still collects events of this key; empty when there is none."""
        if (rule.name, key) not in self._collecting:
            self._collecting[rule.name, key] = matching.collecting(
                self._journal.reader, rule.name, key
            )
        return self._collecting[rule.name, key]

    def _others(self, rule: Rule, key: str) -> list[str]:
        if (rule.name, key) not in self._under_way:
            self._under_way[rule.name, key] = matching.under_way(
                self._journal.reader, rule.name, key
            )
        return self._under_way[rule.name, key]

    def _new_run(self, rule: Rule, key: str, event: Event) -> NewRun:
        uid = self._runtime.uid("run")
        queued = False
        if (rule.name, key) in self._under_way:
            queued = rule.mode == "queued" and bool(self._under_way[rule.name, key])
            self._under_way[rule.name, key].append(uid)
        elif rule.mode != "parallel":
            self._others(rule, key).append(uid)
        if rule.collects:
            self._collecting[rule.name, key] = uid
        return NewRun(
            uid=uid, event_uid=event.uid, rule=rule.name, rule_rev=rule.rev, key=key,
            priority=rule.priority, started_at=iso(self._runtime.now()),
            state="waiting" if queued else "pending",
            reason="queued behind another run" if queued else "",
        )  # fmt: skip


def _lateness(event: Event, now: datetime) -> tuple[str, timedelta]:
    """How long after it was said it has become known that this was said, and how."""
    if event.source == "repair":
        return "fetched back", event.received_at - event.at
    if event.source == "webhook" and event.trust == "confirmed":
        return "proven", now - event.received_at
    return "", timedelta()
