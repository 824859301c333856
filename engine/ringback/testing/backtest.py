"""Backtest: recorded events through today's rules, with every effect counted and none performed.

Time is the events' own: throttles, waits and conversations live as they would have lived. What our
own actions caused then (deliveries, failures, answers of people) is in the record and happens again
as it did; what a new rule would have caused is not, and does not. The same record and rules give
the same report, and the time it takes grows with the events and not faster.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from ringback.action_kinds import is_message, is_outgoing
from ringback.actions import Action, Stop, to_params
from ringback.events import Event
from ringback.plugins.conversation_replay import LEAVING
from ringback.plugins.loader import PluginSet
from ringback.rules.engine.ruleset import RuleSet
from ringback.store.events import KnownEvents
from ringback.store.log import LogReader
from ringback.store.replays import Performed
from ringback.testing.bench import Bench
from ringback.testing.reaction import Reaction
from ringback.twilio import segments
from ringback.twilio.webhooks import events_from

RETURNING = frozenset({"start", "unstop", "yes"})
BATCH = 1000
_OPTED_OUT = 21610

Identity = tuple[str, str, str, str]
"""What makes two actions the same: the event, the kind, whom it reaches, what it says."""


@dataclass(frozen=True, slots=True)
class Origin:
    """One action that would have been wished, and `held`: why it would not have left the house."""

    at: datetime
    event: str
    rule: str
    action: Action
    held: str = ""

    @property
    def identity(self) -> Identity:
        """Whereby it is found again among what was really done."""
        return identity(self.event, self.action.kind, to_params(self.action))


@dataclass(slots=True)
class Figures:
    """What one rule or hook would have done in all. `why_not` counts the reasons for not firing."""

    fired: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    why_not: Counter[str] = field(default_factory=Counter)
    segments: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What a span of the record would have come to. Segments are those of text messages."""

    events: int
    first: datetime | None
    last: datetime | None
    rules: dict[str, Figures]
    wished: tuple[Origin, ...]
    waiting: int
    failures: tuple[tuple[str, str, str], ...] = ()
    """The event, the rule or hook, and why, in their order."""

    @property
    def done(self) -> list[Origin]:
        """What would have left the house."""
        return [each for each in self.wished if not each.held]

    @property
    def segments(self) -> int:
        """Segments of all texts that would have been sent: what Twilio charges by."""
        return sum(figures.segments for figures in self.rules.values())

    @property
    def recipients(self) -> int:
        """How many people would have heard from us."""
        return len({_to(to_params(each.action)) for each in self.done} - {""})


@dataclass(frozen=True, slots=True)
class Difference:
    """How that differs from what was really done: in both, only now, only then."""

    same: int
    added: tuple[Origin, ...]
    gone: tuple[Performed, ...]


class Backtest:
    """Feed it events in the order of their coming, then ask for the `report`."""

    def __init__(self, ruleset: RuleSet, plugins: PluginSet | None = None) -> None:
        self._ruleset = ruleset
        self._plugins = plugins
        self._bench: Bench | None = None
        self._consent = _Consent()
        self._events = 0
        self._first: datetime | None = None
        self._rules: defaultdict[str, Figures] = defaultdict(Figures)
        self._wished: list[Origin] = []
        self._failures: list[tuple[str, str, str]] = []

    def feed(self, event: Event) -> Reaction:
        """Let one recorded event happen at its own moment; what rules say to it at once."""
        if self._bench is None:
            self._first = event.received_at
            self._bench = Bench(self._ruleset, self._plugins, now=self._first, watch=self)
        self._events += 1
        self._consent.learn(event)
        reaction = self._bench.react(event)
        for rule in reaction.fired:
            self._rules[rule].fired += 1
        for rule, why in reaction.verdicts.items():
            self._rules[rule].why_not[_short(why)] += 1
        return reaction

    def report(self) -> Report:
        """What it has come to so far."""
        bench = self._bench
        names = [*(rule.name for rule in self._ruleset.rules), *self._rules]
        return Report(
            events=self._events,
            first=self._first,
            last=bench.clock.now() if bench else None,
            rules={name: self._rules[name] for name in dict.fromkeys(names)},
            wished=tuple(self._wished),
            waiting=bench.waiting if bench else 0,
            failures=tuple(self._failures),
        )

    def wished(self, rule: str, action: Action, event: Event | None) -> None:
        """A rule or a hook wished for this: count it, and see whether it would have gone out."""
        assert self._bench is not None
        if isinstance(action, Stop):
            return  # it steers the evaluation, and nothing leaves the house for it
        figures = self._rules[rule]
        known = self._ruleset.by_name.get(rule)
        held = known.state if known is not None and known.state in ("shadow", "draft") else ""
        held = held or self._consent.refusal(action, event)
        key = event.dedupe_key if event is not None else ""
        self._wished.append(Origin(self._bench.clock.now(), key, rule, action, held))
        if held:
            figures.held[held] += 1
            return
        figures.actions[action.kind] += 1
        if is_message(action) and ":" not in action.to:
            figures.segments += segments.count(action.body)

    def failed(self, rule: str, why: str, event: Event | None) -> None:
        """A rule or a hook failed on an event: count its reasons."""
        self._rules[rule].failed[why] += 1
        self._failures.append((event.dedupe_key if event is not None else "", rule, why))


