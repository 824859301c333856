"""Admission: which runs an event starts, queues, ends and wakes, and the verdict of every rule.

Pure. The past and the runs that are under way are asked through protocols, so the worker (with its
journal) and the bench (in memory) decide alike. Spans are seconds, moments are UTC.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import groupby
from typing import Protocol, TypeVar

from ringback.actions import Stop
from ringback.events import DEEPEST, REPLAY, Event
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.interpreter.progress import CAME_IN_TIME, TOO_FEW
from ringback.rules.language.scope import Facts
from ringback.rules.model import Rule

FRESH = timedelta(minutes=15)
"""A text or call that came, was fetched back or proven later than this is recorded, but nobody is
answered any more."""

PAST = "stale: it came in before this journal was begun, in the time of one that is gone"

_NONE: Mapping[str, str] = {}


class UnderWay(Protocol):
    """The runs that have not ended, by what an event may ask about them. Runs are named by uid."""

    def last_firing(self, rule: str, key: str, ending: Collection[str]) -> datetime | None:
        """When the event came that this rule last started a run of this key for: one that has said
        something, or may do so yet (see `was_idle`), as none of the runs `ending` (uid) may."""

    def runs(self, rule: str, key: str, call: Event | None) -> Sequence[str]:
        """The runs of a rule for a key that have not ended, queued ones too, oldest first; without
        those of callers who have hung up, as far as is known or a new call of theirs tells."""

    def collecting(self, rule: str, key: str) -> str:
        """The newest run that still collects events of this key; empty when there is none."""

    def cancelled_by(self, event: Event) -> Sequence[str]:
        """The waiting runs that this event ends, because their rule says `cancel_on`."""

    def woken_by(self, event: Event) -> "Sequence[Woken]":
        """The runs that wait for this event, in the order in which they began to wait."""


@dataclass(frozen=True, slots=True)
class Woken:
    """A run (uid) that waits for an event, the rule that it is of, and whether the event is the
    answer to what it has asked."""

    run: str
    rule: str
    answers: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """A run to be started; `queued`: when the runs of its key before it have ended."""

    rule: Rule
    key: str
    queued: bool = False


@dataclass(slots=True)
class Admission:
    """What becomes of one event.

    `starts` stand in the order of their priority. `cancels` are runs (uid) with the reason, `wakes`
    runs that go on with this event or collect it. `verdicts` has one for each rule that looked at
    the event: `fired`, `joined` and the run, or why not; `elsewhere` makes those of the rules that
    did not, see `Match`.
    """

    verdicts: dict[str, str]
    starts: list[Start] = field(default_factory=list)
    cancels: list[tuple[str, str]] = field(default_factory=list)
    wakes: list[str] = field(default_factory=list)
    elsewhere: Callable[[], Mapping[str, str]] = dict

    @property
    def all_verdicts(self) -> dict[str, str]:
        """One for every rule on this type of event."""
        return {**self.verdicts, **self.elsewhere()}


def admit(
    ruleset: RuleSet,
    event: Event,
    facts: Facts,
    under_way: UnderWay,
    *,
    now: datetime,
    quarantined: Mapping[str, str] = _NONE,
    past: bool = False,
) -> Admission:
    """Decide about one event. `quarantined` names the rules that may not run, with the reason.
    An event that is `past` came in before the journal was begun anew: it is over."""
    match = ruleset.match(event, facts)
    found = Admission(match.looked_at, elsewhere=match.elsewhere)
    woken: list[Woken] = []
    if past:
        found.verdicts.update(dict.fromkeys((rule.name for rule in match.fired), PAST))
        return found
    if event.trust != "claimed" and event.source != REPLAY:
        # A mere claim wakes nobody, and what happened once does not wake a second time.
        why = cancelled_by(event)
        found.cancels = [(uid, why) for uid in under_way.cancelled_by(event)]
        ended = {uid for uid, _ in found.cancels}
        woken = [each for each in under_way.woken_by(event) if each.run not in ended]
        found.wakes = [each.run for each in woken]
    heard = [each for each in woken if each.answers]
    taker = next((each.rule for each in heard if not ruleset.in_shadow(each.rule)), "")
    late = _endless(event) or _lateness(event, now) if match.fired else ""
    for rule in sorted(match.fired, key=_is_backstop):  # the others keep their order
        if rule.backstop and taker:
            found.verdicts[rule.name] = f"backstop: {taker} took it"
            continue
        answered = _answered(rule, heard, ruleset)
        if answered is not None:
            found.verdicts[rule.name] = f"answer: {answered.rule} has asked for it, {answered.run}"
            continue
        key = ruleset.key_of(rule, event, facts)
        held = _held_back(rule, late, quarantined)
        if _admit(rule, key, event, under_way, held, found) and not rule.in_shadow:
            taker = taker or rule.name
    if found.cancels and found.wakes:  # a restart may have ended a run that this event wakes
        found.wakes = list(_without(found.wakes, found.cancels))
    return found


def admit_again(
    rule: Rule, key: str, event: Event, under_way: UnderWay, quarantined: Mapping[str, str] = _NONE
) -> Admission:
    """Decide anew about an event that a rule wants, and for which it had no place after all."""
    found = Admission({})
    _admit(rule, key, event, under_way, _held_back(rule, "", quarantined), found)
    return found


def answer_after_all(verdicts: Mapping[str, str], ruleset: RuleSet, taker: Woken) -> dict[str, str]:
    """An event turns out to be the answer to a run that had not asked yet when it was judged: the
    verdicts that are others now. A rule that has `fired` has to be kept from it."""
    found: dict[str, str] = {}
    for name, why in verdicts.items():
        rule = ruleset.by_name.get(name)
        if rule is None or why.partition(":")[0] not in _WANTED:
            continue
        if rule.backstop and not ruleset.in_shadow(taker.rule):
            found[name] = f"backstop: {taker.rule} took it"
        elif _answered(rule, (taker,), ruleset) is not None:
            found[name] = f"answer: {taker.rule} has asked for it, {taker.run}"
    return found


_WANTED = ("fired", "once_within", "single", "queued", "parallel", "backstop")
"""The verdicts of rules whose conditions held."""


def _answered(rule: Rule, heard: Sequence[Woken], ruleset: RuleSet) -> Woken | None:
    """The run that keeps an answer from a rule. A rule in shadow keeps it from itself alone; to
    restart a rule's own run is what its mode is for."""
    if rule.also_answers:
        return None
    for each in heard:
        if each.rule == rule.name:
            if rule.mode != "restart":
                return each
        elif not ruleset.in_shadow(each.rule):
            return each
    return None


