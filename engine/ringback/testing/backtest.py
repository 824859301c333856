"""Backtest: recorded events through today's rules, with every effect counted and none performed.

What may leave is decided by the gate of the worker, with the settings of the node. Time is the
events' own: throttles, waits and conversations live as they would have lived. What our own actions
caused then (deliveries, failures, answers of people) is in the record and happens again as it did;
what a new rule would have caused is not, and does not. The same record and rules give the same
report, and the time it takes grows with the events and not faster.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from typing import Any

from ringback.action_kinds import DRAFTED, is_message
from ringback.actions import Action, HttpRequest, to_params
from ringback.config import Settings
from ringback.events import Event
from ringback.outcomes import Answered
from ringback.plugins.loader import PluginSet
from ringback.rules.engine.ruleset import RuleSet
from ringback.store.events import KnownEvents
from ringback.store.log import LogReader
from ringback.store.replays import Performed, Question, question
from ringback.store.upkeep.progress_reports import Told, untold
from ringback.testing.bench import Bench
from ringback.testing.outbox import Dispatch
from ringback.testing.reaction import Reaction
from ringback.twilio import segments
from ringback.twilio.webhooks import events_from

BATCH = 1000
_SILENT = {"captured": "shadow", "parked": "draft"}

Identity = tuple[str, str, str, str]
"""What makes two actions the same: the event, the kind, whom it reaches, what it says."""


@dataclass(frozen=True, slots=True)
class Origin:
    """One action that a rule would have taken. `held` says why it would not have left, in the words
    of the gate, or `shadow` or `draft`; `put_off` why it left later, `at` this moment."""

    at: datetime
    event: str
    rule: str
    action: Action
    held: str = ""
    put_off: str = ""

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
    made: tuple[Origin, ...]
    waiting: int
    failures: tuple[tuple[str, str, str], ...] = ()
    """The event, the rule or hook, and why, in their order."""

    @property
    def done(self) -> list[Origin]:
        """What would have left."""
        return [each for each in self.made if not each.held]

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
    """How that differs from what was really done: in both, only now, only then. `by_people` is what
    was done then and no rule can repeat: written by a person, or a draft that one said yes to."""

    same: int
    added: tuple[Origin, ...]
    missing: tuple[Performed, ...]
    by_people: tuple[Performed, ...] = ()


class Backtest:
    """Feed it events in the order of their coming, then ask for the `report`.

    `settings` are those of the node whose gate is asked; without them it has the defaults.
    `quarantined` names rules that may not run, with the reason. `answers` are those that web
    requests were given then.
    """

    def __init__(
        self,
        ruleset: RuleSet,
        plugins: PluginSet | None = None,
        settings: Settings | None = None,
        quarantined: Mapping[str, str] | None = None,
        answers: Mapping[Question, Answered] | None = None,
    ) -> None:
        self._ruleset = ruleset
        self._plugins = plugins
        self._settings = settings
        self._quarantined = quarantined
        self._bench: Bench | None = None
        self._answers = answers
        self._events = 0
        self._first: datetime | None = None
        self._rules: defaultdict[str, Figures] = defaultdict(Figures)
        self._dispatched: list[Dispatch] = []
        self._failures: list[tuple[str, str, str]] = []

    @property
    def made(self) -> int:
        """How many actions rules and hooks have made so far."""
        return len(self._dispatched)

    def feed(self, event: Event) -> Reaction:
        """Let one recorded event happen at its own moment; what rules say to it at once."""
        if self._bench is None:
            self._first = event.received_at
            self._bench = Bench(
                self._ruleset, self._plugins, now=self._first, watch=self,
                settings=self._settings, quarantined=self._quarantined,
            )  # fmt: skip
            self._bench.http = self._answer
        self._events += 1
        reaction = self._bench.react(event)
        for rule in reaction.fired:
            self._rules[rule].fired += 1
        for rule, why in reaction.verdicts.items():
            self._rules[rule].why_not[_short(why)] += 1
        return reaction

    def _answer(self, request: HttpRequest, event: Event | None) -> Answered | None:
        """What was answered to this request then; that there is no record of it when there is
        none."""
        key = event.dedupe_key if event is not None else ""
        found = (self._answers or {}).get(question(key, to_params(request)))
        return found or Answered(why="the record has no answer to this request")

    def report(self) -> Report:
        """What it has come to so far."""
        bench = self._bench
        made = tuple(map(_origin, self._dispatched))
        return Report(
            events=self._events,
            first=self._first,
            last=bench.clock.now() if bench else None,
            rules=self._figures(made),
            made=made,
            waiting=bench.waiting if bench else 0,
            failures=tuple(self._failures),
        )

    def dispatched(self, dispatch: Dispatch) -> None:
        """A rule or a hook made this action; what becomes of it is asked when there is a report."""
        self._dispatched.append(dispatch)

    def failed(self, rule: str, why: str, event: Event | None) -> None:
        """A rule or a hook failed on an event: count its reasons."""
        self._rules[rule].failed[why] += 1
        self._failures.append((event.dedupe_key if event is not None else "", rule, why))

    def _figures(self, made: Iterable[Origin]) -> dict[str, Figures]:
        """The figures of each rule and hook, with what became of its actions."""
        names = [rule.name for rule in self._ruleset.rules]
        names += [*self._rules, *(each.rule for each in made)]
        found = {name: replace(self._rules[name]) for name in dict.fromkeys(names)}
        for figures in found.values():
            figures.actions, figures.held, figures.segments = Counter(), Counter(), 0
        for each in made:
            figures, action = found[each.rule], each.action
            if each.held:
                figures.held[_kind_of_hold(each.held)] += 1
                continue
            figures.actions[action.kind] += 1
            if is_message(action) and ":" not in action.to:
                figures.segments += segments.count(action.body)
        return found


def _origin(dispatch: Dispatch) -> Origin:
    held = "" if dispatch.state == "sent" else _SILENT.get(dispatch.state, dispatch.reason)
    key = dispatch.event.dedupe_key if dispatch.event is not None else ""
    at = dispatch.sent_at or dispatch.planned_at
    return Origin(at, key, dispatch.rule, dispatch.action, held, "" if held else dispatch.put_off)


def _kind_of_hold(reason: str) -> str:
    """The kind of a reason, without its particulars: `opted out`, `quiet hours` or `budget`."""
    for kind in ("opted out", "quiet hours"):
        if kind in reason.partition("(")[0]:
            return kind
    return reason.partition(":")[0]


def recorded(log: LogReader, since: str = "", told: Told = untold) -> Iterator[Event]:
    """The events of the log in order, each once, since that moment (ISO; empty: from the start).
    `told` hears now and then how many rows are done, and of how many."""
    known = KnownEvents()
    place = first = _before(log, since) if since else 0
    last = log.last_id()
    while rows := log.after(place, BATCH):
        told(place - first, max(last, place) - first)
        place = rows[-1].id
        for row in rows:
            if row.received_at < since:
                continue
            numbers = count()
            for found in events_from(row, lambda: f"evt_{row.id}_{next(numbers)}"):  # noqa: B023
                event = known.own(found)
                if known.knows(event):
                    continue
                known.add(event)
                yield event


def compare(report: Report, before: Iterable[Performed]) -> Difference:
    """What would be done now against what was done then."""
    then = list(before)
    by_people = [each for each in then if each.written]
    then = [each for each in then if not each.written]
    left = Counter(identity(each.event, each.kind, each.params) for each in then)
    added: list[Origin] = []
    same = 0
    for now in report.done:
        if left[now.identity]:
            left[now.identity] -= 1
            same += 1
        else:
            added.append(now)
    drafts = Counter(each.identity for each in report.made if each.held == _SILENT["parked"])
    missing: list[Performed] = []
    for each in reversed(then):  # the later ones of several are those that are missing now
        key = identity(each.event, each.kind, each.params)
        if not left[key]:
            continue
        left[key] -= 1
        if each.approved and drafts[key]:
            drafts[key] -= 1
            by_people.append(each)
        else:
            missing.append(each)
    return Difference(same, tuple(added), tuple(reversed(missing)), tuple(by_people))


def identity(event: str, kind: str, params: dict[str, Any]) -> Identity:
    """The identity of an action given as the journal keeps it; a draft that a person has put in
    other words goes by its own."""
    said = params.get(DRAFTED) or params.get("body") or params.get("text")
    return event, kind, _to(params), str(said or _spoken(params.get("verbs") or ()))


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
    """The kind of a verdict, without its particulars: `if:2`, `joined`, `error:1`."""
    head, _, rest = verdict.partition(":")
    if head.startswith("joined "):
        return "joined"
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
