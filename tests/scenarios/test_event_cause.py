"""Cause of an event about an action of ours: the run, the rule and the person behind it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from ringback.events import Cause, Event
from ringback.testing import sms
from simulation.story import Story
from simulation.twilio import OURS

ANN, ONCALL = "+15551000001", "+15551000009"
RULES = """
rules:
  - name: pager
    on: message.received
    do: [{send: {to: "+15551000009", body: "Page: ${{ event.body }}"}}]
  - name: tell
    on: action.ENDS
    if: event.cause.rule == 'pager'
    do:
      - send:
          to: ${{ event.cause.from }}
          from: ${{ event.cause.to }}
          body: "'${{ event.cause.body }}' was not passed on (${{ event.cause.type }})."
"""


@pytest.mark.parametrize(
    ("ends", "answers"), [("failed", ["rejected"]), ("settled", []), ("refused", [])]
)
def test_the_person_behind_an_action_can_be_told_how_it_ended(
    begin: Callable[..., Story], ends: str, answers: list[str]
) -> None:
    """Though the action was for somebody else. The event names run, rule, action and event."""
    changed: dict[str, Any] = {"recipient_per_hour": 0 if ends != "refused" else 1}
    story = begin(rules=RULES.replace("ENDS", ends), **changed)
    story.twilio.next_create = answers
    story.receive(story.text("fire", ANN))
    story.run(120.0)
    if ends == "refused":  # the second page of an hour
        story.receive(story.text("flood", ANN))
        story.run(240.0)
    (fields,) = story.ask(f"select fields from events where type = 'action.{ends}' limit 1")[0]
    told = story.ask("select params from actions where rule = 'tell' limit 1")
    assert json.loads(told[0][0])["to"] == ANN
    assert json.loads(told[0][0])["sender"] == OURS
    said = json.loads(told[0][0])["body"]
    body = "flood" if ends == "refused" else "fire"
    assert said == f"'{body}' was not passed on (message.received)."
    ((run, event, action),) = story.ask(
        "select a.run_uid, a.event_uid, a.uid from actions a join events e on e.uid = a.event_uid "
        f"where a.rule = 'pager' and a.state = '{ends}' limit 1"
    )
    known = json.loads(fields)
    assert (known["CauseRun"], known["CauseEvent"], known["ActionUid"]) == (run, event, action)


def test_an_event_about_no_action_has_an_empty_cause() -> None:
    assert sms("hello").cause == Cause()


def test_a_plugin_reads_the_cause() -> None:
    """`event.cause` in Python has the same names, `from_` as everywhere."""
    text = sms("hello")
    event = Event(
        "evt_1", "action.failed", text.at, text.at, source="internal",
        fields={"CauseFrom": ANN, "CauseConversation": f"{OURS}/{ANN}", "Rule": "pager"},
    )  # fmt: skip
    cause = event.cause
    assert (cause.from_, cause.theirs, cause.ours, cause.rule) == (ANN, ANN, OURS, "pager")
