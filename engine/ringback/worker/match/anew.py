"""Second judgement of events: what was judged before the runs of earlier events had begun.

A batch is judged as a whole. A burst may have been full by then, and a question asked. Pure but for
the session that it reads in.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from ringback.events import Event
from ringback.rules.engine.admission import Admission, Woken, answer_after_all, cancelled_by
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.engine.waits import home
from ringback.rules.interpreter.answers import answers, awaited, heeds, watches
from ringback.rules.interpreter.progress import keys_of
from ringback.rules.language.scope import Facts
from ringback.rules.model import Rule, Trigger
from ringback.runtime import Runtime
from ringback.store.matching import Matched
from ringback.store.session import ReadSession
from ringback.worker.match.judge import Judge, Judgement
from ringback.worker.match.look import Judged


@dataclass(frozen=True, slots=True)
class Asking:
    """A run (uid) of a rule that waits from now on: the event that it began with, the state with
    its wait, and its own key."""

    run: str
    rule: Rule
    began: Event
    state: Mapping[str, Any]
    key: str


def ready(session: ReadSession, judge: Judge, run_uid: str, rule: Rule, key: str) -> list[Judged]:
    """What becomes of the events that lie ready for a run of a rule that collects, when the run
    takes no more: the first begins a burst of its own, as far as the rule's mode lets it."""
    events = [session.event(uid) for uid in session.ready_for(run_uid)]
    return [
        _judged(event, judge.again(event, rule, key), session.verdicts(event.uid))
        for event in events
        if event is not None
    ]


def early(
    session: ReadSession, judge: Judge, ruleset: RuleSet, runtime: Runtime, asking: Asking
) -> list[Judged]:
    """The event that a run waits for, or by which its rule ends it, and that is on record already,
    and what becomes of others with it; empty when there is none. It lies ready for the run, or
    came behind the event that the run's last step was about."""
    rule, began, state = asking.rule, asking.began, asking.state
    facts, places = session.facts(runtime), ruleset.places
    ready, under = session.ready_for(asking.run)[:1], keys_of(state["wait"]["key"] or home(began))
    for uid in ready or _later(session, asking):
        event = session.event(uid)
        if event is None:
            continue
        if _own(rule.cancel_on, ruleset, asking, event, facts) and heeds(
            rule.cancel_on, rule, began, state, event, facts, places
        ):
            ended = Admission({}, cancels=[(asking.run, cancelled_by(event))])
            return [_judged(event, Judgement(ended, ()), session.verdicts(uid))]
        if _own(rule.unless, ruleset, asking, event, facts) and watches(
            rule, began, state, event, facts, places
        ):
            return _taken(session, judge, ruleset, event, Woken(asking.run, rule.name))
        here = ready or not _about(event).isdisjoint(under)
        if here and awaited(rule, began, state, event, facts, places):
            answer = answers(rule, began, state, event, facts, places)
            return _taken(session, judge, ruleset, event, Woken(asking.run, rule.name, answer))
    return []


def _later(session: ReadSession, asking: Asking) -> list[str]:
    """What has come since the last step of a run and may concern it. A rule with a `key` looks
    for it everywhere."""
    rule, state = asking.rule, asking.state
    open_ = (rule.cancel_on, rule.unless if state.get("phase") == "unless" else None)
    anywhere = any(each is not None and rule.finds_by_key(each) for each in open_)
    keys = () if anywhere else _near(asking)
    return session.later(keys, state.get("after", ""), state.get("from", ""))


def _own(
    trigger: Trigger | None, ruleset: RuleSet, asking: Asking, event: Event, facts: Facts
) -> TypeGuard[Trigger]:
    """Whether a trigger is there, and an event has the key that this run has, or is of its own
    conversation where none is said."""
    rule = asking.rule
    if trigger is None:
        return False
    if rule.finds_by_key(trigger):
        return ruleset.is_own(rule, trigger, event, facts, asking.key)
    return not _about(event).isdisjoint(_near(asking))


def _about(event: Event) -> set[str]:
    return {event.conversation, event.call_sid, event.subject_sid}


def _near(asking: Asking) -> set[str]:
    """What is about a run without a key: what it waits for, and what it began with."""
    return {*keys_of(asking.state["wait"]["key"]), home(asking.began)}


def _taken(
    session: ReadSession, judge: Judge, ruleset: RuleSet, event: Event, taker: Woken
) -> list[Judged]:
    """An event that a run takes though others were offered it: those that have not begun are kept
    from an answer, and what had joined them is judged anew."""
    before, found = session.verdicts(event.uid), Admission({}, wakes=[taker.run])
    further: list[Judged] = []
    runs = session.not_begun(event.uid) if taker.answers else {}
    changed = answer_after_all(before, ruleset, taker) if taker.answers else {}
    for name, why in changed.items():
        if before[name] != "fired":
            found.verdicts[name] = why
        elif name in runs:
            uid, key = runs[name]
            found.verdicts[name] = why
            found.cancels.append((uid, why))
            judge.over(uid)
            rule = ruleset.by_name[name]
            further += ready(session, judge, uid, rule, key) if rule.collects else ()
    return [_judged(event, Judgement(found, ()), before), *further]


def _judged(event: Event, judgement: Judgement, before: Mapping[str, str]) -> Judged:
    found = judgement.admission
    verdicts = json.dumps({**before, **found.verdicts}, ensure_ascii=False)
    matched = Matched(
        event, None, verdicts, tuple(run for _, run in judgement.starts), tuple(found.cancels),
        tuple(found.wakes),
    )  # fmt: skip
    return Judged(matched, judgement, None)
