"""Story of an event in one sentence, made of its trace.

A sentence is a list of parts: plain words of ours, names of rules, and what others wrote, which
pages show as text of strangers.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import Any, Literal, NamedTuple

from ringback.console import tones
from ringback.console.times import between, clock, span
from ringback.rules.interpreter import answers
from ringback.rules.model import WAITS_FOR_YES

Kind = Literal["words", "rule", "said"]


class Part(NamedTuple):
    """A part of a sentence."""

    text: str
    kind: Kind = "words"


class Sentence(NamedTuple):
    """What happened, and whether that is good."""

    parts: Sequence[Part]
    tone: str


Trace = Mapping[str, Any]
_VERBS = {
    "place_call": "called", "answer_call": "answered the call", "notify": "sent a notice",
    "enqueue_call": "put the caller into a queue",
}  # fmt: skip
"""What the usual kinds are in a sentence; the others go by their names."""
_TIME = re.compile(r" until \d{4}-\d\d-\d\dT[\d:.]+Z")
"""A time within a reason, which stands in the reader's zone before it."""


def sentence(trace: Trace, zone: tzinfo, *, matched: bool = True) -> Sentence:
    """What happened to an event. `matched` says that the worker has looked at it."""
    fired = [rule for rule in trace["rules"] if rule["fired"]]
    actions = [(rule, each) for rule in fired for each in (rule["run"] or {}).get("actions", ())]
    if not matched:
        return Sentence([Part("It waits: the worker has not looked at it yet.")], "way")
    if actions:
        worst = tones.worst([each for _, each in actions])
        rule = next(rule for rule, each in actions if each is worst)
        assert worst is not None
        parts = [*_action(trace, rule, worst, zone)]
        if len(actions) > 1:
            parts.append(Part(_all([each for _, each in actions])))
        for rule in fired:
            if rule["run"] and rule["run"]["state"] == "waiting":
                parts += [Part(" "), *_waits(rule, zone)]
        return Sentence(parts, tones.of_action(worst))
    if fired:
        return _run(fired[0], zone)
    return _silent(trace)


def _all(actions: Sequence[Mapping[str, Any]]) -> str:
    """How all of several actions stand."""
    counts = Counter(tones.words_of(each) for each in tones.by_weight(actions))
    listed = ", ".join(f"{number} {words}" for words, number in counts.items())
    return f" In all {len(actions)} actions: {listed}."


def _run(rule: Mapping[str, Any], zone: tzinfo) -> Sentence:
    run = rule["run"]
    name = Part(rule["rule"], "rule")
    if run is None:
        return Sentence([name, Part(" fired.")], "none")
    if run["state"] == "waiting":
        return Sentence(list(_waits(rule, zone)), "held")
    if run["state"] == "failed":
        return Sentence([name, Part(" failed: "), Part(run["reason"], "said"), Part(".")], "bad")
    if run["state"] in ("skipped", "cancelled"):
        why = [Part(f" was {run['state']}: "), Part(run["reason"], "said"), Part(".")]
        return Sentence([name, *why], "none")
    if run["state"] in ("pending", "running"):
        return Sentence([name, Part(" is at work.")], "way")
    return Sentence([name, Part(" fired, and asked for nothing.")], "good")


def _waits(rule: Mapping[str, Any], zone: tzinfo) -> Iterator[Part]:
    """What a run waits for, and how long."""
    due, reason = rule["run"]["due_at"], rule["run"]["reason"].partition(" until ")[0]
    until = f" until {clock(due, zone, day=True)}" if due else ""
    joint = " " if reason.startswith("waits ") else ": "
    yield from (Part(rule["rule"], "rule"), Part(f" waits{until}{joint}"))
    yield from (Part(reason.removeprefix("waits "), "said"), Part("."))


def _silent(trace: Trace) -> Sentence:
    event, rules = trace["event"], trace["rules"]
    if trace["woke"]:
        woken = trace["woke"][0]
        taken = answers.taken(woken["question"], event["type"], event["fields"] or {})
        return Sentence([Part(woken["rule"], "rule"), Part(" had waited for it: "), Part(taken, "said"), Part(".")], "good")  # fmt: skip  # noqa: E501
    if trace["cause"]:
        last = event["type"].rpartition(".")[2]
        told = [Part("News of what "), Part(trace["cause"]["rule"], "rule"), Part(f" did: {last}")]
        if event.get("error"):
            told.append(Part(f", error {event['error_code']}: {event['error']['title']}"))
        return Sentence([*told, Part(".")], tones.of_event(event["type"]))
    if not rules:
        return Sentence([Part(f"No rule listens to {event['type']}.")], "none")
    if rules[0]["verdict"].startswith("muted: "):
        left = [Part("Left to a person: "), Part(rules[0]["verdict"].partition(": ")[2], "said")]
        return Sentence([*left, Part(".")], "person")
    closest = by_nearness(rules)[0]
    heads = "One rule looked" if len(rules) == 1 else f"{len(rules)} rules looked"
    verb = "Nobody answered" if event["type"].endswith(".received") else "No rule acted"
    parts = [Part(f"{verb}: {heads}, "), Part(closest["rule"], "rule"), Part(" came closest: ")]
    return Sentence([*parts, Part(why_not(closest), "said"), Part(".")], "none")


