"""Export: an incident as a test. What came in, moment by moment, and what rules made of it then.

The test that is written says what happened and then fails on purpose: whoever takes it up writes in
its place what should have happened, and mends the rule until it passes.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pprint import pformat
from typing import Any

from ringback.errors import UsageError
from ringback.hooks.reading import ROUTE
from ringback.rules.interpreter.answers import ended, taken
from ringback.store.queries.questions import Questions

EARLIER = 50
"""So many events of the same conversation stand before the one that it is about."""

_FIRST_TURN = timedelta(seconds=6)
_HELD = ("captured", "refused", "deferred")
"""What did not leave, and is not among the `texts` of a reaction either."""

_HEAD = '''"""{what}

Written by `ringback trace {uid} --pytest`.
It needs nothing but this project: no network, no database.
"""

from datetime import datetime
from pathlib import Path

import pytest

from ringback.testing import Bench, webhook

PROJECT = Path(__file__).resolve().parents[1]

'''

_TEST = '''

def test_{name}() -> None:
    """What rules made of it then. Change it to what should have happened, then mend the rule."""
    events = [
        webhook(route, fields, at=datetime.fromisoformat(at), trust=trust)
        for route, at, trust, fields in EVENTS
    ]
    bench = Bench.load(PROJECT, now=events[0].received_at)
    for event in events[:-1]:
        bench.react(event)
    reaction = bench.react(events[-1])
{notes}
    assert reaction.fired == {fired}
    assert reaction.texts == {texts}
    pytest.fail("this is what happened: write what should have happened, and take this line out")
'''


def regression(asked: Questions, uid: str) -> str:
    """The text of a pytest file about this event.

    Raises UsageError for an event without a form behind it (an internal one, an event stream).
    """
    trace = asked.trace(uid)
    if trace is None:
        raise UsageError(f"no event {uid}; `ringback events list` names them")
    event = trace["event"]
    steps = [*_earlier(asked, event), event]
    played = [step for step in (form_of(asked, each) for each in steps) if step]
    if not played or not form_of(asked, event):
        raise UsageError(f"{event['type']} {uid} did not come as a form: only such can be exported")
    who = f"{event['sender']} to {event['recipient']}".strip(" to")
    what = f"{event['type']} from {who}, {event['received_at']}."
    listed = pformat(played, width=96, sort_dicts=False)
    return (
        _HEAD.format(what=what, uid=uid)
        + f"EVENTS = {listed}\n"
        + _TEST.format(
            name=re.sub(r"\W+", "_", f"{event['type']}_{uid[-6:]}".lower()),
            notes="\n".join(f"    # {line}" for line in _notes(trace))
            or "    # no rule looked at it",
            fired=_fired(trace),
            texts=pformat(_texts(trace), width=80),
        )
    )


def _earlier(asked: Questions, event: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What came before in the same conversation, oldest first."""
    number = event["conversation"].partition("/")[2]
    if not number:
        return []
    found = asked.events(number=number, limit=1000)
    same = [
        each
        for each in found
        if each["conversation"] == event["conversation"] and each["id"] < event["id"]
    ]
    return same[:EARLIER][::-1]


Played = tuple[str, str, str, dict[str, str]]


def form_of(asked: Questions, event: Mapping[str, Any]) -> Played | None:
    """Route, moment, trust and fields: what the kit's `webhook` makes the event of again."""
    row = asked.raw(event)
    fields = event["fields"]
    batch = row is not None and "json" in row.content_type and not row.route.startswith(ROUTE)
    if row is None or batch or not isinstance(fields, dict):
        return None
    said = {name: str(value) for name, value in fields.items() if value}
    return row.route, row.received_at, event["trust"], said


def _notes(trace: Mapping[str, Any]) -> Iterator[str]:
    """Why each rule did or did not fire, and what became of its actions."""
    for rule, verdict in (trace["event"]["verdicts"] or {}).items():
        yield f"{rule}: {verdict}"
    for turn in trace["turns"]:
        question = " ".join(turn["question"].split())
        was = taken(question, trace["event"]["type"], trace["event"]["fields"] or {})
        was = "is ended by it" if ended(turn["reason"], trace["event"]["uid"]) else was
        yield f"{turn['rule']}: {was}"
    for run in (*trace["runs"], *trace["turns"]):
        for action in run["actions"]:
            fate = " ".join(filter(None, (action["state"], action["outcome"], action["reason"])))
            tries = ", ".join(
                str(attempt["http_status"] or attempt["result"]) for attempt in action["attempts"]
            )
            answer = f" (the gateway answered {tries})" if tries else ""
            yield f"{action['kind']} of {run['rule']}: {fate}{answer}"


def _fired(trace: Mapping[str, Any]) -> list[str]:
    """The rules that ran, in the order of their runs; hooks are no rules. A run that was cancelled
    had begun when it kept something for its wait; what that was is forgotten then."""
    runs = [run for run in trace["runs"] if run["state"] != "cancelled" or run["memory"]]
    names = [run["rule"] for run in runs]
    return [name for name in names if not name.endswith((".on_event", ".on_settled"))]


def _texts(trace: Mapping[str, Any]) -> list[str]:
    """What was texted at once; what followed after a wait belongs to later events."""
    found = []
    for run in (*trace["turns"], *trace["runs"]):
        if run["rule"].endswith(".on_settled"):
            continue
        latest = datetime.fromisoformat(run.get("started_at") or run["at"]) + _FIRST_TURN
        later = min((turn["ordinal"] for turn in run.get("turns", ())), default=None)
        for action in run["actions"]:
            if later is not None and action["ordinal"] >= later:
                break  # it came of a later event
            soon = datetime.fromisoformat(action["planned_at"]) <= latest
            if action["effect"] == "message" and action["state"] not in _HELD and soon:
                found.append(str(action["params"]["body"]))
    return found