class _Consent:
    """Who left us, as the record tells it: by STOP, by Twilio's word for it, or by error 21610."""

    def __init__(self) -> None:
        self._out: set[str] = set()

    def learn(self, event: Event) -> None:
        if event.type == "message.received":
            word = event.fields.get("OptOutType", "").lower() or event.body.strip().casefold()
            if word in LEAVING:
                self._out.add(event.conversation)
            elif word in RETURNING:
                self._out.discard(event.conversation)
        elif event.error_code == _OPTED_OUT:
            self._out.add(event.conversation)

    def refusal(self, action: Action, event: Event | None) -> str:
        if not is_outgoing(action):
            return ""
        ours = action.sender or (event.ours if event is not None else "")
        return "opted out" if f"{ours}/{action.to}" in self._out else ""


def recorded(log: LogReader, since: str = "") -> Iterator[Event]:
    """The events of the log in order, each once, since that moment (ISO; empty: from the start)."""
    told = KnownEvents()
    place = _before(log, since) if since else 0
    while rows := log.after(place, BATCH):
        place = rows[-1].id
        for row in rows:
            if row.received_at < since:
                continue
            for number, event in enumerate(events_from(row, lambda: "")):
                if told.under(event):
                    continue
                told.add(event)
                yield replace(event, uid=f"evt_{row.id}_{number}")


def compare(report: Report, before: Iterable[Performed]) -> Difference:
    """What would be done now against what was done then."""
    then = list(before)
    left = Counter(identity(each.event, each.kind, each.params) for each in then)
    added: list[Origin] = []
    same = 0
    for wish in report.done:
        if left[wish.identity]:
            left[wish.identity] -= 1
            same += 1
        else:
            added.append(wish)
    gone: list[Performed] = []
    for each in reversed(then):  # the later ones of several are those that are missing now
        key = identity(each.event, each.kind, each.params)
        if left[key]:
            left[key] -= 1
            gone.append(each)
    return Difference(same, tuple(added), tuple(reversed(gone)))


def identity(event: str, kind: str, params: dict[str, Any]) -> Identity:
    """The identity of an action given as the journal keeps it."""
    said = params.get("body") or params.get("text") or _spoken(params.get("verbs") or ())
    return event, kind, _to(params), str(said)


def _spoken(verbs: Iterable[dict[str, Any]]) -> str:
    """The verbs without the addresses of their next steps, which differ each time."""
    ours = ("action", "wait_url", "url")
    kept = [
        {word: value for word, value in verb.items() if word not in ours or not _step(value)}
        for verb in verbs
    ]
    return json.dumps(kept, sort_keys=True)


def _step(url: str) -> bool:
    return not url or "/call/step/" in url


def _to(params: dict[str, Any]) -> str:
    return str(params.get("to") or params.get("call_sid") or params.get("name") or "")


def _short(verdict: str) -> str:
    """The kind of a verdict, without its particulars: `if:2`, `once_within`, `error:1`."""
    head, _, rest = verdict.partition(":")
    number = rest.partition(":")[0]
    return f"{head}:{number}" if head in ("if", "error", "trust") and rest else head


def _before(log: LogReader, since: str) -> int:
    """The id of a row before which nothing is that young: found by halving, not by reading."""
    low, high = 0, log.last_id()
    while low < high:
        middle = (low + high) // 2
        rows = log.after(middle, 1)
        if rows and rows[0].received_at < since:
            low = max(rows[0].id, middle + 1)
        else:
            high = middle
    return max(low - 1, 0)
