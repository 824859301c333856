"""Which rules fire for an event, and why the others do not: the rules' own words, then the journal.

Rules are judged in batches that are written together, so what stands earlier in the batch counts
as the past as well.
"""

from datetime import datetime, timedelta

from ringback.events import Event, matches_type
from ringback.rules.model import Rule
from ringback.rules.ruleset import RuleSet
from ringback.seams import Seams, from_iso
from ringback.store import matching
from ringback.store.facts import JournalFacts
from ringback.store.journal import Journal


class BatchFacts:
    """The past of an event in a batch: the journal, and what stands before it in the batch."""

    def __init__(self, past: JournalFacts, seams: Seams) -> None:
        self._past = past
        self._seams = seams
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
        since = self._seams.now() - timedelta(seconds=seconds)
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


class Judge:
    """Judges the events of one batch, in order."""

    def __init__(
        self, ruleset: RuleSet, quarantined: dict[str, str], journal: Journal, seams: Seams
    ) -> None:
        self._ruleset = ruleset
        self._quarantined = quarantined
        self._journal = journal
        self.facts = BatchFacts(JournalFacts(journal.reader, seams), seams)
        self._firings: dict[tuple[str, str], datetime] = {}

    def judge(self, event: Event) -> tuple[list[tuple[Rule, str]], dict[str, str]]:
        """The rules that fire, each with its key, in the order of priority, and the verdicts of
        all that looked at the event."""
        self.facts.add(event)
        match = self._ruleset.match(event, self.facts)
        verdicts = dict(match.verdicts)
        fired: list[tuple[Rule, str]] = []
        for rule in sorted(match.fired, key=lambda rule: rule.backstop):
            key = self._ruleset.key_of(rule, event, self.facts)
            if rule.backstop and any(not other.backstop for other, _ in fired):
                verdicts[rule.name] = "backstop: another rule fired"
            elif held := self._held_back(rule, key, event):
                verdicts[rule.name] = held
            else:
                verdicts[rule.name] = "fired"
                fired.append((rule, key))
        fired.sort(key=lambda pair: -pair[0].priority)
        return fired, verdicts

    def _held_back(self, rule: Rule, key: str, event: Event) -> str:
        if rule.name in self._quarantined:
            return f"quarantined: {self._quarantined[rule.name]}"
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
