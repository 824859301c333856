"""Checker of a story: what was acknowledged, what Twilio made and what the journal says must agree.

The checker has its own idea of which rule wants which webhook and knows nothing of the worker's.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs

from ringback.outcomes import rank
from ringback.runtime import from_iso
from ringback.store.log import Entry
from simulation.books import read
from simulation.facts import judge_facts
from simulation.results import judge_results
from simulation.sends import PROVEN, judge_sends
from simulation.story import Story
from simulation.verdict import Verdict

TEXT_RULES = {
    "plain": "project.plain", "awaited": "project.awaited",
    **{word: word for word in
       ("echo", "hours", "alert", "ring", "later", "quick", "once", "served", "desk", "asked")},
}  # fmt: skip
"""Which rule answers a text that begins with this word."""
INTERNAL = {
    "action.unknown": {"doubtful"}, "action.failed": {"gave-up"}, "timer.due": {"tick"},
}  # fmt: skip
"""Which rules an event of our own making is for."""
OPEN_ACTIONS = {"planned", "deferred", "sending", "unknown"}
OPEN_RUNS = {"pending", "running", "waiting"}
UNPROVEN = {"planned", "deferred", "sending", "unknown", "parked", "refused", "cancelled"}
EXPLAINED = {"failed", "refused", "parked", "cancelled", "deferred", "unknown"}


def judge(story: Story, *, drained: bool = True) -> Verdict:
    """Judge a story that is over. With `drained=False` it may be in the middle, and only what must
    hold at every moment is judged."""
    verdict = Verdict(
        kills=story.kills, freezes=story.freezes, faults=sum(story.twilio.injected.values()),
        days=story.clock.now / 86400, jumps=story.jumps, stops=len(story.said),
        pauses=len(story.paused),
    )  # fmt: skip
    for crash in story.crashes:
        verdict.blame("crashed", crash)
    books = read(story)
    events, runs, actions = books.events, books.runs, books.actions
    verdict.fetched = sum(event["source"] == "repair" for event in events)
    verdict.events, verdict.intents = len(events), len(actions)
    _history(verdict, story)
    judge_sends(verdict, story, actions, books.tags, drained=drained)
    judge_results(verdict, story, books, drained=drained)
    wanted = _events(verdict, story.acknowledged, events, runs, actions, drained)
    judge_facts(verdict, story, books, wanted, drained=drained)
    _ends(verdict, runs, actions, drained)
    if drained:
        keys = {event["dedupe_key"] for event in events}
        for sid in story.twilio.heard:
            if f"in:{sid}" not in keys:
                verdict.blame("lost", f"text {sid} came to Twilio and was never fetched")
        _ends_reported(verdict, story, keys)
    return verdict


def _history(verdict: Verdict, story: Story) -> None:
    """Nothing ever goes back: a status to a lower one, a proven send to one that may be sent."""
    for when, move in story.moves:
        back = rank(move.kind, move.outcome) < rank(move.kind, move.was)
        unsaid = move.old in PROVEN and move.new in UNPROVEN
        leapt = move.old == "unknown" and move.new == "sending"
        if back or unsaid or leapt:
            verdict.blame(
                "order_regress",
                f"{move.uid} at {when:.3f}: {move.old} {move.was} -> {move.new} {move.outcome}",
            )


def _events(
    verdict: Verdict,
    acknowledged: Iterable[Entry],
    events: list[dict[str, Any]],
    runs: list[dict[str, Any]],
    actions: list[dict[str, Any]],
    drained: bool,
) -> dict[str, set[str]]:
    """Each acknowledged webhook is one event; each rule that wants it has one run, one action.
    Returns the rules that each event (uid) is for."""
    wanted: dict[str, set[str]] = {}
    for entry in acknowledged:
        wanted.setdefault(_identity(entry), _wanted_by(entry))
    by_key = {event["dedupe_key"]: event for event in events}
    if len(by_key) < len(events):
        verdict.blame("doubled", f"{len(events) - len(by_key)} events repeat an earlier one")
    for event in events:
        key = event["dedupe_key"]
        if event["source"] == "internal":
            wanted[key] = INTERNAL.get(event["type"], set())
        elif key not in wanted:
            verdict.blame("unexplained", f"event {key} was never acknowledged")
    ran = Counter((run["event_uid"], run["rule"]) for run in runs)
    planned = Counter((action["event_uid"], action["rule"]) for action in actions)
    for key, rules in wanted.items():
        found = by_key.get(key)
        if found is None:
            if drained:
                verdict.blame("lost", f"{key} was acknowledged and is no event")
            continue
        for rule in rules:
            count, acted = ran[found["uid"], rule], planned[found["uid"], rule]
            if count > 1 or acted > 1:
                verdict.blame("doubled", f"{rule} for {key}: {count} runs, {acted} actions")
            if drained and (not count or not acted):
                verdict.blame("lost", f"{rule} for {key}: {count} runs, {acted} actions")
    return {found["uid"]: wanted.get(key, set()) for key, found in by_key.items()}


def _ends_reported(verdict: Verdict, story: Story, keys: set[str]) -> None:
    """The end of an action is an event that rules may listen to: none may be missing."""
    ends = {(move.uid, move.new) for _, move in story.moves if move.new in ("failed", "unknown")}
    for uid, state in sorted(ends):
        if f"end:{uid}:action.{state}" not in keys:
            verdict.blame("lost", f"that {uid} was {state} did not reach the rules")


def _identity(entry: Entry) -> str:
    get = _fields(entry).get
    if entry.route == "message":
        return f"in:{get('MessageSid')}"
    if entry.route == "message/status":
        return f"st:{get('MessageSid')}:{get('MessageStatus')}:"
    status = get("CallStatus", "").replace("in-progress", "answered")
    return f"cs:{get('CallSid')}:{status}:"


def _wanted_by(entry: Entry) -> set[str]:
    get = _fields(entry).get
    if entry.route == "message":
        rule = TEXT_RULES.get(str(get("Body")).split()[0], "")
        return set() if _stale(entry) or not rule else {rule}
    if get("MessageStatus") == "undelivered":
        return {"undelivered"}
    return {"hang-up"} if get("CallStatus") == "in-progress" else set()


def _stale(entry: Entry) -> bool:
    """A text that was fetched back much later is recorded, and nobody is answered any more."""
    sent = _fields(entry).get("Timestamp")
    if entry.source != "repair" or not sent:
        return False
    return from_iso(entry.received_at) - parsedate_to_datetime(sent) > timedelta(minutes=15)


def _fields(entry: Entry) -> dict[str, str]:
    return _decoded(entry.body)


@lru_cache(10_000)
def _decoded(body: bytes) -> dict[str, str]:
    """Read once: a story that is judged after each of its steps asks for the same ones again."""
    return {name: values[0] for name, values in parse_qs(body.decode()).items()}


def _ends(
    verdict: Verdict, runs: list[dict[str, Any]], actions: list[dict[str, Any]], drained: bool
) -> None:
    """Everything is at an end, and whatever is not a success says why."""
    for run in runs:
        where = f"run {run['uid']} of {run['rule']} is {run['state']}"
        if drained and run["state"] in OPEN_RUNS:
            verdict.blame("stuck", where)
        if run["state"] in ("failed", "cancelled", "skipped"):
            verdict.blame("lost" if run["reason"] else "unexplained", f"{where}: {run['reason']}")
    for action in actions:
        state, reason = action["state"], action["reason"]
        where = f"{action['uid']} ({action['rule']}) is {state}: {reason}"
        if drained and state in OPEN_ACTIONS:
            verdict.blame("stuck", where)
        if state in EXPLAINED and not reason:
            verdict.blame("unexplained", where)
        verdict.failed += state == "failed"
        verdict.refused += state == "refused"
        if state == "parked":
            name = {"checked": "parked_checked", "at_most_once": "parked_once"}
            counted = name.get(action["policy"], "parked_other")
            setattr(verdict, counted, getattr(verdict, counted) + 1)