def by_nearness(rules: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Silent rules, the nearest miss first: all conditions held and something else kept it back;
    then by how many held before the one that did not; then those that are for somebody else."""
    return sorted((rule for rule in rules if not rule["fired"]), key=_distance)


def _distance(rule: Mapping[str, Any]) -> tuple[int, float]:
    kind, _, rest = rule["verdict"].partition(":")
    if kind in ("if", "error"):
        number = rest.partition(":")[0].strip()
        return (1, -float(number)) if number.isdecimal() else (1, 0.0)
    return ({"trust": 2, "off": 3, "from": 4, "to": 4, "schedule": 4}.get(kind, 0), 0.0)


def why_not(rule: Mapping[str, Any]) -> str:
    """Why a rule did not fire, in words."""
    kind, _, rest = rule["verdict"].partition(":")
    rest = rest.strip()
    if kind == "if":
        lines = [line for line in rule["lines"] if line["held"] is False]
        text = " ".join(lines[-1]["if"].split()) if lines else ""
        return f"line {rest} does not hold{f': {text}' if text else ''}"
    known = {
        "from": "it is for another sender", "to": "it is for another number of ours",
        "off": "it is off", "trust": f"the event is only {rest}",
        "error": f"its condition failed: {rest}", "schedule": "it has another schedule",
    }  # fmt: skip
    return known.get(kind, str(rule["verdict"]).replace("once_within:", "once_within,"))


def did(trace: Trace, action: Mapping[str, Any]) -> str:
    """What an action is, as a verb."""
    kind, params = action["kind"], action["params"] if isinstance(action["params"], dict) else {}
    if kind == "send_message":
        mine = params.get("in_reply_to") == trace["event"]["subject_sid"]
        return "answered" if mine and trace["event"]["subject_sid"] else "texted"
    return _VERBS.get(kind, f"did {kind.replace('_', ' ')}")


def _action(
    trace: Trace, rule: Mapping[str, Any], action: Mapping[str, Any], zone: tzinfo
) -> Iterator[Part]:
    name, state = Part(rule["rule"], "rule"), action["state"]
    reason = [Part(action["reason"], "said"), Part(".")]
    if state == "refused":
        yield from (Part("Not sent: "), *reason)
    elif state == "deferred":
        due = f" until {clock(action['due_at'], zone, day=True)}" if action["due_at"] else ""
        why = _TIME.sub("", action["reason"]) if due else action["reason"]
        yield from (Part(f"Held{due}: "), Part(why, "said"), Part("."))
    elif state == "parked" and action["reason"] == WAITS_FOR_YES:
        yield from (name, Part(" has written a draft, which waits for a person's yes."))
    elif state == "parked":
        yield from (Part("A person decides: "), *reason)
    elif state == "unknown":
        looked = {0: "not looked for yet", 1: "looked for once"}.get(
            action["polls"], f"looked for {action['polls']} times"
        )
        due = f", next look at {clock(action['due_at'], zone)}" if action["due_at"] else ""
        yield Part(f"Nobody knows: the answer got lost; {looked}{due}.")
    elif state == "captured":
        yield from (name, Part(f" would have {did(trace, action)}: "), *reason)
    elif state in ("planned", "sending"):
        yield from (Part("It is about to go out, for "), name, Part("."))
    elif state == "cancelled":
        yield from (Part("Cancelled: "), *reason)
    else:
        yield name
        yield from _sent(trace, action)


def _sent(trace: Trace, action: Mapping[str, Any]) -> Iterator[Part]:
    event, attempts = trace["event"], action["attempts"]
    began = attempts[-1]["started_at"] if attempts else action["planned_at"]
    within = span(between(event["received_at"], began))
    if action["kind"] == "answer_call" and attempts:  # Twilio had asked, and had to be told later
        yield Part(f" answered only after {within}; until then the caller heard the fallback")
    else:
        yield Part(f" {did(trace, action)} within {within}")
    ended = attempts[-1]["ended_at"] if attempts else None
    bad = tones.of_action(action) == "bad"
    error = action.get("error")
    title = f"error {error['code']}: {error['title']}" if error else ""
    if bad and not action["remote_sid"]:
        yield Part(f"; Twilio refused it{f', {title}' if title else ''}.")
        return
    if ended and action["effect"]:
        took = between(began, ended)
        if attempts[-1]["result"] == "unknown":
            yield Part("; Twilio's answer got lost, but Twilio has it")
        else:
            yield Part("; Twilio took it " + ("at once" if took < 0.5 else f"after {span(took)}"))
    if bad:
        yield Part(f"; it did not arrive: {title or action['outcome']}.")
    elif action["state"] == "accepted":
        yield Part("; no last word yet.")
    elif action["effect"] and action["settled_at"]:
        after = span(between(began, action["settled_at"]))
        done = {"delivered": "the phone has it", "read": "it was read"}
        yield Part(f"; {done.get(action['outcome'], action['outcome'] or 'done')} after {after}.")
    else:
        yield Part(".")
