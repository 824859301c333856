"""Stations of a trace: what a page shows of the way from a webhook to the phone."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ringback.console import story, tones
from ringback.console.plot import Bar
from ringback.console.times import between, span

MOST_LANES = 5
_READ = re.compile(r"\bevent\.(\w+)")
_FIELDS = {
    "body": ("Body",), "digits": ("Digits",), "speech": ("SpeechResult",), "status": (),
    "error_code": ("ErrorCode",), "num_media": ("NumMedia",),
}  # fmt: skip
_COLUMNS = {
    "from": "sender", "to": "recipient", "type": "type", "status": "status", "trust": "trust",
    "error_code": "error_code", "at": "at", "source": "source",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Lane:
    """One action of a run, or a run without any. `first` says that the run is shown here."""

    rule: Mapping[str, Any]
    run: Mapping[str, Any]
    action: Mapping[str, Any] | None
    first: bool
    tone: str


def lanes_of(trace: Mapping[str, Any]) -> list[Lane]:
    """The lanes of a trace, by its rules; of a run the actions that need a look come first."""
    found = []
    for rule in trace["rules"]:
        run = rule["run"]
        if run is None:
            continue
        actions: Sequence[Mapping[str, Any] | None] = [*tones.by_weight(run["actions"])] or [None]
        for number, action in enumerate(actions):
            tone = tones.of_action(action) if action else tones.of_run(run)
            found.append(Lane(rule, run, action, number == 0, tone))
    return found


def silent_of(trace: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The silent rules, the nearest miss first, each with why, and with the values that its lines
    read."""
    event = trace["event"]
    return [
        {**rule, "why": story.why_not(rule), "lines": lines_of(rule, event)}
        for rule in story.by_nearness(trace["rules"])
    ]


def lines_of(rule: Mapping[str, Any], event: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The `if` lines of a rule with whether they held and what they read of the event."""
    return [
        {
            "if": " ".join(line["if"].split()),
            "held": line["held"],
            "read": [
                {"name": name, "value": value}
                for name in dict.fromkeys(_READ.findall(line["if"]))
                if (value := _value(event, name)) is not None
            ],
        }
        for line in rule["lines"]
    ]


def _value(event: Mapping[str, Any], name: str) -> str | None:
    fields = event["fields"] if isinstance(event["fields"], dict) else {}
    if name in _COLUMNS:
        return str(event[_COLUMNS[name]])
    for key in _FIELDS.get(name, ()):
        if key in fields:
            return str(fields[key])
    return None


def bars_of(trace: Mapping[str, Any]) -> list[Bar]:
    """What happened when, for the time picture."""
    start = trace["event"]["received_at"]
    bars: list[Bar] = []

    def add(label: str, first: str, last: str | None, tone: str, link: str = "") -> None:
        begin = max(between(start, first), 0.0)
        end = max(between(start, last), begin) if last else begin
        gap = f"waited {span(end - begin)}" if tone == "held" and end - begin >= 1 else ""
        says = f"{label}: from +{span(begin)} to +{span(end)}"
        bars.append(Bar(label, begin, end, tone, link, says, gap))

    for lane in lanes_of(trace)[:MOST_LANES]:
        run, action = lane.run, lane.action
        if lane.first:
            tone = tones.of_run(run)
            add(lane.rule["rule"], run["started_at"], run["ended_at"], tone, f"#{run['uid']}")
        if action is None:
            continue
        link = f"#{action['uid']}"
        waits = action["attempts"][0]["started_at"] if action["attempts"] else None
        if waits and between(action["planned_at"], waits) >= 1:
            add("held back", action["planned_at"], waits, "held", link)
        for attempt in action["attempts"]:
            label = f"Twilio, attempt {attempt['n']}"
            tone = "bad" if attempt["result"] in ("failed", "refused") else "way"
            add(label, attempt["started_at"], attempt["ended_at"], tone, link)
        for callback in action["callbacks"]:
            label, tone = callback["type"], tones.of_event(callback["type"])
            add(label, callback["received_at"], None, tone, f"/console/t/{callback['uid']}")
        if not action["callbacks"] and action["settled_at"]:
            add(tones.words_of(action), action["settled_at"], None, lane.tone, link)
    return bars


def is_late(callbacks: Sequence[Mapping[str, Any]], number: int) -> bool:
    """Whether a callback came behind one that tells of a later moment."""
    mine = callbacks[number]
    return any(
        each["at"] > mine["at"] and each["received_at"] < mine["received_at"] for each in callbacks
    )