def _admit(
    rule: Rule, key: str, event: Event, under_way: UnderWay, held: str, found: Admission
) -> bool:
    """Note what becomes of one rule that wants the event; whether the rule takes the event."""
    if not held and rule.collects:
        uid = under_way.collecting(rule.name, key)
        if uid and not _without((uid,), found.cancels):
            uid = ""
        if uid:
            found.wakes.append(uid)
            found.verdicts[rule.name] = f"joined {uid}"
            return True
    held = held or _once_within(rule, key, event, under_way, found)
    others = () if held else _others(rule, key, event, under_way, found)
    held = held or _overlap(rule, others)
    found.verdicts[rule.name] = held or "fired"
    if held:
        return False
    if rule.mode == "restart":
        why = f"restarted by {event.type} {event.uid}"
        found.cancels += [(uid, why) for uid in others]
    found.starts.append(Start(rule, key, rule.mode == "queued" and bool(others)))
    return True


def _held_back(rule: Rule, late: str, quarantined: Mapping[str, str]) -> str:
    if rule.name in quarantined:
        return f"quarantined: {quarantined[rule.name]}"
    return late


def _endless(event: Event) -> str:
    """The verdict on what became of an action that was one too many in a row; else empty."""
    if event.depth <= DEEPEST:
        return ""
    return f"loop: {event.depth} of our own actions caused each other"


def _lateness(event: Event, now: datetime) -> str:
    """The verdict on a text or call of which we know too long after it was said; else empty."""
    if event.type not in ("message.received", "call.received"):
        return ""
    if event.source == "repair":
        how, age = "fetched back", event.received_at - event.at
    elif event.source == "webhook" and event.received_at - event.at > FRESH:
        how, age = "came", event.received_at - event.at  # Event Streams tries for hours
    elif event.source == "webhook" and event.trust == "confirmed":
        how, age = "proven", now - event.received_at
    else:
        return ""
    return f"stale: {how} {round(age.total_seconds() / 60)} min late" if age > FRESH else ""


def _once_within(rule: Rule, key: str, event: Event, under_way: UnderWay, found: Admission) -> str:
    if not rule.once_within:
        return ""
    last = under_way.last_firing(rule.name, key, {uid for uid, _ in found.cancels})
    if last is None:
        return ""
    passed = (event.received_at - last).total_seconds()
    return f"once_within: fired {round(passed)} s before" if passed < rule.once_within else ""


def was_idle(state: str, reason: str) -> bool:
    """Whether a run that ended like this without an action has not fired, as `once_within` counts:
    it failed, was ended by something else, or never came to its steps."""
    return state != "done" or reason == TOO_FEW or reason.endswith(CAME_IN_TIME)


def _others(
    rule: Rule, key: str, event: Event, under_way: UnderWay, found: Admission
) -> Sequence[str]:
    """The runs that the rule's mode has something to say about."""
    if not _lasts(rule) and rule.mode != "queued":  # what never waits is over before the next comes
        return ()
    # A caller has one phone at their ear; that `parallel` counts every call is what it says.
    again = event.type == "call.received" and rule.mode in ("single", "queued")
    runs = under_way.runs(rule.name, key, event if again else None)
    return _without(runs, found.cancels)


def _overlap(rule: Rule, others: Sequence[str]) -> str:
    if not others or rule.mode == "restart":
        return ""
    if rule.mode == "single":
        return f"single: {others[0]} is under way"
    if _lasts(rule) and len(others) >= rule.max:
        runs = "1 run is" if len(others) == 1 else f"{len(others)} runs are"
        return f"{rule.mode}: {runs} under way, which is its max"
    return ""


def _without(uids: Sequence[str], cancels: Collection[tuple[str, str]]) -> Sequence[str]:
    if not cancels:
        return uids
    cancelled = {uid for uid, _ in cancels}
    return [uid for uid in uids if uid not in cancelled]


def restrains(rule: Rule) -> bool:
    """Whether it matters to others of their key what becomes of the runs of this rule."""
    return bool(rule.once_within) or rule.collects or rule.mode == "queued" or _lasts(rule)


@lru_cache(maxsize=4096)
def _lasts(rule: Rule) -> bool:
    return rule.lasts


class Ranked(Protocol):
    """What has a place among the runs of one event."""

    @property
    def rule(self) -> Rule:
        """The rule that is run."""


R = TypeVar("R", bound=Ranked)


def ranks(runs: Iterable[R]) -> list[list[R]]:
    """The runs of one event in the groups that start together, highest priority first."""
    ordered = sorted(runs, key=_priority)
    return [list(group) for _, group in groupby(ordered, key=_priority)]


def stopped(runs: Iterable[R], rank: Sequence[R]) -> list[R]:
    """Those of the runs that a stop in this rank keeps from starting: all of lower priority."""
    return [run for run in runs if run.rule.priority < rank[0].rule.priority]


def cancelled_by(event: Event) -> str:
    """Why a run ends that an event ends, because the rule of the run says `cancel_on`."""
    return f"cancelled by {event.type} {event.uid}"


def stop_reason(rule: str, stop: Stop) -> str:
    """Why a run ends that another rule's stop keeps from starting."""
    return stop.reason or f"stopped by rule {rule}"


def _is_backstop(rule: Rule) -> bool:
    return rule.backstop


def _priority(run: Ranked) -> int:
    return -run.rule.priority
